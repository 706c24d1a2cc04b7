//! The numbers that make a public key, whether a JWK or a certificate says them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The kind of key an algorithm needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    Rsa,
    Ec,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Ec {
        curve: Curve,
        /// Uncompressed: `04 || x || y`.
        point: Vec<u8>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Material {
    /// Reads the members of a JWK (RFC 7518, section 6).
    pub(super) fn read<'k>(key_type: KeyType, text: impl Fn(&str) -> Option<&'k str>) -> Option<Self> {
        let bytes = |name: &str| text(name).and_then(|value| URL_SAFE_NO_PAD.decode(value).ok());
        match key_type {
            KeyType::Rsa => Some(Self::Rsa { n: unsigned(&bytes("n")?), e: unsigned(&bytes("e")?) }),
            KeyType::Ec => {
                let (curve, width) = match text("crv")? {
                    "P-256" => (Curve::P256, 32),
                    "P-384" => (Curve::P384, 48),
                    "P-521" => (Curve::P521, 66),
                    _ => return None,
                };
                let (x, y) = (bytes("x")?, bytes("y")?);
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                (x.len() == width && y.len() == width).then_some(Self::Ec { curve, point })
            }
        }
    }
}

/// Without leading zeros, as the verifier wants its numbers.
pub(super) fn unsigned(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|&byte| byte == 0).collect()
}
