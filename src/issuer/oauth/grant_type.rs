//! The grants that the token endpoint knows.

/// What a client offers for an access token; a closed list, published in the metadata document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantType {
    /// Its own authentication (RFC 6749, section 4.4).
    ClientCredentials,
    /// Someone else's token (RFC 8693, section 2.1).
    TokenExchange,
}

impl GrantType {
    /// Every grant there is.
    pub const ALL: [Self; 2] = [Self::ClientCredentials, Self::TokenExchange];

    /// The value of `grant_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }

    /// The exact inverse of [`GrantType::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == text)
    }
}
