//! Refresh over HTTP: rotation, the grace of a minute, reuse, and the end of whoever has left.

use axum::body::Body;
use brevet::domain::audit::{Action, Decision};
use brevet::domain::clock::Clock;
use brevet::store::UserChange;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use time::Duration;

use crate::support::app::{Answer, App, request};

async fn refresh(app: &App, token: &str) -> Answer {
    let parameters = [("grant_type", "refresh_token"), ("client_id", "brevet-cli"), ("refresh_token", token)];
    app.form("/oauth2/token", &parameters).await
}

fn text(tokens: &Value, member: &str) -> String {
    tokens[member].as_str().unwrap().to_owned()
}

async fn signed_in(app: &App) -> Value {
    let team = app.team("team-1").await;
    let person = app.person("person-1", &[&team]).await;
    let code = app.code(&person).await;
    let answer = app.post("/v1/sessions", None, &json!({ "code": code, "device": "laptop" })).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer}");
    answer.json()
}

async fn refreshed(app: &App, tokens: &Value) -> Value {
    let answer = refresh(app, &text(tokens, "refresh_token")).await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, Some("no-store")), "{answer}");
    answer.json()
}

async fn refused(app: &App, token: &str) {
    let answer = refresh(app, token).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (StatusCode::BAD_REQUEST, Some("invalid_grant")));
    let words = "refresh_token is not known or its session is over: sign in again";
    assert_eq!(answer.json()["error_description"], words, "which of these, only the audit row tells");
}

async fn mints(app: &App, tokens: &Value) -> bool {
    app.mint(&text(tokens, "access_token"), &json!({})).await.status == StatusCode::OK
}

#[tokio::test]
async fn a_session_is_refreshed_until_its_twelve_hours_are_over() {
    let app = App::start().await;
    let first = signed_in(&app).await;
    let mut tokens = first.clone();
    for _ in 0..47 {
        app.clock.advance(Duration::minutes(15));
        assert!(!mints(&app, &tokens).await, "the access token is over");
        tokens = refreshed(&app, &tokens).await;
        assert!(mints(&app, &tokens).await);
        assert_eq!(text(&tokens, "session_expires_at"), text(&first, "session_expires_at"), "no refresh moves the end");
    }
    app.clock.advance(Duration::minutes(10));
    tokens = refreshed(&app, &tokens).await;
    assert_eq!(tokens["expires_in"], 300, "what is left of the session");
    app.clock.advance(Duration::minutes(5));
    refused(&app, &text(&tokens, "refresh_token")).await;
    assert!(!mints(&app, &tokens).await);
    assert_eq!(app.refusals(Action::SessionRefresh).await, ["session_expired"]);
}

#[tokio::test]
async fn a_lost_answer_is_forgiven_once_and_reuse_ends_the_session() {
    let app = App::start().await;
    let first = signed_in(&app).await;
    let second = refreshed(&app, &first).await;
    app.clock.advance(Duration::seconds(59));
    let third = refreshed(&app, &first).await;
    assert!(mints(&app, &third).await);
    // The second never reached its client; whoever shows it now is not that client.
    refused(&app, &text(&second, "refresh_token")).await;
    for tokens in [&first, &second, &third] {
        assert!(!mints(&app, tokens).await, "the family is revoked");
        refused(&app, &text(tokens, "refresh_token")).await;
    }
    let rows = app.rows(Action::SessionRefresh).await;
    let reuse = rows.iter().find(|row| row.reason.as_deref() == Some("refresh_token_reused")).unwrap();
    assert_eq!(reuse.decision, Decision::Refused);
    assert_eq!(reuse.target, Some(format!("session:{}", text(&first, "session_id"))));
    let ended = app.rows(Action::SessionEnd).await;
    assert_eq!(ended.len(), 1, "once");
    assert_eq!(ended[0].principal.as_ref().unwrap().to_string(), "user:person-1");
}

#[tokio::test]
async fn the_token_before_is_reuse_once_its_successor_was_used() {
    let app = App::start().await;
    let first = signed_in(&app).await;
    let second = refreshed(&app, &first).await;
    let third = refreshed(&app, &second).await;
    refused(&app, &text(&first, "refresh_token")).await;
    assert!(!mints(&app, &third).await, "two parties hold the family");
}

/// Threat 23: switched off, logged out, or simply gone for twelve hours.
#[tokio::test]
async fn threat_23_a_departed_person_mints_and_refreshes_nothing() {
    let app = App::start().await;
    let tokens = signed_in(&app).await;
    let person = brevet::domain::id::UserUid::parse("person-1").unwrap();
    let (run, _) = app.run(&text(&tokens, "access_token"), &json!({})).await;
    assert_eq!(app.mint(&run, &json!({})).await.status, StatusCode::OK);
    let set = |disabled_at| UserChange { disabled_at: Some(disabled_at), ..UserChange::default() };
    app.store.update_user(&person, None, &set(Some(app.clock.now())), &app.event()).await.unwrap();
    refused(&app, &text(&tokens, "refresh_token")).await;
    assert!(!mints(&app, &tokens).await);
    assert_ne!(app.mint(&run, &json!({})).await.status, StatusCode::OK, "nor does a run of theirs");
    assert_eq!(app.refusals(Action::SessionRefresh).await, ["user_disabled"]);

    // A refusal has used nothing up.
    app.store.update_user(&person, None, &set(None), &app.event()).await.unwrap();
    let tokens = refreshed(&app, &tokens).await;
    assert!(mints(&app, &tokens).await);
    let session = format!("/v1/sessions/{}", text(&tokens, "session_id"));
    let access = text(&tokens, "access_token");
    let ended = app.send(request(Method::DELETE, &session, Some(&access), Body::empty())).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    refused(&app, &text(&tokens, "refresh_token")).await;
    assert!(!mints(&app, &tokens).await);
    assert_ne!(app.mint(&run, &json!({})).await.status, StatusCode::OK);
    assert_eq!(app.refusals(Action::SessionRefresh).await, ["user_disabled", "session_ended"]);
}

/// The same for people of a provider: signed in there, switched off there, or the provider gone.
#[tokio::test]
async fn threat_23_a_session_ends_with_its_provider_and_with_idleness() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let okta = brevet::domain::id::UpstreamUid::parse("okta").unwrap();
    app.policy(&team, |policy| policy.upstream_providers = vec![okta]).await;
    let person = app.person("person-1", &[&team]).await;
    let mut signed_in = app.at_provider("okta", &person, "s1").await;
    signed_in.ends_at = app.clock.now() + Duration::days(30);
    let tokens = app.let_in(&signed_in).await;
    assert!(mints(&app, &tokens).await);
    app.sabotage("UPDATE upstream_providers SET disabled_at = 1").await;
    app.issuer.forget();
    assert!(!mints(&app, &tokens).await);
    refused(&app, &text(&tokens, "refresh_token")).await;
    app.sabotage("UPDATE upstream_providers SET disabled_at = NULL").await;
    let tokens = refreshed(&app, &tokens).await;
    app.clock.advance(Duration::days(7) - Duration::SECOND);
    let tokens = refreshed(&app, &tokens).await;
    app.clock.advance(Duration::days(7));
    refused(&app, &text(&tokens, "refresh_token")).await;
    assert_eq!(app.refusals(Action::SessionRefresh).await, ["sign_in_provider_disabled", "session_idle"]);
}

#[tokio::test]
async fn a_refresh_token_is_no_bearer_and_nothing_else_is_a_refresh_token() {
    let app = App::start().await;
    let tokens = signed_in(&app).await;
    let token = text(&tokens, "refresh_token");
    for answer in [app.mint(&token, &json!({})).await, app.get("/v1/whoami", Some(&token)).await] {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let words = "the bearer is a refresh token: exchange it at POST /oauth2/token";
        assert_eq!(answer.json()["detail"], words);
    }
    for wrong in [text(&tokens, "access_token"), token[..40].to_owned(), "x".to_owned()] {
        refused(&app, &wrong).await;
    }
    let parameters = [("grant_type", "refresh_token"), ("client_id", "agent-1"), ("refresh_token", token.as_str())];
    let other = app.form("/oauth2/token", &parameters).await;
    assert_eq!((other.status, other.json()["error"].as_str()), (StatusCode::UNAUTHORIZED, Some("invalid_client")));
    let scoped = [&parameters[..1], &[("client_id", "brevet-cli"), ("refresh_token", &token), ("scope", "x")]].concat();
    assert_eq!(app.form("/oauth2/token", &scoped).await.json()["error"], "invalid_scope");
    assert!(mints(&app, &refreshed(&app, &tokens).await).await, "none of that has used it up");
}

/// RFC 7009: giving up either token ends the session, and what never was is as good as ended.
#[tokio::test]
async fn either_token_given_up_ends_the_session() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let person = app.person("person-1", &[&team]).await;
    let (agent_key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let revoke =
        async |client: &str, token: &str| app.form("/oauth2/revoke", &[("client_id", client), ("token", token)]).await;
    for member in ["access_token", "refresh_token"] {
        let code = app.code(&person).await;
        let tokens = app.post("/v1/sessions", None, &json!({ "code": code })).await.json();
        let token = text(&tokens, member);
        assert_eq!(revoke("other", &token).await.status, StatusCode::UNAUTHORIZED);
        let secret = [("client_id", "agent-1"), ("client_secret", agent_key.as_str()), ("token", &token)];
        let agents = app.form("/oauth2/revoke", &secret).await;
        assert_eq!(agents.status, StatusCode::BAD_REQUEST, "an agent gives up nobody's session: {agents}");
        assert!(mints(&app, &tokens).await);
        for _ in 0..2 {
            let answer = revoke("brevet-cli", &token).await;
            assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0), "{answer}");
        }
        assert!(!mints(&app, &tokens).await, "{member}");
        refused(&app, &text(&tokens, "refresh_token")).await;
    }
    assert_eq!(app.rows(Action::SessionEnd).await.len(), 2);
    assert_eq!(revoke("brevet-cli", "hunter2").await.status, StatusCode::OK);
    let answer = revoke("brevet-cli", &agent_key).await;
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (StatusCode::BAD_REQUEST, Some("unsupported_token_type"))
    );
}
