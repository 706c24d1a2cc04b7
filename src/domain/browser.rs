//! What ties a browser to its way through the sign-in pages: one random secret in its cookie, from which all else is
//! derived, so that the store holds nothing that could finish a sign-in.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::credential::SecretHash;
use super::entropy::Entropy;
use super::id::UpstreamUid;
use super::secret::{RANDOM_LEN, Secret};

/// The secret of one browser's sign-in: 32 random bytes in base64url.
#[derive(Debug, Clone)]
pub struct BrowserSecret(Secret);

/// For what a text is derived of a [`BrowserSecret`]; one is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derived {
    /// `state` at the upstream provider (RFC 6749, section 10.12).
    State,
    /// `nonce` of its ID token (OpenID Connect Core 1.0, section 3.1.2.1).
    Nonce,
    /// The PKCE verifier (RFC 7636): 43 characters.
    Verifier,
    /// The token that every form of the pages carries.
    Form,
}

impl Derived {
    const fn label(self) -> &'static str {
        match self {
            Self::State => "brevet upstream state",
            Self::Nonce => "brevet upstream nonce",
            Self::Verifier => "brevet upstream pkce verifier",
            Self::Form => "brevet form token",
        }
    }
}

impl BrowserSecret {
    /// Makes a new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(Secret::random(entropy))
    }

    /// Takes a cookie's value for one, by its form alone.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == RANDOM_LEN && URL_SAFE_NO_PAD.decode(text).is_ok();
        fits.then(|| Self(Secret::new(text.to_owned())))
    }

    /// The cookie's value.
    pub const fn secret(&self) -> &Secret {
        &self.0
    }

    /// What is stored instead of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0.expose())
    }

    /// HMAC-SHA-256 of the label under the secret, in base64url: 43 characters.
    pub fn derive(&self, what: Derived) -> Secret {
        self.hmac(what.label())
    }

    /// The browser's secret for what goes to one provider and comes back from it. A provider that a browser was sent to
    /// has seen state, nonce and, once it is asked for tokens, verifier: none of them may fit what the same browser is
    /// then sent to another provider with (RFC 9700, section 4.4).
    #[must_use]
    pub fn at(&self, provider: &UpstreamUid) -> Self {
        Self(self.hmac(&format!("brevet upstream provider {provider}")))
    }

    fn hmac(&self, label: &str) -> Secret {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose().as_bytes());
        Secret::new(URL_SAFE_NO_PAD.encode(hmac::sign(&key, label.as_bytes())))
    }

    /// Whether `text` is what is derived for `what`, in constant time.
    pub fn matches(&self, what: Derived, text: &str) -> bool {
        constant_time::verify_slices_are_equal(self.derive(what).expose().as_bytes(), text.as_bytes()).is_ok()
    }

    /// The PKCE challenge of [`Derived::Verifier`], method `S256`.
    pub fn challenge(&self) -> String {
        let verifier = self.derive(Derived::Verifier);
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.expose().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::seeded::SeededEntropy;

    fn made(seed: u64) -> BrowserSecret {
        BrowserSecret::generate(&SeededEntropy::new(seed))
    }

    #[test]
    fn what_is_derived_for_one_purpose_or_browser_fits_no_other() {
        let (one, other) = (made(1), made(2));
        let all = [Derived::State, Derived::Nonce, Derived::Verifier, Derived::Form];
        for what in all {
            let text = one.derive(what);
            assert_eq!(text.expose().len(), 43);
            assert!(one.matches(what, text.expose()) && !other.matches(what, text.expose()));
            assert!(all.into_iter().filter(|else_| *else_ != what).all(|else_| !one.matches(else_, text.expose())));
        }
        assert!(!one.matches(Derived::Form, ""));
    }

    #[test]
    fn threat_38_what_one_provider_has_seen_fits_no_other() {
        let [acme, globex] = ["acme", "globex"].map(|uid| UpstreamUid::parse(uid).unwrap());
        let browser = made(1);
        let (here, there) = (browser.at(&acme), browser.at(&globex));
        assert_eq!(here.hash(), browser.at(&acme).hash(), "it is derived, and kept nowhere");
        for what in [Derived::State, Derived::Nonce, Derived::Verifier, Derived::Form] {
            let seen = here.derive(what);
            assert!(!there.matches(what, seen.expose()) && !browser.matches(what, seen.expose()));
        }
        assert_ne!(here.challenge(), there.challenge());
    }

    #[test]
    fn threat_31_only_a_whole_cookie_is_read_and_none_is_debugged() {
        let made = made(7);
        let text = made.secret().expose().to_owned();
        assert_eq!(BrowserSecret::parse(&text).map(|read| read.hash()), Some(made.hash()));
        for wrong in ["", &text[1..], &format!("{text}A"), &format!("!{}", &text[1..])] {
            assert!(BrowserSecret::parse(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{made:?}").contains(&text));
    }
}
