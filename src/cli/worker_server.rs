//! The worker put together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::issuer_server::{listen, local, protection, served};
use super::outcome::Failure;
use super::remote;
use crate::aws::bedrock_client::Bedrock;
use crate::aws::credential_cache;
use crate::aws::sts::Sts;
use crate::config::worker::WorkerSettings;
use crate::fetch::{self, Limits, Reach};
use crate::http::layer::Naming;
use crate::http::layer::client_address::TrustedProxies;
use crate::http::serve::{ServeOptions, serve};
use crate::http::worker as surface;
use crate::worker::{PLACES, Parts, Worker};

/// How long a model may think before its answer begins, and between two parts of it.
const MODEL_IDLE: Duration = Duration::from_mins(10);

/// A running worker.
pub(super) struct WorkerServer {
    pub(super) listen: SocketAddr,
    pub(super) ops: SocketAddr,
    listeners: JoinSet<Result<(), Failure>>,
    ops_listener: JoinSet<Result<(), Failure>>,
    stopping: CancellationToken,
    stop: CancellationToken,
    stop_ops: CancellationToken,
    stop_delay: Duration,
}

impl WorkerServer {
    /// Starts it. It needs nothing of the issuer yet: `/readyz` tells when it has the issuer's keys.
    pub(super) async fn start(
        settings: WorkerSettings,
        naming: Naming,
        metrics: PrometheusHandle,
    ) -> Result<Self, Failure> {
        let (listener, ops) = (listen(settings.listen).await?, listen(settings.ops).await?);
        let proxies = TrustedProxies::parse(settings.trusted_proxies.iter().map(String::as_str));
        let proxies = Arc::new(proxies.map_err(|error| Failure::Usage(error.to_string()))?);
        let options = ServeOptions { proxies, ..ServeOptions::new(protection(&settings.transport)?) };
        let (address, ops_address) = (local(&listener)?, local(&ops)?);
        let stop_delay = settings.stop_delay;
        let worker = Arc::new(worker(settings, &naming)?);
        let [stopping, stop, stop_ops] = [(); 3].map(|()| CancellationToken::new());
        let (mut listeners, mut ops_listener) = (JoinSet::new(), JoinSet::new());
        let router = surface::router(Arc::clone(&worker), naming);
        listeners.spawn(served(serve(listener, router, options.clone(), stop.clone())));
        let router = surface::ops::router(worker, metrics, stopping.clone());
        ops_listener.spawn(served(serve(ops, router, options, stop_ops.clone())));
        Ok(Self { listen: address, ops: ops_address, listeners, ops_listener, stopping, stop, stop_ops, stop_delay })
    }

    /// Waits until a listener fails, which none should.
    pub(super) async fn failed(&mut self) -> Failure {
        match self.listeners.join_next().await {
            Some(Ok(Err(failure))) => failure,
            _ => Failure::Refused("a listener ended".to_owned()),
        }
    }

    /// Stops in peace: `/readyz` falls first, then no more is accepted and streams under way finish.
    pub(super) async fn stop(mut self) {
        self.stopping.cancel();
        tokio::time::sleep(self.stop_delay).await;
        self.stop.cancel();
        while self.listeners.join_next().await.is_some() {}
        self.stop_ops.cancel();
        while self.ops_listener.join_next().await.is_some() {}
    }
}

fn worker(settings: WorkerSettings, naming: &Naming) -> Result<Worker, Failure> {
    let client = remote::client(settings.issuer.as_str(), &settings.outbound)?;
    // STS keeps a verdict for a connection's life, so its connections are shared with nothing; Bedrock's wait longer.
    let (sts, bedrock) =
        (aws(&settings, Limits::default())?, aws(&settings, Limits { idle: MODEL_IDLE, ..Limits::default() })?);
    Ok(Worker::new(Parts {
        client,
        issuer: settings.issuer,
        audience: settings.audience,
        worker_key: settings.key,
        allowed_endpoints: settings.allowed_endpoints,
        sts: Sts::new(sts, Arc::clone(&naming.clock)).map_err(|error| Failure::Usage(error.to_string()))?,
        bedrock: Bedrock::new(bedrock, Arc::clone(&naming.clock)),
        capacity: credential_cache::CAPACITY,
        places: PLACES,
        clock: Arc::clone(&naming.clock),
        entropy: Arc::clone(&naming.entropy),
    }))
}

/// Connections to AWS: public addresses, and the private ones of endpoints that the operator listed.
fn aws(settings: &WorkerSettings, limits: Limits) -> Result<fetch::Client, Failure> {
    let listed = settings.allowed_endpoints.iter().filter_map(|url| Url::parse(url).ok());
    let reach = listed.fold(Reach::public(), |reach, url| match url.host_str() {
        Some(host) => reach.and_host(host),
        None => reach,
    });
    let reach = if settings.outbound.loopback { reach.and_loopback() } else { reach };
    let (extra_ca, proxy) = (settings.outbound.extra_ca.clone(), settings.outbound.proxy.clone());
    fetch::Client::new(fetch::Settings { reach, limits, extra_ca, proxy })
        .map_err(|error| Failure::Usage(error.to_string()))
}
