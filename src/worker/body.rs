//! Reading a caller's body whole: a signature covers all of it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::error::WorkerError;
use super::refusal::Refusal;
use crate::aws::bedrock::BODY_MAX;
use crate::domain::id::TeamUid;
use crate::limit::share::Share;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_mins(1);

/// Bodies under way hold as much as the worker, or the team's share of it, takes.
pub(super) const NO_ROOM: &str = "no room for the body";

/// All of `body`, up to [`BODY_MAX`] bytes, each of them held in `room`. One that announces more is refused before a
/// byte is read.
pub(super) async fn whole<B>(body: B, room: &mut Share<TeamUid>) -> Result<Bytes, WorkerError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || WorkerError::refused(Refusal::BodyTooLarge, format!("at most {BODY_MAX} bytes"));
    if body.size_hint().lower() > BODY_MAX as u64 {
        return Err(too_large());
    }
    let read = async {
        let mut body = std::pin::pin!(Limited::new(body, BODY_MAX));
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => {
                    let part = frame.into_data().unwrap_or_default();
                    room.more(part.len()).map_err(|_| WorkerError::refused(Refusal::Busy, NO_ROOM))?;
                    whole.extend_from_slice(&part);
                }
                Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
                Err(_) => return Err(WorkerError::refused(Refusal::BodyIncomplete, "the connection broke")),
            }
        }
        Ok(whole.freeze())
    };
    let late = |_| WorkerError::refused(Refusal::BodyTimeout, format!("at most {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, read).await.map_err(late)?
}
