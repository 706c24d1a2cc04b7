//! Tombstones taken out of a store, to be taken into an older copy of it.

use super::Store;
use super::db::Row;
use super::error::StoreError;
use super::tombstone::{IssuerLine, KeyLine, Line, Tombstones};

const KEYS: &str = "SELECT kid, issuer_id, algorithm, bits, public_first, public_second, certificate,
    sealed_private, publish_from, sign_from, sign_until, publish_until, revoked_at, seen_from, seen_until, made_first,
    forgotten_at, created_at
    FROM signing_keys ORDER BY issuer_id, kid";

impl Store {
    /// Everything that must not be forgotten: each uid there is or was, each issuer, each signing key.
    ///
    /// Keys and the version that counts their changes are of one moment, because no change of keys commits while they
    /// are read. Principals are read before, what they belong to after them, so that it is there.
    pub async fn tombstones(&self) -> Result<Tombstones, StoreError> {
        let issuer = self.issuer().await?.ok_or(StoreError::Corrupt("issuers"))?.url;
        let accounts = "SELECT uid, team_uid, created_at, deleted_at FROM service_accounts ORDER BY uid";
        let accounts = self.db.fetch_all(accounts, []).await?;
        let users = self.db.fetch_all("SELECT uid, created_at, deleted_at FROM users ORDER BY uid", []).await?;
        let mut tx = self.db.begin_alone().await?;
        let teams = "SELECT uid, external_id, created_at, deleted_at FROM teams ORDER BY uid";
        let teams = tx.fetch_all(teams, []).await?;
        let issuers =
            "SELECT id, url, team_uid, max_age, export_lag, clock_error, oldest_snapshot, publish_before_sign,
            keep_after_sign, rotation_period, x5c, keys_version, created_at, deleted_at
            FROM issuers ORDER BY created_at, id";
        let issuers = tx.fetch_all(issuers, []).await?;
        let keys = tx.fetch_all(KEYS, []).await?;
        tx.commit().await?;
        // In the order in which one needs the other.
        let lines = teams.iter().map(team);
        let lines = lines.chain(users.iter().map(user)).chain(accounts.iter().map(account));
        let lines = lines.chain(issuers.iter().map(issuer_line)).chain(keys.iter().map(key_line));
        Ok(Tombstones { issuer, lines: lines.collect::<Result<_, _>>()? })
    }
}

fn team(row: &Row) -> Result<Line, StoreError> {
    let (created_at, deleted_at) = ends(row)?;
    Ok(Line::Team { uid: row.text("uid")?, external_id: row.text("external_id")?, created_at, deleted_at })
}

fn user(row: &Row) -> Result<Line, StoreError> {
    let (created_at, deleted_at) = ends(row)?;
    Ok(Line::User { uid: row.text("uid")?, created_at, deleted_at })
}

fn account(row: &Row) -> Result<Line, StoreError> {
    let (created_at, deleted_at) = ends(row)?;
    Ok(Line::ServiceAccount { uid: row.text("uid")?, team: row.text("team_uid")?, created_at, deleted_at })
}

fn ends(row: &Row) -> Result<(i64, Option<i64>), StoreError> {
    Ok((row.int("created_at")?, row.optional_int("deleted_at")?))
}

fn issuer_line(row: &Row) -> Result<Line, StoreError> {
    let (created_at, deleted_at) = ends(row)?;
    Ok(Line::Issuer(IssuerLine {
        id: row.text("id")?,
        url: row.text("url")?,
        team: row.optional_text("team_uid")?,
        schedule: [
            row.int("max_age")?,
            row.int("export_lag")?,
            row.int("clock_error")?,
            row.int("oldest_snapshot")?,
            row.int("publish_before_sign")?,
            row.int("keep_after_sign")?,
            row.int("rotation_period")?,
        ],
        x5c: row.int("x5c")?,
        keys_version: row.int("keys_version")?,
        created_at,
        deleted_at,
    }))
}

fn key_line(row: &Row) -> Result<Line, StoreError> {
    Ok(Line::SigningKey(KeyLine {
        kid: row.text("kid")?,
        issuer: row.text("issuer_id")?,
        algorithm: row.text("algorithm")?,
        bits: row.int("bits")?,
        public: [row.text("public_first")?, row.text("public_second")?],
        certificate: row.optional_text("certificate")?,
        sealed_private: row.text("sealed_private")?,
        publish_from: row.int("publish_from")?,
        sign_from: row.int("sign_from")?,
        sign_until: row.optional_int("sign_until")?,
        publish_until: row.optional_int("publish_until")?,
        revoked_at: row.optional_int("revoked_at")?,
        seen_from: row.optional_int("seen_from")?,
        seen_until: row.optional_int("seen_until")?,
        made_first: row.int("made_first")?,
        forgotten_at: row.optional_int("forgotten_at")?,
        created_at: row.int("created_at")?,
    }))
}
