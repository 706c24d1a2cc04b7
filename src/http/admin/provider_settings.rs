//! `/v1/teams/{team}/provider-settings`, and the same of one service account.

use std::fmt::Display;

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfRead};
use super::capability::OfTeam;
use super::names;
use crate::domain::authority::{TeamAdmin, TeamReader};
use crate::domain::endpoint::Endpoint;
use crate::domain::region::Region;
use crate::domain::role_arn::RoleArn;
use crate::domain::settings::{ModelId, ProviderLayer, SessionDuration};
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Json as Body, Segments};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::models::{MODELS_MAX, models};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::issuer::admin::LayerSeen;
use crate::wire::admin::provider_settings::{ChangeProviderSettings, ProviderSettings};
use crate::wire::patch::Patch;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(read, change)).routes(routes!(read_of_agent, change_of_agent))
}

/// Shows the team's own provider settings.
#[utoipa::path(get, path = "/v1/teams/{team}/provider-settings", operation_id = "read_provider_settings",
    tag = "Provider settings", params(("team" = String, Path, description = "The team's uid")),
    responses((status = 200, description = "What the layer says", body = ProviderSettings, headers(("ETag" = String))), OfRead))]
async fn read(OfTeam(admin, team): OfTeam<TeamReader>) -> Result<Versioned<ProviderSettings>, ProblemAnswer> {
    Ok(shown(admin.provider_layer(&team, None).await?))
}

/// Changes the team's own provider settings.
#[utoipa::path(patch, path = "/v1/teams/{team}/provider-settings", operation_id = "change_provider_settings",
    tag = "Provider settings", params(("team" = String, Path, description = "The team's uid"), IfMatchHeader),
    request_body = ChangeProviderSettings,
    responses((status = 200, description = "What the layer says", body = ProviderSettings, headers(("ETag" = String))), OfChange))]
async fn change(
    State(state): State<IssuerState>,
    OfTeam(admin, team): OfTeam<TeamAdmin>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ChangeProviderSettings>,
) -> Result<Versioned<ProviderSettings>, ProblemAnswer> {
    let edit = asked(body, state.allowed_endpoints()).map_err(ProblemAnswer::fields)?;
    Ok(shown(admin.change_provider_layer(&team, None, expected, edit).await?))
}

/// Shows what a service account's own layer says; what it leaves out, the team's settings say.
#[utoipa::path(get, path = "/v1/teams/{team}/service-accounts/{uid}/provider-settings",
    operation_id = "read_service_account_provider_settings", tag = "Provider settings",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid")),
    responses((status = 200, description = "What the layer says", body = ProviderSettings, headers(("ETag" = String))), OfRead))]
async fn read_of_agent(
    OfTeam(admin, team): OfTeam<TeamReader>,
    Segments((_, uid)): Segments<(String, String)>,
) -> Result<Versioned<ProviderSettings>, ProblemAnswer> {
    Ok(shown(admin.provider_layer(&team, Some(&names::uid(&uid)?)).await?))
}

/// Changes what a service account's own layer says.
#[utoipa::path(patch, path = "/v1/teams/{team}/service-accounts/{uid}/provider-settings",
    operation_id = "change_service_account_provider_settings", tag = "Provider settings",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), IfMatchHeader),
    request_body = ChangeProviderSettings,
    responses((status = 200, description = "What the layer says", body = ProviderSettings, headers(("ETag" = String))), OfChange))]
async fn change_of_agent(
    State(state): State<IssuerState>,
    OfTeam(admin, team): OfTeam<TeamAdmin>,
    Segments((_, uid)): Segments<(String, String)>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ChangeProviderSettings>,
) -> Result<Versioned<ProviderSettings>, ProblemAnswer> {
    let uid = names::uid(&uid)?;
    let edit = asked(body, state.allowed_endpoints()).map_err(ProblemAnswer::fields)?;
    Ok(shown(admin.change_provider_layer(&team, Some(&uid), expected, edit).await?))
}

fn asked(
    body: ChangeProviderSettings,
    listed: &[String],
) -> Result<impl Fn(&mut ProviderLayer) + Send + Sync + use<>, Faults> {
    let mut fields = Fields::default();
    let region = fields.patch("region", body.region, |text| Region::parse(&text));
    let role = fields.patch("role_arn", body.role_arn, |text| RoleArn::parse(&text));
    let duration = fields.patch("session_duration_seconds", body.session_duration_seconds, SessionDuration::new);
    let models = nested(body.models, |map| models(&mut fields, "models", map));
    let allowed = nested(body.allowed_models, |list| {
        fields.list("allowed_models", MODELS_MAX, list, |fields, at, id| fields.parse(at, ModelId::parse(&id)))
    });
    let base_url = fields.patch("base_url", body.base_url, |text| Endpoint::parse(&text, listed));
    let sts_endpoint = fields.patch("sts_endpoint", body.sts_endpoint, |text| Endpoint::parse(&text, listed));
    let parsed = (|| Some((region?, role?, duration?, models?, allowed?, base_url?, sts_endpoint?)))();
    let (region, role, duration, models, allowed, base_url, sts_endpoint) = fields.finish(parsed)?;
    let (disabled, tags, identity) = (body.disabled, body.session_tags, body.source_identity);
    Ok(move |layer: &mut ProviderLayer| {
        layer.disabled = disabled.clone().apply(Some(layer.disabled)).unwrap_or(false);
        set(&mut layer.region, &region);
        set(&mut layer.role_arn, &role);
        set(&mut layer.session_duration, &duration);
        set(&mut layer.models, &models);
        set(&mut layer.allowed_models, &allowed);
        set(&mut layer.session_tags, &tags);
        set(&mut layer.source_identity, &identity);
        set(&mut layer.base_url, &base_url);
        set(&mut layer.sts_endpoint, &sts_endpoint);
    })
}

/// A member whose faults lie deeper than its own name.
fn nested<V, T>(patch: Patch<V>, parse: impl FnOnce(V) -> Option<T>) -> Option<Patch<T>> {
    patch.try_map(|value| parse(value).ok_or(())).ok()
}

fn set<T: Clone>(value: &mut Option<T>, patch: &Patch<T>) {
    *value = patch.clone().apply(value.take());
}

fn shown(seen: LayerSeen) -> Versioned<ProviderSettings> {
    fn text<T: Display>(value: Option<&T>) -> Option<String> {
        value.map(ToString::to_string)
    }
    let LayerSeen { layer, version, external_id } = seen;
    let settings = ProviderSettings {
        disabled: layer.disabled,
        region: text(layer.region.as_ref()),
        role_arn: text(layer.role_arn.as_ref()),
        session_duration_seconds: layer.session_duration.map(SessionDuration::seconds),
        models: layer.models.map(|map| map.into_iter().map(|(name, id)| (name, id.to_string())).collect()),
        allowed_models: layer.allowed_models.map(|list| list.iter().map(ToString::to_string).collect()),
        session_tags: layer.session_tags,
        source_identity: layer.source_identity,
        base_url: text(layer.base_url.as_ref()),
        sts_endpoint: text(layer.sts_endpoint.as_ref()),
        external_id,
        version,
    };
    Versioned(settings, version)
}
