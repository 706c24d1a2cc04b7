//! The typed handle on a running stand-in, for tests and the demo.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::{ConfigError, ProviderConfig, RoleConfig};
use super::fault::Fault;
use super::parts::Sandbox;
use super::setup;
use super::signature::KeyPair;
use super::trail::Event;

/// Looks into a running stand-in and interferes with it. Clones share it.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Sandbox>);

impl Handle {
    /// Lets a fault wait for the next call that it fits; several wait in order.
    pub fn inject(&self, fault: Fault) {
        self.0.faults.add(fault);
    }

    /// Drops the faults that nothing has met.
    pub fn clear_faults(&self) {
        self.0.faults.clear();
    }

    /// Makes every session that was issued expire now.
    pub fn expire_sessions(&self) {
        let now = self.0.clock.now();
        for session in self.0.account.lock().sessions.values_mut() {
            session.expires_at = session.expires_at.min(now);
        }
    }

    /// How often `action` was called, such as `AssumeRoleWithWebIdentity` or `InvokeModel`, with whatever outcome.
    pub fn calls(&self, action: &str) -> u64 {
        self.0.account.lock().trail.calls().get(action).copied().unwrap_or(0)
    }

    /// All counters.
    pub fn all_calls(&self) -> BTreeMap<String, u64> {
        self.0.account.lock().trail.calls().clone()
    }

    /// The last thousand calls, oldest first.
    pub fn trail(&self) -> Vec<Event> {
        self.0.account.lock().trail.events()
    }

    /// Reads documents below the URL `issuer` from below the loopback URL `base` instead, as `fetch_base` does.
    pub fn read_issuer_from(&self, issuer: &str, base: &str) {
        self.0.account.lock().origins.insert(issuer.to_owned(), base.to_owned());
    }

    /// Registers an OIDC provider, as `[[provider]]` does; its ARN.
    pub fn register_provider(&self, provider: &ProviderConfig) -> Result<String, ConfigError> {
        setup::provider(&self.0, provider).map_err(|error| error.within("provider"))
    }

    /// Makes a role with its policies, as `[[role]]` does; its ARN.
    pub fn make_role(&self, role: &RoleConfig) -> Result<String, ConfigError> {
        setup::role(&self.0, role).map_err(|error| error.within("role"))
    }

    /// The administrator's key pair, which may make every IAM call.
    pub fn administrator(&self) -> &KeyPair {
        &self.0.administrator
    }
}
