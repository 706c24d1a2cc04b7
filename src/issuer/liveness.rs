//! Liveness: whether callers whose tokens a worker holds are still what they were.

use std::collections::HashMap;
use std::sync::Arc;

use super::Issuer;
use super::refusals::{ExchangeError, Unavailable};
use super::standing::{Freshness, TeamStanding, accepts_sign_in, check_team};
use crate::crypto::verify::VerifiedToken;
use crate::domain::access::Exchanger;
use crate::domain::id::{TeamUid, UserUid};
use crate::domain::policy::Refusal;
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::store::TeamFacts;

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

/// What one question has read of teams and people: each of them once.
#[derive(Default)]
struct Read {
    facts: HashMap<TeamUid, Option<Arc<TeamFacts>>>,
    teams_of: HashMap<UserUid, Arc<[TeamUid]>>,
}

impl Issuer {
    /// One answer for each of `tokens`, in their order. An expired token, too, is answered with why: its worker
    /// needs a fresh one. The credentials behind all of them are read with one statement, each team and person
    /// with one more.
    pub async fn liveness(&self, worker: &Exchanger, tokens: &[Secret]) -> Result<Vec<Alive>, ExchangeError> {
        let _place = self.0.admission.enter().map_err(Unavailable::from)?;
        let mut verified = Vec::with_capacity(tokens.len());
        for token in tokens {
            verified.push(self.verify_presented(worker, token).await.map(|presented| presented.token));
        }
        let ids: Vec<_> = verified.iter().flatten().map(VerifiedToken::token_id).collect();
        let minted = self.store().minted_tokens(&ids, self.now()).await.map_err(Unavailable::from)?;
        let mut read = Read::default();
        let mut answers = Vec::with_capacity(tokens.len());
        for checked in verified {
            answers.push(match checked {
                Err(error) => Alive::No { reason: error.reason().unwrap_or("unavailable") },
                Ok(token) => match minted.get(&token.token_id()) {
                    None => Alive::No { reason: "token_not_minted" },
                    Some(Some(dead)) => Alive::No { reason: dead.as_str() },
                    Some(None) => self.in_team(&token, &mut read).await?,
                },
            });
        }
        Ok(answers)
    }

    /// Membership, team and settings.
    async fn in_team(&self, token: &VerifiedToken, read: &mut Read) -> Result<Alive, Unavailable> {
        let (team, principal) = (token.subject().team(), token.subject().principal());
        if !read.facts.contains_key(team) {
            read.facts.insert(team.clone(), self.facts(team, Freshness::Fresh).await?);
        }
        let Some(facts) = read.facts.get(team).cloned().flatten() else {
            return Ok(Alive::No { reason: "team_deleted" });
        };
        if let Err(dead) = check_team(&facts) {
            return Ok(Alive::No { reason: dead.as_str() });
        }
        if let Principal::User(user) = principal {
            if !read.teams_of.contains_key(user) {
                read.teams_of.insert(user.clone(), self.teams_of(user, Freshness::Fresh).await?);
            }
            if !read.teams_of.get(user).is_some_and(|teams| teams.contains(team)) {
                return Ok(Alive::No { reason: "membership_ended" });
            }
        }
        if !accepts_sign_in(principal, &facts) {
            return Ok(Alive::No { reason: "sign_in_not_accepted" });
        }
        let standing = TeamStanding::new(principal.clone(), facts);
        Ok(match standing.settings.first_hop() {
            Ok(_) => Alive::Yes { settings_version: standing.facts.team.version },
            Err(fault) => Alive::No { reason: Refusal::from(fault).code() },
        })
    }
}
