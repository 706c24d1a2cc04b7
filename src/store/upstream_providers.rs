//! OIDC providers at which people sign in. A deleted one stays as a tombstone: sessions and identities name it.

use time::OffsetDateTime;

use super::Store;
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError, check_version};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use super::upstream_json;
use crate::domain::audit::Event;
use crate::domain::foreign_issuer::ForeignIssuer;
use crate::domain::id::UpstreamUid;
use crate::domain::issuer_url::Development;
use crate::domain::sealed::Sealed;
use crate::domain::upstream::{UpstreamProvider, UpstreamSettings, Word};

/// What to change of a provider; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct UpstreamProviderChange {
    /// Another name.
    pub name: Option<String>,
    /// What it knows us by from now on.
    pub client_id: Option<Word>,
    #[expect(clippy::option_option, reason = "keep, clear and set are three things")]
    /// `Some(Some(_))` is our new secret there, `Some(None)` makes us a public client.
    pub client_secret: Option<Option<Sealed>>,
    /// Other settings, whole.
    pub settings: Option<UpstreamSettings>,
    #[expect(clippy::option_option, reason = "keep, switch on and switch off are three things")]
    /// `Some(Some(_))` switches it off, `Some(None)` on again.
    pub disabled_at: Option<Option<OffsetDateTime>>,
}

/// A provider's columns; each query adds where and how many.
macro_rules! upstream_providers {
    ($rest:literal) => {
        concat!(
            "SELECT uid, name, issuer, client_id, sealed_client_secret, settings, version, created_at, updated_at,
                disabled_at FROM upstream_providers WHERE deleted_at IS NULL ",
            $rest
        )
    };
}

impl Store {
    /// Saves a new provider. The uid must never have been used, in whatever case; issuer and client id together name
    /// one provider.
    pub async fn create_upstream_provider(
        &self,
        provider: &UpstreamProvider,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        let known = "SELECT 1 AS one FROM upstream_providers WHERE uid_fold = $1";
        if tx.fetch_optional(known, [provider.uid.folded().into()]).await?.is_some() {
            return Err(ChangeError::UidTaken);
        }
        let inserted = tx
            .execute(
                "INSERT INTO upstream_providers (uid, uid_fold, name, issuer, client_id, sealed_client_secret, settings,
                    version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
                 ON CONFLICT DO NOTHING",
                [
                    (&provider.uid).into(),
                    provider.uid.folded().into(),
                    provider.name.as_str().into(),
                    provider.issuer.as_str().into(),
                    provider.client_id.as_str().into(),
                    provider.client_secret.as_ref().map(Sealed::as_str).into(),
                    upstream_json::write(&provider.settings)?.into(),
                    provider.version.into(),
                    provider.created_at.into(),
                ],
            )
            .await?;
        if inserted == 0 {
            return Err(ChangeError::Conflict("upstream_client"));
        }
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// A provider, disabled or not; tombstones are not found.
    pub async fn upstream_provider(&self, uid: &UpstreamUid) -> Result<Option<UpstreamProvider>, StoreError> {
        let sql = upstream_providers!("AND uid = $1");
        self.db.fetch_optional(sql, [uid.into()]).await?.as_ref().map(provider).transpose()
    }

    /// The provider that knows us as `client_id` under `issuer`.
    pub async fn upstream_provider_of(
        &self,
        issuer: &str,
        client_id: &str,
    ) -> Result<Option<UpstreamProvider>, StoreError> {
        let sql = upstream_providers!("AND issuer = $1 AND client_id = $2");
        self.db.fetch_optional(sql, [issuer.into(), client_id.into()]).await?.as_ref().map(provider).transpose()
    }

    /// A page of providers, disabled ones among them, in the order of their uids.
    pub async fn upstream_providers(&self, page: &Page) -> Result<Paged<UpstreamProvider>, StoreError> {
        let sql = upstream_providers!("AND uid > $1 ORDER BY uid LIMIT $2");
        let rows = self.db.fetch_page(sql, [page.after()?.into(), page.fetch().into()]).await?;
        let providers = rows.iter().map(provider).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(providers, |provider| provider.uid.to_string()))
    }

    /// The providers at which people may sign in now, in the order of their names, at most 100.
    pub async fn upstream_providers_on(&self) -> Result<Vec<UpstreamProvider>, StoreError> {
        let sql = upstream_providers!("AND disabled_at IS NULL ORDER BY name, uid LIMIT 100");
        self.db.fetch_all(sql, []).await?.iter().map(provider).collect()
    }

    /// Changes a provider if its version is `expected`. When a disable has returned, nothing is minted in sessions that
    /// began there.
    pub async fn update_upstream_provider(
        &self,
        uid: &UpstreamUid,
        expected: Option<i64>,
        change: &UpstreamProviderChange,
        event: &Event,
    ) -> Result<UpstreamProvider, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let mut provider = live(&mut tx, uid, expected).await?;
        if let Some(name) = &change.name {
            provider.name.clone_from(name);
        }
        if let Some(client_id) = change.client_id.as_ref().filter(|new| **new != provider.client_id) {
            let taken = "SELECT 1 AS one FROM upstream_providers
                WHERE issuer = $1 AND client_id = $2 AND deleted_at IS NULL";
            let args = [provider.issuer.as_str().into(), client_id.as_str().into()];
            if tx.fetch_optional(taken, args).await?.is_some() {
                return Err(ChangeError::Conflict("upstream_client"));
            }
            provider.client_id.clone_from(client_id);
        }
        if let Some(secret) = &change.client_secret {
            provider.client_secret.clone_from(secret);
        }
        if let Some(settings) = &change.settings {
            provider.settings.clone_from(settings);
        }
        if let Some(disabled_at) = change.disabled_at {
            provider.disabled_at = disabled_at;
        }
        provider.version += 1;
        provider.updated_at = event.at;
        tx.execute(
            "UPDATE upstream_providers SET name = $2, client_id = $3, sealed_client_secret = $4, settings = $5,
                disabled_at = $6, version = $7, updated_at = $8 WHERE uid = $1",
            [
                uid.into(),
                provider.name.as_str().into(),
                provider.client_id.as_str().into(),
                provider.client_secret.as_ref().map(Sealed::as_str).into(),
                upstream_json::write(&provider.settings)?.into(),
                provider.disabled_at.into(),
                provider.version.into(),
                provider.updated_at.into(),
            ],
        )
        .await?;
        tx.commit_with(event).await?;
        Ok(provider)
    }

    /// Forgets our secret at a provider that nobody can open any more, if it still is that one.
    pub async fn forget_upstream_secret(
        &self,
        uid: &UpstreamUid,
        lost: &Sealed,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        let sql = "UPDATE upstream_providers SET sealed_client_secret = NULL, version = version + 1, updated_at = $3
            WHERE uid = $1 AND sealed_client_secret = $2";
        if tx.execute(sql, [uid.into(), lost.as_str().into(), event.at.into()]).await? == 0 {
            return Err(ChangeError::NotFound);
        }
        Ok(tx.commit_with(event).await?)
    }

    /// Makes a provider a tombstone: its secret is erased and every session that began there ends. When it has
    /// returned, nothing is minted in them.
    pub async fn delete_upstream_provider(
        &self,
        uid: &UpstreamUid,
        expected: Option<i64>,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        live(&mut tx, uid, expected).await?;
        for sql in [
            "UPDATE upstream_providers SET deleted_at = $2, updated_at = $2, version = version + 1,
                sealed_client_secret = NULL WHERE uid = $1",
            "UPDATE sessions SET ended_at = $2 WHERE provider_uid = $1 AND ended_at IS NULL",
        ] {
            tx.execute(sql, [uid.into(), event.at.into()]).await?;
        }
        Ok(tx.commit_with(event).await?)
    }
}

/// The provider, with its row locked until the transaction ends.
async fn live(tx: &mut Tx, uid: &UpstreamUid, expected: Option<i64>) -> Result<UpstreamProvider, ChangeError> {
    tx.execute("UPDATE upstream_providers SET version = version WHERE uid = $1", [uid.into()]).await?;
    let provider = in_transaction(tx, uid).await?.ok_or(ChangeError::NotFound)?;
    check_version(expected, provider.version)?;
    Ok(provider)
}

/// A provider as a change finds it; tombstones are not found.
pub(super) async fn in_transaction(tx: &mut Tx, uid: &UpstreamUid) -> Result<Option<UpstreamProvider>, StoreError> {
    let sql = upstream_providers!("AND uid = $1");
    tx.fetch_optional(sql, [uid.into()]).await?.as_ref().map(provider).transpose()
}

fn provider(row: &Row) -> Result<UpstreamProvider, StoreError> {
    Ok(UpstreamProvider {
        uid: row.uid("uid")?,
        name: row.text("name")?,
        // Whether loopback is taken was decided when the provider was made; it is reached only in development.
        issuer: row.parsed("issuer", |text| ForeignIssuer::parse(text, Development::On).ok())?,
        client_id: row.parsed("client_id", |text| Word::parse(text).ok())?,
        client_secret: row.optional_parsed("sealed_client_secret", |text| Sealed::parse(text).ok())?,
        settings: row.parsed("settings", upstream_json::read)?,
        version: row.int("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        disabled_at: row.optional_time("disabled_at")?,
    })
}
