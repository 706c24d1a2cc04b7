//! The PostgreSQL servers that a URL names: which of them takes writes, and how long one that is away is left alone.
//!
//! Nothing here may hang: every wait for a server has an end on our side too, because a frozen server and a cut network
//! keep no promise of theirs.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};
use tokio::time::timeout;

use super::error::{StoreError, of_driver as error};
use crate::domain::secret::Secret;

/// How long one may wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long for an answer: longer than the server's own limit of a statement, so that it is usually the server who ends
/// it and the connection stays good.
const ANSWER: Duration = Duration::from_secs(12);
/// How long a connection counts as tried after it was given back.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// After so long without a connection the other servers are looked at.
const SUSPICION: Duration = Duration::from_millis(500);
/// How long a server has to say whether it takes writes.
const LOOK: Duration = Duration::from_secs(2);
/// How long a server that is away is left alone: first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// What the server itself keeps to: limits in milliseconds, and that a statement sees what was committed before it began,
/// whatever the database does by itself.
const SETTINGS: [(&str, &str); 4] = [
    ("statement_timeout", "10000"),
    ("lock_timeout", "8000"),
    ("idle_in_transaction_session_timeout", "20000"),
    ("default_transaction_isolation", "read committed"),
];

/// Whether connections are the server's own, or a pooler's that gives each transaction another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connections {
    Own,
    Pooled,
}

/// The servers of one URL.
pub(super) struct Cluster {
    servers: Vec<PgConnectOptions>,
    /// Whether only a server that takes writes is good enough (`target_session_attrs`).
    writable: bool,
    connections: Connections,
    /// Whether the server has never refused to make a function of the session.
    makes_functions: AtomicBool,
    state: Mutex<State>,
    looking: tokio::sync::Mutex<()>,
}

struct State {
    /// Which server new connections go to.
    current: usize,
    /// Connections from before are not used again.
    renewed_at: Option<Instant>,
    answered_at: Instant,
    away: Option<Away>,
}

/// No server answers; until then only one caller at a time may try.
struct Away {
    until: Instant,
    pause: Duration,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cluster").field("servers", &self.servers.len()).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Reads a URL as libpq does: `postgres://user:password@host:port,host:port/database?target_session_attrs=…`.
    pub(super) fn parse(url: &Secret, connections: Connections) -> Result<Self, StoreError> {
        let (urls, attributes) = each_server(url.expose()).ok_or(StoreError::Url)?;
        let writable = match attributes.as_deref() {
            None => urls.len() > 1,
            Some("any") => false,
            Some("read-write" | "primary") => true,
            // Every server is written to: one that is only read from is of no use.
            Some(_) => return Err(StoreError::Url),
        };
        let servers = urls.iter().map(|url| options(url, connections)).collect::<Result<_, _>>()?;
        let state = State { current: 0, renewed_at: None, answered_at: Instant::now(), away: None };
        Ok(Self {
            servers,
            writable,
            connections,
            makes_functions: AtomicBool::new(connections == Connections::Own),
            state: Mutex::new(state),
            looking: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn is_pooled(&self) -> bool {
        self.connections == Connections::Pooled
    }

    /// Whether a session may make functions for itself, as far as is known.
    pub(super) fn lets_make_functions(&self) -> bool {
        self.makes_functions.load(Ordering::Relaxed)
    }

    /// It may not, or they are of no use; none is tried again.
    pub(super) fn lets_make_no_functions(&self, why: &str) {
        if self.makes_functions.swap(false, Ordering::Relaxed) {
            tracing::warn!(why, "audit batches take four round trips: no function of a session can be used for them");
        }
    }

    /// Whether connections from `then` are not used again.
    pub(super) fn renewed_since(&self, then: Instant) -> bool {
        self.state().renewed_at.is_some_and(|at| then < at)
    }

    /// How to connect to each server.
    pub(super) fn servers(&self) -> &[PgConnectOptions] {
        &self.servers
    }

    /// Opens a pool to the server that takes writes.
    pub(super) async fn pool(self: &Arc<Self>, connections: u32) -> Result<PgPool, StoreError> {
        if self.servers.len() > 1 {
            let primary = self.primary().await?;
            self.state().current = primary;
        }
        self.pool_options(connections).connect_with(self.server()).await.map_err(error)
    }

    /// The same to where [`Cluster::pool`] has found it. It connects as it is used, so that its connections are of the
    /// runtime that uses them.
    pub(super) fn lazy_pool(self: &Arc<Self>, connections: u32) -> PgPool {
        self.pool_options(connections).connect_lazy_with(self.server())
    }

    fn server(&self) -> PgConnectOptions {
        self.servers[self.state().current].clone()
    }

    fn pool_options(self: &Arc<Self>, connections: u32) -> PgPoolOptions {
        let (writable, renewed) = (self.writable, Arc::clone(self));
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if writable && !timeout(LOOK, takes_writes(connection)).await.map_err(late)?? {
                        return Err(sqlx::Error::Protocol("the server takes no writes".to_owned()));
                    }
                    Ok(())
                })
            })
            // One that was given back a moment ago was tried then.
            .test_before_acquire(false)
            .before_acquire(move |connection, known| {
                let old = renewed.state().renewed_at.is_some_and(|at| known.age > at.elapsed());
                let tried = known.idle_for < TRIED_AGAIN_AFTER;
                Box::pin(async move {
                    if !old && !tried {
                        connection.ping().await?;
                    }
                    Ok(!old)
                })
            })
            // The pool waits for a rollback here, and without an end where the server is frozen. Of a `BEGIN` whose answer
            // nobody waited for the driver knows nothing: whatever was written after it would be committed by nobody. Nothing
            // was: every other transaction has been rolled back by here.
            .after_release(|connection, _| {
                Box::pin(async move {
                    let outside = sqlx::raw_sql("BEGIN; COMMIT").execute(connection);
                    timeout(PATIENCE, outside).await.map_err(late)?.map(|_| true)
                })
            })
    }

    /// Waits for a connection of `pool`, in which `work` consists. While no server answers, one caller tries and the
    /// others are told at once; a server that does not answer is given up for another that takes writes.
    pub(super) async fn reach<T>(
        &self,
        pools: [&PgPool; 2],
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        self.may_try()?;
        // Apart from the caller's own future: each request's would be nine kilobytes larger with it, and copied as such.
        let mut work = Box::pin(timeout(ANSWER, work));
        let reached = match timeout(SUSPICION, work.as_mut()).await {
            Ok(reached) => reached,
            Err(_) => tokio::join!(work, Box::pin(self.look(pools))).0,
        };
        let failed = match reached {
            Ok(Ok(reached)) => {
                self.answered();
                return Ok(reached);
            }
            Ok(Err(failed)) => failed,
            Err(elapsed) => late(elapsed),
        };
        match &failed {
            // The pool's own end of patience may as well mean that others keep all of its connections busy.
            sqlx::Error::PoolTimedOut if self.state().answered_at.elapsed() < PATIENCE => {}
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) => self.is_away(),
            _ => self.may_try_again(),
        }
        Box::pin(self.look(pools)).await;
        Err(error(failed))
    }

    /// Waits for the answer to a statement, without a limit of ours where the caller is `patient`.
    pub(super) async fn answer<T>(
        &self,
        patient: bool,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let answered = if patient { Ok(work.await) } else { timeout(ANSWER, work).await };
        match answered {
            Ok(Ok(answer)) => {
                self.answered();
                Ok(answer)
            }
            Ok(Err(failed)) => {
                let read_only = failed.as_database_error().and_then(sqlx::error::DatabaseError::code);
                if read_only.as_deref() == Some("25006") {
                    // It was the primary when the connection was made, and is no more.
                    self.state().renewed_at = Some(Instant::now());
                }
                Err(error(failed))
            }
            Err(elapsed) => {
                self.is_away();
                Err(error(late(elapsed)))
            }
        }
    }

    /// The same for a statement that needs no connection first; as [`Cluster::reach`] does, it looks for another server
    /// where none answers.
    pub(super) async fn answer_or_look<T>(
        &self,
        pools: [&PgPool; 2],
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let mut work = pin!(self.answer(false, work));
        let answered = if let Ok(answered) = timeout(SUSPICION, work.as_mut()).await {
            answered
        } else {
            // What is committed is told at once, also while somebody looks.
            tokio::select! {
                biased;
                answered = work.as_mut() => answered,
                () = self.look(pools) => work.await,
            }
        };
        if matches!(answered, Err(StoreError::Unavailable(_))) {
            self.look(pools).await;
        }
        answered
    }

    /// Looks which server takes writes, where there are several, and lets new connections go there.
    async fn look(&self, pools: [&PgPool; 2]) {
        // One look at a time; whoever finds one under way need not wait for it.
        let Ok(_looking) = self.looking.try_lock() else { return };
        if self.servers.len() < 2 {
            return;
        }
        let Ok(primary) = self.primary().await else { return };
        let mut state = self.state();
        if state.current != primary {
            *state =
                State { current: primary, renewed_at: Some(Instant::now()), answered_at: Instant::now(), away: None };
            drop(state);
            let server = &self.servers[primary];
            for pool in pools {
                pool.set_connect_options(server.clone());
            }
            tracing::warn!(host = server.get_host(), port = server.get_port(), "another server is the primary now");
        }
    }

    /// The first server that says it takes writes.
    async fn primary(&self) -> Result<usize, StoreError> {
        let look = |(place, server): (usize, &PgConnectOptions)| {
            let (server, writable) = (server.clone(), self.writable);
            async move {
                let look = async {
                    let mut connection = server.connect().await?;
                    let found = !writable || takes_writes(&mut connection).await?;
                    connection.close().await?;
                    Ok::<_, sqlx::Error>(found)
                };
                matches!(timeout(LOOK, look).await, Ok(Ok(true))).then_some(place)
            }
        };
        let mut looks: FuturesUnordered<_> = self.servers.iter().enumerate().map(look).collect();
        while let Some(found) = looks.next().await {
            if let Some(place) = found {
                return Ok(place);
            }
        }
        Err(StoreError::Unavailable("no server of DATABASE_URL takes writes".to_owned()))
    }

    /// Refuses at once while no server answers and somebody else is trying, or has just tried.
    fn may_try(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        let now = Instant::now();
        match &mut state.away {
            Some(away) if now < away.until => {
                Err(StoreError::Unavailable("it did not answer; it is asked again in a moment".to_owned()))
            }
            Some(away) => {
                away.until = now + ANSWER;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Somebody tried and learned nothing.
    fn may_try_again(&self) {
        if let Some(away) = &mut self.state().away {
            away.until = Instant::now();
        }
    }

    fn answered(&self) {
        let mut state = self.state();
        state.answered_at = Instant::now();
        state.away = None;
    }

    /// Leaves the server alone for a while, longer each time, and by chance differently in each replica, so that they
    /// do not come all at once when it is back.
    fn is_away(&self) {
        let mut state = self.state();
        let now = Instant::now();
        let [first, longest] = PAUSES;
        let pause = state.away.as_ref().map_or(first, |away| (away.pause * 2).min(longest));
        // Differently in each process is all that is asked of it.
        let chance = u32::from(u8::try_from(RandomState::new().hash_one(0) % 128).unwrap_or_default());
        state.away = Some(Away { until: now + pause * (128 + chance) / 256, pause });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole across a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn options(url: &str, connections: Connections) -> Result<PgConnectOptions, StoreError> {
    // The parser's message may repeat the URL, and the URL has a password.
    let options = PgConnectOptions::from_str(url).map_err(|_| StoreError::Url)?;
    // We read and write no floats; poolers know only a few parameters of a session.
    let options = options.application_name("brevet").extra_float_digits(None);
    Ok(match connections {
        Connections::Own => options.options(SETTINGS),
        Connections::Pooled => options.statement_cache_capacity(0),
    })
}

/// One URL for each server, and `target_session_attrs`.
fn each_server(url: &str) -> Option<(Vec<String>, Option<String>)> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| ["postgres", "postgresql"].contains(scheme))?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user, hosts) = authority.rfind('@').map_or(("", authority), |at| authority.split_at(at + 1));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut attributes = None;
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("target_session_attrs=") {
            Some(value) => attributes = Some(value.to_owned()),
            None => kept.push(pair),
        }
    }
    let kept = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    let urls = hosts.split(',').map(|host| format!("{scheme}://{user}{host}{path}{kept}")).collect();
    Some((urls, attributes))
}

async fn takes_writes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::raw_sql("SHOW transaction_read_only").fetch_one(connection).await?;
    Ok(row.try_get::<String, _>(0)? == "off")
}

fn late(_: tokio::time::error::Elapsed) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the server did not answer in time"))
}

/// The servers and the database that a URL names, without user and password; empty where it is no such URL.
pub fn place(url: &Secret) -> String {
    let Ok(Cluster { servers, .. }) = Cluster::parse(url, Connections::Own) else { return String::new() };
    let hosts: Vec<_> = servers.iter().map(PgConnectOptions::get_host).collect();
    let database = servers.first().and_then(PgConnectOptions::get_database).unwrap_or_default();
    format!("{}/{database}", hosts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Cluster, StoreError> {
        Cluster::parse(&Secret::new(url.to_owned()), Connections::Own)
    }

    #[test]
    fn a_url_may_name_several_servers() {
        let cluster = parse("postgres://u:p@one:5433,[::1],three/brevet?sslmode=disable").unwrap();
        let places: Vec<_> = cluster.servers.iter().map(|server| (server.get_host(), server.get_port())).collect();
        assert_eq!(places, [("one", 5433), ("[::1]", 5432), ("three", 5432)]);
        assert!(cluster.servers.iter().all(|server| server.get_database() == Some("brevet")));
        assert!(cluster.servers.iter().all(|server| server.get_username() == "u"));
        assert!(cluster.writable, "of several only the primary will do");
        assert_eq!(place(&Secret::new("postgres://u:canary@one,two:1/d?x=y".to_owned())), "one, two/d");
        assert_eq!(place(&Secret::new("postgres://u:canary/@one/d".to_owned())), "", "no password is a place");
    }

    #[test]
    fn target_session_attrs_may_ask_for_a_primary_and_for_nothing_that_is_only_read() {
        assert!(!parse("postgres://h/d").unwrap().writable);
        assert!(!parse("postgres://h,i/d?target_session_attrs=any").unwrap().writable);
        assert!(parse("postgres://h/d?sslmode=disable&target_session_attrs=read-write").unwrap().writable);
        assert!(parse("postgresql://h/d?target_session_attrs=primary").unwrap().writable);
        for wrong in ["standby", "prefer-standby", "read-only", "canary"] {
            let error = parse(&format!("postgres://h/d?target_session_attrs={wrong}")).unwrap_err();
            assert_eq!(error, StoreError::Url);
        }
    }

    #[test]
    fn a_server_that_is_away_is_tried_by_one_caller_at_a_time_and_less_and_less() {
        let cluster = parse("postgres://h/d").unwrap();
        assert_eq!(cluster.may_try(), Ok(()));
        let mut pause = PAUSES[0];
        for _ in 0..12 {
            let before = Instant::now();
            cluster.is_away();
            {
                let mut state = cluster.state();
                let away = state.away.as_mut().unwrap();
                assert_eq!(away.pause, pause);
                assert!((before + pause / 2..=Instant::now() + pause).contains(&away.until));
                // Longer than this test may take on a busy machine.
                away.until = Instant::now() + Duration::from_hours(1);
            }
            pause = (pause * 2).min(PAUSES[1]);
            assert!(cluster.may_try().is_err_and(|error| error.is_retryable()));
            cluster.may_try_again();
            assert_eq!(cluster.may_try(), Ok(()), "its time is over");
            assert!(cluster.may_try().is_err(), "somebody tries already");
        }
        cluster.answered();
        assert_eq!((cluster.may_try(), cluster.may_try()), (Ok(()), Ok(())));
    }
}
