//! Which problems each kind of operation answers with, for the OpenAPI document.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::http::error::Code;

/// What every operation of the admin API may answer.
const ALWAYS: [Code; 10] = [
    Code::InvalidRequest,
    Code::CredentialRequired,
    Code::InvalidCredential,
    Code::NotPermitted,
    Code::PrincipalDisabled,
    Code::TeamDisabled,
    Code::RateLimited,
    Code::Internal,
    Code::Unavailable,
    Code::Timeout,
];

/// What every body may be refused for.
const BODY: [Code; 3] = [Code::InvalidJson, Code::BodyTooLarge, Code::UnsupportedMediaType];

/// The refusals of a list.
pub(super) struct OfList;
/// The refusals of reading one resource.
pub(super) struct OfRead;
/// The refusals of a create below the root.
pub(super) struct OfCreate;
/// The refusals of a change.
pub(super) struct OfChange;
/// The refusals of a delete.
pub(super) struct OfDelete;
/// The refusals of a change of signing keys.
pub(super) struct OfKeyChange;

impl IntoResponses for OfList {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(ALWAYS.into_iter().chain([Code::NotFound]))
    }
}

impl IntoResponses for OfRead {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(ALWAYS.into_iter().chain([Code::NotFound]))
    }
}

impl IntoResponses for OfCreate {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let more = [Code::NotFound, Code::UidTaken, Code::Conflict, Code::IdempotencyKeyReused];
        problems(ALWAYS.into_iter().chain(BODY).chain(more))
    }
}

impl IntoResponses for OfChange {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(ALWAYS.into_iter().chain(BODY).chain([Code::NotFound, Code::Conflict, Code::VersionMismatch]))
    }
}

impl IntoResponses for OfDelete {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let more = [Code::NotFound, Code::Conflict, Code::VersionMismatch];
        problems(ALWAYS.into_iter().chain(more))
    }
}

impl IntoResponses for OfKeyChange {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let more = [Code::NotFound, Code::Conflict, Code::StandbyTooYoung, Code::OutageNotAccepted];
        problems(ALWAYS.into_iter().chain(BODY).chain(more))
    }
}

/// One answer for each status, naming its codes.
pub(crate) fn problems(codes: impl IntoIterator<Item = Code>) -> BTreeMap<String, RefOr<Response>> {
    let mut of_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        of_status.entry(code.status().as_u16()).or_default().push(code);
    }
    let answer = |codes: Vec<Code>| {
        let words: Vec<_> = codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.title())).collect();
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let built = ResponseBuilder::new().description(words.join(". ")).content("application/problem+json", problem);
        RefOr::T(built.build())
    };
    of_status.into_iter().map(|(status, codes)| (status.to_string(), answer(codes))).collect()
}
