//! The exchange: a worker gets something only for a caller's live token that was minted for it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brevet::crypto::signer::KeySet;
use brevet::domain::audit::Action;
use brevet::domain::clock::Clock;
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::settings::ProviderLayer;
use brevet::store::{ServiceAccountChange, TeamChange, UserChange, WorkerKeyChange};
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

use crate::support::app::{Answer, App, Options, fixed_key, layer};

const AUDIENCE: &str = "https://worker.example.com";

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn exchange(app: &App, worker: &str, token: &str) -> Answer {
    app.post("/v1/worker/exchange", Some(worker), &json!({ "token": token })).await
}

#[tokio::test]
async fn a_live_token_is_exchanged_for_settings_and_a_token_bound_to_their_role() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let settings = ProviderLayer { session_tags: Some(true), source_identity: Some(true), ..layer("bedrock") };
    app.settings(&team, None, settings).await;
    let (key, caller) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let (worker, worker_id) = app.worker(AUDIENCE, &[&team]).await;
    let token = app.token(&key, AUDIENCE).await;
    assert!(claims(&token).get("https://aws.amazon.com/roles").is_none());
    let answer = exchange(&app, &worker, &token).await;
    insta::assert_snapshot!("exchanged", answer.to_string());
    insta::assert_json_snapshot!("identity_claims", claims(answer.json()["identity_token"].as_str().unwrap()));
    let rows = app.rows(Action::TokenExchange).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].credential.map(|(_, id)| id), rows[0].worker), (Some(caller), Some(worker_id)));
    // The same token again, as a worker does that lost its cache.
    assert_eq!(exchange(&app, &worker, &token).await.status, StatusCode::OK);
}

#[expect(clippy::too_many_lines, reason = "one table of everything that a worker could present")]
#[tokio::test]
async fn threat_34_a_worker_key_without_a_live_callers_token_for_it_gets_nothing() {
    let app = App::start().await;
    let (team, other) = (app.team("team-1").await, app.team("team-2").await);
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let (foreign, _) = app.agent_key(&app.agent(&other, "agent-2").await).await;
    let (worker, _) = app.worker(AUDIENCE, &[&team]).await;
    let (second, _) = app.worker("https://second.example.com", &[&team, &other]).await;
    let (third, _) = app.worker(AUDIENCE, &[&other]).await;
    let access = app.sign_in(&app.person("person-1", &[&team]).await).await;
    let token = app.token(&key, AUDIENCE).await;
    let identity = exchange(&app, &worker, &token).await.json()["identity_token"].as_str().unwrap().to_owned();

    let (input, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = input.split_once('.').unwrap();
    let altered = |claim: &str, value: Value| {
        let mut claims = claims(&token);
        claims[claim] = value;
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        format!("{header}.{payload}.{signature}")
    };
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    // Signed with our own key, but never minted: no audit row says so.
    let ours = KeySet::new(fixed_key("active"), app.entropy.as_ref()).unwrap();
    let signed = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims(&token);
        change(&mut claims);
        ours.sign(ours.prepare(&claims).unwrap()).unwrap().expose().to_owned()
    };
    let unminted = signed(&|claims| claims["jti"] = json!("019b7ca9-8c88-7b4a-b9a5-17cec22a630b"));
    let elsewhere = signed(&|claims| claims["iss"] = json!("https://id.example.com/brevet/"));
    let other_person = signed(&|claims| {
        claims["sub"] = json!("scoped_principal:team-1/user:person-1");
        claims["actor_type"] = json!("user");
        claims["principal_uid"] = json!("person-1");
    });
    for (what, presented, code, detail) in [
        (
            "for STS",
            app.token(&key, "sts.amazonaws.com").await,
            "invalid_token",
            "token aud is sts.amazonaws.com and must be https://worker.example.com",
        ),
        (
            "for another worker",
            app.token(&key, "https://second.example.com").await,
            "invalid_token",
            "token aud is https://second.example.com and must be https://worker.example.com",
        ),
        (
            "of a team it does not serve",
            app.token(&foreign, AUDIENCE).await,
            "team_not_served",
            "the worker key does not serve the team of the token",
        ),
        (
            "an exchanged one",
            identity,
            "invalid_token",
            "token aud is sts.amazonaws.com and must be https://worker.example.com",
        ),
        (
            "a session",
            access,
            "invalid_token",
            "token must be an identity token or a run bearer, and an access_token was presented",
        ),
        (
            "a key",
            key.clone(),
            "invalid_token",
            "token must be an identity token or a run bearer, and a service_account_key was presented",
        ),
        (
            "its own key",
            worker.clone(),
            "invalid_token",
            "token must be an identity token or a run bearer, and a worker_key was presented",
        ),
        (
            "nothing",
            String::new(),
            "invalid_token",
            "token must be three base64url parts of together at most 16384 characters",
        ),
        (
            "another subject",
            altered("sub", json!("scoped_principal:team-1/user:person-1")),
            "invalid_token",
            "token signature does not hold",
        ),
        ("a longer life", altered("exp", json!(4_000_000_000_u64)), "invalid_token", "token signature does not hold"),
        ("no signature", format!("{input}."), "invalid_token", "token signature does not hold"),
        (
            "alg none",
            format!("{none}.{payload}."),
            "invalid_token",
            "token header must have alg, kid and typ JWT, and nothing else",
        ),
        ("never minted", unminted, "invalid_token", "token was not minted for a principal's own credential"),
        ("another issuer", elsewhere, "invalid_token", "token iss must be https://id.example.com/brevet"),
    ] {
        let answer = exchange(&app, &worker, &presented).await;
        assert_eq!((answer.code().as_str(), answer.json()["detail"].as_str().unwrap()), (code, detail), "{what}");
        assert!(answer.json().get("identity_token").is_none() && answer.json().get("settings").is_none(), "{what}");
    }
    // Minted for somebody else than it says: the row and the token must agree.
    let answer = exchange(&app, &worker, &other_person).await;
    assert_ne!(answer.status, StatusCode::OK, "{answer}");
    assert_eq!(exchange(&app, &second, &token).await.code(), "invalid_token");
    assert_eq!(exchange(&app, &third, &token).await.code(), "team_not_served");
    for bearer in [&key, &token] {
        assert_ne!(exchange(&app, bearer, &token).await.status, StatusCode::OK);
    }
    app.clock.advance(Duration::seconds(300));
    let expired = exchange(&app, &worker, &token).await;
    assert_eq!((expired.status, expired.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid_token"));
    assert_eq!(app.rows(Action::TokenExchange).await.iter().filter(|row| row.reason.is_none()).count(), 1);
    assert!(app.refusals(Action::TokenExchange).await.contains(&"token_expired".to_owned()));
}

#[tokio::test]
async fn threat_23_a_caller_or_worker_that_is_switched_off_is_exchanged_no_more() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let account = app.agent(&team, "agent-1").await;
    let person = app.person("person-1", &[&team]).await;
    let (key, id) = app.agent_key(&account).await;
    let access = app.sign_in(&person).await;
    let (worker, worker_id) = app.worker(AUDIENCE, &[&team]).await;
    let (agents, persons) = (app.token(&key, AUDIENCE).await, app.token(&access, AUDIENCE).await);
    let off = Some(Some(app.clock.now()));
    let ok = async || {
        for token in [&agents, &persons] {
            assert_eq!(exchange(&app, &worker, token).await.status, StatusCode::OK);
        }
        assert!(reasons(&app, &worker, &[&agents, &persons]).await.iter().all(Option::is_none));
    };
    let off_is = async |token: &str, code: &str, reason: &str| {
        let answer = exchange(&app, &worker, token).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, code), "{answer}");
        assert_eq!(reasons(&app, &worker, &[token]).await, [Some(reason.to_owned())]);
    };

    ok().await;
    let change = ServiceAccountChange { disabled_at: off, ..ServiceAccountChange::default() };
    app.store.update_service_account(&account, None, &change, &app.event()).await.unwrap();
    off_is(&agents, "caller_not_alive", "service_account_disabled").await;
    let change = ServiceAccountChange { disabled_at: Some(None), ..ServiceAccountChange::default() };
    app.store.update_service_account(&account, None, &change, &app.event()).await.unwrap();

    ok().await;
    let change = UserChange { disabled_at: off, ..UserChange::default() };
    app.store.update_user(&person, None, &change, &app.event()).await.unwrap();
    off_is(&persons, "caller_not_alive", "user_disabled").await;
    let change = UserChange { disabled_at: Some(None), ..UserChange::default() };
    app.store.update_user(&person, None, &change, &app.event()).await.unwrap();

    ok().await;
    app.store.remove_member(&team, &person, &app.event()).await.unwrap();
    off_is(&persons, "caller_not_alive", "membership_ended").await;
    app.join(&person, &team).await;

    ok().await;
    app.policy(&team, |policy| policy.enrolment_codes = false).await;
    off_is(&persons, "sign_in_not_accepted", "sign_in_not_accepted").await;
    assert_eq!(exchange(&app, &worker, &agents).await.status, StatusCode::OK);
    app.policy(&team, |policy| policy.enrolment_codes = true).await;

    ok().await;
    let change = TeamChange { disabled_at: off, ..TeamChange::default() };
    app.store.update_team(&team, None, &change, &app.event()).await.unwrap();
    off_is(&persons, "caller_not_alive", "team_disabled").await;
    let change = TeamChange { disabled_at: Some(None), ..TeamChange::default() };
    app.store.update_team(&team, None, &change, &app.event()).await.unwrap();

    ok().await;
    app.settings(&team, None, ProviderLayer { disabled: true, ..layer("bedrock") }).await;
    off_is(&agents, "provider_disabled", "provider_disabled").await;
    app.settings(&team, None, layer("bedrock")).await;

    ok().await;
    app.store.revoke_service_account_key(&account, id, &app.event()).await.unwrap();
    off_is(&agents, "caller_not_alive", "credential_revoked").await;

    // The worker's own key: a team taken off its list, then the key itself.
    let second = app.team("team-2").await;
    let change = WorkerKeyChange { name: None, teams: Some(vec![second]) };
    app.store.update_worker_key(worker_id, None, &change, &app.event()).await.unwrap();
    assert_eq!(exchange(&app, &worker, &persons).await.code(), "team_not_served");
    let change = WorkerKeyChange { name: None, teams: Some(vec![team.clone()]) };
    app.store.update_worker_key(worker_id, None, &change, &app.event()).await.unwrap();
    app.issuer.forget();
    assert_eq!(exchange(&app, &worker, &persons).await.status, StatusCode::OK);
    app.store.revoke_worker_key(worker_id, None, &app.event()).await.unwrap();
    assert_eq!(exchange(&app, &worker, &persons).await.status, StatusCode::UNAUTHORIZED);
}

/// Liveness writes no row whose statement would prove the worker's key alive, so it must not come from memory.
#[tokio::test]
async fn threat_23_a_worker_key_revoked_on_another_replica_asks_nothing_more() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let (worker, worker_id) = app.worker(AUDIENCE, &[&team]).await;
    let token = app.token(&key, AUDIENCE).await;
    assert_eq!(exchange(&app, &worker, &token).await.status, StatusCode::OK);
    let second = app.team("team-2").await;
    let change = WorkerKeyChange { name: None, teams: Some(vec![second]) };
    app.store.update_worker_key(worker_id, None, &change, &app.event()).await.unwrap();
    assert_eq!(reasons(&app, &worker, &[&token]).await, [Some("team_not_served".to_owned())]);
    app.store.revoke_worker_key(worker_id, None, &app.event()).await.unwrap();
    let answer = app.post("/v1/worker/liveness", Some(&worker), &json!({ "tokens": [token] })).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer}");
}

/// Why each token's caller is not alive, as a worker is told.
async fn reasons(app: &App, worker: &str, tokens: &[&str]) -> Vec<Option<String>> {
    let answer = app.post("/v1/worker/liveness", Some(worker), &json!({ "tokens": tokens })).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer}");
    let items = answer.json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["reason"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn liveness_answers_up_to_a_hundred_tokens_in_their_order() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (worker, _) = app.worker(AUDIENCE, &[&team]).await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let (live, sts) = (app.token(&key, AUDIENCE).await, app.token(&key, "sts.amazonaws.com").await);
    let answer = app.post("/v1/worker/liveness", Some(&worker), &json!({ "tokens": [live, sts, "x", key] })).await;
    insta::assert_snapshot!("liveness", answer.to_string());
    let ask = async |count: usize| {
        app.post("/v1/worker/liveness", Some(&worker), &json!({ "tokens": vec![live.clone(); count] })).await
    };
    assert_eq!(ask(100).await.json()["items"].as_array().unwrap().len(), 100);
    for count in [0, 101] {
        assert_eq!(ask(count).await.json()["detail"], json!("tokens must hold 1 to 100 tokens"));
    }
    app.clock.advance(Duration::minutes(5));
    assert_eq!(reasons(&app, &worker, &[&live]).await, [Some("token_expired".to_owned())]);
}

#[tokio::test]
async fn threat_14_a_token_of_one_environment_opens_nothing_in_another_that_has_the_same_uids() {
    let production = App::start().await;
    let team = production.team("team-1").await;
    let (key, _) = production.agent_key(&production.agent(&team, "agent-1").await).await;
    production.worker(AUDIENCE, &[&team]).await;
    let token = production.token(&key, AUDIENCE).await;
    // With keys of its own, as it should be, and with those of production, as no start would let it have them.
    for (own_keys, reason) in [(true, "token_unknown_key"), (false, "token_issuer")] {
        let url = IssuerUrl::parse("https://staging.example.com/brevet", Development::Off).unwrap();
        let staging = App::at(url, Options { own_keys, ..Options::default() }).await;
        let team = staging.team("team-1").await;
        let (key, _) = staging.agent_key(&staging.agent(&team, "agent-1").await).await;
        let (worker, _) = staging.worker(AUDIENCE, &[&team]).await;
        let refused = exchange(&staging, &worker, &token).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "invalid_token"), "{refused}");
        assert_eq!(staging.refusals(Action::TokenExchange).await, [reason]);
        let own = staging.token(&key, AUDIENCE).await;
        assert_eq!(exchange(&staging, &worker, &own).await.status, StatusCode::OK, "its own it takes");
    }
}
