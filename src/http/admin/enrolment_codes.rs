//! `/v1/enrolment-codes`.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::OfCreate;
use super::capability::Of;
use crate::domain::authority::Enroller;
use crate::domain::id::UserUid;
use crate::http::error::ProblemAnswer;
use crate::http::resource::create::{Create, Created, IdempotencyHeader};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::state::IssuerState;
use crate::issuer::admin::Made;
use crate::store;
use crate::wire::admin::enrolment_code::{CreateEnrolmentCode, EnrolmentCode};
use crate::wire::secret_text::SecretText;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(create))
}

/// Makes a code that signs one person in, once, within 10 minutes; `brevet login --code` takes it.
///
/// Operators make codes for anyone, admins of a team for people who are in that team and in no other. Hand it to nobody
/// but the person.
#[utoipa::path(post, path = "/v1/enrolment-codes", operation_id = "create_enrolment_code", tag = "People",
    params(IdempotencyHeader), request_body = CreateEnrolmentCode,
    responses((status = 201, description = "The code, shown this once", body = EnrolmentCode), OfCreate))]
async fn create(
    Of(admin): Of<Enroller>,
    request: Create<CreateEnrolmentCode>,
) -> Result<Created<EnrolmentCode>, ProblemAnswer> {
    let user = new(&request.body).map_err(ProblemAnswer::fields)?;
    let made = admin.create_enrolment_code(&user, request.repeatable).await?;
    Ok(Created { body: shown(made), location: None, version: None })
}

fn new(body: &CreateEnrolmentCode) -> Result<UserUid, Faults> {
    let mut fields = Fields::default();
    let user = fields.parse("user_uid", UserUid::parse(&body.user_uid));
    fields.finish(user)
}

fn shown(made: Made<store::EnrolmentCode>) -> EnrolmentCode {
    let Made { resource, key } = made;
    EnrolmentCode {
        id: resource.id.to_string(),
        user_uid: resource.user.to_string(),
        expires_at: resource.expires_at,
        code: key.map(SecretText),
    }
}
