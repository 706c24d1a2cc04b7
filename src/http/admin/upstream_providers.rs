//! `/v1/upstream-providers`.

use axum::Json;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfCreate, OfDelete, OfList, OfRead};
use super::capability::Of;
use super::{Admin, names};
use crate::domain::authority::InstallationReader;
use crate::domain::id::UpstreamUid;
use crate::domain::secret::Secret;
use crate::domain::upstream::{
    CLIENT_SECRET_MAX, DOMAINS_MAX, EmailDomain, SCOPES_MAX, SessionLength, UpstreamSettings, Word,
};
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Json as Body, Segments};
use crate::http::resource::create::{Create, Created, IdempotencyHeader};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageOf, PageQuery};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::issuer::admin as issuer;
use crate::wire::admin::page::Page;
use crate::wire::admin::upstream_provider::{ChangeUpstreamProvider, CreateUpstreamProvider, UpstreamProvider};
use crate::wire::patch::Patch;
use crate::wire::secret_text::SecretText;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, change, delete))
}

/// Lists the providers at which people sign in, disabled ones among them, without our secrets there.
#[utoipa::path(get, path = "/v1/upstream-providers", operation_id = "list_upstream_providers", tag = "Sign-in",
    params(PageQuery),
    responses((status = 200, description = "A page of providers", body = Page<UpstreamProvider>), OfList))]
async fn list(
    Of(admin): Of<InstallationReader>,
    PageOf(page): PageOf,
) -> Result<Json<Page<UpstreamProvider>>, ProblemAnswer> {
    Ok(Json(page::answer(admin.upstream_providers(&page).await?, shown)))
}

/// Sets a provider up. Nothing is asked of it before somebody signs in there.
#[utoipa::path(post, path = "/v1/upstream-providers", operation_id = "create_upstream_provider", tag = "Sign-in",
    params(IdempotencyHeader), request_body = CreateUpstreamProvider,
    responses((status = 201, description = "The provider", body = UpstreamProvider, headers(("Location" = String), ("ETag" = String))), OfCreate))]
async fn create(
    Admin(admin): Admin,
    request: Create<CreateUpstreamProvider>,
) -> Result<Created<UpstreamProvider>, ProblemAnswer> {
    let new = new(request.body).map_err(ProblemAnswer::fields)?;
    let made = shown(admin.create_upstream_provider(new, request.repeatable).await?);
    Ok(Created::below(&request.at, &made.uid.clone(), Some(made.version), made))
}

/// Shows a provider, without our secret there.
#[utoipa::path(get, path = "/v1/upstream-providers/{uid}", operation_id = "read_upstream_provider", tag = "Sign-in",
    params(("uid" = String, Path, description = "The provider's uid")),
    responses((status = 200, description = "The provider", body = UpstreamProvider, headers(("ETag" = String))), OfRead))]
async fn read(
    Of(admin): Of<InstallationReader>,
    Segments(uid): Segments<String>,
) -> Result<Versioned<UpstreamProvider>, ProblemAnswer> {
    let provider = shown(admin.upstream_provider(&names::uid(&uid)?).await?);
    Ok(Versioned(provider.clone(), provider.version))
}

/// Changes, disables or enables a provider. When a disable has returned, sessions that began there mint nothing.
#[utoipa::path(patch, path = "/v1/upstream-providers/{uid}", operation_id = "change_upstream_provider", tag = "Sign-in",
    params(("uid" = String, Path, description = "The provider's uid"), IfMatchHeader),
    request_body = ChangeUpstreamProvider,
    responses((status = 200, description = "The provider", body = UpstreamProvider, headers(("ETag" = String))), OfChange))]
async fn change(
    Admin(admin): Admin,
    Segments(uid): Segments<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ChangeUpstreamProvider>,
) -> Result<Versioned<UpstreamProvider>, ProblemAnswer> {
    let uid = names::uid(&uid)?;
    let change = asked(body).map_err(ProblemAnswer::fields)?;
    let provider = shown(admin.change_upstream_provider(&uid, expected, change).await?);
    Ok(Versioned(provider.clone(), provider.version))
}

/// Deletes a provider for ever: our secret is erased, sessions that began there end, the uid is never used again.
#[utoipa::path(delete, path = "/v1/upstream-providers/{uid}", operation_id = "delete_upstream_provider",
    tag = "Sign-in", params(("uid" = String, Path, description = "The provider's uid"), IfMatchHeader),
    responses((status = 204, description = "It is deleted"), OfDelete))]
async fn delete(
    Admin(admin): Admin,
    Segments(uid): Segments<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ProblemAnswer> {
    admin.delete_upstream_provider(&names::uid(&uid)?, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn new(body: CreateUpstreamProvider) -> Result<issuer::NewUpstreamProvider, Faults> {
    let mut fields = Fields::default();
    let uid = fields.optional("uid", body.uid, |uid| UpstreamUid::parse(&uid));
    let name = fields.name(&body.name);
    let client_id = fields.parse("client_id", Word::parse(&body.client_id));
    let client_secret = fields.optional("client_secret", body.client_secret, secret);
    let usual = UpstreamSettings::new_provider();
    let scopes = match body.scopes {
        None => Some(usual.scopes),
        Some(list) => scopes(&mut fields, list),
    };
    let groups_claim = fields.optional("groups_claim", body.groups_claim, |claim| Word::parse(&claim));
    let email_domains = domains(&mut fields, body.email_domains.unwrap_or_default());
    let length = fields.optional("session_seconds", body.session_seconds, SessionLength::new);
    let new = || {
        Some(issuer::NewUpstreamProvider {
            uid: uid?,
            name: name?,
            issuer: body.issuer,
            client_id: client_id?,
            client_secret: client_secret?,
            settings: UpstreamSettings {
                scopes: scopes?,
                groups_claim: groups_claim?,
                email_domains: email_domains?,
                session_length: length?.unwrap_or(usual.session_length),
                require_verified_email: body.require_verified_email.unwrap_or(usual.require_verified_email),
            },
        })
    };
    fields.finish(new())
}

type Change<E> = issuer::ChangeUpstreamProvider<E>;

fn asked(body: ChangeUpstreamProvider) -> Result<Change<impl FnOnce(&mut UpstreamSettings) + Send>, Faults> {
    let mut fields = Fields::default();
    let name = fields.required_patch("name", body.name, |name| crate::domain::label::name(&name));
    let client_id = fields.required_patch("client_id", body.client_id, |id| Word::parse(&id));
    let client_secret = fields.patch("client_secret", body.client_secret, secret);
    let listed = body.scopes.try_map(|list| scopes(&mut fields, list).ok_or(())).ok();
    let groups_claim = fields.patch("groups_claim", body.groups_claim, |claim| Word::parse(&claim));
    let tied = body.email_domains.try_map(|list| domains(&mut fields, list).ok_or(())).ok();
    let length = fields.patch("session_seconds", body.session_seconds, SessionLength::new);
    let verified = body.require_verified_email;
    let disabled = fields.required_patch("disabled", body.disabled, Ok::<_, &str>);
    let change = || {
        let (listed, groups_claim, tied, length) = (listed?, groups_claim?, tied?, length?);
        let edit = move |settings: &mut UpstreamSettings| {
            let usual = UpstreamSettings::new_provider();
            set(&mut settings.scopes, listed, usual.scopes);
            settings.groups_claim = groups_claim.apply(settings.groups_claim.take());
            set(&mut settings.email_domains, tied, usual.email_domains);
            set(&mut settings.session_length, length, usual.session_length);
            set(&mut settings.require_verified_email, verified, usual.require_verified_email);
        };
        Some(Change {
            name: name?,
            client_id: client_id?,
            client_secret: match client_secret? {
                Patch::Keep => None,
                Patch::Clear => Some(None),
                Patch::Set(secret) => Some(Some(secret)),
            },
            edit,
            disabled: disabled?,
        })
    };
    fields.finish(change())
}

fn set<T>(value: &mut T, patch: Patch<T>, usual: T) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => *value = usual,
        Patch::Set(new) => *value = new,
    }
}

fn secret(text: SecretText) -> Result<Secret, &'static str> {
    let fits = (1..=CLIENT_SECRET_MAX).contains(&text.expose().len()) && !text.expose().chars().any(char::is_control);
    if fits { Ok(text.0) } else { Err("must have 1 to 1024 characters, none of them a control character") }
}

fn scopes(fields: &mut Fields, list: Vec<String>) -> Option<Vec<Word>> {
    let scope = |text: &str| match Word::parse(text) {
        Ok(word) if word.as_str() == "openid" => Err("openid is always asked for; leave it out".to_owned()),
        parsed => parsed.map_err(|rule| rule.to_string()),
    };
    once(fields.list("scopes", SCOPES_MAX, list, |fields, at, text| fields.parse(at, scope(&text))))
}

fn domains(fields: &mut Fields, list: Vec<String>) -> Option<Vec<EmailDomain>> {
    let parse = |fields: &mut Fields, at: &str, text: String| fields.parse(at, EmailDomain::parse(&text));
    once(fields.list("email_domains", DOMAINS_MAX, list, parse))
}

/// Each entry once, in the order of the first.
fn once<T: PartialEq>(list: Option<Vec<T>>) -> Option<Vec<T>> {
    list.map(|list| {
        list.into_iter().fold(Vec::new(), |mut kept, entry| {
            if !kept.contains(&entry) {
                kept.push(entry);
            }
            kept
        })
    })
}

fn shown(seen: issuer::UpstreamSeen) -> UpstreamProvider {
    let issuer::UpstreamSeen { provider, redirect_uri, logout_uri } = seen;
    UpstreamProvider {
        uid: provider.uid.to_string(),
        name: provider.name,
        issuer: provider.issuer.to_string(),
        client_id: provider.client_id.to_string(),
        has_client_secret: provider.client_secret.is_some(),
        redirect_uri,
        backchannel_logout_uri: logout_uri,
        scopes: provider.settings.scopes.iter().map(ToString::to_string).collect(),
        groups_claim: provider.settings.groups_claim.as_ref().map(ToString::to_string),
        email_domains: provider.settings.email_domains.iter().map(ToString::to_string).collect(),
        session_seconds: provider.settings.session_length.seconds(),
        require_verified_email: provider.settings.require_verified_email,
        created_at: provider.created_at,
        updated_at: provider.updated_at,
        disabled_at: provider.disabled_at,
        version: provider.version,
    }
}
