//! How often callers may come: per credential, principal, team and address.

use std::net::IpAddr;

use crate::domain::audit::Origin;
use crate::domain::id::{CredentialId, ServiceAccountUid, TeamUid};
use crate::domain::principal::Principal;
use crate::limit::rate::{GuardedRate, KeyedRate, Limited, Rate, RateError};

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
    /// Mints and exchanges in flight at once.
    pub in_flight: usize,
}

impl LimitNumbers {
    /// Generous ones for a host of `cores` cores: far above what an honest caller does, far below what would
    /// move others. 64 mints in flight per core are about 18 ms of signing.
    pub fn for_cores(cores: usize) -> Result<Self, RateError> {
        Ok(Self {
            credential: Rate::new(6_000, 1_000)?,
            principal: Rate::new(6_000, 1_000)?,
            team: Rate::new(60_000, 5_000)?,
            address: Rate::new(300_000, 60_000)?,
            failures: Rate::new(600, 200)?,
            in_flight: 64 * cores.max(1),
        })
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
    guesses: KeyedRate,
    all_guesses: KeyedRate,
}

/// Rows a minute about foreign tokens that fit none of one service account's trust rules.
const TOLD: u32 = 10;

/// Devices a minute that ask to be let in, from one address: a company may stand behind one.
const DEVICES: u32 = 120;
/// The same from everywhere, on one replica: at most so many wait at once, times their ten minutes.
const ALL_DEVICES: Rate = Rate::at_least_one(1_200, 1_200);
/// User codes a minute that are tried from one address, right ones among them: so none is looked up uncounted, however
/// many are tried at once.
const GUESSES: u32 = 30;
/// The same from everywhere, on one replica. Of the 20^8 codes few are somebody's at once: while a hundred are, all
/// guesses together hit one of them in 296 days, while 12 000 are (the most that [`ALL_DEVICES`] lets wait) in 2 days,
/// and one that is meant in 81 years.
const ALL_GUESSES: Rate = Rate::at_least_one(600, 600);

impl Limits {
    pub(super) fn new(numbers: &LimitNumbers) -> Self {
        Self {
            credential: KeyedRate::new(numbers.credential),
            principal: KeyedRate::new(numbers.principal),
            team: KeyedRate::new(numbers.team),
            address: KeyedRate::new(numbers.address),
            failures: GuardedRate::new(numbers.failures),
            told: KeyedRate::new(numbers.failures.at_most(TOLD)),
            devices: KeyedRate::new(numbers.failures.at_most(DEVICES)),
            all_devices: KeyedRate::new(ALL_DEVICES),
            guesses: KeyedRate::new(numbers.failures.at_most(GUESSES)),
            all_guesses: KeyedRate::new(ALL_GUESSES),
        }
    }

    /// One request of a live credential from somewhere. Whole networks stand behind one address, so this is the wide one.
    pub(super) fn request(&self, credential: CredentialId, origin: &Origin) -> Result<(), Limited> {
        self.credential(credential)?;
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

    /// One user code that is tried.
    pub(super) fn guess(&self, origin: &Origin) -> Result<(), Limited> {
        self.guesses.take(&origin.address.map(network))?;
        self.all_guesses.take(&())
    }

    /// Whether somebody there has failed too often, asked before the database is. Counts nothing.
    pub(super) fn failing(&self, origin: &Origin) -> Result<(), Limited> {
        self.failures.peek(&origin.address.map(network))
    }

    /// One failed attempt from somewhere. Requests without an address share one rate.
    pub(super) fn failure(&self, origin: &Origin) -> Result<(), Limited> {
        self.failures.take(&origin.address.map(network))
    }
}

/// An IPv4 address, or the /64 of an IPv6 one: whoever has one address of a /64 has all of them.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (!0 << 64)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_24_an_ipv6_network_counts_as_one_address() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }
}
