//! Why a fetch brought nothing back.

use std::error::Error;

/// What became of a request that has no answer. Names no URL, header or body: a path or query may hold a secret,
/// and an address learned from an error would tell an outsider about the inside (THREATS 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The guard refused before anything was sent; no retry helps.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The name has no address, or the resolver did not answer.
    #[error("the host's name could not be resolved")]
    Resolve,
    /// No TCP connection.
    #[error("the host could not be connected to")]
    Connect,
    /// No TLS session: untrusted or expired certificate, wrong name, no common version.
    #[error("no trusted TLS session with the host")]
    Tls,
    /// The whole answer, or the next part of a streamed one, did not come in time.
    #[error("the host did not answer in time")]
    Timeout,
    /// The body passed the cap.
    #[error("the answer is longer than {limit} bytes")]
    TooLarge {
        /// The cap, in bytes.
        limit: usize,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("the connection broke before the answer was whole")]
    Broken,
    /// Answered, with another status than the 200 that a document must have (a redirect, for one).
    #[error("the host answered with status {0} instead of 200")]
    Status(u16),
}

impl FetchError {
    /// Whether the same request may succeed a moment later.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Refused(_) | Self::Tls | Self::TooLarge { .. } => false,
            Self::Resolve | Self::Connect | Self::Timeout | Self::Broken => true,
            Self::Status(status) => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
        }
    }
}

/// Why the guard let a request not out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not an absolute URL with a host.
    #[error("URL must be absolute, with a host")]
    Url,
    /// Neither https nor plain http to a permitted loopback address.
    #[error("URL must begin with https:// (http:// only to a permitted loopback address)")]
    Scheme,
    /// `user:password@` in the URL.
    #[error("URL must not hold a user name or password")]
    Userinfo,
    /// The host is, or resolves to, an address out of reach ([`super::Reach`]).
    #[error("host must not be, or resolve to, a private or special address")]
    Address,
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        for cause in causes(&error) {
            if let Some(known) = cause.downcast_ref::<Self>() {
                return *known;
            }
            if cause.is::<rustls::Error>() {
                return Self::Tls;
            }
        }
        if error.is_builder() {
            Self::Refused(Refusal::Url)
        } else if error.is_connect() {
            Self::Connect
        } else {
            Self::Broken
        }
    }
}

/// The chain of sources, also through `io::Error`, whose own `source` skips the error it wraps.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
