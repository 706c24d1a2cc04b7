//! What a disable cannot end: sessions that AWS has already opened, until when, and the denies that end them.

use std::collections::{BTreeMap, BTreeSet};

use time::{Duration, OffsetDateTime};

use super::{AdminError, Reading};
use crate::domain::audience::Audience;
use crate::domain::id::{IssuerId, TeamUid};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::lifetime::Lifetime;
use crate::domain::principal::Principal;
use crate::domain::role_arn::RoleArn;
use crate::domain::session_name::SourceIdentity;
use crate::domain::settings::SessionDuration;
use crate::domain::subject::Subject;
use crate::iam::deny;

/// How long after its `exp` STS still takes a token (docs/sandbox.md tells how that was seen).
const TOLERANCE: Duration = Duration::minutes(5);

/// One role into which tokens of the team may have opened sessions.
#[derive(Debug, Clone)]
pub struct RemainingSessions {
    /// The role; `None` where tokens were bound to none, so that any role whose trust policy admits the subject may be it.
    pub role: Option<RoleArn>,
    /// Whose.
    pub principals: Vec<Principal>,
    /// Until when a token that was minted already still opens a session.
    pub tokens_until: OffsetDateTime,
    /// Until when a session lasts at the most: the longest that AWS takes, since what the caller asked STS for is not
    /// known here.
    pub sessions_until: OffsetDateTime,
    /// The policies that end them, with the calls that put them in and take them out.
    pub denies: Vec<ReadyDeny>,
}

/// A deny that is ready to be put into a role.
#[derive(Debug, Clone)]
pub struct ReadyDeny {
    /// What it is called in the role.
    pub name: String,
    /// What it denies, in words.
    pub what: &'static str,
    /// The policy document, as JSON.
    pub document: String,
    /// The AWS CLI call that puts it in, where the role is known.
    pub put: Option<String>,
    /// The AWS CLI call that takes it out again, where the role is known.
    pub delete: Option<String>,
}

/// What is known of one role.
struct Found {
    principals: BTreeSet<String>,
    issuers: BTreeSet<String>,
    ends: OffsetDateTime,
}

impl Reading {
    /// Which sessions at AWS may remain of a principal, or of everyone in the team, whatever is switched off here now: also
    /// where the team is gone, as long as one of its tokens may have opened one.
    pub async fn remaining_sessions(
        &self,
        team: &TeamUid,
        principal: Option<&Principal>,
    ) -> Result<Vec<RemainingSessions>, AdminError> {
        let now = self.now();
        let longest = Duration::seconds(i64::from(SessionDuration::MAX.seconds()));
        let oldest = now - longest - TOLERANCE - Duration::seconds(i64::from(Lifetime::MAX.seconds()));
        let mut roles: BTreeMap<Option<String>, Found> = BTreeMap::new();
        for named in self.store().roles_named(team, principal, oldest).await? {
            if !Audience::parse(&named.audience).is_ok_and(|audience| audience.is_sts()) {
                continue;
            }
            let Some(issuer) = self.issuer_url(team, named.issuer).await? else { continue };
            let role = named.role.as_ref().map(ToString::to_string);
            let found = roles.entry(role).or_insert_with(|| Found {
                principals: BTreeSet::new(),
                issuers: BTreeSet::new(),
                ends: named.ends,
            });
            found.principals.insert(named.principal.to_string());
            found.issuers.insert(issuer.to_string());
            found.ends = found.ends.max(named.ends);
        }
        if roles.is_empty() {
            self.team(team).await?;
        }
        Ok(roles.into_iter().map(|(role, found)| told(team, role.as_deref(), &found, longest)).collect())
    }

    /// The URL that tokens of an issuer named, where it is the shared one or the team's own.
    async fn issuer_url(&self, team: &TeamUid, id: IssuerId) -> Result<Option<IssuerUrl>, AdminError> {
        if id == self.issuer.id() {
            return Ok(Some(self.issuer.url().clone()));
        }
        Ok(self.store().team_issuer(team).await?.filter(|row| row.id == id).map(|row| row.url))
    }
}

fn told(team: &TeamUid, role: Option<&str>, found: &Found, longest: Duration) -> RemainingSessions {
    use crate::domain::issuer_url::Development;
    let role = role.and_then(|role| RoleArn::parse(role).ok());
    let principals: Vec<_> = found.principals.iter().filter_map(|text| Principal::parse(text).ok()).collect();
    let subjects: Vec<_> = principals.iter().map(|principal| Subject::new(team.clone(), principal.clone())).collect();
    let identities: Vec<_> = principals.iter().map(SourceIdentity::new).collect();
    let mut denies = Vec::new();
    let mut ready = |name: String, what, document: &crate::iam::document::Document| {
        denies.push(ReadyDeny {
            what,
            document: document.to_json(),
            put: role.as_ref().map(|role| deny::put_command(role, &name, document)),
            delete: role.as_ref().map(|role| deny::delete_command(role, &name)),
            name,
        });
    };
    // Our own URLs; what development allows was allowed when they were configured.
    let issuers = found.issuers.iter().filter_map(|url| IssuerUrl::parse(url, Development::On).ok());
    for (at, document) in issuers.flat_map(|issuer| deny::subjects(&issuer, &subjects)).enumerate() {
        ready(format!("BrevetDenySubjects{}", at + 1), "sessions that tokens of these subjects opened", &document);
    }
    for (at, document) in deny::source_identities(&identities).iter().enumerate() {
        let what = "sessions with these source identities, chained ones too; only where tokens carry one";
        ready(format!("BrevetDenySourceIdentities{}", at + 1), what, document);
    }
    let tokens_until = found.ends + TOLERANCE;
    RemainingSessions { role, principals, tokens_until, sessions_until: tokens_until + longest, denies }
}
