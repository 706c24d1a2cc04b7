//! Sessions that end because their provider says so (OpenID Connect Back-Channel Logout 1.0).

use time::OffsetDateTime;

use super::Store;
use super::db::Tx;
use super::error::{ChangeError, StoreError};
use super::{presented_tokens, sessions, signed_in_json};
use crate::domain::audit::Event;
use crate::domain::id::{UpstreamUid, UserUid};

/// What a provider asks to end: at least one of the two is there.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamLogout<'a> {
    /// At which provider.
    pub provider: &'a UpstreamUid,
    /// Whose sessions.
    pub subject: Option<&'a str>,
    /// Which session of theirs there.
    pub sid: Option<&'a str>,
    /// The logout token's name, which counts once.
    pub token_id: &'a str,
    /// Until when the name is remembered.
    pub remember_until: OffsetDateTime,
}

impl Store {
    /// Ends the sessions that a logout token names, and tells how many. When it has returned, nothing is minted in
    /// them. A token that has counted before is a conflict, and changes nothing.
    pub async fn end_upstream_sessions(&self, logout: UpstreamLogout<'_>, event: &Event) -> Result<u64, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let scope = "backchannel_logout";
        let (provider, until) = (logout.provider.as_str(), logout.remember_until);
        // In the same transaction: a token whose work failed may come again.
        if presented_tokens::present(&mut tx, scope, provider, logout.token_id, 1, until).await?.is_none() {
            return Err(ChangeError::Conflict("logout_token_used"));
        }
        let sql = "UPDATE sessions SET ended_at = $4 WHERE provider_uid = $1 AND ended_at IS NULL
            AND (CAST($2 AS TEXT) IS NULL OR upstream_subject = $2) AND (CAST($3 AS TEXT) IS NULL OR upstream_sid = $3)";
        let args = [logout.provider.into(), logout.subject.into(), logout.sid.into(), event.at.into()];
        let ended = tx.execute(sql, args).await?;
        for user in pending(&mut tx, logout).await? {
            sessions::forget_pending(&mut tx, &user, event.at).await?;
        }
        tx.commit_with(event).await?;
        Ok(ended)
    }
}

/// The people of whom something waits to become a session that the logout is about: with the next step it would outlive
/// the logout.
async fn pending(tx: &mut Tx, logout: UpstreamLogout<'_>) -> Result<Vec<UserUid>, StoreError> {
    let sql = "SELECT signed_in FROM device_grants WHERE signed_in LIKE $1 AND redeemed_at IS NULL
        UNION ALL SELECT signed_in FROM authorization_codes WHERE signed_in LIKE $1 AND redeemed_at IS NULL
        UNION ALL SELECT signed_in FROM sign_ins WHERE signed_in LIKE $1 AND finished_at IS NULL";
    // What the pattern finds besides is sorted out below: `_` may stand in a uid.
    let at = format!("%\"upstream:{}\"%", logout.provider);
    let mut users = Vec::new();
    for row in tx.fetch_all(sql, [at.into()]).await? {
        let signed_in = row.parsed("signed_in", signed_in_json::read)?;
        let fits = |asked: Option<&str>, is: Option<&str>| asked.is_none_or(|asked| is == Some(asked));
        if signed_in.origin.provider() == Some(logout.provider)
            && fits(logout.subject, signed_in.subject.as_deref())
            && fits(logout.sid, signed_in.sid.as_deref())
        {
            users.push(signed_in.user);
        }
    }
    Ok(users)
}
