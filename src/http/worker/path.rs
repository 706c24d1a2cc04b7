//! The path of an invocation: `[/bedrock]/model/{id}/{operation}`.

use percent_encoding::percent_decode_str;

use crate::aws::bedrock::Operation;
use crate::worker::error::WorkerError;
use crate::worker::refusal::Refusal;

/// Longest model id, percent-encoded twice.
const LABEL_MAX: usize = 2048 * 5;

/// Operation and model of a raw path. The id is decoded as often as clients encode it, once or twice (some sign the
/// path before they encode it); a model id has no `%` of its own, so nothing decodes to more than was meant. What
/// it may be after that is for the settings to say.
pub(super) fn target(path: &str) -> Result<(Operation, String), WorkerError> {
    let unknown = || WorkerError::refused(Refusal::RouteUnknown, "there is no such route");
    let rest = path.strip_prefix("/bedrock").unwrap_or(path).strip_prefix("/model/").ok_or_else(unknown)?;
    let (label, operation) = rest.rsplit_once('/').ok_or_else(unknown)?;
    let operation = Operation::parse(operation).ok_or_else(unknown)?;
    let invalid = |rule: &str| WorkerError::refused(Refusal::ModelInvalid, format!("the model of the path {rule}"));
    if label.len() > LABEL_MAX {
        return Err(invalid("must have at most 2048 characters"));
    }
    let mut model = label.to_owned();
    for _ in 0..2 {
        if model.contains('%') {
            let decoded = percent_decode_str(&model).decode_utf8().map_err(|_| invalid("must be UTF-8"))?;
            model = decoded.into_owned();
        }
    }
    if model.contains('%') {
        return Err(invalid("must be percent-encoded once or twice"));
    }
    Ok((operation, model))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Result<(Operation, String), Refusal> {
        target(path).map_err(|error| match error {
            WorkerError::Refused { why, .. } => why,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn an_id_is_one_segment_encoded_once_or_twice() {
        const ARN: &str = "arn:aws:bedrock:us-east-1:1:inference-profile/us.x-v1:0";
        for (path, operation, model) in [
            ("/bedrock/model/x-v1%3A0/invoke", Operation::Invoke, "x-v1:0"),
            ("/model/x-v1%3A0/invoke", Operation::Invoke, "x-v1:0"),
            ("/model/x-v1:0/converse", Operation::Converse, "x-v1:0"),
            ("/model/x-v1%253A0/converse-stream", Operation::ConverseStream, "x-v1:0"),
            (
                "/bedrock/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x-v1%3A0/count-tokens",
                Operation::CountTokens,
                ARN,
            ),
            (
                "/model/arn%253Aaws%253Abedrock%253Aus-east-1%253A1%253Ainference-profile%252Fus.x-v1%253A0/invoke",
                Operation::Invoke,
                ARN,
            ),
            (
                "/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.x-v1:0/invoke-with-response-stream",
                Operation::InvokeWithResponseStream,
                ARN,
            ),
        ] {
            assert_eq!(of(path), Ok((operation, model.to_owned())), "{path}");
        }
    }

    #[test]
    fn other_paths_are_no_routes_and_other_encodings_no_models() {
        for (path, why) in [
            ("/bedrock/model/x", Refusal::RouteUnknown),
            ("/bedrock/model/x/", Refusal::RouteUnknown),
            ("/bedrock/model/x/Invoke", Refusal::RouteUnknown),
            ("/bedrock/model/x/invoke/", Refusal::RouteUnknown),
            ("/bedrock/model/x/invoke-with-bidirectional-stream", Refusal::RouteUnknown),
            ("/bedrock/bedrock/model/x/invoke", Refusal::RouteUnknown),
            ("/bedrockmodel/x/invoke", Refusal::RouteUnknown),
            ("/async-invoke", Refusal::RouteUnknown),
            ("/model/%FF/invoke", Refusal::ModelInvalid),
            ("/model/x%25253A0/invoke", Refusal::ModelInvalid),
            ("/model/100%/invoke", Refusal::ModelInvalid),
        ] {
            assert_eq!(of(path), Err(why), "{path}");
        }
        assert_eq!(of(&format!("/model/{}/invoke", "x".repeat(20_000))), Err(Refusal::ModelInvalid));
    }
}
