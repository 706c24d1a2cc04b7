//! Teams' private issuers: making one, showing it, destroying it.

use time::OffsetDateTime;

use super::{AdminError, Administration, Reading};
use crate::crypto::keypair::{KeyError, KeyPair};
use crate::crypto::new_key::{NewKeyError, new_signing_key};
use crate::domain::audit::Action;
use crate::domain::id::{IssuerId, TeamUid};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::key_schedule::KeySchedule;
use crate::domain::signing_key::{self, KeyKind, SigningKey};
use crate::domain::team::{MintingIssuer, Team};
use crate::store::{IssuerRow, StoreError};

/// The issuers of a team: whoever serves or registers both serves it through a change-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamIssuers {
    /// Which one mints.
    pub mints: MintingIssuer,
    /// The installation's own.
    pub shared: IssuerUrl,
    /// The team's private one, where it has a live one.
    pub private: Option<IssuerRow>,
    /// Since when its private one is gone for ever, if so.
    pub deleted_at: Option<OffsetDateTime>,
    /// The team's version.
    pub version: i64,
}

impl Reading {
    /// The issuers of a team.
    pub async fn team_issuers(&self, uid: &TeamUid) -> Result<TeamIssuers, AdminError> {
        let team = self.team(uid).await?;
        Ok(TeamIssuers {
            mints: team.policy.issuer,
            shared: self.issuer.url().clone(),
            private: self.store().team_issuer(uid).await?,
            deleted_at: self.store().team_issuer_deleted_at(uid).await?,
            version: team.version,
        })
    }

    /// The URL of the issuer that mints for `team`.
    pub fn minting_url(&self, team: &Team) -> IssuerUrl {
        self.issuer.minting_url(&team.uid, team.policy.issuer)
    }

    /// The issuer whose keys a request is about: the shared one, or the private one of `team`.
    pub async fn issuer_of(&self, team: Option<&TeamUid>) -> Result<IssuerRow, AdminError> {
        match team {
            None => Ok(self.store().issuer().await?.ok_or(StoreError::Corrupt("issuers"))?),
            Some(team) => self.store().team_issuer(team).await?.ok_or(AdminError::NotFound("private issuer")),
        }
    }
}

impl Administration {
    /// Makes a team's private issuer with its first two keys, in one transaction; nothing where it is there. It is
    /// published from now on, and mints once the team's policy says so.
    ///
    /// Its schedule and the kind of its keys are those of the shared issuer.
    pub async fn make_team_issuer(&self, uid: &TeamUid, expected: Option<i64>) -> Result<TeamIssuers, AdminError> {
        let seen = self.team_issuers(uid).await?;
        if seen.private.is_some() && expected.is_none_or(|expected| expected == seen.version) {
            return Ok(seen);
        }
        let shared = self.issuer_of(None).await?;
        let url = shared.url.of_team(uid).map_err(|_| AdminError::Conflict(TOO_LONG))?;
        let now = self.now();
        let id = IssuerId::new(self.issuer.entropy().uuid_v7(now));
        let row = IssuerRow { id, url, team: Some(uid.clone()), created_at: now, ..shared };
        let keys = self.first_pair(&row).await?;
        let mut event = self.event(Action::AdminCreate, Some(uid), format!("issuer:{id}"));
        event.issuer = id;
        let made = self.store().create_team_issuer(uid, expected, &row, &keys, &event).await;
        match made.map_err(AdminError::of("team")) {
            Ok(_) => self.issuer.settle_private_issuers().await,
            // Somebody else made it meanwhile.
            Err(AdminError::Conflict("issuer_exists")) if expected.is_none() => {}
            Err(error) => return Err(error),
        }
        self.changed(self.team_issuers(uid).await)
    }

    /// Destroys a team's private issuer and its keys. Its URL is 404 from then on and for ever, and no token of it is
    /// taken any more. Refused while it mints for the team.
    pub async fn delete_team_issuer(&self, uid: &TeamUid, expected: Option<i64>) -> Result<(), AdminError> {
        let row = self.issuer_of(Some(uid)).await?;
        let mut event = self.event(Action::AdminDelete, Some(uid), format!("issuer:{}", row.id));
        event.issuer = row.id;
        let deleted = self.store().delete_team_issuer(uid, expected, &event).await;
        self.changed(deleted.map_err(AdminError::of("private issuer")))?;
        self.issuer.settle_private_issuers().await;
        Ok(())
    }

    /// The key that signs at once and the standby, of the kind that the shared issuer signs with.
    async fn first_pair(&self, row: &IssuerRow) -> Result<[SigningKey; 2], AdminError> {
        let shared = self.issuer.keys().snapshot();
        let kind = signing_key::signing_key(&shared.keys, self.now()).map_or(KeyKind::default(), |key| key.kind);
        let pairs = [generate(kind).await?, generate(kind).await?];
        let now = self.now();
        let (signs, waits) = KeySchedule::first_pair(now);
        let sealed = |pair: &KeyPair, times| -> Result<_, NewKeyError> {
            let key = new_signing_key(pair, row.id, times, self.issuer.keys().kek(), self.issuer.entropy(), now)?;
            Ok(SigningKey { first: true, ..key })
        };
        Ok([sealed(&pairs[0], signs)?, sealed(&pairs[1], waits)?])
    }
}

const TOO_LONG: &str = "the private issuer's URL, <issuer>/t/<team>, would pass the 255 characters that AWS IAM takes";

/// RSA takes its time to make: not on a thread that serves.
async fn generate(kind: KeyKind) -> Result<KeyPair, NewKeyError> {
    let made = tokio::task::spawn_blocking(move || KeyPair::generate(kind)).await;
    Ok(made.unwrap_or(Err(KeyError::Generate))?)
}
