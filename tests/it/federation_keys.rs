//! Keys of foreign issuers: who is asked, how often, and what serves while nobody answers.

use brevet::domain::access::{Caller, Identity, Operator};
use brevet::domain::authority::{Authority, Seat, TeamAdmin, TeamCapability as _};
use brevet::domain::client_key::KeySource as ClientKeySource;
use brevet::domain::clock::{Clock, ManualClock};
use brevet::domain::credential::CredentialKind;
use brevet::domain::entropy::Entropy as _;
use brevet::domain::foreign_issuer::ForeignIssuer as IssuerText;
use brevet::domain::id::{AdministratorId, CredentialId, SessionId, TeamUid, UserUid};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::role::TeamRole;
use brevet::domain::trust::{KeySource, Reuse};
use brevet::fetch::{self, FetchError, Limits, Reach, Refusal};
use brevet::issuer::admin::{AdminError, NewPublicKey};
use brevet::oidc::{KeyCache, KeyPlace, KeysError};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

use std::sync::Arc;

use crate::federation::{Scene, is};
use crate::support::app::{App, Options};
use crate::support::clock::START;
use crate::support::foreign_issuer::{ForeignIssuer, kubernetes, token};

/// Whose keys are asked for matters only where there are too many.
fn asking() -> TeamUid {
    TeamUid::parse("team-1").unwrap()
}

async fn trusting(issuer: &ForeignIssuer) -> Scene {
    let scene = Scene::set().await;
    let conditions = vec![is("sub", "system:serviceaccount:prod:agent")];
    let reuse = Reuse::Bounded { uses: 10_000, per_minute: 600 };
    scene.trust(issuer.url(), KeySource::Discovery, conditions, reuse).await;
    scene
}

fn pod(issuer: &str, scene: &Scene) -> Value {
    kubernetes(issuer, scene.app.clock.now())
}

#[tokio::test]
async fn threat_22_only_an_issuer_of_a_living_rule_is_asked_and_once_for_all_who_wait() {
    let (issuer, stranger) = (ForeignIssuer::start(&["ES256"]), ForeignIssuer::start(&["ES256"]));
    let scene = trusting(&issuer).await;
    for (client, iss) in [
        ("agent-1", stranger.url().to_owned()),
        ("agent-1", format!("{}/", issuer.url())),
        ("agent-1", "http://169.254.169.254/latest/meta-data".to_owned()),
        ("agent-1", "file:///etc/passwd".to_owned()),
        ("agent-2", issuer.url().to_owned()),
    ] {
        let answer = scene.exchange_as(client, &token("ES256", &pod(&iss, &scene)), &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{iss}: {answer}");
    }
    assert_eq!((issuer.asked(), stranger.asked()), ((0, 0), (0, 0)));
    let subject = token("ES256", &pod(issuer.url(), &scene));
    let answers = join_all((0..12).map(|_| scene.exchange(&subject, &[]))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "{}", answers[0]);
    assert_eq!(issuer.asked(), (1, 1), "one discovery and one JWKS for all of them");
    scene.app.clock.advance(Duration::minutes(9));
    scene.exchange(&subject, &[]).await;
    assert_eq!(issuer.asked(), (1, 1));
    scene.app.clock.advance(Duration::minutes(1));
    scene.exchange(&subject, &[]).await;
    assert_eq!(issuer.asked(), (2, 2));
}

#[tokio::test]
async fn an_unknown_kid_has_the_keys_read_again_at_a_bounded_rate() {
    let issuer = ForeignIssuer::start(&["ES256"]);
    let scene = trusting(&issuer).await;
    let subject = |alg: &str| token(alg, &pod(issuer.url(), &scene));
    assert_eq!(scene.exchange(&subject("ES256"), &[]).await.status, StatusCode::OK);
    // The issuer changes over to another key; a flood of kids that nobody has comes beside it.
    issuer.publish(&["RS256"]);
    scene.app.clock.advance(Duration::seconds(29));
    assert_eq!(scene.exchange(&subject("RS256"), &[]).await.status, StatusCode::BAD_REQUEST, "asked a moment ago");
    assert_eq!(issuer.asked(), (1, 1));
    scene.app.clock.advance(Duration::seconds(1));
    assert_eq!(scene.exchange(&subject("RS256"), &[]).await.status, StatusCode::OK);
    for _ in 0..20 {
        assert_eq!(scene.exchange(&subject("ES384"), &[]).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(issuer.asked(), (2, 2));
    assert_eq!(scene.exchange(&subject("ES256"), &[]).await.status, StatusCode::BAD_REQUEST, "the old key is gone");
}

#[tokio::test]
async fn keys_serve_on_for_a_bounded_time_while_their_issuer_is_away() {
    let issuer = ForeignIssuer::start(&["ES256"]);
    let scene = trusting(&issuer).await;
    let exchange = async || scene.exchange(&token("ES256", &pod(issuer.url(), &scene)), &[]).await;
    assert_eq!(exchange().await.status, StatusCode::OK);
    issuer.publish_text("<html>502</html>");
    scene.app.clock.advance(Duration::minutes(69));
    assert_eq!(exchange().await.status, StatusCode::OK);
    assert_eq!(issuer.asked().0, 2);
    scene.app.clock.advance(Duration::minutes(1));
    let answer = exchange().await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert_eq!(answer.header("retry-after"), Some("30"));
    let body = answer.json();
    assert_eq!(body["error_description"], "the keys of the subject_token's issuer cannot be had now; try again");
    scene.app.issuer.audit().drain().await;
    let reasons = scene.app.refusals(brevet::domain::audit::Action::AccessTokenIssue).await;
    assert_eq!(reasons, ["subject_token_keys_unavailable"]);
    issuer.publish(&["ES256"]);
    scene.app.clock.advance(Duration::seconds(30));
    assert_eq!(exchange().await.status, StatusCode::OK);
}

#[tokio::test]
async fn threat_22_hostile_issuers_are_refused_before_a_connection() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(START));
    let public = fetch::Client::new(fetch::Settings::default()).unwrap();
    let cache = KeyCache::new(&public, clock);
    for issuer in [
        "https://169.254.169.254",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1:8443",
        "https://localhost",
        "https://10.0.0.1",
        "https://192.168.1.1:6443",
        "https://100.64.0.1",
        "https://0.0.0.0",
        "https://127.1",
        "https://2130706433",
        "https://0x7f.1",
        "https://0177.0.0.1",
    ] {
        let place = KeyPlace::Issuer(IssuerText::parse(issuer, Development::Off).unwrap());
        let refused = KeysError::Discovery(FetchError::Refused(Refusal::Address));
        assert_eq!(cache.keys(&place, &asking()).await.err(), Some(refused), "{issuer}");
    }
    for (url, loopback, sound) in [
        ("https://keys.example.com/jwks", false, true),
        ("http://127.0.0.1:1/jwks", true, true),
        ("http://127.0.0.1:1/jwks", false, false),
        ("file:///etc/passwd", true, false),
        ("https://a@b.example/jwks", false, false),
    ] {
        assert_eq!(KeyPlace::url(url, loopback).is_ok(), sound, "{url}");
    }
}

#[tokio::test]
async fn threat_22_what_an_issuer_answers_is_bounded_and_speaks_for_itself_only() {
    let clock = Arc::new(ManualClock::new(START));
    let reach = Reach::public().and_loopback();
    let limits = Limits { body: 4096, ..Limits::default() };
    let client = fetch::Client::new(fetch::Settings { reach, limits, ..fetch::Settings::default() }).unwrap();
    let cache = KeyCache::new(&client, clock.clone());
    let issuer = ForeignIssuer::start(&["ES256"]);
    let place = KeyPlace::Issuer(IssuerText::parse(issuer.url(), Development::On).unwrap());
    let with_a_secret = json!({ "keys": [{ "kty": "oct", "kid": "x", "k": "c2VjcmV0" }] }).to_string();
    let long = format!("{{\"keys\":[],\"x\":\"{}\"}}", "a".repeat(8192));
    for (text, words) in [
        ("", "its JWKS must be a JSON object"),
        ("<html></html>", "its JWKS must be a JSON object"),
        (r#"{"keys":[]}"#, "its JWKS must hold at least one key"),
        (&with_a_secret, "its JWKS must not hold private members"),
        (&long, "its JWKS could not be fetched: the answer is longer than 4096 bytes"),
    ] {
        clock.advance(Duration::minutes(1));
        issuer.publish_text(text);
        let error = cache.keys(&place, &asking()).await.unwrap_err().to_string();
        assert!(error.starts_with(words), "{error}");
        assert!(!error.contains("127.0.0.1"), "errors name no address: {error}");
    }
    // Another host's document that names our issuer's keys as its own, and the other way round.
    let liar = ForeignIssuer::start(&["ES256"]);
    let claims_to_be = KeyPlace::Issuer(IssuerText::parse(&format!("{}/", liar.url()), Development::On).unwrap());
    assert_eq!(
        cache.keys(&claims_to_be, &asking()).await.err(),
        Some(KeysError::OtherIssuer),
        "a slash makes another issuer"
    );
    clock.advance(Duration::minutes(1));
    issuer.publish(&["ES256"]);
    assert!(cache.keys(&place, &asking()).await.is_ok());
}

#[tokio::test]
async fn threat_22_in_development_only_an_operator_names_what_is_on_this_machine() {
    let url = IssuerUrl::parse("http://127.0.0.1:8080", Development::On).unwrap();
    let app = App::at(url, Options::default()).await;
    let team = app.team("team-1").await;
    let agent = app.agent(&team, "agent-1").await;
    let credential = CredentialId::new(app.entropy.uuid_v7(app.clock.now()));
    let person = Caller {
        credential,
        kind: CredentialKind::Access,
        identity: Identity::Person {
            user: UserUid::parse("ann").unwrap(),
            session: SessionId::new(app.entropy.uuid_v7(app.clock.now())),
        },
    };
    let seat = Seat { role: TeamRole::Admin, team_disabled: false, sign_in_accepted: true };
    let ruler = TeamAdmin::of(&person, Some(&team), Some(seat)).unwrap().into_authority();
    let administrator = AdministratorId::new(app.entropy.uuid_v7(app.clock.now()));
    let operator = Authority::from(Operator { administrator, credential });
    let name = async |authority: Authority, uri: &str| {
        let new = NewPublicKey { name: None, source: ClientKeySource::JwksUri(uri.into()), life: None };
        let admin = app.issuer.administration(authority, brevet::domain::audit::Origin::default());
        admin.create_public_key(&team, &agent, new, None).await.map(drop)
    };
    for (uri, sound, local) in [
        ("http://127.0.0.1:9000/jwks", true, true),
        ("https://localhost:9443/jwks", true, true),
        ("https://keys.example.com/jwks", true, false),
        ("http://keys.example.com/jwks", false, false),
        ("http://10.0.0.1/jwks", false, false),
        ("http://169.254.169.254/latest/meta-data", false, false),
    ] {
        assert_eq!(name(operator.clone(), uri).await.is_ok(), sound, "{uri}");
        let by_the_team = name(ruler.clone(), uri).await;
        assert_eq!(by_the_team.is_ok(), sound && !local, "{uri}");
        assert_eq!(matches!(by_the_team, Err(AdminError::Denied(_))), local, "{uri}: {by_the_team:?}");
    }
}
