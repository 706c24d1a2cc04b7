//! Every role that a team's settings or list names, over all teams: where sessions of ours may be open.

use std::collections::{BTreeMap, BTreeSet};

use super::error::StoreError;
use super::{Store, policy_json, settings_json};
use crate::domain::id::TeamUid;
use crate::domain::region::Region;
use crate::domain::role_arn::RoleArn;

/// A role and who names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleInUse {
    /// The role.
    pub role: RoleArn,
    /// The teams that name it, deleted ones too: a role that was theirs may trust their subjects still.
    pub teams: BTreeSet<TeamUid>,
    /// The region of the settings that name it, where they say one.
    pub region: Option<Region>,
}

impl Store {
    /// The roles of every team, or of one: those of provider settings at every layer, those on the list of what
    /// principals may ask for, and those that runs were opened with.
    pub async fn roles_in_use(&self, team: Option<&TeamUid>) -> Result<Vec<RoleInUse>, StoreError> {
        let only = team.map_or("", TeamUid::as_str);
        let mut found = BTreeMap::new();
        let sql = "SELECT uid, policy FROM teams WHERE $1 = '' OR uid = $1";
        for row in self.db.fetch_all(sql, [only.into()]).await? {
            for rule in policy_json::read(&row.text("policy")?)?.roles {
                note(&mut found, rule.role, row.uid("uid")?, None);
            }
        }
        let sql = "SELECT team_uid, layer FROM provider_settings WHERE $1 = '' OR team_uid = $1";
        for row in self.db.fetch_all(sql, [only.into()]).await? {
            let layer = settings_json::read(&row.text("layer")?)?;
            if let Some(role) = layer.role_arn {
                note(&mut found, role, row.uid("team_uid")?, layer.region);
            }
        }
        let sql = "SELECT DISTINCT team_uid, role_arn, layer FROM runs
            WHERE (role_arn IS NOT NULL OR layer IS NOT NULL) AND ($1 = '' OR team_uid = $1)";
        for row in self.db.fetch_all(sql, [only.into()]).await? {
            let named = row.optional_parsed("role_arn", |text| RoleArn::parse(text).ok())?;
            let layer = row.optional_text("layer")?.map(|text| settings_json::read(&text)).transpose()?;
            let (role, region) = layer.map_or((None, None), |layer| (layer.role_arn, layer.region));
            for role in named.into_iter().chain(role) {
                note(&mut found, role, row.uid("team_uid")?, region.clone());
            }
        }
        Ok(found.into_values().collect())
    }
}

fn note(found: &mut BTreeMap<RoleArn, RoleInUse>, role: RoleArn, team: TeamUid, region: Option<Region>) {
    let empty = || RoleInUse { role: role.clone(), teams: BTreeSet::new(), region: None };
    let entry = found.entry(role.clone()).or_insert_with(empty);
    entry.teams.insert(team);
    entry.region = entry.region.take().or(region);
}
