//! The one outbound HTTP client: no redirects, checked and pinned addresses, caps on body and time, proxy.
//!
//! Does not own what is fetched or what it means.
//! May import: domain.
//!
//! ```no_run
//! # use std::{error::Error, time::Duration};
//! # use bytes::Bytes;
//! use brevet::fetch::{self, Limits, Reach};
//! # async fn example(request: http::Request<Bytes>) -> Result<(), Box<dyn Error>> {
//! let client = fetch::Client::new(fetch::Settings { reach: Reach::public().and_loopback(), ..Default::default() })?;
//! let document: Bytes = client.document("https://issuer.example/.well-known/openid-configuration").await?; // 200 or error
//! let answer: http::Response<Bytes> = client.send(request.clone()).await?;    // any status, body whole and capped
//! let answer: http::Response<fetch::Body> = client.stream(request).await?;    // any status, body as it arrives
//! let patient = client.with_limits(Limits { total: Duration::from_mins(1), ..client.limits() }); // same connections
//! client.forget_connections();                                                // the next request connects anew
//! # Ok(()) }
//! ```
//! A [`Client`] clones cheaply and clones share connections. Nothing here logs, retries or follows anything.

mod body;
mod error;
mod reach;

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

pub use body::Body;
pub use error::{FetchError, Refusal};
pub use reach::Reach;

use crate::domain::secret::Secret;

/// How a [`Client`] is built. Nothing of it comes from the environment.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Which addresses may be reached.
    pub reach: Reach,
    /// Caps on time and size.
    pub limits: Limits,
    /// Certificates (PEM, any number) trusted beside the system's.
    pub extra_ca: Option<Vec<u8>>,
    /// `http://[user:password@]host:port` of a forward proxy, set by the operator; loopback is never proxied.
    /// The proxy resolves names, so behind one only addresses that stand in the URL itself can be judged.
    pub proxy: Option<Secret>,
}

/// Caps on one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until the connection stands (TLS included). A property of the connections: fixed when the client is built.
    pub connect: Duration,
    /// [`Client::document`] and [`Client::send`]: until the answer is whole.
    pub total: Duration,
    /// [`Client::stream`]: until the head arrives, and then between two parts of the body.
    pub idle: Duration,
    /// [`Client::document`] and [`Client::send`]: longest body, in bytes.
    pub body: usize,
}

impl Default for Limits {
    /// Fit for small documents: 3 s to connect, 10 s in all, 100 KiB; streams may pause for 5 minutes.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            total: Duration::from_secs(10),
            idle: Duration::from_mins(5),
            body: 100 * 1024,
        }
    }
}

/// A client could not be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// `extra_ca` holds no certificate, or something else.
    #[error("extra CA file must hold PEM certificates")]
    ExtraCa,
    /// `proxy` is not a proxy's URL.
    #[error("proxy must be a URL such as http://proxy.example:3128")]
    Proxy,
    /// The system's trusted certificates could not be loaded.
    #[error("the system's trusted certificates could not be loaded")]
    Tls,
}

/// The guarded client.
#[derive(Debug, Clone)]
pub struct Client {
    connections: Arc<RwLock<reqwest::Client>>,
    settings: Arc<Settings>,
    limits: Limits,
    /// Most idle connections to one host.
    pooled: usize,
}

impl Client {
    /// Builds a client; connects to nothing yet.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        let connections = Arc::new(RwLock::new(connections(&settings, usize::MAX)?));
        let limits = settings.limits;
        Ok(Self { connections, settings: Arc::new(settings), limits, pooled: usize::MAX })
    }

    /// The caps in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The same client and connections under other caps (`connect` apart).
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// The same client with a connection for each request that ends with it, where what a host remembers about one must
    /// not be met again and the pooled ones are others' too.
    pub fn unpooled(&self) -> Result<Self, ClientError> {
        let connections = Arc::new(RwLock::new(connections(&self.settings, 0)?));
        Ok(Self { connections, pooled: 0, ..self.clone() })
    }

    /// Drops the pooled connections: what a host remembered about one (STS keeps a failed verdict) is not met again.
    pub fn forget_connections(&self) {
        if let Ok(fresh) = connections(&self.settings, self.pooled) {
            *self.connections.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    /// GETs a document; anything but a 200 is an error, a redirect too.
    pub async fn document(&self, url: &str) -> Result<Bytes, FetchError> {
        let request = Request::get(url).body(Bytes::new()).map_err(|_| Refusal::Url)?;
        let answer = self.send(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            other => Err(FetchError::Status(other.as_u16())),
        }
    }

    /// Sends `request` and brings the whole answer, of whatever status.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
        let whole = async {
            let (head, mut body) = self.dispatch(request).await?.into_parts();
            Ok(Response::from_parts(head, body.whole(self.limits.body).await?))
        };
        tokio::time::timeout(self.limits.total, whole).await.unwrap_or(Err(FetchError::Timeout))
    }

    /// Sends `request` and brings the head of the answer, of whatever status; the body follows as it arrives,
    /// without a cap on its length.
    pub async fn stream(&self, request: Request<Bytes>) -> Result<Response<Body>, FetchError> {
        let head = tokio::time::timeout(self.limits.idle, self.dispatch(request));
        head.await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn dispatch(&self, request: Request<Bytes>) -> Result<Response<Body>, FetchError> {
        let request = reqwest::Request::try_from(request).map_err(|_| Refusal::Url)?;
        check(request.url(), &self.settings.reach)?;
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner).clone();
        let answer: Response<reqwest::Body> = connections.execute(request).await?.into();
        let idle = self.limits.idle;
        Ok(answer.map(|body| Body::new(body, idle)))
    }
}

/// Judges what stands in the URL itself. Names are judged when they are resolved: `reqwest` asks the resolver
/// for names only, never for an address.
fn check(url: &Url, reach: &Reach) -> Result<(), Refusal> {
    let host = url.host().ok_or(Refusal::Url)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::Userinfo);
    }
    match url.scheme() {
        "https" => {}
        "http" if reach.is_loopback(&host) => {}
        _ => return Err(Refusal::Scheme),
    }
    let address = match host {
        url::Host::Domain(_) => return Ok(()),
        url::Host::Ipv4(ip) => IpAddr::V4(ip),
        url::Host::Ipv6(ip) => IpAddr::V6(ip),
    };
    if reach.admits(&address.to_string(), address) { Ok(()) } else { Err(Refusal::Address) }
}

fn connections(settings: &Settings, pooled: usize) -> Result<reqwest::Client, ClientError> {
    #[expect(clippy::disallowed_methods, reason = "this is the guarded client the lint points to")]
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(pooled)
        .connect_timeout(settings.limits.connect)
        .user_agent(concat!("brevet/", env!("CARGO_PKG_VERSION")));
    let mut proxy_host = None;
    if let Some(proxy) = &settings.proxy {
        let url = Url::parse(proxy.expose()).map_err(|_| ClientError::Proxy)?;
        proxy_host = Some(url.host_str().ok_or(ClientError::Proxy)?.to_owned());
        let except = reqwest::NoProxy::from_string("localhost,127.0.0.0/8,::1");
        builder = builder.proxy(reqwest::Proxy::all(url).map_err(|_| ClientError::Proxy)?.no_proxy(except));
    }
    if let Some(pem) = &settings.extra_ca {
        let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| ClientError::ExtraCa)?;
        if certificates.is_empty() {
            return Err(ClientError::ExtraCa);
        }
        builder = builder.tls_certs_merge(certificates);
    }
    let resolver = Resolver { reach: settings.reach.clone(), proxy_host };
    builder.dns_resolver(resolver).build().map_err(|_| ClientError::Tls)
}

/// Resolves a name once and judges every address it has; one out of reach refuses the name. The connection goes
/// to the addresses returned here, so a second answer of the DNS (rebinding) is never asked for.
#[derive(Debug)]
struct Resolver {
    reach: Reach,
    proxy_host: Option<String>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach.clone();
        let is_proxy = self.proxy_host.as_deref() == Some(name.as_str());
        Box::pin(async move {
            // RFC 6761, section 6.3: the name means loopback, whatever a resolver says.
            let addresses: Vec<_> = if name.as_str() == "localhost" {
                vec![([127, 0, 0, 1], 0).into(), ([0, 0, 0, 0, 0, 0, 0, 1], 0).into()]
            } else {
                tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|_| FetchError::Resolve)?.collect()
            };
            if addresses.is_empty() {
                return Err(FetchError::Resolve.into());
            }
            if !is_proxy && !addresses.iter().all(|address| reach.admits(name.as_str(), address.ip())) {
                return Err(FetchError::Refused(Refusal::Address).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
