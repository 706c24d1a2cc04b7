//! How long a token lives.

/// Shortest lifetime of a token, in seconds.
pub const LIFETIME_MIN: u32 = 60;
/// Longest lifetime of a token, in seconds.
pub const LIFETIME_MAX: u32 = 3600;
/// Lifetime where none is asked for, in seconds.
pub const LIFETIME_DEFAULT: u32 = 300;

/// A token lifetime: 60 to 3600 whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(u32);

/// A number that is no lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 60 to 3600 seconds")]
pub struct LifetimeError;

impl Lifetime {
    /// The longest there is, the cap of a team that sets none.
    pub const MAX: Self = Self(LIFETIME_MAX);
    /// Where the caller asks for none.
    pub const DEFAULT: Self = Self(LIFETIME_DEFAULT);

    /// Checks the bounds.
    pub fn new(seconds: u32) -> Result<Self, LifetimeError> {
        if (LIFETIME_MIN..=LIFETIME_MAX).contains(&seconds) { Ok(Self(seconds)) } else { Err(LifetimeError) }
    }

    /// Whole seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// The lifetime granted: what was asked (or the default), never more than any of `caps`.
    #[must_use]
    pub fn granted(asked: Option<Self>, caps: impl IntoIterator<Item = Self>) -> Self {
        caps.into_iter().fold(asked.unwrap_or(Self::DEFAULT), Self::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_shortens_and_nothing_lengthens() {
        let s = |n| Lifetime::new(n).unwrap();
        assert_eq!(Lifetime::new(59), Err(LifetimeError));
        assert_eq!(Lifetime::new(3601), Err(LifetimeError));
        assert_eq!(Lifetime::granted(None, [Lifetime::MAX]), Lifetime::DEFAULT);
        assert_eq!(Lifetime::granted(None, [s(120)]), s(120));
        assert_eq!(Lifetime::granted(Some(s(3600)), [s(900), s(600)]), s(600));
        assert_eq!(Lifetime::granted(Some(s(60)), [s(900)]), s(60));
    }
}
