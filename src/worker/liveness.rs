//! Whether callers are still what they were: many questions, few calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::error::WorkerError;
use super::refusal::Refusal;
use crate::client::exchange::LIVENESS_MAX;
use crate::client::{Client, ClientError};
use crate::domain::secret::Secret;
use crate::wire::exchange::Liveness;

type Answer = Result<Liveness, WorkerError>;

/// Asks the issuer about callers' tokens. One call is under way at a time; whoever asks meanwhile is in the next
/// one, together with everyone else. There is no timer: a batch forms while the previous one is answered.
#[derive(Clone)]
pub(super) struct Checks(Arc<Inner>);

struct Inner {
    client: Client,
    worker_key: Secret,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<(Secret, oneshot::Sender<Answer>)>,
    under_way: bool,
}

impl Checks {
    pub(super) fn new(client: Client, worker_key: Secret) -> Self {
        Self(Arc::new(Inner { client, worker_key, queue: Mutex::default() }))
    }

    /// The issuer's word about the caller of `token`.
    pub(super) async fn of(&self, token: Secret) -> Answer {
        let (tell, answer) = oneshot::channel();
        let begins = {
            let mut queue = self.queue();
            queue.waiting.push((token, tell));
            !std::mem::replace(&mut queue.under_way, true)
        };
        if begins {
            tokio::spawn(self.clone().work_off());
        }
        answer.await.unwrap_or_else(|_| Err(WorkerError::refused(Refusal::Internal, "a check was abandoned")))
    }

    async fn work_off(self) {
        let _done = Done(&self);
        loop {
            let batch: Vec<_> = {
                let mut queue = self.queue();
                let many = queue.waiting.len().min(LIVENESS_MAX);
                if many == 0 {
                    queue.under_way = false;
                    return;
                }
                queue.waiting.drain(..many).collect()
            };
            let (tokens, tell): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            metrics::counter!("brevet_worker_liveness_calls_total").increment(1);
            let answers: Vec<Answer> = match self.0.client.liveness(&self.0.worker_key, tokens).await {
                Ok(items) => items.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(refused(&error)); tell.len()],
            };
            for (tell, answer) in tell.into_iter().zip(answers) {
                let _ = tell.send(answer);
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Should a call panic, the next question begins anew.
struct Done<'a>(&'a Checks);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        if queue.under_way {
            queue.under_way = false;
            queue.waiting.clear();
        }
    }
}

/// What a failed call to the issuer means for the caller.
pub(super) fn refused(error: &ClientError) -> WorkerError {
    match error {
        ClientError::Unreachable { .. } => WorkerError::refused(Refusal::IssuerUnreachable, error.to_string()),
        ClientError::Protocol { status: 500.., .. } => {
            WorkerError::refused(Refusal::IssuerUnreachable, error.to_string())
        }
        // The worker asks `/v1` alone, which answers no error of OAuth.
        ClientError::Protocol { .. } | ClientError::Stranger { .. } | ClientError::OAuth { .. } => {
            WorkerError::refused(Refusal::IssuerUnexpected, error.to_string())
        }
        ClientError::Refused { problem, .. } => {
            let why = match problem.status {
                429 => Refusal::IssuerBusy,
                500.. => Refusal::IssuerUnreachable,
                401 => Refusal::WorkerKeyRefused,
                _ => of_reason(problem.code()),
            };
            WorkerError::refused(why, format!("{}: {}", problem.code(), problem.detail))
        }
    }
}

/// What a code of an exchange, or a reason of a liveness answer, means for the caller.
pub(super) fn of_reason(code: &str) -> Refusal {
    match code {
        "token_expired" => Refusal::TokenExpired,
        "team_not_served" => Refusal::TeamNotServed,
        "provider_disabled" => Refusal::ProviderDisabled,
        "provider_not_configured" => Refusal::ProviderNotConfigured,
        "provider_misconfigured" => Refusal::ProviderMisconfigured,
        "not_permitted" => Refusal::WorkerKeyRefused,
        "unavailable" | "internal" | "timeout" => Refusal::IssuerUnreachable,
        "rate_limited" => Refusal::IssuerBusy,
        "invalid_token" => Refusal::TokenNotAccepted,
        "caller_not_alive" | "not_member" | "sign_in_not_accepted" => Refusal::CallerNotAlive,
        code if code.starts_with("token_") => Refusal::TokenNotAccepted,
        code if ["_disabled", "_deleted", "_revoked", "_expired", "_ended", "_removed"]
            .iter()
            .any(|end| code.ends_with(end)) =>
        {
            Refusal::CallerNotAlive
        }
        _ => Refusal::ExchangeRefused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_issuer_are_told_apart() {
        for (code, why) in [
            ("user_disabled", Refusal::CallerNotAlive),
            ("session_ended", Refusal::CallerNotAlive),
            ("credential_revoked", Refusal::CallerNotAlive),
            ("credential_expired", Refusal::CallerNotAlive),
            ("team_deleted", Refusal::CallerNotAlive),
            ("principal_disabled", Refusal::CallerNotAlive),
            ("caller_not_alive", Refusal::CallerNotAlive),
            ("not_member", Refusal::CallerNotAlive),
            ("provider_disabled", Refusal::ProviderDisabled),
            ("provider_not_configured", Refusal::ProviderNotConfigured),
            ("token_expired", Refusal::TokenExpired),
            ("token_audience", Refusal::TokenNotAccepted),
            ("team_not_served", Refusal::TeamNotServed),
            ("a_word_of_next_year", Refusal::ExchangeRefused),
        ] {
            assert_eq!(of_reason(code), why, "{code}");
        }
    }
}
