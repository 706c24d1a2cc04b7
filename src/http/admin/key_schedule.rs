//! `/v1/signing-keys/plan`, `/schedule` and `/documents`: what is to come, by which numbers, and what is published.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use http::request::Parts;
use time::{Duration, OffsetDateTime};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Admin;
use super::answers::{OfChange, OfRead};
use super::capability::Of;
use super::signing_keys::{OfTeam, TeamQuery};
use crate::domain::authority::InstallationReader;
use crate::domain::id::TeamUid;
use crate::domain::key_schedule::ScheduleNumbers;
use crate::domain::rotation::{self, Gap, KeyRef, Proof, Span, Transition};
use crate::http::error::ProblemAnswer;
use crate::http::extract::Json as Body;
use crate::http::resource::fields::Fields;
use crate::http::resource::query::Members;
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::issuer::admin::{ChangeNumbers, KeysPlan};
use crate::issuer::oauth::metadata::METADATA_PATH;
use crate::issuer::publish::{DISCOVERY_PATH, Document, JWKS_PATH};
use crate::issuer::refusals::Unavailable;
use crate::wire::admin::signing_key::{
    ChangeKeySchedule, KeyPlan, KeySchedule, PlanGap, PlanProof, PlannedChange, PlannedKey, PublicDocument,
    PublicDocuments,
};

/// Most failing pairs of one answer.
const GAPS_MAX: usize = 10;
/// How far a plan looks ahead where nothing else is asked, and at most.
const DAYS: u32 = 90;
const DAYS_MAX: u32 = 3650;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(plan)).routes(routes!(read, change)).routes(routes!(documents))
}

/// How far ahead, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Ahead reads")]
struct AheadQuery {
    /// The team whose private issuer's keys are meant; those of the shared issuer where absent.
    team: Option<String>,
    /// How many days ahead, 1 to 3650; 90 where absent.
    days: Option<u32>,
}

/// Whose keys, and how far ahead.
struct Ahead(Option<TeamUid>, u32);

impl<S: Sync> FromRequestParts<S> for Ahead {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemAnswer> {
        let mut fields = Fields::default();
        let mut members = Members::read(parts, &["team", "days"], &mut fields);
        let team = fields.optional("team", members.take("team"), |text| TeamUid::parse(&text));
        let days = fields.optional("days", members.take("days"), |text| {
            let days = text.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
            days.ok_or("must be a whole number from 1 to 3650")
        });
        let asked = team.zip(days).map(|(team, days)| Self(team, days.unwrap_or(DAYS)));
        fields.finish(asked).map_err(ProblemAnswer::fields)
    }
}

/// Shows what becomes of the keys if every replica runs and the public `jwks_uri` shows what is published, and tries it
/// on every copy of the JWKS that a verifier may hold.
#[utoipa::path(get, path = "/v1/signing-keys/plan", operation_id = "plan_signing_keys", tag = "Signing keys",
    params(AheadQuery),
    responses((status = 200, description = "The plan", body = KeyPlan), OfRead))]
async fn plan(Of(admin): Of<InstallationReader>, Ahead(team, days): Ahead) -> Result<Json<KeyPlan>, ProblemAnswer> {
    let keys = admin.keys_of(team.as_ref()).await?;
    let (plan, proof) = keys.proven_plan(Duration::days(days.into())).await?;
    Ok(Json(planned(&plan, &proof)))
}

/// Shows the numbers by which keys follow each other.
#[utoipa::path(get, path = "/v1/signing-keys/schedule", operation_id = "read_key_schedule", tag = "Signing keys",
    params(TeamQuery),
    responses((status = 200, description = "The numbers", body = KeySchedule, headers(("ETag" = String))), OfRead))]
async fn read(
    Of(admin): Of<InstallationReader>,
    OfTeam(team): OfTeam,
) -> Result<Versioned<KeySchedule>, ProblemAnswer> {
    Ok(versioned(&admin.keys_of(team.as_ref()).await?.numbers().await?))
}

/// Changes numbers. Those that would leave a verifier without a key are refused with the arithmetic; a hand-over that
/// would come too early by the new ones is postponed with them.
#[utoipa::path(patch, path = "/v1/signing-keys/schedule", operation_id = "change_key_schedule", tag = "Signing keys",
    params(TeamQuery, IfMatchHeader), request_body = ChangeKeySchedule,
    responses((status = 200, description = "The numbers", body = KeySchedule, headers(("ETag" = String))), OfChange))]
async fn change(
    Admin(admin): Admin,
    OfTeam(team): OfTeam,
    IfMatch(expected): IfMatch,
    Body(body): Body<ChangeKeySchedule>,
) -> Result<Versioned<KeySchedule>, ProblemAnswer> {
    let keys = admin.keys_of(team.as_ref()).await?;
    keys.renumber(asked(body), expected).await?;
    Ok(versioned(&keys.numbers().await?))
}

/// Shows the public documents of every issuer as this replica publishes them, for a copy on a CDN.
#[utoipa::path(get, path = "/v1/signing-keys/documents", operation_id = "export_public_documents",
    tag = "Signing keys",
    responses((status = 200, description = "The documents and how to serve them", body = PublicDocuments), OfRead))]
async fn documents(
    State(state): State<IssuerState>,
    Of(admin): Of<InstallationReader>,
) -> Result<Json<PublicDocuments>, ProblemAnswer> {
    let numbers = admin.keys_of(None).await?.numbers().await?;
    let published = state.publication().current().ok_or(Unavailable::Starting)?;
    let root = state.url().path();
    let mut copy = Copy::default();
    copy.issuer(root, published.max_age, &published.jwks, &published.discovery);
    // The same document at both of its addresses (RFC 8414, section 3.1); without a path they are one.
    let metadata = state.oauth_metadata();
    copy.add(format!("{root}{METADATA_PATH}"), published.max_age, metadata);
    if !root.is_empty() {
        copy.add(format!("{METADATA_PATH}{root}"), published.max_age, metadata);
    }
    for (team, published) in state.teams().all() {
        copy.issuer(&format!("{root}/t/{team}"), published.max_age, &published.jwks, &published.discovery);
    }
    Ok(Json(PublicDocuments { items: copy.0, export_again_within_seconds: numbers.export_lag }))
}

/// The documents of a copy, in the order in which it must change.
#[derive(Default)]
struct Copy(Vec<PublicDocument>);

impl Copy {
    /// The keys before the document that names where they are: a copy that is half made is not found yet.
    fn issuer(&mut self, root: &str, max_age: u32, jwks: &Document, discovery: &Document) {
        self.add(format!("{root}{JWKS_PATH}"), max_age, jwks);
        self.add(format!("{root}{DISCOVERY_PATH}"), max_age, discovery);
    }

    fn add(&mut self, path: String, max_age: u32, document: &Document) {
        self.0.push(PublicDocument {
            path,
            body: String::from_utf8_lossy(&document.body).into_owned(),
            content_type: "application/json".to_owned(),
            cache_control: format!("public, max-age={max_age}"),
            etag: document.etag.clone(),
        });
    }
}

const fn asked(body: ChangeKeySchedule) -> ChangeNumbers {
    let ChangeKeySchedule {
        max_age_seconds: max_age,
        export_lag_seconds: export_lag,
        clock_error_seconds: clock_error,
        oldest_snapshot_seconds: oldest_snapshot,
        publish_before_sign_seconds: publish_before_sign,
        keep_after_sign_seconds: keep_after_sign,
        rotation_period_seconds: rotation_period,
    } = body;
    ChangeNumbers {
        max_age,
        export_lag,
        clock_error,
        oldest_snapshot,
        publish_before_sign,
        keep_after_sign,
        rotation_period,
    }
}

fn versioned(numbers: &ScheduleNumbers) -> Versioned<KeySchedule> {
    Versioned(shown(numbers), numbers.version())
}

const fn shown(numbers: &ScheduleNumbers) -> KeySchedule {
    KeySchedule {
        max_age_seconds: numbers.max_age,
        export_lag_seconds: numbers.export_lag,
        clock_error_seconds: numbers.clock_error,
        oldest_snapshot_seconds: numbers.oldest_snapshot,
        publish_before_sign_seconds: numbers.publish_before_sign,
        keep_after_sign_seconds: numbers.keep_after_sign,
        rotation_period_seconds: numbers.rotation_period,
    }
}

fn planned(plan: &KeysPlan, proof: &Proof) -> KeyPlan {
    KeyPlan {
        from: plan.from,
        until: plan.until,
        schedule: shown(&plan.numbers),
        keys: plan.spans.iter().filter(|span| is_to_show(span, plan.from)).map(key).collect(),
        changes: plan.transitions.iter().map(transition).collect(),
        proof: PlanProof {
            holds: proof.gaps.is_empty(),
            turns: proof.turns,
            oldest_copy_seconds: proof.oldest_copy.whole_seconds(),
            longest_life_seconds: proof.longest_life.whole_seconds(),
            tried: proof.tried,
            gaps: proof.gaps.iter().take(GAPS_MAX).map(gap).collect(),
        },
    }
}

fn is_to_show(span: &Span, from: OffsetDateTime) -> bool {
    let times = &span.times;
    times.revoked_at.is_none() && !times.is_withdrawn() && times.publish_until.is_none_or(|until| until > from)
}

fn key(span: &Span) -> PlannedKey {
    PlannedKey {
        key: name(&span.key),
        algorithm: span.kind.algorithm().to_string(),
        bits: span.kind.bits(),
        publish_from: span.times.publish_from,
        sign_from: span.times.sign_from,
        sign_until: span.times.sign_until,
        publish_until: span.times.publish_until,
    }
}

fn transition(transition: &Transition) -> PlannedChange {
    PlannedChange { at: transition.at, key: name(&transition.key), change: transition.what.as_str().to_owned() }
}

fn gap(gap: &Gap) -> PlanGap {
    PlanGap { key: name(&gap.key), signed_at: gap.signed_at, copy_of: gap.copy_of }
}

fn name(key: &KeyRef) -> String {
    match key {
        rotation::KeyRef::Made(kid) => kid.to_string(),
        rotation::KeyRef::Future(nth) => format!("new-{nth}"),
    }
}
