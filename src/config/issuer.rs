//! The settings of `brevet serve`.

use std::net::SocketAddr;

use super::database::StoreSettings;
use super::development::development;
use super::env;
use super::listener::{self, Transport};
use super::network;
use super::outbound::Outbound;
use super::setting::{Given, SettingError};
use crate::domain::issuer_url::{Development, IssuerUrl};

/// Everything `serve` is told from outside. What changes at run time lives in the database instead.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// The `iss` of every token.
    pub url: IssuerUrl,
    /// Whether loopback http is taken for an issuer.
    pub development: Development,
    /// The store.
    pub store: StoreSettings,
    /// The public listener.
    pub public: SocketAddr,
    /// The admin listener; `None` serves the admin API on the public one.
    pub admin: Option<SocketAddr>,
    /// The ops listener.
    pub ops: SocketAddr,
    /// How the listeners are protected.
    pub transport: Transport,
    /// Whose `X-Forwarded-For` is believed: addresses, or `address/bits`.
    pub trusted_proxies: Vec<String>,
    /// What `base_url` and `sts_endpoint` may name beside AWS.
    pub allowed_endpoints: Vec<String>,
    /// Whether an older store is migrated at start.
    pub migrate: bool,
    /// How long an audit row is kept.
    pub audit_retention: time::Duration,
    /// Outbound requests.
    pub outbound: Outbound,
}

/// How long an audit row is kept unless told otherwise: a year, and a month to look back over it.
pub const AUDIT_RETENTION: time::Duration = time::Duration::days(400);

/// A day at least: a token's row is asked for as long as the token lives.
fn days(text: &str) -> Result<time::Duration, &'static str> {
    let days = text.parse().ok().filter(|days| (1..=36_500).contains(days));
    days.map(time::Duration::days).ok_or("must be a whole number of days, from 1 to 36500")
}

/// Reads the issuer URL alone, for commands that open the store without serving it.
pub fn issuer_url(given: &Given) -> Result<(IssuerUrl, Development), SettingError> {
    let development = development(given)?;
    Ok((given.required(&env::ISSUER_URL, |text| IssuerUrl::parse(text, development))?, development))
}

impl IssuerSettings {
    /// Reads them all, or tells the first that breaks its rule.
    pub fn read(given: &Given) -> Result<Self, SettingError> {
        let (url, development) = issuer_url(given)?;
        let transport = listener::transport(given)?;
        let public = listener::address(given, &env::PUBLIC_LISTEN, ([127, 0, 0, 1], 8080).into(), &transport)?;
        let admin = if given.text(&env::ADMIN_LISTEN)? == Some("same") {
            None
        } else {
            Some(listener::address(given, &env::ADMIN_LISTEN, ([127, 0, 0, 1], 8081).into(), &transport)?)
        };
        let ops = listener::address(given, &env::OPS_LISTEN, ([127, 0, 0, 1], 9090).into(), &transport)?;
        Ok(Self {
            url,
            development,
            store: StoreSettings::read(given)?,
            public,
            admin,
            ops,
            transport,
            trusted_proxies: given.list(&env::TRUSTED_PROXIES, network::parse)?,
            allowed_endpoints: network::allowed_endpoints(given)?,
            migrate: given.is_on(&env::MIGRATE, true)?,
            audit_retention: given.parse(&env::AUDIT_RETENTION_DAYS, days)?.unwrap_or(AUDIT_RETENTION),
            outbound: Outbound::read(given)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::env::{Environment, Variable};
    use super::*;

    fn fault(values: &[(&'static Variable, &str)]) -> String {
        IssuerSettings::read(&Given::new(Environment::of(values))).unwrap_err().to_string()
    }

    #[test]
    fn each_fault_names_flag_variable_and_rule() {
        let url = (&env::ISSUER_URL, "https://id.example");
        assert_eq!(fault(&[]), "--issuer-url (BREVET_ISSUER_URL) is required");
        assert_eq!(
            fault(&[(&env::ISSUER_URL, "https://id.example/")]),
            "--issuer-url (BREVET_ISSUER_URL) path must be lower case, of a-z, 0-9, '.', '_', '~' and '-', without \
             empty segments or a trailing slash"
        );
        assert!(fault(&[(&env::ISSUER_URL, "http://127.0.0.1:8080")]).contains("only with --development"));
        assert_eq!(fault(&[url, (&env::MIGRATE, "no")]), "--migrate (BREVET_MIGRATE) must be on or off");
        for wrong in ["0", "36501", "a year", "-1", "1.5"] {
            assert_eq!(
                fault(&[url, (&env::AUDIT_RETENTION_DAYS, wrong)]),
                "--audit-retention-days (BREVET_AUDIT_RETENTION_DAYS) must be a whole number of days, from 1 to 36500"
            );
        }
        assert_eq!(
            fault(&[url, (&env::TRUSTED_PROXIES, "10.0.0.0/8, proxy")]),
            "--trusted-proxies (BREVET_TRUSTED_PROXIES) must list IP addresses or networks, such as 10.0.0.0/8"
        );
    }

    #[test]
    fn same_puts_the_admin_api_on_the_public_listener() {
        let values = [(&env::ISSUER_URL, "https://id.example/a"), (&env::ADMIN_LISTEN, "same")];
        let settings = IssuerSettings::read(&Given::new(Environment::of(&values))).unwrap();
        assert_eq!(settings.admin, None);
        assert_eq!(settings.ops.to_string(), "127.0.0.1:9090");
        assert!(settings.migrate);
        assert_eq!(settings.audit_retention.whole_days(), 400);
    }
}
