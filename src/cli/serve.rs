//! `brevet serve`: the issuer.

use std::io::{self, IsTerminal};

use super::arguments::{ServerFlags, StoreFlags};
use super::issuer_server::{IssuerServer, Start};
use super::limits::{self, LimitFlags};
use super::outcome::Failure;
use super::output::fields;
use super::remote::stamp;
use super::{Run, first_start, opened_store, shutdown};
use crate::config::env;
use crate::config::issuer::IssuerSettings;
use crate::domain::issuer_url::Development;
use crate::domain::signing_key::{KeyState, SigningKey};
use crate::http::ops;
use crate::issuer::bootstrap::Host;

/// Run the issuer
///
/// On an empty SQLite store it makes everything it needs: database, key-encryption key, signing keys and the
/// first administrator key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  brevet serve --issuer-url https://id.example.com --behind-tls-proxy\n  \
                        brevet serve --issuer-url http://127.0.0.1:8080 --development")]
pub(super) struct Serve {
    #[command(flatten)]
    store: StoreFlags,
    #[command(flatten)]
    server: ServerFlags,
    /// Address and port of the public routes (BREVET_PUBLIC_LISTEN)
    #[arg(long, value_name = "ADDRESS")]
    public_listen: Option<String>,
    /// Address and port of the admin API, or `same` (BREVET_ADMIN_LISTEN)
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// on or off: migrate an older store at start (BREVET_MIGRATE)
    #[arg(long, value_name = "ON|OFF")]
    migrate: Option<String>,
    /// How many days an audit row is kept (BREVET_AUDIT_RETENTION_DAYS)
    #[arg(long, value_name = "DAYS")]
    audit_retention_days: Option<String>,
    /// on or off: publish keys with their certificates (BREVET_X5C)
    #[arg(long, value_name = "ON|OFF")]
    x5c: Option<String>,
    /// How long the public documents may be cached (BREVET_JWKS_MAX_AGE)
    #[arg(long, value_name = "SECONDS")]
    jwks_max_age: Option<String>,
    #[command(flatten)]
    limits: LimitFlags,
    /// Let an empty store take over an issuer URL that already answers with other keys
    #[arg(long)]
    new_issuer: bool,
}

impl Serve {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let given = self
            .server
            .add(self.store.add(run.given.clone()))
            .flag(&env::PUBLIC_LISTEN, self.public_listen.as_deref())
            .flag(&env::ADMIN_LISTEN, self.admin_listen.as_deref())
            .flag(&env::MIGRATE, self.migrate.as_deref())
            .flag(&env::AUDIT_RETENTION_DAYS, self.audit_retention_days.as_deref())
            .flag(&env::X5C, self.x5c.as_deref())
            .flag(&env::JWKS_MAX_AGE, self.jwks_max_age.as_deref());
        let given = self.limits.add(given);
        let settings = IssuerSettings::read(&given)?;
        let start = Start {
            settings: settings.clone(),
            host: Host { clock: run.clock.clone(), entropy: run.entropy.clone() },
            metrics: ops::recorder().map_err(Failure::refused)?,
            limits: limits::read(&given)?,
            new_issuer: self.new_issuer,
            // On a terminal it is shown instead; a log is no place for it.
            first_key_file: !io::stderr().is_terminal(),
        };
        let mut asked = shutdown::Asked::listen()?;
        let mut server = tokio::select! {
            started = IssuerServer::start(start) => started?,
            // A database that never answers must not keep us from being stopped.
            signal = asked.wait() => { signal?; return Ok(()) }
        };
        announce(run, &settings, &server);
        if let Some(first) = &server.first_administrator {
            first_start::hand_out(run.output, first, server.first_key.take())?;
        }
        tokio::select! {
            signal = asked.wait() => tracing::info!(signal = signal?, "stopping"),
            failure = server.failed() => {
                server.give_up().await;
                return Err(failure);
            }
        }
        server.stop().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// What runs where, for whoever started it: in columns on a terminal, as one event in a log.
fn announce(run: &Run, settings: &IssuerSettings, server: &IssuerServer) {
    let version = env!("CARGO_PKG_VERSION");
    let admin = server.admin.map_or_else(|| "same as public".to_owned(), |address| address.to_string());
    let store = opened_store::told(&settings.store);
    let data = settings.store.data_dir.canonicalize().unwrap_or_else(|_| settings.store.data_dir.clone());
    let now = run.clock.now();
    let keys: Vec<String> = server.keys.iter().filter_map(|key| age(key, now)).collect();
    let rotation = i64::from(server.row.schedule.rotation_period);
    let signing = server.keys.iter().find(|key| key.state(now) == KeyState::Active);
    let due = signing.and_then(|key| key.times.sign_from).map(|from| stamp(from + time::Duration::seconds(rotation)));
    let due = due.unwrap_or_default();
    if run.output.err().is_on() {
        run.output.say(fields(
            run.output.err(),
            &[
                ("brevet", version.to_owned()),
                ("issuer", settings.url.to_string()),
                ("public", server.public.to_string()),
                ("admin", admin),
                ("ops", server.ops.to_string()),
                ("store", store),
                ("data", data.display().to_string()),
                ("keys", keys.join(", ")),
                ("rotation", format!("due {due}")),
            ],
        ));
        if settings.development == Development::On {
            run.output.say(run.output.err().warn("development: loopback issuer and outbound loopback are allowed"));
        }
        return;
    }
    tracing::info!(
        version,
        issuer = %settings.url,
        public = %server.public,
        admin,
        ops = %server.ops,
        store,
        data = %data.display(),
        keys = keys.join(", "),
        rotation_due = due,
        development = settings.development == Development::On,
        "serving"
    );
}

fn age(key: &SigningKey, now: time::OffsetDateTime) -> Option<String> {
    let state = key.state(now);
    let days = (now - key.times.publish_from).whole_days();
    let short: String = key.kid.as_str().chars().take(8).collect();
    (state != KeyState::Gone).then(|| format!("{short} {} {}, {days} d", key.algorithm().as_str(), state.as_str()))
}
