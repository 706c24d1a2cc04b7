//! Who the bearer is, and what it may mint.

use std::sync::Arc;

use time::OffsetDateTime;

use super::Issuer;
use super::callers::Known;
use super::refusals::Unavailable;
use super::standing::{Freshness, TeamStanding, check_sign_in, check_team};
use crate::domain::access::{Caller, Identity};
use crate::domain::audience::Audience;
use crate::domain::id::TeamUid;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::principal::Principal;
use crate::domain::role_arn::RoleArn;
use crate::domain::subject::Subject;

/// Who the bearer is.
#[derive(Debug, Clone)]
pub struct Whoami {
    /// The caller.
    pub caller: Caller,
    /// When its credential ends, if it does.
    pub expires_at: Option<OffsetDateTime>,
    /// The principal, where the bearer is one.
    pub principal: Option<Principal>,
    /// The teams it may act in or serves.
    pub teams: Vec<WhoamiTeam>,
}

/// One team of the bearer.
#[derive(Debug, Clone)]
pub struct WhoamiTeam {
    /// Its uid.
    pub uid: TeamUid,
    /// Its name.
    pub name: String,
    /// Which issuer mints there.
    pub issuer: IssuerUrl,
    /// The `sub` of tokens minted there, where the bearer is a principal.
    pub subject: Option<Subject>,
    /// The audiences it may ask for, the default first.
    pub audiences: Vec<Audience>,
    /// The roles it may name, the default first.
    pub roles: Vec<RoleArn>,
}

impl Issuer {
    /// Tells a caller who it is. Teams that are disabled, or that do not accept how the session was opened, are
    /// left out: nothing can be minted there.
    pub async fn whoami(&self, known: &Known) -> Result<Whoami, Unavailable> {
        let caller = known.caller.clone();
        let (principal, uids) = match &caller.identity {
            Identity::Administrator { .. } => (None, Vec::new()),
            Identity::Worker { teams, .. } | Identity::Platform { teams, .. } => (None, teams.clone()),
            Identity::Run { team, principal, .. } => (Some(principal.clone()), vec![team.clone()]),
            Identity::ServiceAccount { uid, team } => {
                (Some(Principal::ServiceAccount(uid.clone())), vec![team.clone()])
            }
            Identity::Person { user, .. } => {
                (Some(Principal::User(user.clone())), self.teams_of(user, Freshness::Fresh).await?.to_vec())
            }
        };
        let run = match &caller.identity {
            Identity::Run { run, .. } => self.run_of(run).await?,
            _ => None,
        };
        let mut teams = Vec::with_capacity(uids.len());
        for uid in uids {
            let Some(facts) = self.facts(&uid, Freshness::Fresh).await? else { continue };
            let policy = &facts.team.policy;
            let by = match (&run, &caller.identity) {
                (Some(run), _) => run.opener.by.as_ref(),
                (None, Identity::Person { by, .. }) => Some(by),
                (None, _) => None,
            };
            if check_sign_in(&facts, by).is_err() || check_team(&facts).is_err() {
                continue;
            }
            let name = facts.team.name.clone();
            let issuer = self.minting_url(&uid, policy.issuer);
            teams.push(match (&principal, &caller.identity) {
                (Some(principal), _) => {
                    let standing = TeamStanding::new(principal.clone(), facts);
                    let standing = match &run {
                        Some(run) => standing.in_run(Arc::clone(run)),
                        None => standing,
                    };
                    let (audiences, roles) = (standing.audiences(), standing.roles());
                    WhoamiTeam { uid, name, issuer, subject: Some(standing.subject), audiences, roles }
                }
                (None, Identity::Worker { audience, .. }) => WhoamiTeam {
                    uid,
                    name,
                    issuer,
                    subject: None,
                    audiences: vec![audience.clone()],
                    roles: Vec::new(),
                },
                // A platform mints for others; whom and what, each of them is told by itself.
                (None, _) => WhoamiTeam { uid, name, issuer, subject: None, audiences: Vec::new(), roles: Vec::new() },
            });
        }
        Ok(Whoami { caller, expires_at: known.expires_at, principal, teams })
    }
}

impl TeamStanding {
    /// The audiences that may be asked for: the team's list, then its workers'; in a run those of its own list.
    pub fn audiences(&self) -> Vec<Audience> {
        let listed = self.facts.team.policy.audiences.iter().map(|rule| &rule.audience);
        let allowed = listed.chain(&self.facts.worker_audiences);
        match &self.run {
            None => allowed.cloned().collect(),
            Some(run) => {
                let allowed: Vec<_> = allowed.collect();
                run.terms.audiences.iter().filter(|audience| allowed.contains(audience)).cloned().collect()
            }
        }
    }

    /// The roles that may be named: the one of the settings, then those the policy opens to this principal.
    pub fn roles(&self) -> Vec<RoleArn> {
        if self.settings().disabled_by.is_some() {
            return Vec::new();
        }
        if let Some(role) = self.run.as_ref().and_then(|run| run.terms.role.clone()) {
            return vec![role];
        }
        let own = self.settings().role_arn.as_ref().map(|role| role.value.clone());
        let principal = self.subject.principal();
        let open = self.facts.team.policy.roles.iter().filter(|rule| rule.principals.includes(principal));
        let named = open.map(|rule| rule.role.clone()).filter(|role| Some(role) != own.as_ref());
        own.clone().into_iter().chain(named).collect()
    }
}
