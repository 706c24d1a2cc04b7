//! Browsers on their way through the sign-in pages. A row is known by the hash of what the browser's cookie holds: who
//! reads the table can finish nobody's sign-in.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::db::{Row, Tx};
use super::error::StoreError;
use super::{Store, signed_in_json};
use crate::domain::audit::Event;
use crate::domain::authorization::{Authorization, LoopbackRedirect, Return};
use crate::domain::credential::SecretHash;
use crate::domain::id::{DeviceGrantId, TeamUid, UpstreamUid};
use crate::domain::pkce::CodeChallenge;
use crate::domain::session::SignedIn;
use crate::domain::sign_in::{Asker, SIGN_IN_LENGTH, SignIn};

const CORRUPT: StoreError = StoreError::Corrupt("asked");

/// Most old rows that one new one takes with it: more than one, so that strangers who begin and never come back leave
/// no more rows than they can make while one lasts.
const SWEPT: i64 = 20;

/// A browser whose person has just proved who they are: what knew it until now, and what knows it from now on. Whoever
/// planted or read its cookie before has nothing.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The hash of its secret on the way.
    pub browser: &'a SecretHash,
    /// The hash of the one that it is given now.
    pub fresh: &'a SecretHash,
}

impl Store {
    /// A browser begins.
    pub async fn begin_sign_in(
        &self,
        browser: &SecretHash,
        asker: &Asker,
        address: Option<IpAddr>,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        let sweep = "DELETE FROM sign_ins WHERE browser_hash IN
            (SELECT browser_hash FROM sign_ins WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
        tx.execute(sweep, [now.into(), SWEPT.into()]).await?;
        tx.execute(
            "INSERT INTO sign_ins (browser_hash, asked, address, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
            [
                browser.to_hex().into(),
                write(asker)?.into(),
                address.map(|address| address.to_string()).into(),
                now.into(),
                (now + SIGN_IN_LENGTH).into(),
            ],
        )
        .await?;
        tx.commit().await
    }

    /// How far a browser is; one that has decided, or took too long, is nowhere.
    pub async fn sign_in(&self, browser: &SecretHash, now: OffsetDateTime) -> Result<Option<SignIn>, StoreError> {
        let sql = "SELECT asked, provider_uid, signed_in, address, created_at, expires_at FROM sign_ins
            WHERE browser_hash = $1 AND finished_at IS NULL AND expires_at > $2";
        self.db.fetch_optional(sql, [browser.to_hex().into(), now.into()]).await?.as_ref().map(sign_in).transpose()
    }

    /// Notes which provider a browser that is not signed in is sent to; `false` where there is no such browser.
    pub async fn choose_provider(
        &self,
        browser: &SecretHash,
        provider: &UpstreamUid,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE sign_ins SET provider_uid = $2
            WHERE browser_hash = $1 AND signed_in IS NULL AND finished_at IS NULL AND expires_at > $3";
        let mut tx = self.db.begin().await?;
        let chosen = tx.execute(sql, [browser.to_hex().into(), provider.into(), now.into()]).await?;
        tx.commit().await?;
        Ok(chosen == 1)
    }

    /// The browser turns a terminal away, once, with the row of whoever it is known to be; `false` where there is none
    /// that may decide. A device's denial is [`Store::decide_device_grant`]'s.
    pub async fn finish_sign_in(
        &self,
        browser: &SecretHash,
        now: OffsetDateTime,
        event: Option<&Event>,
    ) -> Result<bool, StoreError> {
        let Some(event) = event else {
            let mut tx = self.db.begin().await?;
            let finished = finish(&mut tx, browser, now).await?;
            tx.commit().await?;
            return Ok(finished);
        };
        let mut tx = self.db.change(event).await?;
        if !finish(&mut tx, browser, now).await? {
            return Ok(false);
        }
        tx.commit_with(event).await?;
        Ok(true)
    }
}

/// When a browser began, wherever it is by now.
pub(super) async fn began(tx: &mut Tx, browser: &SecretHash) -> Result<Option<OffsetDateTime>, StoreError> {
    let sql = "SELECT created_at FROM sign_ins WHERE browser_hash = $1";
    tx.fetch_optional(sql, [browser.to_hex().into()]).await?.map(|row| row.time("created_at")).transpose()
}

/// Notes who a browser turned out to be, in the transaction that found out: in between, nothing could end the sign-in.
/// `false` where there is no such browser, or it was signed in before; then the transaction must not commit.
pub(super) async fn note(
    tx: &mut Tx,
    arrival: Arrival<'_>,
    signed_in: &SignedIn,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let sql = "UPDATE sign_ins SET browser_hash = $2, user_uid = $3, signed_in = $4
        WHERE browser_hash = $1 AND signed_in IS NULL AND finished_at IS NULL AND expires_at > $5";
    let proved = signed_in_json::write(signed_in)?;
    let (browser, fresh) = (arrival.browser.to_hex(), arrival.fresh.to_hex());
    let args = [browser.into(), fresh.into(), (&signed_in.user).into(), proved.into(), now.into()];
    Ok(tx.execute(sql, args).await? == 1)
}

/// The browser decides, once, in the transaction of what it decides: `false` where there is none that may, because it has
/// decided, took too long, or its sign-in was ended meanwhile; then the transaction must not commit.
pub(super) async fn finish(tx: &mut Tx, browser: &SecretHash, now: OffsetDateTime) -> Result<bool, StoreError> {
    let sql = "UPDATE sign_ins SET finished_at = $2
        WHERE browser_hash = $1 AND finished_at IS NULL AND expires_at > $2";
    Ok(tx.execute(sql, [browser.to_hex().into(), now.into()]).await? == 1)
}

fn sign_in(row: &Row) -> Result<SignIn, StoreError> {
    Ok(SignIn {
        asker: row.parsed("asked", read)?,
        provider: row.optional_parsed("provider_uid", |text| UpstreamUid::parse(text).ok())?,
        signed_in: row.optional_parsed("signed_in", signed_in_json::read)?,
        address: row.optional_parsed("address", |text| text.parse().ok())?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
    })
}

/// `asked`: our own JSON, read back strictly and through the same parsers as what a stranger sends.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskerJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device_grant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorization: Option<AuthorizationJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    team: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorizationJson {
    redirect_uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    code_challenge: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
}

fn write(asker: &Asker) -> Result<String, StoreError> {
    let team = asker.team().map(ToString::to_string);
    let json = match asker {
        Asker::Device { grant, .. } => AskerJson { device_grant: Some(grant.to_string()), authorization: None, team },
        Asker::Terminal(asked) => {
            let authorization = AuthorizationJson {
                redirect_uri: asked.back.redirect.to_string(),
                state: asked.back.state.clone(),
                code_challenge: asked.code_challenge.as_str().to_owned(),
                device: asked.device.clone(),
            };
            AskerJson { device_grant: None, authorization: Some(authorization), team }
        }
    };
    serde_json::to_string(&json).map_err(|_| CORRUPT)
}

fn read(text: &str) -> Option<Asker> {
    let json: AskerJson = serde_json::from_str(text).ok()?;
    let team = json.team.map(|team| TeamUid::parse(&team)).transpose().ok()?;
    match (json.device_grant, json.authorization) {
        (Some(grant), None) => Some(Asker::Device { grant: DeviceGrantId::parse(&grant)?, team }),
        (None, Some(asked)) => Some(Asker::Terminal(Authorization {
            back: Return { redirect: LoopbackRedirect::parse(&asked.redirect_uri).ok()?, state: asked.state },
            code_challenge: CodeChallenge::parse(&asked.code_challenge).ok()?,
            device: asked.device,
            team,
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn who_asks_comes_back_as_it_went_and_nothing_else_does() {
        let team = TeamUid::parse("red").ok();
        let device = Asker::Device { grant: DeviceGrantId::new(Uuid::from_u128(7)), team: team.clone() };
        let terminal = Asker::Terminal(Authorization {
            back: Return {
                redirect: LoopbackRedirect::parse("http://127.0.0.1:8400/done").unwrap(),
                state: Some("s \" {}".to_owned()),
            },
            code_challenge: CodeChallenge::of("verifier"),
            device: Some("Ann's laptop".to_owned()),
            team,
        });
        for asker in [device, terminal] {
            let text = write(&asker).unwrap();
            assert_eq!(read(&text), Some(asker));
            for wrong in [
                text[1..].to_owned(),
                text.replace("\"red\"", "\"a/b\""),
                text.replace("127.0.0.1", "evil.example").replace("0000-0000", "0000"),
                text.replace("\"team\"", "\"other\""),
            ] {
                assert_eq!(read(&wrong), None, "{wrong}");
            }
        }
        assert_eq!(read("{}"), None);
    }
}
