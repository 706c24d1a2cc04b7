//! Keys that sign tokens in tests, made once in a process, and their published forms.

#![expect(clippy::unwrap_used, reason = "in a test a panic is how a broken expectation is told")]

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static EC: LazyLock<[EcdsaKeyPair; 3]> = LazyLock::new(|| {
    let generate = |algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::generate(algorithm).unwrap();
    [&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P521_SHA512_FIXED_SIGNING].map(generate)
});
static CERTIFICATE: LazyLock<String> = LazyLock::new(|| {
    let der: Pkcs8V1Der<'_> = RSA.as_der().unwrap();
    let key = rcgen::KeyPair::try_from(der.as_ref()).unwrap();
    STANDARD.encode(rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().der())
});

/// The modulus of the RSA key that all RS* names share.
pub(crate) fn modulus() -> Vec<u8> {
    RSA.public_key().modulus().big_endian_without_leading_zero().to_vec()
}

/// A self-signed certificate of the RSA key, in base64.
pub(crate) fn certificate() -> String {
    CERTIFICATE.clone()
}

/// The compact JWS over these texts, signed by the key of `alg`; an `alg` without a key gets a signature that is none.
pub(crate) fn sign(alg: &str, header: &str, claims: &str) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let random = SystemRandom::new();
    let rsa = |padding: &'static dyn signature::RsaEncoding| {
        let mut signature = vec![0; RSA.public_modulus_len()];
        RSA.sign(padding, &random, input.as_bytes(), &mut signature).unwrap();
        signature
    };
    let ec = |index: usize| EC[index].sign(&random, input.as_bytes()).unwrap().as_ref().to_vec();
    let signature = match alg {
        "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
        "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
        "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
        "PS256" => rsa(&signature::RSA_PSS_SHA256),
        "ES256" => ec(0),
        "ES384" => ec(1),
        "ES512" => ec(2),
        _ => Vec::new(),
    };
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The public key of `alg`: kid and alg are the name, use is sig.
pub(crate) fn jwk(alg: &str) -> Map<String, Value> {
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let members = match alg {
        "ES256" | "ES384" | "ES512" => {
            let (index, curve) = match alg {
                "ES256" => (0, "P-256"),
                "ES384" => (1, "P-384"),
                _ => (2, "P-521"),
            };
            let point = &EC[index].public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            json!({ "kty": "EC", "crv": curve, "x": b64(x), "y": b64(y), "kid": alg, "alg": alg, "use": "sig" })
        }
        _ => {
            let exponent = RSA.public_key().exponent().big_endian_without_leading_zero().to_vec();
            json!({ "kty": "RSA", "n": b64(&modulus()), "e": b64(&exponent), "kid": alg, "alg": alg, "use": "sig" })
        }
    };
    members.as_object().unwrap().clone()
}
