//! The limit that everything is measured against: a bare aws-lc signature with a key that was parsed once.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use brevet::config::host::SystemEntropy;
use brevet::crypto::keypair::KeyPair;
use brevet::crypto::signer::KeySet;
use brevet::domain::secret::SecretBytes;
use brevet::domain::signing_key::KeyKind;

use crate::Outcome;

/// A key pair as aws-lc has it.
pub(crate) enum Raw {
    Rsa(RsaKeyPair, Vec<u8>),
    P256(EcdsaKeyPair),
}

impl Raw {
    pub(crate) fn sign(&mut self, text: &[u8]) -> bool {
        match self {
            Self::Rsa(pair, signature) => pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, signature).is_ok(),
            Self::P256(pair) => pair.sign(&SystemRandom::new(), text).is_ok(),
        }
    }
}

/// A new key twice: bare, and in our signer.
pub(crate) fn twins(kind: KeyKind) -> Outcome<(Raw, KeySet)> {
    let rsa = |size| -> Outcome<_> {
        let pair = RsaKeyPair::generate(size)?;
        let signature = vec![0; pair.public_modulus_len()];
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der()?;
        Ok((pkcs8.as_ref().to_vec(), Raw::Rsa(pair, signature)))
    };
    let (pkcs8, raw) = match kind {
        KeyKind::Rsa2048 => rsa(KeySize::Rsa2048)?,
        KeyKind::Rsa3072 => rsa(KeySize::Rsa3072)?,
        KeyKind::Rsa4096 => rsa(KeySize::Rsa4096)?,
        KeyKind::P256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
            (pair.to_pkcs8v1()?.as_ref().to_vec(), Raw::P256(pair))
        }
    };
    Ok((raw, KeySet::new(KeyPair::from_pkcs8(kind, &SecretBytes::new(pkcs8))?, &SystemEntropy)?))
}
