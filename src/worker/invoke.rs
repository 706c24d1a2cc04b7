//! One invocation, from the request to the first byte of the answer.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};

use super::Worker;
use super::body::{NO_ROOM, whole};
use super::credentials::Session;
use super::error::WorkerError;
use super::exchange::Grant;
use super::refusal::Refusal;
use super::token_source::caller::Caller;
use super::token_source::presented::{Presented, presented};
use crate::aws::bedrock::Operation;
use crate::aws::bedrock_client::{AnswerBody, Call};
use crate::aws::bedrock_fault::BedrockFault;
use crate::aws::error::AwsError;

const OWN_BUSY: &str = "too many requests of this principal are in flight";

/// What a client asks for.
#[derive(Debug)]
pub struct Request<B> {
    /// The operation at the end of the path.
    pub operation: Operation,
    /// The model of the path, decoded: an id, an ARN or a name of the settings.
    pub model: String,
    /// The query, as it came. Nothing of it goes upstream.
    pub query: Option<String>,
    /// The headers, as they came.
    pub headers: HeaderMap,
    /// Whence it came, where that is known.
    pub address: Option<IpAddr>,
    /// The body, not read yet.
    pub body: B,
}

impl Worker {
    /// Passes one request to Bedrock under the caller's own session, and its answer back as it arrives.
    ///
    /// Whatever fails, nothing else is tried in its place: no other identity, account, model or provider (threat
    /// 30). Dropping the future or the answer's body ends the exchange with Bedrock.
    pub async fn invoke<B>(&self, request: Request<B>) -> Result<Response<AnswerBody>, WorkerError>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Request { operation, model, query, headers, address, body } = request;
        let caller = match presented(&headers, query.as_deref())? {
            Presented::Token(token) => Caller::of_token(token, &self.keys, &self.audience).await?,
            Presented::Bearer(bearer) => self.exchanges.recognise(&bearer, address).await?,
        };
        let (subject, team) = (&caller.owner.subject, caller.owner.subject.team());
        let _places = (
            self.own_places.take(subject, 1).map_err(|_| WorkerError::refused(Refusal::Busy, OWN_BUSY))?,
            self.places.take(team, 1).map_err(|_| WorkerError::refused(Refusal::Busy, "no place is free"))?,
        );
        let (mut grant, mut session) = self.session(&caller).await?;
        let model = grant.settings.model(&model)?;
        let mut room = self.bodies.take(team, 0).map_err(|_| WorkerError::refused(Refusal::Busy, NO_ROOM))?;
        let body = whole(body, &mut room).await?;
        let mut renewed = false;
        loop {
            let call = Call {
                endpoint: &grant.settings.bedrock_endpoint,
                region: &grant.settings.region,
                operation,
                model: &model,
                headers: &headers,
                body: body.clone(),
            };
            let credentials = session.credentials.of(&grant.owner(&caller)).map_err(|error| {
                tracing::error!(target: "brevet::worker", subject = %caller.owner.subject, "{error}");
                WorkerError::refused(Refusal::AttributionMismatch, error.to_string())
            })?;
            let signed = self.bedrock.signed(&call, credentials);
            let signed = signed.map_err(|error| WorkerError::refused(Refusal::Internal, error.to_string()))?;
            match self.bedrock.send(signed).await {
                // Bedrock checks the session at a request's start, so no byte has gone out yet.
                Err(AwsError::Bedrock { fault: BedrockFault::CredentialsExpired, .. }) if !renewed => {
                    renewed = true;
                    self.sessions.discard(&session);
                    (grant, session) = self.session(&caller).await?;
                }
                answer => return answer.map_err(WorkerError::Bedrock),
            }
        }
    }

    /// The caller's grant and its session at AWS.
    async fn session(&self, caller: &Caller) -> Result<(Arc<Grant>, Session), WorkerError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let grant = self.exchanges.of(caller).await?;
            match self.sessions.of(caller, &grant).await {
                Err(WorkerError::Refused { why: Refusal::SettingsChanging, .. }) if attempts < 3 => {}
                session => return Ok((grant, session?)),
            }
        }
    }
}
