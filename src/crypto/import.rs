//! A private key from elsewhere: read strictly, checked by an implementation that will not sign with it.

use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, UintRef};
use rsa::pkcs8::PrivateKeyInfo;
use rsa::traits::PrivateKeyParts as _;
use rsa::{BigUint, RsaPrivateKey};
use zeroize::Zeroizing;

use super::keypair::{KeyPair, Private};
use crate::domain::secret::SecretBytes;
use crate::domain::signing_key::KeyKind;

/// Most bytes of a file that holds one private key.
pub const KEY_FILE_MAX: u64 = 64 * 1024;

/// The smallest public exponent that NIST SP 800-56B takes.
const EXPONENT_MIN: u32 = 65537;

/// Why a file is no key to sign with. Never with a byte of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// No text with one PEM block (RFC 7468).
    #[error("must be one PEM block: -----BEGIN PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----")]
    NotPem,
    /// More than one block.
    #[error("must hold one private key and nothing else")]
    Several,
    /// A key that a passphrase protects.
    #[error("is encrypted: decrypt it first, with `openssl pkey -in FILE -out KEY`")]
    Encrypted,
    /// A public key or certificate.
    #[error("holds no private key, only a public one")]
    Public,
    /// Another private form.
    #[error("must be PKCS#8 or PKCS#1: convert it with `openssl pkcs8 -topk8 -nocrypt -in FILE -out KEY`")]
    Form,
    /// The bytes within are no such key.
    #[error("is damaged: what is in the PEM block is no private key of that form")]
    Damaged,
    /// An algorithm that signs no token of ours.
    #[error("must be an RSA key or an EC key on P-256")]
    Algorithm,
    /// An RSA key of a size that is not offered.
    #[error("is an RSA key of {0} bits, which must be 2048, 3072 or 4096")]
    Bits(usize),
    /// A public exponent that is even or too small.
    #[error("is an RSA key with a public exponent that is even or below 65537")]
    Exponent,
    /// Not two primes, or numbers that do not fit each other.
    #[error("is an RSA key that fails its own checks: its numbers do not fit each other")]
    Unsound,
    /// Primes so close together that they can be found (FIPS 186-5, A.1.3).
    #[error("is an RSA key whose primes lie too close together: make another")]
    ClosePrimes,
}

impl KeyPair {
    /// Reads the text of a private key: PKCS#8 (RFC 5208) or PKCS#1 (RFC 8017, A.1.2) in PEM; RSA with 2048, 3072 or
    /// 4096 bits, or P-256. RSA keys are checked by the crate `rsa`, which does not sign here.
    pub fn import(pem: &SecretBytes) -> Result<Self, ImportError> {
        let (label, der) = block(pem)?;
        match label {
            Label::Pkcs8 => {
                let info = PrivateKeyInfo::try_from(der.as_slice()).map_err(|_| ImportError::Damaged)?;
                match info.algorithm.oid.to_string().as_str() {
                    RSA_ENCRYPTION => Self::import_rsa(&Zeroizing::new(info.private_key.to_vec())),
                    EC_PUBLIC_KEY => {
                        let curve = info.algorithm.parameters_oid().map_err(|_| ImportError::Algorithm)?;
                        if curve.to_string() != P256 {
                            return Err(ImportError::Algorithm);
                        }
                        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
                        let pair = pair.map_err(|_| ImportError::Damaged)?;
                        Self::named(Private::P256(pair), KeyKind::P256).map_err(|_| ImportError::Damaged)
                    }
                    _ => Err(ImportError::Algorithm),
                }
            }
            Label::Pkcs1 => Self::import_rsa(&der),
        }
    }

    fn import_rsa(pkcs1: &[u8]) -> Result<Self, ImportError> {
        let parts = rsa::pkcs1::RsaPrivateKey::try_from(pkcs1).map_err(|_| ImportError::Damaged)?;
        let number = |part: UintRef<'_>| BigUint::from_bytes_be(part.as_bytes());
        let (bits, e) = (number(parts.modulus).bits(), number(parts.public_exponent));
        let kind = match bits {
            2048 => KeyKind::Rsa2048,
            3072 => KeyKind::Rsa3072,
            4096 => KeyKind::Rsa4096,
            other => return Err(ImportError::Bits(other)),
        };
        if e < BigUint::from(EXPONENT_MIN) || e % BigUint::from(2_u32) == BigUint::default() {
            return Err(ImportError::Exponent);
        }
        // n = p q, and d undoes e modulo p - 1 and q - 1.
        let key = RsaPrivateKey::from_pkcs1_der(pkcs1).map_err(|_| ImportError::Unsound)?;
        key.validate().map_err(|_| ImportError::Unsound)?;
        let [p, q] = key.primes() else { return Err(ImportError::Unsound) };
        let apart = if p > q { p - q } else { q - p };
        if apart.bits() + 100 <= bits / 2 {
            return Err(ImportError::ClosePrimes);
        }
        let pair = RsaKeyPair::from_der(pkcs1).map_err(|_| ImportError::Unsound)?;
        Self::named(Private::Rsa(pair), kind).map_err(|_| ImportError::Unsound)
    }
}

const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";

enum Label {
    Pkcs8,
    Pkcs1,
}

/// The one block of a PEM text. White space and comments around it do not count.
fn block(pem: &SecretBytes) -> Result<(Label, Zeroizing<Vec<u8>>), ImportError> {
    let text = std::str::from_utf8(pem.expose()).map_err(|_| ImportError::NotPem)?;
    let (_, rest) = text.split_once("-----BEGIN ").ok_or(ImportError::NotPem)?;
    let (label, rest) = rest.split_once("-----").ok_or(ImportError::NotPem)?;
    let end = format!("-----END {label}-----");
    let (body, after) = rest.split_once(end.as_str()).ok_or(ImportError::NotPem)?;
    if after.contains("-----BEGIN ") {
        return Err(ImportError::Several);
    }
    let label = match label {
        "PRIVATE KEY" => Label::Pkcs8,
        // The old way to encrypt stands in headers within the block (RFC 1421).
        "RSA PRIVATE KEY" if body.contains(':') => return Err(ImportError::Encrypted),
        "RSA PRIVATE KEY" => Label::Pkcs1,
        "ENCRYPTED PRIVATE KEY" => return Err(ImportError::Encrypted),
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => return Err(ImportError::Public),
        _ => return Err(ImportError::Form),
    };
    let body: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
    let der = STANDARD.decode(body.as_bytes()).map_err(|_| ImportError::Damaged)?;
    Ok((label, Zeroizing::new(der)))
}

#[cfg(test)]
mod tests {
    use rsa::pkcs1::EncodeRsaPrivateKey as _;

    use super::*;

    fn pem(label: &str, der: &[u8]) -> SecretBytes {
        let body = STANDARD.encode(der);
        let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let text = format!("# a comment\n-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\r\n"));
        SecretBytes::new(text.into_bytes())
    }

    fn imported(label: &str, der: &[u8]) -> Result<KeyPair, ImportError> {
        KeyPair::import(&pem(label, der))
    }

    #[test]
    fn every_kind_comes_in_as_pkcs8_and_rsa_as_pkcs1_too() {
        for kind in KeyKind::ALL {
            let made = KeyPair::generate(kind).unwrap();
            let pkcs8 = made.to_pkcs8().unwrap();
            let read = imported("PRIVATE KEY", pkcs8.expose()).unwrap();
            assert_eq!((read.kid(), read.public(), read.kind()), (made.kid(), made.public(), kind));
            if kind != KeyKind::P256 {
                let info = PrivateKeyInfo::try_from(pkcs8.expose()).unwrap();
                let read = imported("RSA PRIVATE KEY", info.private_key).unwrap();
                assert_eq!((read.kid(), read.kind()), (made.kid(), kind));
                assert_eq!(read.to_pkcs8().unwrap().expose(), pkcs8.expose());
            }
        }
    }

    #[test]
    fn what_is_no_key_to_sign_with_is_told_by_its_fault() {
        let p256 = KeyPair::generate(KeyKind::P256).unwrap().to_pkcs8().unwrap();
        let rsa = KeyPair::generate(KeyKind::Rsa2048).unwrap().to_pkcs8().unwrap();
        let said = |bytes: &[u8]| KeyPair::import(&SecretBytes::new(bytes.to_vec())).err();
        assert_eq!(said(b""), Some(ImportError::NotPem));
        assert_eq!(said(rsa.expose()), Some(ImportError::NotPem), "DER");
        assert_eq!(said(b"-----BEGIN PRIVATE KEY-----\nAAAA\n"), Some(ImportError::NotPem), "no end");
        let twice = [pem("PRIVATE KEY", rsa.expose()).expose(), pem("PRIVATE KEY", p256.expose()).expose()].concat();
        assert_eq!(said(&twice), Some(ImportError::Several));
        let old = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(said(old), Some(ImportError::Encrypted));
        for (label, fault) in [
            ("ENCRYPTED PRIVATE KEY", ImportError::Encrypted),
            ("PUBLIC KEY", ImportError::Public),
            ("CERTIFICATE", ImportError::Public),
            ("EC PRIVATE KEY", ImportError::Form),
            ("OPENSSH PRIVATE KEY", ImportError::Form),
            ("RSA PRIVATE KEY", ImportError::Damaged),
        ] {
            assert_eq!(imported(label, rsa.expose()).err(), Some(fault), "{label}");
        }
        assert_eq!(imported("PRIVATE KEY", &rsa.expose()[..rsa.expose().len() - 1]).err(), Some(ImportError::Damaged));
        assert_eq!(imported("PRIVATE KEY", b"{}").err(), Some(ImportError::Damaged));
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_der();
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_der();
        for other in [ed25519, p384] {
            assert_eq!(imported("PRIVATE KEY", &other).err(), Some(ImportError::Algorithm));
        }
    }

    /// The key of two odd numbers, which nobody here asks to be primes, in PKCS#1.
    fn of_factors(p: &BigUint, q: &BigUint, e: u32) -> Zeroizing<Vec<u8>> {
        let key = RsaPrivateKey::from_p_q(p.clone(), q.clone(), BigUint::from(e)).unwrap();
        Zeroizing::new(key.to_pkcs1_der().unwrap().as_bytes().to_vec())
    }

    #[test]
    fn threat_19_rsa_keys_that_are_small_or_unsound_are_refused() {
        let odd = |bits: usize, plus: u32| (BigUint::from(3_u32) << (bits - 2)) + BigUint::from(plus);
        let said = |der: &[u8]| imported("RSA PRIVATE KEY", der).err();
        let apart = BigUint::from(1_u32) << 1000_usize;
        assert_eq!(said(&of_factors(&odd(512, 5), &odd(512, 7), EXPONENT_MIN)), Some(ImportError::Bits(1024)));
        assert_eq!(said(&of_factors(&odd(1280, 5), &odd(1280, 7), EXPONENT_MIN)), Some(ImportError::Bits(2560)));
        assert_eq!(said(&of_factors(&odd(1024, 5), &(odd(1024, 7) + &apart), 5)), Some(ImportError::Exponent));
        assert_eq!(said(&of_factors(&odd(1024, 5), &odd(1024, 7), EXPONENT_MIN)), Some(ImportError::ClosePrimes));

        let sound = KeyPair::generate(KeyKind::Rsa2048).unwrap().to_pkcs8().unwrap();
        let pkcs1 = PrivateKeyInfo::try_from(sound.expose()).unwrap().private_key.to_vec();
        assert_eq!(said(&pkcs1), None, "the control");
        let parts = rsa::pkcs1::RsaPrivateKey::try_from(pkcs1.as_slice()).unwrap();
        for (name, part) in [
            ("d", parts.private_exponent),
            ("p", parts.prime1),
            ("q", parts.prime2),
            ("dp", parts.exponent1),
            ("dq", parts.exponent2),
            ("qi", parts.coefficient),
        ] {
            let at = pkcs1.windows(part.as_bytes().len()).position(|bytes| bytes == part.as_bytes()).unwrap();
            let mut changed = pkcs1.clone();
            changed[at + part.as_bytes().len() / 2] ^= 4;
            assert_eq!(said(&changed), Some(ImportError::Unsound), "{name}");
        }
    }
}
