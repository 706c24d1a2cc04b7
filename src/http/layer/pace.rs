//! Slows down whoever was refused for want of room and comes back at once all the same.
//!
//! A refusal costs little; but connections that ask again the moment they are refused take, by the thousand, the
//! processors from those that were let in. So one network hears refusals at once only so often, and so does whoever is
//! proven to ask, from however many networks they come. Beyond that a refusal comes a second or two late, and holds nothing
//! meanwhile but its connection, or its stream of one. Those that wait are counted too: where their room is full, whoever
//! comes next hears at once, since a refusal that is kept costs memory.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::client_address::ClientAddress;
use crate::http::error::ProblemAnswer;
use crate::http::error::oauth::OAuthAnswer;
use crate::limit::network::network;
use crate::limit::rate::{KeyedRate, Rate};

/// Refusals of one network or one requester that are answered at once: a hundred a second.
const AT_ONCE: Rate = Rate::at_least_one(6_000, 200);
/// How long the others wait at least, and half of the most.
const PAUSE: Duration = Duration::from_secs(1);
/// Into how many instants the second second is divided.
const TURNS: u32 = 500;

/// How many wait at most: twice what the connections of a listener can hold of HTTP/1.1, which asks one thing at a time.
const ROOM: usize = 8_192;

/// How often everyone was refused.
#[derive(Debug)]
pub struct Pace {
    at_once: KeyedRate,
    room: Semaphore,
    turn: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { at_once: KeyedRate::new(AT_ONCE), room: Semaphore::new(ROOM), turn: AtomicU32::new(0) }
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
        // Counted for both, whoever is the one that asks too often.
        let requester = requester.is_none_or(|requester| self.at_once.take(&requester).is_ok());
        self.at_once.take(&network).is_ok() && requester
    }

    /// What an answer that may not go at once waits, where there is room.
    pub async fn wait(&self) {
        if let Ok(_place) = self.room.try_acquire() {
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
    use crate::http::error::oauth::OAuthCode;
    use crate::http::error::{Code, Requester};

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
        let [red, blue] = ["red", "blue"].map(|uid| Requester::Team(TeamUid::parse(uid).unwrap()));
        let told = heard(&|| problem(Some(red.clone())));
        assert!((200..2000).contains(&told), "{told} of one team were answered at once");
        let person = Requester::Credential(CredentialId::new(uuid::Uuid::from_u128(1)));
        let told = heard(&|| OAuthAnswer::new(OAuthCode::RateLimited, "").asked_by(person.clone()).into_response());
        assert!((200..2000).contains(&told), "{told} of one credential were answered at once");
        assert!(pace.allows(None, &problem(Some(blue))), "another team is not moved");
    }

    #[tokio::test]
    async fn threat_24_so_many_wait_and_no_more() {
        let pace = Pace::default();
        let mut waiting: Vec<_> = (0..ROOM).map(|_| Box::pin(pace.wait())).collect();
        assert!(waiting.iter_mut().all(|wait| wait.now_or_never().is_none()));
        assert!(pace.wait().now_or_never().is_some(), "the room is full");
        waiting.pop();
        assert!(pace.wait().now_or_never().is_none(), "whoever hangs up makes room");
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
