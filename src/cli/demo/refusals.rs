//! What must not work: each refusal with the code AWS gives and the words its user reads.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::board::Board;
use super::stage::{OTHER_ROLE, ROLE, Stage};
use super::steps::{assume, mint, words};
use crate::aws::error::AwsError;
use crate::cli::outcome::Failure;
use crate::domain::secret::Secret;
use crate::wire::mint::MintedToken;

/// An agent of another team, with a good token of this issuer that even names the role.
pub(super) async fn foreign_team(stage: &Stage, board: &Board) -> Result<(), Failure> {
    let minted = mint(stage, &stage.stranger, None).await?;
    let opened = assume(stage, &minted.token.0, &minted.subject, ROLE).await?;
    refused(board, "foreign team", opened.err(), "sts_access_denied")
}

/// A good token in which somebody wrote another name.
pub(super) async fn tampered(stage: &Stage, board: &Board, minted: &MintedToken) -> Result<(), Failure> {
    let forged = forge(minted.token.expose()).ok_or_else(|| board.broken("tampering", "the token is no JWT"))?;
    let subject = minted.subject.replace("builder", "manager");
    let opened = assume(stage, &forged, &subject, ROLE).await?;
    refused(board, "tampered token", opened.err(), "sts_token_invalid")
}

/// A good token, presented for a role that trusts the team but that the token does not name.
pub(super) async fn other_role(stage: &Stage, board: &Board, minted: &MintedToken) -> Result<(), Failure> {
    let opened = assume(stage, &minted.token.0, &minted.subject, OTHER_ROLE).await?;
    refused(board, "unnamed role", opened.err(), "sts_role_not_in_roles_claim")
}

fn forge(token: &str) -> Option<Secret> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let changed = URL_SAFE_NO_PAD.encode(claims.replace("builder", "manager"));
    Some(Secret::new(format!("{header}.{changed}.{signature}")))
}

/// Holds if it was refused, and for the reason it should be: a refusal for another reason proves nothing.
fn refused(board: &Board, name: &str, error: Option<AwsError>, code: &str) -> Result<(), Failure> {
    let Some(error) = error else { return Err(board.broken(name, "it was let in")) };
    let explanation = error.explanation();
    board.check(name, explanation.code == code, format_args!("refused as {}", words(&error)))?;
    board.holds(name, format_args!("refused: {} ({})", error.message(), explanation.code))?;
    board.more(format_args!("cause   {}", explanation.cause))?;
    board.more(format_args!("remedy  {}", explanation.remedy))
}
