//! The one statement that writes audit rows (on SQLite one for each 16), each only if what it says may still happen.
//!
//! What it writes and what it proves is the same for both databases; only how the rows get there differs: PostgreSQL
//! takes an array apart in less time than so many parameters, SQLite would read each row again for each of its members.

use std::collections::HashSet;
use std::iter::repeat_n;
use std::sync::LazyLock;

use serde_json::json;

use super::audit_columns::{COLUMNS, Members, STORED, names};
use super::audit_entry::Entry;
use super::autocommit::{Autocommit, Function, Kept};
use super::db::{Db, LIVENESS_LOCK, Row, Tx, Value, millis};
use super::error::StoreError;
use super::liveness::ALIVE;
use super::run_counts::RunCounts;
use crate::domain::audit::Event;
use crate::domain::id::EventId;

/// What became of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The row is committed: the token may leave.
    Released,
    /// Something it depends on has ended or changed; there is no row, and no token may leave. Reload and find
    /// out what.
    NotAlive,
    /// Its run has had all the tokens it was opened for; there is no row, and no token may leave.
    RunExhausted,
}

const fn verdict(released: bool) -> Verdict {
    if released { Verdict::Released } else { Verdict::NotAlive }
}

/// Most rows of one statement on SQLite, a power of two.
pub(super) const SQLITE_ROWS_MAX: usize = 16;

fn insert(rows: &str) -> String {
    let stored = &COLUMNS[..STORED];
    let (into, from) = (names(stored, "", |_| ""), names(stored, "r.", |_| ""));
    format!("INTO audit_events ({into}) SELECT {from} FROM {rows}{ALIVE}")
}

/// For 1, 2, 4, ... rows, each value a parameter of its own: so few texts stay prepared. A row that is missing is all
/// NULL, and so proves nothing.
static SQLITE: LazyLock<[String; SQLITE_ROWS_MAX.ilog2() as usize + 1]> = LazyLock::new(|| {
    let row = format!("({})", ["?"; COLUMNS.len()].join(", "));
    std::array::from_fn(|power| {
        let (columns, rows) = (names(&COLUMNS, "", |_| ""), vec![row.as_str(); 1 << power].join(", "));
        format!("WITH r ({columns}) AS (VALUES {rows}) INSERT {}", insert("r"))
    })
});

/// Rows travel as one JSON array, so the statement is the same text for any number of rows and is prepared once.
static POSTGRES: LazyLock<String> = LazyLock::new(|| {
    let columns = names(&COLUMNS, "", |column| if column.is_integer { " bigint" } else { " text" });
    format!("INSERT {}", insert(&format!("jsonb_to_recordset($1::jsonb) AS r({columns})")))
});

/// Of the rows of a bound array, those that are there. The order of the tables is the one to go: SQLite takes it so.
const SQLITE_THERE: &str = "SELECT e.id FROM json_each($1) r CROSS JOIN audit_events e
    ON e.at = r.value ->> 'at' AND e.id = r.value ->> 'id'";
const POSTGRES_THERE: &str = "SELECT e.id FROM jsonb_to_recordset($1::jsonb) AS r(at bigint, id text)
    JOIN audit_events e ON e.at = r.at AND e.id = r.id";

/// `entries` as a JSON array, in a buffer that seldom grows.
fn array(entries: &[&Entry]) -> Result<String, StoreError> {
    const ROW: usize = 1280;
    let rows: Vec<_> = entries.iter().map(|entry| Members(entry)).collect();
    let mut array = Vec::with_capacity(entries.len() * ROW);
    let written = serde_json::to_writer(&mut array, &rows).ok().and_then(|()| String::from_utf8(array).ok());
    written.ok_or_else(|| StoreError::Refused("an audit row is no JSON".to_owned()))
}

/// The statement that writes so many rows on SQLite, at most [`SQLITE_ROWS_MAX`], with its parameters.
fn on_sqlite(entries: &[&Entry]) -> (&'static str, Vec<Value>) {
    let rows = entries.len().next_power_of_two();
    let known = entries.iter().flat_map(|entry| COLUMNS.iter().map(|column| (column.of)(entry)));
    let missing = (rows - entries.len()) * COLUMNS.len();
    (&SQLITE[rows.ilog2() as usize], known.chain(repeat_n(Value::Text(None), missing)).collect())
}

/// What the statements that look for rows are asked with.
fn keys(entries: &[&Entry]) -> Value {
    let key = |entry: &&Entry| json!({"at": millis(entry.event.at), "id": entry.event.id.to_string()});
    json!(entries.iter().map(key).collect::<Vec<_>>()).to_string().into()
}

fn ids(rows: &[Row]) -> Result<HashSet<EventId>, StoreError> {
    rows.iter().map(|row| row.handle("id")).collect()
}

/// Writes `entries` and tells which of them were written; nothing where all were, which is nearly always and spares the
/// way back. One row that the database refuses fails them all.
async fn write(tx: &mut Tx, entries: &[&Entry]) -> Result<Option<HashSet<EventId>>, StoreError> {
    let written = if tx.is_postgres() {
        tx.execute(&POSTGRES, [array(entries)?.into()]).await?
    } else {
        let mut written = 0;
        for entries in entries.chunks(SQLITE_ROWS_MAX) {
            let (sql, values) = on_sqlite(entries);
            written += tx.execute(sql, values).await?;
        }
        written
    };
    if usize::try_from(written) == Ok(entries.len()) {
        return Ok(None);
    }
    let sql = if tx.is_postgres() { POSTGRES_THERE } else { SQLITE_THERE };
    ids(&tx.fetch_all(sql, [keys(entries)]).await?).map(Some)
}

/// The same behind the lock of liveness.
static FUNCTION: LazyLock<Function> = LazyLock::new(|| {
    let insert = &*POSTGRES;
    let statements = format!(
        "PERFORM set_config('synchronous_commit', 'on', true), pg_advisory_xact_lock_shared({LIVENESS_LOCK});
        {insert}"
    );
    Function::new("write_audit_rows", &statements)
});

/// Writes `entries` in a transaction of their own, and tells what became of them, in their order.
pub(super) async fn commit(db: &Db, kept: &mut Kept, entries: &[Entry]) -> Result<Vec<Verdict>, StoreError> {
    if !entries.iter().any(RunCounts::counts)
        && let Some(mut connection) = db.autocommit(kept).await?
        && let Some(verdicts) = commit_at_once(&mut connection, entries).await?
    {
        connection.keep(kept);
        return Ok(verdicts);
    }
    kept.tidy();
    let mut tx = db.begin_batch().await?;
    let verdicts = write_counted(&mut tx, entries).await?;
    tx.commit().await?;
    Ok(verdicts)
}

/// The same where one statement does it, which is a transaction by itself; `None` where none can. `BEGIN` and `COMMIT` would
/// be errands of their own, and within a transaction SQLite would keep a copy of each page that the statement changes, to
/// undo it alone.
async fn commit_at_once(connection: &mut Autocommit, entries: &[Entry]) -> Result<Option<Vec<Verdict>>, StoreError> {
    let rows: Vec<_> = entries.iter().collect();
    let (written, there) = match connection {
        Autocommit::Sqlite(_) if rows.len() > SQLITE_ROWS_MAX => (None, SQLITE_THERE),
        Autocommit::Sqlite(writer) => {
            let (sql, values) = on_sqlite(&rows);
            (Some(writer.execute(sql, values).await?), SQLITE_THERE)
        }
        Autocommit::Postgres(session) => (session.call(&FUNCTION, &array(&rows)?).await?, POSTGRES_THERE),
    };
    let Some(written) = written else { return Ok(None) };
    if usize::try_from(written) == Ok(entries.len()) {
        return Ok(Some(vec![Verdict::Released; entries.len()]));
    }
    // They are committed: that it cannot be told which is no refusal of any.
    let there = connection.fetch_all(there, [keys(&rows)]).await.and_then(|rows| ids(&rows));
    let there = there.map_err(|error| StoreError::Unavailable(format!("what was written cannot be told: {error}")))?;
    Ok(Some(entries.iter().map(|entry| verdict(there.contains(&entry.event.id))).collect()))
}

/// Writes `entries`, of each run no more than it has left, and tells what became of them, in their order.
///
/// A token that was taken for an entry whose proof then fails goes to the next one: only where every token is really
/// out is a run exhausted. Without entries of runs that is one statement, with them nearly always.
pub(super) async fn write_counted(tx: &mut Tx, entries: &[Entry]) -> Result<Vec<Verdict>, StoreError> {
    let mut counts = RunCounts::lock(tx, entries).await?;
    let mut verdicts = vec![Verdict::RunExhausted; entries.len()];
    let mut waiting: Vec<usize> = (0..entries.len()).collect();
    loop {
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|&at| counts.take(&entries[at]));
        if now.is_empty() {
            break;
        }
        let rows: Vec<_> = now.iter().map(|&at| &entries[at]).collect();
        let written = write(tx, &rows).await?;
        for at in now {
            let released = written.as_ref().is_none_or(|written| written.contains(&entries[at].event.id));
            verdicts[at] = verdict(released);
            if !released {
                counts.give_back(&entries[at]);
            }
        }
        waiting = later;
    }
    if !counts.is_empty() {
        counts.save(tx).await?;
    }
    Ok(verdicts)
}

impl Tx {
    /// Writes the audit row of one of several changes in their transaction.
    pub(super) async fn note(&mut self, event: &Event) -> Result<(), StoreError> {
        write(self, &[&Entry { event: event.clone(), proof: None }]).await.map(drop)
    }
}
