//! The limit that everything is measured against: a bare aws-lc signature with a key that was parsed once.

use std::thread;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use brevet::config::host::SystemEntropy;
use brevet::crypto::keypair::KeyPair;
use brevet::crypto::signer::KeySet;
use brevet::domain::secret::SecretBytes;
use brevet::domain::signing_key::KeyKind;

use crate::{Outcome, cpu};

/// A key pair as aws-lc has it.
pub(crate) enum Raw {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl Raw {
    /// What makes one signature of `text` after another, and says whether it succeeded.
    pub(crate) fn signs<'a>(&'a self, text: &'a [u8]) -> Box<dyn FnMut() -> bool + 'a> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                Box::new(move || pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).is_ok())
            }
            Self::P256(pair) => Box::new(move || pair.sign(&random, text).is_ok()),
        }
    }

    /// Signatures per second of CPU time while every core makes them, for `length` of each: a core whose neighbour is
    /// at work too may be slower than one alone, and a server under load has no idle one.
    pub(crate) fn rate_on_all_cores(&self, text: &[u8], length: Duration) -> Outcome<f64> {
        let cores = thread::available_parallelism()?.get();
        let rates = thread::scope(|scope| {
            let of_core = || cpu::rate(length, &mut self.signs(text)).map_err(|error| error.to_string());
            let threads: Vec<_> = (0..cores).map(|_| scope.spawn(of_core)).collect();
            let told = threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?);
            told.collect::<Result<Vec<_>, _>>()
        })?;
        Ok(rates.iter().sum::<f64>() / f64::from(u32::try_from(cores)?))
    }
}

/// A new key twice: bare, and in our signer.
pub(crate) fn twins(kind: KeyKind) -> Outcome<(Raw, KeySet)> {
    let rsa = |size| -> Outcome<_> {
        let pair = RsaKeyPair::generate(size)?;
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der()?;
        Ok((pkcs8.as_ref().to_vec(), Raw::Rsa(pair)))
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
