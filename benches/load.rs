//! Load: keep-alive HTTP/1.1 on many connections from one thread, with requests made beforehand and answers read only
//! as far as must be, so that the server has the other core to itself.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

use crate::{Outcome, cpu};

/// How long whoever was refused waits. The server asks for longer; more of the refused make for a harder test.
const PAUSE: Duration = Duration::from_millis(20);

/// Open connections, each with its own requests to repeat.
pub(crate) struct Load {
    runtime: Runtime,
    connections: Vec<Connection>,
    may_refuse: bool,
    /// From an answer to the next request.
    pause: Duration,
}

/// What one connection asks, again and again.
pub(crate) struct Script {
    request: Vec<u8>,
    /// Where the bearer stands in it.
    at: Range<usize>,
    /// Who else asks, in turn; nobody where it is empty.
    bearers: Vec<String>,
    next: usize,
}

impl From<Vec<u8>> for Script {
    fn from(request: Vec<u8>) -> Self {
        Self { request, at: 0..0, bearers: Vec::new(), next: 0 }
    }
}

impl Script {
    /// `request` with the bearer that stands in it changed for another of `bearers` each time; they are all as long.
    pub(crate) fn in_turn(request: Vec<u8>, bearers: Vec<String>) -> Outcome<Self> {
        const NAME: &[u8] = b"Authorization: Bearer ";
        let length = bearers.first().ok_or("nobody asks")?.len();
        let start = request.windows(NAME.len()).position(|window| window == NAME).ok_or("no bearer")? + NAME.len();
        Ok(Self { request, at: start..start + length, bearers, next: 0 })
    }

    fn next(&mut self) -> &[u8] {
        if let Some(bearer) = self.bearers.get(self.next) {
            self.request[self.at.clone()].copy_from_slice(bearer.as_bytes());
            self.next = (self.next + 1) % self.bearers.len();
        }
        &self.request
    }
}

/// What a round of load came to.
pub(crate) struct Round {
    /// Answers with 200.
    pub(crate) answers: usize,
    /// Answers with 503, where they are allowed.
    pub(crate) refused: usize,
    pub(crate) wall: Duration,
    /// CPU time of the server.
    pub(crate) cpu: Duration,
    /// From a request's first byte to its answer's last, in order.
    latencies: Vec<Duration>,
}

impl Round {
    #[expect(clippy::cast_precision_loss, reason = "counts of seconds")]
    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.answers as f64 / self.cpu.as_secs_f64()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of seconds")]
    pub(crate) fn per_second(&self) -> f64 {
        self.answers as f64 / self.wall.as_secs_f64()
    }

    /// Which part of the requests was refused.
    #[expect(clippy::cast_precision_loss, reason = "counts of seconds")]
    pub(crate) fn refused_part(&self) -> f64 {
        self.refused as f64 / (self.refused + self.answers).max(1) as f64
    }

    /// The latency, in milliseconds, that so many of a hundred requests do not exceed.
    pub(crate) fn percentile(&self, hundredths: usize) -> f64 {
        let place = (self.latencies.len() * hundredths / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(place).map_or(0.0, Duration::as_secs_f64) * 1000.0
    }
}

impl Load {
    pub(crate) fn connect(address: SocketAddr, scripts: Vec<impl Into<Script>>) -> Outcome<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let connections = runtime.block_on(try_join_all(scripts.into_iter().map(|script| async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(Connection { stream, script: script.into(), buffer: vec![0; 8 * 1024] })
        })))?;
        Ok(Self { runtime, connections, may_refuse: false, pause: Duration::ZERO })
    }

    /// The same load, of which the server may refuse a part with 503. Whoever is refused asks again a little later.
    pub(crate) const fn that_may_be_refused(mut self) -> Self {
        self.may_refuse = true;
        self
    }

    /// The same load with a pause after each answer.
    pub(crate) const fn with_pauses(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Repeats the requests for `length` against the server with process id `server`, and shows the body of every
    /// answer to `see`.
    pub(crate) fn round(&mut self, server: u32, length: Duration, see: impl Fn(&[u8])) -> Outcome<Round> {
        let (cpu, began) = (cpu::of_process(server)?, Instant::now());
        let pause = self.pause;
        let all = self.connections.iter_mut().map(|connection| connection.repeat(began + length, pause, &see));
        let (latencies, refused): (Vec<_>, Vec<_>) = self.runtime.block_on(try_join_all(all))?.into_iter().unzip();
        let (mut latencies, refused) = (latencies.concat(), refused.into_iter().sum());
        if refused > 0 && !self.may_refuse {
            return Err(format!("the server refused {refused} requests with 503").into());
        }
        let (cpu, wall) = (cpu::of_process(server)?.saturating_sub(cpu), began.elapsed());
        latencies.sort_unstable();
        Ok(Round { answers: latencies.len(), refused, wall, cpu, latencies })
    }
}

struct Connection {
    stream: TcpStream,
    script: Script,
    buffer: Vec<u8>,
}

impl Connection {
    /// How long each answer took, and how many requests were refused.
    async fn repeat(
        &mut self,
        until: Instant,
        pause: Duration,
        see: &impl Fn(&[u8]),
    ) -> Outcome<(Vec<Duration>, usize)> {
        let (mut latencies, mut refused) = (Vec::new(), 0);
        loop {
            let began = Instant::now();
            if began >= until {
                return Ok((latencies, refused));
            }
            self.stream.write_all(self.script.next()).await?;
            if let Some(body) = self.answer().await? {
                latencies.push(began.elapsed());
                see(body);
                if !pause.is_zero() {
                    sleep(pause).await;
                }
            } else {
                refused += 1;
                sleep(PAUSE).await;
            }
        }
    }

    /// The body of the next answer, which must have a length and be a 200; nothing of a 503.
    async fn answer(&mut self) -> Outcome<Option<&[u8]>> {
        let mut filled = 0;
        let mut whole = None;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            filled += read;
            let got = &self.buffer[..filled];
            if read == 0 {
                return Err(format!("the server ended a connection: {}", String::from_utf8_lossy(got)).into());
            }
            if whole.is_none() {
                whole = lengths(got);
            }
            if let Some((head, body)) = whole
                && filled >= head + body
            {
                let got = &self.buffer[..filled];
                return match got.get(..13) {
                    Some(b"HTTP/1.1 200 ") if filled == head + body => Ok(Some(&got[head..])),
                    Some(b"HTTP/1.1 503 ") if filled == head + body => Ok(None),
                    _ => Err(format!("not the answer that was expected: {}", String::from_utf8_lossy(got)).into()),
                };
            }
        }
    }
}

/// How long head and body of an answer are, once its head is complete.
fn lengths(answer: &[u8]) -> Option<(usize, usize)> {
    const NAME: &[u8] = b"content-length: ";
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let at = answer[..head].windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME))? + NAME.len();
    let digits = answer[at..head].iter().take_while(|byte| byte.is_ascii_digit());
    Some((head, digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))))
}
