//! Opaque credentials: `bvt_<kind>_`, 32 random bytes in base64url, a 6-character checksum.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::entropy::Entropy;
use super::secret::{RANDOM_LEN, Secret};

const BODY_LEN: usize = RANDOM_LEN;
const CHECKSUM_LEN: usize = 6;

/// What an opaque credential is for; its prefix says so, and one kind is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialKind {
    /// `bvt_ad_`: an administrator of the installation.
    Administrator,
    /// `bvt_sa_`: a service account's key.
    ServiceAccount,
    /// `bvt_pk_`: a platform backend's key.
    Platform,
    /// `bvt_wk_`: a worker's key.
    Worker,
    /// `bvt_run_`: the bearer of one run.
    Run,
    /// `bvt_at_`: an access token, of a person's session or of a service account.
    Access,
    /// `bvt_rt_`: a person's refresh token.
    Refresh,
    /// `bvt_en_`: a one-time enrolment code.
    Enrolment,
}

impl CredentialKind {
    /// Every kind there is.
    pub const ALL: [Self; 8] = [
        Self::Administrator,
        Self::ServiceAccount,
        Self::Platform,
        Self::Worker,
        Self::Run,
        Self::Access,
        Self::Refresh,
        Self::Enrolment,
    ];

    /// What a credential of this kind begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Administrator => "bvt_ad_",
            Self::ServiceAccount => "bvt_sa_",
            Self::Platform => "bvt_pk_",
            Self::Worker => "bvt_wk_",
            Self::Run => "bvt_run_",
            Self::Access => "bvt_at_",
            Self::Refresh => "bvt_rt_",
            Self::Enrolment => "bvt_en_",
        }
    }

    /// The word for it in audit rows, documents and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator_key",
            Self::ServiceAccount => "service_account_key",
            Self::Platform => "platform_key",
            Self::Worker => "worker_key",
            Self::Run => "run_bearer",
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
            Self::Enrolment => "enrolment_code",
        }
    }

    /// The word with its article, for sentences.
    pub const fn with_article(self) -> &'static str {
        match self {
            Self::Administrator => "an administrator_key",
            Self::ServiceAccount => "a service_account_key",
            Self::Platform => "a platform_key",
            Self::Worker => "a worker_key",
            Self::Run => "a run_bearer",
            Self::Access => "an access_token",
            Self::Refresh => "a refresh_token",
            Self::Enrolment => "an enrolment_code",
        }
    }

    /// The exact inverse of [`CredentialKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A well-formed opaque credential. Whether it is known and alive, only the store can tell.
#[derive(Debug, Clone)]
pub struct OpaqueCredential {
    kind: CredentialKind,
    text: Secret,
}

/// A text that is no credential of ours. The text itself is never part of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// No known prefix.
    #[error("is not a Brevet credential (those begin with bvt_)")]
    Prefix,
    /// Wrong length or checksum: cut, mistyped or altered.
    #[error("is cut short or mistyped (its checksum does not fit)")]
    Checksum,
}

impl OpaqueCredential {
    /// Makes a new one.
    pub fn generate(kind: CredentialKind, entropy: &dyn Entropy) -> Self {
        let body = Secret::random(entropy);
        let checksum = checksum(kind, body.expose());
        Self { kind, text: Secret::new(format!("{}{}{checksum}", kind.prefix(), body.expose())) }
    }

    /// Takes `text` for a credential where prefix, length and checksum fit, before anything is looked up.
    pub fn parse(text: &str) -> Result<Self, CredentialError> {
        let (kind, rest) = CredentialKind::ALL
            .into_iter()
            .find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?)))
            .ok_or(CredentialError::Prefix)?;
        if rest.len() != BODY_LEN + CHECKSUM_LEN || !rest.is_ascii() {
            return Err(CredentialError::Checksum);
        }
        let (body, sum) = rest.split_at(BODY_LEN);
        if checksum(kind, body) != sum {
            return Err(CredentialError::Checksum);
        }
        Ok(Self { kind, text: Secret::new(text.to_owned()) })
    }

    /// What it is for.
    pub const fn kind(&self) -> CredentialKind {
        self.kind
    }

    /// The text, to be shown once.
    pub const fn secret(&self) -> &Secret {
        &self.text
    }

    /// What is stored instead of the text.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.text.expose())
    }
}

/// Six characters that catch a cut or mistyped credential; no secret and no proof.
fn checksum(kind: CredentialKind, body: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(kind.prefix().as_bytes());
    context.update(body.as_bytes());
    let mut text = URL_SAFE_NO_PAD.encode(context.finish());
    text.truncate(CHECKSUM_LEN);
    text
}

/// The SHA-256 of a credential: what the store keeps and looks up. Enough for 256 random bits; a slow
/// password hash would add nothing.
#[derive(Clone, Copy, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Hashes `text`.
    pub fn of(text: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        Self(bytes)
    }

    /// 64 lower-case hexadecimal digits, as stored.
    pub fn to_hex(self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// In constant time, so that a cache keyed by hashes tells nothing about its neighbours.
impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl std::hash::Hash for SecretHash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hash>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::seeded::SeededEntropy;
    use proptest::prelude::*;

    #[test]
    fn every_kind_survives_the_round_trip_and_keeps_its_kind() {
        for kind in CredentialKind::ALL {
            let made = OpaqueCredential::generate(kind, &SeededEntropy::new(7));
            let read = OpaqueCredential::parse(made.secret().expose()).unwrap();
            assert_eq!(read.kind(), kind);
            assert_eq!(read.hash(), made.hash());
            assert_eq!(CredentialKind::parse(kind.as_str()), Some(kind));
            assert_eq!(made.secret().expose().len(), kind.prefix().len() + 49);
        }
    }

    #[test]
    fn one_kind_is_never_taken_for_another() {
        let key = OpaqueCredential::generate(CredentialKind::ServiceAccount, &SeededEntropy::new(7));
        let forged = key.secret().expose().replace("bvt_sa_", "bvt_ad_");
        assert_eq!(OpaqueCredential::parse(&forged).map(|c| c.kind()), Err(CredentialError::Checksum));
    }

    proptest! {
        #[test]
        fn a_changed_character_or_a_cut_is_noticed(at in 7usize..56, with in "[A-Za-z0-9_-]") {
            let key = OpaqueCredential::generate(CredentialKind::Worker, &SeededEntropy::new(9));
            let text = key.secret().expose();
            prop_assume!(text[at..=at] != with);
            let mut altered = text.to_owned();
            altered.replace_range(at..=at, &with);
            prop_assert!(OpaqueCredential::parse(&altered).is_err());
            prop_assert!(OpaqueCredential::parse(&text[..at]).is_err());
            let longer = text.to_owned() + "a";
            prop_assert!(OpaqueCredential::parse(&longer).is_err());
        }
    }

    #[test]
    fn threat_31_no_part_of_a_credential_is_debugged() {
        let key = OpaqueCredential::generate(CredentialKind::Access, &SeededEntropy::new(1));
        let shown = format!("{key:?} {:?}", key.hash());
        let body = &key.secret().expose()[7..15];
        assert!(!shown.contains("bvt_") && !shown.contains(body) && !shown.contains(&key.hash().to_hex()));
    }
}
