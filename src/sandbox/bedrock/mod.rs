//! The Bedrock runtime: which model is called, whether the caller may, and an answer made from the request.
//!
//! Source: Bedrock API Reference (runtime, 2023-09-30) and Service Authorization Reference.
//! May import: the stand-in's state and signatures; iam.

mod body;
mod stream;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, header};
use percent_encoding::percent_decode_str;

use super::authorize::{add_principal, permits};
use super::error::AwsError;
use super::parts::{Call, Sandbox};
use super::signature::Signed;

/// What a request is for.
pub(super) struct Target {
    /// Base id, profile id or ARN, decoded.
    pub(super) model_id: String,
    pub(super) operation: Operation,
}

/// The operations there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    InvokeModel,
    InvokeModelWithResponseStream,
    Converse,
    ConverseStream,
    CountTokens,
}

impl Operation {
    const ALL: [(&'static str, Self); 5] = [
        ("invoke", Self::InvokeModel),
        ("invoke-with-response-stream", Self::InvokeModelWithResponseStream),
        ("converse", Self::Converse),
        ("converse-stream", Self::ConverseStream),
        ("count-tokens", Self::CountTokens),
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::InvokeModel => "InvokeModel",
            Self::InvokeModelWithResponseStream => "InvokeModelWithResponseStream",
            Self::Converse => "Converse",
            Self::ConverseStream => "ConverseStream",
            Self::CountTokens => "CountTokens",
        }
    }

    /// Converse is authorised as an invocation.
    const fn iam_action(self) -> &'static str {
        match self {
            Self::InvokeModel | Self::Converse => "bedrock:InvokeModel",
            Self::InvokeModelWithResponseStream | Self::ConverseStream => "bedrock:InvokeModelWithResponseStream",
            Self::CountTokens => "bedrock:CountTokens",
        }
    }
}

impl Target {
    /// Reads `POST /model/{modelId}/{operation}`; the model id is one segment, with `:` and `/` encoded.
    pub(super) fn read(method: &Method, path: &str) -> Result<Self, AwsError> {
        let unknown = || AwsError::new(404, "UnknownOperationException", "No operation of this path");
        let (model_id, operation) =
            path.strip_prefix("/model/").and_then(|rest| rest.rsplit_once('/')).ok_or_else(unknown)?;
        let (_, operation) = *Operation::ALL.iter().find(|(name, _)| *name == operation).ok_or_else(unknown)?;
        if method != Method::POST || model_id.contains('/') {
            return Err(unknown());
        }
        let model_id = percent_decode_str(model_id).decode_utf8().map_err(|_| invalid_model())?.into_owned();
        if model_id.is_empty() || model_id.chars().count() > 2048 {
            return Err(invalid_model());
        }
        Ok(Self { model_id, operation })
    }
}

fn invalid_model() -> AwsError {
    validation("The provided model identifier is invalid.")
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "ValidationException", message)
}

/// Authorises the call and answers it.
pub(super) fn answer(
    sandbox: &Sandbox,
    target: &Target,
    signed: &Signed,
    body: &[u8],
    call: &mut Call,
) -> Result<Response<Body>, AwsError> {
    let model =
        sandbox.catalogue.find(&target.model_id, &signed.region, &sandbox.account_id).ok_or_else(invalid_model)?;
    add_principal(&mut call.context, signed, &sandbox.account_id);
    let action = target.operation.iam_action();
    for resource in &model.resources {
        let mut context = call.context.clone();
        context.set_all("bedrock:InferenceProfileArn", resource.through.as_deref());
        if resource.is_unbound() {
            context.set("aws:RequestedRegion", "unspecified");
        }
        permits(&sandbox.account.lock(), signed, action, &resource.arn, &context)
            .map_err(|message| AwsError::new(403, "AccessDeniedException", message))?;
    }
    let who = call.event.principal.as_deref().unwrap_or_default();
    let prompt = body::Prompt::read(target.operation, &model.id, body)?;
    let reply = body::Reply::to(&prompt, who, &model.id);
    match target.operation {
        Operation::CountTokens => Ok(json(serde_json::json!({ "inputTokens": prompt.tokens() }).to_string(), None)),
        Operation::InvokeModel => Ok(json(reply.invoked(&sandbox.message_id()).to_string(), Some(&reply))),
        Operation::Converse => Ok(json(reply.conversed().to_string(), Some(&reply))),
        Operation::InvokeModelWithResponseStream => {
            let parts = reply.invoked_parts(&sandbox.message_id());
            let events = parts.iter().map(stream::chunk).collect();
            Ok(stream::response(events, sandbox.stream_pause, sandbox.faults.for_stream()))
        }
        Operation::ConverseStream => {
            let events = reply.conversed_parts().iter().map(|(name, part)| stream::event(name, part)).collect();
            Ok(stream::response(events, sandbox.stream_pause, sandbox.faults.for_stream()))
        }
    }
}

impl Sandbox {
    fn message_id(&self) -> String {
        format!("msg_bdrk_{}", self.entropy.uuid_v7(self.clock.now()).simple())
    }
}

fn json(body: String, reply: Option<&body::Reply>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(reply) = reply {
        headers.insert("x-amzn-bedrock-input-token-count", HeaderValue::from(reply.input_tokens));
        headers.insert("x-amzn-bedrock-output-token-count", HeaderValue::from(reply.output_tokens));
        headers.insert("x-amzn-bedrock-invocation-latency", HeaderValue::from(1));
    }
    response
}
