//! Slows down whoever was refused for want of room and comes back at once all the same.
//!
//! A refusal costs little; but connections that ask again the moment they are refused take, by the thousand, the
//! processors from those that were let in. So one network hears refusals at once only so often. Beyond that a refusal
//! waits as long as its `Retry-After` asked for at least, and holds nothing meanwhile but its connection.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Request;
use http::StatusCode;
use tokio::time::sleep;

use super::client_address::ClientAddress;
use crate::limit::network::network;
use crate::limit::rate::{KeyedRate, Rate};

/// Refusals of one network that are answered at once: a hundred a second.
const AT_ONCE: Rate = Rate::at_least_one(6_000, 200);
/// How long the others wait at least, and half of the most.
const PAUSE: Duration = Duration::from_secs(1);
/// Into how many instants the second second is divided.
const TURNS: u32 = 500;

/// How often each network was refused.
#[derive(Debug)]
pub struct Pace {
    at_once: KeyedRate,
    turn: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { at_once: KeyedRate::new(AT_ONCE), turn: AtomicU32::new(0) }
    }
}

impl Pace {
    /// Where a request comes from.
    pub fn network(request: &Request) -> Option<IpAddr> {
        request.extensions().get::<ClientAddress>().map(|client| network(client.0))
    }

    /// Lets a 429 or 503 to `network` go at once as long as there are few of them, and else after one second to two.
    pub async fn keep(&self, network: Option<IpAddr>, status: StatusCode) {
        let refused = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if refused && self.at_once.take(&network).is_err() {
            sleep(self.pause()).await;
        }
    }

    /// Another one each time: those that were told in the same instant would come back as one.
    fn pause(&self) -> Duration {
        PAUSE + PAUSE / TURNS * (self.turn.fetch_add(1, Ordering::Relaxed) % TURNS)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn threat_24_who_is_refused_and_asks_again_at_once_waits_and_nobody_else_does() {
        let pace = Pace::default();
        let at_once = |status: StatusCode, from: &str| pace.keep(from.parse().ok(), status).now_or_never().is_some();
        let (full, red, blue) = (StatusCode::SERVICE_UNAVAILABLE, "192.0.2.1", "192.0.2.2");
        let answered = (0..2000).filter(|_| at_once(full, red)).count();
        assert!((200..2000).contains(&answered), "{answered} were answered at once");
        assert!(!(0..2000).all(|_| at_once(StatusCode::TOO_MANY_REQUESTS, red)));
        assert!((0..2000).all(|_| at_once(StatusCode::OK, red)), "an answer that is none of these never waits");
        assert!(at_once(full, blue), "nor does another network");
    }

    #[test]
    fn threat_24_late_refusals_are_spread_over_a_second() {
        let pace = Pace::default();
        let mut pauses: Vec<_> = (0..TURNS).map(|_| pace.pause()).collect();
        assert!(pauses.iter().all(|pause| (PAUSE..2 * PAUSE).contains(pause)));
        pauses.sort_unstable();
        pauses.dedup();
        assert_eq!(pauses.len(), TURNS as usize);
    }
}
