//! From a configuration to a listening stand-in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::account::Account;
use super::catalogue::Catalogue;
use super::config::{AdministratorConfig, Config, ConfigError};
use super::fault::Faults;
use super::handle::Handle;
use super::identifier::{random_text, unique_id};
use super::parts::Sandbox;
use super::server::answer;
use super::signature::KeyPair;
use super::{control, setup};
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;
use crate::domain::region::Region;
use crate::domain::secret::Secret;
use crate::fetch::{Client, Limits, Reach, Settings};

/// The stand-in did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The outbound client could not be built.
    #[error(transparent)]
    Fetch(#[from] crate::fetch::ClientError),
    /// The address could not be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A stand-in that listens; dropping it stops it.
pub struct Running {
    address: SocketAddr,
    handle: Handle,
    stop: DropGuard,
    served: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`, for `AWS_ENDPOINT_URL_STS`, `_IAM` and `_BEDROCK_RUNTIME`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The handle on its inside.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Stops accepting and waits for the open answers to end.
    pub async fn stop(self) {
        drop(self.stop);
        let _ = self.served.await;
    }
}

/// Checks the configuration, sets up what it names, and listens.
pub async fn start(config: Config, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Running, StartError> {
    let address: SocketAddr =
        config.listen.parse().map_err(|_| ConfigError::value("listen", "must be an address and port"))?;
    if !address.ip().is_loopback() {
        return Err(
            ConfigError::value("listen", "must be a loopback address: the stand-in is no service for others").into()
        );
    }
    let sandbox = Arc::new(build(config, clock, entropy)?);
    let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
    let handle = Handle(Arc::clone(&sandbox));
    let router: Router = Router::new().merge(control::routes(handle.clone())).fallback(answer).with_state(sandbox);
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let served = tokio::spawn(async move {
        // It ends when told to; errors of single connections end those only.
        let _ = axum::serve(listener, service).with_graceful_shutdown(stopped).await;
    });
    Ok(Running { address, handle, stop: stop.drop_guard(), served })
}

fn build(config: Config, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Sandbox, StartError> {
    if config.account.len() != 12 || !config.account.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ConfigError::value("account", "must be 12 digits").into());
    }
    Region::parse(&config.region).map_err(|error| ConfigError::value("region", error.to_string()))?;
    let fetch = Client::new(Settings {
        reach: Reach::public().and_loopback(),
        // The real service gives up after 5 seconds.
        limits: Limits { total: Duration::from_secs(5), body: 1024 * 1024, ..Limits::default() },
        ..Settings::default()
    })?;
    let sandbox = Sandbox {
        account_id: config.account,
        region: config.region,
        loopback_issuers: config.loopback_issuers,
        stream_pause: Duration::from_millis(config.stream_pause_ms),
        catalogue: Catalogue::new(&config.models, config.application_profiles),
        administrator: administrator(config.administrator, &*entropy)?,
        account: Account::default(),
        faults: Faults::default(),
        fetch,
        clock,
        entropy,
    };
    for (index, provider) in config.provider.iter().enumerate() {
        setup::provider(&sandbox, provider).map_err(|error| error.within(&format!("provider[{index}]")))?;
    }
    for (index, role) in config.role.iter().enumerate() {
        setup::role(&sandbox, role).map_err(|error| error.within(&format!("role[{index}]")))?;
    }
    Ok(sandbox)
}

fn administrator(given: Option<AdministratorConfig>, entropy: &dyn Entropy) -> Result<KeyPair, ConfigError> {
    let Some(AdministratorConfig { access_key_id, secret_access_key }) = given else {
        let secret_access_key = Secret::new(random_text(entropy, 30));
        return Ok(KeyPair { access_key_id: unique_id("AKIA", entropy), secret_access_key });
    };
    let letters = access_key_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !(16..=128).contains(&access_key_id.len()) || !letters {
        return Err(ConfigError::value(
            "administrator.access_key_id",
            "must be 16 to 128 characters of A-Z, a-z, 0-9 and _",
        ));
    }
    if secret_access_key.expose().len() < 16 {
        return Err(ConfigError::value("administrator.secret_access_key", "must have at least 16 characters"));
    }
    Ok(KeyPair { access_key_id, secret_access_key })
}
