//! Provider settings, layer by layer.

use super::Store;
use super::db::Tx;
use super::error::{ChangeError, StoreError, check_version};
use super::settings_json;
use super::team_row;
use crate::domain::audit::Event;
use crate::domain::id::{ServiceAccountUid, TeamUid};
use crate::domain::settings::ProviderLayer;

impl Store {
    /// What one layer says and its version; `None` where it says nothing. No account means the team's own layer.
    pub async fn provider_layer(
        &self,
        team: &TeamUid,
        account: Option<&ServiceAccountUid>,
    ) -> Result<Option<(ProviderLayer, i64)>, StoreError> {
        let sql = "SELECT layer, version FROM provider_settings WHERE team_uid = $1 AND service_account_uid = $2";
        let row = self.db.fetch_optional(sql, [team.into(), column(account).into()]).await?;
        row.map(|row| Ok((settings_json::read(&row.text("layer")?)?, row.int("version")?))).transpose()
    }

    /// Writes a layer if its version is `expected` (0 where there is none) and tells the new one. The team counts
    /// a change, so that no token decided under the old settings is still released.
    pub async fn put_provider_layer(
        &self,
        team: &TeamUid,
        account: Option<&ServiceAccountUid>,
        expected: Option<i64>,
        layer: &ProviderLayer,
        event: &Event,
    ) -> Result<i64, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let version = current(&mut tx, team, account, expected).await? + 1;
        tx.execute(
            "INSERT INTO provider_settings (team_uid, service_account_uid, layer, version, updated_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (team_uid, service_account_uid)
             DO UPDATE SET layer = excluded.layer, version = excluded.version, updated_at = excluded.updated_at",
            [team.into(), column(account).into(), settings_json::write(layer)?.into(), version.into(), event.at.into()],
        )
        .await?;
        team_row::bump(&mut tx, team, event.at).await?;
        tx.commit_with(event).await?;
        Ok(version)
    }
}

/// The version of a layer of a living team, and of a living account of that team.
async fn current(
    tx: &mut Tx,
    team: &TeamUid,
    account: Option<&ServiceAccountUid>,
    expected: Option<i64>,
) -> Result<i64, ChangeError> {
    let alive = "SELECT 1 AS one FROM teams WHERE uid = $1 AND deleted_at IS NULL AND ($2 = '' OR EXISTS
        (SELECT 1 FROM service_accounts WHERE uid = $2 AND team_uid = $1 AND deleted_at IS NULL))";
    if tx.fetch_optional(alive, [team.into(), column(account).into()]).await?.is_none() {
        return Err(ChangeError::NotFound);
    }
    let sql = "SELECT version FROM provider_settings WHERE team_uid = $1 AND service_account_uid = $2";
    let row = tx.fetch_optional(sql, [team.into(), column(account).into()]).await?;
    let current = row.map_or(Ok(0), |row| row.int("version"))?;
    check_version(expected, current)?;
    Ok(current)
}

/// The team's own layer has no account.
fn column(account: Option<&ServiceAccountUid>) -> &str {
    account.map_or("", ServiceAccountUid::as_str)
}
