//! Tombstones taken into a store that was restored from an older copy, so that it forgets nothing that happened since:
//! no uid comes back as somebody else, who was deleted stays deleted, a distrusted key distrusted.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::Store;
use super::db::{Tx, Value};
use super::error::{ChangeError, StoreError};
use super::tombstone::{IssuerLine, KeyLine, Line, Tombstones};
use super::{key_news, policy_json, service_accounts, signing_keys, team_issuers, teams, users};
use crate::domain::audit::Event;
use crate::domain::id::{IssuerId, ServiceAccountUid, TeamUid, UserUid};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::signing_key;
use crate::domain::team::TeamPolicy;

/// What a store learned from tombstones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buried {
    /// What was deleted since the copy was made and is alive in it: now deleted, as `<kind>:<uid>`.
    pub ended: Vec<String>,
    /// What was made and deleted since: its uid stays taken.
    pub reserved: Vec<String>,
    /// What was made since and was alive: it is there again, disabled and with nothing but its uid.
    pub disabled: Vec<String>,
    /// Issuers whose keys and numbers are now what they were last.
    pub rekeyed: Vec<String>,
}

/// Why tombstones were not taken; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuryError {
    /// The store did not take them.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// They are of another installation.
    #[error("they are of issuer {of}, and the store is of issuer {here}")]
    OtherIssuer {
        /// Whose they are.
        of: IssuerUrl,
        /// Whose the store is.
        here: String,
    },
    /// A line names something that this program would never have made.
    #[error("a line names {0:?}, which breaks the rules of its kind")]
    Name(String),
    /// What it names cannot be kept, because it is taken by something else: another case of the uid, another team's
    /// service account, another issuer's key.
    #[error("{0} is something else in this store")]
    Taken(String),
    /// The store has gone its own way since it was restored.
    #[error(
        "the keys of issuer {0} have gone on since the copy was restored, so that both cannot be had: restore it again"
    )]
    Diverged(String),
}

impl From<StoreError> for BuryError {
    fn from(error: StoreError) -> Self {
        Self::Change(error.into())
    }
}

/// What the store knows of something that a line names.
enum Known {
    Never,
    Alive,
    Dead,
}

impl Store {
    /// Takes tombstones in, all of them or none. What the store knows already stays as it is, so it may be done twice.
    ///
    /// Keys and numbers of an issuer are taken where more has happened to them there than here.
    pub async fn bury(&self, tombstones: &Tombstones, event: &Event) -> Result<Buried, BuryError> {
        let mut tx = self.db.change_alone(event).await?;
        let shared = "SELECT url FROM issuers WHERE kind = 'shared' AND deleted_at IS NULL";
        let here = tx.fetch_optional(shared, []).await?.ok_or(StoreError::Corrupt("issuers"))?.text("url")?;
        if here != tombstones.issuer.as_str() {
            return Err(BuryError::OtherIssuer { of: tombstones.issuer.clone(), here });
        }
        let mut done = Buried::default();
        let mut rekeyed = BTreeSet::new();
        for line in &tombstones.lines {
            match line {
                Line::Team { uid, external_id, created_at, deleted_at } => {
                    let uid = TeamUid::parse(uid).map_err(|_| BuryError::Name(uid.clone()))?;
                    let known = known(&mut tx, "SELECT deleted_at FROM teams WHERE uid = $1", (&uid).into()).await?;
                    match note(&mut done, &known, "team", uid.as_str(), *deleted_at) {
                        What::Nothing => {}
                        What::End => {
                            teams::end(&mut tx, &uid, event.at).await?;
                        }
                        What::Insert => {
                            let ends = Ends::of(*created_at, *deleted_at, event.at);
                            insert_team(&mut tx, &uid, external_id, &ends).await?;
                        }
                    }
                }
                Line::User { uid, created_at, deleted_at } => {
                    let uid = UserUid::parse(uid).map_err(|_| BuryError::Name(uid.clone()))?;
                    let known = known(&mut tx, "SELECT deleted_at FROM users WHERE uid = $1", (&uid).into()).await?;
                    match note(&mut done, &known, "user", uid.as_str(), *deleted_at) {
                        What::Nothing => {}
                        What::End => users::end(&mut tx, &uid, event.at).await?,
                        What::Insert => {
                            let ends = Ends::of(*created_at, *deleted_at, event.at);
                            insert_user(&mut tx, &uid, &ends).await?;
                        }
                    }
                }
                Line::ServiceAccount { uid, team, created_at, deleted_at } => {
                    let uid = ServiceAccountUid::parse(uid).map_err(|_| BuryError::Name(uid.clone()))?;
                    let team = TeamUid::parse(team).map_err(|_| BuryError::Name(team.clone()))?;
                    let sql = "SELECT deleted_at FROM service_accounts WHERE uid = $1";
                    let known = known(&mut tx, sql, (&uid).into()).await?;
                    match note(&mut done, &known, "service_account", uid.as_str(), *deleted_at) {
                        What::Nothing => {}
                        What::End => service_accounts::end(&mut tx, &uid, event.at).await?,
                        What::Insert => {
                            let ends = Ends::of(*created_at, *deleted_at, event.at);
                            insert_account(&mut tx, &uid, &team, &ends).await?;
                        }
                    }
                }
                Line::Issuer(line) => {
                    if issuer(&mut tx, line, event.at).await? {
                        done.rekeyed.push(line.url.clone());
                        rekeyed.insert(line.id.clone());
                    }
                }
                Line::SigningKey(line) if rekeyed.contains(&line.issuer) => key(&mut tx, line).await?,
                Line::SigningKey(line) => known_key(&mut tx, line).await?,
            }
        }
        for id in &rekeyed {
            sound(&mut tx, id, event.at).await?;
        }
        tx.commit_with(event).await?;
        Ok(done)
    }
}

async fn known(tx: &mut Tx, sql: &'static str, uid: Value) -> Result<Known, StoreError> {
    Ok(match tx.fetch_optional(sql, [uid]).await? {
        None => Known::Never,
        Some(row) if row.optional_int("deleted_at")?.is_some() => Known::Dead,
        Some(_) => Known::Alive,
    })
}

/// What is to be done about a line.
enum What {
    Nothing,
    End,
    Insert,
}

fn note(done: &mut Buried, known: &Known, kind: &str, uid: &str, deleted_at: Option<i64>) -> What {
    let (list, what) = match (known, deleted_at) {
        (Known::Dead, _) | (Known::Alive, None) => return What::Nothing,
        (Known::Alive, Some(_)) => (&mut done.ended, What::End),
        (Known::Never, Some(_)) => (&mut done.reserved, What::Insert),
        (Known::Never, None) => (&mut done.disabled, What::Insert),
    };
    list.push(format!("{kind}:{uid}"));
    what
}

/// When something that is inserted was made, and when it ended: who was alive comes back disabled.
#[expect(clippy::struct_field_names, reason = "the columns are called so")]
struct Ends {
    created_at: i64,
    disabled_at: Option<OffsetDateTime>,
    deleted_at: Option<i64>,
}

impl Ends {
    fn of(created_at: i64, deleted_at: Option<i64>, now: OffsetDateTime) -> Self {
        Self { created_at, disabled_at: deleted_at.is_none().then_some(now), deleted_at }
    }

    /// The name: of the dead nothing is known, the others have none but their uid.
    fn name<'a>(&self, uid: &'a str) -> &'a str {
        if self.deleted_at.is_some() { "" } else { uid }
    }
}

async fn insert_team(tx: &mut Tx, uid: &TeamUid, external_id: &str, ends: &Ends) -> Result<(), BuryError> {
    let inserted = tx
        .execute(
            "INSERT INTO teams (uid, uid_fold, name, policy, external_id, version, created_at, updated_at, disabled_at,
                deleted_at)
             VALUES ($1, $2, $3, $4, $5, 1, $6, $6, $7, $8) ON CONFLICT DO NOTHING",
            [
                uid.into(),
                uid.folded().into(),
                ends.name(uid.as_str()).into(),
                policy_json::write(&TeamPolicy::new_team())?.into(),
                external_id.into(),
                ends.created_at.into(),
                ends.disabled_at.into(),
                Value::Int(ends.deleted_at),
            ],
        )
        .await?;
    only_one(inserted, || format!("team:{uid}"))
}

async fn insert_user(tx: &mut Tx, uid: &UserUid, ends: &Ends) -> Result<(), BuryError> {
    let inserted = tx
        .execute(
            "INSERT INTO users (uid, uid_fold, name, version, created_at, updated_at, disabled_at, deleted_at)
             VALUES ($1, $2, $3, 1, $4, $4, $5, $6) ON CONFLICT DO NOTHING",
            [
                uid.into(),
                uid.folded().into(),
                ends.name(uid.as_str()).into(),
                ends.created_at.into(),
                ends.disabled_at.into(),
                Value::Int(ends.deleted_at),
            ],
        )
        .await?;
    only_one(inserted, || format!("user:{uid}"))
}

async fn insert_account(tx: &mut Tx, uid: &ServiceAccountUid, team: &TeamUid, ends: &Ends) -> Result<(), BuryError> {
    let inserted = tx
        .execute(
            "INSERT INTO service_accounts (uid, uid_fold, team_uid, name, version, created_at, updated_at, disabled_at,
                deleted_at)
             VALUES ($1, $2, $3, $4, 1, $5, $5, $6, $7) ON CONFLICT DO NOTHING",
            [
                uid.into(),
                uid.folded().into(),
                team.into(),
                ends.name(uid.as_str()).into(),
                ends.created_at.into(),
                ends.disabled_at.into(),
                Value::Int(ends.deleted_at),
            ],
        )
        .await?;
    only_one(inserted, || format!("service_account:{uid}"))
}

fn only_one(inserted: u64, name: impl FnOnce() -> String) -> Result<(), BuryError> {
    if inserted == 1 { Ok(()) } else { Err(BuryError::Taken(name())) }
}

/// Whether the issuer's keys are to be taken too: more has happened to them than this store knows.
async fn issuer(tx: &mut Tx, line: &IssuerLine, now: OffsetDateTime) -> Result<bool, BuryError> {
    let sql = "SELECT url, keys_version, deleted_at FROM issuers WHERE id = $1";
    let Some(row) = tx.fetch_optional(sql, [line.id.as_str().into()]).await? else {
        insert_issuer(tx, line, now).await?;
        return Ok(true);
    };
    if row.text("url")? != line.url {
        return Err(BuryError::Taken(format!("issuer:{}", line.id)));
    }
    if row.optional_int("deleted_at")?.is_some() {
        return Ok(false);
    }
    // With its team it is deleted already.
    if let (Some(_), Some(team)) = (line.deleted_at, &line.team) {
        let team = TeamUid::parse(team).map_err(|_| BuryError::Name(team.clone()))?;
        teams::mint_from_the_shared_issuer(tx, &team, now).await?;
        team_issuers::destroy(tx, &team, now).await?;
        return Ok(false);
    }
    if row.int("keys_version")? >= line.keys_version {
        return Ok(false);
    }
    let [max_age, export_lag, clock_error, oldest_snapshot, before, after, period] = line.schedule;
    tx.execute(
        "UPDATE issuers SET max_age = $2, export_lag = $3, clock_error = $4, oldest_snapshot = $5,
            publish_before_sign = $6, keep_after_sign = $7, rotation_period = $8, x5c = $9, keys_version = $10
         WHERE id = $1",
        [
            line.id.as_str().into(),
            max_age.into(),
            export_lag.into(),
            clock_error.into(),
            oldest_snapshot.into(),
            before.into(),
            after.into(),
            period.into(),
            line.x5c.into(),
            (line.keys_version + 1).into(),
        ],
    )
    .await?;
    Ok(true)
}

async fn insert_issuer(tx: &mut Tx, line: &IssuerLine, now: OffsetDateTime) -> Result<(), BuryError> {
    let name = || BuryError::Name(line.url.clone());
    // There is one shared issuer, and it is in every store.
    let team = line.team.as_deref().ok_or_else(name)?;
    let team = TeamUid::parse(team).map_err(|_| name())?;
    IssuerUrl::parse_of_team(&line.url, &team).ok_or_else(name)?;
    // The issuer of a team that is a tombstone is one too.
    let dead = "SELECT deleted_at FROM teams WHERE uid = $1 AND deleted_at IS NOT NULL";
    let dead = tx.fetch_optional(dead, [(&team).into()]).await?.is_some().then_some(now);
    let [max_age, export_lag, clock_error, oldest_snapshot, before, after, period] = line.schedule;
    let inserted = tx
        .execute(
            "INSERT INTO issuers (id, url, kind, team_uid, max_age, export_lag, clock_error, oldest_snapshot,
                publish_before_sign, keep_after_sign, rotation_period, x5c, keys_version, created_at, deleted_at)
             VALUES ($1, $2, 'team', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, COALESCE($14, $15))
             ON CONFLICT DO NOTHING",
            [
                line.id.as_str().into(),
                line.url.as_str().into(),
                (&team).into(),
                max_age.into(),
                export_lag.into(),
                clock_error.into(),
                oldest_snapshot.into(),
                before.into(),
                after.into(),
                period.into(),
                line.x5c.into(),
                (line.keys_version + 1).into(),
                line.created_at.into(),
                Value::Int(line.deleted_at),
                dead.into(),
            ],
        )
        .await?;
    only_one(inserted, || format!("issuer:{}", line.url))
}

async fn key(tx: &mut Tx, line: &KeyLine) -> Result<(), BuryError> {
    let [first, second] = &line.public;
    let written = tx
        .execute(
            "INSERT INTO signing_keys (kid, issuer_id, algorithm, bits, public_first, public_second, certificate,
                sealed_private, publish_from, sign_from, sign_until, publish_until, revoked_at, seen_from, seen_until,
                made_first, forgotten_at, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
             ON CONFLICT (kid) DO UPDATE SET sealed_private = EXCLUDED.sealed_private,
                sign_from = EXCLUDED.sign_from, sign_until = EXCLUDED.sign_until,
                publish_until = EXCLUDED.publish_until, revoked_at = EXCLUDED.revoked_at,
                seen_from = EXCLUDED.seen_from, seen_until = EXCLUDED.seen_until,
                forgotten_at = EXCLUDED.forgotten_at
             WHERE signing_keys.issuer_id = EXCLUDED.issuer_id",
            [
                line.kid.as_str().into(),
                line.issuer.as_str().into(),
                line.algorithm.as_str().into(),
                line.bits.into(),
                first.as_str().into(),
                second.as_str().into(),
                line.certificate.as_deref().into(),
                line.sealed_private.as_str().into(),
                line.publish_from.into(),
                line.sign_from.into(),
                Value::Int(line.sign_until),
                Value::Int(line.publish_until),
                Value::Int(line.revoked_at),
                Value::Int(line.seen_from),
                Value::Int(line.seen_until),
                line.made_first.into(),
                Value::Int(line.forgotten_at),
                line.created_at.into(),
            ],
        )
        .await?;
    only_one(written, || format!("signing_key:{}", line.kid))
}

/// Where a store's keys are at least as new as the tombstones', every key that those know is here.
async fn known_key(tx: &mut Tx, line: &KeyLine) -> Result<(), BuryError> {
    let sql = "SELECT 1 AS one FROM signing_keys WHERE kid = $1 AND issuer_id = $2";
    match tx.fetch_optional(sql, [line.kid.as_str().into(), line.issuer.as_str().into()]).await? {
        Some(_) => Ok(()),
        None => Err(BuryError::Diverged(line.issuer.clone())),
    }
}

/// Whether a live issuer's keys, as they are now, can be read and follow each other.
async fn sound(tx: &mut Tx, id: &str, now: OffsetDateTime) -> Result<(), BuryError> {
    let sql = "SELECT 1 AS one FROM issuers WHERE id = $1 AND deleted_at IS NULL";
    if tx.fetch_optional(sql, [id.into()]).await?.is_none() {
        return Ok(());
    }
    let issuer = IssuerId::parse(id).ok_or_else(|| BuryError::Name(id.to_owned()))?;
    let keys = signing_keys::read(tx, issuer).await?;
    let sound = signing_key::check(&keys, issuer, now).and_then(|()| signing_key::signing_key(&keys, now).map(drop));
    sound.map_err(|_| BuryError::Diverged(id.to_owned()))?;
    key_news::tell(tx, issuer).await?;
    Ok(())
}
