//! Reading a caller's body whole: a signature covers all of it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::error::WorkerError;
use super::refusal::Refusal;
use crate::aws::bedrock::BODY_MAX;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_mins(1);

/// All of `body`, up to [`BODY_MAX`] bytes. One that announces more is refused before a byte is read.
pub(super) async fn whole<B>(body: B) -> Result<Bytes, WorkerError>
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
                Ok(frame) => whole.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
                Err(_) => return Err(WorkerError::refused(Refusal::BodyIncomplete, "the connection broke")),
            }
        }
        Ok(whole.freeze())
    };
    let late = |_| WorkerError::refused(Refusal::BodyTimeout, format!("at most {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, read).await.map_err(late)?
}
