//! Authorization codes at the token endpoint (RFC 6749, section 4.1.3): bound, one minute, one use.

use brevet::domain::audit::{Action, Origin};
use brevet::domain::pkce::CodeChallenge;
use brevet::domain::secret::Secret;
use brevet::domain::session::SignedIn;
use brevet::issuer::sign_in::{AuthorizationAsked, SignInRefused};
use http::StatusCode;
use serde_json::json;
use time::Duration;

use crate::support::app::{Answer, App};
use crate::support::house::House;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "http://127.0.0.1:4711/done";

fn asked() -> AuthorizationAsked {
    AuthorizationAsked {
        client_id: "brevet-cli".to_owned(),
        redirect_uri: REDIRECT.to_owned(),
        code_challenge: CodeChallenge::of(VERIFIER),
        device: Some("laptop".to_owned()),
    }
}

async fn signed_in(app: &App, uid: &str) -> SignedIn {
    let team = app.team(&format!("team-{uid}")).await;
    let user = app.person(uid, &[&team]).await;
    let code = app.code(&user).await;
    app.issuer.sign_in_with_code(&Secret::new(code), None, &Origin::default()).await.unwrap()
}

async fn redeem(app: &App, code: &str, changed: &[(&str, &str)]) -> Answer {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("client_id", "brevet-cli"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in changed {
        form.retain(|(known, _)| known != name);
        form.push((name, value));
    }
    app.form("/oauth2/token", &form).await
}

fn error(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.json()["error"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_code_opens_one_session_and_shown_again_it_ends_that() {
    let app = App::start().await;
    let signed_in = signed_in(&app, "person-1").await;
    let code = app.issuer.issue_code(&asked(), &signed_in, None, &Origin::default()).await.unwrap();
    assert_eq!(code.expose().len(), 43);
    let answer = redeem(&app, code.expose(), &[]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, Some("no-store")), "{answer}");
    let tokens = answer.json();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(app.mint(access, &json!({})).await.status, StatusCode::OK);
    let listed = app.get("/v1/sessions", Some(access)).await.json();
    assert_eq!(listed["items"][0]["device"], "laptop");

    assert_eq!(error(&redeem(&app, code.expose(), &[]).await), (400, "invalid_grant".to_owned()));
    assert_eq!(app.mint(access, &json!({})).await.status, StatusCode::UNAUTHORIZED, "somebody else had the code");
    let ended = app.rows(Action::SessionEnd).await;
    assert_eq!(ended[0].target.as_deref(), Some(&*format!("session:{}", tokens["session_id"].as_str().unwrap())));
    app.issuer.audit().drain().await;
    assert_eq!(app.refusals(Action::SessionOpen).await, ["authorization_code_reused"]);
}

#[tokio::test]
async fn a_code_for_another_request_or_too_late_opens_nothing() {
    let app = App::start().await;
    let signed_in = signed_in(&app, "person-1").await;
    let issue = async || app.issuer.issue_code(&asked(), &signed_in, None, &Origin::default()).await.unwrap();
    let other = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXx";
    for (changed, expected) in [
        (("redirect_uri", "http://127.0.0.1:4711/other"), (400, "invalid_grant")),
        (("redirect_uri", "http://127.0.0.1:4712/done"), (400, "invalid_grant")),
        (("code_verifier", other), (400, "invalid_grant")),
        (("code_verifier", "short"), (400, "invalid_grant")),
    ] {
        let code = issue().await;
        let (status, code_of) = error(&redeem(&app, code.expose(), &[changed]).await);
        assert_eq!((status, code_of.as_str()), expected, "{changed:?}");
        assert_eq!(error(&redeem(&app, code.expose(), &[]).await).1, "invalid_grant", "it is used up");
    }
    let code = issue().await;
    for (changed, expected) in [
        (("client_id", "other"), (401, "invalid_client")),
        (("client_secret", "x"), (401, "invalid_client")),
        (("redirect_uri", ""), (400, "invalid_request")),
        (("code_verifier", ""), (400, "invalid_request")),
        (("code", ""), (400, "invalid_request")),
        (("scope", "openid"), (400, "invalid_scope")),
    ] {
        let (status, code_of) = error(&redeem(&app, code.expose(), &[changed]).await);
        assert_eq!((status, code_of.as_str()), expected, "{changed:?}");
    }
    app.clock.advance(Duration::seconds(60));
    assert_eq!(error(&redeem(&app, code.expose(), &[]).await).1, "invalid_grant");
    assert_eq!(app.rows(Action::SessionOpen).await.iter().filter(|row| row.reason.is_none()).count(), 0);
    app.issuer.audit().drain().await;
    let mut reasons = app.refusals(Action::SessionOpen).await;
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons, ["authorization_code_expired", "authorization_code_mismatch", "authorization_code_reused"]);
}

#[tokio::test]
async fn codes_are_given_to_the_one_client_only() {
    let app = App::start().await;
    let signed_in = signed_in(&app, "person-1").await;
    let other = AuthorizationAsked { client_id: "other".to_owned(), ..asked() };
    let refused = app.issuer.issue_code(&other, &signed_in, None, &Origin::default()).await;
    assert!(matches!(refused, Err(SignInRefused::Client)), "{refused:?}");
    let odd = AuthorizationAsked { device: Some("a\u{7}".to_owned()), ..asked() };
    let refused = app.issuer.issue_code(&odd, &signed_in, None, &Origin::default()).await;
    assert!(matches!(refused, Err(SignInRefused::Device)), "{refused:?}");
}

/// Threat 41: on PostgreSQL, ending a session holds off every mint of the installation; a code that was used long ago
/// must not, however often it is shown.
#[tokio::test(flavor = "multi_thread")]
async fn threat_41_a_used_code_is_shown_again_and_again_and_holds_off_no_mint() {
    use sqlx::Connection as _;
    let Some(database) = crate::support::postgres::database() else { return };
    let url = database.url();
    let house = House::over(Some(database)).await;
    let app = &house.app;
    let signed_in = signed_in(app, "person-1").await;
    let code = app.issuer.issue_code(&asked(), &signed_in, None, &Origin::default()).await.unwrap();
    assert_eq!(redeem(app, code.expose(), &[]).await.status, StatusCode::OK);
    assert_eq!(error(&redeem(app, code.expose(), &[]).await), (400, "invalid_grant".to_owned()));
    assert_eq!(app.rows(Action::SessionEnd).await.len(), 1);
    // What an audit batch holds (`store/db.rs`), held for long.
    let mut minting = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_lock_shared(7093843922244599809)").execute(&mut minting).await.unwrap();
    for _ in 0..3 {
        assert_eq!(error(&redeem(app, code.expose(), &[]).await), (400, "invalid_grant".to_owned()));
    }
    assert_eq!(app.rows(Action::SessionEnd).await.len(), 1);
}
