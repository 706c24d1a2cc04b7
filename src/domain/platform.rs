//! What a platform backend may do in the teams of its list: a closed set of rights, none of them implied.

use std::collections::BTreeSet;
use std::fmt;

/// One right of a platform key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlatformRight {
    /// Mint for service accounts (`on_behalf_of`).
    MintForServiceAccounts,
    /// Mint for people (`on_behalf_of`).
    MintForUsers,
    /// Open runs of service accounts.
    OpenRuns,
    /// Open runs of people.
    OpenRunsForUsers,
    /// Register people, memberships and service accounts, with their keys.
    RegisterPrincipals,
    /// Make teams; a new one joins the key's list.
    RegisterTeams,
}

impl PlatformRight {
    /// Every right there is.
    pub const ALL: [Self; 6] = [
        Self::MintForServiceAccounts,
        Self::MintForUsers,
        Self::OpenRuns,
        Self::OpenRunsForUsers,
        Self::RegisterPrincipals,
        Self::RegisterTeams,
    ];

    /// The word in JSON and on the terminal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MintForServiceAccounts => "mint_for_service_accounts",
            Self::MintForUsers => "mint_for_users",
            Self::OpenRuns => "open_runs",
            Self::OpenRunsForUsers => "open_runs_for_users",
            Self::RegisterPrincipals => "register_principals",
            Self::RegisterTeams => "register_teams",
        }
    }

    /// The exact inverse of [`PlatformRight::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == text)
    }
}

impl fmt::Display for PlatformRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rights of one platform key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlatformRights(BTreeSet<PlatformRight>);

impl PlatformRights {
    /// Whether `right` is among them.
    pub fn includes(&self, right: PlatformRight) -> bool {
        self.0.contains(&right)
    }

    /// Each of them, in the order of [`PlatformRight::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = PlatformRight> + '_ {
        self.0.iter().copied()
    }

    /// The words with a comma between, as the store keeps them.
    pub fn to_text(&self) -> String {
        self.0.iter().map(|right| right.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The exact inverse of [`PlatformRights::to_text`]; an unknown word is refused, never dropped.
    pub fn parse(text: &str) -> Option<Self> {
        text.split(',').filter(|word| !word.is_empty()).map(PlatformRight::parse).collect::<Option<_>>().map(Self)
    }
}

impl FromIterator<PlatformRight> for PlatformRights {
    fn from_iter<I: IntoIterator<Item = PlatformRight>>(rights: I) -> Self {
        Self(rights.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_survive_the_round_trip_and_unknown_ones_are_refused() {
        let rights: PlatformRights = [PlatformRight::OpenRuns, PlatformRight::MintForUsers].into_iter().collect();
        assert_eq!(PlatformRights::parse(&rights.to_text()), Some(rights.clone()));
        assert!(rights.includes(PlatformRight::OpenRuns) && !rights.includes(PlatformRight::OpenRunsForUsers));
        assert_eq!(PlatformRights::parse(""), Some(PlatformRights::default()));
        assert_eq!(PlatformRights::parse("open_runs,everything"), None);
    }
}
