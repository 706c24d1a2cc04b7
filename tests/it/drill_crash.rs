//! SIGKILL of the issuer while it mints under load: every token that a client received has its audit row.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use brevet::client::Client;
use brevet::client::admin::Admin;
use brevet::domain::secret::Secret;
use brevet::fetch::{self, Limits, Reach};
use brevet::wire::mint::MintRequest;

use crate::support::served::Served;
use crate::support::variable;

/// How many clients mint at once.
const CLIENTS: usize = 8;

fn client(url: &str) -> Client {
    let limits = Limits { body: 4 * 1024 * 1024, total: Duration::from_mins(1), ..Limits::default() };
    let settings = fetch::Settings { reach: Reach::public().and_loopback(), limits, ..Default::default() };
    Client::new(url, fetch::Client::new(settings).unwrap())
}

/// Mints until the issuer is gone; the ids of the tokens that arrived.
async fn mint_until_gone(client: Client, key: Secret, gone: Arc<AtomicBool>) -> Vec<String> {
    let mut received = Vec::new();
    loop {
        match client.mint(&key, &MintRequest::default()).await {
            Ok(minted) => received.push(minted.token_id),
            Err(_) if gone.load(Ordering::Relaxed) => return received,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// The ids of all tokens that have a row saying that their release was authorised.
async fn rows(admin: &Admin) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    let mut after: Option<String> = None;
    loop {
        let mut filter = vec![("action", "token.mint".to_owned()), ("limit", "100".to_owned())];
        filter.extend(after.take().map(|after| ("after", after)));
        let page = admin.audit(None, &filter).await.expect("the audit is read");
        rows.extend(page.items.into_iter().filter_map(|event| Some(event.token?.token_id)));
        match page.next {
            Some(next) => after = Some(next),
            None => return rows,
        }
    }
}

#[test]
fn threat_42_a_killed_issuer_has_released_no_token_without_its_row() {
    let kills = variable("BREVET_DRILL_KILLS").map_or(3, |text| text.to_str().unwrap().parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut served = Served::start();
    let key = Secret::new(served.furnish());
    let mut received = BTreeSet::new();
    for kill in 1..=kills {
        let gone = Arc::new(AtomicBool::new(false));
        let minting: Vec<_> = (0..CLIENTS)
            .map(|_| runtime.spawn(mint_until_gone(client(&served.url), key.clone(), Arc::clone(&gone))))
            .collect();
        // Some moment in the middle of the load, another one each time.
        std::thread::sleep(Duration::from_millis(300 + 37 * (kill % 17)));
        served.kill();
        gone.store(true, Ordering::Relaxed);
        let before = received.len();
        for client in minting {
            received.extend(runtime.block_on(client).unwrap());
        }
        assert!(received.len() > before, "kill {kill} found no client with a token: there was no load");
        served.serve();
    }
    let admin = Admin::new(client(&served.url), Secret::new(served.admin_key.clone()));
    let rows = runtime.block_on(rows(&admin));
    let lost: Vec<_> = received.difference(&rows).collect();
    assert!(lost.is_empty(), "{} of {} tokens have no row: {lost:?}", lost.len(), received.len());
}
