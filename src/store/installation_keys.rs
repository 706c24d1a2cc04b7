//! Keys of the installation that sign nothing, sealed.

use super::Store;
use super::error::{ChangeError, StoreError};
use crate::domain::audit::Event;
use crate::domain::sealed::Sealed;

/// The key under which short user codes are kept.
pub const USER_CODE_KEY: &str = "user_codes";

impl Store {
    /// A key of the installation, if it was made.
    pub async fn installation_key(&self, name: &str) -> Result<Option<Sealed>, StoreError> {
        let sql = "SELECT sealed_key FROM installation_keys WHERE name = $1";
        let row = self.db.fetch_optional(sql, [name.into()]).await?;
        row.map(|row| row.parsed("sealed_key", |text| Sealed::parse(text).ok())).transpose()
    }

    /// Saves a key of the installation where there is none of that name yet; whether it did. Of two replicas that make
    /// one at once, one's stands.
    pub async fn insert_installation_key(
        &self,
        name: &str,
        sealed: &Sealed,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let mut tx = self.db.change(event).await?;
        let sql = "INSERT INTO installation_keys (name, sealed_key, created_at) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING";
        let args = [name.into(), sealed.as_str().into(), event.at.into()];
        if tx.execute(sql, args).await? == 0 {
            return Ok(false);
        }
        tx.commit_with(event).await?;
        Ok(true)
    }

    /// Forgets a key of the installation that nobody can open any more, if it still is that one: the next that is
    /// needed is made anew.
    pub async fn forget_installation_key(&self, name: &str, lost: &Sealed, event: &Event) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        let sql = "DELETE FROM installation_keys WHERE name = $1 AND sealed_key = $2";
        if tx.execute(sql, [name.into(), lost.as_str().into()]).await? == 0 {
            return Err(ChangeError::NotFound);
        }
        Ok(tx.commit_with(event).await?)
    }
}
