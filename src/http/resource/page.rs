//! The page of a list that a request asks for: `?limit=1..200&after=`.

use axum::extract::FromRequestParts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use utoipa::IntoParams;

use super::fields::Fields;
use super::query::Members;
use crate::http::error::ProblemAnswer;
use crate::store::{PAGE_LIMIT_MAX, Page, Paged};
use crate::wire::admin::page::Page as PageAnswer;

/// Entries of a page where none are asked for.
const LIMIT_DEFAULT: u32 = 50;

/// The query of every list, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what PageOf reads")]
pub(in crate::http) struct PageQuery {
    /// Entries of the page, 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A list's query that holds nothing but its page.
pub struct PageOf(pub Page);

impl PageOf {
    /// Reads the query of `parts`.
    pub fn read(parts: &Parts) -> Result<Self, ProblemAnswer> {
        let mut fields = Fields::default();
        let mut members = Members::read(parts, &["limit", "after"], &mut fields);
        let page = read(&mut members, &mut fields);
        fields.finish(page).map(Self).map_err(ProblemAnswer::fields)
    }
}

impl<S: Sync> FromRequestParts<S> for PageOf {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemAnswer> {
        Self::read(parts)
    }
}

/// Takes `limit` and `after` from a query.
pub(in crate::http) fn read(members: &mut Members, fields: &mut Fields) -> Option<Page> {
    let limit = match members.take("limit") {
        None => Some(LIMIT_DEFAULT),
        Some(text) => {
            let limit = text.parse().ok().filter(|n| (1..=PAGE_LIMIT_MAX).contains(n));
            fields.parse("limit", limit.ok_or("must be a whole number from 1 to 200"))
        }
    };
    let after = fields.optional("after", members.take("after"), |text| {
        let cursor = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        cursor.ok_or("must be the next of an earlier page")
    });
    Some(Page { limit: limit?, after: after? })
}

/// Shapes a page. The store's cursor is wrapped, so that nobody reads or makes one.
pub(in crate::http) fn answer<T, U>(page: Paged<T>, entry: impl FnMut(T) -> U) -> PageAnswer<U> {
    PageAnswer { items: page.items.into_iter().map(entry).collect(), next: page.next.map(wrapped) }
}

/// A cursor as it is told.
pub(in crate::http) fn wrapped(cursor: String) -> String {
    URL_SAFE_NO_PAD.encode(cursor)
}
