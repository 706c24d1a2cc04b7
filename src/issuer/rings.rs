//! The key rings of an installation: the shared issuer's, always there, and those of teams' private issuers.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::{StreamExt as _, stream};

use super::Issuer;
use super::keys::KeyRing;
use super::refusals::{ExchangeError, Unavailable};
use crate::crypto::verify::{Claimed, TokenRefused, VerifiedToken};
use crate::domain::audience::Audience;
use crate::domain::id::TeamUid;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::secret::Secret;
use crate::domain::team::MintingIssuer;
use crate::store::{IssuerRow, Store};

/// How many issuers' keys are read at once.
pub(super) const READS_AT_ONCE: usize = 8;

/// A private issuer and its keys.
#[derive(Debug, Clone)]
pub(super) struct TeamRing {
    /// Whose it is.
    pub(super) team: TeamUid,
    /// Its keys.
    pub(super) ring: Arc<KeyRing>,
}

/// Keys by issuer. Each ring signs and verifies under its own URL alone, so a kid means nothing anywhere else.
pub(super) struct Rings {
    shared: Arc<KeyRing>,
    // As many as there are private issuers, which the store bounds. Held for the length of a look or an assignment.
    teams: RwLock<HashMap<TeamUid, Arc<KeyRing>>>,
    // One at a time opens rings, so that a first use under load reads and opens the keys once.
    opening: tokio::sync::Mutex<()>,
}

impl Rings {
    pub(super) fn new(shared: Arc<KeyRing>) -> Self {
        Self { shared, teams: RwLock::default(), opening: tokio::sync::Mutex::default() }
    }

    pub(super) const fn shared(&self) -> &Arc<KeyRing> {
        &self.shared
    }

    fn at_hand(&self, team: &TeamUid) -> Option<Arc<KeyRing>> {
        self.teams.read().unwrap_or_else(PoisonError::into_inner).get(team).cloned()
    }

    /// The ring of `team`'s private issuer, opened where it is first needed; `None` where there is none.
    pub(super) async fn of_team(&self, team: &TeamUid, store: &Store) -> Result<Option<Arc<KeyRing>>, Unavailable> {
        if let Some(ring) = self.at_hand(team) {
            return Ok(Some(ring));
        }
        let _opening = self.opening.lock().await;
        if let Some(ring) = self.at_hand(team) {
            return Ok(Some(ring));
        }
        let Some(row) = store.team_issuer(team).await? else { return Ok(None) };
        let ring = Arc::new(self.shared.sibling(&row).await?);
        self.keep(team, &ring);
        Ok(Some(ring))
    }

    fn keep(&self, team: &TeamUid, ring: &Arc<KeyRing>) {
        self.teams.write().unwrap_or_else(PoisonError::into_inner).insert(team.clone(), Arc::clone(ring));
    }

    /// Lets a ring go, its opened key with it.
    pub(super) fn drop_team(&self, team: &TeamUid) {
        self.teams.write().unwrap_or_else(PoisonError::into_inner).remove(team);
    }

    /// The rings of exactly the issuers in `rows`: new ones opened, those of issuers that are gone let go. An issuer
    /// whose keys do not open is logged and left out; it must not keep the others from theirs.
    pub(super) async fn settle(&self, rows: &[IssuerRow]) -> Vec<TeamRing> {
        let _opening = self.opening.lock().await;
        let live = |team: &TeamUid, ring: &KeyRing| {
            rows.iter().any(|row| row.team.as_ref() == Some(team) && row.id == ring.id())
        };
        self.teams.write().unwrap_or_else(PoisonError::into_inner).retain(|team, ring| live(team, ring));
        let ring_of = async |row: &IssuerRow| {
            let team = row.team.clone()?;
            if let Some(ring) = self.at_hand(&team) {
                return Some(TeamRing { team, ring });
            }
            match self.shared.sibling(row).await {
                Ok(opened) => {
                    let ring = Arc::new(opened);
                    self.keep(&team, &ring);
                    Some(TeamRing { team, ring })
                }
                Err(error) => {
                    tracing::error!(issuer = %row.url, cause = %error, "the keys of a private issuer do not open");
                    None
                }
            }
        };
        let rings: Vec<_> = stream::iter(rows).map(ring_of).buffered(READS_AT_ONCE).collect().await;
        rings.into_iter().flatten().collect()
    }

    /// Every private ring at hand.
    pub(super) fn teams(&self) -> Vec<TeamRing> {
        let teams = self.teams.read().unwrap_or_else(PoisonError::into_inner);
        teams.iter().map(|(team, ring)| TeamRing { team: team.clone(), ring: Arc::clone(ring) }).collect()
    }
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} and of {} private issuers", self.shared, self.teams().len())
    }
}

impl Issuer {
    /// The keys of the issuer that mints for `team`; `None` where its private issuer has just gone.
    pub(super) async fn ring_for(
        &self,
        team: &TeamUid,
        which: MintingIssuer,
    ) -> Result<Option<Arc<KeyRing>>, Unavailable> {
        match which {
            MintingIssuer::Shared => Ok(Some(Arc::clone(self.keys()))),
            MintingIssuer::Private => {
                // The shared ring is read every few seconds, so it notices first that our clock is off.
                if self.keys().believed().is_err() {
                    self.keys().reload().await?;
                    self.keys().believed()?;
                }
                self.private_ring(team).await
            }
        }
    }

    /// The URL of the issuer that mints for `team`.
    pub(super) fn minting_url(&self, team: &TeamUid, which: MintingIssuer) -> IssuerUrl {
        match which {
            MintingIssuer::Shared => self.url().clone(),
            // A private issuer cannot have been made under a URL that is too long.
            MintingIssuer::Private => self.url().of_team(team).unwrap_or_else(|_| self.url().clone()),
        }
    }

    /// The keys of `team`'s private issuer; `None` where it has none.
    pub(super) async fn private_ring(&self, team: &TeamUid) -> Result<Option<Arc<KeyRing>>, Unavailable> {
        self.rings().of_team(team, self.store()).await
    }

    /// A private ring under which nothing was released is read again, or let go where its issuer is no more.
    pub(super) async fn look_again_at(&self, ring: &KeyRing, team: &TeamUid) {
        if ring.id() == self.id() || ring.reload().await.is_ok() {
            return;
        }
        // A database that does not answer now takes no keys from anybody.
        let now = self.store().team_issuer(team).await;
        if now.is_ok_and(|row| row.is_none_or(|row| row.id != ring.id())) {
            self.rings().drop_team(team);
        }
    }

    /// Verifies a token of the shared issuer, or of the private issuer of the team that it speaks for, under the keys
    /// of the issuer that it names. `served` are the teams for which a private issuer is looked up at all.
    pub(super) async fn verify_own(
        &self,
        token: &Secret,
        audience: &Audience,
        served: &[TeamUid],
    ) -> Result<(VerifiedToken, Arc<KeyRing>), NotOurs> {
        let private = Claimed::of(token).ok().filter(|claimed| {
            served.contains(&claimed.team) && self.url().team_of(&claimed.issuer).as_ref() == Some(&claimed.team)
        });
        let ring = match private {
            Some(claimed) => self.rings().of_team(&claimed.team, self.store()).await?,
            None => None,
        };
        // Whatever is of no private issuer is the shared one's to refuse.
        let ring = ring.unwrap_or_else(|| Arc::clone(self.keys()));
        let verified = ring.snapshot().verifier().verify(token, audience, self.now())?;
        Ok((verified, ring))
    }
}

impl From<NotOurs> for ExchangeError {
    fn from(error: NotOurs) -> Self {
        match error {
            NotOurs::Refused(refused) => refused.into(),
            NotOurs::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

/// Why a token is not taken for one of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOurs {
    /// It does not verify.
    #[error(transparent)]
    Refused(#[from] TokenRefused),
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
