//! Sessions that end because their provider says so (OpenID Connect Back-Channel Logout 1.0).

use time::OffsetDateTime;

use super::Store;
use super::db::Tx;
use super::error::{ChangeError, StoreError};
use super::{pending_sessions, presented_tokens};
use crate::domain::audit::Event;
use crate::domain::credential::SecretHash;
use crate::domain::id::UpstreamUid;
use crate::domain::sign_in::SIGN_IN_LENGTH;
use crate::domain::upstream::UpstreamPerson;

/// As what it is remembered who has logged out, in `presented_tokens`.
const ENDED: &str = "upstream_ended";

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

impl UpstreamLogout<'_> {
    /// What it is remembered by. A sign-in whose ID token named no `sid` may be the one that is meant with any.
    fn names(&self) -> Vec<String> {
        match (self.subject, self.sid) {
            (Some(subject), None) => vec![of_subject(subject)],
            (None, Some(sid)) => vec![of_sid(sid)],
            (Some(subject), Some(sid)) => vec![of_sid(sid), of_nameless(subject)],
            (None, None) => Vec::new(),
        }
    }
}

fn of_subject(subject: &str) -> String {
    format!("sub {subject}")
}

fn of_sid(sid: &str) -> String {
    format!("sid {sid}")
}

fn of_nameless(subject: &str) -> String {
    format!("sub without sid {subject}")
}

/// Whether the provider has said, since a browser began at `began`, that `person` has logged out: what it said of them
/// to that browser may be older, and is in nobody's row yet that the logout could have ended.
pub(super) async fn logged_out_since(
    tx: &mut Tx,
    provider: &UpstreamUid,
    person: &UpstreamPerson,
    began: OffsetDateTime,
) -> Result<bool, StoreError> {
    let one = person.sid.as_deref().map_or_else(|| of_nameless(&person.subject), of_sid);
    let names = [one, of_subject(&person.subject)].map(|name| SecretHash::of(&name).to_hex());
    let [one, other] = names;
    let sql = "SELECT 1 AS one FROM presented_tokens
        WHERE scope = $1 AND issuer = $2 AND token_id IN ($3, $4) AND remember_until > $5 LIMIT 1";
    let args = [ENDED.into(), provider.into(), one.into(), other.into(), (began + SIGN_IN_LENGTH).into()];
    Ok(tx.fetch_optional(sql, args).await?.is_some())
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
        for name in logout.names() {
            let until = event.at + SIGN_IN_LENGTH;
            presented_tokens::present(&mut tx, ENDED, provider, &name, u32::MAX, until).await?;
        }
        tx.commit_with(event).await?;
        Ok(ended)
    }
}
