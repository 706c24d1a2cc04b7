//! `/v1/effective-settings`.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use http::request::Parts;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::OfList;
use super::capability::{self, OfTeam};
use crate::domain::authority::{TeamReader, Withheld};
use crate::domain::id::{RunId, ServiceAccountUid, TeamUid};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::policy::Refusal;
use crate::domain::settings::{self, Layer};
use crate::domain::team::Team;
use crate::http::error::ProblemAnswer;
use crate::http::resource::fields::Fields;
use crate::http::resource::query::Members;
use crate::http::resource::version::Versioned;
use crate::http::state::IssuerState;
use crate::issuer::admin::CapabilityError;
use crate::wire::admin::effective_settings::{EffectiveSettings, Sourced};

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(read))
}

/// Whose settings, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Whose reads")]
struct WhoseQuery {
    /// The team.
    team: String,
    /// One of its service accounts; people have the team's settings.
    service_account: Option<String>,
    /// One run of the team; its service account need not be named.
    run: Option<String>,
}

/// Whose settings are asked for.
struct Whose(OfTeam<TeamReader>, Option<ServiceAccountUid>, Option<RunId>);

/// Shows what the layers of provider settings come to, each value with the layer that said it.
#[utoipa::path(get, path = "/v1/effective-settings", operation_id = "read_effective_settings",
    tag = "Provider settings", params(WhoseQuery),
    responses((status = 200, description = "The settings", body = EffectiveSettings, headers(("ETag" = String))), OfList))]
async fn read(Whose(OfTeam(admin, team), account, run): Whose) -> Result<Versioned<EffectiveSettings>, ProblemAnswer> {
    let (team, settings) = admin.effective_settings(&team, account.as_ref(), run.as_ref()).await?;
    let issuer = admin.minting_url(&team);
    Ok(shown(team, settings, &issuer))
}

impl FromRequestParts<IssuerState> for Whose {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &IssuerState) -> Result<Self, ProblemAnswer> {
        let (caller, origin) = capability::caller(parts, state).await?;
        let mut fields = Fields::default();
        let mut members = Members::read(parts, &["team", "service_account", "run"], &mut fields);
        let team = match members.take("team") {
            Some(text) => fields.parse("team", TeamUid::parse(&text)),
            None => fields.parse("team", Err("is required")),
        };
        let account =
            fields.optional("service_account", members.take("service_account"), |text| ServiceAccountUid::parse(&text));
        let run = fields.optional("run", members.take("run"), |text| RunId::parse(&text));
        match fields.finish((|| Some((team?, account?, run?)))()) {
            Ok((team, account, run)) => {
                Ok(Self(capability::of_team(state, &caller, Some(team.as_str()), origin).await?, account, run))
            }
            // Who may look at no team at all is told that first.
            Err(faults) => match state.issuer()?.capability_in::<TeamReader>(&caller, None, &origin).await {
                Err(CapabilityError::Withheld(Withheld::Denied(denied))) => Err(denied.into()),
                Ok(_) | Err(_) => Err(ProblemAnswer::fields(faults)),
            },
        }
    }
}

fn shown(team: Team, settings: settings::EffectiveSettings, issuer: &IssuerUrl) -> Versioned<EffectiveSettings> {
    let fault = settings.first_hop().err().map(|fault| Refusal::Settings(fault).code().to_owned());
    let names = |models: BTreeMap<String, settings::ModelId>| {
        models.into_iter().map(|(name, id)| (name, id.to_string())).collect()
    };
    let shown = EffectiveSettings {
        disabled_by: settings.disabled_by.map(|layer| layer.to_string()),
        fault,
        region: settings.region.map(|said| sourced(said, |region| region.to_string())),
        role_arn: settings.role_arn.map(|said| sourced(said, |role| role.to_string())),
        session_duration_seconds: sourced(settings.session_duration, settings::SessionDuration::seconds),
        models: sourced(settings.models, names),
        allowed_models: settings
            .allowed_models
            .map(|said| sourced(said, |list| list.iter().map(ToString::to_string).collect())),
        session_tags: sourced(settings.session_tags, |on| on),
        source_identity: sourced(settings.source_identity, |on| on),
        base_url: settings.base_url.map(|said| sourced(said, |url| url.to_string())),
        sts_endpoint: settings.sts_endpoint.map(|said| sourced(said, |url| url.to_string())),
        issuer: issuer.to_string(),
        external_id: team.external_id,
        version: team.version,
    };
    Versioned(shown, team.version)
}

fn sourced<T, U>(said: settings::Sourced<T>, value: impl FnOnce(T) -> U) -> Sourced<U> {
    let layer = match said.layer {
        Some(layer @ (Layer::Team | Layer::ServiceAccount | Layer::Run)) => layer.to_string(),
        None => "default".to_owned(),
    };
    Sourced { value: value(said.value), layer }
}
