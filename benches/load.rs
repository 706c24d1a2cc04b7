//! Load: keep-alive HTTP/1.1 on many connections from one thread, with requests made beforehand and answers read only
//! as far as must be, so that the server has the other core to itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use crate::{Outcome, cpu};

/// Open connections, each with its own request to repeat.
pub(crate) struct Load {
    runtime: Runtime,
    connections: Vec<Connection>,
}

/// What a round of load came to.
pub(crate) struct Round {
    /// Answers, all of them 200.
    pub(crate) answers: usize,
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

    /// The latency, in milliseconds, that so many of a hundred requests do not exceed.
    pub(crate) fn percentile(&self, hundredths: usize) -> f64 {
        let place = (self.latencies.len() * hundredths / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(place).map_or(0.0, Duration::as_secs_f64) * 1000.0
    }
}

impl Load {
    pub(crate) fn connect(address: SocketAddr, requests: Vec<Vec<u8>>) -> Outcome<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let connections = runtime.block_on(try_join_all(requests.into_iter().map(|request| async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(Connection { stream, request, buffer: vec![0; 16 * 1024] })
        })))?;
        Ok(Self { runtime, connections })
    }

    /// Repeats the requests for `length` against the server with process id `server`, and shows the body of every
    /// answer to `see`.
    pub(crate) fn round(&mut self, server: u32, length: Duration, see: impl Fn(&[u8])) -> Outcome<Round> {
        let (cpu, began) = (cpu::of_process(server)?, Instant::now());
        let all = self.connections.iter_mut().map(|connection| connection.repeat(began + length, &see));
        let mut latencies: Vec<Duration> = self.runtime.block_on(try_join_all(all))?.concat();
        let (cpu, wall) = (cpu::of_process(server)?.saturating_sub(cpu), began.elapsed());
        latencies.sort_unstable();
        Ok(Round { answers: latencies.len(), wall, cpu, latencies })
    }
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    async fn repeat(&mut self, until: Instant, see: &impl Fn(&[u8])) -> Outcome<Vec<Duration>> {
        let mut latencies = Vec::new();
        loop {
            let began = Instant::now();
            if began >= until {
                return Ok(latencies);
            }
            self.stream.write_all(&self.request).await?;
            let body = self.answer().await?;
            latencies.push(began.elapsed());
            see(body);
        }
    }

    /// The body of the next answer, which must be a 200 with a length.
    async fn answer(&mut self) -> Outcome<&[u8]> {
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
                if !got.starts_with(b"HTTP/1.1 200 ") || filled > head + body {
                    return Err(format!("not the answer that was expected: {}", String::from_utf8_lossy(got)).into());
                }
                return Ok(&got[head..]);
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
