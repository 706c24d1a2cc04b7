//! `/v1/teams/{team}/service-accounts`.

use axum::Json;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfCreate, OfDelete, OfList, OfRead};
use super::capability::OfTeam;
use super::names;
use crate::domain::authority::{Registrar, RegistryReader};
use crate::domain::id::ServiceAccountUid;
use crate::domain::principal::Principal;
use crate::domain::subject::Subject;
use crate::domain::{label, team};
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Json as Body, Segments};
use crate::http::resource::create::{Create, Created, IdempotencyHeader};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageOf, PageQuery};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::issuer::admin::{ChangeServiceAccount, NewServiceAccount};
use crate::wire::admin::page::Page;
use crate::wire::admin::service_account as wire;
use crate::wire::admin::service_account::ServiceAccount;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, change, delete))
}

/// Lists the team's agents.
#[utoipa::path(get, path = "/v1/teams/{team}/service-accounts", operation_id = "list_service_accounts",
    tag = "Service accounts", params(("team" = String, Path, description = "The team's uid"), PageQuery),
    responses((status = 200, description = "A page of service accounts", body = Page<ServiceAccount>), OfList))]
async fn list(
    OfTeam(admin, team): OfTeam<RegistryReader>,
    PageOf(page): PageOf,
) -> Result<Json<Page<ServiceAccount>>, ProblemAnswer> {
    Ok(Json(page::answer(admin.service_accounts(&team, &page).await?, shown)))
}

/// Makes an agent; it belongs to the team for ever.
#[utoipa::path(post, path = "/v1/teams/{team}/service-accounts", operation_id = "create_service_account",
    tag = "Service accounts", params(("team" = String, Path, description = "The team's uid"), IdempotencyHeader),
    request_body = wire::CreateServiceAccount,
    responses((status = 201, description = "The service account", body = ServiceAccount, headers(("Location" = String), ("ETag" = String))), OfCreate))]
async fn create(
    OfTeam(admin, team): OfTeam<Registrar>,
    request: Create<wire::CreateServiceAccount>,
) -> Result<Created<ServiceAccount>, ProblemAnswer> {
    let new = new(request.body).map_err(ProblemAnswer::fields)?;
    let made = shown(admin.create_service_account(&team, new, request.repeatable).await?);
    Ok(Created::below(&request.at, &made.uid.clone(), Some(made.version), made))
}

/// Shows an agent.
#[utoipa::path(get, path = "/v1/teams/{team}/service-accounts/{uid}", operation_id = "read_service_account",
    tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid")),
    responses((status = 200, description = "The service account", body = ServiceAccount, headers(("ETag" = String))), OfRead))]
async fn read(
    OfTeam(admin, team): OfTeam<RegistryReader>,
    Segments((_, uid)): Segments<(String, String)>,
) -> Result<Versioned<ServiceAccount>, ProblemAnswer> {
    let account = shown(admin.service_account(&team, &names::uid(&uid)?).await?);
    Ok(Versioned(account.clone(), account.version))
}

/// Renames, disables or enables an agent. When a disable has returned, no mint of it can still commit.
#[utoipa::path(patch, path = "/v1/teams/{team}/service-accounts/{uid}", operation_id = "change_service_account",
    tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), IfMatchHeader),
    request_body = wire::ChangeServiceAccount,
    responses((status = 200, description = "The service account", body = ServiceAccount, headers(("ETag" = String))), OfChange))]
async fn change(
    OfTeam(admin, team): OfTeam<Registrar>,
    Segments((_, uid)): Segments<(String, String)>,
    IfMatch(expected): IfMatch,
    Body(body): Body<wire::ChangeServiceAccount>,
) -> Result<Versioned<ServiceAccount>, ProblemAnswer> {
    let uid = names::uid(&uid)?;
    let change = asked(body).map_err(ProblemAnswer::fields)?;
    let account = shown(admin.change_service_account(&team, &uid, expected, change).await?);
    Ok(Versioned(account.clone(), account.version))
}

/// Deletes an agent for ever, with its keys. Its uid is never used again.
#[utoipa::path(delete, path = "/v1/teams/{team}/service-accounts/{uid}", operation_id = "delete_service_account",
    tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), IfMatchHeader),
    responses((status = 204, description = "It is deleted"), OfDelete))]
async fn delete(
    OfTeam(admin, team): OfTeam<Registrar>,
    Segments((_, uid)): Segments<(String, String)>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ProblemAnswer> {
    admin.delete_service_account(&team, &names::uid(&uid)?, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn new(body: wire::CreateServiceAccount) -> Result<NewServiceAccount, Faults> {
    let mut fields = Fields::default();
    let uid = fields.optional("uid", body.uid, |uid| ServiceAccountUid::parse(&uid));
    let name = fields.name(&body.name);
    fields.finish(uid.zip(name).map(|(uid, name)| NewServiceAccount { uid, name }))
}

fn asked(body: wire::ChangeServiceAccount) -> Result<ChangeServiceAccount, Faults> {
    let mut fields = Fields::default();
    let name = fields.required_patch("name", body.name, |name| label::name(&name));
    let disabled = fields.required_patch("disabled", body.disabled, Ok::<_, &str>);
    fields.finish(name.zip(disabled).map(|(name, disabled)| ChangeServiceAccount { name, disabled }))
}

fn shown(account: team::ServiceAccount) -> ServiceAccount {
    let subject = Subject::new(account.team.clone(), Principal::ServiceAccount(account.uid.clone()));
    ServiceAccount {
        uid: account.uid.to_string(),
        team_uid: account.team.to_string(),
        name: account.name,
        subject: subject.to_string(),
        created_at: account.created_at,
        disabled_at: account.disabled_at,
        version: account.version,
    }
}
