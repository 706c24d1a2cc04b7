//! Clients by the thousand, on raw connections: what each kind of them was answered, and how long that took.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::minters::HANGS;

/// A connection catches up with so much, and leaves out what it should have asked before.
const CATCHES_UP: Duration = Duration::from_secs(1);

/// Clients of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Crowd {
    /// `host:port`.
    pub(crate) address: String,
    /// Whole requests: the n-th connection begins with the n-th of them and goes on in a circle.
    pub(crate) requests: Vec<Vec<u8>>,
    /// How many connections there are, each with one request at a time.
    pub(crate) connections: usize,
    /// From one request of a connection to the next. Where an answer took longer, the next ones come at once until it has
    /// caught up, with a second at most.
    pub(crate) every: Duration,
    /// Whether the server's work, but for what it signs for a crowd, goes before it on the processors that both share:
    /// what comes from other hosts takes none of them.
    pub(crate) humble: bool,
}

/// What became of their requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// How many answers had which status.
    pub(crate) answers: BTreeMap<u16, usize>,
    /// How long answers with which status took, in microseconds, in no order.
    pub(crate) took: BTreeMap<u16, Vec<u32>>,
    /// Answers of 429 and 503 that did not say when to come back.
    pub(crate) without_retry_after: usize,
    /// The ids of tokens that arrived.
    pub(crate) tokens: BTreeSet<String>,
    /// Connections that ended before an answer did.
    pub(crate) broken: Vec<String>,
}

impl Told {
    pub(crate) fn of(&self, status: u16) -> usize {
        self.answers.get(&status).copied().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> usize {
        self.answers.values().sum()
    }

    /// So many of a hundred answers with `status` took at most so long.
    pub(crate) fn percentile(&self, status: u16, percent: usize) -> Duration {
        let mut took = self.took.get(&status).cloned().unwrap_or_default();
        took.sort_unstable();
        let at = (took.len() * percent).div_ceil(100).saturating_sub(1);
        Duration::from_micros(took.get(at).copied().unwrap_or_default().into())
    }

    /// The longest of all.
    pub(crate) fn slowest(&self) -> Duration {
        Duration::from_micros(self.took.values().flatten().max().copied().unwrap_or_default().into())
    }
}

/// A crowd at work. Told to end, each of its connections waits for the answer that it is owed.
pub(crate) struct Crowding {
    over: Arc<AtomicBool>,
    gone: CancellationToken,
    told: Arc<Mutex<Told>>,
    thread: Option<JoinHandle<()>>,
}

/// A mint of `key`'s.
pub(crate) fn mint(address: &str, key: &str) -> Vec<u8> {
    mint_from(address, key, "")
}

/// The same with more header lines, each with its end.
pub(crate) fn mint_from(address: &str, key: &str, headers: &str) -> Vec<u8> {
    format!(
        "POST /v1/identity-tokens HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n{headers}\
         content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    )
    .into_bytes()
}

/// A plain question.
pub(crate) fn get(address: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes()
}

impl Crowd {
    /// Lets them come, on a thread of their own.
    pub(crate) fn start(self) -> Crowding {
        let (over, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Told::default())));
        let gone = CancellationToken::new();
        let (ending, telling, going) = (Arc::clone(&over), Arc::clone(&told), gone.clone());
        let thread = thread::spawn(move || {
            if self.humble {
                // Of this thread alone; the runtime has no other.
                let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
                set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
                    .expect("this system forbids SCHED_IDLE");
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let crowd = Arc::new(self);
            let connections: Vec<_> = (0..crowd.connections)
                .map(|n| runtime.spawn(come(Arc::clone(&crowd), n, Arc::clone(&ending), Arc::clone(&telling))))
                .collect();
            runtime.block_on(async {
                tokio::select! {
                    ended = join_all(connections) => ended.into_iter().for_each(|client| client.expect("no client panics")),
                    () = going.cancelled() => {}
                }
            });
        });
        Crowding { over, gone, told, thread: Some(thread) }
    }
}

impl Crowding {
    /// What became of them so far.
    pub(crate) fn so_far(&self) -> Told {
        self.told.lock().unwrap().clone()
    }

    /// Waits until `more` answers with `status` have come; whether they have.
    pub(crate) fn wait_for(&self, more: usize, status: u16, patience: Duration) -> bool {
        let began = Instant::now();
        let wanted = self.told.lock().unwrap().of(status) + more;
        while self.told.lock().unwrap().of(status) < wanted {
            if began.elapsed() > patience {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Forgets what was told so far, and tells it.
    pub(crate) fn take(&self) -> Told {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    /// Ends them as they are, in the midst of their requests, and tells what became of those that were answered.
    pub(crate) fn hang_up(self) -> Told {
        self.gone.cancel();
        self.finish()
    }

    /// Ends them and tells what became of all.
    pub(crate) fn finish(mut self) -> Told {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().expect("it ends once").join().expect("no client panics");
        self.take()
    }
}

impl Drop for Crowding {
    /// Also where the drill has failed: nobody else would stop them.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

async fn come(crowd: Arc<Crowd>, n: usize, over: Arc<AtomicBool>, told: Arc<Mutex<Told>>) {
    let mut connection: Option<TcpStream> = None;
    let mut requests = crowd.requests.iter().cycle().skip(n % crowd.requests.len());
    // Not all at the same instant.
    let share = u32::try_from(crowd.connections).unwrap_or(u32::MAX);
    sleep(crowd.every / share * u32::try_from(n).unwrap_or_default()).await;
    let mut due = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let request = requests.next().expect("a circle");
        let answer = timeout(HANGS, ask(&mut connection, &crowd.address, request)).await.expect("no request hangs");
        let took = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
        {
            let mut told = told.lock().unwrap();
            match answer {
                Ok(answer) => {
                    *told.answers.entry(answer.status).or_default() += 1;
                    told.took.entry(answer.status).or_default().push(took);
                    told.without_retry_after +=
                        usize::from(matches!(answer.status, 429 | 503) && answer.retry_after.is_none());
                    told.tokens.extend(answer.token_id);
                }
                Err(fault) => {
                    connection = None;
                    told.broken.push(fault.to_string());
                }
            }
        }
        due += crowd.every;
        due = due.max(began.checked_sub(CATCHES_UP).unwrap_or(due));
        sleep_until(due.into()).await;
    }
}

struct Answer {
    status: u16,
    retry_after: Option<u64>,
    token_id: Option<String>,
}

async fn ask(connection: &mut Option<TcpStream>, address: &str, request: &[u8]) -> std::io::Result<Answer> {
    let stream = if let Some(stream) = connection {
        stream.write_all(request).await?;
        stream
    } else {
        // Without a turn of the runtime between the two, which a humble thread may have to wait long for: the server
        // closes a connection that has asked nothing for ten seconds.
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        std::io::Write::write_all(&mut stream, request)?;
        stream.set_nonblocking(true)?;
        connection.insert(TcpStream::from_std(stream)?)
    };
    let mut bytes = Vec::with_capacity(4096);
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        read_more(stream, &mut bytes).await?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let header = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned())
    };
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    while bytes.len() < head + length {
        read_more(stream, &mut bytes).await?;
    }
    let body = String::from_utf8_lossy(&bytes[head..]);
    let token_id = body.split_once("\"token_id\":\"").and_then(|(_, rest)| rest.split_once('"'));
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let answer = Answer {
        status: status.ok_or_else(|| std::io::Error::other("no answer of HTTP"))?,
        retry_after: header("retry-after").and_then(|seconds| seconds.parse().ok()),
        token_id: token_id.map(|(id, _)| id.to_owned()),
    };
    if header("connection").as_deref() == Some("close") {
        *connection = None;
    }
    Ok(answer)
}

async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    match stream.read_buf(bytes).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
