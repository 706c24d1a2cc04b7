//! The grants that the token endpoint knows.

/// What a client offers for an access token; a closed list, published in the metadata document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantType {
    /// Its own authentication (RFC 6749, section 4.4).
    ClientCredentials,
    /// Someone else's token (RFC 8693, section 2.1).
    TokenExchange,
    /// What a browser brought back to a person's terminal (RFC 6749, section 4.1).
    AuthorizationCode,
    /// A device that a person approved (RFC 8628, section 3.4).
    DeviceCode,
    /// The token that came with the last access token of a person's session (RFC 6749, section 6).
    RefreshToken,
}

impl GrantType {
    /// Every grant there is.
    pub const ALL: [Self; 5] =
        [Self::ClientCredentials, Self::TokenExchange, Self::AuthorizationCode, Self::DeviceCode, Self::RefreshToken];

    /// The value of `grant_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::AuthorizationCode => "authorization_code",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// The exact inverse of [`GrantType::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == text)
    }
}
