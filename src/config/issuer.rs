//! The settings of `brevet serve`.

use std::net::SocketAddr;
use std::time::Duration;

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
    /// How long load balancers have to see that it stops.
    pub stop_delay: Duration,
    /// Whether an older store is migrated at start.
    pub migrate: bool,
    /// How long an audit row is kept.
    pub audit_retention: time::Duration,
    /// Whether keys are published with their certificates; `None` leaves it as the store has it.
    pub x5c: Option<bool>,
    /// How long the public documents may be cached, in seconds; `None` leaves it as the store has it.
    pub max_age: Option<u32>,
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
            stop_delay: listener::stop_delay(given)?,
            migrate: given.is_on(&env::MIGRATE, true)?,
            audit_retention: given.parse(&env::AUDIT_RETENTION_DAYS, days)?.unwrap_or(AUDIT_RETENTION),
            x5c: given.text(&env::X5C)?.map(|_| given.is_on(&env::X5C, false)).transpose()?,
            max_age: given.parse(&env::JWKS_MAX_AGE, max_age)?,
            outbound: Outbound::read(given)?,
        })
    }
}

/// Under a minute every verifier would ask all the time; over a day a revoked key would stay believed for too long.
fn max_age(text: &str) -> Result<u32, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (60..=86_400).contains(seconds));
    seconds.ok_or("must be a whole number of seconds from 60 to 86400")
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
        for wrong in ["121", "-1", "1s", "0.5"] {
            assert_eq!(
                fault(&[url, (&env::STOP_DELAY, wrong)]),
                "--stop-delay (BREVET_STOP_DELAY) must be a whole number of seconds from 0 to 120"
            );
        }
        assert_eq!(fault(&[url, (&env::X5C, "yes")]), "--x5c (BREVET_X5C) must be on or off");
        for bad in ["59", "86401", "-1", "1h"] {
            assert_eq!(
                fault(&[url, (&env::JWKS_MAX_AGE, bad)]),
                "--jwks-max-age (BREVET_JWKS_MAX_AGE) must be a whole number of seconds from 60 to 86400"
            );
        }
        assert_eq!(
            fault(&[url, (&env::TRUSTED_PROXIES, "10.0.0.0/8, proxy")]),
            "--trusted-proxies (BREVET_TRUSTED_PROXIES) must list IP addresses or networks, such as 10.0.0.0/8"
        );
    }

    #[test]
    fn what_is_published_stays_as_the_store_has_it_unless_told() {
        let read = |values: &[(&'static Variable, &str)]| {
            let values = [values, &[(&env::ISSUER_URL, "https://id.example")]].concat();
            let settings = IssuerSettings::read(&Given::new(Environment::of(&values))).unwrap();
            (settings.x5c, settings.max_age)
        };
        assert_eq!(read(&[]), (None, None));
        assert_eq!(read(&[(&env::X5C, "on"), (&env::JWKS_MAX_AGE, "600")]), (Some(true), Some(600)));
        assert_eq!(read(&[(&env::X5C, "off")]), (Some(false), None));
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
