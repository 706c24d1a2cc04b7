//! Rotation carried out: replicas with one plan, looks at the public address, operators' commands.

use std::sync::Arc;

use axum::body::Body;
use brevet::config::host::SystemClock;
use brevet::crypto::jwk::thumbprint;
use brevet::crypto::seal::Kek;
use brevet::domain::access::Operator;
use brevet::domain::audit::{Action, Origin};
use brevet::domain::clock::Clock;
use brevet::domain::id::{AdministratorId, CredentialId};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::rotation::{DistrustRefused, RotateRefused, Step, What};
use brevet::domain::secret::Secret;
use brevet::domain::signing_key::{KeyKind, KeyState, Kid, PublicKey, signing_key};
use brevet::fetch::{self, Reach};
use brevet::issuer::admin::{ChangeNumbers, KeyAdministration, KeyRefused};
use brevet::issuer::keys::KeyRing;
use brevet::store::{Store, Target};
use futures_util::future::join_all;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use crate::support::app::{App, Options};
use crate::support::documents::Documents;
use crate::support::postgres;

const JWKS: &str = "/.well-known/jwks.json";

/// The shared issuer's keys in an operator's hands.
pub(crate) async fn operator(app: &App) -> KeyAdministration {
    let (administrator, credential) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let operator =
        Operator { administrator: AdministratorId::new(administrator), credential: CredentialId::new(credential) };
    app.issuer.administration(operator, Origin::default()).keys_of(None).await.unwrap()
}

fn signs(app: &App) -> Kid {
    signing_key(&app.issuer.keys().snapshot().keys, app.clock.now()).unwrap().kid.clone()
}

fn states(app: &App) -> Vec<KeyState> {
    let mut states: Vec<_> = app.issuer.keys().snapshot().keys.iter().map(|key| key.state(app.clock.now())).collect();
    states.sort();
    states
}

/// What is published after a round.
async fn listed(app: &App) -> Vec<String> {
    app.issuer.round().await;
    served(app).await
}

async fn served(app: &App) -> Vec<String> {
    let jwks = app.get(JWKS, None).await.json();
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid_of(token: &str) -> String {
    use base64::Engine as _;
    let header = token.split('.').next().unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

/// Three replicas of an app's issuer: rings of their own, on PostgreSQL each with its own connections.
async fn replicas(app: &App, target: Option<&Target>, kek: &Secret) -> Vec<Arc<KeyRing>> {
    let mut rings = Vec::new();
    // PostgreSQL's clock, which ours is compared with, goes on while keys are made.
    let clock: Arc<dyn Clock> = if target.is_some() { Arc::new(SystemClock) } else { app.clock.clone() };
    for _ in 0..3 {
        let store = match target {
            Some(target) => Store::connect(target).await.unwrap(),
            None => app.store.clone(),
        };
        let (clock, entropy) = (clock.clone(), app.entropy.clone());
        let (url, kek) = (app.issuer.url().clone(), Kek::parse(kek).unwrap());
        rings.push(Arc::new(KeyRing::open(url, app.issuer.id(), store, kek, clock, entropy).await.unwrap()));
    }
    rings
}

async fn all_rotate(rings: &[Arc<KeyRing>]) -> Vec<Step> {
    let tries = rings.iter().map(|ring| {
        let ring = Arc::clone(ring);
        tokio::spawn(async move {
            ring.reload().await.unwrap();
            ring.rotate().await.unwrap()
        })
    });
    join_all(tries).await.into_iter().flat_map(Result::unwrap).collect()
}

/// The databases there are, with the clock that each is compared with.
fn targets() -> Vec<Option<(Target, postgres::TestDatabase)>> {
    let postgres = postgres::database().map(|database| {
        let target = Target::Postgres { url: Secret::new(database.url()) };
        Some((target, database))
    });
    [None].into_iter().chain(postgres).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threat_16_three_replicas_with_one_plan_make_one_standby_and_plan_one_hand_over() {
    for database in targets() {
        let target = database.as_ref().map(|(target, _)| target);
        let options = Options { target: target.cloned(), ..Options::default() };
        let app = App::when(SystemClock.now(), options).await;
        let keys = operator(&app).await;
        if target.is_some() {
            app.clock.set(SystemClock.now());
        }
        let standby = keys.list().await.unwrap().keys[1].key.kid.clone();
        keys.distrust(&standby, false).await.unwrap();
        let rings = replicas(&app, target, &app.kek).await;
        let made = all_rotate(&rings).await;
        let count = |steps: &[Step], is: fn(&Step) -> bool| steps.iter().filter(|step| is(step)).count();
        assert_eq!(count(&made, |step| matches!(step, Step::MakeStandby { .. })), 1, "{made:?}");
        assert_eq!(count(&made, |step| matches!(step, Step::Forget { .. })), 1, "{made:?}");
        assert_eq!(made.len(), 2, "{made:?}");

        if target.is_some() {
            app.clock.set(SystemClock.now());
        }
        let (before, now) = (app.issuer.keys().reload().await.unwrap(), app.clock.now());
        let next = before.keys.iter().find(|key| key.state(now) == KeyState::Next).unwrap();
        // As if it had been seen for twenty-six hours: time itself cannot be moved under PostgreSQL.
        let seen = [brevet::domain::rotation::Retimed {
            kid: next.kid.clone(),
            expected: next.times,
            times: brevet::domain::signing_key::KeyTimes {
                seen_from: Some(now - Duration::hours(26)),
                seen_until: Some(now),
                ..next.times
            },
        }];
        assert!(app.store.note_look(app.issuer.id(), now, &seen).await.unwrap());
        let planned = all_rotate(&rings).await;
        assert_eq!(planned.len(), 1, "{planned:?}");
        assert!(matches!(&planned[0], Step::HandOver { to, .. } if *to == next.kid), "{planned:?}");
        // Each step is one row, by nobody.
        let rows = app.rows(Action::SigningKeyHandOver).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(app.rows(Action::SigningKeyCreate).await.len(), 2, "the first pair, and the standby");
    }
}

#[tokio::test]
async fn threat_16_a_year_of_rounds_rotates_every_month_and_every_token_verifies_where_it_was_published() {
    let app = App::with(Options { own_keys: true, ..Options::default() }).await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let mut turns = Vec::new();
    // A verifier that fetches once a day and never in between, and one day late.
    let mut held: Vec<Vec<String>> = Vec::new();
    for _ in 0..120 {
        app.look().await;
        held.push(listed(&app).await);
        let token = app.token(&key, "sts.amazonaws.com").await;
        let kid = kid_of(&token);
        let copy = &held[held.len().saturating_sub(2)];
        assert!(copy.contains(&kid), "yesterday's copy lacks {kid}");
        assert_eq!(held.last().unwrap()[0], kid, "the signing key stands first");
        if turns.last() != Some(&kid) {
            turns.push(kid);
        }
        app.clock.advance(Duration::DAY);
    }
    assert_eq!(turns.len(), 4, "four turns in 120 days: {turns:?}");
    let keys = app.issuer.keys().snapshot().keys.clone();
    let gone = keys.iter().filter(|key| key.state(app.clock.now()) == KeyState::Gone);
    assert!(gone.clone().count() >= 2 && gone.clone().all(|key| key.forgotten_at.is_some()));
}

#[tokio::test]
async fn threat_40_a_forgotten_copy_at_the_public_address_holds_rotation_up_and_is_told() {
    let documents = Documents::start();
    let url = IssuerUrl::parse(documents.origin(), Development::On).unwrap();
    let app = App::at(url, Options::default()).await;
    let settings = fetch::Settings { reach: Reach::public().and_loopback(), ..Default::default() };
    let client = fetch::Client::new(settings).unwrap();
    let ring = app.issuer.keys().clone();
    let warnings = async || {
        ring.reload().await.unwrap();
        ring.public_warnings()
    };
    // Nobody answers there: that is told after some looks, and the keys stand unseen.
    assert!(ring.look(&client).await.is_err());
    assert_eq!(warnings().await, [] as [String; 0]);
    app.clock.advance(Duration::minutes(6));
    assert!(ring.look(&client).await.is_err());
    assert!(warnings().await[0].contains("has not answered since"), "{:?}", warnings().await);

    // A copy from before the standby was made, and with a key that is not ours.
    let jwks = app.send(Request::get(JWKS).body(Body::empty()).unwrap()).await.json();
    let point = ("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
    let strange = thumbprint(&PublicKey::new(KeyKind::P256, point.0, point.1).unwrap());
    let stranger = json!({
        "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "kid": strange.as_str(), "x": point.0, "y": point.1,
    });
    documents.put(JWKS, json!({ "keys": [jwks["keys"][0], stranger] }).to_string());
    for _ in 0..40 {
        app.clock.advance(Duration::DAY);
        ring.look(&client).await.unwrap();
        app.issuer.round().await;
    }
    let standby = jwks["keys"][1]["kid"].as_str().unwrap();
    let told = warnings().await.join("; ");
    assert!(told.contains(&format!("signing key {standby} is published, but")), "{told}");
    assert!(told.contains(&format!("{strange}, which is not to be published")), "{told}");
    assert!(told.contains("rotation has been due since"), "{told}");
    assert_eq!(signs(&app).as_str(), jwks["keys"][0]["kid"].as_str().unwrap());
    let parts = app.issuer.readiness().await;
    assert!(parts.iter().all(|part| part.fault.is_none()), "it mints: {parts:?}");
    assert!(parts.iter().any(|part| part.name == "public_keys" && part.warning.is_some()), "{parts:?}");

    // The copy is mended: a lead time later the standby takes over.
    documents.put(JWKS, jwks.to_string());
    for _ in 0..28 {
        app.clock.advance(Duration::HOUR);
        ring.look(&client).await.unwrap();
        app.issuer.round().await;
    }
    assert_eq!(signs(&app).as_str(), standby);
    // The next standby is missing from the mended copy in its turn; nothing else is wrong any more.
    let told = warnings().await;
    assert!(told.iter().all(|warning| warning.contains("does not list it")), "{told:?}");
}

#[tokio::test]
async fn operators_change_the_algorithm_by_rotation_and_early_words_are_refused_with_the_date() {
    let app = App::start().await;
    let keys = operator(&app).await;
    let first = signs(&app);
    let prepared = keys.prepare(KeyKind::P256).await.unwrap();
    assert_eq!((prepared.signs.as_ref(), prepared.distrusted.len()), (Some(&first), 0));
    assert_eq!(states(&app), [KeyState::Next, KeyState::Active, KeyState::Gone]);
    app.look().await;
    let until = app.clock.now() + Duration::hours(25);
    let refused = keys.rotate().await.unwrap_err();
    assert!(
        matches!(&refused, KeyRefused::Rotate(RotateRefused::TooYoung { until: told, .. }) if *told == until),
        "{refused}"
    );
    app.clock.advance(Duration::hours(25));
    app.look().await;
    let rotated = keys.rotate().await.unwrap();
    assert_eq!(rotated.signs, prepared.standby);
    let snapshot = app.issuer.keys().snapshot();
    assert_eq!(signing_key(&snapshot.keys, app.clock.now()).unwrap().kind, KeyKind::P256);
    let discovery = {
        app.issuer.round().await;
        app.get("/.well-known/openid-configuration", None).await.json()
    };
    let algorithms = discovery["id_token_signing_alg_values_supported"].as_array().unwrap();
    assert!(algorithms.contains(&json!("ES256")) && algorithms.contains(&json!("RS256")), "{discovery}");
    let rows: Vec<_> = [Action::SigningKeyPrepare, Action::SigningKeyRotate].into();
    for action in rows {
        let row = app.rows(action).await;
        assert_eq!(row.len(), 1, "{action}");
        assert!(row[0].credential.is_some(), "{action}: an operator's");
    }
}

#[tokio::test]
async fn threat_15_a_distrusted_signing_key_mints_nothing_more_anywhere_and_what_fails_is_told_first() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let keys = operator(&app).await;
    // The first standby takes over at no cost; its successor is young.
    let first = signs(&app);
    assert!(keys.distrust(&first, false).await.unwrap().outage.is_none());
    app.issuer.round().await;
    app.look().await;
    app.clock.advance(Duration::HOUR);
    let second = signs(&app);
    assert_ne!(first, second);

    let refused = keys.distrust(&second, false).await.unwrap_err();
    assert!(matches!(refused, KeyRefused::OutageNotAccepted(_)), "{refused}");
    assert_eq!(signs(&app), second, "nothing was changed");
    let other = replicas(&app, None, &app.kek).await;
    let done = keys.distrust(&second, true).await.unwrap();
    let outage = done.outage.unwrap();
    assert!(outage.until > done.at && outage.surely_until > outage.until);
    assert_eq!(done.accepted_until, Some(done.at + Duration::HOUR));
    assert_eq!(done.distrusted, [second.as_str()].map(|kid| Kid::parse(kid).unwrap()));
    let token = app.token(&key, "sts.amazonaws.com").await;
    assert_eq!(Some(kid_of(&token)), done.signs.map(|kid| kid.to_string()));
    assert!(!listed(&app).await.contains(&second.to_string()));
    // A replica that has read it neither signs with the key nor lists it, on whatever clock.
    app.clock.set(app.clock.now() - Duration::seconds(5));
    for ring in other {
        let read = ring.reload().await.unwrap();
        let signs = ring.signing(app.clock.now()).await.unwrap();
        assert_ne!(*signs.set.kid(), second);
        assert!(read.keys.iter().all(|key| key.kid != second || !key.times.is_published(app.clock.now())));
    }
    let unknown = Kid::from_thumbprint(&[9; 32]);
    assert!(matches!(keys.distrust(&unknown, true).await, Err(KeyRefused::Distrust(DistrustRefused::Unknown(_)))));
    assert!(matches!(keys.distrust(&second, true).await, Err(KeyRefused::Distrust(DistrustRefused::Over { .. }))));
}

#[tokio::test]
async fn threat_16_a_replica_with_an_old_snapshot_signs_with_the_new_key_after_one_refused_row() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    app.token(&key, "sts.amazonaws.com").await;
    // Another replica rotates; this one has not heard of it.
    let other = replicas(&app, None, &app.kek).await;
    let before = signs(&app);
    let elsewhere = {
        let (snapshot, now) = (other[0].snapshot(), app.clock.now());
        let done = brevet::domain::rotation::distrust(&snapshot.keys, &snapshot.schedule, &before, now).unwrap();
        let update = brevet::store::KeysUpdate {
            expected_version: snapshot.row.keys_version,
            times: &done.change.times,
            ..Default::default()
        };
        app.store.change_keys(app.issuer.id(), &update, &app.event()).await.unwrap();
        done.successor.unwrap()
    };
    assert_eq!(signs(&app), before, "its snapshot is old");
    let token = app.token(&key, "sts.amazonaws.com").await;
    assert_eq!(kid_of(&token), elsewhere.as_str());
}

#[tokio::test]
async fn threat_15_a_key_distrusted_elsewhere_leaves_the_jwks_also_by_a_clock_that_is_off() {
    for days in [300, -300] {
        let app = App::start().await;
        // The first key is forgotten by now: by a clock that is behind it would sign.
        let keys = operator(&app).await;
        keys.distrust(&signs(&app), true).await.unwrap();
        app.look().await;
        app.clock.advance(Duration::HOUR);
        app.issuer.round().await;
        let first = served(&app).await;
        let stolen = signs(&app);
        let snapshot = app.issuer.keys().snapshot();
        let now = app.clock.now();
        let done = brevet::domain::rotation::distrust(&snapshot.keys, &snapshot.schedule, &stolen, now).unwrap();
        let update = brevet::store::KeysUpdate {
            expected_version: snapshot.row.keys_version,
            times: &done.change.times,
            ..Default::default()
        };
        app.store.change_keys(app.issuer.id(), &update, &app.event()).await.unwrap();
        // So far off, nothing that is published would be by the rows.
        app.clock.set(app.clock.now() + Duration::days(days));
        for _ in 0..2 {
            app.issuer.round().await;
            let left: Vec<_> = first.iter().filter(|kid| **kid != stolen.as_str()).cloned().collect();
            assert_eq!(served(&app).await, left, "{days} days");
        }
    }
}

#[tokio::test]
async fn threat_15_what_an_operator_does_to_keys_is_published_when_the_answer_comes() {
    let app = App::start().await;
    let keys = operator(&app).await;
    let first = served(&app).await;
    let stolen = signs(&app);
    keys.distrust(&stolen, true).await.unwrap();
    assert_eq!(served(&app).await, first[1..]);
    let standby = keys.prepare(KeyKind::P256).await.unwrap().standby.unwrap();
    assert_eq!(served(&app).await, [first[1].as_str(), standby.as_str()]);
    let done = keys.replace_all(None, true).await.unwrap();
    assert_eq!(served(&app).await, [done.signs.unwrap().as_str(), done.standby.unwrap().as_str()]);
    let change = ChangeNumbers { max_age: Some(1800), ..ChangeNumbers::default() };
    keys.renumber(change, None).await.unwrap();
    let jwks = app.get(JWKS, None).await;
    assert_eq!(jwks.header("cache-control"), Some("public, max-age=1800"));
    // By a clock that is off, what is published stays.
    app.clock.set(app.clock.now() + Duration::hours(9));
    let before = served(&app).await;
    assert!(keys.replace_all(None, true).await.is_err());
    assert_eq!(served(&app).await, before);
}

#[tokio::test]
async fn threat_17_what_cannot_be_saved_is_published_and_saved_later() {
    let app = App::start().await;
    let keys = operator(&app).await;
    let [file, beside] = ["published.json", "published.json.new"].map(|name| app.dir.path().join(name));
    let saved = || std::fs::read_to_string(&file).unwrap();
    let before = saved();
    std::fs::create_dir(&beside).unwrap();
    let standby = keys.prepare(KeyKind::P256).await.unwrap().standby.unwrap();
    assert!(served(&app).await.contains(&standby.to_string()));
    assert_eq!(saved(), before, "where a folder stands no file is made");
    std::fs::remove_dir(&beside).unwrap();
    app.issuer.round().await;
    assert!(saved().contains(standby.as_str()));
}

#[tokio::test]
async fn threat_15_replace_all_leaves_nothing_of_the_old_keys() {
    let app = App::start().await;
    let keys = operator(&app).await;
    let before = listed(&app).await;
    assert!(matches!(keys.replace_all(None, false).await, Err(KeyRefused::OutageNotAccepted(_))));
    let done = keys.replace_all(Some(KeyKind::P256), true).await.unwrap();
    assert_eq!(done.distrusted.len(), 2);
    let after = listed(&app).await;
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|kid| !before.contains(kid)));
    assert_eq!(done.signs.map(|kid| kid.to_string()).as_ref(), after.first());
    app.issuer.round().await;
    assert!(
        app.issuer
            .keys()
            .snapshot()
            .keys
            .iter()
            .all(|key| key.forgotten_at.is_some() == key.times.revoked_at.is_some()),
        "the old private halves are destroyed"
    );
    assert_eq!(app.rows(Action::SigningKeyReplaceAll).await.len(), 1);
}

#[tokio::test]
async fn numbers_that_break_a_rule_are_refused_with_the_arithmetic_and_raised_ones_postpone() {
    let app = App::start().await;
    let keys = operator(&app).await;
    let refused =
        keys.renumber(ChangeNumbers { keep_after_sign: Some(60), ..Default::default() }, None).await.unwrap_err();
    assert!(refused.to_string().contains("must be at least 7570: 3600 longest token"), "{refused}");
    app.plan_hand_over().await;
    let planned = |app: &App| {
        let snapshot = app.issuer.keys().snapshot();
        signing_key(&snapshot.keys, app.clock.now()).unwrap().times.sign_until
    };
    let at = planned(&app).unwrap();
    let week = ChangeNumbers {
        max_age: Some(86_400),
        publish_before_sign: Some(7 * 86_400),
        keep_after_sign: Some(2 * 86_400),
        ..Default::default()
    };
    keys.renumber(week, None).await.unwrap();
    assert_eq!(planned(&app), None, "the standby has been seen for a day, not for seven; it was to sign at {at}");
    let seen = keys.list().await.unwrap();
    assert_eq!(seen.numbers.max_age, 86_400);
    assert_eq!(seen.next.map(|next| (next.what, next.at)), Some((What::Signs, at)), "still in time for its turn");
    let plan = keys.plan(app.clock.now() + Duration::days(90)).await.unwrap();
    assert!(plan.transitions.len() > 8 && plan.transitions.is_sorted_by_key(|transition| transition.at));
    let jwks = {
        app.issuer.round().await;
        app.get(JWKS, None).await
    };
    assert_eq!((jwks.status, jwks.header("cache-control")), (StatusCode::OK, Some("public, max-age=86400")));
}

#[tokio::test]
async fn a_replica_that_does_not_confirm_is_told_to_the_operator() {
    let app = App::start().await;
    let keys = operator(&app).await;
    let id = brevet::domain::id::ReplicaId::new(Uuid::from_u128(7));
    let now = app.clock.now();
    let confirm = async |version| {
        app.store.confirm_keys(id, "0.1.0", now, now, &[(app.issuer.id(), version)]).await.unwrap();
    };
    confirm(keys.list().await.map(|_| app.issuer.keys().snapshot().row.keys_version).unwrap()).await;
    assert_eq!(keys.list().await.unwrap().unconfirmed, []);
    let done = keys.prepare(KeyKind::P256).await.unwrap();
    assert_eq!(done.unconfirmed.iter().map(|replica| replica.id).collect::<Vec<_>>(), [id]);
    confirm(app.issuer.keys().snapshot().row.keys_version).await;
    assert_eq!(keys.list().await.unwrap().unconfirmed, []);
}
