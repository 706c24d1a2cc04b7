//! STS: an identity token for temporary credentials.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
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
use crate::fetch::{self, ClientError, FetchError};

/// Most roles that are kept apart.
const DENIED_MAX: usize = 10_000;
/// Before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// The places that [`place`] names.
type Denied = HashSet<(Box<str>, Box<str>)>;

/// A client of STS. It reads nothing of the host: no variable, profile, credential chain or metadata service; and
/// its call is unsigned, so that there is no identity it could fall back to (threat 30).
#[derive(Clone)]
pub struct Sts {
    connections: fetch::Client,
    /// For roles that were denied.
    apart: fetch::Client,
    denied: Arc<Mutex<Denied>>,
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
    /// A client over connections that it shares with nobody.
    pub fn new(connections: fetch::Client, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let apart = connections.unpooled()?;
        Ok(Self { connections, apart, denied: Arc::default(), clock })
    }

    /// Opens a session. Tries again where AWS says the cause passes, at most [`StsFault::attempts`] times in all.
    /// After a refusal each call for that role connects anew: STS keeps a verdict for a connection's life, and a trust
    /// policy just repaired should work in seconds. Other roles keep the connections they have: no team's denials, of
    /// which it can cause as many as it likes, cost the others theirs.
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
                self.set_apart(request);
            }
            if attempt >= fault.attempts() {
                return Err(AwsError::sts(fault, &message, request.token.expose()));
            }
            tokio::time::sleep(PAUSES[usize::try_from(attempt - 1).unwrap_or_default().min(PAUSES.len() - 1)]).await;
            attempt += 1;
        }
    }

    /// Remembers a role that was denied, for good: there is one session in an hour to open for it, and a pooled connection
    /// may be older than any time that could be named. Where there are too many, all of them begin anew.
    fn set_apart(&self, request: &WebIdentity<'_>) {
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        if denied.len() >= DENIED_MAX && !denied.contains(&place(request)) {
            denied.clear();
            self.connections.forget_connections();
        }
        denied.insert(place(request));
    }

    fn connections(&self, request: &WebIdentity<'_>) -> fetch::Client {
        let denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        if denied.contains(&place(request)) { self.apart.clone() } else { self.connections.clone() }
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
            .http_client(Connector(self.connections(request)))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .identity_cache(IdentityCache::no_cache());
        config.set_sleep_impl(None::<SharedAsyncSleep>);
        config.build()
    }
}

/// What STS may remember a verdict about.
fn place(request: &WebIdentity<'_>) -> (Box<str>, Box<str>) {
    (request.endpoint.into(), request.role.as_str().into())
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use time::macros::datetime;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::domain::clock::ManualClock;
    use crate::fetch::{Reach, Settings};

    const DENIED: &str = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error>\
        <RequestId>r</RequestId></ErrorResponse>";
    const GIVEN: &str = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
        <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
        <SessionToken>token</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration></Credentials>\
        </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

    /// An STS that denies the role `refused` until its policy is repaired, and on a connection on which it has denied it
    /// ever after.
    #[derive(Default)]
    struct Stubborn {
        connections: AtomicUsize,
        repaired: AtomicBool,
    }

    impl Stubborn {
        async fn start() -> (Arc<Self>, String) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let own = Arc::new(Self::default());
            let server = Arc::clone(&own);
            tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    server.connections.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(Arc::clone(&server).serve(stream));
                }
            });
            (own, url)
        }

        async fn serve(self: Arc<Self>, mut stream: TcpStream) {
            let (mut read, mut remembered) = (Vec::new(), false);
            loop {
                let mut part = [0; 4096];
                let Ok(count @ 1..) = stream.read(&mut part).await else { return };
                read.extend_from_slice(&part[..count]);
                // The last member of the form: by then the request is whole.
                let text = String::from_utf8_lossy(&read).into_owned();
                if !text.contains("&WebIdentityToken=") {
                    continue;
                }
                read.clear();
                remembered |= text.contains("refused") && !self.repaired.load(Ordering::SeqCst);
                let denied = remembered && text.contains("refused");
                let (status, body) = if denied { ("403 Forbidden", DENIED) } else { ("200 OK", GIVEN) };
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\n\r\n");
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        }

        fn connections(&self) -> usize {
            self.connections.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn threat_24_a_denied_role_connects_anew_and_costs_no_other_its_connection() {
        let (server, url) = Stubborn::start().await;
        let settings = Settings { reach: Reach::public().and_loopback(), ..Settings::default() };
        let clock = Arc::new(ManualClock::new(datetime!(2026-01-01 00:00 UTC)));
        let sts = Sts::new(fetch::Client::new(settings).unwrap(), clock).unwrap();
        let open = async |role: &str| {
            let request = WebIdentity {
                endpoint: &url,
                region: &Region::parse("us-east-1").unwrap(),
                role: &RoleArn::parse(&format!("arn:aws:iam::111122223333:role/{role}")).unwrap(),
                session_name: "s.agent-1",
                duration: SessionDuration::DEFAULT,
                token: &Secret::new("header.payload.signature".to_owned()),
                subject: &Subject::parse("scoped_principal:team-1/service_account:agent-1").unwrap(),
                tagged: false,
            };
            sts.assume_role_with_web_identity(&request).await.map(drop)
        };
        assert_eq!((open("other").await, server.connections()), (Ok(()), 1));
        assert_eq!((open("other").await, server.connections()), (Ok(()), 1), "the control: connections are kept");
        for _ in 0..3 {
            assert!(open("refused").await.is_err());
        }
        // The first found the pooled connection, each of the others one of its own.
        assert_eq!(server.connections(), 3);
        assert_eq!((open("other").await, server.connections()), (Ok(()), 3), "its connection is still there");
        server.repaired.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(open("refused").await, Ok(()), "repaired is repaired, whatever older connections remember");
            assert_eq!(open("other").await, Ok(()));
        }
    }

    #[test]
    fn roles_that_were_denied_are_remembered_in_a_bounded_number() {
        let clock = Arc::new(ManualClock::new(datetime!(2026-01-01 00:00 UTC)));
        let sts = Sts::new(fetch::Client::new(Settings::default()).unwrap(), clock).unwrap();
        let denied = || sts.denied.lock().unwrap().len();
        for number in 0..=DENIED_MAX {
            let request = WebIdentity {
                endpoint: "https://sts.us-east-1.amazonaws.com",
                region: &Region::parse("us-east-1").unwrap(),
                role: &RoleArn::parse(&format!("arn:aws:iam::111122223333:role/r{number}")).unwrap(),
                session_name: "s.agent-1",
                duration: SessionDuration::DEFAULT,
                token: &Secret::new("header.payload.signature".to_owned()),
                subject: &Subject::parse("scoped_principal:team-1/service_account:agent-1").unwrap(),
                tagged: false,
            };
            sts.set_apart(&request);
            assert!(denied() <= DENIED_MAX);
        }
        assert_eq!(denied(), 1);
    }
}
