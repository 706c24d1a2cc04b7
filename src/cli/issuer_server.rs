//! The issuer put together: listeners first, so that the public documents answer at once, then the store, the
//! keys and the use cases behind them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::first_start::{self, KeyFile};
use super::opened_store::{kek, opened, schedule, store_failure};
use super::outcome::Failure;
use super::remote::http;
use crate::config::issuer::IssuerSettings;
use crate::config::listener::Transport;
use crate::config::outbound::Outbound;
use crate::domain::id::ReplicaId;
use crate::domain::signing_key::SigningKey;
use crate::fetch::{self, Reach};
use crate::http::layer::Naming;
use crate::http::layer::client_address::TrustedProxies;
use crate::http::serve::{Protection, ServeError, ServeOptions, Stopped, serve};
use crate::http::state::IssuerState;
use crate::http::tls::ServerTls;
use crate::http::{admin as admin_api, issuer as public_api, ops, whole};
use crate::issuer::bootstrap::{self, FirstAdministrator, Host, Publishing};
use crate::issuer::keys::KeyRing;
use crate::issuer::limits::LimitNumbers;
use crate::issuer::publications::TeamPublications;
use crate::issuer::publish::Publication;
use crate::issuer::upkeep::Serving;
use crate::issuer::{Issuer, Parts};
use crate::oidc::{KeyCache, RelyingParty};
use crate::store::{AuditWriter, IssuerRow, Store, StoreError};

/// Where the last public documents are kept, for a start without the database; in the data folder.
const SAVED_DOCUMENTS: &str = "published.json";
/// The same for teams' private issuers: a folder with a file each.
const SAVED_FOR_TEAMS: &str = "published";
/// How long a database that does not answer is given before it is asked again.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);
/// How long a server that ends after a fault has for what it still has to write.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What `serve` is started with.
pub(super) struct Start {
    pub(super) settings: IssuerSettings,
    pub(super) host: Host,
    pub(super) metrics: PrometheusHandle,
    pub(super) limits: LimitNumbers,
    /// Whether an empty store may take over an issuer URL that already answers with other keys.
    pub(super) new_issuer: bool,
    /// Whether the first administrator key goes into a private file, whose place is then made sure of before the
    /// key counts; else whoever starts the issuer has it in hand.
    pub(super) first_key_file: bool,
}

/// A running issuer.
pub(super) struct IssuerServer {
    pub(super) public: SocketAddr,
    pub(super) admin: Option<SocketAddr>,
    pub(super) ops: SocketAddr,
    pub(super) row: IssuerRow,
    pub(super) keys: Vec<SigningKey>,
    pub(super) first_administrator: Option<FirstAdministrator>,
    /// Where its key is to be written.
    pub(super) first_key: Option<KeyFile>,
    state: IssuerState,
    issuer: Issuer,
    store: Store,
    listeners: JoinSet<Result<(), Failure>>,
    ops_listener: JoinSet<Result<(), Failure>>,
    stop: CancellationToken,
    stop_ops: CancellationToken,
    stop_delay: Duration,
    upkeep: JoinSet<()>,
}

/// The sockets of an issuer; without one of its own the admin API is on the public one.
pub(super) struct Listeners {
    pub(super) public: TcpListener,
    pub(super) admin: Option<TcpListener>,
    pub(super) ops: TcpListener,
}

impl IssuerServer {
    /// Starts everything, and returns when tokens can be minted.
    pub(super) async fn start(start: Start) -> Result<Self, Failure> {
        let settings = &start.settings;
        let listeners = Listeners {
            public: listen(settings.public).await?,
            admin: match settings.admin {
                Some(address) => Some(listen(address).await?),
                None => None,
            },
            ops: listen(settings.ops).await?,
        };
        Self::on(listeners, start).await
    }

    /// The same on sockets that are open already, because their ports had to be known before.
    pub(super) async fn on(bound: Listeners, start: Start) -> Result<Self, Failure> {
        let Start { settings, host, metrics, limits, new_issuer, first_key_file } = start;
        let proxies = TrustedProxies::parse(settings.trusted_proxies.iter().map(String::as_str));
        let proxies = Arc::new(proxies.map_err(|error| Failure::Usage(error.to_string()))?);
        let options = ServeOptions { proxies, ..ServeOptions::new(protection(&settings.transport)?) };
        if settings.transport == Transport::BehindProxy && settings.trusted_proxies.is_empty() {
            // One stranger's failed attempts would then be counted against everyone.
            tracing::warn!(
                "without BREVET_TRUSTED_PROXIES every client has the proxy's address, in limits and audit rows"
            );
        }
        let file = settings.store.data_dir.join(SAVED_DOCUMENTS);
        let publication = Arc::new(Publication::new(settings.url.clone(), Some(file)));
        if let Err(error) = publication.restore() {
            tracing::warn!(cause = %error, "the saved public documents are not served");
        }
        let folder = settings.store.data_dir.join(SAVED_FOR_TEAMS);
        let teams = Arc::new(TeamPublications::new(settings.url.clone(), Some(folder)));
        if let Err(error) = teams.restore() {
            tracing::warn!(cause = %error, "the saved documents of private issuers are not served");
        }
        let naming = Naming { clock: Arc::clone(&host.clock), entropy: Arc::clone(&host.entropy) };
        let state = IssuerState::starting(settings.url.clone(), Arc::clone(&publication), naming)
            .allowing_endpoints(settings.allowed_endpoints.clone())
            .publishing_for_teams(Arc::clone(&teams));

        let (stop, stop_ops) = (CancellationToken::new(), CancellationToken::new());
        let (public, ops) = (local(&bound.public)?, local(&bound.ops)?);
        let admin = bound.admin.as_ref().map(local).transpose()?;
        let mut listeners = JoinSet::new();
        let public_router = match bound.admin {
            None => whole::router(state.clone()),
            Some(listener) => {
                listeners.spawn(served(serve(
                    listener,
                    admin_api::router(state.clone()),
                    options.clone(),
                    stop.clone(),
                )));
                public_api::router(state.clone())
            }
        };
        listeners.spawn(served(serve(bound.public, public_router, options.clone(), stop.clone())));
        let mut ops_listener = JoinSet::new();
        let router = ops::router(state.clone(), metrics);
        ops_listener.spawn(served(serve(bound.ops, router, options, stop_ops.clone())));

        let (store, row) = Box::pin(database(&settings, &host, new_issuer)).await?;
        let kek = kek(&settings.store, &store, &host).await?;
        schedule(&row, settings.development)?;
        bootstrap::first_keys(&store, row.id, &kek, &host).await.map_err(Failure::refused)?;
        let (clock, entropy) = (Arc::clone(&host.clock), Arc::clone(&host.entropy));
        let ring = KeyRing::open(settings.url.clone(), row.id, store.clone(), kek, clock, entropy);
        let ring = Arc::new(ring.await.map_err(Failure::refused)?);
        let outside = foreign(&settings.outbound)?;
        let issuer = Issuer::new(Parts {
            url: settings.url.clone(),
            id: row.id,
            store: store.clone(),
            audit: AuditWriter::start_apart(store.clone()).await.map_err(store_failure)?,
            keys: ring,
            publication,
            teams,
            foreign_keys: KeyCache::new(&outside, Arc::clone(&host.clock)),
            upstream: RelyingParty::new(&outside, Arc::clone(&host.clock)),
            clock: Arc::clone(&host.clock),
            entropy: Arc::clone(&host.entropy),
            limits,
            serving: serving(&host),
        });
        issuer.user_code_key().await.map_err(Failure::refused)?;
        issuer.round().await;
        let keys = store.signing_keys(row.id).await.map_err(store_failure)?;
        // Last: nothing that fails after it could lose the key.
        let folder = first_key_file.then_some(settings.store.data_dir.as_path());
        let (first_administrator, first_key) = first_start::administrator(&store, row.id, &host, folder).await?.unzip();
        state.started(issuer.clone());
        let mut upkeep = JoinSet::new();
        upkeep.spawn(issuer.clone().keep_current());
        upkeep.spawn(issuer.clone().keep_saving());
        upkeep.spawn(issuer.clone().keep_rotating());
        upkeep.spawn(issuer.clone().keep_listening());
        upkeep.spawn(issuer.clone().keep_looking(http(settings.url.as_str(), &settings.outbound)?));
        upkeep.spawn(issuer.clone().keep_forgetting(settings.audit_retention));
        Ok(Self {
            public,
            admin,
            ops,
            row,
            keys,
            first_administrator,
            first_key: first_key.flatten(),
            state,
            issuer,
            store,
            listeners,
            ops_listener,
            stop,
            stop_ops,
            stop_delay: settings.stop_delay,
            upkeep,
        })
    }

    /// Waits until a listener, the writer of the audit log or the upkeep ends, which none should: a process that nobody
    /// restarts would never mint again, or publish no key that it signs with.
    pub(super) async fn failed(&mut self) -> Failure {
        tokio::select! {
            ended = self.listeners.join_next() => match ended {
                Some(Ok(Err(failure))) => failure,
                _ => Failure::Refused("a listener ended".to_owned()),
            },
            () = self.issuer.audit().ended() => Failure::Refused("the writer of the audit log ended".to_owned()),
            _ = self.upkeep.join_next() => Failure::Refused("what goes on beside the requests ended".to_owned()),
        }
    }

    /// Ends after a fault: at once, but for what can be written within a moment.
    pub(super) async fn give_up(mut self) {
        self.upkeep.abort_all();
        let _written_or_not = tokio::time::timeout(LAST_WORDS, self.write_what_waits()).await;
    }

    async fn write_what_waits(&self) {
        self.issuer.write_last_used().await;
        self.issuer.audit().drain().await;
        if let Err(error) = self.store.remove_replica(self.issuer.replica()).await {
            tracing::debug!(cause = %error, "this replica did not sign off");
        }
    }

    /// Stops in peace: `/readyz` falls first, then requests under way finish, then the audit queue is written.
    pub(super) async fn stop(mut self) {
        self.state.stopping();
        tokio::time::sleep(self.stop_delay).await;
        self.stop.cancel();
        while self.listeners.join_next().await.is_some() {}
        self.upkeep.abort_all();
        self.issuer.saved().await;
        self.write_what_waits().await;
        self.stop_ops.cancel();
        while self.ops_listener.join_next().await.is_some() {}
        self.store.close().await;
    }
}

/// Opens the store, however long its server takes to answer: meanwhile the saved documents are published.
async fn database(settings: &IssuerSettings, host: &Host, new_issuer: bool) -> Result<(Store, IssuerRow), Failure> {
    let store = loop {
        match opened(&settings.store, settings.migrate, host.clock.as_ref()).await {
            Err(StoreError::Unavailable(cause)) => {
                tracing::warn!(cause, "the database does not answer; minting waits for it");
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
            other => break other.map_err(store_failure)?,
        }
    };
    if store.issuer().await.map_err(store_failure)?.is_none() && !new_issuer {
        first_start::refuse_taken(&settings.url, &settings.outbound).await?;
    }
    let row = bootstrap::issuer(&store, &settings.url, host).await.map_err(Failure::refused)?;
    let asked = Publishing { x5c: settings.x5c, max_age: settings.max_age };
    let row = bootstrap::publishing(&store, row, asked, settings.development, host).await.map_err(Failure::refused)?;
    let others = bootstrap::publishing_for_teams(&store, asked, settings.development, host).await;
    others.map_err(Failure::refused)?;
    Ok((store, row))
}

/// This process among the replicas.
fn serving(host: &Host) -> Serving {
    let started_at = host.clock.now();
    Serving { id: ReplicaId::new(host.entropy.uuid_v7(started_at)), started_at }
}

/// The connections to foreign issuers: public addresses only, loopback in development.
fn foreign(outbound: &Outbound) -> Result<fetch::Client, Failure> {
    let reach = if outbound.loopback { Reach::public().and_loopback() } else { Reach::public() };
    let (extra_ca, proxy) = (outbound.extra_ca.clone(), outbound.proxy.clone());
    let settings = fetch::Settings { reach, extra_ca, proxy, ..fetch::Settings::default() };
    fetch::Client::new(settings).map_err(|error| Failure::Usage(error.to_string()))
}

/// Opens a listener.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| Failure::Refused(format!("cannot listen on {address}: {error}")))
}

/// Where a listener really listens: port 0 takes a free one.
pub(super) fn local(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(Failure::refused)
}

/// How the listeners are protected, with the certificate read for the first time.
pub(super) fn protection(transport: &Transport) -> Result<Protection, Failure> {
    Ok(match transport {
        Transport::Loopback => Protection::Loopback,
        Transport::BehindProxy => Protection::BehindProxy,
        Transport::Tls { cert, key } => {
            let tls = ServerTls::load(cert.clone(), key.clone());
            Protection::Tls(Arc::new(tls.map_err(|error| Failure::Usage(format!("--tls-cert, --tls-key: {error}")))?))
        }
    })
}

/// A listener's outcome as a command's.
pub(super) async fn served(serving: impl Future<Output = Result<Stopped, ServeError>>) -> Result<(), Failure> {
    serving.await.map(drop).map_err(Failure::refused)
}
