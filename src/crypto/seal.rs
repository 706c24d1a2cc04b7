//! Sealing at rest: AES-256-GCM under a key-encryption key that the database never sees.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::hex;
use crate::domain::entropy::Entropy;
use crate::domain::id::{IssuerId, UpstreamUid};
use crate::domain::sealed::{KEK_ID_LEN, SEALED_VERSION, Sealed};
use crate::domain::secret::{Secret, SecretBytes};
use crate::domain::signing_key::Kid;

/// Bytes of a key-encryption key.
pub const KEK_LEN: usize = 32;

/// Why something was not sealed or not opened. Never with a byte of either side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A text that is no key-encryption key.
    #[error("key-encryption key must be 32 bytes as 64 hex digits or as base64")]
    Kek,
    /// Sealed under another key-encryption key than those at hand.
    #[error(
        "sealed with key-encryption key {sealed_by}, but the one given is {given}: give the one it was sealed with"
    )]
    OtherKek {
        /// The id of the key that sealed it.
        sealed_by: String,
        /// The ids of the keys at hand.
        given: String,
    },
    /// Changed since, or sealed for another key's row.
    #[error("sealed text does not open: it was changed, or belongs to another key or issuer")]
    Broken,
    /// The library sealed nothing.
    #[error("sealing failed")]
    Failed,
}

/// A key-encryption key: what is sealed anew is sealed with it. While it takes the place of another, it has that one
/// along, so that what the other sealed still opens; each sealed text says by which of the two.
///
/// Nonces are 96 random bits of the operating system's generator. One key may seal 2^32 texts before the chance that
/// any two nonces meet passes 2^-32 (NIST SP 800-38D, section 8.3); an installation seals a handful a month and all of
/// them again at each change of the key, which begins a new count. So no counter is kept: one that a restored backup
/// sets back would repeat nonces, and chance does not.
pub struct Kek {
    key: LessSafeKey,
    bytes: SecretBytes,
    id: String,
    previous: Option<Box<Kek>>,
}

/// What a sealed text is for. It opens only where the same is said again, so that no row can be swapped for
/// another.
pub struct Sealing(String);

impl Sealing {
    /// The private half of the key `kid` of `issuer`.
    pub fn signing_key(issuer: IssuerId, kid: &Kid) -> Self {
        Self(format!("signing-key {issuer} {kid}"))
    }

    /// A key of the installation, by its name.
    pub fn installation_key(name: &str) -> Self {
        Self(format!("installation-key {name}"))
    }

    /// Our secret at the sign-in provider `uid`.
    pub fn upstream_client_secret(uid: &UpstreamUid) -> Self {
        Self(format!("upstream-client-secret {uid}"))
    }

    fn associated_data(&self, kek_id: &str) -> Aad<String> {
        Aad::from(format!("brevet {SEALED_VERSION} {kek_id} {}", self.0))
    }
}

impl Kek {
    /// Makes a new one.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; KEK_LEN]);
        entropy.fill(&mut *bytes);
        Self::from_bytes(&*bytes)
    }

    /// Reads the text of a variable or file: 64 hex digits, or base64 in either alphabet with or without
    /// padding; white space around it does not count.
    pub fn parse(text: &Secret) -> Result<Self, SealError> {
        let text = text.expose().trim();
        let bytes = if text.len() == 2 * KEK_LEN {
            hex::decode(text)
        } else {
            [URL_SAFE_NO_PAD, URL_SAFE, STANDARD_NO_PAD, STANDARD]
                .iter()
                .find_map(|engine| engine.decode(text).ok())
                .map(Zeroizing::new)
        };
        Self::from_bytes(&bytes.ok_or(SealError::Kek)?)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        if bytes.len() != KEK_LEN {
            return Err(SealError::Kek);
        }
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| SealError::Kek)?;
        let mut prefixed = Zeroizing::new(b"brevet key-encryption key id\0".to_vec());
        prefixed.extend_from_slice(bytes);
        let hash = digest(&SHA256, &prefixed);
        let id = hex::encode(&hash.as_ref()[..KEK_ID_LEN / 2]);
        Ok(Self { key: LessSafeKey::new(key), bytes: SecretBytes::new(bytes.to_vec()), id, previous: None })
    }

    /// The same key, which also opens what `previous` sealed. Two generations and no more: what `previous` brings along
    /// itself is let go.
    #[must_use]
    pub fn with_previous(self, previous: Self) -> Self {
        let previous = (previous.id != self.id).then(|| Box::new(Self { previous: None, ..previous }));
        Self { previous, ..self }
    }

    /// Its id: 16 hex digits that say which key it is and nothing about it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id of the key that this one takes the place of, where that is still at hand.
    pub fn previous_id(&self) -> Option<&str> {
        self.previous.as_deref().map(Self::id)
    }

    /// Whether what `sealed` holds can be opened at all, by the id in it.
    pub fn knows(&self, sealed: &Sealed) -> Result<(), SealError> {
        self.generation(sealed).map(drop)
    }

    /// The generation that sealed it.
    fn generation(&self, sealed: &Sealed) -> Result<&Self, SealError> {
        let sealed_by = sealed.kek_id();
        [Some(self), self.previous.as_deref()].into_iter().flatten().find(|kek| kek.id == sealed_by).ok_or_else(|| {
            let given = match &self.previous {
                Some(previous) => format!("{} with {} before it", self.id, previous.id),
                None => self.id.clone(),
            };
            SealError::OtherKek { sealed_by: sealed_by.to_owned(), given }
        })
    }

    /// Its text, base64url, for the file that keeps it.
    pub fn to_text(&self) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(self.bytes.expose()))
    }

    /// Seals `plain`.
    pub fn seal(&self, entropy: &dyn Entropy, plain: &SecretBytes, sealing: &Sealing) -> Result<Sealed, SealError> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut text = Zeroizing::new(plain.expose().to_vec());
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                sealing.associated_data(&self.id),
                text.as_mut_slice(),
            )
            .map_err(|_| SealError::Failed)?;
        let encrypted = [text.as_slice(), tag.as_ref()].concat();
        let (nonce, encrypted) = (URL_SAFE_NO_PAD.encode(nonce), URL_SAFE_NO_PAD.encode(encrypted));
        Sealed::parse(&format!("{SEALED_VERSION}.{}.{nonce}.{encrypted}", self.id)).map_err(|_| SealError::Failed)
    }

    /// Opens what was sealed for the same purpose, with this key or the one before it.
    pub fn open(&self, sealed: &Sealed, sealing: &Sealing) -> Result<SecretBytes, SealError> {
        let kek = self.generation(sealed)?;
        let parts = sealed.parts();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| SealError::Broken);
        let nonce = Nonce::try_assume_unique_for_key(&decode(parts.nonce)?).map_err(|_| SealError::Broken)?;
        let mut text = Zeroizing::new(decode(parts.ciphertext)?);
        let plain = kek
            .key
            .open_in_place(nonce, sealing.associated_data(&kek.id), text.as_mut_slice())
            .map_err(|_| SealError::Broken)?;
        Ok(SecretBytes::new(plain.to_vec()))
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key-encryption key {}", self.id)?;
        self.previous.as_ref().map_or(Ok(()), |previous| write!(f, " with {} before it", previous.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::seeded::SeededEntropy;
    use proptest::prelude::*;

    fn issuer(n: u128) -> IssuerId {
        IssuerId::new(uuid::Uuid::from_u128(n))
    }

    fn kid(letter: &str) -> Kid {
        Kid::parse(&letter.repeat(43)).unwrap()
    }

    #[test]
    fn a_key_has_one_id_in_every_spelling() {
        let text = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";
        let bytes = hex::decode(text).unwrap();
        let spellings = [
            text.to_owned(),
            text.to_uppercase(),
            format!(" {text}\n"),
            STANDARD.encode(&*bytes),
            URL_SAFE.encode(&*bytes),
            format!("{}\r\n", URL_SAFE_NO_PAD.encode(&*bytes)),
        ];
        let ids: Vec<_> =
            spellings.iter().map(|text| Kek::parse(&Secret::new(text.clone())).unwrap().id().to_owned()).collect();
        assert!(ids.iter().all(|id| *id == ids[0] && id.len() == KEK_ID_LEN), "{ids:?}");
        let kek = Kek::generate(&SeededEntropy::new(1)).unwrap();
        assert_eq!(Kek::parse(&kek.to_text()).unwrap().id(), kek.id());
        for bad in ["", "x", &text[..62], &"g".repeat(64), &STANDARD.encode([0; 31]), &STANDARD.encode([0; 33])] {
            assert_eq!(Kek::parse(&Secret::new(bad.to_owned())).err(), Some(SealError::Kek), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn threat_15_sealed_text_opens_for_its_own_key_and_issuer_only(
            plain in prop::collection::vec(any::<u8>(), 1..200), seed: u64, flip: prop::sample::Index
        ) {
            let entropy = SeededEntropy::new(seed);
            let (kek, other) = (Kek::generate(&entropy).unwrap(), Kek::generate(&entropy).unwrap());
            let purpose = Sealing::signing_key(issuer(1), &kid("a"));
            let sealed = kek.seal(&entropy, &SecretBytes::new(plain.clone()), &purpose).unwrap();
            let opened = |kek: &Kek, text: &str, purpose: &Sealing| kek.open(&Sealed::parse(text).unwrap(), purpose).map(|p| p.expose().to_vec());
            prop_assert_eq!(opened(&kek, sealed.as_str(), &purpose), Ok(plain));
            for foreign in [Sealing::signing_key(issuer(2), &kid("a")), Sealing::signing_key(issuer(1), &kid("b"))] {
                prop_assert_eq!(opened(&kek, sealed.as_str(), &foreign), Err(SealError::Broken));
            }
            prop_assert_eq!(
                opened(&other, sealed.as_str(), &purpose),
                Err(SealError::OtherKek { sealed_by: kek.id().to_owned(), given: other.id().to_owned() })
            );
            // Any one character of nonce or ciphertext changed.
            let body = sealed.as_str().len() - "v1.".len() - KEK_ID_LEN - 1;
            let at = sealed.as_str().len() - body + flip.index(body);
            let mut text = sealed.as_str().as_bytes().to_vec();
            prop_assume!(text[at] != b'.');
            text[at] = if text[at] == b'A' { b'B' } else { b'A' };
            prop_assert_eq!(opened(&kek, std::str::from_utf8(&text).unwrap(), &purpose), Err(SealError::Broken));
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_to_the_same_text() {
        let entropy = SeededEntropy::new(7);
        let kek = Kek::generate(&entropy).unwrap();
        let purpose = Sealing::signing_key(issuer(1), &kid("a"));
        let seal = || kek.seal(&entropy, &SecretBytes::new(b"same".to_vec()), &purpose).unwrap();
        let nonces: std::collections::HashSet<_> = (0..1000).map(|_| seal().parts().nonce.to_owned()).collect();
        assert_eq!(nonces.len(), 1000);
    }

    #[test]
    fn a_key_opens_its_own_generation_and_the_one_before_and_seals_with_its_own() {
        let entropy = SeededEntropy::new(7);
        let kek = || Kek::generate(&entropy).unwrap();
        let again = |kek: &Kek| Kek::parse(&kek.to_text()).unwrap();
        let (oldest, old, new) = (kek(), kek(), kek());
        let purpose = Sealing::signing_key(issuer(1), &kid("a"));
        let seal = |kek: &Kek| kek.seal(&entropy, &SecretBytes::new(b"same".to_vec()), &purpose).unwrap();
        let both = again(&new).with_previous(again(&old).with_previous(again(&oldest)));
        assert_eq!((both.id(), both.previous_id()), (new.id(), Some(old.id())));
        assert_eq!(seal(&both).kek_id(), new.id());
        for kek in [&old, &new] {
            assert_eq!(both.open(&seal(kek), &purpose).unwrap().expose(), b"same");
        }
        let given = format!("{} with {} before it", new.id(), old.id());
        let refused = SealError::OtherKek { sealed_by: oldest.id().to_owned(), given };
        assert_eq!(both.open(&seal(&oldest), &purpose).err(), Some(refused.clone()), "two generations, not three");
        assert_eq!(both.knows(&seal(&oldest)), Err(refused));
        // One generation's name on the other's text: the id is part of what is authenticated.
        let forged = seal(&old).as_str().replace(old.id(), new.id());
        assert_eq!(both.open(&Sealed::parse(&forged).unwrap(), &purpose).err(), Some(SealError::Broken));
        assert_eq!(again(&new).with_previous(again(&new)).previous_id(), None, "the same key twice is one");
    }
}
