//! People's flows before a client that nobody here wrote: openid-client completes the device grant, refreshes, and gives
//! up what it has.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use brevet::domain::audit::Origin;
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::secret::Secret;
use brevet::domain::session::SignedIn;
use brevet::http::layer::client_address::ClientAddress;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::app::{App, Options};
use crate::support::clients;

/// An issuer that a client really connects to, and a person of its one team who has just signed in.
async fn house() -> (App, String, SignedIn) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/brevet", listener.local_addr().unwrap());
    let app = App::at(IssuerUrl::parse(&url, Development::On).unwrap(), Options::default()).await;
    let peer = axum::Extension(ClientAddress(IpAddr::from([127, 0, 0, 1])));
    let router = app.router.clone().layer(peer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let team = app.team("team-1").await;
    let user = app.person("person-1", &[&team]).await;
    let code = Secret::new(app.code(&user).await);
    let signed_in = app.issuer.sign_in_with_code(&code, None, &Origin::default()).await.unwrap();
    (app, url, signed_in)
}

/// What the device shows, as soon as it does; `None` once its program has ended without.
async fn shown(file: &Path, ended: impl Fn() -> bool) -> Option<Value> {
    loop {
        if let Ok(text) = std::fs::read_to_string(file) {
            return Some(serde_json::from_str(&text).unwrap());
        }
        if ended() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs the client, and lets a person do what `decide` does with the code that its device shows.
async fn run(app: &App, url: &str, decide: impl AsyncFnOnce(&App, &str)) -> Option<Value> {
    let client = clients::node("oauth_people.mjs")?;
    let file = app.dir.path().join("shown.json");
    let flags = ["--issuer", url, "--ask", file.to_str().unwrap(), "--device", "build host"].map(str::to_owned);
    let running = tokio::task::spawn_blocking(move || client.args(flags.iter().map(String::as_str)).run().json());
    if let Some(asked) = shown(&file, || running.is_finished()).await {
        assert_eq!(asked["verification_uri"], json!(format!("{url}/device")));
        decide(app, asked["user_code"].as_str().unwrap()).await;
    }
    Some(running.await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openid_client_completes_the_device_grant_and_refreshes() {
    let (app, url, signed_in) = house().await;
    let answer = run(&app, &url, async |app, code| {
        let asked = app.issuer.device_asked(code, &Origin::default()).await.unwrap();
        assert_eq!(asked.device.as_deref(), Some("build host"));
        app.issuer.approve_device(asked.id, &signed_in, None, &Origin::default()).await.unwrap();
    });
    let Some(answer) = answer.await else { return };
    assert_eq!(answer["ok"], true, "{answer}");
    assert_eq!(
        answer["metadata"]["device_authorization_endpoint"],
        json!(format!("{url}/oauth2/device_authorization"))
    );
    assert_eq!(answer["gone"], "invalid_grant", "{answer}");
    let tokens = answer["tokens"].as_object().unwrap();
    let mut refreshes = Vec::new();
    for flow in ["device", "refreshed", "again"] {
        let token = &tokens[flow];
        assert_eq!((&token["expires_in"], &token["user_uid"]), (&json!(900), &json!("person-1")), "{flow}");
        refreshes.push(token["refresh_token"].as_str().unwrap());
        // The session was given up at the end, so that none of its tokens mints any more.
        let minted = app.mint(token["access_token"].as_str().unwrap(), &json!({})).await;
        assert_eq!(minted.status, StatusCode::UNAUTHORIZED, "{flow}");
    }
    refreshes.dedup();
    assert_eq!(refreshes.len(), 3, "each refresh gives another");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openid_client_learns_that_its_device_was_denied() {
    let (app, url, _) = house().await;
    let answer = run(&app, &url, async |app, code| {
        let asked = app.issuer.device_asked(code, &Origin::default()).await.unwrap();
        app.issuer.deny_device(asked.id, None, None, &Origin::default()).await.unwrap();
    });
    let Some(answer) = answer.await else { return };
    assert_eq!((&answer["ok"], &answer["error"]), (&json!(false), &json!("access_denied")), "{answer}");
}
