//! Flags that several commands share, and how they become settings.

use std::io::{self, Read};

use clap::Args;

use super::outcome::Failure;
use crate::config::env::{self, Environment};
use crate::config::setting::Given;
use crate::domain::secret::Secret;

/// Of every command.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Common {
    /// What is logged to stderr: off, error, warn, info, debug, trace (BREVET_LOG)
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Common options")]
    log: Option<String>,
    /// text or json (BREVET_LOG_FORMAT)
    #[arg(long, global = true, value_name = "FORMAT", help_heading = "Common options")]
    log_format: Option<String>,
}

impl Common {
    /// Environment and these flags.
    pub(super) fn given(&self, environment: Environment) -> Given {
        Given::new(environment).flag(&env::LOG, self.log.as_deref()).flag(&env::LOG_FORMAT, self.log_format.as_deref())
    }
}

/// Of every command that talks to an issuer.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct IssuerFlags {
    /// The issuer URL (BREVET_ISSUER); the only saved session's by default
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// PEM certificates to trust beside the system's (BREVET_CA_FILE)
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
}

impl IssuerFlags {
    pub(super) fn add(&self, given: Given) -> Given {
        given.flag(&env::ISSUER, self.issuer.as_deref()).flag(&env::CA_FILE, self.ca_file.as_deref())
    }
}

/// Of every command that does so with a credential.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ClientFlags {
    #[command(flatten)]
    issuer: IssuerFlags,
    /// A file that holds the credential to use (BREVET_TOKEN_FILE); the saved session by default
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
}

impl ClientFlags {
    pub(super) fn add(&self, given: Given) -> Given {
        self.issuer.add(given).flag(&env::TOKEN_FILE, self.token_file.as_deref())
    }
}

/// Of every command that talks to the admin API.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct AdminFlags {
    #[command(flatten)]
    client: ClientFlags,
    /// Where the admin API answers, if not under the issuer URL (BREVET_ADMIN_URL)
    #[arg(long, value_name = "URL")]
    admin_url: Option<String>,
    /// Print data as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl AdminFlags {
    pub(super) fn add(&self, given: Given) -> Given {
        self.client.add(given).flag(&env::ADMIN_URL, self.admin_url.as_deref())
    }
}

/// Of every command that opens the store itself.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct StoreFlags {
    /// The issuer URL: https, no port or trailing slash (BREVET_ISSUER_URL)
    #[arg(long, value_name = "URL")]
    issuer_url: Option<String>,
    /// The folder that holds brevet.db and keys/ (BREVET_DATA_DIR)
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// A file that holds the postgres:// URL (DATABASE_URL_FILE, or the URL in DATABASE_URL)
    #[arg(long, value_name = "FILE")]
    database_url_file: Option<String>,
    /// A file that holds the URL of the server behind a pooler (DATABASE_DIRECT_URL_FILE, or the URL in
    /// DATABASE_DIRECT_URL)
    #[arg(long, value_name = "FILE")]
    database_direct_url_file: Option<String>,
    /// A file that holds the key-encryption key (BREVET_KEK_FILE, or the key in BREVET_KEK)
    #[arg(long, value_name = "FILE")]
    kek_file: Option<String>,
    /// A file that holds the key-encryption key before it (BREVET_PREVIOUS_KEK_FILE, or the key in BREVET_PREVIOUS_KEK)
    #[arg(long, value_name = "FILE")]
    previous_kek_file: Option<String>,
    /// Take a loopback http issuer URL; never in production (BREVET_DEVELOPMENT)
    #[arg(long)]
    development: bool,
}

impl StoreFlags {
    pub(super) fn add(&self, given: Given) -> Given {
        given
            .flag(&env::ISSUER_URL, self.issuer_url.as_deref())
            .flag(&env::DATA_DIR, self.data_dir.as_deref())
            .flag(&env::DATABASE_URL_FILE, self.database_url_file.as_deref())
            .flag(&env::DATABASE_DIRECT_URL_FILE, self.database_direct_url_file.as_deref())
            .flag(&env::KEK_FILE, self.kek_file.as_deref())
            .flag(&env::PREVIOUS_KEK_FILE, self.previous_kek_file.as_deref())
            .switch(&env::DEVELOPMENT, self.development)
    }
}

/// Of both servers.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ServerFlags {
    /// Address and port of /healthz, /readyz and /metrics (BREVET_OPS_LISTEN)
    #[arg(long, value_name = "ADDRESS")]
    ops_listen: Option<String>,
    /// PEM file of the certificate chain (BREVET_TLS_CERT)
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// PEM file of the certificate's key (BREVET_TLS_KEY)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// A proxy in front speaks TLS (BREVET_BEHIND_TLS_PROXY)
    #[arg(long)]
    behind_tls_proxy: bool,
    /// Addresses and networks whose X-Forwarded-For is believed (BREVET_TRUSTED_PROXIES)
    #[arg(long, value_name = "LIST")]
    trusted_proxies: Option<String>,
    /// How long it goes on taking requests when it is told to stop, while /readyz says so (BREVET_STOP_DELAY)
    #[arg(long, value_name = "SECONDS")]
    stop_delay: Option<String>,
    /// URLs that base_url and sts_endpoint may name beside AWS's (BREVET_ALLOWED_ENDPOINTS)
    #[arg(long, value_name = "LIST")]
    allowed_endpoints: Option<String>,
    /// PEM certificates to trust beside the system's (BREVET_CA_FILE)
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
}

impl ServerFlags {
    pub(super) fn add(&self, given: Given) -> Given {
        given
            .flag(&env::OPS_LISTEN, self.ops_listen.as_deref())
            .flag(&env::TLS_CERT, self.tls_cert.as_deref())
            .flag(&env::TLS_KEY, self.tls_key.as_deref())
            .switch(&env::BEHIND_TLS_PROXY, self.behind_tls_proxy)
            .flag(&env::TRUSTED_PROXIES, self.trusted_proxies.as_deref())
            .flag(&env::STOP_DELAY, self.stop_delay.as_deref())
            .flag(&env::ALLOWED_ENDPOINTS, self.allowed_endpoints.as_deref())
            .flag(&env::CA_FILE, self.ca_file.as_deref())
    }
}

/// A secret argument: `-` reads it from stdin, so that it stands neither in the shell's history nor in the
/// process list.
pub(super) fn secret(argument: &str) -> Result<Secret, Failure> {
    if argument != "-" {
        return Ok(Secret::new(argument.trim().to_owned()));
    }
    let mut text = String::new();
    let read = io::stdin().lock().take(4096).read_to_string(&mut text);
    read.map_err(|_| Failure::Usage("stdin could not be read".to_owned()))?;
    Ok(Secret::new(text.trim().to_owned()))
}

/// A lifetime as people write it: `300`, `300s`, `5m` or `1h`, in whole seconds.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let value = plain.then(|| number.parse::<u32>().ok()?.checked_mul(unit)).flatten();
    value.ok_or_else(|| "must be a number of seconds, or one with s, m or h behind it, such as 5m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_read_as_people_write_it() {
        assert_eq!(["300", "300s", "5m", "1h"].map(|text| seconds(text).unwrap()), [300, 300, 300, 3600]);
        for bad in ["", "m", "-5m", "5 m", "1d", "5.5m", "+5", "9999999h"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
