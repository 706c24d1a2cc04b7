//! Liveness: whether callers whose tokens a worker holds are still what they were.

use std::collections::HashMap;
use std::sync::Arc;

use super::Issuer;
use super::limits::Party;
use super::presented::{Presented, bearer};
use super::refusals::{ExchangeError, Unavailable};
use super::standing::{Freshness, TeamStanding, check_sign_in, check_team};
use crate::domain::access::Exchanger;
use crate::domain::credential::OpaqueCredential;
use crate::domain::id::{TeamUid, UserUid};
use crate::domain::policy;
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::domain::session::Authentication;
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
    /// One answer for each of `tokens` (or bearers of runs), in their order. An expired token, too, is answered with why: its worker
    /// needs a fresh one. The credentials behind all of them are read with one statement, each team and person
    /// with one more.
    pub async fn liveness(&self, worker: &Exchanger, tokens: &[Secret]) -> Result<Vec<Alive>, ExchangeError> {
        let party = Party::Credential(worker.credential);
        let place = self.0.admission.enter(&party).await.map_err(Unavailable::from)?;
        // It waits for the store most of the time.
        place.rest();
        let bearers: Vec<_> = tokens.iter().map(bearer).collect();
        let hashes: Vec<_> = bearers.iter().flatten().flatten().map(OpaqueCredential::hash).collect();
        let known = self.store().credentials_of(&hashes, self.now()).await.map_err(Unavailable::from)?;
        let mut shown = Vec::with_capacity(tokens.len());
        for (token, bearer) in tokens.iter().zip(bearers) {
            shown.push(match bearer {
                Err(error) => Err(error),
                Ok(None) => self.presented_token(worker, token).await,
                Ok(Some(bearer)) => self.presented_bearer(worker, known.get(&bearer.hash()).cloned()).await,
            });
        }
        let ids: Vec<_> = shown.iter().flatten().filter_map(Presented::token_id).collect();
        let minted = self.store().minted_tokens(&ids, self.now()).await.map_err(Unavailable::from)?;
        let mut read = Read::default();
        let mut answers = Vec::with_capacity(tokens.len());
        for shown in shown {
            answers.push(match shown {
                Err(error) => Alive::No { reason: error.reason().unwrap_or("unavailable") },
                Ok(presented) => match presented.token_id().map(|token| minted.get(&token)) {
                    Some(None) => Alive::No { reason: "token_not_minted" },
                    Some(Some((_, Some(dead)))) => Alive::No { reason: dead.as_str() },
                    Some(Some((behind, None))) => {
                        self.in_team(worker, &presented, behind.session.as_ref(), &mut read).await?
                    }
                    // A bearer that is presented is alive, and its run says who opened it.
                    None => self.in_team(worker, &presented, None, &mut read).await?,
                },
            });
        }
        Ok(answers)
    }

    /// Membership, team and settings.
    async fn in_team(
        &self,
        worker: &Exchanger,
        presented: &Presented,
        by: Option<&Authentication>,
        read: &mut Read,
    ) -> Result<Alive, Unavailable> {
        let (team, principal) = (presented.team(), presented.principal());
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
        let run = match presented.run_id() {
            None => None,
            Some(id) => match self.run_of(id).await? {
                Some(run) => Some(run),
                None => return Ok(Alive::No { reason: "token_not_minted" }),
            },
        };
        let by = run.as_ref().and_then(|run| run.opener.by.as_ref()).or(by);
        if check_sign_in(&facts, by).is_err() {
            return Ok(Alive::No { reason: "sign_in_not_accepted" });
        }
        let outside = TeamStanding::new(principal.clone(), facts);
        let standing = match run {
            Some(run) => outside.in_run(run),
            None => outside,
        };
        // What an exchange would now be refused for ends what an earlier one gave: a role taken off, inference off.
        Ok(match policy::decide_exchange(standing.as_policy(self.url()), worker.credential) {
            Ok(_) => Alive::Yes { settings_version: standing.facts.team.version },
            Err(refusal) => Alive::No { reason: refusal.code() },
        })
    }
}
