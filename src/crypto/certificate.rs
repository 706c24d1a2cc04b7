//! The self-signed certificate of the `x5c` option.
//!
//! Signing keys sign nothing but tokens, with this one exception: on-premises STS servers such as Ceph RGW
//! take a public key only out of a certificate. Why the exception cannot be turned into a token is in
//! `docs/decisions/0001-x5c-self-signature.md`; [`is_certificate_body`] is its guard.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyUsagePurpose, PublicKeyData, SerialNumber};
use time::OffsetDateTime;
use time::macros::datetime;

use super::keypair::KeyPair;
use crate::domain::signing_key::Algorithm;

/// No certificate was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate of the x5c option could not be made")]
pub struct CertificateError;

/// Of a certificate without a well-defined end (RFC 5280, section 4.1.2.5): a key's end is told by the JWKS.
const NEVER: OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);

/// A certificate over `pair`'s public half, signed by itself: standard base64 of its DER, as `x5c` wants it
/// (RFC 7517, section 4.7). Its name is the kid, it is no CA, and it is made once, when the key is.
pub fn self_signed(pair: &KeyPair, now: OffsetDateTime) -> Result<String, CertificateError> {
    let mut params = CertificateParams::default();
    params.not_before = now;
    params.not_after = NEVER;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, pair.kid().as_str());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // One certificate a key, so a number taken from the key is unique and needs no randomness.
    params.serial_number = Some(SerialNumber::from_slice(&pair.kid().as_str().as_bytes()[..16]));
    let certificate = params.self_signed(&Itself(pair)).map_err(|_| CertificateError)?;
    Ok(STANDARD.encode(certificate.der()))
}

/// Whether `body` begins as a DER SEQUENCE of 128 bytes or more (X.690, section 8.1.3.5). Its second byte then
/// lies outside ASCII, and the signing input of a JWS is ASCII throughout (RFC 7515, section 5.1).
fn is_certificate_body(body: &[u8]) -> bool {
    matches!(body, [0x30, 0x81..=0x84, ..])
}

struct Itself<'a>(&'a KeyPair);

impl PublicKeyData for Itself<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.subject_public_key()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.0.kind().algorithm() {
            Algorithm::Rs256 => &rcgen::PKCS_RSA_SHA256,
            Algorithm::Es256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

impl rcgen::SigningKey for Itself<'_> {
    fn sign(&self, body: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        if !is_certificate_body(body) {
            return Err(rcgen::Error::RemoteKeyError);
        }
        self.0.sign_certificate_body(body).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signing_key::KeyKind;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
    };
    use rcgen::SigningKey as _;

    /// Splits the first DER element off: its header's length, all of it, the rest.
    fn element(der: &[u8]) -> (usize, &[u8], &[u8]) {
        let (header, length) = match der[1] {
            short @ ..0x80 => (2, usize::from(short)),
            long => {
                let count = usize::from(long & 0x7f);
                (2 + count, der[2..2 + count].iter().fold(0, |n, b| n << 8 | usize::from(*b)))
            }
        };
        let (all, rest) = der.split_at(header + length);
        (header, all, rest)
    }

    #[test]
    fn the_certificate_carries_the_key_and_verifies_under_it() {
        for kind in [KeyKind::Rsa2048, KeyKind::P256] {
            let pair = KeyPair::generate(kind).unwrap();
            let der = STANDARD.decode(self_signed(&pair, datetime!(2026-01-02 03:04:05 UTC)).unwrap()).unwrap();
            let (header, all, rest) = element(&der);
            assert!(rest.is_empty());
            let (_, body, rest) = element(&all[header..]);
            let (_, _, rest) = element(rest);
            let (header, bits, rest) = element(rest);
            assert!(rest.is_empty());
            let algorithm: &'static dyn VerificationAlgorithm =
                if kind == KeyKind::P256 { &ECDSA_P256_SHA256_ASN1 } else { &RSA_PKCS1_2048_8192_SHA256 };
            let key = UnparsedPublicKey::new(algorithm, pair.subject_public_key());
            assert!(key.verify(body, &bits[header + 1..]).is_ok());
            assert!(body.windows(pair.subject_public_key().len()).any(|part| part == pair.subject_public_key()));
            assert!(is_certificate_body(body) && !body.is_ascii());
        }
    }

    #[test]
    fn threat_15_nothing_that_could_be_a_token_is_signed_as_a_certificate() {
        let pair = KeyPair::generate(KeyKind::P256).unwrap();
        for body in [&b"eyJhbGciOiJFUzI1NiJ9.e30"[..], b"", b"0", b"0e", b"0.", &[0x30, 0x7f], &[0x30, 0x80]] {
            assert!(Itself(&pair).sign(body).is_err(), "{body:?}");
        }
    }
}
