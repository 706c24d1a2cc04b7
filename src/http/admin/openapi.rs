//! The OpenAPI 3.1 document, made from the handlers: public, worker and admin routes of the issuer.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{self as spec, path::PathItem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{answers, remaining_link};
use crate::http::error::{Code, ProblemAnswer};
use crate::http::issuer;
use crate::http::state::IssuerState;
use crate::wire::problem::{FieldError, Problem};

/// What every 401 to the admin API asks for.
const OPERATOR: &str = "administrator_key";

#[derive(OpenApi)]
#[openapi(
    info(title = "Brevet", description = "The issuer's API. Errors of `/v1` are `application/problem+json`; docs/errors.md \
        has the catalogue. In a change an omitted member keeps and `null` clears; unknown members are refused. Lists are \
        pages: send `next` as `after`. Every versioned resource has an `ETag`, and `If-Match` is honoured. What switches \
        something off points, by `Link` or `Link-Template`, to the sessions that AWS goes on with."),
    components(schemas(Problem, FieldError)),
    servers((url = "/", description = "The admin listener for the admin routes, the public listener for the others"))
)]
struct Head;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(read))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "read_openapi", tag = "documents", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
async fn read() -> Result<Response, ProblemAnswer> {
    Ok(([(CONTENT_TYPE, "application/json")], text()?).into_response())
}

/// The document as JSON, made when it is asked for the first time: that takes some MiB and milliseconds, and anybody may
/// ask.
fn text() -> Result<Bytes, ProblemAnswer> {
    static TEXT: LazyLock<Result<Bytes, String>> = LazyLock::new(|| {
        let text = serde_json::to_vec(&document()).map_err(|error| error.to_string())?;
        Ok(text.into_boxed_slice().into())
    });
    TEXT.clone().map_err(ProblemAnswer::internal)
}

/// The whole document.
pub fn document() -> spec::OpenApi {
    let mut admin = super::description();
    remaining_link::describe(&mut admin);
    for item in admin.paths.paths.values_mut() {
        for operation in operations(item) {
            operation.security.get_or_insert_with(|| vec![SecurityRequirement::new(OPERATOR, [""; 0])]);
        }
    }
    let mut public = issuer::described().into_openapi();
    for item in public.paths.paths.values_mut() {
        // Those of `/oauth2` have another shape of errors and name them themselves.
        let problems =
            |operation: &&mut spec::path::Operation| operation.tags.as_deref() != Some(&["oauth".to_owned()]);
        for operation in operations(item).filter(problems) {
            let name = operation.operation_id.as_deref().unwrap_or_default();
            let codes = run_refusals(name).unwrap_or_else(|| refusals(name));
            operation.responses.responses.remove("default");
            operation.responses.responses.extend(answers::problems(codes.iter().copied()));
        }
    }
    let mut document = Head::openapi();
    document.merge(public);
    document.merge(admin);
    let components = document.components.get_or_insert_default();
    for (name, description) in [
        (OPERATOR, "An administrator's key, `bvt_ad_…`"),
        ("bearer", "A credential of the kind that the operation asks for"),
    ] {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        components.add_security_scheme(name, SecurityScheme::Http(bearer));
    }
    let words = "A service account's uid and one of its keys; client_id and client_secret in the form say the same";
    let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic).description(Some(words)).build();
    components.add_security_scheme("client_secret_basic", SecurityScheme::Http(basic));
    document
}

/// What each public operation refuses with.
fn refusals(operation: &str) -> &'static [Code] {
    use Code as C;
    match operation {
        "discovery" | "jwks" | "oauth_metadata" => &[C::Unavailable],
        "mint" => &[
            C::InvalidRequest,
            C::InvalidJson,
            C::TeamRequired,
            C::RoleRequired,
            C::RoleNotApplicable,
            C::OnBehalfOfRequired,
            C::CredentialRequired,
            C::InvalidCredential,
            C::NotPermitted,
            C::AudienceNotAllowed,
            C::AudienceNotInRun,
            C::AudienceReserved,
            C::RoleNotAllowed,
            C::AddressNotAllowed,
            C::RunRequired,
            C::RunExhausted,
            C::ProviderDisabled,
            C::SignInNotAccepted,
            C::PrincipalDisabled,
            C::TeamDisabled,
            C::TeamNotFound,
            C::PrincipalNotFound,
            C::BodyTooLarge,
            C::UnsupportedMediaType,
            C::RateLimited,
            C::Internal,
            C::Unavailable,
            C::Timeout,
        ],
        "exchange" => &[
            C::InvalidRequest,
            C::InvalidJson,
            C::CredentialRequired,
            C::InvalidCredential,
            C::NotPermitted,
            C::TeamNotServed,
            C::CallerNotAlive,
            C::SignInNotAccepted,
            C::AddressNotAllowed,
            C::RunRequired,
            C::RoleNotAllowed,
            C::ProviderDisabled,
            C::ProviderNotConfigured,
            C::ProviderMisconfigured,
            C::InvalidToken,
            C::BodyTooLarge,
            C::UnsupportedMediaType,
            C::RateLimited,
            C::Internal,
            C::Unavailable,
            C::Timeout,
        ],
        "open" => &[
            C::InvalidRequest,
            C::InvalidJson,
            C::EnrolmentCodeRefused,
            C::BodyTooLarge,
            C::UnsupportedMediaType,
            C::RateLimited,
            C::Internal,
            C::Unavailable,
            C::Timeout,
        ],
        _ => &[
            C::InvalidRequest,
            C::CredentialRequired,
            C::InvalidCredential,
            C::NotPermitted,
            C::PrincipalDisabled,
            C::TeamDisabled,
            C::NotFound,
            C::RateLimited,
            C::Internal,
            C::Unavailable,
            C::Timeout,
        ],
    }
}

/// What the operations on runs refuse with.
fn run_refusals(operation: &str) -> Option<&'static [Code]> {
    use Code as C;
    match operation {
        "open_run" => Some(&[
            C::InvalidRequest,
            C::InvalidJson,
            C::TeamRequired,
            C::RoleNotApplicable,
            C::OnBehalfOfRequired,
            C::CredentialRequired,
            C::InvalidCredential,
            C::NotPermitted,
            C::AudienceNotAllowed,
            C::AudienceReserved,
            C::RoleNotAllowed,
            C::ModelNotAllowed,
            C::SettingNotAllowed,
            C::AddressNotAllowed,
            C::SignInNotAccepted,
            C::PrincipalDisabled,
            C::TeamDisabled,
            C::TeamNotFound,
            C::PrincipalNotFound,
            C::RunNotFound,
            C::IdempotencyKeyReused,
            C::Conflict,
            C::BodyTooLarge,
            C::UnsupportedMediaType,
            C::RateLimited,
            C::Internal,
            C::Unavailable,
            C::Timeout,
        ]),
        "list_runs" | "read_run" | "end_run" => Some(&[
            C::InvalidRequest,
            C::CredentialRequired,
            C::InvalidCredential,
            C::NotPermitted,
            C::PrincipalDisabled,
            C::TeamDisabled,
            C::RunNotFound,
            C::RateLimited,
            C::Internal,
            C::Unavailable,
            C::Timeout,
        ]),
        _ => None,
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut spec::path::Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_24_the_document_is_made_once_however_often_it_is_asked_for() {
        let [one, other] = [(); 2].map(|()| text().unwrap_or_else(|_| panic!("it has a JSON form")));
        assert_eq!(one.as_ptr(), other.as_ptr());
    }
}
