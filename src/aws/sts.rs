//! STS: an identity token for temporary credentials.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{
    BehaviorVersion, Config, IdentityCache, Region as SdkRegion, SharedAsyncSleep, StalledStreamProtectionConfig,
};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::ConnectorError;
use time::OffsetDateTime;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::connector::Connector;
use super::credential::TemporaryCredentials;
use super::error::AwsError;
use super::sts_fault::StsFault;
use crate::domain::clock::Clock;
use crate::domain::endpoint::Endpoint;
use crate::domain::region::Region;
use crate::domain::role_arn::RoleArn;
use crate::domain::secret::Secret;
use crate::domain::settings::SessionDuration;
use crate::domain::subject::Subject;
use crate::fetch::{self, FetchError};

/// Before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// A client of STS. It reads nothing of the host: no variable, profile, credential chain or metadata service; and
/// its call is unsigned, so that there is no identity it could fall back to (threat 30).
#[derive(Clone)]
pub struct Sts {
    connections: fetch::Client,
    clock: Arc<dyn Clock>,
}

/// One AssumeRoleWithWebIdentity.
#[derive(Debug)]
pub struct WebIdentity<'a> {
    /// Which STS.
    pub endpoint: &'a str,
    /// Its region.
    pub region: &'a Region,
    /// The role.
    pub role: &'a RoleArn,
    /// The `RoleSessionName`, 2 to 64 characters of `[A-Za-z0-9_+=,.@-]`.
    pub session_name: &'a str,
    /// The `DurationSeconds`.
    pub duration: SessionDuration,
    /// The identity token.
    pub token: &'a Secret,
    /// Whom it speaks for.
    pub subject: &'a Subject,
    /// Whether the token carries session tags or a source identity, for a better word on a denial.
    pub tagged: bool,
}

/// The STS of `region`: what the settings say, else the regional endpoint of its partition (never the global one).
pub fn endpoint(region: &Region, said: Option<&Endpoint>) -> String {
    match said {
        Some(said) => said.to_string(),
        None => format!("https://sts.{region}.{}", region.partition().dns_suffix()),
    }
}

impl Sts {
    /// A client over connections that it shares with nobody: a denial drops them.
    pub fn new(connections: fetch::Client, clock: Arc<dyn Clock>) -> Self {
        Self { connections, clock }
    }

    /// Opens a session. Tries again where AWS says the cause passes, at most [`StsFault::attempts`] times in all.
    /// After a refusal the next call connects anew: STS keeps a verdict for a connection's life, and a trust policy
    /// just repaired should work in seconds.
    pub async fn assume_role_with_web_identity(
        &self,
        request: &WebIdentity<'_>,
    ) -> Result<TemporaryCredentials, AwsError> {
        let mut attempt: u32 = 1;
        loop {
            let (fault, message) = match self.attempt(request).with_subscriber(NoSubscriber::new()).await {
                Ok(credentials) => return Ok(credentials),
                Err(failed) => failed,
            };
            if !fault.is_outage() {
                self.connections.forget_connections();
            }
            if attempt >= fault.attempts() {
                return Err(AwsError::sts(fault, &message, request.token.expose()));
            }
            tokio::time::sleep(PAUSES[usize::try_from(attempt - 1).unwrap_or_default().min(PAUSES.len() - 1)]).await;
            attempt += 1;
        }
    }

    /// One attempt: the credentials, or the fault and AWS's words. The SDK traces requests whole, with the token, so
    /// run it without a subscriber (threat 31).
    pub async fn attempt(&self, request: &WebIdentity<'_>) -> Result<TemporaryCredentials, (StsFault, String)> {
        let answer = Client::from_conf(self.config(request))
            .assume_role_with_web_identity()
            .role_arn(request.role.as_str())
            .role_session_name(request.session_name)
            .duration_seconds(i32::try_from(request.duration.seconds()).unwrap_or(i32::MAX))
            .web_identity_token(request.token.expose())
            .send()
            .await
            .map_err(|error| fault_of(&error, request.tagged))?;
        let unexpected = || (StsFault::Unexpected, "the answer holds no usable credentials".to_owned());
        // STS says whom it took the token for; a session of anybody else is nobody's here (threat 25).
        if answer.subject_from_web_identity_token.is_some_and(|subject| subject != request.subject.to_string()) {
            return Err((StsFault::Unexpected, "the session is another subject's".to_owned()));
        }
        let credentials = answer.credentials.ok_or_else(unexpected)?;
        let expires_at =
            OffsetDateTime::from_unix_timestamp(credentials.expiration.secs()).map_err(|_| unexpected())?;
        let usable = [&credentials.access_key_id, &credentials.secret_access_key, &credentials.session_token]
            .iter()
            .all(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
        if !usable || expires_at <= self.clock.now() {
            return Err(unexpected());
        }
        Ok(TemporaryCredentials {
            access_key_id: credentials.access_key_id.into(),
            secret_access_key: Secret::new(credentials.secret_access_key),
            session_token: Secret::new(credentials.session_token),
            expires_at,
        })
    }

    fn config(&self, request: &WebIdentity<'_>) -> Config {
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(SdkRegion::new(request.region.to_string()))
            .endpoint_url(request.endpoint)
            .http_client(Connector(self.connections.clone()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .identity_cache(IdentityCache::no_cache());
        config.set_sleep_impl(None::<SharedAsyncSleep>);
        config.build()
    }
}

type Raw = aws_smithy_runtime_api::client::orchestrator::HttpResponse;

fn fault_of<E: ProvideErrorMetadata>(error: &SdkError<E, Raw>, tagged: bool) -> (StsFault, String) {
    match error {
        SdkError::ServiceError(answer) => {
            let (code, message) = (answer.err().code(), answer.err().message().unwrap_or_default());
            (StsFault::of(answer.raw().status().as_u16(), code, message, tagged), message.to_owned())
        }
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            (StsFault::of(status, None, "", tagged), format!("status {status} without a readable answer"))
        }
        SdkError::TimeoutError(_) => (StsFault::Unreachable, FetchError::Timeout.to_string()),
        SdkError::DispatchFailure(failure) => {
            let known = failure.as_connector_error().and_then(fetched);
            (StsFault::Unreachable, known.map_or_else(|| "no answer".to_owned(), |error| error.to_string()))
        }
        _ => (StsFault::Unexpected, "the request could not be built".to_owned()),
    }
}

fn fetched(error: &ConnectorError) -> Option<FetchError> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref::<FetchError>()).copied()
}
