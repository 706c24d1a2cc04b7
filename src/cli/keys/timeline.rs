//! The plan of the keys as bars over time: published, signing, retired.

use time::OffsetDateTime;

use crate::cli::output::Paint;
use crate::cli::remote::stamp;
use crate::wire::admin::signing_key::{KeyPlan, PlannedKey};

/// Columns of a bar.
const WIDTH: usize = 64;

/// What stands for each state of a key.
struct Marks {
    published: char,
    signs: char,
    retired: char,
    now: char,
}

/// Without colour there may be no Unicode either: a serial console, a mail, a log.
const ASCII: Marks = Marks { published: '.', signs: '#', retired: '=', now: '|' };
const UNICODE: Marks = Marks { published: '░', signs: '█', retired: '▒', now: '│' };

/// One bar a key, a scale above them and a legend below.
pub(super) fn drawn(paint: Paint, plan: &KeyPlan) -> String {
    let marks = if paint.is_on() { &UNICODE } else { &ASCII };
    let scale = Scale::of(plan);
    let label = |key: &PlannedKey| short(&key.key);
    let width = plan.keys.iter().map(|key| label(key).chars().count()).max().unwrap_or_default();
    let mut lines = vec![format!("{:width$}  {}", "", paint.dim(scale.dates()))];
    for key in &plan.keys {
        let bar: String = (0..WIDTH).map(|column| mark(marks, &scale, key, column, plan.from)).collect();
        let kind = format!("{} {}", key.algorithm, key.bits);
        lines.push(format!(
            "{}  {}  {}",
            paint.name(format!("{:width$}", label(key))),
            bars(paint, &bar),
            paint.dim(kind)
        ));
    }
    let Marks { published, signs, retired, now } = marks;
    let legend = format!("{published} published   {signs} signs   {retired} retired   {now} now");
    lines.push(format!("{:width$}  {}", "", paint.dim(legend)));
    lines.join("\n")
}

/// The signing part stands out.
fn bars(paint: Paint, bar: &str) -> String {
    let (before, rest) = bar.split_at(bar.find(['█', '#']).unwrap_or(bar.len()));
    let (signs, after) =
        rest.split_at(rest.rfind(['█', '#']).map_or(0, |at| at + rest[at..].chars().next().map_or(0, char::len_utf8)));
    format!("{before}{}{after}", if signs.is_empty() { String::new() } else { paint.good(signs) })
}

/// A kid is known by its beginning.
fn short(key: &str) -> String {
    key.chars().take(11).collect()
}

struct Scale {
    from: OffsetDateTime,
    until: OffsetDateTime,
}

impl Scale {
    /// A twentieth of the plan before its beginning, so that what was shows too.
    fn of(plan: &KeyPlan) -> Self {
        Self { from: plan.from - (plan.until - plan.from) / 20, until: plan.until }
    }

    /// The instant at which a column begins.
    fn at(&self, column: usize) -> OffsetDateTime {
        let share = i32::try_from(column).unwrap_or(i32::MAX);
        self.from + (self.until - self.from) * share / i32::try_from(WIDTH).unwrap_or(i32::MAX)
    }

    /// The first and the last day, at the ends of the bars.
    fn dates(&self) -> String {
        let (first, last) = (stamp(self.from), stamp(self.until));
        let day = |stamp: &str| stamp.chars().take(10).collect::<String>();
        format!("{:<width$}{}", day(&first), day(&last), width = WIDTH - 10)
    }
}

/// What stands in one column. Anything that begins within it shows, however short: signing before the rest.
fn mark(marks: &Marks, scale: &Scale, key: &PlannedKey, column: usize, now: OffsetDateTime) -> char {
    let (begins, ends) = (scale.at(column), scale.at(column + 1));
    let within = |from: Option<OffsetDateTime>, until: Option<OffsetDateTime>| {
        from.is_some_and(|from| from < ends) && until.is_none_or(|until| until > begins)
    };
    let published = Some(key.publish_from);
    if within(key.sign_from, key.sign_until) {
        marks.signs
    } else if within(published, key.sign_from.or(key.publish_until)) {
        marks.published
    } else if within(key.sign_until, key.publish_until) {
        marks.retired
    } else if (begins..ends).contains(&now) {
        marks.now
    } else {
        ' '
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::wire::admin::signing_key::{KeySchedule, PlanProof};

    const NOW: OffsetDateTime = datetime!(2026-11-22 00:00 UTC);

    fn plan() -> KeyPlan {
        let day = |days: i64| NOW + Duration::days(days);
        let key = |name: &str, publish: i64, sign: i64, stop: Option<i64>| PlannedKey {
            key: name.to_owned(),
            algorithm: "RS256".to_owned(),
            bits: 2048,
            publish_from: day(publish),
            sign_from: Some(day(sign)),
            sign_until: stop.map(day),
            publish_until: stop.map(|stop| day(stop) + Duration::hours(3)),
        };
        KeyPlan {
            from: NOW,
            until: day(60),
            schedule: KeySchedule {
                max_age_seconds: 3600,
                export_lag_seconds: 3600,
                clock_error_seconds: 5,
                oldest_snapshot_seconds: 60,
                publish_before_sign_seconds: 90_000,
                keep_after_sign_seconds: 10_800,
                rotation_period_seconds: 2_592_000,
            },
            keys: vec![
                key("first-key-of-43-characters", -2, -2, Some(28)),
                key("second-key", -2, 28, Some(58)),
                key("new-1", 28, 58, None),
            ],
            changes: Vec::new(),
            proof: PlanProof {
                holds: true,
                turns: 3,
                oldest_copy_seconds: 7205,
                longest_life_seconds: 3900,
                tried: 1,
                gaps: Vec::new(),
            },
        }
    }

    #[test]
    fn bars_are_plain_ascii_without_colour_and_each_state_has_its_mark() {
        let drawn = drawn(Paint::none(), &plan());
        assert_eq!(
            drawn,
            "             2026-11-19                                            2027-01-21\n\
             first-key-o   ###############################                                  RS256 2048\n\
             second-key    ..............................###############################=   RS256 2048\n\
             new-1           |                           ..............................###  RS256 2048\n\
             \u{20}            . published   # signs   = retired   | now"
        );
        assert!(drawn.is_ascii());
    }
}
