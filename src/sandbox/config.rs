//! What a stand-in starts with, from a TOML file or built by hand.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::secret::Secret;

/// The configuration. Every member has a default; an unknown member is an error.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; loopback only. Port 0 takes a free one.
    pub listen: String,
    /// The 12-digit account that the IAM calls work in.
    pub account: String,
    /// The region of unsigned requests. Signed ones bring their own.
    pub region: String,
    /// Whether IAM takes issuers such as `http://127.0.0.1:8080`.
    pub loopback_issuers: bool,
    /// Milliseconds between two events of a streamed answer.
    pub stream_pause_ms: u64,
    /// Base ids of the models there are, beside the built-in ones.
    pub models: Vec<String>,
    /// Application inference profiles: id → base model id.
    pub application_profiles: BTreeMap<String, String>,
    /// The administrator's key pair; absent: made at start.
    pub administrator: Option<AdministratorConfig>,
    /// OIDC providers.
    pub provider: Vec<ProviderConfig>,
    /// Roles.
    pub role: Vec<RoleConfig>,
}

/// `[administrator]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdministratorConfig {
    /// 16..128 characters of `[A-Za-z0-9_]`.
    pub access_key_id: String,
    /// At least 16 characters.
    #[serde(deserialize_with = "secret")]
    pub secret_access_key: Secret,
}

/// `[[provider]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// The issuer URL, as its tokens have it.
    pub url: String,
    /// Audiences.
    #[serde(default)]
    pub client_ids: Vec<String>,
    /// Thumbprints, 40 characters each.
    #[serde(default)]
    pub thumbprints: Vec<String>,
    /// A loopback URL below which the issuer's documents are read instead of below `url`.
    pub fetch_base: Option<String>,
}

/// `[[role]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    /// The name.
    pub name: String,
    /// The path, `/` by default.
    #[serde(default = "root_path")]
    pub path: String,
    /// Another account than the stand-in's own.
    pub account: Option<String>,
    /// The trust policy, as JSON text.
    pub trust: String,
    /// Permission policies: name → JSON text.
    #[serde(default)]
    pub policies: BTreeMap<String, String>,
    /// 3600..43200 seconds.
    #[serde(default = "one_hour")]
    pub max_session_seconds: i64,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// The configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, or of another shape. Shows the place, never a line of the file.
    #[error("configuration: {0}")]
    Toml(String),
    /// A value breaks its rule.
    #[error("{field}: {rule}")]
    Value {
        /// Where.
        field: String,
        /// Which rule.
        rule: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:4566".to_owned(),
            account: "111122223333".to_owned(),
            region: "us-east-1".to_owned(),
            loopback_issuers: false,
            stream_pause_ms: 20,
            models: Vec::new(),
            application_profiles: BTreeMap::new(),
            administrator: None,
            provider: Vec::new(),
            role: Vec::new(),
        }
    }
}

impl Config {
    /// Reads a TOML text.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Toml(error.message().to_owned()))
    }
}

impl ConfigError {
    pub(super) fn value(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Value { field: field.into(), rule: rule.into() }
    }

    /// The same fault, told from the outside of `section`.
    pub(super) fn within(self, section: &str) -> Self {
        match self {
            Self::Value { field, rule } if field.is_empty() => Self::value(section, rule),
            Self::Value { field, rule } => Self::value(format!("{section}.{field}"), rule),
            other @ Self::Toml(_) => other,
        }
    }
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

fn root_path() -> String {
    "/".to_owned()
}

const fn one_hour() -> i64 {
    3600
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file_and_its_faults() {
        let config = Config::from_toml(
            r#"
            loopback_issuers = true
            [administrator]
            access_key_id = "AKIAADMINISTRATOR000"
            secret_access_key = "correct horse battery staple"
            [[provider]]
            url = "https://issuer.example"
            client_ids = ["sts.amazonaws.com"]
            fetch_base = "http://127.0.0.1:8080"
            [[role]]
            name = "bedrock"
            trust = "{}"
            policies = { invoke = "{}" }
            "#,
        )
        .unwrap();
        assert_eq!((config.role[0].path.as_str(), config.role[0].max_session_seconds), ("/", 3600));
        assert!(!format!("{config:?}").contains("staple"));
        for text in ["nonsense", "unknown = 1", "[[role]]\nname = \"x\"", "[[provider]]\nurl = 1"] {
            assert!(matches!(Config::from_toml(text), Err(ConfigError::Toml(_))), "{text}");
        }
        assert!(
            !Config::from_toml("[administrator]\nsecret_access_key = \"staple\"")
                .unwrap_err()
                .to_string()
                .contains("staple")
        );
    }
}
