//! The story's calls, to copy: curl and the AWS CLI.

use std::path::Path;

use super::board::Board;
use super::stage::{MODEL, REGION, ROLE, Stage, WORKER_AUDIENCE};
use crate::cli::outcome::Failure;
use crate::config::env;
use crate::worker::token_source::presented::RESERVED_KEY_ID;

/// Prints them. The credentials stand in files of the demo's private folder, never in the lines nor in curl's
/// arguments; and the lines name this very program, which need not be on the search path.
pub(super) fn show(stage: &Stage, board: &Board, keep: bool) -> Result<(), Failure> {
    board.note(if keep {
        "The same by hand:"
    } else {
        "The same by hand (they work while `brevet demo --keep` runs):"
    })?;
    let (url, aws, worker) = (&stage.url, stage.aws.url(), &stage.worker_url);
    let (key, brevet) = (word(&stage.agent.kept), word(&env::program()));
    let person = word(&stage.person.kept);
    let mint = format!("BREVET_TOKEN_FILE={key} {brevet} token --issuer {url}");
    board.call(
        "mint a token for AWS STS, and one for the worker; each lives 5 minutes",
        &format!("TOKEN=$({mint})\nWORKER_TOKEN=$({mint} --audience {WORKER_AUDIENCE})"),
    )?;
    board.call(
        "the same as a person, whose session refreshes itself for 12 hours",
        &format!(
            "XDG_STATE_HOME={person} {brevet} whoami --issuer {url}\n\
             XDG_STATE_HOME={person} {brevet} token --issuer {url} --format json"
        ),
    )?;
    board.call(
        "mint without brevet",
        &format!(
            "printf 'Authorization: Bearer %s' \"$(cat {key})\" | curl -s -X POST {url}/v1/identity-tokens \\\n  \
             -H @- -H 'Content-Type: application/json' -d '{{}}'"
        ),
    )?;
    board.call(
        "exchange it for a session",
        &format!(
            "AWS_ENDPOINT_URL_STS={aws} aws sts assume-role-with-web-identity --region {REGION} \\\n  \
             --role-arn {ROLE} --role-session-name s.builder --web-identity-token \"$TOKEN\""
        ),
    )?;
    board.call(
        "ask a model through the worker",
        &format!(
            "printf 'Authorization: Bearer %s' \"$WORKER_TOKEN\" | curl -s {worker}/bedrock/model/{}/converse \\\n  \
             -H @- -H 'Content-Type: application/json' \\\n  \
             -d '{{\"messages\":[{{\"role\":\"user\",\"content\":[{{\"text\":\"Hello\"}}]}}]}}'",
            MODEL.replace(':', "%3A")
        ),
    )?;
    board.call(
        "the same with the AWS CLI, the token in the place of a session's",
        &format!(
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME={worker}/bedrock AWS_ACCESS_KEY_ID={RESERVED_KEY_ID} \\\n  \
             AWS_SECRET_ACCESS_KEY=unused AWS_SESSION_TOKEN=\"$WORKER_TOKEN\" \\\n  \
             aws bedrock-runtime converse --region {REGION} --model-id {MODEL} \\\n  \
             --messages '[{{\"role\":\"user\",\"content\":[{{\"text\":\"Hello\"}}]}}]'"
        ),
    )
}

/// A path as one word of a shell: bare where nothing in it means anything there.
fn word(path: &Path) -> String {
    let path = path.display().to_string();
    let harmless = |c: char| c.is_ascii_alphanumeric() || "/._-+@%".contains(c);
    if path.chars().all(harmless) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_stands_in_it() {
        assert_eq!(word(Path::new("/tmp/brevet-demo-1/builder.key")), "/tmp/brevet-demo-1/builder.key");
        assert_eq!(word(Path::new("/home/ann b/it's")), r"'/home/ann b/it'\''s'");
    }
}
