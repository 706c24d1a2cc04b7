//! The listener of `brevet login` on this machine, to which the browser brings the authorization code (RFC 8252,
//! section 7.3): one route, until one visit fits.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::domain::browser::{BrowserSecret, Derived};
use crate::domain::secret::Secret;

/// Where the browser comes back to, below the listener's address.
const PATH: &str = "/callback";
/// Visits that wait while one is judged; more are turned away.
const VISITS_MAX: usize = 8;
/// How long a browser may take to read its answer, a few hundred bytes.
const LEAVING: Duration = Duration::from_secs(10);
/// From there to the system's hands.
const SENDING: Duration = Duration::from_millis(100);

/// The open listener. Closed when dropped.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    visits: mpsc::Receiver<Visit>,
    serving: JoinHandle<()>,
}

/// What a browser brought back: one with the right `state`, of the right issuer.
#[derive(Debug)]
pub struct Visit {
    /// The authorization code, or why there is none.
    pub brought: Result<Secret, Denied>,
    reply: oneshot::Sender<Ending>,
    left: oneshot::Receiver<()>,
}

/// How the sign-in ended, for the page that the browser is left with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The terminal is signed in.
    SignedIn,
    /// The person said no.
    Denied,
    /// Neither: only the terminal knows why.
    Failed,
}

/// The authorization endpoint's refusal (RFC 6749, section 4.1.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The stable code, such as `access_denied`.
    pub error: String,
    /// In words, where the issuer gave some.
    pub description: String,
}

#[derive(Clone)]
struct Expected {
    host: String,
    secret: BrowserSecret,
    issuer: String,
    visits: mpsc::Sender<Visit>,
}

impl Loopback {
    /// Listens on a free port of 127.0.0.1 for the answer of `issuer` to the request that `secret` is behind.
    pub async fn listen(issuer: &str, secret: BrowserSecret) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (sender, visits) = mpsc::channel(VISITS_MAX);
        let expected = Expected { host: address.to_string(), secret, issuer: issuer.to_owned(), visits: sender };
        let router = Router::new().route(PATH, get(visit)).with_state(expected);
        let serving = tokio::spawn(async move {
            // Ends with the task; there is nothing to report to.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, visits, serving })
    }

    /// What to give as `redirect_uri`.
    pub fn redirect_uri(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// The next visit that fits; visits that do not are answered with 400 and change nothing.
    pub async fn visit(&mut self) -> Option<Visit> {
        self.visits.recv().await
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Visit {
    /// Tells the browser how it ended: by a page of the issuer's, or a line of text where it has none for it. Returns
    /// when its connection has it, or nobody is there to read it.
    pub async fn answer(self, ending: Ending) {
        let _ = self.reply.send(ending);
        // An error is the answer's end: what would have sent is gone with it.
        if timeout(LEAVING, self.left).await.is_ok() {
            // Its connection has it, and sends it in this same moment.
            sleep(SENDING).await;
        }
    }
}

async fn visit(State(expected): State<Expected>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    // A page elsewhere that has its name resolve to loopback comes with its own name (threat 32).
    if headers.get(HOST).is_none_or(|host| host.as_bytes() != expected.host.as_bytes()) {
        return text(StatusCode::MISDIRECTED_REQUEST, "this is the sign-in of a terminal, by its address alone");
    }
    let query = query.unwrap_or_default();
    let one = |name: &str| {
        let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        // RFC 6749, section 3.1: no parameter more than once.
        values.next().filter(|_| values.next().is_none()).map(|(_, value)| value.into_owned())
    };
    let fits = one("state").is_some_and(|state| expected.secret.matches(Derived::State, &state))
        && one("iss").is_some_and(|issuer| issuer == expected.issuer);
    let brought = match (one("code"), one("error")) {
        (Some(code), None) => Ok(Secret::new(code)),
        (None, Some(error)) => Err(Denied { error, description: one("error_description").unwrap_or_default() }),
        (Some(_), Some(_)) | (None, None) => return not_ours(),
    };
    if !fits {
        return not_ours();
    }
    let (reply, replied) = oneshot::channel();
    let (leaving, left) = oneshot::channel();
    if expected.visits.try_send(Visit { brought, reply, left }).is_err() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "one answer is being looked at already");
    }
    let answer = match replied.await {
        Ok(Ending::SignedIn) => private(Redirect::to(&format!("{}/sign-in/done", expected.issuer)).into_response()),
        Ok(Ending::Denied) => private(Redirect::to(&format!("{}/sign-in/denied", expected.issuer)).into_response()),
        Ok(Ending::Failed) => {
            text(StatusCode::OK, "You are not signed in. The terminal says why; you can close this window.")
        }
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the terminal has gone; run `brevet login` again"),
    };
    answer.map(|body| until_written(body, leaving))
}

/// The same body, which drops `leaving` once it was written to the connection, or the connection is gone.
fn until_written(body: Body, leaving: oneshot::Sender<()>) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &leaving;
        frame
    }))
}

fn not_ours() -> Response {
    text(StatusCode::BAD_REQUEST, "this is not the answer to the sign-in that the terminal asked for")
}

fn text(status: StatusCode, words: &'static str) -> Response {
    private((status, words).into_response())
}

/// The address in the bar holds a code: it goes into no cache and to no other page.
fn private(mut answer: Response) -> Response {
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        answer.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    fn expected() -> (Expected, mpsc::Receiver<Visit>) {
        let secret = BrowserSecret::parse(&"A".repeat(43)).unwrap();
        let (visits, received) = mpsc::channel(1);
        let issuer = "https://id.example".to_owned();
        (Expected { host: "127.0.0.1:9".to_owned(), secret, issuer, visits }, received)
    }

    async fn get_at(expected: &Expected, host: &str, query: &str) -> StatusCode {
        let router = Router::new().route(PATH, get(visit)).with_state(expected.clone());
        let request = Request::get(format!("{PATH}?{query}")).header(HOST, host).body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn threat_32_only_the_answer_that_was_asked_for_is_taken() {
        let (expected, mut received) = expected();
        let state = expected.secret.derive(Derived::State).expose().to_owned();
        let right = format!("code=c&state={state}&iss=https%3A%2F%2Fid.example");
        let here = "127.0.0.1:9";
        for (host, query, status) in [
            ("evil.example", right.clone(), 421),
            ("localhost:9", right.clone(), 421),
            (here, "code=c&iss=https%3A%2F%2Fid.example".to_owned(), 400),
            (here, right.replace("state=", "state=x"), 400),
            (here, right.replace("id.example", "other.example"), 400),
            (here, format!("code=c&state={state}"), 400),
            (here, format!("{right}&state={state}"), 400),
            (here, format!("{right}&code=d"), 400),
            (here, format!("{right}&error=x"), 400),
        ] {
            assert_eq!(get_at(&expected, host, &query).await, status, "{host} {query}");
        }
        assert!(received.try_recv().is_err(), "nothing of it was taken");
        let terminal = tokio::spawn(async move {
            let visit = received.recv().await.unwrap();
            assert_eq!(visit.brought.as_ref().unwrap().expose(), "c");
            visit.answer(Ending::SignedIn).await;
        });
        assert_eq!(get_at(&expected, here, &right).await, 303);
        terminal.await.unwrap();
    }
}
