//! Liveness: whether callers whose tokens a worker holds are still what they were.

use super::Issuer;
use super::refusals::{ExchangeError, Unavailable};
use super::standing::{Freshness, TeamStanding, check_team};
use crate::crypto::verify::VerifiedToken;
use crate::domain::access::Exchanger;
use crate::domain::secret::Secret;

/// Most tokens of one question.
pub const TOKENS_MAX: usize = 100;

/// Whether one caller may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alive {
    /// Yes, under settings of this version.
    Yes {
        /// Another version than the worker's means that its settings and credentials are out of date.
        settings_version: i64,
    },
    /// No.
    No {
        /// Why, as a stable word.
        reason: &'static str,
    },
}

impl Issuer {
    /// One answer for each of `tokens`, in their order. Expired tokens, too, are answered, with why: a worker
    /// needs a fresh one then. The rows behind all of them are read with one statement, and each team once.
    pub async fn liveness(&self, worker: &Exchanger, tokens: &[Secret]) -> Result<Vec<Alive>, ExchangeError> {
        let _place = self.0.admission.enter().map_err(Unavailable::from)?;
        let verified: Vec<_> = tokens.iter().map(|token| self.verify_presented(worker, token)).collect();
        let ids: Vec<_> = verified.iter().flatten().map(VerifiedToken::token_id).collect();
        let dead = self.store().minted_tokens(&ids, self.now()).await.map_err(Unavailable::from)?;
        let mut answers = Vec::with_capacity(tokens.len());
        for checked in verified {
            answers.push(match checked {
                Err(error) => Alive::No { reason: error.reason().unwrap_or("unavailable") },
                Ok(token) => match dead.get(&token.token_id()) {
                    None => Alive::No { reason: "token_not_minted" },
                    Some(Some(reason)) => Alive::No { reason: reason.as_str() },
                    Some(None) => self.team_alive(&token).await?,
                },
            });
        }
        Ok(answers)
    }

    /// The team and its settings. What was read less than a second ago serves the other tokens of the question.
    async fn team_alive(&self, token: &VerifiedToken) -> Result<Alive, Unavailable> {
        let subject = token.subject();
        let Some(facts) = self.facts(subject.team(), Freshness::Fresh).await? else {
            return Ok(Alive::No { reason: "team_deleted" });
        };
        if let Err(error) = check_team(&facts) {
            return Ok(Alive::No { reason: error.reason().unwrap_or("team_disabled") });
        }
        let standing = TeamStanding::new(subject.principal().clone(), facts);
        Ok(match standing.settings.first_hop() {
            Ok(_) => Alive::Yes { settings_version: standing.facts.team.version },
            Err(fault) => Alive::No { reason: crate::domain::policy::Refusal::from(fault).code() },
        })
    }
}
