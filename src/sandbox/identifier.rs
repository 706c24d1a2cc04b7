//! Ids and secrets of the stand-in's making, in the shapes of AWS's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::entropy::Entropy;

/// A four-letter kind and 16 characters of AWS's base-32 alphabet.
pub(super) fn unique_id(kind: &str, entropy: &dyn Entropy) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut random = [0; 16];
    entropy.fill(&mut random);
    let characters = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
    kind.chars().chain(characters).collect()
}

/// `bytes` random bytes as base64.
pub(super) fn random_text(entropy: &dyn Entropy, bytes: usize) -> String {
    let mut random = vec![0; bytes];
    entropy.fill(&mut random);
    STANDARD.encode(random)
}
