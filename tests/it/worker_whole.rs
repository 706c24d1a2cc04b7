//! The whole way on real parts: issuer, worker and stand-in AWS, each on a socket of its own.

use std::net::IpAddr;

use brevet::domain::audit::{Action, Decision};
use brevet::domain::endpoint::Endpoint;
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::role_arn::RoleArn;
use brevet::domain::settings::{ModelId, ProviderLayer};
use brevet::http::layer::client_address::ClientAddress;
use brevet::sandbox::Running;
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::Value;

use crate::support::app::{App, Options, layer};
use crate::support::clients;
use crate::support::worker_house::{AUDIENCE, MODEL, ROLE, client, prompt, start_aws, start_worker};

struct Whole {
    app: App,
    aws: Running,
    worker: String,
    key: String,
    token: String,
    client: brevet::fetch::Client,
}

impl Whole {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/brevet", listener.local_addr().unwrap());
        let app = App::at(IssuerUrl::parse(&url, Development::On).unwrap(), Options::default()).await;
        let peer = axum::Extension(ClientAddress(IpAddr::from([127, 0, 0, 1])));
        let router = app.router.clone().layer(peer);
        tokio::spawn(async move { axum::serve(listener, router).await });

        let aws = start_aws(&url, 0, app.clock.clone()).await;
        let team = app.team("team-1").await;
        app.settings(&team, None, settings(&aws)).await;
        let agent = app.agent(&team, "agent-1").await;
        let (key, _) = app.agent_key(&agent).await;
        let (worker_key, _) = app.worker(AUDIENCE, &[&team]).await;
        let worker = start_worker(&url, &worker_key, vec![aws.url()], app.clock.clone()).await;
        let token = app.token(&key, AUDIENCE).await;
        Self { app, aws, worker, key, token, client: client() }
    }

    async fn converse(&self) -> (u16, Value) {
        self.converse_as(&self.token).await
    }

    async fn converse_as(&self, shown: &str) -> (u16, Value) {
        let request = http::Request::post(format!("{}/bedrock/model/haiku/converse", self.worker))
            .header("authorization", format!("Bearer {shown}"))
            .header("content-type", "application/json")
            .body(Bytes::from(prompt().to_string()))
            .unwrap();
        let answer = self.client.send(request).await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    async fn exchanges(&self) -> usize {
        let rows = self.app.rows(Action::TokenExchange).await;
        rows.iter().filter(|row| row.decision == Decision::Allowed).count()
    }
}

fn settings(aws: &Running) -> ProviderLayer {
    let endpoint = Some(Endpoint::parse(&aws.url(), &[aws.url()]).unwrap());
    ProviderLayer {
        role_arn: Some(RoleArn::parse(ROLE).unwrap()),
        models: Some([("haiku".to_owned(), ModelId::parse(MODEL).unwrap())].into()),
        session_tags: Some(true),
        source_identity: Some(true),
        base_url: endpoint.clone(),
        sts_endpoint: endpoint,
        ..layer("bedrock")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_28_a_hundred_first_requests_are_one_audited_exchange_and_one_sts_call() {
    let whole = Whole::start().await;
    for (status, body) in join_all((0..100).map(|_| whole.converse())).await {
        assert_eq!(status, 200, "{body}");
    }
    assert_eq!(whole.exchanges().await, 1);
    assert_eq!(whole.aws.handle().calls("AssumeRoleWithWebIdentity"), 1);
    let session = &whole.aws.handle().trail()[0];
    assert_eq!(session.subject.as_deref(), Some("scoped_principal:team-1/service_account:agent-1"));
    assert_eq!(session.source_identity.as_deref(), Some("s.agent-1"));
    assert_eq!(session.tags["brevet:sub"], "scoped_principal:team-1/service_account:agent-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_25_bearers_of_runs_get_sessions_of_their_own_run_and_end_with_it() {
    let whole = Whole::start().await;
    let open = serde_json::json!({ "audiences": [AUDIENCE] });
    let (first, first_id) = whole.app.run(&whole.key, &open).await;
    let (second, second_id) = whole.app.run(&whole.key, &open).await;
    let (elsewhere, _) = whole.app.run(&whole.key, &serde_json::json!({})).await;
    for (status, body) in join_all((0..20).map(|_| whole.converse_as(&first))).await {
        assert_eq!(status, 200, "{body}");
    }
    // One exchange tells whose the bearer is and grants, however many ask.
    assert_eq!(whole.exchanges().await, 1);
    assert_eq!(whole.converse_as(&second).await.0, 200);
    assert_eq!(whole.converse().await.0, 200);
    let runs: Vec<_> = whole
        .aws
        .handle()
        .trail()
        .iter()
        .filter(|event| event.action == "AssumeRoleWithWebIdentity")
        .map(|session| session.tags.get("brevet:run").cloned())
        .collect();
    assert_eq!(runs, [Some(first_id.clone()), Some(second_id), None]);

    for (shown, code) in [(&elsewhere, "token_not_accepted"), (&whole.key, "caller_not_identity_token")] {
        let (status, body) = whole.converse_as(shown).await;
        assert_eq!((status / 100, body["code"].as_str()), (4, Some(code)), "{body}");
        assert!(!body.to_string().contains(&shown[8..]), "the bearer is in the answer");
    }
    whole.app.end_run(&whole.key, &first_id).await;
    whole.app.clock.advance(time::Duration::seconds(61));
    let (status, body) = whole.converse_as(&first).await;
    assert_eq!((status, body["code"].as_str()), (403, Some("caller_not_alive")), "{body}");
    assert_eq!(whole.converse_as(&second).await.0, 200);
}

#[tokio::test]
async fn threat_23_inference_switched_off_ends_at_the_next_check() {
    let whole = Whole::start().await;
    assert_eq!(whole.converse().await.0, 200);
    let team = brevet::domain::id::TeamUid::parse("team-1").unwrap();
    let off = ProviderLayer { disabled: true, ..settings(&whole.aws) };
    whole.app.settings(&team, None, off).await;
    whole.app.issuer.forget();
    whole.app.clock.advance(time::Duration::seconds(61));
    let (status, body) = whole.converse().await;
    assert_eq!((status, body["code"].as_str()), (403, Some("provider_disabled")), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_boto3_streams_through_the_worker() {
    let whole = Whole::start().await;
    let Some(python) = clients::python("boto3_converse_stream.py") else { return };
    // The token in the place of a session's: botocore sends a bearer over https only, and this is loopback.
    let python = python
        .args(["--endpoint-url", &format!("{}/bedrock", whole.worker), "--region", "eu-central-1", "--model", "haiku"])
        .args(["--access-key-id", "BREVETTOKEN00000000", "--secret-access-key", "unused"])
        .args(["--session-token", &whole.token]);
    let ended = tokio::task::spawn_blocking(move || python.run()).await.unwrap();
    let got: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(got["ok"], true, "{got}");
    assert!(got["text"].as_str().unwrap().contains("s.agent-1"), "{got}");
    assert_eq!(got["stop_reason"], "end_turn", "{got}");
}
