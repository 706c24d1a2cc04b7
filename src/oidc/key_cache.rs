//! Keys of foreign issuers, kept for a while and asked for one request at a time.

use std::fmt;
use std::sync::Arc;

use super::cache::Cache;
use super::discovery;
use super::error::KeysError;
use crate::crypto::foreign_keys::ForeignKeys;
use crate::domain::clock::Clock;
use crate::domain::foreign_issuer::ForeignIssuer;
use crate::fetch::{self, Limits};

/// An issuer has so long for each of its two documents.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Where keys are. It comes from what an administrator wrote, never from a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyPlace {
    /// Where the discovery document of an issuer says.
    Issuer(ForeignIssuer),
    /// At this URL.
    Url(Box<str>),
}

impl KeyPlace {
    /// A JWKS at `url`, which must be https (`http` on loopback only in development).
    pub fn url(url: &str, loopback: bool) -> Result<Self, KeysError> {
        discovery::check_uri(url, loopback).map(|()| Self::Url(url.into()))
    }
}

/// The cache. One for the process.
pub struct KeyCache {
    client: fetch::Client,
    keys: Cache<KeyPlace, ForeignKeys, KeysError>,
}

impl KeyCache {
    /// An empty cache that asks through `client`, whose guards decide what may be reached.
    pub fn new(client: &fetch::Client, clock: Arc<dyn Clock>) -> Self {
        let client = client.with_limits(Limits { total: PATIENCE, ..client.limits() });
        Self { client, keys: Cache::new(clock, KeysError::Jwks(fetch::FetchError::Timeout)) }
    }

    /// The keys at `place`, asked for if what is kept is due.
    pub async fn keys(&self, place: &KeyPlace) -> Result<Arc<ForeignKeys>, KeysError> {
        self.keys.at(place, async || self.ask(place).await).await
    }

    /// Keys that are newer than `seen`, in which a kid was missing; `seen` itself where the issuer was asked a moment
    /// ago.
    pub async fn newer(&self, place: &KeyPlace, seen: &Arc<ForeignKeys>) -> Result<Arc<ForeignKeys>, KeysError> {
        self.keys.newer(place, seen, async || self.ask(place).await).await
    }

    async fn ask(&self, place: &KeyPlace) -> Result<ForeignKeys, KeysError> {
        let read = self.fetch(place).await;
        let outcome = if read.is_ok() { "read" } else { "failed" };
        metrics::counter!("brevet_foreign_keys_total", "outcome" => outcome).increment(1);
        if let Err(error) = &read {
            tracing::warn!(cause = %error, place = %place, "the keys of a foreign issuer were not read");
        }
        read
    }

    async fn fetch(&self, place: &KeyPlace) -> Result<ForeignKeys, KeysError> {
        let uri = match place {
            KeyPlace::Url(url) => url.to_string(),
            KeyPlace::Issuer(issuer) => {
                let document = self.client.document(&issuer.discovery_url()).await.map_err(KeysError::Discovery)?;
                discovery::jwks_uri(issuer, &document)?
            }
        };
        let jwks = self.client.document(&uri).await.map_err(KeysError::Jwks)?;
        Ok(ForeignKeys::parse(&jwks)?)
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer(issuer) => issuer.fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyCache")
    }
}
