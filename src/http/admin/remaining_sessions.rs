//! `/v1/teams/{team}/remaining-sessions`.

use axum::Json;
use axum::extract::FromRequestParts;
use http::request::Parts;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::OfRead;
use super::capability::OfTeam;
use crate::domain::authority::TeamReader;
use crate::domain::principal::Principal;
use crate::http::error::ProblemAnswer;
use crate::http::resource::fields::Fields;
use crate::http::resource::query::Members;
use crate::http::state::IssuerState;
use crate::issuer::admin;
use crate::wire::admin::remaining_sessions::{ReadyDeny, RemainingSessions, RoleSessions};

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(read))
}

/// Of whom, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what OfWhom reads")]
struct OfWhomQuery {
    /// `user:<uid>` or `service_account:<uid>`; everyone of the team where absent.
    principal: Option<String>,
}

/// Of whom.
struct OfWhom(Option<Principal>);

/// Tells which sessions at AWS may remain after a disable, until when, and the policies that end them at once.
#[utoipa::path(get, path = "/v1/teams/{team}/remaining-sessions", operation_id = "read_remaining_sessions",
    tag = "Teams", params(("team" = String, Path, description = "The team's uid"), OfWhomQuery),
    responses((status = 200, description = "The sessions, role by role", body = RemainingSessions), OfRead))]
async fn read(
    OfTeam(reading, team): OfTeam<TeamReader>,
    OfWhom(principal): OfWhom,
) -> Result<Json<RemainingSessions>, ProblemAnswer> {
    let items = reading.remaining_sessions(&team, principal.as_ref()).await?;
    Ok(Json(RemainingSessions { items: items.into_iter().map(shown).collect() }))
}

impl<S: Sync> FromRequestParts<S> for OfWhom {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemAnswer> {
        let mut fields = Fields::default();
        let mut members = Members::read(parts, &["principal"], &mut fields);
        let principal = fields.optional("principal", members.take("principal"), |text| Principal::parse(&text));
        fields.finish(principal.map(Self)).map_err(ProblemAnswer::fields)
    }
}

fn shown(sessions: admin::RemainingSessions) -> RoleSessions {
    let deny = |deny: admin::ReadyDeny| ReadyDeny {
        name: deny.name,
        denies: deny.what.to_owned(),
        document: serde_json::from_str(&deny.document).unwrap_or_default(),
        put_command: deny.put,
        delete_command: deny.delete,
    };
    RoleSessions {
        role_arn: sessions.role.map(|role| role.to_string()),
        principals: sessions.principals.iter().map(ToString::to_string).collect(),
        tokens_until: sessions.tokens_until,
        sessions_until: sessions.sessions_until,
        denies: sessions.denies.into_iter().map(deny).collect(),
    }
}
