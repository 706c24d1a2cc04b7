//! `/v1/users/{user}/identities`: who people are at the providers where they sign in.

use axum::Json;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfCreate, OfDelete, OfRead};
use super::capability::Of;
use super::{Admin, names};
use crate::domain::authority::InstallationReader;
use crate::domain::id::UpstreamUid;
use crate::domain::upstream;
use crate::http::error::ProblemAnswer;
use crate::http::extract::Segments;
use crate::http::resource::create::{Create, Created, IdempotencyHeader};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::state::IssuerState;
use crate::store::UpstreamIdentity;
use crate::wire::admin::identity::{CreateIdentity, Identities, Identity};

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, link)).routes(routes!(unlink))
}

/// Lists who a person is at the providers that are there.
#[utoipa::path(get, path = "/v1/users/{user}/identities", operation_id = "list_identities", tag = "People",
    params(("user" = String, Path, description = "The person's uid")),
    responses((status = 200, description = "The identities", body = Identities), OfRead))]
async fn list(
    Of(reading): Of<InstallationReader>,
    Segments(user): Segments<String>,
) -> Result<Json<Identities>, ProblemAnswer> {
    let identities = reading.identities(&names::uid(&user)?).await?;
    Ok(Json(Identities { items: identities.into_iter().map(shown).collect() }))
}

/// Says that a provider's subject is this person: so somebody made known before their first sign-in is met by it.
#[utoipa::path(post, path = "/v1/users/{user}/identities", operation_id = "link_identity", tag = "People",
    params(("user" = String, Path, description = "The person's uid"), IdempotencyHeader), request_body = CreateIdentity,
    responses((status = 201, description = "The identity", body = Identity), OfCreate))]
async fn link(
    Admin(admin): Admin,
    Segments(user): Segments<String>,
    request: Create<CreateIdentity>,
) -> Result<Created<Identity>, ProblemAnswer> {
    let user = names::uid(&user)?;
    let (provider, subject) = new(request.body).map_err(ProblemAnswer::fields)?;
    let linked = admin.link_identity(&user, provider, subject, request.repeatable).await?;
    Ok(Created { body: shown(linked), location: None, version: None })
}

/// Takes that back. When it has returned, sessions that began with it mint nothing.
#[utoipa::path(delete, path = "/v1/users/{user}/identities/{provider}/{subject}", operation_id = "unlink_identity",
    tag = "People",
    params(("user" = String, Path, description = "The person's uid"), ("provider" = String, Path, description = "The provider's uid"), ("subject" = String, Path, description = "The provider's name for the person, percent-encoded")),
    responses((status = 204, description = "It is taken back"), OfDelete))]
async fn unlink(
    Admin(admin): Admin,
    Segments((user, provider, subject)): Segments<(String, String, String)>,
) -> Result<StatusCode, ProblemAnswer> {
    admin.unlink_identity(&names::uid(&user)?, &names::uid(&provider)?, &subject).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn new(body: CreateIdentity) -> Result<(UpstreamUid, String), Faults> {
    let mut fields = Fields::default();
    let provider = fields.parse("provider_uid", UpstreamUid::parse(&body.provider_uid));
    let subject = fields.parse("subject", upstream::subject(&body.subject));
    fields.finish((|| Some((provider?, subject?)))())
}

fn shown(identity: UpstreamIdentity) -> Identity {
    Identity {
        provider_uid: identity.provider.to_string(),
        subject: identity.subject,
        created_by: identity.created_by.map(|id| id.to_string()),
        created_at: identity.created_at,
        signed_in_at: identity.signed_in_at,
    }
}
