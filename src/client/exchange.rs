//! What a worker asks the issuer for, under its own key.

use http::Method;

use super::call::{Client, ClientError};
use crate::domain::secret::Secret;
use crate::wire::exchange::{Exchange, ExchangeRequest, Liveness, LivenessAnswer, LivenessRequest};
use crate::wire::secret_text::SecretText;

/// Most tokens of one [`Client::liveness`].
pub const LIVENESS_MAX: usize = 100;

impl Client {
    /// Presents a caller's token; the answer says what the worker may do for that caller.
    pub async fn exchange(&self, worker_key: &Secret, token: Secret) -> Result<Exchange, ClientError> {
        let request = ExchangeRequest { token: SecretText(token) };
        self.send(Method::POST, Some(worker_key), "/v1/worker/exchange", &request).await
    }

    /// Whether the callers of at most [`LIVENESS_MAX`] tokens may go on, one answer for each in their order.
    pub async fn liveness(&self, worker_key: &Secret, tokens: Vec<Secret>) -> Result<Vec<Liveness>, ClientError> {
        let asked = tokens.len();
        let request = LivenessRequest { tokens: tokens.into_iter().map(SecretText).collect() };
        let answer: LivenessAnswer = self.send(Method::POST, Some(worker_key), "/v1/worker/liveness", &request).await?;
        if answer.items.len() == asked {
            Ok(answer.items)
        } else {
            Err(self.protocol(200, "there must be one answer for each token"))
        }
    }
}
