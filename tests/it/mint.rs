//! The mint through every layer: who gets which token, what is refused, and what stands in the audit rows.

use std::collections::HashSet;
use std::time::Instant;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brevet::config::host::SystemClock;
use brevet::domain::audience::Audience;
use brevet::domain::audit::{Action, Decision, Origin};
use brevet::domain::clock::Clock;
use brevet::domain::credential::SecretHash;
use brevet::domain::id::TeamUid;
use brevet::domain::lifetime::Lifetime;
use brevet::domain::principal::ActorType;
use brevet::domain::role_arn::RoleArn;
use brevet::domain::secret::Secret;
use brevet::domain::settings::ProviderLayer;
use brevet::domain::team::{AudienceRule, RoleRule, RolesClaim, WhoMay};
use brevet::http::layer::client_address::ClientAddress;
use brevet::issuer::limits::LimitNumbers;
use brevet::issuer::refusals::AuthError;
use brevet::limit::rate::Rate;
use brevet::store::{ServiceAccountChange, Target, TeamChange, UserChange};
use futures_util::future::join_all;
use futures_util::{FutureExt as _, poll};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use time::Duration;
use tower::ServiceExt as _;

use crate::support::app::{App, Options, layer, request};
use crate::support::logs::Logs;
use crate::support::postgres;

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn agent(app: &App) -> (TeamUid, String) {
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    (team, key)
}

#[tokio::test]
async fn an_agents_token_is_the_same_to_the_byte_every_time() {
    let app = App::start().await;
    let (_, key) = agent(&app).await;
    let answer = app.mint(&key, &json!({})).await;
    insta::assert_snapshot!("agent", answer.to_string());
    insta::assert_json_snapshot!("agent_claims", claims(answer.json()["token"].as_str().unwrap()));
    let row = app.rows(Action::TokenMint).await.remove(0);
    insta::assert_debug_snapshot!("agent_row", row);
}

#[tokio::test]
async fn threat_5_a_token_verifies_under_the_published_keys_for_its_one_audience() {
    let app = App::start().await;
    let (_, key) = agent(&app).await;
    let token = app.token(&key, "sts.amazonaws.com").await;
    assert!(claims(&token)["aud"].is_string() && claims(&token).get("azp").is_none());
    let snapshot = app.issuer.keys().snapshot();
    let verify = |audience: &str| {
        snapshot.verifier().verify(&Secret::new(token.clone()), &Audience::parse(audience).unwrap(), app.clock.now())
    };
    assert_eq!(
        verify("sts.amazonaws.com").unwrap().subject().to_string(),
        "scoped_principal:team-1/service_account:agent-1"
    );
    assert!(verify("sts.amazonaws.com.cn").is_err());
}

#[tokio::test]
async fn no_token_leaves_without_its_committed_row() {
    let app = App::start().await;
    let (_, key) = agent(&app).await;
    let answer = app.mint(&key, &json!({ "lifetime_seconds": 60 })).await.json();
    let token = answer["token"].as_str().unwrap();
    let rows = app.rows(Action::TokenMint).await;
    let facts = rows[0].token.as_ref().unwrap();
    let (input, _) = token.rsplit_once('.').unwrap();
    assert_eq!(facts.signing_input_sha256, SecretHash::of(input).to_hex());
    assert_eq!(json!(facts.token_id), answer["token_id"]);
    assert_eq!(facts.lifetime_seconds, 60);
    assert_eq!(rows[0].origin.address.map(|address| address.to_string()).as_deref(), Some("192.0.2.7"));
    assert_eq!(rows[0].origin.user_agent.as_deref(), Some("test/1"));

    // The writer gone: no row can be written, so that no token can leave.
    app.issuer.audit().drain().await;
    let refused = app.mint(&key, &json!({})).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    assert!(refused.json().get("token").is_none());
    assert_eq!(app.rows(Action::TokenMint).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_parallel_mints_commit_a_hundred_rows() {
    // However busy the machine is, none is told to come back.
    let limits = LimitNumbers { patience: std::time::Duration::from_hours(1), ..Options::default().limits };
    let app = std::sync::Arc::new(App::with(Options { limits, ..Options::default() }).await);
    let (_, key) = agent(&app).await;
    let mints = (0..100).map(|_| {
        let (app, key) = (app.clone(), key.clone());
        tokio::spawn(async move { app.token(&key, "sts.amazonaws.com").await })
    });
    let mut ids = HashSet::new();
    for mint in mints.collect::<Vec<_>>() {
        ids.insert(claims(&mint.await.unwrap())["jti"].as_str().unwrap().to_owned());
    }
    let rows = app.rows(Action::TokenMint).await;
    let committed: HashSet<_> = rows.iter().map(|row| row.token.as_ref().unwrap().token_id.clone()).collect();
    assert_eq!((ids.len(), rows.len()), (100, 100));
    assert_eq!(committed, ids);
    // Batches form while the one before commits.
    assert!(app.issuer.audit().stats().batches < 100 + 20, "{:?}", app.issuer.audit().stats());
}

#[tokio::test]
async fn threat_42_off_means_off_for_mints_that_wait_for_their_turn_to_sign() {
    let limits = LimitNumbers { patience: std::time::Duration::from_hours(1), ..Options::default().limits };
    let app = App::with(Options { limits, ..Options::default() }).await;
    let team = app.team("team-1").await;
    let account = app.agent(&team, "agent-1").await;
    let (key, _) = app.agent_key(&account).await;
    // Remembered from here on: those that follow are decided on without a wait.
    app.token(&key, "sts.amazonaws.com").await;
    let body = json!({});
    let mut mints = Box::pin(join_all((0..12).map(|_| app.mint(&key, &body))));
    assert!(poll!(mints.as_mut()).is_pending());
    let stats = app.issuer.audit().stats();
    assert_eq!((stats.queued, stats.committed), (0, 1), "a row stands before its mint can be signed");
    let change = ServiceAccountChange { disabled_at: Some(Some(app.clock.now())), ..ServiceAccountChange::default() };
    app.store.update_service_account(&account, None, &change, &app.event()).await.unwrap();
    for answer in mints.await {
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::FORBIDDEN, "principal_disabled".to_owned()),
            "{answer}"
        );
    }
    let rows = app.rows(Action::TokenMint).await;
    assert_eq!(rows.iter().filter(|row| row.decision == Decision::Allowed).count(), 1);
}

#[tokio::test]
async fn threat_20_only_the_diagonal_of_callers_and_subjects_is_minted() {
    let app = App::start().await;
    let (one, two) = (app.team("team-1").await, app.team("team-2").await);
    let mut callers = Vec::new();
    for (team, uid) in [(&one, "agent-1"), (&one, "agent-2"), (&two, "agent-3")] {
        let key = app.agent_key(&app.agent(team, uid).await).await.0;
        callers.push((key, team.clone(), format!("service_account:{uid}")));
    }
    for (team, uid) in [(&one, "person-1"), (&two, "person-2")] {
        let token = app.sign_in(&app.person(uid, &[team]).await).await;
        callers.push((token, team.clone(), format!("user:{uid}")));
    }
    for (bearer, team, principal) in &callers {
        for chosen in [&one, &two] {
            let answer = app.mint(bearer, &json!({ "team_uid": chosen.as_str() })).await;
            if chosen == team {
                let subject = format!("scoped_principal:{team}/{principal}");
                assert_eq!(claims(answer.json()["token"].as_str().unwrap())["sub"], json!(subject));
            } else {
                assert_eq!((answer.status, answer.code().as_str()), (StatusCode::NOT_FOUND, "team_not_found"));
            }
        }
        // The body has no member that could name somebody else.
        for member in ["sub", "subject", "principal", "user_uid", "service_account", "run_id", "act"] {
            let answer = app.mint(bearer, &json!({ member: "user:person-1" })).await;
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "invalid_request"));
        }
        // But one, which is a platform's alone.
        let answer = app.mint(bearer, &json!({ "on_behalf_of": "user:person-1" })).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "not_permitted"));
    }
}

#[tokio::test]
async fn threat_21_credentials_of_other_kinds_mint_nothing_and_the_try_is_a_row() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let administrator = app.administrator().await;
    let (worker, _) = app.worker("https://worker.example.com", &[&team]).await;
    let person = app.person("person-1", &[&team]).await;
    let code = app.code(&person).await;
    for (bearer, status, code) in [
        (&administrator, StatusCode::FORBIDDEN, "not_permitted"),
        (&worker, StatusCode::FORBIDDEN, "not_permitted"),
        (&code, StatusCode::UNAUTHORIZED, "invalid_credential"),
    ] {
        let answer = app.mint(bearer, &json!({})).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer}");
    }
    assert_eq!(app.refusals(Action::Authenticate).await, ["not_permitted", "not_permitted"]);
    // An identity token is no credential: it opens nothing here.
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let token = app.token(&key, "sts.amazonaws.com").await;
    assert_eq!(app.mint(&token, &json!({})).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_person_in_several_teams_must_choose_and_sees_which() {
    let app = App::start().await;
    let (one, two) = (app.team("team-1").await, app.team("team-2").await);
    let person = app.person("person-1", &[&one]).await;
    let bearer = app.sign_in(&person).await;
    let only = app.mint(&bearer, &json!({})).await.json();
    assert_eq!(only["subject"], json!("scoped_principal:team-1/user:person-1"));
    app.join(&person, &two).await;
    app.issuer.forget();
    let several = app.mint(&bearer, &json!({})).await;
    insta::assert_snapshot!("team_required", several.to_string());
    let chosen = app.mint(&bearer, &json!({ "team_uid": "team-2" })).await.json();
    assert_eq!(chosen["subject"], json!("scoped_principal:team-2/user:person-1"));
    let nobody = app.person("person-2", &[]).await;
    let answer = app.mint(&app.sign_in(&nobody).await, &json!({})).await;
    assert_eq!(
        (answer.status, answer.json()["detail"].as_str()),
        (StatusCode::BAD_REQUEST, Some("team_uid is required: the person is in no team"))
    );
    assert_eq!(app.refusals(Action::TokenMint).await, ["team_required", "team_required"]);
}

#[tokio::test]
async fn threat_38_a_team_that_takes_no_enrolment_codes_mints_nothing_for_their_sessions() {
    let app = App::start().await;
    let (open, closed) = (app.team("team-1").await, app.team("team-2").await);
    app.policy(&closed, |policy| policy.enrolment_codes = false).await;
    let bearer = app.sign_in(&app.person("person-1", &[&open, &closed]).await).await;
    assert_eq!(app.mint(&bearer, &json!({ "team_uid": "team-1" })).await.status, StatusCode::OK);
    let refused = app.mint(&bearer, &json!({ "team_uid": "team-2" })).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "sign_in_not_accepted"));
    let (key, _) = app.agent_key(&app.agent(&closed, "agent-1").await).await;
    assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK, "agents sign in otherwise");
    let whoami = app.get("/v1/whoami", Some(&bearer)).await.json();
    assert_eq!(whoami["teams"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn threat_39_the_role_comes_from_settings_or_policy_and_the_caller_neither_widens_nor_drops_it() {
    let app = App::start().await;
    let (team, key) = agent(&app).await;
    let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
    let roles = |answer: &Value| claims(answer["token"].as_str().unwrap()).get("https://aws.amazon.com/roles").cloned();
    let own = app.mint(&key, &json!({})).await.json();
    assert_eq!(roles(&own), Some(json!([role("bedrock")])));
    assert_eq!(
        roles(&app.mint(&key, &json!({ "role_arn": role("bedrock") })).await.json()),
        Some(json!([role("bedrock")]))
    );
    for (body, status, code) in [
        (json!({ "role_arn": role("admin") }), StatusCode::FORBIDDEN, "role_not_allowed"),
        (json!({ "role_arn": "arn:aws:iam::111122223333:role/*" }), StatusCode::BAD_REQUEST, "invalid_request"),
        (json!({ "role_arn": "admin" }), StatusCode::BAD_REQUEST, "invalid_request"),
        (json!({ "role_arn": "" }), StatusCode::BAD_REQUEST, "invalid_request"),
        (json!({ "role_arn": [role("bedrock"), role("admin")] }), StatusCode::BAD_REQUEST, "invalid_request"),
        (json!({ "roles": [role("admin")] }), StatusCode::BAD_REQUEST, "invalid_request"),
    ] {
        let answer = app.mint(&key, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    }
    let rule = RoleRule {
        role: RoleArn::parse(&role("admin")).unwrap(),
        principals: WhoMay::Actor(ActorType::ServiceAccount),
    };
    app.policy(&team, |policy| policy.roles.push(rule)).await;
    assert_eq!(
        roles(&app.mint(&key, &json!({ "role_arn": role("admin") })).await.json()),
        Some(json!([role("admin")]))
    );
    app.policy(&team, |policy| policy.roles_claim = RolesClaim::Off).await;
    assert_eq!(roles(&app.mint(&key, &json!({})).await.json()), None);
    app.policy(&team, |policy| policy.roles_claim = RolesClaim::Required).await;
    app.settings(&team, None, ProviderLayer { disabled: true, ..layer("bedrock") }).await;
    assert_eq!(app.mint(&key, &json!({})).await.code(), "provider_disabled");
    app.settings(&team, None, ProviderLayer::default()).await;
    assert_eq!(app.mint(&key, &json!({})).await.code(), "role_required");
}

#[tokio::test]
async fn clumsy_and_hostile_requests_get_an_exact_answer_and_no_token() {
    let app = App::start().await;
    let (team, key) = agent(&app).await;
    let capped =
        AudienceRule { audience: Audience::parse("vault").unwrap(), lifetime_cap: Some(Lifetime::new(120).unwrap()) };
    app.policy(&team, |policy| policy.audiences.push(capped)).await;
    let long = "a".repeat(256);
    for (body, code, detail) in [
        (json!({ "lifetime_seconds": 59 }), "invalid_request", "lifetime_seconds must be 60 to 3600 seconds"),
        (json!({ "lifetime_seconds": 3601 }), "invalid_request", "lifetime_seconds must be 60 to 3600 seconds"),
        (
            json!({ "lifetime_seconds": 300.5 }),
            "invalid_request",
            "lifetime_seconds must be a whole number that is not negative and not too large",
        ),
        (
            json!({ "lifetime_seconds": -1 }),
            "invalid_request",
            "lifetime_seconds must be a whole number that is not negative and not too large",
        ),
        (
            json!({ "audience": "" }),
            "invalid_request",
            "audience must have 1 to 255 printable ASCII characters, without spaces, quotes, commas or backslashes",
        ),
        (
            json!({ "audience": long }),
            "invalid_request",
            "audience must have 1 to 255 printable ASCII characters, without spaces, quotes, commas or backslashes",
        ),
        (json!({ "audience": ["sts.amazonaws.com"] }), "invalid_request", "audience must be a string"),
        (json!({ "audience": "STS.amazonaws.com" }), "audience_not_allowed", "audience is not on the team's list"),
        (
            json!({ "audience": "https://id.example.com/brevet" }),
            "audience_reserved",
            "audience must not be the issuer's own URL",
        ),
        (
            json!({ "audience": "vault", "role_arn": "arn:aws:iam::111122223333:role/bedrock" }),
            "role_not_applicable",
            "role_arn goes only with an audience of AWS STS",
        ),
        (
            json!({ "team_uid": "a b" }),
            "invalid_request",
            "team_uid may contain only ASCII letters, digits, '_' and '-'",
        ),
        (json!({ "team_uid": "no-such-team" }), "team_not_found", "team_uid names no team of this principal"),
        (
            json!({ "team_uid": "x", "audience": "a b" }),
            "invalid_request",
            "audience must have 1 to 255 printable ASCII characters, without spaces, quotes, commas or backslashes; team_uid must have 2 to 48 characters",
        ),
    ] {
        let answer = app.mint(&key, &body).await;
        assert_eq!((answer.code().as_str(), answer.json()["detail"].as_str().unwrap()), (code, detail), "{body}");
        assert!(answer.json().get("token").is_none());
    }
    let minted = app.mint(&key, &json!({ "audience": "vault", "lifetime_seconds": 3600 })).await.json();
    let token = claims(minted["token"].as_str().unwrap());
    assert_eq!(token["exp"].as_i64().unwrap() - token["iat"].as_i64().unwrap(), 120, "the cap shortens");
    assert_eq!(minted["expires_at"], json!("2026-01-02T03:06:05Z"));
    assert_eq!(app.rows(Action::TokenMint).await.iter().filter(|row| row.decision == Decision::Allowed).count(), 1);
}

#[tokio::test]
async fn threat_23_whatever_is_switched_off_mints_no_more_even_where_it_is_remembered() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let account = app.agent(&team, "agent-1").await;
    let person = app.person("person-1", &[&team]).await;
    let (key, id) = app.agent_key(&account).await;
    let bearer = app.sign_in(&person).await;
    // No word to `forget`: another replica made these changes, and this one remembers both callers.
    let remembered = async || {
        for caller in [&key, &bearer] {
            assert_eq!(app.mint(caller, &json!({})).await.status, StatusCode::OK);
        }
    };
    let said = async |caller: &str| {
        let answer = app.mint(caller, &json!({})).await;
        (answer.status.as_u16(), answer.code())
    };
    let off = Some(Some(app.clock.now()));
    let on = Some(None);

    remembered().await;
    let disable = |disabled_at| TeamChange { disabled_at, ..TeamChange::default() };
    app.store.update_team(&team, None, &disable(off), &app.event()).await.unwrap();
    for caller in [&key, &bearer] {
        assert_eq!(said(caller).await, (403, "team_disabled".to_owned()));
    }
    app.store.update_team(&team, None, &disable(on), &app.event()).await.unwrap();

    remembered().await;
    let change = ServiceAccountChange { disabled_at: off, ..ServiceAccountChange::default() };
    app.store.update_service_account(&account, None, &change, &app.event()).await.unwrap();
    assert_eq!(said(&key).await, (403, "principal_disabled".to_owned()));
    let change = ServiceAccountChange { disabled_at: on, ..ServiceAccountChange::default() };
    app.store.update_service_account(&account, None, &change, &app.event()).await.unwrap();

    remembered().await;
    let change = UserChange { disabled_at: off, ..UserChange::default() };
    app.store.update_user(&person, None, &change, &app.event()).await.unwrap();
    assert_eq!(said(&bearer).await, (403, "principal_disabled".to_owned()));
    let change = UserChange { disabled_at: on, ..UserChange::default() };
    app.store.update_user(&person, None, &change, &app.event()).await.unwrap();

    remembered().await;
    app.store.remove_member(&team, &person, &app.event()).await.unwrap();
    assert_eq!(said(&bearer).await, (400, "team_required".to_owned()));
    app.join(&person, &team).await;

    remembered().await;
    app.store.revoke_service_account_key(&account, id, &app.event()).await.unwrap();
    assert_eq!(said(&key).await, (401, "invalid_credential".to_owned()));
    app.clock.advance(Duration::hours(12));
    assert_eq!(said(&bearer).await, (401, "invalid_credential".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threat_42_no_row_commits_after_a_disable_has_returned() {
    disable_under_load(App::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threat_42_no_row_commits_after_a_disable_has_returned_on_postgresql() {
    let Some(database) = postgres::database() else { return };
    let target = Target::Postgres { url: Secret::new(database.url()) };
    let options = Options { target: Some(target), ..Options::default() };
    disable_under_load(App::when(SystemClock.now(), options).await).await;
}

async fn disable_under_load(app: App) {
    let app = std::sync::Arc::new(app);
    for round in 0..5 {
        let team = app.team(&format!("team-{round}")).await;
        let account = app.agent(&team, &format!("agent-{round}")).await;
        let (key, _) = app.agent_key(&account).await;
        let minting: Vec<_> = (0..8)
            .map(|_| {
                let (app, key) = (app.clone(), key.clone());
                tokio::spawn(async move {
                    let mut tokens = Vec::new();
                    loop {
                        let answer = app.mint(&key, &json!({})).await;
                        match answer.status {
                            StatusCode::OK => tokens.push(answer.json()["token_id"].as_str().unwrap().to_owned()),
                            StatusCode::FORBIDDEN => return tokens,
                            other => panic!("{other}: {answer}"),
                        }
                    }
                })
            })
            .collect();
        while app.rows(Action::TokenMint).await.len() < 20 * (round + 1) {
            tokio::task::yield_now().await;
        }
        let change =
            ServiceAccountChange { disabled_at: Some(Some(app.clock.now())), ..ServiceAccountChange::default() };
        app.store.update_service_account(&account, None, &change, &app.event()).await.unwrap();
        let released = async || {
            let rows = app.rows(Action::TokenMint).await;
            let of_team = rows.into_iter().filter(|row| row.team.as_ref() == Some(&team));
            of_team.filter_map(|row| row.token).map(|token| token.token_id).collect::<HashSet<_>>()
        };
        let at_return = released().await;
        let mut received = HashSet::new();
        for minting in minting {
            received.extend(minting.await.unwrap());
        }
        assert_eq!(released().await, at_return, "a row committed after the disable had returned");
        assert!(received.is_subset(&at_return), "a token left without a row");
    }
}

#[tokio::test]
async fn threat_4_credentials_that_share_a_beginning_or_an_end_share_nothing_else() {
    let app = App::start().await;
    let (_, key) = agent(&app).await;
    assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK);
    for forged in [&key[..key.len() - 1], &key[..40], &format!("{key}x"), &key.to_uppercase()] {
        assert_eq!(app.mint(forged, &json!({})).await.status, StatusCode::UNAUTHORIZED, "{forged}");
    }
}

#[tokio::test]
async fn threat_24_limits_of_credential_principal_and_team_say_when_to_come_back() {
    let generous = Options::default().limits;
    let tight = Rate::new(1, 2).unwrap();
    for limits in [
        LimitNumbers { credential: tight, ..generous },
        LimitNumbers { principal: tight, ..generous },
        LimitNumbers { team: tight, ..generous },
    ] {
        let app = App::with(Options { limits, ..Options::default() }).await;
        let (_, key) = agent(&app).await;
        for _ in 0..2 {
            assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK);
        }
        let limited = app.mint(&key, &json!({})).await;
        assert_eq!((limited.status, limited.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
        assert!((1..=60).contains(&limited.header("retry-after").unwrap().parse::<u64>().unwrap()));
        let other = app.team("team-2").await;
        let (key, _) = app.agent_key(&app.agent(&other, "agent-2").await).await;
        assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK, "another team is not moved");
    }
}

#[tokio::test]
async fn threat_24_a_team_that_is_refused_often_hears_it_late_from_whatever_networks_it_asks() {
    let (once, generous) = (Rate::new(1, 1).unwrap(), Options::default().limits);
    for limits in [LimitNumbers { team: once, ..generous }, LimitNumbers { credential: once, ..generous }] {
        let app = App::with(Options { limits, ..Options::default() }).await;
        let team = app.team("team-1").await;
        let mut keys = Vec::new();
        for n in 0..16 {
            let (key, _) = app.agent_key(&app.agent(&team, &format!("agent-{n}")).await).await;
            // From here on it is remembered, so that its refusal waits for nothing.
            app.mint(&key, &json!({})).await;
            keys.push(key);
        }
        let (mut at_once, mut late, began) = (0_u32, 0_u32, Instant::now());
        for n in 0..1600 {
            // A hundred of each credential, one of each network.
            let body = Body::from("{}");
            let mut request = request(Method::POST, "/v1/identity-tokens", Some(&keys[n % keys.len()]), body);
            let network = std::net::Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(n).unwrap());
            request.extensions_mut().insert(ClientAddress(network.into()));
            match app.router.clone().oneshot(request).now_or_never() {
                Some(answer) => {
                    assert_eq!(answer.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
                    at_once += 1;
                }
                None => late += 1,
            }
        }
        let most = 201.0 + 100.0 * began.elapsed().as_secs_f64();
        assert!(at_once >= 180 && f64::from(at_once) <= most, "{at_once} at once, {late} late");
    }
}

#[tokio::test]
async fn threat_24_all_callers_of_one_address_share_its_limit_and_other_addresses_do_not() {
    let limits = LimitNumbers { address: Rate::new(1, 2).unwrap(), ..Options::default().limits };
    let app = App::with(Options { limits, ..Options::default() }).await;
    let (team, key) = agent(&app).await;
    let (other, _) = app.agent_key(&app.agent(&team, "agent-2").await).await;
    assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK);
    // Also what mints nothing counts, and so does another caller.
    assert_eq!(app.get("/v1/whoami", Some(&other)).await.status, StatusCode::OK);
    for caller in [&key, &other] {
        let limited = app.mint(caller, &json!({})).await;
        assert_eq!((limited.status, limited.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
        assert!((1..=60).contains(&limited.header("retry-after").unwrap().parse::<u64>().unwrap()));
    }
    let elsewhere = Origin { address: Some("192.0.2.8".parse().unwrap()), user_agent: None };
    for caller in [&key, &other] {
        assert!(app.issuer.authenticate(caller, &elsewhere).await.is_ok(), "another address is not moved");
    }
    let over = app.issuer.authenticate(&key, &elsewhere).await;
    assert!(matches!(over, Err(AuthError::Limited(_))), "that is nobody's refusal: {over:?}");
}

#[tokio::test]
async fn threat_41_strangers_are_counted_and_write_no_row_each() {
    let app = App::start().await;
    let stranger = "bvt_sa_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAxxxxxx";
    for _ in 0..50 {
        assert_eq!(app.mint(stranger, &json!({})).await.status, StatusCode::UNAUTHORIZED);
    }
    assert!(app.rows(Action::Authenticate).await.is_empty());
    app.issuer.audit().drain().await;
    let rows = app.rows(Action::Authenticate).await;
    assert_eq!(
        rows.iter().map(|row| (row.reason.as_deref(), row.count)).collect::<Vec<_>>(),
        [(Some("malformed_credential"), 50)]
    );
}

#[tokio::test]
async fn threat_7_a_token_begins_thirty_seconds_early_and_has_whole_seconds() {
    let app = App::start().await;
    let (_, key) = agent(&app).await;
    app.clock.advance(Duration::milliseconds(987));
    let token = claims(&app.token(&key, "sts.amazonaws.com").await);
    let number = |name: &str| token[name].as_i64().unwrap();
    assert_eq!((number("iat") - number("nbf"), number("exp") - number("iat")), (30, 300));
    assert_eq!(number("iat"), app.clock.now().unix_timestamp());
}

#[tokio::test]
async fn a_hand_over_to_the_standby_needs_no_restart() {
    let app = App::start().await;
    let (_, key) = agent(&app).await;
    let kid = |token: &str| -> Value {
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&header).unwrap()["kid"].clone()
    };
    let jwks = app.get("/.well-known/jwks.json", None).await.json();
    assert_eq!(kid(&app.token(&key, "sts.amazonaws.com").await), jwks["keys"][0]["kid"]);
    crate::signing_keys::operator(&app).await.rotate().await.unwrap();
    app.clock.advance(Duration::SECOND);
    assert_eq!(kid(&app.token(&key, "sts.amazonaws.com").await), jwks["keys"][1]["kid"]);
    let rows = app.rows(Action::TokenMint).await;
    assert_eq!(json!(rows[1].token.as_ref().unwrap().kid), jwks["keys"][1]["kid"]);
}

#[tokio::test]
async fn threat_31_no_secret_of_any_request_stands_in_a_log_or_an_answer_to_another() {
    let logs = Logs::capture();
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let (worker, _) = app.worker("https://worker.example.com", &[&team]).await;
    let administrator = app.administrator().await;
    let person = app.person("person-1", &[&team]).await;
    let code = app.code(&person).await;
    let session = app.post("/v1/sessions", None, &json!({ "code": code, "device": "laptop" })).await.json();
    let access = session["access_token"].as_str().unwrap().to_owned();
    let token = app.token(&key, "https://worker.example.com").await;
    let exchanged = app.post("/v1/worker/exchange", Some(&worker), &json!({ "token": token })).await.json();
    let identity = exchanged["identity_token"].as_str().unwrap().to_owned();
    let mut secrets = vec![key, worker, administrator, code.clone(), access, token, identity];

    // Every secret where it does not belong: in paths, queries, bodies, other headers, other routes.
    for secret in secrets.clone() {
        for (method, path, body) in [
            (Method::GET, format!("/v1/{secret}"), String::new()),
            (Method::GET, format!("/v1/whoami?token={secret}"), String::new()),
            (Method::DELETE, format!("/v1/sessions/{secret}"), String::new()),
            (Method::POST, "/v1/sessions".to_owned(), json!({ "code": secret, "device": secret }).to_string()),
            (Method::POST, "/v1/sessions".to_owned(), json!({ secret.as_str(): 1 }).to_string()),
            (
                Method::POST,
                "/v1/identity-tokens".to_owned(),
                json!({ "audience": secret, "team_uid": secret, "role_arn": secret }).to_string(),
            ),
            (Method::POST, "/v1/identity-tokens".to_owned(), format!("{{\"lifetime_seconds\":\"{secret}\"}}")),
            (Method::POST, "/v1/worker/exchange".to_owned(), json!({ "token": secret }).to_string()),
            (Method::POST, "/v1/worker/liveness".to_owned(), json!({ "tokens": [secret] }).to_string()),
        ] {
            for bearer in [None, Some(secret.as_str()), Some(secrets[0].as_str())] {
                let mut request = request(method.clone(), &path, bearer, Body::from(body.clone()));
                request.headers_mut().insert("x-request-id", secret.parse().unwrap());
                let answer = app.send(request).await.to_string();
                let member_named_after_it = body.starts_with("{\"bvt") || body.starts_with("{\"ey");
                assert!(member_named_after_it || !answer.contains(&secret), "{method} {path} {body}\n{answer}");
            }
        }
    }
    for secret in &secrets.clone() {
        // Also without the prefix, and any longer stretch of it.
        secrets.push(secret[8..40].to_owned());
    }
    let text = logs.text();
    assert!(text.contains("brevet::access") && text.len() > 10_000, "the logs were captured");
    for secret in &secrets {
        assert!(!text.contains(secret.as_str()), "a log line holds {secret}");
    }
    // Nor does any audit row.
    for action in Action::ALL {
        let rows = format!("{:?}", app.rows(action).await);
        assert!(secrets.iter().all(|secret| !rows.contains(secret.as_str())), "{action}");
    }
}

#[tokio::test]
async fn threat_17_and_24_while_minting_is_saturated_the_documents_answer_and_a_mint_is_told_to_come_back() {
    let limits = LimitNumbers { in_flight: 1, waiting: 0, ..Options::default().limits };
    let app = App::with(Options { limits, ..Options::default() }).await;
    let (_, key) = agent(&app).await;
    let body = json!({});
    // The key and the team are remembered, so that the first waits for its turn and its row alone when the second comes.
    assert_eq!(app.mint(&key, &body).await.status, StatusCode::OK);
    let (first, (second, documents)) = futures_util::join!(app.mint(&key, &body), async {
        // Its refusal proves the only place taken, and nothing is waited for between it and the documents.
        let second = app.mint(&key, &body).await;
        let mut documents = Vec::new();
        for path in ["/.well-known/openid-configuration", "/.well-known/jwks.json"] {
            documents.push(app.get(path, None).await);
        }
        (second, documents)
    });
    assert_eq!(first.status, StatusCode::OK);
    for document in documents {
        assert_eq!(document.status, StatusCode::OK, "{document}");
    }
    assert_eq!((second.status, second.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    assert_eq!(second.json()["detail"], json!("too many requests are in flight; try again"));
    assert_eq!(app.mint(&key, &body).await.status, StatusCode::OK, "the place came back");
}
