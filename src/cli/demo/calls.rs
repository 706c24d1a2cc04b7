//! The story's calls, to copy: curl and the AWS CLI.

use super::board::Board;
use super::stage::{MODEL, REGION, ROLE, Stage, WORKER_AUDIENCE};
use crate::cli::outcome::Failure;

/// Prints them. The credentials stand in files of the demo's private folder, never in the lines.
pub(super) fn show(stage: &Stage, board: &Board, keep: bool) -> Result<(), Failure> {
    board.note(if keep {
        "The same by hand:"
    } else {
        "The same by hand (they work while `brevet demo --keep` runs):"
    })?;
    let (url, aws, worker) = (&stage.url, stage.aws.url(), &stage.worker_url);
    let key = stage.agent.file.display();
    board.call("mint a token for AWS STS", &format!("TOKEN=$(BREVET_TOKEN_FILE={key} brevet token --issuer {url})"))?;
    board.call(
        "the same without brevet",
        &format!(
            "curl -s -X POST {url}/v1/identity-tokens -H \"Authorization: Bearer $(cat {key})\" \\\n  \
             -H 'Content-Type: application/json' -d '{{}}'"
        ),
    )?;
    board.call(
        "exchange it",
        &format!(
            "AWS_ENDPOINT_URL_STS={aws} aws sts assume-role-with-web-identity --region {REGION} \\\n  \
             --role-arn {ROLE} --role-session-name s.builder --web-identity-token \"$TOKEN\""
        ),
    )?;
    board.call(
        "ask a model through the worker",
        &format!(
            "curl -s {worker}/bedrock/model/{}/converse \\\n  \
             -H \"Authorization: Bearer $(BREVET_TOKEN_FILE={key} brevet token --issuer {url} --audience {WORKER_AUDIENCE})\" \\\n  \
             -H 'Content-Type: application/json' \\\n  \
             -d '{{\"messages\":[{{\"role\":\"user\",\"content\":[{{\"text\":\"Hello\"}}]}}]}}'",
            MODEL.replace(':', "%3A")
        ),
    )
}
