//! What a mint decides on, in one round trip and one snapshot.

use time::OffsetDateTime;

use super::Store;
use super::error::StoreError;
use super::{settings_json, team_row};
use crate::domain::audience::Audience;
use crate::domain::id::{ServiceAccountUid, TeamUid};
use crate::domain::settings::ProviderLayer;
use crate::domain::team::Team;

/// A team with everything that decides what its principals get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamFacts {
    /// The team; its version goes into the proof of each release. Perhaps disabled, never a tombstone.
    pub team: Team,
    /// What its layers of provider settings say; `None` is the team's own.
    pub layers: Vec<(Option<ServiceAccountUid>, ProviderLayer)>,
    /// The audiences of the live worker keys that list it.
    pub worker_audiences: Vec<Audience>,
}

impl Store {
    /// Everything a decision in this team needs.
    pub async fn team_facts(&self, uid: &TeamUid, now: OffsetDateTime) -> Result<Option<TeamFacts>, StoreError> {
        let rows = self
            .db
            .fetch_all(
                "SELECT t.uid, t.name, t.policy, t.external_id, t.created_at, t.disabled_at,
                    t.deleted_at, t.version, NULL AS service_account_uid, NULL AS layer, NULL AS audience
                    FROM teams t WHERE t.uid = $1 AND t.deleted_at IS NULL
                 UNION ALL
                 SELECT t.uid, t.name, t.policy, t.external_id, t.created_at, t.disabled_at,
                    t.deleted_at, t.version, p.service_account_uid, p.layer, NULL
                    FROM provider_settings p JOIN teams t ON t.uid = p.team_uid
                    WHERE p.team_uid = $1 AND t.deleted_at IS NULL
                 UNION ALL
                 SELECT t.uid, t.name, t.policy, t.external_id, t.created_at, t.disabled_at,
                    t.deleted_at, t.version, NULL, NULL, w.audience
                    FROM worker_key_teams l
                    JOIN teams t ON t.uid = l.team_uid
                    JOIN worker_keys w ON w.credential_id = l.credential_id
                    JOIN credentials c ON c.id = w.credential_id
                    WHERE l.team_uid = $1 AND t.deleted_at IS NULL AND c.revoked_at IS NULL
                        AND (c.expires_at IS NULL OR c.expires_at > $2)",
                [uid.into(), now.into()],
            )
            .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut facts = TeamFacts { team: team_row::team(first)?, layers: Vec::new(), worker_audiences: Vec::new() };
        for row in &rows {
            if let Some(layer) = row.optional_text("layer")? {
                let account = row.text("service_account_uid")?;
                let account = match account.as_str() {
                    "" => None,
                    uid => Some(ServiceAccountUid::parse(uid).map_err(|_| StoreError::Corrupt("service_account_uid"))?),
                };
                facts.layers.push((account, settings_json::read(&layer)?));
            }
            let audience = row.optional_parsed("audience", |text| Audience::parse(text).ok())?;
            facts.worker_audiences.extend(audience);
        }
        facts.worker_audiences.sort();
        facts.worker_audiences.dedup();
        Ok(Some(facts))
    }
}
