//! The steps: mint, exchange, ask a model, be refused, find it all in the audit.

use time::OffsetDateTime;

use super::board::Board;
use super::stage::{MODEL, Player, ROLE, Stage, TEAM, WORKER_AUDIENCE};
use super::steps::{assume, mint, stated, words};
use super::{answer, refusals};
use crate::cli::outcome::Failure;
use crate::cli::remote::stamp;
use crate::domain::session_name::SessionName;
use crate::domain::subject::Subject;
use crate::wire::mint::MintedToken;

/// Plays every step; the first that does not hold ends it.
pub(super) async fn tell(stage: &Stage, board: &mut Board) -> Result<(), Failure> {
    board.section("Mint: each proves who it is and gets a token that says so")?;
    let mut minted = Vec::new();
    for player in [&stage.person, &stage.agent] {
        let token = mint(stage, player, None).await?;
        show_token(board, player, &token)?;
        minted.push(token);
    }
    let [person, agent] = minted.as_slice() else { return Err(Failure::Refused("two tokens were minted".to_owned())) };

    board.section("Exchange: AWS verifies the token and opens the role")?;
    for token in [person, agent] {
        exchange(stage, board, token).await?;
    }

    board.section("Ask a model through the worker, and hear the answer as it comes")?;
    let mut tokens = vec![person.token_id.clone(), agent.token_id.clone()];
    for (player, question) in [(&stage.agent, "Which build broke?"), (&stage.person, "Who am I to you?")] {
        let token = mint(stage, player, Some(WORKER_AUDIENCE)).await?;
        answer::ask(stage, board, player, &token.token.0, question).await?;
        tokens.push(token.token_id);
    }

    board.section("What must not work, and what its user reads")?;
    refusals::foreign_team(stage, board).await?;
    refusals::tampered(stage, board, agent).await?;
    refusals::other_role(stage, board, agent).await?;

    board.section("Audit: no token left without its row")?;
    audited(stage, board, &tokens).await
}

/// Shows what stands in the token, read from the token itself.
fn show_token(board: &Board, player: &Player, minted: &MintedToken) -> Result<(), Failure> {
    let claims = stated(minted.token.expose()).ok_or_else(|| board.broken("token", "is no JWT"))?;
    let expected = claims["sub"] == minted.subject.as_str() && claims["iss"] == minted.issuer.as_str();
    board.check("claims", expected, "the token says something else than the answer")?;
    let bound = claims[crate::domain::claims::ROLES][0].as_str().unwrap_or_default();
    board.check("role binding", bound == ROLE, "the token is not bound to the team's role")?;
    let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    board.holds(player.name, format_args!("sub  {}", text("sub")))?;
    board.more(format_args!("aud  {}, until {}", text("aud"), stamp(minted.expires_at)))?;
    board.more(format_args!("for  {bound} alone"))
}

async fn exchange(stage: &Stage, board: &Board, minted: &MintedToken) -> Result<(), Failure> {
    let opened = assume(stage, &minted.token.0, &minted.subject, ROLE).await?;
    let opened = opened.map_err(|error| board.broken("AssumeRoleWithWebIdentity", words(&error)))?;
    let subject = Subject::parse(&minted.subject).map_err(Failure::refused)?;
    let name = SessionName::new(subject.principal(), None);
    let left: OffsetDateTime = opened.expires_at;
    board.holds(
        "session",
        format_args!("assumed-role/brevet-acme/{name}  {}  until {}", opened.access_key_id, stamp(left)),
    )
}

async fn audited(stage: &Stage, board: &Board, tokens: &[String]) -> Result<(), Failure> {
    for id in tokens {
        let page = stage.admin.audit(None, &[("token_id", id.clone())]).await?;
        let found = page.items.iter().any(|event| event.decision == "allowed" && event.action == "token.mint");
        board.check("audit row", found, format_args!("token {id} has none"))?;
    }
    board.holds("minted", format_args!("{} tokens, {} rows", tokens.len(), tokens.len()))?;
    let page = stage.admin.audit(None, &[("team", TEAM.to_owned()), ("action", "token.exchange".to_owned())]).await?;
    let exchanged = page.items.iter().filter(|event| event.decision == "allowed").count();
    board.check("audit of the worker", exchanged >= 2, format_args!("{exchanged} exchanges have rows"))?;
    board.holds("exchanged", format_args!("{exchanged} by the worker for {MODEL}"))
}
