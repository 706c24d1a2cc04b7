//! The settings of `brevet worker`.

use std::net::SocketAddr;
use std::time::Duration;

use super::development::development;
use super::env;
use super::listener::{self, Transport};
use super::network;
use super::outbound::Outbound;
use super::setting::{Given, SettingError};
use crate::domain::audience::Audience;
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::secret::Secret;

/// Everything `worker` is told from outside. Whom it serves and with which settings, the issuer tells it.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Whose tokens it takes.
    pub issuer: IssuerUrl,
    /// For which audience they must be.
    pub audience: Audience,
    /// Its own credential.
    pub key: Secret,
    /// The listener of the inference routes.
    pub listen: SocketAddr,
    /// The ops listener.
    pub ops: SocketAddr,
    /// How the listeners are protected.
    pub transport: Transport,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// What `base_url` and `sts_endpoint` may name beside AWS: checked here again, so that a wrong issuer
    /// cannot send prompts elsewhere.
    pub allowed_endpoints: Vec<String>,
    /// How long load balancers have to see that it stops.
    pub stop_delay: Duration,
    /// Outbound requests.
    pub outbound: Outbound,
}

impl WorkerSettings {
    /// Reads them all, or tells the first that breaks its rule.
    pub fn read(given: &Given) -> Result<Self, SettingError> {
        let development = development(given)?;
        let transport = listener::transport(given)?;
        Ok(Self {
            issuer: given.required(&env::ISSUER, |text| IssuerUrl::parse(text, development))?,
            audience: given.required(&env::WORKER_AUDIENCE, Audience::parse)?,
            key: worker_key(given)?,
            listen: listener::address(given, &env::WORKER_LISTEN, ([127, 0, 0, 1], 8090).into(), &transport)?,
            ops: listener::address(given, &env::OPS_LISTEN, ([127, 0, 0, 1], 9091).into(), &transport)?,
            trusted_proxies: given.list(&env::TRUSTED_PROXIES, network::parse)?,
            allowed_endpoints: network::allowed_endpoints(given)?,
            stop_delay: listener::stop_delay(given)?,
            outbound: Outbound::read(given)?,
            transport,
        })
    }
}

fn worker_key(given: &Given) -> Result<Secret, SettingError> {
    let Some(key) = given.secret(&env::TOKEN, &env::TOKEN_FILE)? else {
        return Err(SettingError::new(&env::TOKEN, "or BREVET_TOKEN_FILE is required: the worker key (bvt_wk_…)"));
    };
    let parsed = OpaqueCredential::parse(key.expose()).map_err(|rule| SettingError::new(&env::TOKEN, rule))?;
    match parsed.kind() {
        CredentialKind::Worker => Ok(key),
        other => Err(SettingError::new(&env::TOKEN, format!("must be a worker key (bvt_wk_…), not a {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::env::{Environment, Variable};
    use super::*;

    #[test]
    fn a_worker_takes_only_a_worker_key() {
        let basics = [(&env::ISSUER, "https://id.example"), (&env::WORKER_AUDIENCE, "worker.example")];
        let fault = |more: &[(&'static Variable, &str)]| {
            let values = [basics.as_slice(), more].concat();
            WorkerSettings::read(&Given::new(Environment::of(&values))).unwrap_err().to_string()
        };
        assert_eq!(fault(&[]), "BREVET_TOKEN or BREVET_TOKEN_FILE is required: the worker key (bvt_wk_…)");
        assert_eq!(fault(&[(&env::TOKEN, "AKIA")]), "BREVET_TOKEN is not a Brevet credential (those begin with bvt_)");
        let cut = fault(&[(&env::TOKEN, "bvt_wk_short")]);
        assert_eq!(cut, "BREVET_TOKEN is cut short or mistyped (its checksum does not fit)");
    }
}
