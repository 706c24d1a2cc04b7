//! Streamed answers: `application/vnd.amazon.eventstream` frames, one after the other, with pauses between them.

use std::io;
use std::time::Duration;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use axum::body::Body;
use axum::http::{Response, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

use crate::sandbox::fault::Fault;

/// An event of an invocation: the model's own chunk, in base64 in JSON.
pub(super) fn chunk(part: &Value) -> Bytes {
    event("chunk", &serde_json::json!({ "bytes": STANDARD.encode(part.to_string()) }))
}

/// An event of the given type.
pub(super) fn event(name: &str, payload: &Value) -> Bytes {
    frame("event", ":event-type", name, payload)
}

fn frame(kind: &str, type_header: &'static str, name: &str, payload: &Value) -> Bytes {
    let header = |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let message = Message::new(payload.to_string())
        .add_header(header(type_header, name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", kind));
    let mut bytes = Vec::new();
    // Headers and payload are far below the format's limits, the one reason to fail.
    let _ = write_message_to(&message, &mut bytes);
    bytes.into()
}

/// The events as a body that really takes its time, so that a client can tell streaming from buffering.
pub(super) fn response(events: Vec<Bytes>, pause: Duration, fault: Option<Fault>) -> Response<Body> {
    let mut parts: Vec<io::Result<Bytes>> = events.into_iter().map(Ok).collect();
    match fault {
        Some(Fault::BreakStream { after }) => {
            parts.truncate(after);
            parts.push(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
        }
        Some(Fault::StreamException { after, code, message }) => {
            parts.truncate(after);
            parts.push(Ok(frame("exception", ":exception-type", &code, &serde_json::json!({ "message": message }))));
        }
        Some(Fault::Refuse { .. } | Fault::Delay { .. }) | None => {}
    }
    let stream = futures_util::stream::unfold((parts.into_iter(), false), move |(mut parts, begun)| async move {
        let part = parts.next()?;
        if begun {
            tokio::time::sleep(pause).await;
        }
        Some((part, (parts, true)))
    });
    let mut response = Response::new(Body::from_stream(stream));
    let value = header::HeaderValue::from_static("application/vnd.amazon.eventstream");
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}
