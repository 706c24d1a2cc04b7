//! The body of a streamed answer.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::Body as _;
use tokio::time::{Instant, Sleep};

use super::error::FetchError;

/// The parts of a body in the order and at the time they arrive; also an `http_body::Body`. Dropping it closes the
/// exchange. After an error nothing follows.
#[derive(Debug)]
pub struct Body {
    inner: reqwest::Body,
    idle: Duration,
    alarm: Pin<Box<Sleep>>,
    /// Whether the alarm runs: from the first time nothing was there, not while the reader was busy elsewhere.
    waiting: bool,
    ended: bool,
}

impl Body {
    pub(super) fn new(inner: reqwest::Body, idle: Duration) -> Self {
        Self { inner, idle, alarm: Box::pin(tokio::time::sleep(idle)), waiting: false, ended: false }
    }

    /// The next part, or `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, FetchError>> {
        futures_util::StreamExt::next(self).await
    }

    /// Everything that is still to come, up to `limit` bytes.
    pub async fn whole(&mut self, limit: usize) -> Result<Bytes, FetchError> {
        if self.inner.size_hint().lower() > limit as u64 {
            return Err(FetchError::TooLarge { limit });
        }
        let mut whole = BytesMut::new();
        while let Some(part) = self.next().await {
            let part = part?;
            if whole.len() + part.len() > limit {
                return Err(FetchError::TooLarge { limit });
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }
}

impl Stream for Body {
    type Item = Result<Bytes, FetchError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            match Pin::new(&mut this.inner).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(part) = frame.into_data() else { continue };
                    this.waiting = false;
                    return Poll::Ready(Some(Ok(part)));
                }
                Poll::Ready(Some(Err(error))) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                Poll::Ready(None) => {
                    this.ended = true;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    if !this.waiting {
                        this.waiting = true;
                        this.alarm.as_mut().reset(Instant::now() + this.idle);
                    }
                    std::task::ready!(this.alarm.as_mut().poll(context));
                    this.ended = true;
                    return Poll::Ready(Some(Err(FetchError::Timeout)));
                }
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = FetchError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, FetchError>>> {
        self.poll_next(context).map(|part| part.map(|part| part.map(http_body::Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
