//! How many tokens a run has had: taken with the audit row of each, exact on any number of replicas.

use std::collections::BTreeMap;

use super::audit_entry::Entry;
use super::db::Tx;
use super::error::StoreError;
use crate::domain::audit::Action;

/// The counts of the runs that a batch mints for. From [`RunCounts::lock`] to the end of the transaction nobody else
/// changes them: PostgreSQL holds the rows (in the order of their ids, so that no two replicas wait for each other in
/// a ring), SQLite has one writer.
pub(super) struct RunCounts(BTreeMap<String, Count>);

struct Count {
    before: i64,
    issued: i64,
    max: Option<i64>,
}

/// The run whose count an entry takes from: a token of its bearer. What a worker gets by exchange is not counted; it
/// ends with the run like everything else.
fn counted(entry: &Entry) -> Option<&str> {
    let mints = entry.proof.is_some() && entry.event.action == Action::TokenMint;
    entry.event.token.as_ref().filter(|_| mints)?.run_id.as_deref()
}

impl RunCounts {
    /// Whether `entry` takes a token of a run.
    pub(super) fn counts(entry: &Entry) -> bool {
        counted(entry).is_some()
    }

    /// Reads and holds the counts; without an entry of a run there is nothing to ask.
    pub(super) async fn lock(tx: &mut Tx, entries: &[Entry]) -> Result<Self, StoreError> {
        let runs: std::collections::BTreeSet<_> = entries.iter().filter_map(counted).collect();
        if runs.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let sql = if tx.is_postgres() {
            "SELECT id, tokens_issued, tokens_max FROM runs
             WHERE id IN (SELECT jsonb_array_elements_text($1::jsonb)) ORDER BY id FOR UPDATE"
        } else {
            "SELECT id, tokens_issued, tokens_max FROM runs WHERE id IN (SELECT value FROM json_each($1))"
        };
        let ids = serde_json::json!(runs).to_string();
        let mut counts = BTreeMap::new();
        for row in tx.fetch_all(sql, [ids.into()]).await? {
            let issued = row.int("tokens_issued")?;
            counts.insert(row.text("id")?, Count { before: issued, issued, max: row.optional_int("tokens_max")? });
        }
        Ok(Self(counts))
    }

    /// Whether no entry is counted.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a token of the entry's run; `false` where none is left. Of a run that is not there nothing is taken: its
    /// proof fails.
    pub(super) fn take(&mut self, entry: &Entry) -> bool {
        let Some(count) = self.of(entry) else { return true };
        let left = count.max.is_none_or(|max| count.issued < max);
        count.issued += i64::from(left);
        left
    }

    /// Gives back what was taken for an entry that was not written.
    pub(super) fn give_back(&mut self, entry: &Entry) {
        if let Some(count) = self.of(entry) {
            count.issued -= 1;
        }
    }

    fn of(&mut self, entry: &Entry) -> Option<&mut Count> {
        self.0.get_mut(counted(entry)?)
    }

    /// Writes what was taken.
    pub(super) async fn save(self, tx: &mut Tx) -> Result<(), StoreError> {
        let taken = self.0.iter().filter(|(_, count)| count.issued != count.before);
        let rows: Vec<_> = taken.map(|(id, count)| serde_json::json!({ "id": id, "issued": count.issued })).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let sql = if tx.is_postgres() {
            "UPDATE runs SET tokens_issued = v.issued FROM jsonb_to_recordset($1::jsonb) AS v(id text, issued bigint)
             WHERE runs.id = v.id"
        } else {
            "UPDATE runs SET tokens_issued = v.value ->> 'issued' FROM json_each($1) AS v
             WHERE runs.id = v.value ->> 'id'"
        };
        tx.execute(sql, [serde_json::Value::from(rows).to_string().into()]).await.map(drop)
    }
}
