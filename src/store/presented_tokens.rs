//! Tokens of others that were presented here, so that none counts more often than it may.

use time::OffsetDateTime;

use super::Store;
use super::db::Tx;
use super::error::StoreError;
use crate::domain::credential::SecretHash;

/// What became of a presentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// It counts; how often the token has counted now in the scope where it has most, this time among them.
    Accepted {
        /// From 1 to `uses_max`.
        uses: u32,
    },
    /// The token has counted as often as it may, or its end is already past.
    Spent,
}

impl Store {
    /// Notes that the token `token_id` of `issuer` is presented, and tells whether it may still count in each of `scopes`
    /// (words for what it is presented as, always in one order). Of any number of presentations in a scope, on any
    /// replica, at most `uses_max` are accepted; one that is spent in one scope counts in none. The note is committed
    /// before this returns: whoever fails afterwards has used it up.
    ///
    /// The caller has verified the token, and gives its end with all leeway as `remember_until`: the note is kept
    /// at least as long. What is not remembered beyond `now` is not accepted.
    pub async fn present_token(
        &self,
        scopes: &[&str],
        issuer: &str,
        token_id: &str,
        uses_max: u32,
        remember_until: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<Presented, StoreError> {
        if uses_max == 0 || remember_until <= now {
            return Ok(Presented::Spent);
        }
        let mut tx = self.db.begin().await?;
        let mut uses = 0;
        for scope in scopes {
            let presented = present(&mut tx, scope, issuer, token_id, uses_max, remember_until).await?;
            let Some(counted) = presented else { return Ok(Presented::Spent) };
            uses = counted.max(uses);
        }
        tx.commit().await?;
        Ok(Presented::Accepted { uses })
    }

    /// Forgets the tokens whose end is before `before`.
    pub async fn forget_presented_before(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let mut tx = self.db.begin().await?;
        let forgotten = tx.execute("DELETE FROM presented_tokens WHERE remember_until < $1", [before.into()]).await?;
        tx.commit().await?;
        Ok(forgotten)
    }
}

/// Notes a presentation, and tells how often the token has counted; `None` where that is as often as it may. The note
/// stands once `tx` is committed.
pub(super) async fn present(
    tx: &mut Tx,
    scope: &str,
    issuer: &str,
    token_id: &str,
    uses_max: u32,
    remember_until: OffsetDateTime,
) -> Result<Option<u32>, StoreError> {
    // One statement: a second presentation waits for the row and then sees the count of the first. An id of whatever
    // length and characters is kept as its hash; the one that the foreign issuer wrote is never shown.
    let sql = "INSERT INTO presented_tokens (scope, issuer, token_id, uses, remember_until)
        VALUES ($1, $2, $3, 1, $4)
        ON CONFLICT (scope, issuer, token_id) DO UPDATE SET uses = presented_tokens.uses + 1,
            remember_until = CASE WHEN excluded.remember_until > presented_tokens.remember_until
                THEN excluded.remember_until ELSE presented_tokens.remember_until END
        WHERE presented_tokens.uses < $5
        RETURNING uses";
    let id = SecretHash::of(token_id).to_hex();
    let args = [scope.into(), issuer.into(), id.into(), remember_until.into(), uses_max.into()];
    tx.fetch_optional(sql, args).await?.map(|row| row.number("uses")).transpose()
}
