//! What verifiers read: the discovery document and the JWKS, as bytes that stand ready.

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::crypto::jwk::{self, Jwks, X5c};
use crate::domain::claims;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::signing_key::{self, Algorithm, SigningKey};

/// The path of the discovery document, under the issuer URL (OpenID Connect Discovery 1.0, section 4).
pub const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";
/// The path of the JWKS.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

const DEFAULT_MAX_AGE: u32 = 3600;

/// One public document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its bytes.
    pub body: Bytes,
    /// Its strong entity tag (RFC 9110, section 8.8.3), quotes included: the same on every replica.
    pub etag: String,
}

impl Document {
    pub(super) fn new(text: String) -> Self {
        let hash = digest(&SHA256, text.as_bytes());
        Self { etag: format!("\"{}\"", URL_SAFE_NO_PAD.encode(hash)), body: text.into() }
    }
}

/// Both documents of one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// `/.well-known/openid-configuration`.
    pub discovery: Document,
    /// `/.well-known/jwks.json`.
    pub jwks: Document,
    /// How long they may be cached, in seconds.
    pub max_age: u32,
}

impl Published {
    /// The documents of `keys` at `now`, of an issuer that has no other endpoints than these.
    pub fn of(issuer: &IssuerUrl, keys: &[SigningKey], x5c: X5c, max_age: u32, now: OffsetDateTime) -> Self {
        Self::with_endpoints(issuer, Map::new(), keys, x5c, max_age, now)
    }

    /// The same of an issuer that has more: `endpoints` are members of the discovery document.
    pub fn with_endpoints(
        issuer: &IssuerUrl,
        endpoints: Map<String, Value>,
        keys: &[SigningKey],
        x5c: X5c,
        max_age: u32,
        now: OffsetDateTime,
    ) -> Self {
        let published = signing_key::published(keys, now);
        let mut algorithms: Vec<_> = published.iter().map(|key| key.algorithm()).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        Self {
            discovery: Document::new(discovery(issuer, endpoints, &algorithms)),
            jwks: Document::new(jwk::document(&published, x5c)),
            max_age,
        }
    }

    /// The same without the keys whose kid is `distrusted`, where any is.
    pub(super) fn without(&self, distrusted: impl Fn(&str) -> bool) -> Option<Self> {
        let mut jwks: Value = serde_json::from_slice(&self.jwks.body).ok()?;
        let keys = jwks.get_mut("keys")?.as_array_mut()?;
        let before = keys.len();
        keys.retain(|key| key["kid"].as_str().is_none_or(|kid| !distrusted(kid)));
        (keys.len() < before).then(|| Self { jwks: Document::new(jwks.to_string()), ..self.clone() })
    }
}

/// The six members that AWS needs (IAM user guide, "Create an OpenID Connect identity provider"), and the endpoints
/// that exist. Every URL comes from the configured issuer URL (threat 6).
fn discovery(issuer: &IssuerUrl, endpoints: Map<String, Value>, algorithms: &[Algorithm]) -> String {
    let algorithms: Vec<_> = algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
    let mut members = endpoints;
    members.extend([
        ("issuer".to_owned(), json!(issuer.as_str())),
        ("jwks_uri".to_owned(), json!(issuer.join(JWKS_PATH))),
        ("response_types_supported".to_owned(), json!(["id_token"])),
        ("subject_types_supported".to_owned(), json!(["public"])),
        ("id_token_signing_alg_values_supported".to_owned(), json!(algorithms)),
        ("claims_supported".to_owned(), json!(claims::SUPPORTED)),
    ]);
    Value::Object(members).to_string()
}

/// What is to be published.
pub(super) struct Made {
    pub(super) documents: Published,
    /// The state of the keys that it is; `None` where it is that of no moment.
    pub(super) version: Option<i64>,
}

/// What is published now. It answers without the database, and while minting is saturated: readers only clone
/// a pointer.
pub struct Publication {
    issuer: IssuerUrl,
    // Held for the length of an assignment, never across an await.
    current: RwLock<Option<Arc<Published>>>,
    file: Option<PathBuf>,
    /// The state of the keys that is published; 0 where the file of an earlier run is.
    version: AtomicI64,
    publishing: Mutex<()>,
    saving: Mutex<Saving>,
}

/// The file, as far as this process knows it.
#[derive(Default)]
struct Saving {
    /// What it holds.
    saved: Option<Arc<Published>>,
    /// Why it could not be written, where that was told.
    told: Option<String>,
}

/// The documents as the file keeps them, and whose they are.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    issuer: String,
    discovery: String,
    jwks: String,
    max_age_seconds: u32,
}

/// Why a saved file is not served.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not what was written.
    #[error("{0} does not hold saved public documents of this issuer: delete it")]
    Content(PathBuf),
}

impl Publication {
    /// Publishes nothing yet. `file` is where the last documents are kept for a start without the database.
    pub const fn new(issuer: IssuerUrl, file: Option<PathBuf>) -> Self {
        Self {
            issuer,
            current: RwLock::new(None),
            file,
            version: AtomicI64::new(0),
            publishing: Mutex::new(()),
            saving: Mutex::new(Saving { saved: None, told: None }),
        }
    }

    /// What is published, if anything is yet.
    pub fn current(&self) -> Option<Arc<Published>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long documents may be cached, in seconds: what is published says so, and an hour before anything is.
    pub fn max_age(&self) -> u32 {
        self.current().map_or(DEFAULT_MAX_AGE, |published| published.max_age)
    }

    /// Serves the saved documents until the database answers; whether there were any.
    pub fn restore(&self) -> Result<bool, SavedError> {
        let Some(path) = &self.file else { return Ok(false) };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(SavedError::File { path: path.clone(), source }),
        };
        let saved = Arc::new(self.read_saved(&text).ok_or_else(|| SavedError::Content(path.clone()))?);
        self.saving.lock().unwrap_or_else(PoisonError::into_inner).saved = Some(Arc::clone(&saved));
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // What the database said meanwhile is newer.
        current.get_or_insert(saved);
        Ok(true)
    }

    /// What a saved file holds, where it is one of this issuer's.
    pub fn read_saved(&self, text: &[u8]) -> Option<Published> {
        let saved: Saved = serde_json::from_slice(text).ok()?;
        let ours = saved.issuer == self.issuer.as_str() && Jwks::parse(saved.jwks.as_bytes()).is_ok();
        ours.then(|| Published {
            discovery: Document::new(saved.discovery),
            jwks: Document::new(saved.jwks),
            max_age: saved.max_age_seconds,
        })
    }

    /// The state of the keys that is published, where this process has published any.
    pub(super) fn version(&self) -> Option<i64> {
        Some(self.version.load(Ordering::Acquire)).filter(|version| *version > 0)
    }

    /// Publishes what `make` makes of what is published so far, from now on, and remembers the state of the keys that it
    /// says this is, where it says so; whether anything changed.
    pub(super) fn publish(&self, make: impl FnOnce(Option<&Published>) -> Option<Made>) -> bool {
        // One at a time, and each reads in its turn, or what is older could replace what is newer.
        let _publishing = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current();
        let Some(Made { documents, version }) = make(before.as_deref()) else { return false };
        let changes = before.is_none_or(|before| *before != documents);
        if changes {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(documents));
        }
        if let Some(version) = version {
            self.version.store(version, Ordering::Release);
        }
        changes
    }

    /// Brings the file up to what is published. It may block, for as long as a disk hangs. What goes wrong is told once,
    /// and tried again by the next call.
    pub(super) fn save(&self) {
        let Some(path) = &self.file else { return };
        let mut saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(published) = self.current().filter(|current| saving.saved.as_ref() != Some(current)) else { return };
        let text = |document: &Document| String::from_utf8_lossy(&document.body).into_owned();
        let content = Saved {
            issuer: self.issuer.to_string(),
            discovery: text(&published.discovery),
            jwks: text(&published.jwks),
            max_age_seconds: published.max_age,
        };
        let json = serde_json::to_vec(&content).unwrap_or_default();
        match replace_private(path, &json).map_err(|error| error.to_string()) {
            Ok(()) => *saving = Saving { saved: Some(published), told: None },
            Err(cause) if saving.told.as_ref() == Some(&cause) => {}
            Err(cause) => {
                tracing::warn!(file = %path.display(), cause, "public documents were not saved");
                saving.told = Some(cause);
            }
        }
    }
}

/// Replaces `path` as a whole, with mode 0600: readers see the old file or the new one.
pub(super) fn replace_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "public documents of {}", self.issuer)
    }
}
