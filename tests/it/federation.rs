//! Someone else's tokens at `/oauth2/token` (RFC 8693): whose are taken, and every near miss.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::Body;
use brevet::domain::audience::Audience;
use brevet::domain::audit::{Action, Decision, Origin};
use brevet::domain::claim_condition::{ClaimPath, Condition, Expected};
use brevet::domain::clock::Clock;
use brevet::domain::entropy::Entropy;
use brevet::domain::foreign_issuer::ForeignIssuer as IssuerText;
use brevet::domain::id::{ServiceAccountUid, TeamUid, TrustRuleId};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::trust::{KeySource, Reuse, TrustRule, TrustRuleRecord};
use brevet::domain::trust_template::Template;
use brevet::http::layer::client_address::ClientAddress;
use brevet::issuer::limits::LimitNumbers;
use brevet::issuer::oauth::{Client, OAuthError, SubjectTokenRefused};
use brevet::limit::rate::Rate;
use brevet::store::{DerivesFrom, ServiceAccountChange, TeamChange, TrustRuleChange};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use time::Duration;
use tower::ServiceExt as _;

use crate::oauth::form;
use crate::support::app::{Answer, App, Options, request};
use crate::support::foreign_issuer::{AUDIENCE, ForeignIssuer, github, gitlab, jwks, kubernetes, token};
use crate::support::token_keys;

const GITHUB: &str = "https://token.actions.githubusercontent.com";
const GITLAB: &str = "https://gitlab.com";
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// What a rule for pods asks for, so that it takes those of `kubernetes`.
const POD: [(&str, &str); 3] = [
    ("namespace", "prod"),
    ("service_account", "agent"),
    ("service_account_uid", "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"),
];
const NOT_TRUSTED: &str = "subject_token fits no trust rule of this service account; its team's audit log may say more";

/// A team with an agent that trusts somebody.
pub(crate) struct Scene {
    pub(crate) app: App,
    pub(crate) team: TeamUid,
    pub(crate) agent: ServiceAccountUid,
}

impl Scene {
    pub(crate) async fn set() -> Self {
        Self::over(App::start().await).await
    }

    async fn over(app: App) -> Self {
        let team = app.team("team-1").await;
        let agent = app.agent(&team, "agent-1").await;
        Self { app, team, agent }
    }

    /// A rule, as it would be after the admin API has checked it.
    pub(crate) async fn trust(
        &self,
        issuer: &str,
        keys: KeySource,
        conditions: Vec<Condition>,
        reuse: Reuse,
    ) -> TrustRuleRecord {
        let app = &self.app;
        let now = app.clock.now();
        let issuer = IssuerText::parse(issuer, Development::On).unwrap();
        let rule = TrustRule::new(issuer, Audience::parse(AUDIENCE).unwrap(), keys, conditions, reuse).unwrap();
        let record = TrustRuleRecord {
            id: TrustRuleId::new(app.entropy.uuid_v7(now)),
            service_account: self.agent.clone(),
            name: "a rule".to_owned(),
            rule,
            version: 1,
            created_at: now,
            updated_at: now,
            last_used_at: None,
            disabled_at: None,
        };
        app.store.create_trust_rule(&record, &app.event(), None).await.unwrap();
        record
    }

    /// A rule of a template, with the keys of all algorithms in it.
    async fn template(&self, issuer: &str, template: Template, given: &[(&str, &str)]) -> TrustRuleRecord {
        let given: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let keys = KeySource::Fixed(jwks(&["RS256", "ES256"]));
        self.trust(issuer, keys, template.conditions(&given).unwrap(), template.reuse()).await
    }

    pub(crate) async fn exchange(&self, subject_token: &str, more: &[(&str, &str)]) -> Answer {
        self.exchange_as("agent-1", subject_token, more).await
    }

    pub(crate) async fn exchange_as(&self, client: &str, subject_token: &str, more: &[(&str, &str)]) -> Answer {
        let parameters = [
            ("grant_type", EXCHANGE),
            ("client_id", client),
            ("subject_token", subject_token),
            ("subject_token_type", JWT),
        ];
        self.app.send(form("/oauth2/token", &[&parameters, more].concat())).await
    }

    /// The access token that an exchange must give.
    pub(crate) async fn access_token(&self, subject_token: &str) -> String {
        let answer = self.exchange(subject_token, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Status, `error` and description of a refusal.
    #[track_caller]
    fn refused(answer: &Answer) -> (u16, String, String) {
        let body = answer.json();
        assert!(body.get("access_token").is_none(), "{answer}");
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (answer.status.as_u16(), text("error"), text("error_description"))
    }

    /// How often each reason stands in the audit, counted rows among them. It ends the audit writer: once a test.
    async fn reasons(&self) -> BTreeMap<String, u32> {
        self.app.issuer.audit().drain().await;
        let mut reasons = BTreeMap::new();
        for row in self.app.rows(Action::AccessTokenIssue).await {
            if let Some(reason) = row.reason {
                *reasons.entry(reason).or_default() += row.count;
            }
        }
        reasons
    }
}

pub(crate) fn is(claim: &str, text: &str) -> Condition {
    Condition { claim: ClaimPath::parse(claim).unwrap(), expected: Expected::text(text).unwrap() }
}

/// The same from another network for each `n`.
fn from(mut request: Request<Body>, n: u32) -> Request<Body> {
    let network = Ipv4Addr::from_bits(0x0a00_0000 + n);
    request.extensions_mut().insert(ClientAddress(network.into()));
    request
}

/// `claims` with the member at a JSON pointer set.
fn with(claims: &Value, pointer: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    claims.pointer_mut(parent).unwrap()[name] = value;
    claims
}

#[tokio::test]
async fn a_pods_token_gives_an_access_token_that_mints_and_leads_back_to_its_rule() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let given = [("namespace", "prod"), ("service_account", "agent")];
    let rule = scene.template("https://cluster.example.com", Template::Kubernetes, &given).await;
    let subject = token("ES256", &kubernetes("https://cluster.example.com", app.clock.now()));
    let answer = scene.exchange(&subject, &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer}");
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), (Some("no-store"), Some("no-cache")));
    let body = answer.json();
    assert_eq!(body["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(body.as_object().unwrap().len(), 4, "{answer}");

    let access = body["access_token"].as_str().unwrap();
    let minted = app.mint(access, &json!({})).await;
    assert_eq!(minted.json()["subject"], "scoped_principal:team-1/service_account:agent-1", "{minted}");
    let issued = app.rows(Action::AccessTokenIssue).await.remove(0);
    let target = format!("trust_rule:{} iss=https://cluster.example.com sub=system:serviceaccount:prod:agent", rule.id);
    assert_eq!((issued.decision, issued.target), (Decision::Allowed, Some(target)));
    assert_eq!(issued.credential, app.rows(Action::TokenMint).await[0].credential);
    let seen = app.store.trust_rule(&scene.agent, rule.id).await.unwrap().unwrap();
    assert_eq!(seen.last_used_at, Some(app.clock.now()));
}

#[tokio::test]
async fn an_identity_token_can_be_had_at_once_and_is_decided_like_any_other() {
    let scene = Scene::set().await;
    let app = &scene.app;
    scene.template(GITHUB, Template::GitHubActions, &[("owner_id", "1234")]).await;
    let claims = github(GITHUB, app.clock.now());
    let fresh = |jti: &str| token("RS256", &with(&claims, "/jti", json!(jti)));
    let wanted = |audience| [("requested_token_type", JWT), ("audience", audience)];
    let answer = scene.exchange(&fresh("1"), &wanted("sts.amazonaws.com")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer}");
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["issued_token_type"]), (&json!("N_A"), &json!(JWT)));
    assert_eq!(body["expires_in"], 300);
    let minted = app.rows(Action::TokenMint).await.remove(0);
    let facts = minted.token.unwrap();
    assert_eq!((facts.audience.as_str(), facts.role_arn.is_some()), ("sts.amazonaws.com", true));
    assert_eq!(minted.credential, app.rows(Action::AccessTokenIssue).await[0].credential);

    let answer = scene.exchange(&fresh("2"), &wanted("https://elsewhere.example.com")).await;
    let (status, error, _) = Scene::refused(&answer);
    assert_eq!((status, error.as_str()), (400, "invalid_target"), "{answer}");
    assert_eq!(app.refusals(Action::TokenMint).await, ["audience_not_allowed"]);
    let answer = scene.exchange(&fresh("2"), &wanted("sts.amazonaws.com")).await;
    assert_eq!(Scene::refused(&answer).0, 400, "whatever fails after the presentation has used the token up");
    let off = ServiceAccountChange { disabled_at: Some(Some(app.clock.now())), ..ServiceAccountChange::default() };
    app.store.update_service_account(&scene.agent, None, &off, &app.event()).await.unwrap();
    let answer = scene.exchange(&fresh("3"), &wanted("sts.amazonaws.com")).await;
    assert_eq!(Scene::refused(&answer), (400, "invalid_request".to_owned(), NOT_TRUSTED.to_owned()));
}

/// Each shape with the rule that its template makes, what that rule takes, and near misses with the audit's reason.
#[tokio::test]
async fn threat_10_each_shape_is_taken_by_its_rule_and_every_near_miss_refused() {
    let scene = Scene::set().await;
    let now = scene.app.clock.now();
    let cluster = "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE";
    scene.template(cluster, Template::Kubernetes, &POD).await;
    let job = [("owner_id", "1234"), ("repository", "acme/agents"), ("ref", "refs/heads/*")];
    scene.template(GITHUB, Template::GitHubActions, &job).await;
    let project = [("project_id", "20"), ("ref", "main"), ("ref_type", "branch"), ("ref_protected", "true")];
    scene.template(GITLAB, Template::GitLab, &project).await;

    let (kubernetes, github, gitlab) = (kubernetes(cluster, now), github(GITHUB, now), gitlab(GITLAB, now));
    for (sound, alg) in [(&kubernetes, "ES256"), (&github, "RS256"), (&gitlab, "RS256")] {
        let answer = scene.exchange(&token(alg, sound), &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer}");
    }

    let condition = "subject_token_condition";
    let mut expected = BTreeMap::new();
    let uid = "/kubernetes.io/serviceaccount/uid";
    let later = |seconds: i64| json!(now.unix_timestamp() + seconds);
    for (shape, pointer, value, reason) in [
        // Another issuer: a prefix, a suffix, another path, case, a list.
        (
            &kubernetes,
            "/iss",
            json!("https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPL"),
            "subject_token_not_trusted",
        ),
        (
            &kubernetes,
            "/iss",
            json!("https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE/"),
            "subject_token_not_trusted",
        ),
        (
            &kubernetes,
            "/iss",
            json!("https://oidc.eks.eu-central-1.amazonaws.com/id/example"),
            "subject_token_not_trusted",
        ),
        (&github, "/iss", json!("https://token.actions.githubusercontent.com/acme"), "subject_token_not_trusted"),
        (
            &github,
            "/iss",
            json!("https://token.actions.githubusercontent.com.evil.example"),
            "subject_token_not_trusted",
        ),
        (&gitlab, "/iss", json!("https://gitlab.com@evil.example"), "subject_token_not_trusted"),
        (&gitlab, "/iss", json!([GITLAB]), "subject_token_claim"),
        // Another audience, several, none.
        (&kubernetes, "/aud", json!(["https://kubernetes.default.svc"]), "subject_token_audience"),
        (&kubernetes, "/aud", json!([AUDIENCE, "https://kubernetes.default.svc"]), "subject_token_audiences"),
        (&kubernetes, "/aud", json!([[AUDIENCE]]), "subject_token_claim"),
        (&github, "/aud", json!("https://github.com/acme"), "subject_token_audience"),
        (&github, "/aud", json!(format!("{AUDIENCE}/")), "subject_token_audience"),
        (&gitlab, "/aud", json!(AUDIENCE.to_uppercase()), "subject_token_audience"),
        (&gitlab, "/aud", json!(null), "subject_token_claim"),
        // A list where a text belongs, a number, another value.
        (&kubernetes, "/sub", json!(["system:serviceaccount:prod:agent"]), "subject_token_claim"),
        (&kubernetes, "/sub", json!("system:serviceaccount:prod:agent-2"), condition),
        (&kubernetes, "/sub", json!("system:serviceaccount:prod-2:agent"), condition),
        (&kubernetes, uid, json!("14ee3fa4-a7e2-420f-9f9a-dbc4507c3799"), condition),
        (&kubernetes, uid, json!(["14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"]), condition),
        (
            &kubernetes,
            "/kubernetes.io",
            json!({ "serviceaccount": [{ "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798" }] }),
            condition,
        ),
        (&github, "/repository_owner_id", json!(["1234"]), condition),
        (&github, "/repository_owner_id", json!(1234), condition),
        (&github, "/repository_owner_id", json!("12345"), condition),
        (&github, "/repository", json!("acme/agents2"), condition),
        (&github, "/repository", json!("evil/acme/agents"), condition),
        (&github, "/ref", json!("refs/heads/a/b"), condition),
        (&github, "/ref", json!("refs/pull/7/merge"), condition),
        (&gitlab, "/project_id", json!("2"), condition),
        (&gitlab, "/project_id", json!(["20"]), condition),
        (&gitlab, "/ref_type", json!("tag"), condition),
        (&gitlab, "/ref_protected", json!(true), condition),
        // Expired, not yet valid, too long, malformed times.
        (&kubernetes, "/exp", later(-61), "subject_token_claim"),
        (&github, "/exp", later(25 * 3600), "subject_token_lifetime"),
        (&github, "/nbf", later(61), "subject_token_not_yet_valid"),
        (&github, "/iat", later(61), "subject_token_not_yet_valid"),
        (&gitlab, "/exp", json!("4102444800"), "subject_token_claim"),
        (&gitlab, "/iat", json!(null), "subject_token_claim"),
        (&gitlab, "/jti", json!(7), "subject_token_claim"),
    ] {
        let alg = if std::ptr::eq(shape, &raw const kubernetes) { "ES256" } else { "RS256" };
        let answer = scene.exchange(&token(alg, &with(shape, pointer, value.clone())), &[]).await;
        let (status, error, _) = Scene::refused(&answer);
        assert_eq!((status, error.as_str()), (400, "invalid_request"), "{pointer} {value} {answer}");
        *expected.entry(reason.to_owned()).or_default() += 1;
    }
    scene.app.clock.advance(Duration::hours(1) + Duration::seconds(60));
    let answer = scene.exchange(&token("ES256", &kubernetes), &[]).await;
    assert_eq!(Scene::refused(&answer).2, "subject_token has expired");
    expected.insert("subject_token_expired".to_owned(), 1);
    assert_eq!(scene.reasons().await, expected);
}

#[tokio::test]
async fn threat_1_no_trick_with_the_header_makes_a_token_fit() {
    let scene = Scene::set().await;
    scene.template(GITHUB, Template::GitHubActions, &[("owner_id", "1234")]).await;
    let claims = github(GITHUB, scene.app.clock.now()).to_string();
    let sound = json!({ "alg": "RS256", "kid": "RS256", "typ": "JWT" });
    let evil = ForeignIssuer::start(&["RS256"]);
    let mut expected = BTreeMap::from([("subject_token_signature".to_owned(), 1)]);
    for (name, value, reason) in [
        ("alg", json!("none"), "subject_token_algorithm"),
        ("alg", json!("HS256"), "subject_token_algorithm"),
        ("alg", json!("ES256"), "subject_token_algorithm"),
        ("alg", json!("rs256"), "subject_token_algorithm"),
        ("kid", json!("ES256"), "subject_token_algorithm"),
        ("kid", json!("../../etc/passwd"), "subject_token_unknown_key"),
        ("kid", json!("' or 1=1 --"), "subject_token_header"),
        ("jku", json!(format!("{}/keys", evil.url())), "subject_token_header"),
        ("x5u", json!(format!("{}/keys", evil.url())), "subject_token_header"),
        ("jwk", json!(token_keys::jwk("RS256")), "subject_token_header"),
        ("x5c", json!([token_keys::certificate()]), "subject_token_header"),
        ("crit", json!(["exp"]), "subject_token_header"),
    ] {
        let mut header = sound.clone();
        header[name] = value.clone();
        let answer = scene.exchange(&token_keys::sign("RS256", &header.to_string(), &claims), &[]).await;
        assert_eq!(Scene::refused(&answer).0, 400, "{name} {value}");
        *expected.entry(reason.to_owned()).or_default() += 1;
    }
    let unsigned = token_keys::sign("no such key", &sound.to_string(), &claims);
    assert_eq!(Scene::refused(&scene.exchange(&unsigned, &[]).await).2, NOT_TRUSTED);
    assert_eq!(evil.asked(), (0, 0), "nothing that a token names is ever asked");
    let answer = scene.exchange(&token_keys::sign("RS256", &sound.to_string(), &claims), &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "the control: {answer}");
    assert_eq!(scene.reasons().await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threat_8_of_parallel_replays_exactly_as_many_win_as_the_rule_allows() {
    let scene = Scene::set().await;
    scene.template(GITHUB, Template::GitHubActions, &[("owner_id", "1234")]).await;
    let given = [("namespace", "prod"), ("service_account", "agent")];
    let keys = KeySource::Fixed(jwks(&["ES256"]));
    let reuse = Reuse::Bounded { uses: 5, per_minute: 600 };
    let pods = Template::Kubernetes.conditions(&given.map(|(n, v)| (n.to_owned(), v.to_owned()))).unwrap();
    scene.trust("https://cluster.example.com", keys, pods, reuse).await;
    let now = scene.app.clock.now();
    let mut no_jti = github(GITHUB, now);
    no_jti.as_object_mut().unwrap().remove("jti");
    for (subject, wins) in [
        (token("RS256", &github(GITHUB, now)), 1),
        (token("RS256", &no_jti), 1),
        (token("ES256", &kubernetes("https://cluster.example.com", now)), 5),
    ] {
        // Whom the database had no time for asks again.
        let exchange = async || {
            for _ in 0..600 {
                let answer = scene.exchange(&subject, &[]).await;
                if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                    return answer;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            panic!("the database has time for nobody")
        };
        let answers = join_all((0..16).map(|_| exchange())).await;
        let won = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(won, wins);
        for lost in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
            assert!(Scene::refused(lost).2.contains("was presented before"), "{lost}");
        }
    }
    // To the second at which it is refused as expired, and however often old rows are forgotten.
    let subject = token("RS256", &github(GITHUB, now));
    scene.app.clock.advance(Duration::hours(6) + Duration::seconds(59));
    scene.app.issuer.forget_old(Duration::days(400)).await.unwrap();
    assert!(Scene::refused(&scene.exchange(&subject, &[]).await).2.contains("was presented before"));
    scene.app.clock.advance(Duration::seconds(1));
    assert!(Scene::refused(&scene.exchange(&subject, &[]).await).2.contains("has expired"));
    let reasons = scene.reasons().await;
    assert_eq!((reasons["subject_token_replayed"], reasons["subject_token_expired"]), (15 + 15 + 11 + 1, 1));
}

#[tokio::test]
async fn threat_24_what_the_token_endpoint_refuses_counts_for_the_team_from_whatever_networks_it_is_asked() {
    let (once, generous) = (Rate::new(1, 1).unwrap(), Options::default().limits);
    // Whether the rate of what is asked for is over, or that of the credential which is shown.
    for limits in [LimitNumbers { team: once, ..generous }, LimitNumbers { credential: once, ..generous }] {
        let scene = Scene::over(App::with(Options { limits, ..Options::default() }).await).await;
        let app = &scene.app;
        let cluster = "https://cluster.example.com";
        scene.template(cluster, Template::Kubernetes, &POD).await;
        let subject_token = token("ES256", &kubernetes(cluster, app.clock.now()));
        let (key, _) = app.agent_key(&scene.agent).await;
        app.mint(&key, &json!({})).await;
        let secret = [("grant_type", "client_credentials"), ("client_id", "agent-1"), ("client_secret", &key)];
        let exchange = [
            ("grant_type", EXCHANGE),
            ("client_id", "agent-1"),
            ("subject_token", &subject_token),
            ("subject_token_type", JWT),
        ];
        // A foreign token is no credential of ours that would have a rate.
        let asked: [&[_]; 2] = [&secret, if limits.team == once { &exchange } else { &secret }];
        for parameters in asked {
            let over = AtomicBool::new(false);
            let endless = async {
                // What the team may hear at once is used up all the while.
                for n in 0_u32.. {
                    let refused = from(request(Method::POST, "/v1/identity-tokens", Some(&key), Body::from("{}")), n);
                    let _ = app.router.clone().oneshot(refused).now_or_never();
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    if n > 400 {
                        tokio::task::yield_now().await;
                    }
                }
            };
            let asking = async {
                let took = join_all((0..8).map(|n| async move {
                    let began = Instant::now();
                    let answer = app.router.clone().oneshot(from(form("/oauth2/token", parameters), n << 16)).await;
                    (answer.unwrap().status(), began.elapsed())
                }));
                let took = took.await;
                over.store(true, Ordering::Relaxed);
                took
            };
            let ((), took) = tokio::join!(endless, asking);
            assert!(took.iter().all(|(status, _)| *status == StatusCode::TOO_MANY_REQUESTS), "{took:?}");
            // One of them may have come as there was room for another.
            assert!(took.iter().filter(|(_, took)| took.as_secs() >= 1).count() >= 4, "{took:?}");
        }
    }
}

#[tokio::test]
async fn an_identity_token_that_is_refused_for_a_rate_is_asked_for_again() {
    let limits = LimitNumbers { team: Rate::new(1, 1).unwrap(), ..Options::default().limits };
    let scene = Scene::over(App::with(Options { limits, ..Options::default() }).await).await;
    let cluster = "https://cluster.example.com";
    scene.template(cluster, Template::Kubernetes, &POD).await;
    let subject_token = token("ES256", &kubernetes(cluster, scene.app.clock.now()));
    // The rate is used up by the access token that the identity token would derive from.
    let wanted = [("requested_token_type", JWT), ("audience", "sts.amazonaws.com")];
    let answer = scene.exchange(&subject_token, &wanted).await;
    let (status, error, _) = Scene::refused(&answer);
    assert_eq!((status, error.as_str()), (429, "temporarily_unavailable"), "{answer}");
    assert!(answer.header("retry-after").is_some(), "{answer}");
}

#[tokio::test]
async fn threat_24_who_fails_too_often_is_turned_away_before_anything_is_judged() {
    let limits = LimitNumbers { failures: Rate::new(1, 3).unwrap(), ..Options::default().limits };
    let scene = Scene::over(App::with(Options { limits, ..Options::default() }).await).await;
    let issuer = ForeignIssuer::start(&["ES256"]);
    let conditions = vec![is("sub", "system:serviceaccount:prod:agent")];
    scene.trust(issuer.url(), KeySource::Discovery, conditions, Reuse::Once).await;
    let sound = token("ES256", &kubernetes(issuer.url(), scene.app.clock.now()));
    for status in [400, 400, 400, 429] {
        assert_eq!(Scene::refused(&scene.exchange("no.token.at-all", &[]).await).0, status);
    }
    // From now on not even whether it is a token is looked at, and nobody is asked for keys.
    let answer = scene.exchange(&sound, &[]).await;
    assert_eq!((Scene::refused(&answer).0, answer.header("retry-after").is_some()), (429, true));
    assert_eq!(issuer.asked(), (0, 0));
    let assertion = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", "no.token.at-all"),
    ];
    for _ in 0..2 {
        assert_eq!(Scene::refused(&scene.app.send(form("/oauth2/token", &assertion)).await).0, 429);
    }
    let expected = BTreeMap::from([("subject_token_malformed".to_owned(), 4), ("rate_limited".to_owned(), 3)]);
    assert_eq!(scene.reasons().await, expected);
}

#[tokio::test]
async fn threat_24_a_rule_that_allows_reuse_has_a_rate() {
    let scene = Scene::set().await;
    let keys = KeySource::Fixed(jwks(&["RS256"]));
    scene.trust(GITLAB, keys, vec![is("project_id", "20")], Reuse::Bounded { uses: 100, per_minute: 3 }).await;
    let claims = gitlab(GITLAB, scene.app.clock.now());
    let mut statuses = Vec::new();
    for jti in ["a", "a", "b", "c", "a"] {
        let answer = scene.exchange(&token("RS256", &with(&claims, "/jti", json!(jti))), &[]).await;
        statuses.push(answer.status.as_u16());
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&seconds));
        }
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    scene.app.clock.advance(Duration::minutes(1));
    let answer = scene.exchange(&token("RS256", &claims), &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "what was limited did not count as presented: {answer}");
}

#[tokio::test]
async fn threat_23_what_was_got_under_a_rule_ends_with_it() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let rule = scene.template(GITHUB, Template::GitHubActions, &[("owner_id", "1234")]).await;
    let mut number = 0;
    let mut fresh = || {
        number += 1;
        token("RS256", &with(&github(GITHUB, app.clock.now()), "/jti", json!(format!("{number}"))))
    };
    let dead = async |access: &str, why: &str| {
        app.issuer.forget();
        let answer = app.mint(access, &json!({})).await;
        assert!(!answer.status.is_success(), "{why}: {answer}");
        assert!(app.refusals(Action::Authenticate).await.iter().any(|reason| reason == why), "{why}");
    };
    let now = || Some(app.clock.now());

    // Off, and on again: the same token lives again, since the rule has not changed.
    let access = scene.access_token(&fresh()).await;
    for (disabled_at, alive) in [(now(), false), (None, true)] {
        let change = TrustRuleChange { disabled_at: Some(disabled_at), ..TrustRuleChange::default() };
        app.store.update_trust_rule(&scene.agent, rule.id, None, &change, &app.event()).await.unwrap();
        if alive {
            app.issuer.forget();
            assert_eq!(app.mint(&access, &json!({})).await.status, StatusCode::OK);
        } else {
            dead(&access, "trust_rule_disabled").await;
            assert_eq!(Scene::refused(&scene.exchange(&fresh(), &[]).await).2, NOT_TRUSTED);
        }
    }
    // Another name changes nothing, another condition ends it.
    let rename = TrustRuleChange { name: Some("b".to_owned()), rule: Some(rule.rule.clone()), disabled_at: None };
    app.store.update_trust_rule(&scene.agent, rule.id, None, &rename, &app.event()).await.unwrap();
    app.issuer.forget();
    assert_eq!(app.mint(&access, &json!({})).await.status, StatusCode::OK);
    let conditions = vec![is("repository_owner_id", "1234"), is("ref", "refs/heads/main")];
    let (issuer, audience) = (rule.rule.issuer().clone(), rule.rule.audience().clone());
    let narrower = TrustRule::new(issuer, audience, rule.rule.keys().clone(), conditions, Reuse::Once).unwrap();
    let change = TrustRuleChange { rule: Some(narrower), ..TrustRuleChange::default() };
    app.store.update_trust_rule(&scene.agent, rule.id, None, &change, &app.event()).await.unwrap();
    dead(&access, "credential_revoked").await;

    let access = scene.access_token(&fresh()).await;
    let off = TeamChange { disabled_at: Some(now()), ..TeamChange::default() };
    app.store.update_team(&scene.team, None, &off, &app.event()).await.unwrap();
    dead(&access, "team_disabled").await;
    assert_eq!(Scene::refused(&scene.exchange(&fresh(), &[]).await).2, NOT_TRUSTED);
    let on = TeamChange { disabled_at: Some(None), ..TeamChange::default() };
    app.store.update_team(&scene.team, None, &on, &app.event()).await.unwrap();

    app.store.delete_trust_rule(&scene.agent, rule.id, None, &app.event()).await.unwrap();
    dead(&access, "credential_revoked").await;
    assert_eq!(Scene::refused(&scene.exchange(&fresh(), &[]).await).2, NOT_TRUSTED);
    assert_eq!(app.store.trust_rule(&scene.agent, rule.id).await.unwrap(), None);
}

#[tokio::test]
async fn threat_23_what_was_judged_by_an_older_rule_is_not_issued_after_its_change() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let rule = scene.template(GITHUB, Template::GitHubActions, &[("owner_id", "1234")]).await;
    // What an exchange has in hand between its judgement and the token.
    let issue = async |version: i64| {
        let from = DerivesFrom::TrustRule { id: rule.id, version };
        let (uid, team) = (scene.agent.clone(), scene.team.clone());
        let client = Client { uid, team, from, until: None, shown: Some("iss=x sub=y".to_owned()) };
        app.issuer.issue_access_token(&client, &Origin::default()).await
    };
    let refused = async |version: i64, why: &str| {
        let issued = issue(version).await;
        let not_trusted = matches!(issued, Err(OAuthError::SubjectToken(SubjectTokenRefused::NotTrusted)));
        assert!(not_trusted, "{why}: {issued:?}");
    };
    let change = async |change: TrustRuleChange| {
        app.store.update_trust_rule(&scene.agent, rule.id, None, &change, &app.event()).await.unwrap().version
    };
    let access = issue(1).await.unwrap().token;

    let conditions = vec![is("repository_owner_id", "1234"), is("ref", "refs/heads/main")];
    let (issuer, audience) = (rule.rule.issuer().clone(), rule.rule.audience().clone());
    let narrower = TrustRule::new(issuer, audience, rule.rule.keys().clone(), conditions, Reuse::Once).unwrap();
    let version = change(TrustRuleChange { rule: Some(narrower), ..TrustRuleChange::default() }).await;
    refused(1, "another condition").await;
    assert!(issue(version).await.is_ok(), "the control: judged by what the rule says now");
    let off = change(TrustRuleChange { disabled_at: Some(Some(app.clock.now())), ..TrustRuleChange::default() }).await;
    refused(version, "off").await;
    refused(off, "off, whatever the version").await;
    let on = change(TrustRuleChange { disabled_at: Some(None), ..TrustRuleChange::default() }).await;
    refused(version, "off and on again").await;
    assert!(issue(on).await.is_ok());
    app.store.delete_trust_rule(&scene.agent, rule.id, None, &app.event()).await.unwrap();
    for version in [on, on + 1] {
        refused(version, "deleted").await;
    }

    app.issuer.forget();
    assert!(!app.mint(access.expose(), &json!({})).await.status.is_success(), "what was there is revoked");
    assert_eq!(scene.reasons().await, BTreeMap::from([("subject_token_not_trusted".to_owned(), 6)]));
    let rows = app.rows(Action::AccessTokenIssue).await;
    let target = format!("trust_rule:{} iss=x sub=y", rule.id);
    for row in rows.iter().filter(|row| row.decision == Decision::Refused) {
        assert_eq!((row.team.as_ref(), row.target.as_deref()), (Some(&scene.team), Some(&*target)));
        assert_eq!(row.credential, None, "no token was made");
    }
}

#[tokio::test]
async fn threat_8_keys_that_a_rule_holds_use_up_no_token_under_another_rule() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let given = [("owner_id".to_owned(), "1234".to_owned())];
    let conditions = || Template::GitHubActions.conditions(&given).unwrap();
    let rule = scene.trust(GITHUB, KeySource::Fixed(jwks(&["RS256"])), conditions(), Reuse::Once).await;
    // Another team may write any keys into a rule about the same issuer, and sign any jti with them.
    let stranger = app.agent(&app.team("team-2").await, "agent-2").await;
    let (issuer, audience) = (rule.rule.issuer().clone(), rule.rule.audience().clone());
    let keys = KeySource::Fixed(jwks(&["ES256"]));
    let theirs = TrustRuleRecord {
        id: TrustRuleId::new(app.entropy.uuid_v7(app.clock.now())),
        service_account: stranger,
        rule: TrustRule::new(issuer, audience, keys, conditions(), Reuse::Once).unwrap(),
        ..rule
    };
    app.store.create_trust_rule(&theirs, &app.event(), None).await.unwrap();
    let claims = github(GITHUB, app.clock.now());
    for (client, alg) in [("agent-2", "ES256"), ("agent-1", "RS256")] {
        let subject = token(alg, &claims);
        let answer = scene.exchange_as(client, &subject, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{client}: {answer}");
        let again = scene.exchange_as(client, &subject, &[]).await;
        assert!(Scene::refused(&again).2.contains("was presented before"), "{client}: {again}");
    }
}

/// What tells an issuer whose keys are written into rules is its key: a token counts once wherever that is trusted.
#[tokio::test]
async fn threat_8_a_token_counts_once_for_all_rules_that_trust_its_key() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let issuer = ForeignIssuer::start(&["ES256"]);
    let pods = || vec![is("sub", "system:serviceaccount:prod:agent")];
    let fixed = || KeySource::Fixed(jwks(&["RS256", "ES256"]));
    scene.trust(issuer.url(), fixed(), pods(), Reuse::Once).await;
    // Other rules under the same keys: of the same agent, of another one, of another team, and by discovery.
    scene.trust(issuer.url(), fixed(), pods(), Reuse::Once).await;
    let second = app.agent(&scene.team, "agent-2").await;
    let other = app.agent(&app.team("team-2").await, "agent-3").await;
    let by_discovery = app.agent(&app.team("team-3").await, "agent-4").await;
    for (account, keys) in [(second, fixed()), (other, fixed()), (by_discovery, KeySource::Discovery)] {
        let rule = TrustRule::new(
            IssuerText::parse(issuer.url(), Development::On).unwrap(),
            Audience::parse(AUDIENCE).unwrap(),
            keys,
            pods(),
            Reuse::Once,
        );
        let now = app.clock.now();
        let record = TrustRuleRecord {
            id: TrustRuleId::new(app.entropy.uuid_v7(now)),
            service_account: account,
            name: "a rule".to_owned(),
            rule: rule.unwrap(),
            version: 1,
            created_at: now,
            updated_at: now,
            last_used_at: None,
            disabled_at: None,
        };
        app.store.create_trust_rule(&record, &app.event(), None).await.unwrap();
    }
    let clients = ["agent-1", "agent-2", "agent-3", "agent-4"];
    for (n, first) in clients.into_iter().enumerate() {
        let mut claims = kubernetes(issuer.url(), app.clock.now());
        claims["jti"] = json!(format!("token-{n}"));
        let subject = token("ES256", &claims);
        let answer = scene.exchange_as(first, &subject, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{first}: {answer}");
        for again in clients {
            let answer = scene.exchange_as(again, &subject, &[]).await;
            assert!(Scene::refused(&answer).2.contains("was presented before"), "{first}, then {again}: {answer}");
        }
    }
}

#[tokio::test]
async fn threat_20_a_rule_speaks_for_its_own_service_account_alone() {
    let scene = Scene::set().await;
    let app = &scene.app;
    app.agent(&scene.team, "agent-2").await;
    let other = app.team("team-2").await;
    app.agent(&other, "agent-3").await;
    scene.template(GITHUB, Template::GitHubActions, &[("owner_id", "1234")]).await;
    let subject = token("RS256", &github(GITHUB, app.clock.now()));
    for client in ["agent-2", "agent-3", "nobody", "AGENT-1", "agent-1 ", "../agent-1", "service_account:agent-1"] {
        let answer = scene.exchange_as(client, &subject, &[]).await;
        let refused = (400, "invalid_request".to_owned(), NOT_TRUSTED.to_owned());
        assert_eq!(Scene::refused(&answer), refused, "{client}: nothing tells whether it exists");
    }
    assert_eq!(scene.exchange(&subject, &[]).await.status, StatusCode::OK, "strangers have not used it up");
}

#[tokio::test]
async fn threat_14_a_token_of_our_own_is_never_a_subject_token() {
    let scene = Scene::set().await;
    let app = &scene.app;
    app.policy(&scene.team, |policy| {
        let audience = Audience::parse(AUDIENCE).unwrap();
        policy.audiences.push(brevet::domain::team::AudienceRule { audience, lifetime_cap: None });
    })
    .await;
    let (key, _) = app.agent_key(&scene.agent).await;
    let own = app.token(&key, AUDIENCE).await;
    let keys = app.get("/.well-known/jwks.json", None).await;
    let keys = KeySource::Fixed(String::from_utf8(keys.body).unwrap());
    let sub = "scoped_principal:team-1/service_account:agent-1";
    for issuer in ["https://id.example.com/brevet", "https://id.example.com/brevet/t/team-1"] {
        // As if a rule about ourselves had come into the store.
        scene.trust(issuer, keys.clone(), vec![is("sub", sub)], Reuse::Once).await;
    }
    let answer = scene.exchange(&own, &[]).await;
    assert_eq!(Scene::refused(&answer).2, "subject_token must not be a token of this issuer");
    let private = json!({ "iss": "https://id.example.com/brevet/t/team-1", "sub": sub });
    let answer = scene.exchange(&token("RS256", &private), &[]).await;
    assert_eq!(Scene::refused(&answer).2, "subject_token must not be a token of this issuer");
    for neighbour in ["https://id.example.com/brevet2", "https://id.example.com"] {
        let answer = scene.exchange(&token("RS256", &json!({ "iss": neighbour, "sub": sub })), &[]).await;
        assert_eq!(Scene::refused(&answer).2, NOT_TRUSTED, "{neighbour} is not ours");
    }
    for credential in [&key, "bvt_at_x.y.z", "not a token"] {
        let (status, _, words) = Scene::refused(&scene.exchange(credential, &[]).await);
        assert_eq!(status, 400);
        assert!(words.starts_with("subject_token must be a signed JWT") || words.starts_with("subject_token header"));
        assert!(!words.contains(credential));
    }
    let reasons = scene.reasons().await;
    assert_eq!((reasons["subject_token_own_issuer"], reasons["subject_token_not_trusted"]), (2, 2));
}

#[tokio::test]
async fn another_brevet_can_be_the_issuer() {
    let url = IssuerUrl::parse("https://other.example.com", Development::Off).unwrap();
    let options = Options { own_keys: true, ..Options::default() };
    let there = Scene::over(App::at(url, options).await).await;
    there
        .app
        .policy(&there.team, |policy| {
            let audience = Audience::parse(AUDIENCE).unwrap();
            policy.audiences.push(brevet::domain::team::AudienceRule { audience, lifetime_cap: None });
        })
        .await;
    let key = there.app.agent_key(&there.agent).await.0;
    let mint = async |audience: &str| {
        let request = crate::support::app::request(
            http::Method::POST,
            "/v1/identity-tokens",
            Some(&key),
            axum::body::Body::from(json!({ "audience": audience }).to_string()),
        );
        // Its URL has no path, unlike that of other tests.
        let (mut parts, body) = request.into_parts();
        parts.uri = "/v1/identity-tokens".parse().unwrap();
        let answer = there.app.send(http::Request::from_parts(parts, body)).await;
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let here = Scene::set().await;
    let (jwks, _) = {
        let request = http::Request::get("/.well-known/jwks.json").body(axum::body::Body::empty()).unwrap();
        let answer = there.app.send(request).await;
        (String::from_utf8(answer.body).unwrap(), answer.status)
    };
    let given = [("subject".to_owned(), "scoped_principal:team-1/service_account:agent-1".to_owned())];
    let conditions = Template::Brevet.conditions(&given).unwrap();
    here.trust("https://other.example.com", KeySource::Fixed(jwks), conditions, Template::Brevet.reuse()).await;
    let foreign = mint(AUDIENCE).await;
    let access = here.access_token(&foreign).await;
    let minted = here.app.mint(&access, &json!({})).await;
    assert_eq!(minted.json()["issuer"], "https://id.example.com/brevet", "{minted}");
    assert_eq!(Scene::refused(&here.exchange(&foreign, &[]).await).0, 400, "a replay");
    let elsewhere = mint("sts.amazonaws.com").await;
    assert_eq!(Scene::refused(&here.exchange(&elsewhere, &[]).await).2, NOT_TRUSTED, "for STS, not for us");
}

#[tokio::test]
async fn a_request_that_is_not_whole_says_what_is_missing() {
    let scene = Scene::set().await;
    let whole =
        [("grant_type", EXCHANGE), ("client_id", "agent-1"), ("subject_token", "x"), ("subject_token_type", JWT)];
    for (missing, words) in [
        ("client_id", "client_id must name the service account"),
        ("subject_token", "subject_token is required"),
        ("subject_token_type", "subject_token_type is required"),
    ] {
        let parameters: Vec<_> = whole.into_iter().filter(|(name, _)| *name != missing).collect();
        let (status, error, description) = Scene::refused(&scene.app.send(form("/oauth2/token", &parameters)).await);
        assert_eq!((status, error.as_str()), (400, "invalid_request"));
        assert!(description.starts_with(words), "{description}");
    }
    for (more, error) in [
        (("actor_token", "x"), "invalid_request"),
        (("client_secret", "x"), "invalid_request"),
        (("audience", "x"), "invalid_target"),
        (("scope", "x"), "invalid_scope"),
        (("requested_token_type", "x"), "invalid_request"),
    ] {
        let parameters = [&whole[..], &[more]].concat();
        assert_eq!(Scene::refused(&scene.app.send(form("/oauth2/token", &parameters)).await).1, error, "{more:?}");
    }
    let jwt = ("requested_token_type", JWT);
    let twice = [&whole[..], &[jwt, ("audience", "a"), ("audience", "b")]].concat();
    let (_, error, words) = Scene::refused(&scene.app.send(form("/oauth2/token", &twice)).await);
    assert_eq!((error.as_str(), words.as_str()), ("invalid_request", "audience must stand only once"));
}

#[tokio::test]
async fn threat_41_strangers_tokens_are_counted_and_few_rows_tell_of_those_that_hold() {
    // Room for one more row comes back in a minute, not in six seconds: none while the test runs.
    let limits = LimitNumbers { failures: Rate::new(1, 200).unwrap(), ..Options::default().limits };
    let scene = Scene::over(App::with(Options { limits, ..Options::default() }).await).await;
    let app = &scene.app;
    scene.template(GITHUB, Template::GitHubActions, &[("owner_id", "1234")]).await;
    let mut stranger = github(GITHUB, app.clock.now());
    stranger["repository_owner_id"] = json!("666");
    stranger["sub"] = json!("repo:evil/\u{7}bell");
    for _ in 0..30 {
        scene.exchange(&token("RS256", &stranger), &[]).await;
    }
    app.issuer.audit().drain().await;
    let rows = app.rows(Action::AccessTokenIssue).await;
    let (told, counted): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.team.is_some());
    assert_eq!((told.len(), counted.len(), counted[0].count), (10, 1, 20));
    assert!(told[0].target.as_deref().unwrap().ends_with("sub=repo:evil/\u{fffd}bell"), "{told:?}");
    assert_eq!(counted[0].target, None);
    let whole = format!("{rows:?}");
    assert!(!whole.contains("eyJ"), "no token is in any row");
}
