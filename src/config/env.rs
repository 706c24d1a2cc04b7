//! The one list of environment variables, and the one place that reads them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// An environment variable that Brevet reads.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The flag that means the same and goes first, where there is one.
    pub flag: Option<&'static str>,
    /// What its value means and looks like, for `brevet help environment`.
    pub meaning: &'static str,
    /// What holds where neither flag nor variable is given; empty where nothing does.
    pub default: &'static str,
    /// Which commands read it.
    pub readers: &'static str,
}

macro_rules! variables {
    ($($constant:ident $name:literal [$flag:expr] $readers:literal ($default:literal) $meaning:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`")]
            pub const $constant: Variable = Variable {
                name: $name, flag: $flag, meaning: $meaning, default: $default, readers: $readers,
            };
        )*
        /// Every variable there is, in the order in which `brevet help environment` lists them.
        pub const ALL: &[&Variable] = &[$(&$constant),*];
    };
}

variables! {
    ISSUER_URL "BREVET_ISSUER_URL" [Some("--issuer-url")] "serve, store, admin init, keys" ("")
        "The issuer URL: https, lower case, no port, query or trailing slash. It is the `iss` of every token and cannot change later.";
    DATA_DIR "BREVET_DATA_DIR" [Some("--data-dir")] "serve, store, admin init, keys" ("the working directory")
        "The folder that holds brevet.db and keys/.";
    DATABASE_URL "DATABASE_URL" [None] "serve, store, admin init, keys" ("SQLite: brevet.db in the data folder")
        "postgres://… of a PostgreSQL database; several servers are divided by commas. Holds a password, so there is no flag.";
    DATABASE_URL_FILE "DATABASE_URL_FILE" [Some("--database-url-file")] "serve, store, admin init, keys" ("")
        "A file that holds the text of DATABASE_URL.";
    DATABASE_DIRECT_URL "DATABASE_DIRECT_URL" [None] "serve, store, admin init, keys" ("DATABASE_URL leads to the server itself")
        "postgres://… of the server itself, where DATABASE_URL leads to a pooler in transaction mode such as PgBouncer.";
    DATABASE_DIRECT_URL_FILE "DATABASE_DIRECT_URL_FILE" [Some("--database-direct-url-file")] "serve, store, admin init, keys" ("")
        "A file that holds the text of DATABASE_DIRECT_URL.";
    KEK "BREVET_KEK" [None] "serve, admin init, keys" ("with SQLite: a file in keys/, made at first start")
        "The key-encryption key that `brevet keys init-kek` prints.";
    KEK_FILE "BREVET_KEK_FILE" [Some("--kek-file")] "serve, admin init, keys" ("")
        "A file with the text of BREVET_KEK; refused where others may read it (0600, or 0440 for a group).";
    PREVIOUS_KEK "BREVET_PREVIOUS_KEK" [None] "serve, admin init, keys" ("with SQLite: keys/kek.previous, where there is one")
        "The key-encryption key that BREVET_KEK takes the place of: what it sealed still opens, until `brevet keys reseal` is done.";
    PREVIOUS_KEK_FILE "BREVET_PREVIOUS_KEK_FILE" [Some("--previous-kek-file")] "serve, admin init, keys" ("")
        "A file with the text of BREVET_PREVIOUS_KEK; refused where others may read it (0600, or 0440 for a group).";
    PUBLIC_LISTEN "BREVET_PUBLIC_LISTEN" [Some("--public-listen")] "serve" ("127.0.0.1:8080")
        "Address and port of the issuer's public routes.";
    ADMIN_LISTEN "BREVET_ADMIN_LISTEN" [Some("--admin-listen")] "serve" ("127.0.0.1:8081")
        "Address and port of the admin API, or `same` to serve it on the public listener.";
    OPS_LISTEN "BREVET_OPS_LISTEN" [Some("--ops-listen")] "serve, worker" ("127.0.0.1:9090 (worker: 127.0.0.1:9091)")
        "Address and port of /healthz, /readyz and /metrics.";
    WORKER_LISTEN "BREVET_WORKER_LISTEN" [Some("--worker-listen")] "worker" ("127.0.0.1:8090")
        "Address and port of the worker's inference routes.";
    WORKER_AUDIENCE "BREVET_WORKER_AUDIENCE" [Some("--worker-audience")] "worker" ("")
        "The audience that callers' tokens must be for: the one of the worker key.";
    TLS_CERT "BREVET_TLS_CERT" [Some("--tls-cert")] "serve, worker" ("")
        "PEM file of the certificate chain: the leaf first. Re-read when it changes.";
    TLS_KEY "BREVET_TLS_KEY" [Some("--tls-key")] "serve, worker" ("")
        "PEM file of the certificate's private key. Re-read when it changes.";
    BEHIND_TLS_PROXY "BREVET_BEHIND_TLS_PROXY" [Some("--behind-tls-proxy")] "serve, worker" ("off")
        "on: a proxy in front speaks TLS, so plain HTTP may leave loopback.";
    TRUSTED_PROXIES "BREVET_TRUSTED_PROXIES" [Some("--trusted-proxies")] "serve, worker" ("")
        "Addresses and networks, divided by commas, whose X-Forwarded-For entries are believed.";
    STOP_DELAY "BREVET_STOP_DELAY" [Some("--stop-delay")] "serve, worker" ("1")
        "How many seconds a server that is told to stop goes on taking requests while /readyz says so: 0 to 120, longer than load balancers take to see it.";
    ALLOWED_ENDPOINTS "BREVET_ALLOWED_ENDPOINTS" [Some("--allowed-endpoints")] "serve, worker" ("")
        "URLs, divided by commas, that provider settings may name as base_url or sts_endpoint beside AWS's own names.";
    MIGRATE "BREVET_MIGRATE" [Some("--migrate")] "serve" ("on")
        "off: refuse an older store instead of migrating it at start (run `brevet store migrate`).";
    AUDIT_RETENTION_DAYS "BREVET_AUDIT_RETENTION_DAYS" [Some("--audit-retention-days")] "serve" ("400")
        "How many days an audit row is kept: 1 to 36500.";
    X5C "BREVET_X5C" [Some("--x5c")] "serve" ("what the store says: off at first")
        "on: publish each key with its certificate (x5c), for verifiers that take no bare key. Kept in the store.";
    JWKS_MAX_AGE "BREVET_JWKS_MAX_AGE" [Some("--jwks-max-age")] "serve" ("what the store says: 3600 at first")
        "How many seconds the public documents may be cached, 60 to 86400. Kept in the store.";
    LIMIT_CREDENTIAL "BREVET_LIMIT_CREDENTIAL" [Some("--limit-credential")] "serve" ("6000/1000")
        "Requests of one credential: so many a minute/so many at once.";
    LIMIT_PRINCIPAL "BREVET_LIMIT_PRINCIPAL" [Some("--limit-principal")] "serve" ("6000/1000")
        "Tokens of one principal, over all its credentials: so many a minute/so many at once.";
    LIMIT_TEAM "BREVET_LIMIT_TEAM" [Some("--limit-team")] "serve" ("60000/5000")
        "Tokens of one team: so many a minute/so many at once.";
    LIMIT_ADDRESS "BREVET_LIMIT_ADDRESS" [Some("--limit-address")] "serve" ("300000/60000")
        "Requests of one address (one /64 in IPv6) with live credentials: so many a minute/so many at once.";
    LIMIT_FAILURES "BREVET_LIMIT_FAILURES" [Some("--limit-failures")] "serve" ("600/200")
        "Requests of one address without a known credential, and tries of enrolment codes: so many a minute/so many at once.";
    LIMIT_USER_CODES "BREVET_LIMIT_USER_CODES" [Some("--limit-user-codes")] "serve" ("600/600")
        "Codes of waiting devices that people type, right and wrong, from everywhere: so many a minute/so many at once.";
    LIMIT_IN_FLIGHT "BREVET_LIMIT_IN_FLIGHT" [Some("--limit-in-flight")] "serve" ("64/1024 for each core")
        "Mints and exchanges under way at once/that wait for a place. One team has three quarters of the first and half of the second at most.";
    DEVELOPMENT "BREVET_DEVELOPMENT" [Some("--development")] "serve, worker, store, admin init, keys" ("off")
        "on: take a loopback http issuer URL and let outbound requests reach loopback. Never in production.";
    ISSUER "BREVET_ISSUER" [Some("--issuer")] "worker and every client command" ("the only saved session's issuer")
        "The issuer URL to talk to.";
    ADMIN_URL "BREVET_ADMIN_URL" [Some("--admin-url")] "admin, aws setup, keys list" ("the issuer URL")
        "Where the admin API answers, if not under the issuer URL: http://127.0.0.1:8081 on the issuer's own host.";
    TOKEN "BREVET_TOKEN" [None] "worker and every client command" ("the saved session")
        "The caller's credential: an administrator, service account or worker key, or an access token.";
    TOKEN_FILE "BREVET_TOKEN_FILE" [Some("--token-file")] "worker and every client command" ("")
        "A file that holds the text of BREVET_TOKEN.";
    CA_FILE "BREVET_CA_FILE" [Some("--ca-file")] "serve, worker and every client command" ("")
        "PEM file of certificates to trust beside the system's.";
    HTTPS_PROXY "BREVET_HTTPS_PROXY" [None] "serve, worker and every client command" ("")
        "http://[user:password@]host:port of a forward proxy for outbound requests; loopback is never proxied.";
    LOG "BREVET_LOG" [Some("--log")] "every command" ("servers: info, other commands: warn")
        "What is logged to stderr: off, error, warn, info, debug or trace, or by target: info,brevet::worker=debug.";
    LOG_FORMAT "BREVET_LOG_FORMAT" [Some("--log-format")] "every command" ("text on a terminal, else json")
        "text or json (one object a line).";
    XDG_STATE_HOME "XDG_STATE_HOME" [None] "login, logout and every client command" ("$HOME/.local/state")
        "The folder below which brevet/ holds the saved sessions.";
    HOME "HOME" [None] "login, logout and every client command" ("")
        "Where XDG_STATE_HOME is looked for if it is not set.";
    KEYRING "BREVET_KEYRING" [Some("--keyring")] "login" ("off")
        "on: keep the session in the system's keyring (Secret Service, Keychain) instead of a file. Needs a build with `--features keyring`.";
    TMPDIR "TMPDIR" [None] "demo" ("/tmp")
        "Where `demo` makes its folder.";
    BROWSER "BROWSER" [None] "login" ("xdg-open, or open on macOS")
        "The program that opens the sign-in page; it is given the address as its only argument.";
    DISPLAY "DISPLAY" [None] "login" ("")
        "Set, or WAYLAND_DISPLAY: a browser is at hand, unless SSH_CONNECTION is set.";
    WAYLAND_DISPLAY "WAYLAND_DISPLAY" [None] "login" ("")
        "See DISPLAY.";
    SSH_CONNECTION "SSH_CONNECTION" [None] "login" ("")
        "Set: the person sits at another machine, so `login` shows a code instead of opening a browser here.";
    NO_COLOR "NO_COLOR" [None] "every command" ("")
        "Any text: no colour, also on a terminal.";
}

/// The path of the running program, for lines that people copy; its bare name where the system does not tell.
pub fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("brevet"))
}

/// A value that is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be UTF-8")]
pub struct NotText;

/// The variables as they stood when the process began.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<&'static str, OsString>);

impl Environment {
    /// Those of this process.
    #[expect(clippy::disallowed_methods, reason = "this is the place that the rule points to")]
    pub fn of_process() -> Self {
        Self(ALL.iter().filter_map(|variable| Some((variable.name, std::env::var_os(variable.name)?))).collect())
    }

    /// Made up, for tests and for `demo`, whose parts must not depend on the host's.
    pub fn of(values: &[(&'static Variable, &str)]) -> Self {
        Self(values.iter().map(|(variable, value)| (variable.name, OsString::from(value))).collect())
    }

    /// The value of `variable`; an empty one counts as absent.
    pub fn text(&self, variable: &'static Variable) -> Result<Option<&str>, NotText> {
        let Some(value) = self.0.get(variable.name).filter(|value| !value.is_empty()) else { return Ok(None) };
        value.to_str().map(Some).ok_or(NotText)
    }
}

/// Names only: some values are secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_named_once_and_its_flag_spells_its_name() {
        let mut names: Vec<&str> = ALL.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for variable in ALL {
            let Some(flag) = variable.flag else { continue };
            let spelled = format!("--{}", variable.name.trim_start_matches("BREVET_").to_lowercase().replace('_', "-"));
            assert_eq!(flag, spelled);
        }
    }

    #[test]
    fn an_empty_variable_is_absent_and_debug_shows_no_value() {
        let environment = Environment::of(&[(&TOKEN, "bvt_at_canary"), (&ISSUER, "")]);
        assert_eq!(environment.text(&ISSUER).unwrap(), None);
        assert_eq!(environment.text(&TOKEN).unwrap(), Some("bvt_at_canary"));
        assert_eq!(format!("{environment:?}"), r#"{"BREVET_ISSUER", "BREVET_TOKEN"}"#);
    }
}
