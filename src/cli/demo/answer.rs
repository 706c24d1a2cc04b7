//! A streamed answer through the worker, shown as it arrives.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use serde_json::{Value, json};

use super::board::Board;
use super::stage::{MODEL, Player, Stage};
use crate::cli::outcome::Failure;
use crate::domain::secret::Secret;

/// Asks `question` with Bedrock's ConverseStream and checks that the answer came in parts, whole.
pub(super) async fn ask(
    stage: &Stage,
    board: &Board,
    player: &Player,
    token: &Secret,
    question: &str,
) -> Result<(), Failure> {
    let answer = stage.http.stream(request(stage, token, question)?).await;
    let answer = answer.map_err(|error| board.broken("worker", error))?;
    let (head, mut body) = answer.into_parts();
    if !head.status.is_success() {
        let said = body.whole(64 * 1024).await.unwrap_or_default();
        return Err(board.broken("worker", format_args!("{} {}", head.status, String::from_utf8_lossy(&said))));
    }
    board.arriving(player.name)?;
    let (mut decoder, mut waiting) = (MessageFrameDecoder::new(), BytesMut::new());
    let (mut arrivals, mut pieces, mut whole) = (0_u32, 0_u32, false);
    while let Some(part) = body.next().await {
        waiting.extend_from_slice(&part.map_err(|error| board.broken("stream", error))?);
        arrivals += 1;
        loop {
            match decoder.decode_frame(&mut waiting).map_err(|error| board.broken("event stream", error))? {
                DecodedFrame::Incomplete => break,
                DecodedFrame::Complete(message) => match event(&message) {
                    ("contentBlockDelta", payload) => {
                        pieces += 1;
                        board.piece(payload["delta"]["text"].as_str().unwrap_or_default())?;
                    }
                    ("messageStop", _) => whole = true,
                    _ => {}
                },
            }
        }
    }
    board.arrived()?;
    board.check("answer", whole, "the stream ended before messageStop")?;
    board.check("streaming", pieces > 1 && arrivals > 1, format_args!("{pieces} pieces in {arrivals} arrivals"))?;
    board.holds("streamed", format_args!("{pieces} pieces in {arrivals} arrivals, to \"{question}\""))
}

fn request(stage: &Stage, token: &Secret, question: &str) -> Result<Request<Bytes>, Failure> {
    let body = json!({ "messages": [{ "role": "user", "content": [{ "text": question }] }] });
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(Failure::refused)?;
    bearer.set_sensitive(true);
    Request::post(format!("{}/bedrock/model/{}/converse-stream", stage.worker_url, MODEL.replace(':', "%3A")))
        .header(AUTHORIZATION, bearer)
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string().into())
        .map_err(Failure::refused)
}

/// An event's type and its JSON payload; an exception is an event of its own name.
fn event(message: &Message) -> (&str, Value) {
    let named = |name: &str| message.headers().iter().find(|header| header.name().as_str() == name);
    let header = named(":event-type").or_else(|| named(":exception-type"));
    let kind = header.and_then(|header| header.value().as_string().ok()).map_or("", |text| text.as_str());
    (kind, serde_json::from_slice(message.payload()).unwrap_or_default())
}
