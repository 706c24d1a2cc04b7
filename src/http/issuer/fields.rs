//! Members of requests as domain types: the field and the rule it breaks.

use std::fmt::Display;

use crate::wire::problem::FieldError;

/// Collects what breaks a rule, so that one answer names all of it.
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldError>);

impl Fields {
    /// Parses one member, or notes its rule.
    pub fn parse<T, V, E: Display>(
        &mut self,
        field: &str,
        value: V,
        parse: impl FnOnce(V) -> Result<T, E>,
    ) -> Option<T> {
        match parse(value) {
            Ok(parsed) => Some(parsed),
            Err(rule) => {
                self.0.push(FieldError { field: field.to_owned(), rule: rule.to_string() });
                None
            }
        }
    }

    /// Nothing, or the answer that names every broken rule.
    pub fn finish(self) -> Result<(), crate::http::error::ProblemAnswer> {
        if self.0.is_empty() { Ok(()) } else { Err(crate::http::error::ProblemAnswer::fields(self.0)) }
    }
}
