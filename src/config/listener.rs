//! Where the servers listen, and the rule that plain HTTP does not leave the host.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::env::{self, Variable};
use super::setting::{Given, SettingError};

/// How connections from outside the host are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Not at all: every listener is on loopback.
    Loopback,
    /// By our own TLS.
    Tls {
        /// PEM file of the chain.
        cert: PathBuf,
        /// PEM file of the private key.
        key: PathBuf,
    },
    /// By a proxy in front.
    BehindProxy,
}

/// Reads how connections are protected.
pub fn transport(given: &Given) -> Result<Transport, SettingError> {
    let path = |variable| given.parse(variable, |text| Ok::<_, String>(PathBuf::from(text)));
    let proxied = given.is_on(&env::BEHIND_TLS_PROXY, false)?;
    match (path(&env::TLS_CERT)?, path(&env::TLS_KEY)?) {
        (Some(_), Some(_)) if proxied => Err(SettingError::new(
            &env::BEHIND_TLS_PROXY,
            "must not be given with --tls-cert: either the proxy speaks TLS or Brevet does",
        )),
        (Some(cert), Some(key)) => Ok(Transport::Tls { cert, key }),
        (Some(_), None) => Err(SettingError::new(&env::TLS_KEY, "is required with --tls-cert")),
        (None, Some(_)) => Err(SettingError::new(&env::TLS_CERT, "is required with --tls-key")),
        (None, None) if proxied => Ok(Transport::BehindProxy),
        (None, None) => Ok(Transport::Loopback),
    }
}

/// Reads one listener's address: an IP address and a port; port 0 takes a free one.
pub fn address(
    given: &Given,
    variable: &'static Variable,
    default: SocketAddr,
    transport: &Transport,
) -> Result<SocketAddr, SettingError> {
    let address = given.parse(variable, parse)?.unwrap_or(default);
    if !address.ip().is_loopback() && *transport == Transport::Loopback {
        return Err(SettingError::new(
            variable,
            "is off loopback and needs --tls-cert and --tls-key (BREVET_TLS_CERT, BREVET_TLS_KEY), or --behind-tls-proxy",
        ));
    }
    Ok(address)
}

/// How long load balancers usually have to see that `/readyz` fell before connections are refused.
pub const STOP_DELAY: Duration = Duration::from_secs(1);

/// Reads how long load balancers have.
pub fn stop_delay(given: &Given) -> Result<Duration, SettingError> {
    let seconds = |text: &str| {
        let seconds = text.parse().ok().filter(|seconds| (0..=120).contains(seconds));
        seconds.map(Duration::from_secs).ok_or("must be a whole number of seconds from 0 to 120")
    };
    Ok(given.parse(&env::STOP_DELAY, seconds)?.unwrap_or(STOP_DELAY))
}

fn parse(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:8080")
}

#[cfg(test)]
mod tests {
    use super::super::env::Environment;
    use super::*;

    fn read(values: &[(&'static Variable, &str)]) -> Result<SocketAddr, String> {
        let given = Given::new(Environment::of(values));
        let transport = transport(&given).map_err(|error| error.to_string())?;
        address(&given, &env::PUBLIC_LISTEN, ([127, 0, 0, 1], 8080).into(), &transport)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn plain_http_does_not_leave_loopback_by_oversight() {
        assert_eq!(read(&[]).unwrap().to_string(), "127.0.0.1:8080");
        assert!(read(&[(&env::PUBLIC_LISTEN, "0.0.0.0:80")]).unwrap_err().contains("is off loopback and needs"));
        assert!(read(&[(&env::PUBLIC_LISTEN, "[::]:80"), (&env::BEHIND_TLS_PROXY, "on")]).is_ok());
        let tls = [(&env::PUBLIC_LISTEN, "0.0.0.0:443"), (&env::TLS_CERT, "c"), (&env::TLS_KEY, "k")];
        assert!(read(&tls).is_ok());
        assert!(read(&tls[..2]).unwrap_err().starts_with("--tls-key (BREVET_TLS_KEY) is required with --tls-cert"));
        assert!(read(&[(&env::PUBLIC_LISTEN, "localhost")]).unwrap_err().contains("must be an IP address and a port"));
    }
}
