//! The short code that a person carries from a device to a browser (RFC 8628, section 6.1).

use std::fmt;

use aws_lc_rs::hmac;

use super::entropy::Entropy;
use super::secret::SecretBytes;

/// Consonants without look-alikes and without a vowel that would make words of them: 20, so 8 of them are
/// 2.56 × 10^10 codes.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Characters of a code, dashes not counted.
pub const USER_CODE_LEN: usize = 8;

/// A user code. It opens nothing by itself, but leads a signed-in person to somebody's device: few may be guessed, and
/// none is shown in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode([u8; USER_CODE_LEN]);

/// A text that is no user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the 8 letters that the device shows, such as BCDF-GHJK")]
pub struct UserCodeError;

impl UserCode {
    /// A new one, each of the 20^8 as likely as the others.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut code = [0; USER_CODE_LEN];
        let mut made = 0;
        let mut bytes = [0; 16];
        loop {
            entropy.fill(&mut bytes);
            // 240 is the largest multiple of 20 that a byte holds: without this bound some letters would be likelier.
            for byte in bytes.into_iter().filter(|byte| *byte < 240) {
                code[made] = ALPHABET[usize::from(byte) % ALPHABET.len()];
                made += 1;
                if made == USER_CODE_LEN {
                    return Self(code);
                }
            }
        }
    }

    /// Reads what a person typed: without case, and whatever dashes and spaces stand between the letters.
    pub fn parse(text: &str) -> Result<Self, UserCodeError> {
        let mut code = [0; USER_CODE_LEN];
        let mut letters = text.chars().filter(|c| !matches!(c, '-' | ' ' | '\u{2010}'..='\u{2014}' | '\u{a0}'));
        for place in &mut code {
            let letter = letters.next().and_then(|c| u8::try_from(c).ok()).ok_or(UserCodeError)?.to_ascii_uppercase();
            if !ALPHABET.contains(&letter) {
                return Err(UserCodeError);
            }
            *place = letter;
        }
        if letters.next().is_some() { Err(UserCodeError) } else { Ok(Self(code)) }
    }

    /// The text that the device shows: `BCDF-GHJK`.
    pub fn to_text(&self) -> String {
        let (one, other) = self.0.split_at(USER_CODE_LEN / 2);
        format!("{}-{}", String::from_utf8_lossy(one), String::from_utf8_lossy(other))
    }

    /// What is stored instead of it: HMAC-SHA-256 under a key of the installation, 64 hexadecimal digits. A plain hash
    /// of so short a text could be searched by whoever reads the table.
    pub fn mac(&self, key: &SecretBytes) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let tag = hmac::sign(&key, &self.0);
        tag.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
            use fmt::Write as _;
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<user code>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::seeded::SeededEntropy;
    use std::collections::BTreeSet;

    #[test]
    fn codes_differ_and_use_every_letter() {
        let entropy = SeededEntropy::new(3);
        let codes: BTreeSet<_> = (0..2000).map(|_| UserCode::generate(&entropy).to_text()).collect();
        assert_eq!(codes.len(), 2000);
        let letters: BTreeSet<_> = codes.iter().flat_map(|code| code.bytes()).collect();
        assert_eq!(letters.len(), ALPHABET.len() + 1, "the letters and the dash");
        assert!(codes.iter().all(|code| UserCode::parse(code).is_ok_and(|read| read.to_text() == *code)));
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = UserCode::parse("BCDF-GHJK").unwrap();
        for typed in ["bcdfghjk", " BcDf ghJK ", "b-c-d-f-g-h-j-k", "BCDF\u{2013}GHJK", "BCDF\u{a0}GHJK"] {
            assert_eq!(UserCode::parse(typed), Ok(code.clone()), "{typed}");
        }
        for wrong in
            ["", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "8CDF-GHJK", "BCDF_GHJK", "BCDF-GHJ\u{212a}", "BCDFGHJK\n"]
        {
            assert_eq!(UserCode::parse(wrong), Err(UserCodeError), "{wrong}");
        }
    }

    #[test]
    fn threat_31_what_is_stored_needs_the_key_and_nothing_shows_the_code() {
        let (code, key) = (UserCode::parse("BCDF-GHJK").unwrap(), |byte| SecretBytes::new(vec![byte; 32]));
        assert_eq!(code.mac(&key(1)), UserCode::parse("bcdf ghjk").unwrap().mac(&key(1)));
        assert_ne!(code.mac(&key(1)), code.mac(&key(2)));
        assert_eq!(code.mac(&key(1)).len(), 64);
        assert_eq!(format!("{code:?}"), "<user code>");
    }
}
