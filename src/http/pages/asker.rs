//! Whoever asks, in the words of the pages.

use std::net::IpAddr;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::domain::audit::Origin;
use crate::issuer::sign_in::browser::Asking;

/// Whoever asks, as a template shows it. All of it is what somebody claims, the address apart.
pub(super) struct AskerView {
    pub(super) device: Option<String>,
    pub(super) address: Option<IpAddr>,
    pub(super) team: Option<String>,
    /// Whether it asks from where the browser is.
    pub(super) is_here: bool,
}

impl AskerView {
    pub(super) fn of(asking: &Asking, browser: &Origin) -> Self {
        Self {
            device: asking.device.clone(),
            address: asking.address,
            team: asking.team.clone(),
            is_here: asking.is_from(browser.address),
        }
    }
}

const CLOCK: &[BorrowedFormatItem<'static>] =
    format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");

/// `22 November 2026, 05:12 UTC`: where the browser is, nobody told us.
pub(super) fn clock(at: OffsetDateTime) -> String {
    at.format(CLOCK).unwrap_or_default()
}

/// The same for machines.
pub(super) fn machine(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// How long ago, in the words of a person.
pub(super) fn ago(at: OffsetDateTime, now: OffsetDateTime) -> String {
    match (now - at).whole_minutes() {
        ..=0 => "Less than a minute ago".to_owned(),
        1 => "A minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    #[test]
    fn times_are_told_as_people_tell_them() {
        let at = datetime!(2026-11-02 05:02:59 UTC);
        assert_eq!(clock(at), "2 November 2026, 05:02 UTC");
        assert_eq!(ago(at, at + Duration::seconds(59)), "Less than a minute ago");
        assert_eq!(ago(at, at - Duration::seconds(5)), "Less than a minute ago");
        assert_eq!(ago(at, at + Duration::seconds(119)), "A minute ago");
        assert_eq!(ago(at, at + Duration::minutes(9)), "9 minutes ago");
    }
}
