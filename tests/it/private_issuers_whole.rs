//! Private issuers on real parts: an issuer on a socket, the stand-in AWS that fetches from it, a worker between them,
//! and PyJWT. The roles here trust by audience alone, as a customer writes who leaves `sub` out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::Router;
use axum::body::Body;
use brevet::domain::endpoint::Endpoint;
use brevet::domain::id::TeamUid;
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::role_arn::RoleArn;
use brevet::domain::settings::{ModelId, ProviderLayer};
use brevet::domain::team::MintingIssuer;
use brevet::http::layer::client_address::ClientAddress;
use brevet::sandbox::{Config, ProviderConfig, RoleConfig, Running};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};

use crate::support::app::{App, Options, layer, request, send};
use crate::support::clients;
use crate::support::entropy::SeededEntropy;
use crate::support::served::Served;
use crate::support::worker_house::{AUDIENCE, MODEL, client, prompt, start_worker};

const STS: &str = "sts.amazonaws.com";
const ROLE: &str = "arn:aws:iam::123456789012:role/of-red";

/// Teams red and blue, each with a private issuer; the stand-in has providers for these and for the shared one.
struct Whole {
    app: App,
    aws: Running,
    client: brevet::fetch::Client,
    keys: BTreeMap<&'static str, String>,
    worker: String,
    admin: Router,
    admin_key: String,
}

impl Whole {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/brevet", listener.local_addr().unwrap());
        let app = App::at(IssuerUrl::parse(&url, Development::On).unwrap(), Options::default()).await;
        let router = app.router.clone().layer(axum::Extension(ClientAddress(IpAddr::from([127, 0, 0, 1]))));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let aws = start_aws(&url, &app).await;
        let endpoint = Some(Endpoint::parse(&aws.url(), &[aws.url()]).unwrap());
        let mut keys = BTreeMap::new();
        for name in ["red", "blue"] {
            let team = app.team(name).await;
            // Blue names red's role in its own settings: nothing of ours can know whose it is.
            let settings = ProviderLayer {
                role_arn: Some(RoleArn::parse(ROLE).unwrap()),
                models: Some([("haiku".to_owned(), ModelId::parse(MODEL).unwrap())].into()),
                base_url: endpoint.clone(),
                sts_endpoint: endpoint.clone(),
                ..layer("of-red")
            };
            app.settings(&team, None, settings).await;
            let agent = app.agent(&team, &format!("{name}-bot")).await;
            keys.insert(name, app.agent_key(&agent).await.0);
        }
        let (worker_key, _) = app.worker(AUDIENCE, &[&TeamUid::parse("red").unwrap()]).await;
        let worker = start_worker(&url, &worker_key, vec![aws.url()], app.clock.clone()).await;
        let (admin, admin_key) = (brevet::http::admin::router(app.state.clone()), app.administrator().await);
        Self { app, aws, client: client(), keys, worker, admin, admin_key }
    }

    /// Makes the team's private issuer, as the admin API does.
    async fn make(&self, team: &str) {
        self.administer(Method::PUT, team).await;
    }

    async fn administer(&self, method: Method, team: &str) {
        let path = format!("/v1/teams/{team}/issuer");
        let answer = send(&self.admin, request(method, &path, Some(&self.admin_key), Body::empty())).await;
        assert!(answer.status.is_success(), "{answer}");
    }

    async fn mints(&self, team: &str, which: MintingIssuer) {
        self.app.policy(&TeamUid::parse(team).unwrap(), |policy| policy.issuer = which).await;
        self.app.issuer.forget();
    }

    async fn token(&self, team: &str, audience: &str) -> String {
        self.app.token(&self.keys[team], audience).await
    }

    /// STS's code and message, or `ok`.
    async fn assume(&self, token: &str) -> String {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("Action", "AssumeRoleWithWebIdentity"), ("Version", "2011-06-15"), ("RoleArn", ROLE)])
            .extend_pairs([("RoleSessionName", "s.bot"), ("WebIdentityToken", token)])
            .finish();
        let request = Request::post(format!("{}/", self.aws.url()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form))
            .unwrap();
        let answer = self.client.send(request).await.unwrap();
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        match text.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>")) {
            Some((message, _)) => message.to_owned(),
            None => "ok".to_owned(),
        }
    }

    async fn converse(&self, token: &str) -> (u16, Value) {
        let request = Request::post(format!("{}/bedrock/model/haiku/converse", self.worker))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Bytes::from(prompt().to_string()))
            .unwrap();
        let answer: Response<Bytes> = self.client.send(request).await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }
}

/// A stand-in with every provider of the installation, and one role that trusts red's private issuer by audience alone.
async fn start_aws(issuer: &str, app: &App) -> Running {
    let red = format!("{issuer}/t/red").trim_start_matches("http://").to_owned();
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": { "Federated": format!("arn:aws:iam::123456789012:oidc-provider/{red}") },
        "Action": ["sts:AssumeRoleWithWebIdentity"],
        "Condition": { "StringEquals": { format!("{red}:aud"): STS } },
    }] });
    let invoke = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "bedrock:*", "Resource": "*",
    }] });
    let provider =
        |url: String| ProviderConfig { url, client_ids: vec![STS.into()], thumbprints: Vec::new(), fetch_base: None };
    let config = Config {
        listen: "127.0.0.1:0".into(),
        account: "123456789012".into(),
        loopback_issuers: true,
        stream_pause_ms: 0,
        provider: [issuer.to_owned(), format!("{issuer}/t/red"), format!("{issuer}/t/blue")].map(provider).into(),
        role: vec![RoleConfig {
            name: "of-red".into(),
            path: "/".into(),
            account: None,
            trust: trust.to_string(),
            policies: [("bedrock".to_owned(), invoke.to_string())].into(),
            max_session_seconds: 3600,
            tags: BTreeMap::default(),
        }],
        ..Config::default()
    };
    brevet::sandbox::start(config, app.clock.clone(), std::sync::Arc::new(SeededEntropy::new(1))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_12_a_trust_policy_without_a_subject_admits_one_team_only() {
    let whole = Whole::start().await;
    for team in ["red", "blue"] {
        whole.make(team).await;
    }
    let shared = whole.token("red", STS).await;
    for team in ["red", "blue"] {
        whole.mints(team, MintingIssuer::Private).await;
    }
    assert_eq!(whole.assume(&whole.token("red", STS).await).await, "ok");
    let denied = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
    assert_eq!(whole.assume(&whole.token("blue", STS).await).await, denied, "another team's private issuer");
    assert_eq!(whole.assume(&shared).await, denied, "the shared issuer, whoever the subject is");

    // The contrast: where the shared issuer mints for both, blue's token passes a policy that only asks for audience.
    // Here it does not come so far, because that provider is not the one that the role trusts.
    let trail = whole.aws.handle().trail();
    let outcomes: Vec<_> = trail.iter().map(|event| event.outcome.as_str()).collect();
    assert_eq!(outcomes.len(), 3, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_14_a_worker_takes_private_tokens_of_the_teams_it_serves_alone() {
    let whole = Whole::start().await;
    for team in ["red", "blue"] {
        whole.make(team).await;
        whole.mints(team, MintingIssuer::Private).await;
    }
    // Blue may name the worker's audience only because its list says so: the worker does not serve it.
    whole
        .app
        .policy(&TeamUid::parse("blue").unwrap(), |policy| {
            policy.audiences.push(brevet::domain::team::AudienceRule {
                audience: brevet::domain::audience::Audience::parse("https://other.example.com").unwrap(),
                lifetime_cap: None,
            });
        })
        .await;
    let token = whole.token("red", AUDIENCE).await;
    let (status, body) = whole.converse(&token).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = whole.converse(&whole.token("blue", "https://other.example.com").await).await;
    assert_eq!((status, body["code"].as_str()), (401, Some("token_unknown_key")), "{body}");

    // Back to the shared issuer: what was minted before goes on, and STS is shown the other issuer, which the role
    // does not trust.
    whole.mints("red", MintingIssuer::Shared).await;
    whole.app.clock.advance(time::Duration::seconds(61));
    let (status, body) = whole.converse(&token).await;
    assert_eq!((status, body["code"].as_str()), (403, Some("sts_access_denied")), "{body}");
    assert_eq!(body["presented"]["iss"], whole.app.issuer.url().as_str(), "{body}");

    // Destroyed: no token of it passes any more, though it has time left.
    whole.administer(Method::DELETE, "red").await;
    whole.app.clock.advance(time::Duration::seconds(61));
    let (status, body) = whole.converse(&token).await;
    assert_eq!(status, 401, "{body}");
}

/// The real binary, PyJWT with its own JWKS client, and a restart after the end.
#[test]
fn interop_pyjwt_finds_a_private_issuers_keys_and_a_restart_does_not_bring_them_back() {
    let Some(_) = clients::python("verify_pyjwt.py") else { return };
    let mut served = Served::start();
    let key = served.furnish();
    served.admin(&["admin", "issuer", "make", "--team", "red"]);
    served.admin(&["admin", "policy", "set", "--team", "red", "--minted-by", "private"]);
    let token = served.succeeds(Some(&key), &["token"]);
    let private = format!("{}/t/red", served.url);
    let judged = |issuer: &str| {
        let client = clients::python("verify_pyjwt.py").expect("it was there a moment ago");
        client.args(["--token", &token, "--issuer", issuer, "--audience", STS]).run().json()
    };
    let answer = judged(&private);
    assert_eq!((answer["ok"].as_bool(), answer["claims"]["iss"].as_str()), (Some(true), Some(private.as_str())));
    assert_eq!(judged(&served.url)["ok"], false, "its kid is none of the shared issuer's");

    let setup = served.admin(&["aws", "setup", "--team", "red"]);
    let setup: Value = serde_json::from_str(&setup).expect("documents");
    let path = private.trim_start_matches("http://");
    assert_eq!(setup["provider_url"], private);
    assert_eq!(setup["provider_arn"], format!("arn:aws:iam::111122223333:oidc-provider/{path}"));
    let condition = &setup["trust_policy"]["Statement"][0]["Condition"];
    assert_eq!(condition["StringEquals"][format!("{path}:aud")], STS, "{condition}");
    assert!(condition["StringLike"].get(format!("{path}:sub")).is_some(), "{condition}");
    let both = served.admin(&["aws", "setup", "--team", "red", "--minted-by", "both"]);
    let both: Value = serde_json::from_str(&both).expect("documents");
    assert_eq!(both["second_provider"]["provider_url"], served.url);
    assert_eq!(both["trust_policy"]["Statement"].as_array().map(Vec::len), Some(2));

    served.admin(&["admin", "policy", "set", "--team", "red", "--minted-by", "shared"]);
    served.admin(&["admin", "issuer", "delete", "--team", "red"]);
    assert_eq!(judged(&private)["ok"], false);
    served.stop();
    served.serve();
    assert_eq!(judged(&private)["ok"], false, "404 for ever");
    let again = served.brevet(Some(&served.admin_key.clone()), &["admin", "issuer", "make", "--team", "red"]);
    assert_eq!(again.code(), Some(1), "{again:#?}");
}
