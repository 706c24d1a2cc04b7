//! One request: which service and action it is for, its signature, its faults, its answer and its event.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, header};

use super::authorize::{add_principal, permits};
use super::error::{AwsError, stamp};
use super::parts::{Call, Sandbox};
use super::query::Query;
use super::signature::Service;
use super::xml::Element;
use super::{bedrock, iam, sts};

/// STS and IAM requests are small; the largest is a token of 20 000 characters beside a policy.
const QUERY_BODY_MAX: usize = 256 * 1024;
/// Bedrock's own cap.
const MODEL_BODY_MAX: usize = 25_000_000;

/// Answers one request of any of the three services.
pub(super) async fn answer(
    Shared(sandbox): Shared<Arc<Sandbox>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let request_id = sandbox.entropy.uuid_v7(sandbox.clock.now()).to_string();
    let (head, body) = request.into_parts();
    let is_bedrock = head.uri.path().starts_with("/model/");
    let limit = if is_bedrock { MODEL_BODY_MAX } else { QUERY_BODY_MAX };
    let Ok(body) = axum::body::to_bytes(body, limit).await else {
        let error = AwsError::new(413, "RequestEntityTooLarge", format!("The request is longer than {limit} bytes"));
        return if is_bedrock { error.into_json(&request_id) } else { error.into_xml(sts::NAMESPACE, &request_id) };
    };
    if is_bedrock {
        match model_call(&sandbox, &head, &body, peer.ip()).await {
            Ok(response) => stamp(response, &request_id),
            Err(error) => error.into_json(&request_id),
        }
    } else {
        query_call(&sandbox, &head, &body, peer.ip(), &request_id).await
    }
}

async fn query_call(sandbox: &Sandbox, head: &Parts, body: &[u8], peer: IpAddr, request_id: &str) -> Response<Body> {
    let query = Query::parse(body);
    let action = query.get("Action").unwrap_or_default().to_owned();
    let namespace = match query.get("Version") {
        Some("2010-05-08") => iam::NAMESPACE,
        _ => sts::NAMESPACE,
    };
    let mut call = sandbox.begin(&action, head, peer);
    let result = query_result(sandbox, head, body, &query, &action, &mut call).await;
    // What no service knows is counted under no name of the caller's choosing.
    if result.as_ref().is_err_and(|error| matches!(error.code.as_str(), "MissingAction" | "InvalidAction" | "NotFound"))
    {
        "unknown".clone_into(&mut call.event.action);
    }
    sandbox.end(call, result.as_ref().err());
    match result {
        Ok(element) => {
            let mut response = Response::new(Body::from(element(request_id).document(namespace)));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
            stamp(response, request_id)
        }
        Err(error) => error.into_xml(namespace, request_id),
    }
}

/// The answer, still without its request id.
type Answer = Box<dyn FnOnce(&str) -> Element + Send>;

async fn query_result(
    sandbox: &Sandbox,
    head: &Parts,
    body: &[u8],
    query: &Query,
    action: &str,
    call: &mut Call,
) -> Result<Answer, AwsError> {
    if head.uri.path() != "/" || head.method != Method::POST {
        let message = "The stand-in speaks STS and IAM at POST / and Bedrock at POST /model/";
        return Err(AwsError::new(404, "NotFound", message));
    }
    let form = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !form.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        let message = "Content-Type must be application/x-www-form-urlencoded";
        return Err(AwsError::new(400, "MalformedInput", message));
    }
    if action.is_empty() {
        return Err(AwsError::new(400, "MissingAction", "The request must contain the parameter Action"));
    }
    let version = query.get("Version").unwrap_or_default();
    let unknown =
        || AwsError::new(400, "InvalidAction", format!("Could not find operation {action} for version {version}"));
    match (version, action) {
        ("2011-06-15", "AssumeRoleWithWebIdentity") => {
            sandbox.faults.meet(action).await?;
            // The call needs no signature; what another principal's says of it is not looked at.
            let result = sts::assume_role_with_web_identity(sandbox, query, call).await?;
            Ok(whole("AssumeRoleWithWebIdentityResponse", Some(result)))
        }
        ("2011-06-15", "AssumeRole") => {
            sandbox.faults.meet(action).await?;
            let signed = sandbox.signed(head, body, Service::Sts, call)?;
            Ok(whole("AssumeRoleResponse", Some(sts::assume_role(sandbox, query, &signed, call)?)))
        }
        ("2011-06-15", "GetCallerIdentity") => {
            sandbox.faults.meet(action).await?;
            let signed = sandbox.signed(head, body, Service::Sts, call)?;
            let result = sts::get_caller_identity(&signed, &sandbox.account_id);
            Ok(whole("GetCallerIdentityResponse", Some(result)))
        }
        ("2010-05-08", action) => {
            let name = iam::ANSWERS.iter().find(|(known, _)| *known == action).ok_or_else(unknown)?.1;
            sandbox.faults.meet(action).await?;
            let signed = sandbox.signed(head, body, Service::Iam, call)?;
            add_principal(&mut call.context, &signed, &sandbox.account_id);
            let mut state = sandbox.account.lock();
            let resource = query.get("OpenIDConnectProviderArn").unwrap_or("*");
            permits(&state, &signed, &format!("iam:{action}"), resource, &call.context)
                .map_err(AwsError::access_denied)?;
            let result = iam::call(action, sandbox, &mut state, query).ok_or_else(unknown)??;
            Ok(whole(name, result))
        }
        _ => Err(unknown()),
    }
}

fn whole(name: &'static str, result: Option<Element>) -> Answer {
    Box::new(move |request_id| {
        let metadata = Element::new("ResponseMetadata").text("RequestId", request_id);
        Element::new(name).children(result).child(metadata)
    })
}

async fn model_call(sandbox: &Sandbox, head: &Parts, body: &[u8], peer: IpAddr) -> Result<Response<Body>, AwsError> {
    let target = bedrock::Target::read(&head.method, head.uri.path())?;
    let action = target.operation.name();
    let mut call = sandbox.begin(action, head, peer);
    call.event.resource = Some(target.model_id.clone());
    let result = match sandbox.faults.meet(action).await {
        Ok(()) => sandbox
            .signed(head, body, Service::Bedrock, &mut call)
            .and_then(|signed| bedrock::answer(sandbox, &target, &signed, body, &mut call)),
        Err(fault) => Err(fault),
    };
    sandbox.end(call, result.as_ref().err());
    result
}
