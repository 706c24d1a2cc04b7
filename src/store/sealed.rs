//! Everything sealed in the store, wherever it lies, so that a change of the key-encryption key misses nothing.

use std::fmt;

use time::OffsetDateTime;

use super::Store;
use super::db::Row;
use super::error::{ChangeError, StoreError};
use crate::domain::audit::Event;
use crate::domain::id::{IssuerId, UpstreamUid};
use crate::domain::sealed::Sealed;
use crate::domain::signing_key::Kid;

/// Where a sealed text lies. A closed list: a column `sealed_…` that is missing here fails a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedPlace {
    /// The private half of a signing key: `signing_keys.sealed_private`.
    SigningKey {
        /// Of which issuer.
        issuer: IssuerId,
        /// Its name.
        kid: Kid,
    },
    /// A key of the installation that signs nothing: `installation_keys.sealed_key`.
    InstallationKey {
        /// The shared issuer, under which its audit rows are.
        issuer: IssuerId,
        /// Its name.
        name: String,
    },
    /// Our secret at a sign-in provider: `upstream_providers.sealed_client_secret`.
    UpstreamClientSecret {
        /// The shared issuer, under which its audit rows are.
        issuer: IssuerId,
        /// At which provider.
        provider: UpstreamUid,
    },
}

impl fmt::Display for SealedPlace {
    /// As audit rows name their targets: `<kind>:<uid>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SigningKey { kid, .. } => write!(f, "signing_key:{kid}"),
            Self::InstallationKey { name, .. } => write!(f, "installation_key:{name}"),
            Self::UpstreamClientSecret { provider, .. } => write!(f, "upstream_provider:{provider}"),
        }
    }
}

/// A sealed text and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedText {
    /// Where.
    pub place: SealedPlace,
    /// What.
    pub text: Sealed,
    /// From when on nobody needs to open it any more: the key signs no longer, or is distrusted.
    pub unneeded_from: Option<OffsetDateTime>,
}

impl SealedText {
    /// Whether somebody may have to open it at `now` or later.
    pub fn is_needed(&self, now: OffsetDateTime) -> bool {
        self.unneeded_from.is_none_or(|from| from > now)
    }
}

impl Store {
    /// Every sealed text there is, of every issuer. What was destroyed is not among them.
    pub async fn sealed(&self) -> Result<Vec<SealedText>, StoreError> {
        let sql = "SELECT issuer_id, kid, sealed_private, sign_until, revoked_at
            FROM signing_keys WHERE forgotten_at IS NULL ORDER BY kid";
        let mut sealed: Vec<_> = self.db.fetch_all(sql, []).await?.iter().map(signing_key).collect::<Result<_, _>>()?;
        let sql = "SELECT k.name, k.sealed_key, i.id AS issuer_id FROM installation_keys k
            JOIN issuers i ON i.team_uid IS NULL ORDER BY k.name";
        for row in self.db.fetch_all(sql, []).await? {
            sealed.push(installation_key(&row)?);
        }
        let sql = "SELECT p.uid, p.sealed_client_secret, i.id AS issuer_id FROM upstream_providers p
            JOIN issuers i ON i.team_uid IS NULL WHERE p.sealed_client_secret IS NOT NULL ORDER BY p.uid";
        for row in self.db.fetch_all(sql, []).await? {
            sealed.push(upstream_client_secret(&row)?);
        }
        Ok(sealed)
    }

    /// Puts `new` in the place of the text that was read; `false` where another text lies there by now, and then
    /// nothing is changed.
    pub async fn replace_sealed(&self, old: &SealedText, new: &Sealed, event: &Event) -> Result<bool, ChangeError> {
        let mut tx = self.db.change(event).await?;
        let changed = match &old.place {
            SealedPlace::SigningKey { issuer, kid } => {
                let sql = "UPDATE signing_keys SET sealed_private = $1
                    WHERE issuer_id = $2 AND kid = $3 AND sealed_private = $4 AND forgotten_at IS NULL";
                let text = old.text.as_str();
                tx.execute(sql, [new.as_str().into(), (*issuer).into(), kid.as_str().into(), text.into()]).await?
            }
            SealedPlace::InstallationKey { name, .. } => {
                let sql = "UPDATE installation_keys SET sealed_key = $1 WHERE name = $2 AND sealed_key = $3";
                tx.execute(sql, [new.as_str().into(), name.as_str().into(), old.text.as_str().into()]).await?
            }
            SealedPlace::UpstreamClientSecret { provider, .. } => {
                let sql = "UPDATE upstream_providers SET sealed_client_secret = $1
                    WHERE uid = $2 AND sealed_client_secret = $3";
                tx.execute(sql, [new.as_str().into(), provider.into(), old.text.as_str().into()]).await?
            }
        };
        if changed == 0 {
            return Ok(false);
        }
        tx.commit_with(event).await?;
        Ok(true)
    }
}

fn signing_key(row: &Row) -> Result<SealedText, StoreError> {
    Ok(SealedText {
        place: SealedPlace::SigningKey {
            issuer: row.handle("issuer_id")?,
            kid: row.parsed("kid", |text| Kid::parse(text).ok())?,
        },
        text: row.parsed("sealed_private", |text| Sealed::parse(text).ok())?,
        unneeded_from: row.optional_time("sign_until")?.into_iter().chain(row.optional_time("revoked_at")?).min(),
    })
}

fn installation_key(row: &Row) -> Result<SealedText, StoreError> {
    Ok(SealedText {
        place: SealedPlace::InstallationKey { issuer: row.handle("issuer_id")?, name: row.text("name")? },
        text: row.parsed("sealed_key", |text| Sealed::parse(text).ok())?,
        unneeded_from: None,
    })
}

fn upstream_client_secret(row: &Row) -> Result<SealedText, StoreError> {
    Ok(SealedText {
        place: SealedPlace::UpstreamClientSecret { issuer: row.handle("issuer_id")?, provider: row.uid("uid")? },
        text: row.parsed("sealed_client_secret", |text| Sealed::parse(text).ok())?,
        unneeded_from: None,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_sealed_column_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut columns = std::collections::BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            columns.extend(words.filter(|word| word.starts_with("sealed")).map(str::to_owned));
        }
        let listed = ["sealed_private", "sealed_key", "sealed_client_secret"].map(str::to_owned);
        assert_eq!(columns, listed.into(), "a sealed column needs its place in `SealedPlace`, or reseal misses it");
    }
}
