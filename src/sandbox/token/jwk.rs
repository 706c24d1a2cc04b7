//! Public keys as an issuer publishes them (RFC 7517), read as AWS reads them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::certificate;
use super::jws::KeyType;

/// One published key.
#[derive(Debug)]
pub(in crate::sandbox) struct Jwk {
    pub(super) kid: String,
    pub(super) key_type: KeyType,
    pub(super) material: Material,
    /// Whether it can be selected: it has a kid, its `use` is `sig` or absent, and an `x5c` certifies this very key.
    pub(super) is_usable: bool,
    /// A key with `key_ops` is selected, and then verifies nothing.
    pub(super) has_key_ops: bool,
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

impl Jwk {
    /// Reads the keys of a JWKS; keys of other types, or without their material, count for nothing but the limit.
    pub(super) fn read_all(jwks: &Map<String, Value>) -> Option<Vec<Self>> {
        let keys = jwks.get("keys")?.as_array()?;
        Some(keys.iter().filter_map(|key| Self::read(key.as_object()?)).collect())
    }

    fn read(key: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let key_type = match text("kty")? {
            "RSA" => KeyType::Rsa,
            "EC" => KeyType::Ec,
            _ => return None,
        };
        let material = Material::read(key_type, text);
        let certified = match (key.get("x5c"), &material) {
            (None, _) => true,
            (Some(chain), Some(material)) => chain
                .get(0)
                .and_then(Value::as_str)
                .and_then(|leaf| STANDARD.decode(leaf).ok())
                .and_then(|leaf| certificate::public_key(&leaf))
                .is_some_and(|certified| certified == *material),
            (Some(_), None) => false,
        };
        Some(Self {
            kid: text("kid").unwrap_or_default().to_owned(),
            key_type,
            is_usable: certified
                && material.is_some()
                && text("kid").is_some()
                && key.get("use").is_none_or(|purpose| purpose == "sig"),
            has_key_ops: key.contains_key("key_ops"),
            material: material.unwrap_or(Material::Rsa { n: Vec::new(), e: Vec::new() }),
        })
    }
}

impl Material {
    fn read<'k>(key_type: KeyType, text: impl Fn(&str) -> Option<&'k str>) -> Option<Self> {
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
