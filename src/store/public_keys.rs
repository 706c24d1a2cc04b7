//! The public keys of service accounts, or where they are.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Store;
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError};
use super::idempotency::{self, Remember};
use super::liveness::DeadReason;
use super::page::{Page, Paged};
use crate::domain::audit::Event;
use crate::domain::client_key::{CLIENT_KEYS_MAX, ClientKey, KeySource};
use crate::domain::id::{PublicKeyId, ServiceAccountUid, TeamUid};
use crate::domain::signing_key::{Algorithm, KeyKind, PublicKey};

/// What an assertion of a service account is judged by.
#[derive(Debug, Clone)]
pub struct ClientKeys {
    /// Its team.
    pub team: TeamUid,
    /// Why it may not act any more, if so.
    pub dead: Option<DeadReason>,
    /// Its live keys, the oldest first.
    pub keys: Vec<ClientKey>,
}

/// A key as the column keeps it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JwkText {
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    alg: String,
    bits: u32,
    first: String,
    second: String,
}

macro_rules! public_keys {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, jwk, jwks_uri, created_at, expires_at, last_used_at, revoked_at FROM public_keys ",
            $rest
        )
    };
}

impl Store {
    /// The live keys of a service account, and whether it may act; `None` where there never was such a one.
    pub async fn client_keys(
        &self,
        account: &ServiceAccountUid,
        now: OffsetDateTime,
    ) -> Result<Option<ClientKeys>, StoreError> {
        let sql = "SELECT a.team_uid, a.disabled_at AS account_disabled, a.deleted_at AS account_deleted,
                t.disabled_at AS team_disabled, t.deleted_at AS team_deleted
            FROM service_accounts a JOIN teams t ON t.uid = a.team_uid WHERE a.uid = $1";
        let Some(found) = self.db.fetch_optional(sql, [account.into()]).await? else { return Ok(None) };
        let off = |column| Ok::<_, StoreError>(found.optional_int(column)?.is_some());
        let causes = [
            (off("account_deleted")?, DeadReason::ServiceAccountDeleted),
            (off("account_disabled")?, DeadReason::ServiceAccountDisabled),
            (off("team_deleted")?, DeadReason::TeamDeleted),
            (off("team_disabled")?, DeadReason::TeamDisabled),
        ];
        let dead = causes.into_iter().find_map(|(holds, reason)| holds.then_some(reason));
        let sql = public_keys!(
            "WHERE service_account_uid = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
             ORDER BY id"
        );
        let rows = self.db.fetch_all(sql, [account.into(), now.into()]).await?;
        let keys = rows.iter().map(client_key).collect::<Result<_, _>>()?;
        Ok(Some(ClientKeys { team: found.uid("team_uid")?, dead, keys }))
    }

    /// A page of a service account's public keys, the oldest first; revoked ones among them.
    pub async fn public_keys(&self, account: &ServiceAccountUid, page: &Page) -> Result<Paged<ClientKey>, StoreError> {
        let sql = public_keys!("WHERE service_account_uid = $1 AND id > $2 ORDER BY id LIMIT $3");
        let rows = self.db.fetch_page(sql, [account.into(), page.after()?.into(), page.fetch().into()]).await?;
        let keys = rows.iter().map(client_key).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(keys, |key| key.id.to_string()))
    }

    /// One public key of a service account.
    pub async fn public_key(
        &self,
        account: &ServiceAccountUid,
        key: PublicKeyId,
    ) -> Result<Option<ClientKey>, StoreError> {
        let sql = public_keys!("WHERE id = $1 AND service_account_uid = $2");
        self.db.fetch_optional(sql, [key.into(), account.into()]).await?.as_ref().map(client_key).transpose()
    }

    /// Registers a public key of a living service account.
    pub async fn create_public_key(
        &self,
        account: &ServiceAccountUid,
        key: &ClientKey,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        let alive = "SELECT (SELECT count(*) FROM public_keys q WHERE q.service_account_uid = a.uid
                AND q.revoked_at IS NULL AND (q.expires_at IS NULL OR q.expires_at > $2)) AS live
            FROM service_accounts a WHERE a.uid = $1 AND a.deleted_at IS NULL";
        let found = tx.fetch_optional(alive, [account.into(), key.created_at.into()]).await?;
        let live = found.ok_or(ChangeError::NotFound)?.int("live")?;
        if usize::try_from(live).unwrap_or(usize::MAX) >= CLIENT_KEYS_MAX {
            return Err(ChangeError::Conflict("public_keys_max"));
        }
        insert(&mut tx, account, key, event).await?;
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// Revokes a public key. When it has returned, nothing is minted with an access token that was got with it.
    pub async fn revoke_public_key(
        &self,
        account: &ServiceAccountUid,
        key: PublicKeyId,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let revoked = tx
            .execute(
                "UPDATE public_keys SET revoked_at = $3
                 WHERE id = $1 AND service_account_uid = $2 AND revoked_at IS NULL",
                [key.into(), account.into(), event.at.into()],
            )
            .await?;
        if revoked == 0 {
            return Err(ChangeError::NotFound);
        }
        Ok(tx.commit_with(event).await?)
    }
}

async fn insert(tx: &mut Tx, account: &ServiceAccountUid, key: &ClientKey, event: &Event) -> Result<(), ChangeError> {
    let (jwk, uri) = match &key.source {
        KeySource::Jwk { kid, public } => (Some(jwk_text(kid.as_deref(), public)?), None),
        KeySource::JwksUri(uri) => (None, Some(uri.to_string())),
    };
    tx.execute(
        "INSERT INTO public_keys (id, service_account_uid, name, jwk, jwks_uri, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            key.id.into(),
            account.into(),
            key.name.as_str().into(),
            jwk.into(),
            uri.into(),
            event.credential.map(|(_, id)| id).into(),
            key.created_at.into(),
            key.expires_at.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Notes when a public key was last used. A later mark wins.
pub(super) async fn touch(tx: &mut Tx, key: PublicKeyId, at: OffsetDateTime) -> Result<(), StoreError> {
    let sql = "UPDATE public_keys SET last_used_at = $2 WHERE id = $1 AND COALESCE(last_used_at, 0) < $2";
    tx.execute(sql, [key.into(), at.into()]).await.map(drop)
}

fn jwk_text(kid: Option<&str>, public: &PublicKey) -> Result<String, StoreError> {
    let (first, second) = public.members();
    let (alg, bits) = match public {
        // Three quarters of the characters are bytes.
        PublicKey::Rsa { n, .. } => (Algorithm::Rs256, n.len() / 4 * 3 * 8 + (n.len() % 4) * 6 / 8 * 8),
        PublicKey::P256 { .. } => (Algorithm::Es256, 256),
    };
    let text = JwkText {
        kid: kid.map(str::to_owned),
        alg: alg.as_str().to_owned(),
        bits: u32::try_from(bits).map_err(|_| StoreError::Corrupt("jwk"))?,
        first: first.to_owned(),
        second: second.to_owned(),
    };
    serde_json::to_string(&text).map_err(|_| StoreError::Corrupt("jwk"))
}

fn client_key(row: &Row) -> Result<ClientKey, StoreError> {
    let source = match (row.optional_text("jwk")?, row.optional_text("jwks_uri")?) {
        (Some(jwk), None) => read_jwk(&jwk).ok_or(StoreError::Corrupt("jwk"))?,
        (None, Some(uri)) => KeySource::JwksUri(uri.into()),
        _ => return Err(StoreError::Corrupt("jwk")),
    };
    Ok(ClientKey {
        id: row.handle("id")?,
        name: row.text("name")?,
        source,
        created_at: row.time("created_at")?,
        expires_at: row.optional_time("expires_at")?,
        last_used_at: row.optional_time("last_used_at")?,
        revoked_at: row.optional_time("revoked_at")?,
    })
}

fn read_jwk(text: &str) -> Option<KeySource> {
    let jwk: JwkText = serde_json::from_str(text).ok()?;
    let kind = KeyKind::new(Algorithm::parse(&jwk.alg)?, Some(jwk.bits)).ok()?;
    let public = PublicKey::new(kind, &jwk.first, &jwk.second).ok()?;
    Some(KeySource::Jwk { kid: jwk.kid.map(Into::into), public })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_the_round_trip_through_its_column() {
        for (kind, length) in
            [(KeyKind::Rsa2048, 342), (KeyKind::Rsa3072, 512), (KeyKind::Rsa4096, 683), (KeyKind::P256, 43)]
        {
            let second = if kind == KeyKind::P256 { "B".repeat(43) } else { "AQAB".to_owned() };
            let public = PublicKey::new(kind, &"A".repeat(length), &second).unwrap();
            for kid in [None, Some("key/1")] {
                let source = KeySource::Jwk { kid: kid.map(Into::into), public: public.clone() };
                assert_eq!(read_jwk(&jwk_text(kid, &public).unwrap()), Some(source), "{kind:?}");
            }
        }
        assert_eq!(read_jwk("{}"), None);
    }
}
