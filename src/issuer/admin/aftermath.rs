//! What an operation on the keys would cost before it is done, and what AWS goes on accepting after it.

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};

use super::{AdminError, KeyAdministration, KeyRefused};
use crate::domain::id::TeamUid;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::role_arn::RoleArn;
use crate::domain::rotation::{self, Outage};
use crate::domain::settings::SessionDuration;
use crate::domain::signing_key::{KeyKind, Kid};
use crate::iam::deny::{self, Trail};
use crate::iam::document::Document;
use crate::store::RoleInUse;

/// The name under which the deny stands in a role.
const DENY_NAME: &str = "brevet-deny-sessions";

/// What goes on being accepted of distrusted keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aftermath {
    /// Until when verifiers with a cached JWKS take the keys' tokens.
    pub tokens_until: OffsetDateTime,
    /// Until when sessions may last that such tokens opened.
    pub sessions_until: OffsetDateTime,
    /// Every role that may have such sessions.
    pub roles: Vec<RoleAftermath>,
}

/// How to end the sessions of one role, and how to find them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleAftermath {
    /// The role.
    pub role: RoleArn,
    /// The teams that name it.
    pub teams: BTreeSet<TeamUid>,
    /// Ends every session opened before [`Aftermath::tokens_until`]. Until then whoever holds the stolen key can open
    /// new ones, so until then it closes the role to all.
    pub deny: Document,
    /// The AWS CLI call that puts it into the role.
    pub deny_command: String,
    /// The AWS CLI call that takes it out again.
    pub undo_command: String,
    /// The AWS CLI call that lists the sessions.
    pub cloudtrail_command: String,
    /// The Athena query that shows them and what they did.
    pub athena_query: String,
}

impl KeyAdministration {
    /// Whether [`KeyAdministration::prepare`] would be refused now.
    pub async fn would_prepare(&self, kind: KeyKind) -> Result<(), KeyRefused> {
        let snapshot = self.ring.reload().await?;
        rotation::prepare(&snapshot.keys, &snapshot.schedule, kind, self.ring.now())?;
        Ok(())
    }

    /// Whether [`KeyAdministration::rotate`] would be refused now.
    pub async fn would_rotate(&self) -> Result<(), KeyRefused> {
        let snapshot = self.ring.reload().await?;
        rotation::rotate_now(&snapshot.keys, &snapshot.schedule, self.ring.now())?;
        Ok(())
    }

    /// Which verifiers would fail if `kid` were distrusted now.
    pub async fn would_distrust(&self, kid: &Kid) -> Result<Option<Outage>, KeyRefused> {
        let snapshot = self.ring.reload().await?;
        Ok(rotation::distrust(&snapshot.keys, &snapshot.schedule, kid, self.ring.now())?.outage)
    }

    /// Which verifiers would fail if every key were replaced now.
    pub async fn would_replace_all(&self) -> Result<Outage, KeyRefused> {
        let snapshot = self.ring.reload().await?;
        let kind = KeyKind::default();
        Ok(rotation::replace_all(&snapshot.keys, &snapshot.schedule, kind, self.ring.now()).outage)
    }

    /// What AWS goes on accepting of the keys `distrusted`, whose tokens verifiers take until `tokens_until`: over the
    /// roles of every team, or of the one whose own issuer it is.
    pub async fn aftermath(&self, distrusted: &[Kid], tokens_until: OffsetDateTime) -> Result<Aftermath, KeyRefused> {
        let snapshot = self.ring.snapshot();
        let stolen = snapshot.keys.iter().filter(|key| distrusted.contains(&key.kid));
        let since = stolen.map(|key| key.times.publish_from).min().unwrap_or(tokens_until);
        let roles = self.admin.store().roles_in_use(self.ring.team()).await.map_err(AdminError::from)?;
        let roles = roles.into_iter().map(|role| of_role(self.ring.url(), role, since, tokens_until)).collect();
        // How long a role's sessions last at most, only its account knows.
        let longest = Duration::seconds(i64::from(SessionDuration::MAX.seconds()));
        Ok(Aftermath { tokens_until, sessions_until: tokens_until + longest, roles })
    }
}

fn of_role(url: &IssuerUrl, used: RoleInUse, since: OffsetDateTime, tokens_until: OffsetDateTime) -> RoleAftermath {
    let RoleInUse { role, teams, region } = used;
    let deny = deny::sessions_before(tokens_until);
    let trail = Trail { issuer: url, role: &role, subject: None, since };
    RoleAftermath {
        deny_command: deny::put_command(&role, DENY_NAME, &deny),
        undo_command: deny::delete_command(&role, DENY_NAME),
        cloudtrail_command: trail.lookup_command(region.as_ref()),
        athena_query: trail.athena_query(),
        deny,
        teams,
        role,
    }
}
