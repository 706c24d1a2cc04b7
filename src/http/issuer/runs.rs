//! `/v1/runs`.

use std::collections::BTreeMap;

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use time::{Duration, OffsetDateTime};

use crate::domain::access::{RunKeeper, RunOpener};
use crate::domain::audience::Audience;
use crate::domain::id::TeamUid;
use crate::domain::lifetime::Lifetime;
use crate::domain::principal::Principal;
use crate::domain::region::Region;
use crate::domain::requester::Requester;
use crate::domain::role_arn::RoleArn;
use crate::domain::run::{self, RunTerms};
use crate::domain::session_tag::{TagKey, TagValue};
use crate::domain::settings::{ModelId, ProviderLayer, SessionDuration};
use crate::domain::team::AUDIENCES_MAX;
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Bearer, ClientOrigin, Segments};
use crate::http::resource::create::{Create, Created, IdempotencyHeader};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::models::{MODELS_MAX, models};
use crate::http::resource::page::{self, PageQuery};
use crate::http::resource::runs::{self, Asked, RunsQuery, TeamQuery, shown};
use crate::http::state::IssuerState;
use crate::issuer::runs::NewRun;
use crate::wire::admin::page::Page as PageAnswer;
use crate::wire::problem::Problem;
use crate::wire::run::{OpenRun, OpenedRun, Run, RunSettings};
use crate::wire::secret_text::SecretText;

/// Opens a run: a bearer that does less than its opener, and never outlives it.
#[utoipa::path(post, path = "/v1/runs", operation_id = "open_run", tag = "runs", request_body = OpenRun,
    params(IdempotencyHeader), security(("bearer" = [])), responses(
    (status = 201, description = "The run; its bearer is shown this once.", body = OpenedRun,
        headers(("Location" = String))),
    (status = "default", description = "See the error catalogue.", body = Problem,
        content_type = "application/problem+json")))]
pub(super) async fn open(
    State(state): State<IssuerState>,
    Bearer(opener): Bearer<RunOpener>,
    ClientOrigin(origin): ClientOrigin,
    create: Create<OpenRun>,
) -> Result<Response, ProblemAnswer> {
    let issuer = state.issuer()?;
    let new = asked(create.body, issuer.now()).map_err(ProblemAnswer::fields)?;
    let requester = Requester::of_minter(&opener.0, new.team.as_ref());
    let opened = issuer.open_run(&opener, new, create.repeatable, &origin).await;
    let opened = opened.map_err(|error| ProblemAnswer::from(error).asked_by(requester))?;
    let name = opened.run.id.to_string();
    let body = OpenedRun { run: shown(opened.run, issuer.now()), bearer: opened.bearer.map(SecretText) };
    Ok(Created::below(&create.at, &name, None, body).into_response())
}

/// Lists runs, the newest first: one's own, those that one's platform key opened in the teams of its list, or to an
/// administrator all. Those of a team, to its admins and auditors: `/v1/teams/{team}/runs`.
#[utoipa::path(get, path = "/v1/runs", operation_id = "list_runs", tag = "runs", params(TeamQuery, RunsQuery, PageQuery),
    security(("bearer" = [])), responses(
    (status = 200, description = "A page of runs", body = PageAnswer<Run>),
    (status = "default", description = "See the error catalogue.", body = Problem,
        content_type = "application/problem+json")))]
pub(super) async fn list(
    State(state): State<IssuerState>,
    Bearer(keeper): Bearer<RunKeeper>,
    Asked(asked): Asked<true>,
) -> Result<Response, ProblemAnswer> {
    let issuer = state.issuer()?;
    let now = issuer.now();
    let page = issuer.runs(&asked.filter(keeper.whose, now), &asked.page).await?;
    let answer = page::answer(page, |run| shown(run, now));
    Ok(([(CACHE_CONTROL, "no-store")], JsonAnswer(answer)).into_response())
}

/// Shows a run.
#[utoipa::path(get, path = "/v1/runs/{run_id}", operation_id = "read_run", tag = "runs",
    params(("run_id" = String, Path, description = "Which run.")), security(("bearer" = [])), responses(
    (status = 200, description = "The run.", body = Run),
    (status = "default", description = "See the error catalogue.", body = Problem,
        content_type = "application/problem+json")))]
pub(super) async fn read(
    State(state): State<IssuerState>,
    Bearer(keeper): Bearer<RunKeeper>,
    Segments(run): Segments<String>,
) -> Result<Response, ProblemAnswer> {
    let issuer = state.issuer()?;
    let run = issuer.known_run(&keeper, &runs::id(&run)?).await?;
    Ok(([(CACHE_CONTROL, "no-store")], JsonAnswer(shown(run, issuer.now()))).into_response())
}

/// Ends a run before its time. When it has returned, its bearer gets no token.
#[utoipa::path(delete, path = "/v1/runs/{run_id}", operation_id = "end_run", tag = "runs",
    params(("run_id" = String, Path, description = "Which run.")), security(("bearer" = [])), responses(
    (status = 204, description = "It is over."),
    (status = "default", description = "See the error catalogue.", body = Problem,
        content_type = "application/problem+json")))]
pub(super) async fn end(
    State(state): State<IssuerState>,
    Bearer(keeper): Bearer<RunKeeper>,
    ClientOrigin(origin): ClientOrigin,
    Segments(run): Segments<String>,
) -> Result<StatusCode, ProblemAnswer> {
    state.issuer()?.end_run(&keeper, &runs::id(&run)?, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn asked(body: OpenRun, now: OffsetDateTime) -> Result<NewRun, Faults> {
    let mut fields = Fields::default();
    let on_behalf_of = fields.optional("on_behalf_of", body.on_behalf_of, |text| Principal::parse(&text));
    let team = fields.optional("team_uid", body.team_uid, |text| TeamUid::parse(&text));
    let audiences = audiences(&mut fields, body.audiences);
    let role = fields.optional("role_arn", body.role_arn, |text| RoleArn::parse(&text));
    let lifetime_cap = fields.optional("lifetime_cap_seconds", body.lifetime_cap_seconds, Lifetime::new);
    let tokens_max = fields.optional("tokens_max", body.tokens_max, run::tokens);
    let ends_at = match (body.ends_in_seconds, body.ends_at) {
        (Some(_), Some(_)) => {
            fields.refuse("ends_at", "must not stand beside ends_in_seconds");
            None
        }
        (Some(seconds), None) => {
            fields.parse("ends_in_seconds", run::end(now, now + Duration::seconds(seconds.into()))).map(Some)
        }
        (None, ends_at) => fields.optional("ends_at", ends_at, |at| run::end(now, at)),
    };
    let labels = labels(&mut fields, body.labels.unwrap_or_default());
    let layer = layer(&mut fields, body.provider_settings.unwrap_or_default());
    let new = (|| {
        let terms = RunTerms {
            audiences: audiences?,
            role: role?,
            lifetime_cap: lifetime_cap?,
            tokens_max: tokens_max?,
            labels: labels?,
            layer: layer?,
        };
        Some(NewRun { team: team?, on_behalf_of: on_behalf_of?, terms, ends_at: ends_at? })
    })();
    fields.finish(new)
}

/// Absent is the team's first; an empty list is somebody's mistake.
fn audiences(fields: &mut Fields, list: Option<Vec<String>>) -> Option<Vec<Audience>> {
    let Some(list) = list else { return Some(Vec::new()) };
    if list.is_empty() {
        fields.refuse("audiences", "must not be empty");
        return None;
    }
    let list =
        fields.list("audiences", AUDIENCES_MAX, list, |fields, at, text| fields.parse(at, Audience::parse(&text)))?;
    let mut once = Vec::with_capacity(list.len());
    for audience in list {
        if once.contains(&audience) {
            fields.refuse("audiences", "must not hold the same audience twice");
            return None;
        }
        once.push(audience);
    }
    Some(once)
}

fn labels(fields: &mut Fields, map: BTreeMap<String, String>) -> Option<BTreeMap<TagKey, TagValue>> {
    let pairs = fields.list("labels", run::LABELS_MAX, map, |fields, _, (key, value)| {
        let at = format!("labels.{key}");
        let key = fields.parse("labels", TagKey::parse(&key))?;
        Some((key, fields.parse(at, TagValue::parse(&value))?))
    })?;
    fields.parse("labels", run::labels(pairs))
}

fn layer(fields: &mut Fields, said: RunSettings) -> Option<ProviderLayer> {
    let region = fields.optional("provider_settings.region", said.region, |text| Region::parse(&text));
    let duration = fields.optional(
        "provider_settings.session_duration_seconds",
        said.session_duration_seconds,
        SessionDuration::new,
    );
    let named = said.models.map(|map| models(fields, "provider_settings.models", map));
    let allowed = said.allowed_models.map(|list| {
        fields.list("provider_settings.allowed_models", MODELS_MAX, list, |fields, at, id| {
            fields.parse(at, ModelId::parse(&id))
        })
    });
    Some(ProviderLayer {
        disabled: said.disabled.unwrap_or(false),
        region: region?,
        session_duration: duration?,
        models: whole(named)?,
        allowed_models: whole(allowed)?,
        session_tags: said.session_tags,
        source_identity: said.source_identity,
        ..ProviderLayer::default()
    })
}

/// Absent, or there without a fault.
#[expect(clippy::option_option, reason = "at fault, absent and there are three things")]
fn whole<T>(parsed: Option<Option<T>>) -> Option<Option<T>> {
    match parsed {
        None => Some(None),
        Some(parsed) => parsed.map(Some),
    }
}
