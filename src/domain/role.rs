//! Roles: what a person may do to the installation or to a team. Agents hold none.

use std::fmt;

/// What an administrator of the installation may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstallationRole {
    /// Everything.
    Operator,
    /// Read everything, change nothing.
    Auditor,
}

/// What a member may do in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TeamRole {
    /// Mint for oneself.
    Member,
    /// That, and read what the team's admins read.
    Auditor,
    /// That, and change the team's members, agents and rules.
    Admin,
}

macro_rules! words {
    ($role:ty, $(($variant:ident, $word:literal)),+) => {
        impl $role {
            /// Every role there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in JSON and on the terminal.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// The exact inverse of `as_str`.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|role| role.as_str() == text)
            }
        }

        impl fmt::Display for $role {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(InstallationRole, (Operator, "operator"), (Auditor, "auditor"));
words!(TeamRole, (Member, "member"), (Auditor, "auditor"), (Admin, "admin"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_survives_the_round_trip_and_nothing_else_is_one() {
        for role in TeamRole::ALL {
            assert_eq!(TeamRole::parse(role.as_str()), Some(*role));
        }
        for role in InstallationRole::ALL {
            assert_eq!(InstallationRole::parse(role.as_str()), Some(*role));
        }
        assert_eq!((TeamRole::parse("Admin"), InstallationRole::parse("admin")), (None, None));
    }
}
