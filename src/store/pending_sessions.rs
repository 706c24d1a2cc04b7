//! What may still become a session: approved devices, authorization codes, browsers that are signed in. Whatever ends a
//! person's sessions ends these too, or one would be opened a minute later.

use time::OffsetDateTime;

use super::db::Tx;
use super::error::StoreError;
use super::{Store, signed_in_json};
use crate::domain::id::{UpstreamUid, UserUid};
use crate::domain::session::SignedIn;

impl Store {
    /// Forgets device grants, authorization codes and browsers' ways that were over before `before`.
    pub async fn forget_pending_before(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let mut tx = self.db.begin().await?;
        let mut forgotten = 0;
        for sql in [
            "DELETE FROM device_grants WHERE expires_at < $1",
            "DELETE FROM authorization_codes WHERE expires_at < $1",
            "DELETE FROM sign_ins WHERE expires_at < $1",
        ] {
            forgotten += tx.execute(sql, [before.into()]).await?;
        }
        tx.commit().await?;
        Ok(forgotten)
    }
}

/// Ends all that a person has approved or begun.
pub(super) async fn end_of_person(tx: &mut Tx, user: &UserUid, at: OffsetDateTime) -> Result<(), StoreError> {
    for sql in [
        "UPDATE device_grants SET denied_at = $2, signed_in = NULL
            WHERE user_uid = $1 AND redeemed_at IS NULL AND denied_at IS NULL",
        "UPDATE authorization_codes SET redeemed_at = $2 WHERE user_uid = $1 AND redeemed_at IS NULL",
        "UPDATE sign_ins SET finished_at = $2 WHERE user_uid = $1 AND finished_at IS NULL",
    ] {
        tx.execute(sql, [user.into(), at.into()]).await?;
    }
    Ok(())
}

/// Ends what a provider's subject, or one session of theirs there, has approved or begun: for a logout that the provider
/// tells of, and for an identity that is taken from its person. The few rows that wait are read, because how somebody
/// signed in stands in them as JSON.
pub(super) async fn end_of_subject(
    tx: &mut Tx,
    provider: &UpstreamUid,
    subject: Option<&str>,
    sid: Option<&str>,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    let named = |signed_in: &SignedIn| {
        signed_in.origin.provider() == Some(provider)
            && subject.is_none_or(|subject| signed_in.subject.as_deref() == Some(subject))
            && sid.is_none_or(|sid| signed_in.sid.as_deref().map_or(subject.is_some(), |own| own == sid))
    };
    for (read, end) in [
        (
            "SELECT id AS name, signed_in FROM device_grants WHERE signed_in IS NOT NULL AND redeemed_at IS NULL
                AND denied_at IS NULL AND expires_at > $1",
            "UPDATE device_grants SET denied_at = $2, signed_in = NULL WHERE id = $1 AND redeemed_at IS NULL",
        ),
        (
            "SELECT code_hash AS name, signed_in FROM authorization_codes WHERE redeemed_at IS NULL AND expires_at > $1",
            "UPDATE authorization_codes SET redeemed_at = $2 WHERE code_hash = $1 AND redeemed_at IS NULL",
        ),
        (
            "SELECT browser_hash AS name, signed_in FROM sign_ins WHERE signed_in IS NOT NULL AND finished_at IS NULL
                AND expires_at > $1",
            "UPDATE sign_ins SET finished_at = $2 WHERE browser_hash = $1 AND finished_at IS NULL",
        ),
    ] {
        for row in tx.fetch_all(read, [at.into()]).await? {
            if named(&row.parsed("signed_in", signed_in_json::read)?) {
                tx.execute(end, [row.text("name")?.into(), at.into()]).await?;
            }
        }
    }
    Ok(())
}
