//! How often callers may come: per credential, principal, team and address.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::audit::Origin;
use crate::domain::id::{CredentialId, ServiceAccountUid, TeamUid, UserUid};
use crate::domain::principal::Principal;
use crate::limit::admission::{Busy, Room};
use crate::limit::network::network;
use crate::limit::rate::{GuardedRate, KeyedRate, Limited, Rate, RateError};
use crate::limit::share::{Share, Shares};

/// The configurable numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitNumbers {
    /// Requests of one credential.
    pub credential: Rate,
    /// Tokens of one principal, over all its credentials.
    pub principal: Rate,
    /// Tokens of one team.
    pub team: Rate,
    /// Requests of one address (of one /64 in IPv6) with a live credential, whosever.
    pub address: Rate,
    /// Requests of one address that present no live credential, and tries of enrolment codes.
    pub failures: Rate,
    /// User codes that are tried from everywhere, on one replica.
    pub user_codes: Rate,
    /// Mints and exchanges in flight at once.
    pub in_flight: usize,
    /// Mints and exchanges that wait for a place.
    pub waiting: usize,
    /// How long each of them waits for it, and then again for its turn to sign. Whoever is told to come back comes a second later at the earliest.
    pub patience: Duration,
}

/// Who takes turns with others at the mint. A team is one, however many agents, runs and people it has; who may be of
/// several teams and has not shown of which is one alone, so that nobody stands in a foreign team's line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Party {
    /// Whoever is proven to be of this team.
    Team(TeamUid),
    /// A person of whom it is not remembered yet that the team is theirs.
    Person(UserUid),
    /// A platform that named no team of its own, or a worker.
    Credential(CredentialId),
}

/// Who takes turns with others at the store: a network, with what it shows that is not known here.
pub(super) type Stranger = Option<IpAddr>;

const PATIENCE: Duration = Duration::from_secs(1);
/// Of how many mints in flight one computes.
const COMPUTING: usize = 8;
/// A team is a crowd where more than one of its mints for each so many places wait or are worked for: it asks for more
/// than its turns serve in some ten milliseconds.
const CROWD: usize = 2;
/// Questions about strangers' credentials that the store has at once: half of the connections to PostgreSQL; SQLite
/// answers such a one in less time than it takes to ask.
const LOOK_UPS: usize = 8;

impl LimitNumbers {
    /// Generous ones for a host of `cores` cores: far above what an honest caller does, far below what would
    /// move others. 64 mints in flight per core keep an audit batch full while a slow disk commits another; 16 times
    /// as many wait, which is about 0.3 s of signing.
    pub fn for_cores(cores: usize) -> Result<Self, RateError> {
        Ok(Self {
            credential: Rate::new(6_000, 1_000)?,
            principal: Rate::new(6_000, 1_000)?,
            team: Rate::new(60_000, 5_000)?,
            address: Rate::new(300_000, 60_000)?,
            failures: Rate::new(600, 200)?,
            user_codes: Rate::new(600, 600)?,
            in_flight: 64 * cores.max(1),
            waiting: 1024 * cores.max(1),
            patience: PATIENCE,
        })
    }

    /// The room at the mint. No team has more than three quarters of the places and half of the lines.
    pub(super) fn mints(&self) -> Room {
        Room {
            places: self.in_flight,
            places_each: self.in_flight - self.in_flight / 4,
            computing: self.in_flight / COMPUTING,
            waiting: self.waiting,
            waiting_each: self.waiting.div_ceil(2),
            crowd: (self.in_flight / CROWD).max(1),
            patience: self.patience,
        }
    }

    /// The room at the store for what strangers show.
    pub(super) fn look_ups(&self) -> Room {
        Room { places: LOOK_UPS, places_each: LOOK_UPS - LOOK_UPS / 4, computing: LOOK_UPS, ..self.mints() }
    }
}

/// The limits at work.
#[derive(Debug)]
pub(super) struct Limits {
    credential: KeyedRate,
    principal: KeyedRate,
    team: KeyedRate,
    address: KeyedRate,
    failures: GuardedRate,
    told: KeyedRate,
    devices: KeyedRate,
    all_devices: KeyedRate,
    browsers: KeyedRate,
    all_browsers: KeyedRate,
    guesses: KeyedRate,
    all_guesses: KeyedRate,
    judged: Shares<Option<IpAddr>>,
    waiting: Shares<TeamUid>,
}

/// Rows a minute about foreign tokens that fit none of one service account's trust rules.
const TOLD: u32 = 10;
/// Tokens and assertions of strangers that are judged at once, for each mint that may be in flight. A place of their own:
/// however many strangers come, no mint is refused for them.
const JUDGED: usize = 4;

/// Devices a minute that ask to be let in, from one address: a company may stand behind one.
const DEVICES: u32 = 120;
/// The same from everywhere, on one replica: at most so many wait at once, times their ten minutes.
const ALL_DEVICES: Rate = Rate::at_least_one(1_200, 1_200);
/// Browsers a minute that begin, from one address. Rates of their own: a page somewhere that sends its visitors here
/// must not keep devices out, nor devices the browsers of those who want to approve one.
const BROWSERS: u32 = 120;
/// The same from everywhere, on one replica: each leaves a row of less than a kilobyte for ten minutes.
const ALL_BROWSERS: Rate = Rate::at_least_one(6_000, 6_000);
/// User codes a minute that are tried from one address, right ones among them: so none is looked up uncounted, however
/// many are tried at once. From everywhere it is [`LimitNumbers::user_codes`], 600 by itself. Of the 20^8 codes few are
/// somebody's at once: while a hundred are, all guesses together hit one of them in 296 days, while 12 000 are (the most
/// that [`ALL_DEVICES`] lets wait) in 2 days, and one that is meant in 81 years.
const GUESSES: u32 = 30;

impl Limits {
    pub(super) fn new(numbers: &LimitNumbers) -> Self {
        let judged = numbers.in_flight.saturating_mul(JUDGED).max(2);
        Self {
            judged: Shares::new(judged, judged / 2),
            // Half of the places are always there for those who wait for nobody's keys.
            waiting: Shares::new(judged / 2, judged.div_ceil(4)),
            credential: KeyedRate::new(numbers.credential),
            principal: KeyedRate::new(numbers.principal),
            team: KeyedRate::new(numbers.team),
            address: KeyedRate::new(numbers.address),
            failures: GuardedRate::new(numbers.failures),
            told: KeyedRate::new(numbers.failures.at_most(TOLD)),
            devices: KeyedRate::new(numbers.failures.at_most(DEVICES)),
            all_devices: KeyedRate::new(ALL_DEVICES),
            browsers: KeyedRate::new(numbers.failures.at_most(BROWSERS)),
            all_browsers: KeyedRate::new(ALL_BROWSERS),
            guesses: KeyedRate::new(numbers.failures.at_most(GUESSES)),
            all_guesses: KeyedRate::new(numbers.user_codes),
        }
    }

    /// One request of somebody known from somewhere. Whole networks stand behind one address, so this is the wide one.
    pub(super) fn known(&self, origin: &Origin) -> Result<(), Limited> {
        self.address.take(&origin.address.map(network))
    }

    /// One request of a known credential.
    pub(super) fn credential(&self, credential: CredentialId) -> Result<(), Limited> {
        self.credential.take(&credential.uuid())
    }

    /// One token of a principal.
    pub(super) fn principal(&self, principal: &Principal) -> Result<(), Limited> {
        self.principal.take(&(principal.actor_type(), principal.uid()))
    }

    /// One token of a team.
    pub(super) fn team(&self, team: &TeamUid) -> Result<(), Limited> {
        self.team.take(team)
    }

    /// One request that shows no credential of ours.
    pub(super) fn anonymous(&self, origin: &Origin) -> Result<(), Limited> {
        self.address.take(&origin.address.map(network))
    }

    /// One audit row about a stranger's token for a service account.
    pub(super) fn told(&self, account: &ServiceAccountUid) -> Result<(), Limited> {
        self.told.take(account)
    }

    /// One device that asks to be let in.
    pub(super) fn device(&self, origin: &Origin) -> Result<(), Limited> {
        self.devices.take(&origin.address.map(network))?;
        self.all_devices.take(&())
    }

    /// One browser that begins.
    pub(super) fn browser(&self, origin: &Origin) -> Result<(), Limited> {
        self.browsers.take(&origin.address.map(network))?;
        self.all_browsers.take(&())
    }

    /// One user code that is tried.
    pub(super) fn guess(&self, origin: &Origin) -> Result<(), Limited> {
        self.guesses.take(&origin.address.map(network))?;
        self.all_guesses.take(&())
    }

    /// Whether somebody there has failed too often, asked before the database is. Counts nothing.
    pub(super) fn failing(&self, origin: &Origin) -> Result<(), Limited> {
        self.failures.peek(&origin.address.map(network))
    }

    /// A place to judge a stranger's token or assertion in, of which one address never has them all.
    pub(super) fn judge(&self, origin: &Origin) -> Result<Share<Option<IpAddr>>, Busy> {
        self.judged.take(&origin.address.map(network), 1)
    }

    /// A place to wait for somebody's public keys in, of which those that one team has named never take all: they may be
    /// as slow as whoever holds them likes.
    pub(super) fn wait_for_keys(&self, team: &TeamUid) -> Result<Share<TeamUid>, Busy> {
        self.waiting.take(team, 1)
    }

    /// One failed attempt from somewhere. Requests without an address share one rate.
    pub(super) fn failure(&self, origin: &Origin) -> Result<(), Limited> {
        self.failures.take(&origin.address.map(network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Take = fn(&Limits, &Origin) -> Result<(), Limited>;

    #[test]
    fn threat_41_browsers_devices_and_guesses_empty_nobody_elses_rate() {
        let from = |n: u32| Origin { address: Some(IpAddr::from(n.to_be_bytes())), ..Origin::default() };
        let takes: [Take; 3] = [Limits::device, Limits::browser, Limits::guess];
        for (at, empties) in takes.into_iter().enumerate() {
            let limits = Limits::new(&LimitNumbers::for_cores(1).unwrap());
            // As many addresses as it takes until nobody gets in any more, wherever they come from.
            let mut address = 1;
            while empties(&limits, &from(address)).is_ok() || empties(&limits, &from(address + 1)).is_ok() {
                address += 1;
            }
            for (other, take) in takes.into_iter().enumerate().filter(|(other, _)| *other != at) {
                assert!(take(&limits, &from(u32::MAX)).is_ok(), "{at} empties {other}");
            }
        }
    }

    #[test]
    fn threat_24_no_team_has_all_places_and_lines_of_the_mint_and_no_network_all_questions() {
        let numbers = LimitNumbers::for_cores(2).unwrap();
        for room in [numbers.mints(), numbers.look_ups()] {
            assert!(room.places_each < room.places && room.waiting_each < room.waiting, "{room:?}");
            assert!(room.computing > 0 && room.computing <= room.places, "{room:?}");
        }
    }

    #[test]
    fn threat_24_no_address_and_no_team_has_all_the_places_of_strangers() {
        let numbers = LimitNumbers { in_flight: 2, ..LimitNumbers::for_cores(1).unwrap() };
        let limits = Limits::new(&numbers);
        let from = |text: &str| Origin { address: Some(text.parse().unwrap()), ..Origin::default() };
        let judge = |text: &str| limits.judge(&from(text));
        let held: Vec<_> = (0..4).map(|n| judge(&format!("2001:db8::{n}")).unwrap()).collect();
        assert!(judge("2001:db8::9").is_err(), "one network has its half");
        let other: Vec<_> = (0..4).map(|_| judge("192.0.2.1").unwrap()).collect();
        assert!(judge("192.0.2.2").is_err(), "and all places are taken");
        drop((held, other));
        assert!(judge("2001:db8::9").is_ok());
        let team = |uid: &str| limits.wait_for_keys(&TeamUid::parse(uid).unwrap());
        let slow: Vec<_> = (0..2).map(|_| team("red").unwrap()).collect();
        assert!(team("red").is_err() && team("blue").is_ok());
        drop(slow);
        assert!(team("red").is_ok());
    }
}
