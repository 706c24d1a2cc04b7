//! Slows down whoever was told to come back (429, 503) and comes back at once all the same.
//!
//! A refusal costs little; but connections that ask again the moment they are refused take, by the thousand, the
//! processors from those that were let in. So a team hears refusals at once only so often, from however many networks; so
//! does a credential that is of no one team, and its network; so does a network of which no requester is known, and all of
//! those together. Beyond that a refusal comes a second or two late, and holds nothing meanwhile but its connection, or its
//! stream of one. A refusal that is kept costs memory: where the room of a network is full, or that of all, it goes at once.
//! Whoever resets the stream instead of waiting does not wait either; the limits of requests bound that.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use tokio::time::sleep;

use super::client_address::ClientAddress;
use crate::domain::requester::Requester;
use crate::http::error::ProblemAnswer;
use crate::http::error::oauth::OAuthAnswer;
use crate::limit::network::network;
use crate::limit::rate::{KeyedRate, Rate};
use crate::limit::share::Shares;

/// Refusals of one network or one requester that are answered at once: a hundred a second.
const AT_ONCE: Rate = Rate::at_least_one(6_000, 200);
/// Refusals of no requester that are answered at once, of all networks together: a thousand a second. Strangers are free to
/// come from many, and each refusal takes its part of a millisecond from those who have a right to be served.
const STRANGERS_AT_ONCE: Rate = Rate::at_least_one(60_000, 2_000);
/// How long the others wait at least, and half of the most.
const PAUSE: Duration = Duration::from_secs(1);
/// Into how many instants the second second is divided.
const TURNS: u32 = 500;

/// How many wait at most, and how many of them for one network: as many as a listener has connections, since HTTP/1.1 asks
/// one thing at a time.
const ROOM: usize = 4 * EACH;
const EACH: usize = 4_096;

/// How often everyone was refused.
#[derive(Debug)]
pub struct Pace {
    at_once: KeyedRate,
    strangers_at_once: KeyedRate,
    room: Shares<Option<IpAddr>>,
    turn: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            at_once: KeyedRate::new(AT_ONCE),
            strangers_at_once: KeyedRate::new(STRANGERS_AT_ONCE),
            room: Shares::new(ROOM, EACH),
            turn: AtomicU32::new(0),
        }
    }
}

impl Pace {
    /// Where a request comes from.
    pub fn network(request: &Request) -> Option<IpAddr> {
        request.extensions().get::<ClientAddress>().map(|client| network(client.0))
    }

    /// Whether an answer to `network` may go at once, or is a 429 or 503 of which it, or the requester, has heard many.
    pub fn allows(&self, network: Option<IpAddr>, response: &Response) -> bool {
        if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return true;
        }
        let (problem, oauth) = (response.extensions().get(), response.extensions().get());
        let requester = problem.and_then(ProblemAnswer::requester).or_else(|| oauth.and_then(OAuthAnswer::requester));
        match requester {
            // Who shares its network has not asked for it.
            Some(team @ Requester::Team(_)) => self.at_once.take(team).is_ok(),
            // Counted for both, so that neither many networks nor many credentials help.
            Some(credential @ Requester::Credential(_)) => {
                let credential = self.at_once.take(credential).is_ok();
                self.at_once.take(&network).is_ok() && credential
            }
            None => self.at_once.take(&network).is_ok() && self.strangers_at_once.take(&()).is_ok(),
        }
    }

    /// What an answer to `network` that may not go at once waits, where there is room.
    pub async fn wait(&self, network: Option<IpAddr>) {
        if let Ok(_place) = self.room.take(&network, 1) {
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
    use std::net::Ipv4Addr;

    use axum::response::IntoResponse as _;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::domain::id::{CredentialId, TeamUid};
    use crate::http::error::Code;
    use crate::http::error::oauth::OAuthCode;

    #[test]
    fn threat_24_who_is_refused_and_asks_again_at_once_waits_and_nobody_else_does() {
        let pace = Pace::default();
        let at_once = |status: StatusCode, from: &str| pace.allows(from.parse().ok(), &status.into_response());
        let (full, red, blue) = (StatusCode::SERVICE_UNAVAILABLE, "192.0.2.1", "192.0.2.2");
        let answered = (0..2000).filter(|_| at_once(full, red)).count();
        assert!((200..2000).contains(&answered), "{answered} were answered at once");
        assert!(!(0..2000).all(|_| at_once(StatusCode::TOO_MANY_REQUESTS, red)));
        assert!((0..2000).all(|_| at_once(StatusCode::OK, red)), "an answer that is none of these never waits");
        assert!(at_once(full, blue), "nor does another network");
    }

    #[test]
    fn threat_24_one_team_and_one_credential_wait_from_however_many_networks_they_come() {
        let pace = Pace::default();
        let heard = |refusal: &dyn Fn() -> Response| {
            let networks = (0..2000).map(|n| Some(Ipv4Addr::from_bits(0x0a00_0000 + n).into()));
            networks.filter(|network| pace.allows(*network, &refusal())).count()
        };
        let problem = |of: Option<Requester>| ProblemAnswer::new(Code::Unavailable, "").asked_by(of).into_response();
        assert_eq!(heard(&|| problem(None)), 2000, "each network is of its own");
        let told: usize = (0..5).map(|_| heard(&|| problem(None))).sum();
        assert!(told < 9000, "{told} of strangers of 2,000 networks were answered at once");
        let [red, blue] = ["red", "blue"].map(|uid| Requester::Team(TeamUid::parse(uid).unwrap()));
        let told = heard(&|| problem(Some(red.clone())));
        assert!((200..2000).contains(&told), "{told} of one team were answered at once");
        let person = Requester::Credential(CredentialId::new(uuid::Uuid::from_u128(1)));
        let told = heard(&|| OAuthAnswer::new(OAuthCode::RateLimited, "").asked_by(person.clone()).into_response());
        assert!((200..2000).contains(&told), "{told} of one credential were answered at once");
        assert!(pace.allows(None, &problem(Some(blue.clone()))), "another team is not moved");
        // Nor is it where they share a network.
        let shared = "192.0.2.1".parse().ok();
        assert!(!(0..2000).all(|_| pace.allows(shared, &problem(Some(red.clone())))));
        assert!(pace.allows(shared, &problem(Some(blue))), "however many strangers there are");
    }

    #[tokio::test]
    async fn threat_24_so_many_wait_and_no_more() {
        let pace = Pace::default();
        let network = |n: u8| Some(Ipv4Addr::new(192, 0, 2, n).into());
        let wait = |n: u8| Box::pin(pace.wait(network(n)));
        let mut waiting: Vec<_> = (0..EACH).map(|_| wait(1)).collect();
        assert!(waiting.iter_mut().all(|wait| wait.now_or_never().is_none()));
        assert!(wait(1).now_or_never().is_some(), "the network's room is full");
        assert!(wait(2).now_or_never().is_none(), "and nobody else's");
        waiting.pop();
        assert!(wait(1).now_or_never().is_none(), "whoever hangs up makes room");
        let mut others: Vec<_> = (EACH..=ROOM).map(|n| wait(u8::try_from(n % 200).unwrap() + 2)).collect();
        assert!(others.iter_mut().all(|wait| wait.now_or_never().is_none()));
        assert!(wait(250).now_or_never().is_some(), "the room of all is full");
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
