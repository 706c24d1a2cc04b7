//! Where a request came from, for audit rows and limits.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::header::USER_AGENT;
use http::request::Parts;

use crate::domain::audit::Origin;
use crate::http::layer::client_address::ClientAddress;

/// Most characters kept of a `User-Agent`.
pub const USER_AGENT_MAX: usize = 200;

/// The client's address, as the listener's rule finds it, and its `User-Agent`.
pub struct ClientOrigin(pub Origin);

impl<S: Sync> FromRequestParts<S> for ClientOrigin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        let user_agent = parts.headers.get(USER_AGENT).map(|value| plain(value.as_bytes()));
        Ok(Self(Origin { address, user_agent }))
    }
}

/// Cut to [`USER_AGENT_MAX`] characters, and every control character replaced: it is read on terminals.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(USER_AGENT_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_is_cut_and_cannot_steer_a_terminal() {
        assert_eq!(plain(b"curl/8\x1b[31m\t\xff"), "curl/8\u{fffd}[31m\u{fffd}\u{fffd}");
        assert_eq!(plain(&[b'a'; 500]).len(), USER_AGENT_MAX);
    }
}
