//! What is forgotten in time: audit rows past their retention, and the keys of old repeats.

use brevet::config::host::SystemClock;
use brevet::domain::audit::{Action, Event};
use brevet::domain::clock::Clock;
use brevet::domain::id::EventId;
use brevet::issuer::retention::Forgotten;
use brevet::store::{AuditWriter, EventFilter, Page, Store, Target};
use time::Duration;

use crate::support::app::App;
use crate::support::served::Served;

#[tokio::test]
async fn rows_go_when_their_retention_is_over_and_not_a_day_before() {
    let app = App::start().await;
    let team = app.team("red").await;
    let key = app.agent_key(&app.agent(&team, "bot").await).await.0;
    app.token(&key, "sts.amazonaws.com").await;
    let retention = Duration::days(400);
    app.clock.advance(Duration::days(399));
    assert_eq!(app.issuer.forget_old(retention).await.unwrap().audit_rows, 0);
    let late = app.event();
    app.issuer.audit().append(late.clone()).unwrap().committed().await.unwrap();
    app.clock.advance(Duration::days(2));
    let forgotten = app.issuer.forget_old(retention).await.unwrap();
    assert!(forgotten.audit_rows >= 2, "the token's row and those of its set-up: {forgotten:?}");
    let left = app.store.events(&EventFilter::default(), &Page::default()).await.unwrap().items;
    assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), [late.id]);
    let again = app.issuer.forget_old(retention).await.unwrap();
    assert_eq!(
        again,
        Forgotten { audit_rows: 0, idempotency_keys: 0, presented_tokens: 0, access_tokens: 0, sign_ins: 0 }
    );
}

/// Works in a runtime that ends with it, so that nothing keeps the store's lock.
fn on_its_own<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// The wiring: `serve` itself forgets, at its start and then daily, what is older than 400 days.
#[test]
fn a_serving_issuer_forgets_rows_of_more_than_400_days() {
    let mut served = Served::start();
    served.stop();
    let target = Target::Sqlite { path: served.home.path().join("brevet.db") };
    let now = SystemClock.now();
    let events = async || {
        let store = Store::connect(&target).await.unwrap();
        let rows = store.events(&EventFilter::default(), &Page::default()).await.unwrap().items;
        store.close().await;
        rows
    };
    let first = on_its_own(events()).remove(0);
    let row = |days: i64| Event {
        id: EventId::new(uuid::Uuid::from_u128(u128::from(days.unsigned_abs()))),
        at: now - Duration::days(days),
        issuer: first.issuer,
        action: Action::Bootstrap,
        decision: first.decision,
        reason: None,
        credential: None,
        worker: None,
        team: None,
        principal: None,
        target: None,
        token: None,
        origin: first.origin.clone(),
        count: 1,
    };
    let (old, young) = (row(401), row(399));
    on_its_own(async {
        let store = Store::connect(&target).await.unwrap();
        let writer = AuditWriter::start(store.clone());
        for row in [&old, &young] {
            writer.append(row.clone()).unwrap().committed().await.unwrap();
        }
        writer.drain().await;
        store.close().await;
    });
    served.serve();
    served.logged("audit rows past their retention are gone");
    served.stop();
    let left = on_its_own(events());
    let has = |row: &Event| left.iter().any(|other| other.id == row.id);
    assert!(!has(&old) && has(&young), "{left:?}");
}
