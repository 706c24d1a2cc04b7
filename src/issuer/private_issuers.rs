//! Keeping up with teams' private issuers: which there are, what their keys are, what they publish.

use std::sync::{Arc, PoisonError};

use futures_util::StreamExt as _;
use serde_json::Map;
use time::{Duration, OffsetDateTime};
use tokio::sync::OwnedMutexGuard;

use super::Issuer;
use super::publications::TeamPublications;
use super::refusals::Unavailable;
use super::rings::{READS_AT_ONCE, TeamRing};
use crate::domain::id::TeamUid;

/// How often a request for documents that are not there makes us look for new issuers, at most. Another replica may
/// just have made one; but whoever asks for thousands of teams must not make us ask the database as often.
const LOOK_EVERY: Duration = Duration::seconds(1);

/// Which rings are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    All,
    New,
}

impl Issuer {
    /// What teams' private issuers publish.
    pub fn teams(&self) -> &Arc<TeamPublications> {
        &self.0.teams
    }

    /// Reads which private issuers there are and their keys, and publishes. Without the database it publishes from
    /// the rows at hand, whose instants go on counting.
    pub(super) async fn refresh_private_issuers(&self) {
        if let Err(error) = self.refresh(Read::All).await {
            tracing::warn!(cause = %error, "the private issuers were not read; publishing goes on");
            self.publish_for_teams(self.rings().teams(), None, None).await;
        }
    }

    /// Makes new private issuers known here and lets those that are gone go, at once.
    pub(super) async fn notice_private_issuers(&self) {
        if let Err(error) = self.refresh(Read::New).await {
            tracing::warn!(cause = %error, "the private issuers were not read");
        }
    }

    /// The same for whoever made or deleted one: it is saved too when this returns, or the disk hangs.
    pub(super) async fn settle_private_issuers(&self) {
        self.notice_private_issuers().await;
        self.saved().await;
    }

    /// [`Issuer::notice_private_issuers`] for whoever asks for an issuer that is not known here, at most every [`LOOK_EVERY`].
    pub async fn look_for_private_issuers(&self) {
        let now = self.0.clock.elapsed();
        {
            let mut looked = self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|before| now - before < LOOK_EVERY) {
                return;
            }
            *looked = Some(now);
        }
        self.notice_private_issuers().await;
    }

    async fn refresh(&self, which: Read) -> Result<(), Unavailable> {
        // One at a time, or a list read before an issuer was made could unpublish it; to the end of publishing, also where
        // nobody waits for that any more.
        let refreshing = Arc::clone(&self.0.refreshing).lock_owned().await;
        let rows = self.store().team_issuers().await?;
        let before: Vec<TeamUid> = self.rings().teams().into_iter().map(|kept| kept.team).collect();
        let rings = self.rings().settle(&rows).await;
        // A mint may have opened a ring before this process published anything of it.
        let is_known = |team: &TeamUid| before.contains(team) && self.teams().version(team).is_some();
        let fresh: Vec<TeamRing> = match which {
            Read::All => rings,
            Read::New => rings.into_iter().filter(|kept| !is_known(&kept.team)).collect(),
        };
        // In doubt of the clock nothing but a change is worth reading: none of them signs.
        let doubt = self.keys().clock_doubt().is_some();
        let is_current = |kept: &TeamRing| {
            let row = rows.iter().find(|row| row.id == kept.ring.id());
            row.is_some_and(|row| kept.ring.is_current(row) || doubt && kept.ring.is_of(row))
        };
        let changed = fresh.iter().filter(|kept| before.contains(&kept.team) && !is_current(kept));
        let reload = async |kept: &TeamRing| {
            if let Err(error) = kept.ring.reload().await {
                tracing::warn!(issuer = %kept.ring.url(), cause = %error, "its signing keys were not read");
            }
        };
        futures_util::stream::iter(changed).for_each_concurrent(READS_AT_ONCE, reload).await;
        let live = rows.into_iter().filter_map(|row| row.team).collect();
        self.publish_for_teams(fresh, Some((live, refreshing)), None).await;
        Ok(())
    }

    /// Publishes for `rings` what their keys make now, or at `at_least` where that is later, and, where it is known which
    /// issuers are `live`, for none but those.
    pub(super) async fn publish_for_teams(
        &self,
        rings: Vec<TeamRing>,
        live: Option<(Vec<TeamUid>, OwnedMutexGuard<()>)>,
        at_least: Option<OffsetDateTime>,
    ) {
        let teams = Arc::clone(self.teams());
        let doubt = self.keys().clock_doubt().is_some();
        let publishing = tokio::task::spawn_blocking(move || {
            let mut changed = live.as_ref().is_some_and(|(live, _)| teams.keep_only(live));
            for TeamRing { team, ring } in rings {
                if teams.publish(&team, |before| ring.documents(Map::new(), before, doubt, at_least)) {
                    tracing::info!(%team, "the public documents of a private issuer changed");
                    changed = true;
                }
            }
            changed
        });
        match publishing.await {
            Ok(true) => self.0.published.notify_one(),
            Ok(false) => {}
            Err(error) => tracing::error!(cause = %error, "publishing for teams failed"),
        }
    }
}
