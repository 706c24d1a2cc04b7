//! The members of one request, each parsed and each fault kept, so that one answer names them all.

use std::fmt::Display;

use crate::domain::label;
use crate::wire::patch::Patch;
use crate::wire::problem::FieldError;

/// What is at fault, member by member.
pub(in crate::http) type Faults = Vec<FieldError>;

/// Faults found so far. A parse step answers `None` after noting its fault; [`Fields::finish`] then refuses.
#[derive(Debug, Default)]
pub(in crate::http) struct Fields(Faults);

impl Fields {
    /// The value of a member, or a noted fault.
    pub(in crate::http) fn parse<T, E: Display>(
        &mut self,
        field: impl Into<String>,
        parsed: Result<T, E>,
    ) -> Option<T> {
        parsed.map_err(|rule| self.refuse(field, rule)).ok()
    }

    /// The same of a member that may be absent.
    #[expect(clippy::option_option, reason = "at fault, absent and there are three things")]
    pub(in crate::http) fn optional<V, T, E: Display>(
        &mut self,
        field: &str,
        value: Option<V>,
        parse: impl FnOnce(V) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match value {
            None => Some(None),
            Some(value) => self.parse(field, parse(value)).map(Some),
        }
    }

    /// The same of a member of a change: kept, cleared or set.
    pub(in crate::http) fn patch<V, T, E: Display>(
        &mut self,
        field: &str,
        patch: Patch<V>,
        parse: impl FnOnce(V) -> Result<T, E>,
    ) -> Option<Patch<T>> {
        patch.try_map(|value| self.parse(field, parse(value)).ok_or(())).ok()
    }

    /// A member of a change that has no empty state: `None` keeps.
    #[expect(clippy::option_option, reason = "at fault, absent and there are three things")]
    pub(in crate::http) fn required_patch<V, T, E: Display>(
        &mut self,
        field: &str,
        patch: Patch<V>,
        parse: impl FnOnce(V) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match patch {
            Patch::Keep => Some(None),
            Patch::Clear => {
                self.refuse(field, "must not be null");
                None
            }
            Patch::Set(value) => self.parse(field, parse(value)).map(Some),
        }
    }

    /// A display name.
    pub(in crate::http) fn name(&mut self, text: &str) -> Option<String> {
        self.parse("name", label::name(text))
    }

    /// Each entry of a list of at most `max`, its faults named by index.
    pub(in crate::http) fn list<V, T>(
        &mut self,
        field: &str,
        max: usize,
        entries: impl IntoIterator<Item = V, IntoIter: ExactSizeIterator>,
        mut parse: impl FnMut(&mut Self, &str, V) -> Option<T>,
    ) -> Option<Vec<T>> {
        let entries = entries.into_iter();
        if entries.len() > max {
            self.refuse(field, format_args!("must have at most {max} entries"));
            return None;
        }
        let parsed: Vec<_> =
            entries.enumerate().map(|(at, entry)| parse(self, &format!("{field}.{at}"), entry)).collect();
        parsed.into_iter().collect()
    }

    /// Notes a fault.
    pub(in crate::http) fn refuse(&mut self, field: impl Into<String>, rule: impl Display) {
        self.0.push(FieldError { field: field.into(), rule: rule.to_string() });
    }

    /// What was parsed, where nothing was at fault.
    pub(in crate::http) fn finish<T>(self, value: Option<T>) -> Result<T, Faults> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}
