//! The signer: jsonwebtoken over keys parsed once.
//!
//! As shipped, jsonwebtoken parses the private key at every signature, which takes two thirds of the time. Its
//! `CryptoProvider` is a public seam: ours looks the key pair up in a table of this process, by a random handle
//! that stands in the `EncodingKey` where the DER would. So the private half lies in memory once, in aws-lc's
//! own form, and a key set that is dropped takes its entry along. Handles are unique in the process: several
//! issuers in one process never share an entry.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, KeyUtils};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::signature::{Error as SignatureError, Signer};
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;

use super::hex;
use super::keypair::{KeyError, KeyPair};
use super::seal::{Kek, SealError, Sealing};
use super::second_opinion;
use super::verifying_key::VerifyingKey;
use crate::domain::entropy::Entropy;
use crate::domain::secret::Secret;
use crate::domain::signing_key::{Algorithm, Kid, PublicKey, SigningKey};

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The private half does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The private half is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The row names another key than the one that was sealed in it.
    #[error("signing key {0} is not the key that is sealed under its name")]
    Kid(Kid),
    /// Another part of this process has set up jsonwebtoken for itself.
    #[error("jsonwebtoken is already set up with another provider in this process")]
    Provider,
    /// What the key signs does not verify under its public half.
    #[error("signing key {0} failed its self-test")]
    SelfTest(Kid),
    /// The claims do not turn into JSON.
    #[error("claims cannot be written as JSON")]
    Claims,
    /// Prepared for one key and given to another: keys were swapped in between.
    #[error("prepared for signing key {0}, which is not this one")]
    OtherKey(Kid),
    /// The library signed nothing.
    #[error("signing failed")]
    Sign,
}

/// The one key that signs for an issuer, ready for the hot path. Immutable: rotation makes a new one and swaps
/// the `Arc` that holds it, and requests under way finish with the one they began with.
pub struct KeySet {
    kid: Kid,
    algorithm: Algorithm,
    /// The header, base64url, with the dot behind it.
    header: String,
    handle: EncodingKey,
    _entry: Entry,
}

/// `header.payload` of a token to be, bound to the key whose name it carries.
pub struct SigningInput {
    text: Secret,
    sha256: [u8; 32],
    kid: Kid,
}

impl SigningInput {
    /// The SHA-256 of `header.payload`, as audit rows keep it. Whoever holds the token can compute it.
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The same as 64 lower-case hex digits.
    pub fn sha256_hex(&self) -> String {
        hex::encode(&self.sha256)
    }

    /// The key that must sign it.
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }
}

impl KeySet {
    /// Opens the private half of `key`, parses it, and tries it: signs and verifies once. For the key that is
    /// active; a standby stays sealed until it is.
    pub fn open(key: &SigningKey, kek: &Kek, entropy: &dyn Entropy) -> Result<Self, SignerError> {
        let pkcs8 = kek.open(&key.private, &Sealing::signing_key(key.issuer, &key.kid))?;
        let pair = KeyPair::from_pkcs8(key.kind, &pkcs8)?;
        if *pair.kid() != key.kid || *pair.public() != key.public {
            return Err(SignerError::Kid(key.kid.clone()));
        }
        Self::new(pair, entropy)
    }

    /// Takes a key pair that is already at hand.
    pub fn new(pair: KeyPair, entropy: &dyn Entropy) -> Result<Self, SignerError> {
        install_provider()?;
        let (kid, algorithm) = (pair.kid().clone(), pair.kind().algorithm());
        let public = pair.public().clone();
        let verifying = VerifyingKey::new(&public).map_err(|_| SignerError::SelfTest(kid.clone()))?;
        let mut header = Header::new(jws_algorithm(algorithm));
        header.kid = Some(kid.to_string());
        let header = serde_json::to_vec(&header).map_err(|_| SignerError::Claims)?;
        let header = format!("{}.", URL_SAFE_NO_PAD.encode(header));
        let entry = Entry::register(pair, entropy);
        let handle = match algorithm {
            Algorithm::Rs256 => EncodingKey::from_rsa_der(&entry.0),
            Algorithm::Es256 => EncodingKey::from_ec_der(&entry.0),
        };
        let set = Self { kid, algorithm, header, handle, _entry: entry };
        set.self_test(&verifying, &public)?;
        Ok(set)
    }

    /// The name of the key.
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }

    /// Its algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Everything of a token but its signature, so that its hash can be on its way to the audit row while the
    /// signature is made.
    pub fn prepare(&self, claims: &impl Serialize) -> Result<SigningInput, SignerError> {
        let payload = serde_json::to_vec(claims).map_err(|_| SignerError::Claims)?;
        let mut text = String::with_capacity(self.header.len() + payload.len().div_ceil(3) * 4);
        text.push_str(&self.header);
        URL_SAFE_NO_PAD.encode_string(&payload, &mut text);
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Ok(SigningInput { text: Secret::new(text), sha256, kid: self.kid.clone() })
    }

    /// The token: `header.payload.signature` (RFC 7515, section 7.1). Takes 0.25 ms of CPU for RSA-2048, up to
    /// 1.5 ms for RSA-4096.
    pub fn sign(&self, input: SigningInput) -> Result<Secret, SignerError> {
        if input.kid != self.kid {
            return Err(SignerError::OtherKey(input.kid));
        }
        let text = input.text.expose();
        let signature = self.signature(text)?;
        let mut token = String::with_capacity(text.len() + 1 + signature.len());
        token.push_str(text);
        token.push('.');
        token.push_str(&signature);
        Ok(Secret::new(token))
    }

    fn signature(&self, text: &str) -> Result<String, SignerError> {
        jsonwebtoken::crypto::sign(text.as_bytes(), &self.handle, jws_algorithm(self.algorithm))
            .map_err(|_| SignerError::Sign)
    }

    /// Signs once and has the signature judged, of RSA also by an implementation that shares no code with the one that
    /// made it: what verifiers would refuse is noticed here.
    fn self_test(&self, verifying: &VerifyingKey, public: &PublicKey) -> Result<(), SignerError> {
        // Not JSON, so no token: whoever saw the signature could do nothing with it.
        let text = format!("{}c2VsZi10ZXN0", self.header);
        let signature = URL_SAFE_NO_PAD.decode(self.signature(&text)?).map_err(|_| SignerError::Sign)?;
        let agreed = second_opinion::verifies(public, text.as_bytes(), &signature).unwrap_or(true);
        if agreed && verifying.verifies(text.as_bytes(), &signature) {
            Ok(())
        } else {
            Err(SignerError::SelfTest(self.kid.clone()))
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} signer {}", self.algorithm, self.kid)
    }
}

impl fmt::Debug for SigningInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signing input {} for {}", self.sha256_hex(), self.kid)
    }
}

const fn jws_algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
    }
}

/// Bytes of a handle: 8 that count, so that it is unique, and 24 random ones, so that it is no key by luck.
const HANDLE_LEN: usize = 32;

type Handle = [u8; HANDLE_LEN];

static TABLE: LazyLock<RwLock<HashMap<Handle, Arc<KeyPair>>>> = LazyLock::new(RwLock::default);

/// An entry of the table, for as long as it lives.
struct Entry(Handle);

impl Entry {
    fn register(pair: KeyPair, entropy: &dyn Entropy) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut handle = [0; HANDLE_LEN];
        entropy.fill(&mut handle[8..]);
        handle[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        TABLE.write().unwrap_or_else(PoisonError::into_inner).insert(handle, Arc::new(pair));
        Self(handle)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        TABLE.write().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

fn registered(handle: &[u8]) -> Option<Arc<KeyPair>> {
    TABLE.read().unwrap_or_else(PoisonError::into_inner).get(handle).cloned()
}

/// Makes ours the provider of this process, once; later calls find it there.
fn install_provider() -> Result<(), SignerError> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    let ours = *INSTALLED.get_or_init(|| PROVIDER.install_default().is_ok());
    if ours { Ok(()) } else { Err(SignerError::Provider) }
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| table_signer(*algorithm, key),
    // Tokens are verified by `super::verify`, which knows no HMAC and no `none`.
    verifier_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::InvalidKeyFormat.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::InvalidKeyFormat.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
        compute_digest: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    },
};

fn table_signer(algorithm: jsonwebtoken::Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, JwtError> {
    let pair = registered(key.as_bytes()).ok_or(ErrorKind::InvalidKeyFormat)?;
    if jws_algorithm(pair.kind().algorithm()) != algorithm {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(TableSigner(pair)))
}

struct TableSigner(Arc<KeyPair>);

impl Signer<Vec<u8>> for TableSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        self.0.sign(message).map_err(SignatureError::from_source)
    }
}

impl JwtSigner for TableSigner {
    fn algorithm(&self) -> jsonwebtoken::Algorithm {
        jws_algorithm(self.0.kind().algorithm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::new_key::new_signing_key;
    use crate::domain::entropy::seeded::SeededEntropy;
    use crate::domain::id::IssuerId;
    use crate::domain::signing_key::{KeyKind, KeyTimes};
    use serde_json::json;
    use time::OffsetDateTime;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const TIMES: KeyTimes = KeyTimes { sign_from: Some(NOW), ..KeyTimes::published(NOW) };

    fn issuer(n: u128) -> IssuerId {
        IssuerId::new(uuid::Uuid::from_u128(n))
    }

    fn set(kind: KeyKind) -> KeySet {
        KeySet::new(KeyPair::generate(kind).unwrap(), &SeededEntropy::new(1)).unwrap()
    }

    #[test]
    fn a_token_is_what_jsonwebtoken_encodes_and_another_implementation_verifies_it() {
        for kind in [KeyKind::Rsa2048, KeyKind::Rsa3072, KeyKind::Rsa4096] {
            let pair = KeyPair::generate(kind).unwrap();
            let public = pair.public().clone();
            let set = KeySet::new(pair, &SeededEntropy::new(1)).unwrap();
            let claims = json!({ "sub": "x", "n": 1 });
            let token = set.sign(set.prepare(&claims).unwrap()).unwrap();
            let mut header = Header::new(jsonwebtoken::Algorithm::RS256);
            header.kid = Some(set.kid().to_string());
            assert_eq!(token.expose(), jsonwebtoken::encode(&header, &claims, &set.handle).unwrap());
            let (input, signature) = token.expose().rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            assert_eq!(second_opinion::verifies(&public, input.as_bytes(), &signature), Some(true));
            let other = KeyPair::generate(KeyKind::Rsa2048).unwrap();
            assert_eq!(second_opinion::verifies(other.public(), input.as_bytes(), &signature), Some(false));
        }
    }

    #[test]
    fn the_header_names_algorithm_type_and_key_and_nothing_else() {
        for kind in [KeyKind::Rsa2048, KeyKind::P256] {
            let set = set(kind);
            let header = URL_SAFE_NO_PAD.decode(set.header.trim_end_matches('.')).unwrap();
            let expected = json!({ "alg": kind.algorithm().as_str(), "typ": "JWT", "kid": set.kid().as_str() });
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&header).unwrap(), expected);
        }
    }

    #[test]
    fn the_hash_is_of_header_and_payload_and_known_before_signing() {
        let set = set(KeyKind::P256);
        let input = set.prepare(&json!({ "sub": "x" })).unwrap();
        let hash = input.sha256_hex();
        let token = set.sign(input).unwrap();
        let (signed, _) = token.expose().rsplit_once('.').unwrap();
        assert_eq!(hash, crate::domain::credential::SecretHash::of(signed).to_hex());
    }

    #[test]
    fn what_one_key_prepared_no_other_signs() {
        let (one, other) = (set(KeyKind::P256), set(KeyKind::P256));
        let input = one.prepare(&json!({})).unwrap();
        assert_eq!(other.sign(input).err(), Some(SignerError::OtherKey(one.kid().clone())));
    }

    #[test]
    fn a_key_whose_public_half_is_not_its_own_fails_the_self_test() {
        for kind in [KeyKind::Rsa2048, KeyKind::P256] {
            let (set, other) = (set(kind), KeyPair::generate(kind).unwrap());
            let verifying = VerifyingKey::new(other.public()).unwrap();
            assert_eq!(set.self_test(&verifying, other.public()), Err(SignerError::SelfTest(set.kid().clone())));
        }
        // The second implementation is heard even where the first one is content.
        let pair = KeyPair::generate(KeyKind::Rsa2048).unwrap();
        let verifying = VerifyingKey::new(pair.public()).unwrap();
        let other = KeyPair::generate(KeyKind::Rsa2048).unwrap();
        let set = KeySet::new(pair, &SeededEntropy::new(1)).unwrap();
        assert_eq!(set.self_test(&verifying, other.public()), Err(SignerError::SelfTest(set.kid().clone())));
    }

    #[test]
    fn threat_15_the_table_holds_no_key_that_no_set_holds() {
        let set = set(KeyKind::P256);
        let handle = set.handle.as_bytes().to_vec();
        assert!(registered(&handle).is_some());
        let twin = KeySet::new(KeyPair::generate(KeyKind::P256).unwrap(), &SeededEntropy::new(1)).unwrap();
        assert_ne!(twin.handle.as_bytes(), handle, "the same randomness still gives another handle");
        drop(set);
        assert!(registered(&handle).is_none());
        let key = EncodingKey::from_ec_der(&handle);
        assert!(jsonwebtoken::crypto::sign(b"x", &key, jsonwebtoken::Algorithm::ES256).is_err());
    }

    #[test]
    fn threat_1_a_key_signs_with_its_own_algorithm_only() {
        let set = set(KeyKind::Rsa2048);
        for algorithm in
            [jsonwebtoken::Algorithm::RS512, jsonwebtoken::Algorithm::PS256, jsonwebtoken::Algorithm::HS256]
        {
            assert!(jsonwebtoken::crypto::sign(b"x", &set.handle, algorithm).is_err());
        }
    }

    #[test]
    fn a_sealed_key_opens_into_a_signer_of_the_same_name() {
        let entropy = SeededEntropy::new(3);
        let kek = Kek::generate(&entropy).unwrap();
        for kind in [KeyKind::Rsa2048, KeyKind::P256] {
            let pair = KeyPair::generate(kind).unwrap();
            let key = new_signing_key(&pair, issuer(1), TIMES, &kek, &entropy, NOW).unwrap();
            assert_eq!(KeySet::open(&key, &kek, &entropy).map(|set| set.kid().clone()).as_ref(), Ok(pair.kid()));
            let other_kek = Kek::generate(&entropy).unwrap();
            assert!(matches!(
                KeySet::open(&key, &other_kek, &entropy),
                Err(SignerError::Seal(SealError::OtherKek { .. }))
            ));
            let moved = SigningKey { issuer: issuer(2), ..key.clone() };
            assert_eq!(KeySet::open(&moved, &kek, &entropy).err(), Some(SignerError::Seal(SealError::Broken)));
            let other = KeyPair::generate(kind).unwrap();
            let renamed = SigningKey { public: other.public().clone(), ..key };
            assert_eq!(KeySet::open(&renamed, &kek, &entropy).err(), Some(SignerError::Kid(pair.kid().clone())));
        }
    }

    #[test]
    fn threat_31_debugging_a_signer_or_its_input_shows_names_only() {
        let set = set(KeyKind::P256);
        let input = set.prepare(&json!({ "sub": "somebody" })).unwrap();
        assert_eq!(format!("{set:?}"), format!("ES256 signer {}", set.kid()));
        assert_eq!(format!("{input:?}"), format!("signing input {} for {}", input.sha256_hex(), set.kid()));
    }
}
