//! What lists of runs are asked for and what is shown of a run, on whichever listener.

use axum::extract::FromRequestParts;
use http::request::Parts;
use time::OffsetDateTime;
use utoipa::IntoParams;

use super::fields::Fields;
use super::page;
use super::query::Members;
use crate::domain::access::RunsOf;
use crate::domain::id::{RunId, TeamUid};
use crate::domain::lifetime::Lifetime;
use crate::domain::principal::Principal;
use crate::domain::settings::SessionDuration;
use crate::http::error::{Code, ProblemAnswer};
use crate::store::{Page, RunFilter};
use crate::wire::run::{Run, RunSettings};

/// The team of a list of runs, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Asked reads")]
pub(in crate::http) struct TeamQuery {
    /// Of one team.
    team: Option<String>,
}

/// The rest of its query, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Asked reads")]
pub(in crate::http) struct RunsQuery {
    /// Of one principal: `user:<uid>` or `service_account:<uid>`.
    principal: Option<String>,
    /// `open` for those that go on.
    state: Option<String>,
}

/// Which runs are asked for.
pub(in crate::http) struct AskedFor {
    team: Option<TeamUid>,
    principal: Option<Principal>,
    open: bool,
    /// Which part of the list.
    pub(in crate::http) page: Page,
}

impl AskedFor {
    /// Those among `whose`.
    pub(in crate::http) fn filter(&self, whose: RunsOf, now: OffsetDateTime) -> RunFilter {
        let (team, principal) = (self.team.clone(), self.principal.clone());
        RunFilter { whose, team, principal, open_at: self.open.then_some(now) }
    }
}

/// What a query asks for; whether it may name a team. Where one stands in the path, it may not.
pub(in crate::http) struct Asked<const NAMES_TEAM: bool>(pub(in crate::http) AskedFor);

impl<S: Sync, const NAMES_TEAM: bool> FromRequestParts<S> for Asked<NAMES_TEAM> {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemAnswer> {
        let mut fields = Fields::default();
        let names: &[&str] = if NAMES_TEAM {
            &["limit", "after", "team", "principal", "state"]
        } else {
            &["limit", "after", "principal", "state"]
        };
        let mut members = Members::read(parts, names, &mut fields);
        let page = page::read(&mut members, &mut fields);
        let team = fields.optional("team", members.take("team"), |text| TeamUid::parse(&text));
        let principal = fields.optional("principal", members.take("principal"), |text| Principal::parse(&text));
        let open = fields
            .optional("state", members.take("state"), |text| if text == "open" { Ok(()) } else { Err("must be open") });
        let asked = (|| Some(AskedFor { team: team?, principal: principal?, open: open?.is_some(), page: page? }))();
        fields.finish(asked).map(Self).map_err(ProblemAnswer::fields)
    }
}

/// What is no run id names no run.
pub(in crate::http) fn id(text: &str) -> Result<RunId, ProblemAnswer> {
    RunId::parse(text).map_err(|_| ProblemAnswer::new(Code::RunNotFound, "no such run"))
}

/// A run as everybody who may know of it sees it.
pub(in crate::http) fn shown(run: crate::domain::run::Run, now: OffsetDateTime) -> Run {
    let layer = run.terms.layer.clone();
    Run {
        id: run.id.to_string(),
        team_uid: run.team.to_string(),
        principal: run.principal.to_string(),
        opener: format!("{}:{}", run.opener.kind, run.opener.credential),
        audiences: run.terms.audiences.iter().map(ToString::to_string).collect(),
        role_arn: run.terms.role.as_ref().map(ToString::to_string),
        lifetime_cap_seconds: run.terms.lifetime_cap.map(Lifetime::seconds),
        tokens_max: run.terms.tokens_max,
        tokens_issued: run.tokens_issued,
        labels: run.terms.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        provider_settings: RunSettings {
            disabled: layer.disabled.then_some(true),
            region: layer.region.map(|region| region.to_string()),
            session_duration_seconds: layer.session_duration.map(SessionDuration::seconds),
            models: layer.models.map(|map| map.into_iter().map(|(name, id)| (name, id.to_string())).collect()),
            allowed_models: layer.allowed_models.map(|list| list.iter().map(ToString::to_string).collect()),
            session_tags: layer.session_tags,
            source_identity: layer.source_identity,
        },
        state: run.state(now).as_str().to_owned(),
        created_at: run.created_at,
        ends_at: run.ends_at,
        ended_at: run.ended_at,
    }
}
