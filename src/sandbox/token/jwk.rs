//! Public keys as an issuer publishes them (RFC 7517), read as AWS reads them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::certificate;
use super::material::{KeyType, Material};

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
