//! The months of the audit table on PostgreSQL: made ahead, and dropped whole when their retention is over.

use time::{Date, Month, OffsetDateTime, Time};

use super::Store;
use super::db::millis;
use super::error::StoreError;
use super::migrate::lock;

/// How many months ahead of now have a partition of their own.
const MONTHS_AHEAD: usize = 3;
/// How long a drop may wait for those who read or write the table: whoever comes after it waits behind it.
const BRIEF: &str = "SELECT set_config('lock_timeout', '300', true)";

impl Store {
    /// Makes the partitions of this month and those ahead; on SQLite there are none. A month whose rows already
    /// lie in the default partition stays there.
    pub async fn make_audit_partitions(&self, now: OffsetDateTime) -> Result<(), StoreError> {
        let mut month = first_of_month(now.date());
        for _ in 0..=MONTHS_AHEAD {
            let mut tx = self.db.begin().await?;
            if !tx.is_postgres() {
                return Ok(());
            }
            lock(&mut tx).await?;
            let next = next_month(month);
            let name = format!("audit_events_{:04}_{:02}", month.year(), u8::from(month.month()));
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS {name} PARTITION OF audit_events FOR VALUES FROM ({}) TO ({})",
                bound(month),
                bound(next)
            );
            let exists = "SELECT 1 AS one WHERE to_regclass($1) IS NOT NULL";
            if tx.fetch_optional(exists, [name.as_str().into()]).await?.is_none() {
                match tx.run_script(&sql).await {
                    Ok(()) => tx.commit().await?,
                    Err(StoreError::Refused(problem)) => {
                        tracing::warn!(partition = name, problem, "an audit partition could not be made");
                    }
                    Err(other) => return Err(other),
                }
            }
            month = next;
        }
        Ok(())
    }

    /// Drops the months that lie wholly before `before`, and tells their names; on SQLite there are none. What is busy
    /// stays until the next time, as do rows of the default partition: [`Store::forget_events_before`] deletes those.
    pub async fn drop_audit_partitions_before(&self, before: OffsetDateTime) -> Result<Vec<String>, StoreError> {
        let mut dropped = Vec::new();
        let mut tx = self.db.begin().await?;
        if !tx.is_postgres() {
            return Ok(dropped);
        }
        let sql = "SELECT c.relname::TEXT AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                   WHERE i.inhparent = to_regclass('audit_events') ORDER BY c.relname";
        let names = tx.fetch_all(sql, []).await?.iter().map(|row| row.text("name")).collect::<Result<Vec<_>, _>>()?;
        drop(tx);
        for name in names {
            let Some(month) = month_of(&name).filter(|month| bound(next_month(*month)) <= millis(before)) else {
                continue;
            };
            let mut tx = self.db.begin().await?;
            lock(&mut tx).await?;
            tx.execute(BRIEF, []).await?;
            // Another replica may have been faster.
            let done = tx.run_script(&format!("DROP TABLE IF EXISTS {name}")).await;
            match done {
                Ok(()) => {
                    tx.commit().await?;
                    tracing::info!(month = %month, "the audit rows of a month are past their retention and gone");
                    dropped.push(name);
                }
                Err(error) => {
                    tracing::warn!(partition = name, cause = %error, "an audit partition could not be dropped yet");
                }
            }
        }
        Ok(dropped)
    }
}

/// The month of a partition that we have made, by its name.
fn month_of(name: &str) -> Option<Date> {
    let (year, month) = name.strip_prefix("audit_events_")?.split_once('_')?;
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(year.parse().ok()?, month, 1).ok()
}

fn bound(date: Date) -> i64 {
    millis(date.with_time(Time::MIDNIGHT).assume_utc())
}

fn first_of_month(date: Date) -> Date {
    date.replace_day(1).unwrap_or(date)
}

fn next_month(first: Date) -> Date {
    let year = if first.month() == Month::December { first.year() + 1 } else { first.year() };
    Date::from_calendar_date(year, first.month().next(), 1).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_each_other_across_the_year() {
        let december = Date::from_calendar_date(2026, Month::December, 31).unwrap();
        assert_eq!(next_month(first_of_month(december)).to_string(), "2027-01-01");
        let february = Date::from_calendar_date(2028, Month::February, 29).unwrap();
        assert_eq!(next_month(first_of_month(february)).to_string(), "2028-03-01");
    }

    #[test]
    fn only_names_of_ours_have_a_month() {
        assert_eq!(month_of("audit_events_2026_11").unwrap().to_string(), "2026-11-01");
        for other in ["audit_events_default", "audit_events_2026_13", "audit_events", "teams", "audit_events_x_1"] {
            assert_eq!(month_of(other), None, "{other}");
        }
    }
}
