//! Whom a client command talks to, as whom, and what it says when that fails.

use std::fmt::Write as _;
use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::Run;
use super::arguments::{AdminFlags, ClientFlags};
use super::outcome::Failure;
use super::output::plain;
use crate::client::admin::Admin;
use crate::client::fresh_session::{FreshError, Freshener};
use crate::client::saved_session::{SavedSession, SavedSessionError, SessionFolder};
use crate::client::{Client, ClientError};
use crate::config::client::ClientSettings;
use crate::config::env;
use crate::config::outbound::Outbound;
use crate::config::setting::{SettingError, spelled};
use crate::domain::clock::Clock;
use crate::domain::issuer_url::{Development, IssuerUrl};
use crate::domain::secret::Secret;
use crate::fetch::{self, Reach};

/// An issuer and the credential to use there.
pub(super) struct Remote {
    pub(super) issuer: IssuerUrl,
    pub(super) client: Client,
    pub(super) token: Secret,
    saved: Option<(Saved, SavedSession)>,
}

impl Remote {
    /// The credential of `BREVET_TOKEN`, else the saved session, refreshed where it is time.
    pub(super) async fn open(run: &Run, flags: &ClientFlags) -> Result<Self, Failure> {
        let settings = ClientSettings::read(&flags.add(run.given.clone()))?;
        if let Some(token) = &settings.token {
            let issuer = named_issuer(&settings)?;
            let client = client(issuer.as_str(), &settings.outbound)?;
            return Ok(Self { issuer, client, token: token.clone(), saved: None });
        }
        let saved = Saved::find(run, &settings)?;
        let session = saved.fresh().await?;
        let (issuer, client) = (saved.issuer.clone(), saved.client.clone());
        Ok(Self { issuer, client, token: session.access_token.0.clone(), saved: Some((saved, session)) })
    }

    /// Takes another access token where the issuer calls this one expired: a clock that is off, or was set back, does
    /// not tell us. Whether there is another to try with.
    pub(super) async fn renew(&mut self, refused: &ClientError) -> Result<bool, Failure> {
        let Some((saved, stale)) = &mut self.saved else { return Ok(false) };
        if refused.code() != Some("credential_expired") || stale.refresh_token.is_none() {
            return Ok(false);
        }
        let fresh = saved.freshener().instead_of(stale).await.map_err(|error| saved.failure(error))?;
        let another = fresh.access_token.expose() != stale.access_token.expose();
        self.token = fresh.access_token.0.clone();
        *stale = fresh;
        Ok(another)
    }

    /// The saved session, where it is the credential.
    pub(super) fn session(&self) -> Option<&SavedSession> {
        self.saved.as_ref().map(|(_, session)| session)
    }
}

/// A saved session and all that makes it fresh.
pub(super) struct Saved {
    folder: SessionFolder,
    issuer: IssuerUrl,
    client: Client,
    clock: Arc<dyn Clock>,
}

impl Saved {
    /// That of the issuer named, else the only one.
    fn find(run: &Run, settings: &ClientSettings) -> Result<Self, Failure> {
        let Some(folder) = &settings.state_dir else { return Err(not_signed_in(settings.issuer.as_ref())) };
        let folder = SessionFolder::new(folder.clone());
        let issuer = if let Some(issuer) = &settings.issuer {
            issuer.clone()
        } else {
            match folder.all()?.as_slice() {
                [only] => IssuerUrl::parse(&only.issuer, Development::On).map_err(Failure::refused)?,
                [] => return Err(not_signed_in(None)),
                several => return Err(which(several)),
            }
        };
        let client = client(issuer.as_str(), &settings.outbound)?;
        Ok(Self { folder, issuer, client, clock: Arc::clone(&run.clock) })
    }

    fn is_there(&self) -> bool {
        // What is wrong with a file that is there, whoever reads it tells.
        !matches!(self.folder.load(&self.issuer), Ok(None))
    }

    fn freshener(&self) -> Freshener<'_> {
        let Self { folder, issuer, client, clock } = self;
        Freshener { folder, issuer, client, clock: clock.as_ref() }
    }

    async fn fresh(&self) -> Result<SavedSession, Failure> {
        self.freshener().fresh().await.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: FreshError) -> Failure {
        let issuer = &self.issuer;
        match error {
            FreshError::NotSignedIn => not_signed_in(Some(issuer)),
            FreshError::Ended(at) => Failure::Refused(format!(
                "your session at {issuer} ended at {}: sign in again with `brevet login`",
                stamp(at)
            )),
            FreshError::Refused(why) => Failure::Refused(format!(
                "your session at {issuer} was ended ({}): sign in again with `brevet login`",
                plain(&why)
            )),
            FreshError::Saved(error) => error.into(),
            FreshError::Client(error) => error.into(),
        }
    }
}

/// The admin API, with an administrator's or platform's key, or the saved session of a team's admin or auditor.
pub(super) async fn admin(run: &Run, flags: &AdminFlags) -> Result<Admin, Failure> {
    let settings = ClientSettings::read(&flags.add(run.given.clone()))?;
    let (key, issuer) = if let Some(token) = &settings.token {
        (token.clone(), None)
    } else if let Some(saved) = Saved::find(run, &settings).ok().filter(Saved::is_there) {
        let session = saved.fresh().await?;
        (session.access_token.0, Some(session.issuer))
    } else {
        return Err(Failure::Refused(
            "administration needs an administrator key (bvt_ad_…) in BREVET_TOKEN or BREVET_TOKEN_FILE, or the session \
             of an admin of the team: sign in with `brevet login`"
                .to_owned(),
        ));
    };
    let base = match (&settings.admin_url, issuer) {
        (Some(url), _) => url.clone(),
        (None, Some(issuer)) => issuer,
        (None, None) => named_issuer(&settings)?.to_string(),
    };
    Ok(Admin::new(client(&base, &settings.outbound)?, key))
}

/// The saved sessions' folder.
pub(super) fn sessions(settings: &ClientSettings) -> Result<SessionFolder, Failure> {
    let folder = settings.state_dir.clone().ok_or_else(|| {
        Failure::Usage(
            "there is no home to keep a session in: set HOME or XDG_STATE_HOME, or use BREVET_TOKEN".to_owned(),
        )
    })?;
    Ok(SessionFolder::new(folder))
}

/// The issuer that was named, else the only saved session's.
pub(super) fn named_issuer(settings: &ClientSettings) -> Result<IssuerUrl, Failure> {
    if let Some(issuer) = &settings.issuer {
        return Ok(issuer.clone());
    }
    let known = match &settings.state_dir {
        Some(folder) => SessionFolder::new(folder.clone()).all()?,
        None => Vec::new(),
    };
    match known.as_slice() {
        [only] => IssuerUrl::parse(&only.issuer, Development::On).map_err(Failure::refused),
        [] => Err(SettingError::new(&env::ISSUER, "is required").into()),
        several => Err(which(several)),
    }
}

fn which(sessions: &[SavedSession]) -> Failure {
    let list: Vec<&str> = sessions.iter().map(|session| session.issuer.as_str()).collect();
    Failure::Usage(format!("{} must choose between the saved sessions: {}", spelled(&env::ISSUER), list.join(", ")))
}

fn not_signed_in(issuer: Option<&IssuerUrl>) -> Failure {
    let at = issuer.map(|issuer| format!(" to {issuer}")).unwrap_or_default();
    Failure::Refused(format!("not signed in{at}: run `brevet login --issuer URL`, or set BREVET_TOKEN"))
}

/// A client of the issuer at `url`. What its user named may be reached also where it has a private address;
/// plain http goes to loopback only.
pub(super) fn client(url: &str, outbound: &Outbound) -> Result<Client, Failure> {
    Ok(Client::new(url, http(url, outbound)?))
}

/// The connections for [`client`].
pub(super) fn http(url: &str, outbound: &Outbound) -> Result<fetch::Client, Failure> {
    let mut reach = Reach::public();
    if let Some(host) = Url::parse(url).ok().as_ref().and_then(Url::host_str) {
        reach = reach.and_host(host);
    }
    if outbound.loopback {
        reach = reach.and_loopback();
    }
    let settings = fetch::Settings {
        reach,
        extra_ca: outbound.extra_ca.clone(),
        proxy: outbound.proxy.clone(),
        limits: fetch::Limits { body: 4 * 1024 * 1024, ..Default::default() },
    };
    fetch::Client::new(settings).map_err(|error| Failure::Usage(error.to_string()))
}

/// As it stands in tables: RFC 3339 in whole seconds.
pub(super) fn stamp(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_else(|_| time.unix_timestamp().to_string())
}

/// [`stamp`] where there is a time.
pub(super) fn stamp_or_none(time: Option<OffsetDateTime>) -> String {
    time.map(stamp).unwrap_or_default()
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Unreachable { .. } => Self::Unreachable(error.to_string()),
            ClientError::Protocol { status: 404, .. } => Self::Refused(format!(
                "{error}: for the admin API on its own listener set --admin-url (BREVET_ADMIN_URL)"
            )),
            ClientError::Protocol { .. } => Self::Refused(error.to_string()),
            ClientError::OAuth { code, description, status, retry_after } => {
                let mut text = format!("{} ({})", plain(description), plain(code));
                if let Some(seconds) = retry_after {
                    let _ = write!(text, "\n  try again in {seconds} s");
                }
                if *status == 503 { Self::Unreachable(text) } else { Self::Refused(text) }
            }
            ClientError::Refused { problem, retry_after } => {
                let mut text = format!("{} ({})", plain(&problem.detail), plain(problem.code()));
                for fault in &problem.errors {
                    let _ = write!(text, "\n  {} {}", plain(&fault.field), plain(&fault.rule));
                }
                if let Some(seconds) = retry_after {
                    let _ = write!(text, "\n  try again in {seconds} s");
                }
                if problem.code() == "route_not_found" {
                    text.push_str(
                        "\n  the admin API may be on a listener of its own: set --admin-url (BREVET_ADMIN_URL)",
                    );
                }
                if problem.status == 401 {
                    text.push_str("\n  sign in again with `brevet login`, or set another BREVET_TOKEN");
                }
                let _ = write!(text, "\n  request {}", plain(&problem.request_id));
                match problem.status {
                    503 => Self::Unreachable(text),
                    _ => Self::Refused(text),
                }
            }
        }
    }
}

impl From<SavedSessionError> for Failure {
    fn from(error: SavedSessionError) -> Self {
        Self::Refused(error.to_string())
    }
}
