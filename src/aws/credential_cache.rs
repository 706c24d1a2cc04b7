//! How long AWS credentials are kept: until shortly before AWS stops taking them, bounded in number, renewed ahead.
//!
//! The mechanism is [`super::flight_cache`]; the key is [`super::credential_key`].

use std::sync::Arc;

use time::Duration;

use super::credential::OwnedCredentials;
use super::credential_key::CredentialKey;
use super::flight_cache::{Cache, Loaded};
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;

/// How many sessions are kept where the operator says nothing.
pub const CAPACITY: usize = 10_000;
/// So long before their end credentials are taken for ended: a request is on its way for a while, and clocks differ.
pub const MARGIN: Duration = Duration::seconds(60);
/// Where STS cannot be reached, they serve until so long before their end.
pub const LAST_GOOD_MARGIN: Duration = Duration::seconds(10);

/// Sessions by everything that makes them differ.
pub type CredentialCache<E> = Cache<CredentialKey, OwnedCredentials, E>;

/// An empty cache of at most `capacity` sessions.
pub fn new<E: super::flight_cache::Failure>(
    capacity: usize,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> CredentialCache<E> {
    Cache::new("credentials", capacity, clock, entropy)
}

/// `credentials` with their own expiry, whenever they were fetched.
pub fn loaded(credentials: OwnedCredentials) -> Loaded<OwnedCredentials> {
    let ends = credentials.expires_at();
    Loaded { value: credentials, fresh_until: ends - MARGIN, last_good_until: ends - LAST_GOOD_MARGIN }
}
