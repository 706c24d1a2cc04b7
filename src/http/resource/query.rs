//! The query of a list: known members, each once.

use std::collections::BTreeMap;

use http::request::Parts;

use super::fields::Fields;

/// The members of a query string.
pub(in crate::http) struct Members(BTreeMap<String, String>);

impl Members {
    /// Reads the query of `parts`; what is not in `known`, or stands twice, is noted as a fault.
    pub(in crate::http) fn read(parts: &Parts, known: &[&str], fields: &mut Fields) -> Self {
        let mut members = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                fields.refuse("query", format_args!("may hold only {}", known.join(", ")));
            } else if members.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                fields.refuse(name, "must stand only once");
            }
        }
        Self(members)
    }

    /// One member, where it is there.
    pub(in crate::http) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }
}
