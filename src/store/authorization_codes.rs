//! Authorization codes (RFC 6749, section 4.1): one minute, one use, bound to the request that they answer.

use time::OffsetDateTime;

use super::device_grants::opened_by;
use super::error::StoreError;
use super::sessions::{self, NewSession, OpenError, OpenedSession};
use super::{Store, sign_ins, signed_in_json};
use crate::domain::audit::Event;
use crate::domain::credential::SecretHash;
use crate::domain::id::{SessionId, UserUid};
use crate::domain::pkce::CodeChallenge;
use crate::domain::session::SignedIn;

/// A code to be saved; of it only the hash.
#[derive(Debug, Clone)]
pub struct NewAuthorizationCode {
    /// The hash of its text.
    pub hash: SecretHash,
    /// Which client asked.
    pub client: String,
    /// Where the browser was sent back to, byte for byte.
    pub redirect_uri: String,
    /// What the client's verifier must fit.
    pub challenge: CodeChallenge,
    /// What to call the device.
    pub device: Option<String>,
    /// Who signed in.
    pub signed_in: SignedIn,
    /// Until when it can be redeemed.
    pub expires_at: OffsetDateTime,
}

/// What a client shows with a code.
#[derive(Debug, Clone, Copy)]
pub struct CodeShown<'a> {
    /// `client_id`.
    pub client: &'a str,
    /// `redirect_uri`.
    pub redirect_uri: &'a str,
    /// `code_verifier`.
    pub verifier: &'a str,
}

/// Why a code opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// There is no such code.
    #[error("the code is not known")]
    Unknown,
    /// Its time is over.
    #[error("the code has expired")]
    Expired,
    /// It was shown before; with whose session it was redeemed, if it was. Whoever learns this ends that session.
    #[error("the code was used before")]
    Reused(Option<(UserUid, SessionId)>),
    /// It was given for another request. It is used up with that: whoever shows it wrongly is not its client.
    #[error("the code was given for another {0}")]
    Other(&'static str),
    /// The sign-in behind it holds no more.
    #[error(transparent)]
    Refused(OpenError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Saves a code of a person who has just signed in, and ends the way of their browser in the same transaction;
    /// `false`, and no code, where that way is over.
    pub async fn create_authorization_code(
        &self,
        new: &NewAuthorizationCode,
        browser: Option<&SecretHash>,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let mut tx = self.db.change(event).await?;
        if let Some(browser) = browser
            && !sign_ins::finish(&mut tx, browser, event.at).await?
        {
            return Ok(false);
        }
        tx.execute(
            "INSERT INTO authorization_codes (code_hash, client_id, redirect_uri, code_challenge, device, user_uid,
                signed_in, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [
                new.hash.to_hex().into(),
                new.client.as_str().into(),
                new.redirect_uri.as_str().into(),
                new.challenge.as_str().into(),
                new.device.as_deref().into(),
                (&new.signed_in.user).into(),
                signed_in_json::write(&new.signed_in)?.into(),
                event.at.into(),
                new.expires_at.into(),
            ],
        )
        .await?;
        tx.commit_with(event).await?;
        Ok(true)
    }

    /// Redeems a code for `session`; of any number of tries exactly one wins. The audit row gets the person.
    pub async fn redeem_authorization_code(
        &self,
        hash: &SecretHash,
        shown: CodeShown<'_>,
        session: &NewSession,
        event: &Event,
    ) -> Result<OpenedSession, CodeError> {
        let mut tx = self.db.begin_beside().await?;
        let sql = "UPDATE authorization_codes SET client_id = client_id WHERE code_hash = $1
            RETURNING client_id, redirect_uri, code_challenge, device, user_uid, signed_in, expires_at, redeemed_at,
                session_id";
        let row = tx.fetch_optional(sql, [hash.to_hex().into()]).await?.ok_or(CodeError::Unknown)?;
        if row.optional_int("redeemed_at")?.is_some() {
            let user = row.uid("user_uid")?;
            let session = row.optional_parsed("session_id", SessionId::parse)?;
            return Err(CodeError::Reused(session.map(|session| (user, session))));
        }
        if row.time("expires_at")? <= event.at {
            return Err(CodeError::Expired);
        }
        let signed_in = row.parsed("signed_in", signed_in_json::read)?;
        let challenge = row.parsed("code_challenge", |text| CodeChallenge::parse(text).ok())?;
        let wrong = [
            (row.text("client_id")? != shown.client, "client_id"),
            (row.text("redirect_uri")? != shown.redirect_uri, "redirect_uri"),
            (!challenge.verifies(shown.verifier), "code_verifier"),
        ];
        let opened = if let Some((_, what)) = wrong.into_iter().find(|(holds, _)| *holds) {
            Err(CodeError::Other(what))
        } else {
            let session = NewSession { device: row.optional_text("device")?, ..session.clone() };
            match sessions::open(&mut tx, &signed_in, &session, &event.origin, event.at).await {
                Ok(opened) => Ok(opened),
                Err(OpenError::Store(error)) => return Err(error.into()),
                Err(refused) => Err(CodeError::Refused(refused)),
            }
        };
        let sql = "UPDATE authorization_codes SET redeemed_at = $2, session_id = $3 WHERE code_hash = $1";
        let id = opened.as_ref().ok().map(|opened| opened.id);
        tx.execute(sql, [hash.to_hex().into(), event.at.into(), id.into()]).await?;
        match &opened {
            Ok(_) => {
                tx.note(&opened_by(event, &signed_in)).await?;
                tx.commit().await?;
            }
            Err(_) => tx.commit().await?,
        }
        opened
    }
}
