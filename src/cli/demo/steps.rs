//! The single steps of the story: minting, reading a token, exchanging it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::stage::{Player, REGION, Stage};
use crate::aws::credential::TemporaryCredentials;
use crate::aws::error::AwsError;
use crate::aws::sts::WebIdentity;
use crate::cli::outcome::Failure;
use crate::domain::claims;
use crate::domain::region::Region;
use crate::domain::role_arn::RoleArn;
use crate::domain::secret::Secret;
use crate::domain::session_name::SessionName;
use crate::domain::settings::SessionDuration;
use crate::domain::subject::Subject;
use crate::wire::mint::{MintRequest, MintedToken};

/// A token of `player`, for the team's default audience where none is named.
pub(super) async fn mint(stage: &Stage, player: &Player, audience: Option<&str>) -> Result<MintedToken, Failure> {
    let request = MintRequest { audience: audience.map(str::to_owned), ..MintRequest::default() };
    Ok(stage.client.mint(&player.credential, &request).await?)
}

/// The claims, unverified: verifying is AWS's part here.
pub(super) fn stated(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// `AssumeRoleWithWebIdentity` of `token` at the stand-in, for `role`.
pub(super) async fn assume(
    stage: &Stage,
    token: &Secret,
    subject: &str,
    role: &str,
) -> Result<Result<TemporaryCredentials, AwsError>, Failure> {
    let subject = Subject::parse(subject).map_err(Failure::refused)?;
    let region = Region::parse(REGION).map_err(Failure::refused)?;
    let role = RoleArn::parse(role).map_err(Failure::refused)?;
    let name = SessionName::new(subject.principal(), None);
    let request = WebIdentity {
        endpoint: &stage.aws.url(),
        region: &region,
        role: &role,
        session_name: name.as_str(),
        duration: SessionDuration::DEFAULT,
        token,
        subject: &subject,
        // Only for a better word on a denial: the token itself says whether it carries tags.
        tagged: stated(token.expose()).is_some_and(|stated| !stated[claims::TAGS].is_null()),
    };
    Ok(stage.sts.assume_role_with_web_identity(&request).await)
}

/// An AWS error in one line.
pub(super) fn words(error: &AwsError) -> String {
    format!("{} ({}); {}", error.message(), error.explanation().code, error.explanation().remedy)
}
