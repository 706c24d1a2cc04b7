//! Trust rules of service accounts. A deleted one stays as a tombstone: what was got under it names it.

use time::OffsetDateTime;

use super::Store;
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError, check_version};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use super::trust_json;
use crate::domain::audit::Event;
use crate::domain::foreign_issuer::ForeignIssuer;
use crate::domain::id::{ServiceAccountUid, TeamUid, TrustRuleId};
use crate::domain::issuer_url::Development;
use crate::domain::trust::{RULES_MAX, TrustRule, TrustRuleRecord};

/// What to change of a trust rule; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct TrustRuleChange {
    /// Another name.
    pub name: Option<String>,
    /// What it says from now on, about the same issuer.
    pub rule: Option<TrustRule>,
    #[expect(clippy::option_option, reason = "keep, switch on and switch off are three things")]
    /// `Some(Some(_))` switches it off, `Some(None)` on again.
    pub disabled_at: Option<Option<OffsetDateTime>>,
}

/// A living service account and its living rules about one issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusting {
    /// Its team, which is alive too.
    pub team: TeamUid,
    /// The rules, the oldest first; there is at least one.
    pub rules: Vec<TrustRuleRecord>,
}

/// A rule's columns in the order of no particular importance; each query adds where and how many.
macro_rules! trust_rules {
    () => {
        "SELECT x.id, x.service_account_uid, x.name, x.issuer, x.rule, x.version, x.created_at, x.updated_at,
            x.last_used_at, x.disabled_at, a.team_uid
         FROM trust_rules x JOIN service_accounts a ON a.uid = x.service_account_uid AND a.deleted_at IS NULL
         WHERE x.deleted_at IS NULL "
    };
}

impl Store {
    /// Saves a new rule of a living service account, which has at most [`RULES_MAX`].
    pub async fn create_trust_rule(
        &self,
        record: &TrustRuleRecord,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        // Locks the account's row, so that two creates count one after the other.
        let alive = "UPDATE service_accounts SET version = version WHERE uid = $1 AND deleted_at IS NULL RETURNING uid";
        if tx.fetch_optional(alive, [(&record.service_account).into()]).await?.is_none() {
            return Err(ChangeError::NotFound);
        }
        let count = "SELECT count(*) AS rules FROM trust_rules WHERE service_account_uid = $1 AND deleted_at IS NULL";
        let counted = tx.fetch_optional(count, [(&record.service_account).into()]).await?;
        let rules = counted.map_or(Ok(0), |row| row.int("rules"))?;
        if usize::try_from(rules).is_ok_and(|rules| rules >= RULES_MAX) {
            return Err(ChangeError::Conflict("trust_rules_max"));
        }
        tx.execute(
            "INSERT INTO trust_rules (id, service_account_uid, name, issuer, rule, version, created_at, updated_at,
                disabled_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)",
            [
                record.id.into(),
                (&record.service_account).into(),
                record.name.as_str().into(),
                record.rule.issuer().as_str().into(),
                trust_json::write(&record.rule)?.into(),
                record.version.into(),
                record.created_at.into(),
                record.disabled_at.into(),
            ],
        )
        .await?;
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// One rule of a service account; tombstones are not found.
    pub async fn trust_rule(
        &self,
        account: &ServiceAccountUid,
        id: TrustRuleId,
    ) -> Result<Option<TrustRuleRecord>, StoreError> {
        let sql = concat!(trust_rules!(), "AND x.id = $1 AND x.service_account_uid = $2");
        self.db.fetch_optional(sql, [id.into(), account.into()]).await?.as_ref().map(trust_rule).transpose()
    }

    /// A page of a service account's rules, the oldest first.
    pub async fn trust_rules(
        &self,
        account: &ServiceAccountUid,
        page: &Page,
    ) -> Result<Paged<TrustRuleRecord>, StoreError> {
        let sql = concat!(trust_rules!(), "AND x.service_account_uid = $1 AND x.id > $2 ORDER BY x.id LIMIT $3");
        let rows = self.db.fetch_page(sql, [account.into(), page.after()?.into(), page.fetch().into()]).await?;
        let rules = rows.iter().map(trust_rule).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(rules, |rule| rule.id.to_string()))
    }

    /// Who trusts `issuer` here: `account` with its rules about exactly that issuer, if all of them are alive and
    /// there is one. `None` says nothing about which of these is missing.
    pub async fn trusting(&self, account: &ServiceAccountUid, issuer: &str) -> Result<Option<Trusting>, StoreError> {
        let sql = concat!(
            trust_rules!(),
            "AND x.service_account_uid = $1 AND x.issuer = $2 AND x.disabled_at IS NULL AND a.disabled_at IS NULL
             AND EXISTS (SELECT 1 FROM teams t WHERE t.uid = a.team_uid AND t.disabled_at IS NULL
                AND t.deleted_at IS NULL) ORDER BY x.id"
        );
        let rows = self.db.fetch_all(sql, [account.into(), issuer.into()]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let rules = rows.iter().map(trust_rule).collect::<Result<_, _>>()?;
        Ok(Some(Trusting { team: first.uid("team_uid")?, rules }))
    }

    /// Changes a rule if its version is `expected`. When it has returned, what was got under a rule that now says
    /// something else, or is off, mints nothing.
    pub async fn update_trust_rule(
        &self,
        account: &ServiceAccountUid,
        id: TrustRuleId,
        expected: Option<i64>,
        change: &TrustRuleChange,
        event: &Event,
    ) -> Result<TrustRuleRecord, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let mut record = live(&mut tx, account, id, expected).await?;
        if let Some(name) = &change.name {
            record.name.clone_from(name);
        }
        if let Some(disabled_at) = change.disabled_at {
            record.disabled_at = disabled_at;
        }
        if let Some(rule) = change.rule.as_ref().filter(|rule| **rule != record.rule) {
            record.rule = rule.clone();
            // Whether a token still fits, nobody can tell: it was not kept.
            let sql = "UPDATE credentials SET revoked_at = $2 WHERE trust_rule_id = $1 AND revoked_at IS NULL";
            tx.execute(sql, [id.into(), event.at.into()]).await?;
        }
        record.version += 1;
        record.updated_at = event.at;
        tx.execute(
            "UPDATE trust_rules SET name = $2, rule = $3, disabled_at = $4, version = $5, updated_at = $6 WHERE id = $1",
            [
                id.into(),
                record.name.as_str().into(),
                trust_json::write(&record.rule)?.into(),
                record.disabled_at.into(),
                record.version.into(),
                record.updated_at.into(),
            ],
        )
        .await?;
        tx.commit_with(event).await?;
        Ok(record)
    }

    /// Deletes a rule. When it has returned, what was got under it mints nothing.
    pub async fn delete_trust_rule(
        &self,
        account: &ServiceAccountUid,
        id: TrustRuleId,
        expected: Option<i64>,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        live(&mut tx, account, id, expected).await?;
        for sql in [
            "UPDATE trust_rules SET deleted_at = $2, updated_at = $2, version = version + 1 WHERE id = $1",
            "UPDATE credentials SET revoked_at = COALESCE(revoked_at, $2) WHERE trust_rule_id = $1",
        ] {
            tx.execute(sql, [id.into(), event.at.into()]).await?;
        }
        Ok(tx.commit_with(event).await?)
    }
}

/// Locks a rule's row if the rule is on and still of `version`, and tells whether it is. A change of the rule locks the
/// same row first (`live`): either it waits until what is got under the old version is there to be revoked, or it has
/// been before and this is false.
pub(super) async fn hold(tx: &mut Tx, id: TrustRuleId, version: i64) -> Result<bool, StoreError> {
    let sql = "UPDATE trust_rules SET version = version
        WHERE id = $1 AND version = $2 AND disabled_at IS NULL AND deleted_at IS NULL";
    Ok(tx.execute(sql, [id.into(), version.into()]).await? == 1)
}

/// Notes that a token was taken under a rule, to the minute.
pub(super) async fn touch(tx: &mut Tx, id: TrustRuleId, at: OffsetDateTime) -> Result<(), StoreError> {
    let sql = "UPDATE trust_rules SET last_used_at = $2 WHERE id = $1 AND COALESCE(last_used_at, 0) <= $2 - 60000";
    tx.execute(sql, [id.into(), at.into()]).await.map(drop)
}

/// The rule, locked against [`hold`] until the transaction ends.
async fn live(
    tx: &mut Tx,
    account: &ServiceAccountUid,
    id: TrustRuleId,
    expected: Option<i64>,
) -> Result<TrustRuleRecord, ChangeError> {
    // A statement of its own: what is read and revoked after it sees whatever held the row before.
    tx.execute("UPDATE trust_rules SET version = version WHERE id = $1 AND deleted_at IS NULL", [id.into()]).await?;
    let sql = concat!(trust_rules!(), "AND x.id = $1 AND x.service_account_uid = $2");
    let row = tx.fetch_optional(sql, [id.into(), account.into()]).await?.ok_or(ChangeError::NotFound)?;
    let record = trust_rule(&row)?;
    check_version(expected, record.version)?;
    Ok(record)
}

fn trust_rule(row: &Row) -> Result<TrustRuleRecord, StoreError> {
    // Whether loopback is taken was decided when the rule was made; it is reached only in development.
    let issuer = row.parsed("issuer", |text| ForeignIssuer::parse(text, Development::On).ok())?;
    Ok(TrustRuleRecord {
        id: row.handle("id")?,
        service_account: row.uid("service_account_uid")?,
        name: row.text("name")?,
        rule: trust_json::read(issuer, &row.text("rule")?)?,
        version: row.int("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        last_used_at: row.optional_time("last_used_at")?,
        disabled_at: row.optional_time("disabled_at")?,
    })
}
