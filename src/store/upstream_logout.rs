//! Sessions that end because their provider says so (OpenID Connect Back-Channel Logout 1.0).

use time::OffsetDateTime;

use super::Store;
use super::error::ChangeError;
use super::{pending_sessions, presented_tokens};
use crate::domain::audit::Event;
use crate::domain::id::UpstreamUid;

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
        // A session whose ID token named no `sid` is one of the subject's that may be meant.
        let sql = "UPDATE sessions SET ended_at = $4 WHERE provider_uid = $1 AND ended_at IS NULL
            AND (CAST($2 AS TEXT) IS NULL OR upstream_subject = $2) AND (CAST($3 AS TEXT) IS NULL OR upstream_sid = $3
                OR (upstream_sid IS NULL AND CAST($2 AS TEXT) IS NOT NULL))";
        let args = [logout.provider.into(), logout.subject.into(), logout.sid.into(), event.at.into()];
        let ended = tx.execute(sql, args).await?;
        // With its next step, what waits would become a session that outlives the logout.
        pending_sessions::end_of_subject(&mut tx, logout.provider, logout.subject, logout.sid, event.at).await?;
        tx.commit_with(event).await?;
        Ok(ended)
    }
}
