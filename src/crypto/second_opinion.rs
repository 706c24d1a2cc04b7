//! A signature judged by the crate `rsa`: pure Rust, no line of it shared with aws-lc, which signed. It sees public keys
//! only, so its slow and leaky private operations (RUSTSEC-2023-0071) are never run.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::sha2::Sha256;
use rsa::signature::Verifier as _;
use rsa::{BigUint, RsaPublicKey};

use crate::domain::signing_key::PublicKey;

/// Whether `signature` is RS256 (RFC 7518, section 3.3) of `public` over `message`; `None` for keys of another kind, of
/// which the crate knows nothing.
pub(super) fn verifies(public: &PublicKey, message: &[u8], signature: &[u8]) -> Option<bool> {
    let PublicKey::Rsa { n, e } = public else { return None };
    let number = |member: &str| URL_SAFE_NO_PAD.decode(member).ok().map(|bytes| BigUint::from_bytes_be(&bytes));
    let verified = || {
        let key = RsaPublicKey::new(number(n)?, number(e)?).ok()?;
        VerifyingKey::<Sha256>::new(key).verify(message, &Signature::try_from(signature).ok()?).ok()
    };
    Some(verified().is_some())
}
