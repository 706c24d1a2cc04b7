//! Slows down whoever was refused for want of room and comes back at once all the same.
//!
//! A refusal costs little; but connections that ask again the moment they are refused take, by the thousand, the
//! processors from those that were let in. So one network hears refusals at once only so often, and so do one credential
//! and one team, from however many networks they come. Beyond that a refusal waits as long as its `Retry-After` asked for
//! at least, and holds nothing meanwhile but its connection.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use tokio::time::sleep;

use super::client_address::ClientAddress;
use crate::domain::id::TeamUid;
use crate::http::error::ProblemAnswer;
use crate::limit::network::network;
use crate::limit::rate::{KeyedRate, Rate};

/// Refusals of one network, credential or team that are answered at once: a hundred a second.
const AT_ONCE: Rate = Rate::at_least_one(6_000, 200);
/// How long the others wait at least, and half of the most.
const PAUSE: Duration = Duration::from_secs(1);
/// Into how many instants the second second is divided.
const TURNS: u32 = 500;

/// Who asks, as far as it is known. A bearer is only compared here, whether it is anybody's or not.
#[derive(Debug)]
pub struct Asker {
    network: Option<IpAddr>,
    bearer: Option<HeaderValue>,
    team: Option<TeamUid>,
}

impl Asker {
    /// Where a request comes from, and what it shows.
    pub fn of(request: &Request) -> Self {
        let network = request.extensions().get::<ClientAddress>().map(|client| network(client.0));
        let mut bearer = request.headers().get(AUTHORIZATION).cloned();
        if let Some(bearer) = &mut bearer {
            // So that no `Debug` prints it.
            bearer.set_sensitive(true);
        }
        Self { network, bearer, team: None }
    }

    /// The same, with the team that the answer turned out to be for.
    #[must_use]
    pub fn of_team(self, response: &Response) -> Self {
        let team = response.extensions().get::<ProblemAnswer>().and_then(ProblemAnswer::team);
        Self { team: team.cloned(), ..self }
    }
}

/// How often everyone was refused.
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
    /// Lets a 429 or 503 go at once as long as `asker` has heard few of them, and else after one second to two.
    pub async fn keep(&self, asker: &Asker, status: StatusCode) {
        let refused = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if refused && !self.hears_at_once(asker) {
            sleep(self.pause()).await;
        }
    }

    /// Counts a refusal for all that is known of who hears it.
    fn hears_at_once(&self, Asker { network, bearer, team }: &Asker) -> bool {
        let network = self.at_once.take(&("network", network)).is_ok();
        let bearer = bearer.as_ref().is_none_or(|bearer| self.at_once.take(&("bearer", bearer)).is_ok());
        let team = team.as_ref().is_none_or(|team| self.at_once.take(&("team", team)).is_ok());
        network && bearer && team
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

    fn from(network: &str) -> Asker {
        Asker { network: network.parse().ok(), bearer: None, team: None }
    }

    #[tokio::test]
    async fn threat_24_who_is_refused_and_asks_again_at_once_waits_and_nobody_else_does() {
        let pace = Pace::default();
        let at_once = |status, asker: &Asker| pace.keep(asker, status).now_or_never().is_some();
        let (full, red, blue) = (StatusCode::SERVICE_UNAVAILABLE, from("192.0.2.1"), from("192.0.2.2"));
        let answered = (0..2000).filter(|_| at_once(full, &red)).count();
        assert!((200..2000).contains(&answered), "{answered} were answered at once");
        assert!(!(0..2000).all(|_| at_once(StatusCode::TOO_MANY_REQUESTS, &red)));
        assert!((0..2000).all(|_| at_once(StatusCode::OK, &red)), "an answer that is none of these never waits");
        assert!(at_once(full, &blue), "nor does another network");
    }

    #[tokio::test]
    async fn threat_24_one_credential_or_one_team_waits_from_however_many_networks_it_comes() {
        let pace = Pace::default();
        let at_once = |asker: &Asker| pace.keep(asker, StatusCode::SERVICE_UNAVAILABLE).now_or_never().is_some();
        let networks = || (0..2000_u32).map(|n| from(&std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string()));
        assert!(networks().all(|asker| at_once(&asker)), "each of its own");
        let bearer = |text| Some(HeaderValue::from_static(text));
        let heard = networks()
            .filter(|network| at_once(&Asker { network: network.network, bearer: bearer("Bearer red"), team: None }));
        let heard = heard.count();
        assert!((200..2000).contains(&heard), "{heard} of one credential were answered at once");
        let team = |uid| TeamUid::parse(uid).ok();
        let heard = networks().filter(|network| {
            let bearer = HeaderValue::from_str(&format!("Bearer {:?}", network.network)).ok();
            at_once(&Asker { network: network.network, bearer, team: team("red") })
        });
        let heard = heard.count();
        assert!((200..2000).contains(&heard), "{heard} of one team were answered at once");
        assert!(at_once(&Asker { bearer: bearer("Bearer blue"), team: team("blue"), ..from("192.0.2.2") }));
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
