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
}

/// Rows a minute about foreign tokens that fit none of one service account's trust rules.
const TOLD: u32 = 10;

impl Limits {
    pub(super) fn new(numbers: &LimitNumbers) -> Self {
        Self {
            credential: KeyedRate::new(numbers.credential),
            principal: KeyedRate::new(numbers.principal),
            team: KeyedRate::new(numbers.team),
            address: KeyedRate::new(numbers.address),
            failures: GuardedRate::new(numbers.failures),
            told: KeyedRate::new(numbers.failures.at_most(TOLD)),
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
