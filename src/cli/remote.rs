//! Whom a client command talks to, as whom, and what it says when that fails.

use std::fmt::Write as _;
use std::sync::Arc;

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use url::Url;

use super::Run;
use super::arguments::{AdminFlags, ClientFlags};
use super::outcome::Failure;
use super::output::plain;
use crate::client::admin::Admin;
use crate::client::fresh_session::{FreshError, Freshener};
use crate::client::os_keyring::KeyringError;
use crate::client::saved_session::{SavedSession, SavedSessionError, SessionFolder};
use crate::client::{Client, ClientError};
use crate::config::client::ClientSettings;
use crate::config::env;
use crate::config::outbound::Outbound;
use crate::config::setting::{SettingError, spelled};
use crate::domain::clock::Clock;
use crate::domain::issuer_url::{Development, IssuerUrl};
use crate::domain::secret::Secret;
use crate::fetch::{self, FetchError, Reach};
use crate::http::layer::DEADLINE;

/// How long an administrator's command waits for its answer: longer than the issuer takes, so that nobody is left to
/// guess whether a change that took its time was made.
const ADMIN_PATIENCE: std::time::Duration = DEADLINE.saturating_add(std::time::Duration::from_secs(5));
/// A clock that is off by more than this is worth a word.
const CLOCK_ERROR: Duration = Duration::seconds(60);

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
        let fresh = match saved.freshener().instead_of(stale).await {
            Ok(fresh) => fresh,
            Err(error) => return Err(saved.failure(error).await),
        };
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
            match folder.issuers()?.as_slice() {
                [only] => IssuerUrl::parse(only, Development::On).map_err(Failure::refused)?,
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
        match self.freshener().fresh().await {
            Ok(session) => Ok(session),
            Err(error) => Err(self.failure(error).await),
        }
    }

    async fn failure(&self, error: FreshError) -> Failure {
        let issuer = &self.issuer;
        match error {
            FreshError::NotSignedIn => not_signed_in(Some(issuer)),
            FreshError::Ended(at) => {
                let mut text =
                    format!("your session at {issuer} ended at {}: sign in again with `brevet login`", stamp(at));
                // Our own clock says so. Whoever cannot be asked does not contradict it.
                if let Ok(Some(theirs)) = self.client.meet().await
                    && let Some(off) = clock_words(self.clock.now(), theirs)
                {
                    let _ = write!(text, "\n  {off}: set it first");
                }
                Failure::Refused(text)
            }
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
    let http = http(&base, &settings.outbound)?;
    let patient = http.with_limits(fetch::Limits { total: ADMIN_PATIENCE, ..http.limits() });
    Ok(Admin::new(Client::new(&base, patient), key))
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
        Some(folder) => SessionFolder::new(folder.clone()).issuers()?,
        None => Vec::new(),
    };
    match known.as_slice() {
        [only] => IssuerUrl::parse(only, Development::On).map_err(Failure::refused),
        [] => {
            Err(SettingError::new(&env::ISSUER, "is required: your issuer's address, as in https://id.example.com")
                .into())
        }
        several => Err(which(several)),
    }
}

fn which(issuers: &[String]) -> Failure {
    Failure::Usage(format!("{} must choose between the saved sessions: {}", spelled(&env::ISSUER), issuers.join(", ")))
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

/// In words, where this machine's clock is off by more than is good: AWS refuses signatures from 5 minutes on.
pub(super) fn clock_words(ours: OffsetDateTime, theirs: OffsetDateTime) -> Option<String> {
    let off = ours - theirs;
    let side = if off.is_positive() { "ahead of" } else { "behind" };
    let seconds = off.whole_seconds().unsigned_abs();
    (off.abs() > CLOCK_ERROR).then(|| format!("this machine's clock is {seconds} s {side} the issuer's"))
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
        told(&error, remedy)
    }
}

/// The refusal of a mint, with what its asker can do.
pub(super) fn mint_refused(error: &ClientError) -> Failure {
    told(error, |code| {
        Some(match code {
            "team_not_found" => "`brevet whoami` lists the teams you are in",
            "audience_not_allowed" => "`brevet whoami` lists the audiences of each team",
            "sign_in_not_accepted" => "sign in for this team with `brevet login --team UID`",
            _ => return remedy(code),
        })
    })
}

fn told(error: &ClientError, remedy: fn(&str) -> Option<&'static str>) -> Failure {
    match error {
        ClientError::Unreachable { error: cause, .. } => {
            Failure::Unreachable(format!("{error}{}", reach_remedy(*cause).unwrap_or_default()))
        }
        ClientError::Stranger { .. } => Failure::Refused(format!("{error}\n  check {}", spelled(&env::ISSUER))),
        ClientError::Protocol { status: 404, .. } => Failure::Refused(format!(
            "{error}: for the admin API on its own listener set --admin-url (BREVET_ADMIN_URL)"
        )),
        ClientError::Protocol { .. } => Failure::Refused(error.to_string()),
        ClientError::OAuth { code, description, status, retry_after } => {
            let mut text = format!("{} ({})", plain(description), plain(code));
            if let Some(seconds) = retry_after {
                let _ = write!(text, "\n  try again in {seconds} s");
            }
            if *status == 503 { Failure::Unreachable(text) } else { Failure::Refused(text) }
        }
        ClientError::Refused { problem, retry_after } => {
            let mut text = format!("{} ({})", plain(&problem.detail), plain(problem.code()));
            // The detail names a single fault, and all of them where it can.
            for fault in &problem.errors {
                let words = format!("{} {}", fault.field, fault.rule);
                if !problem.detail.contains(&words) {
                    let _ = write!(text, "\n  {}", plain(&words));
                }
            }
            if let Some(remedy) = remedy(problem.code()) {
                let _ = write!(text, "\n  {remedy}");
            }
            if let Some(seconds) = retry_after {
                let _ = write!(text, "\n  try again in {seconds} s");
            }
            if problem.status == 401 {
                text.push_str("\n  sign in again with `brevet login`, or set another BREVET_TOKEN");
            }
            let _ = write!(text, "\n  request {}", plain(&problem.request_id));
            match problem.status {
                503 => Failure::Unreachable(text),
                _ => Failure::Refused(text),
            }
        }
    }
}

/// What to do where nobody answers.
const fn reach_remedy(error: FetchError) -> Option<&'static str> {
    match error {
        FetchError::Resolve => {
            Some("\n  check the name and this machine's network (a proxy is set with BREVET_HTTPS_PROXY)")
        }
        FetchError::Connect | FetchError::Timeout => {
            Some("\n  check the network, and the proxy where there is one (BREVET_HTTPS_PROXY)")
        }
        FetchError::Tls => Some(
            "\n  its certificate is of no authority that this machine trusts (--ca-file, BREVET_CA_FILE), for another \
             name, or expired by this machine's clock",
        ),
        _ => None,
    }
}

/// What to do about a refusal, whatever was asked.
fn remedy(code: &str) -> Option<&'static str> {
    (code == "route_not_found")
        .then_some("the admin API may be on a listener of its own: set --admin-url (BREVET_ADMIN_URL)")
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::NotBuilt => Self::Usage(error.to_string()),
            KeyringError::Unusable(_) | KeyringError::Content(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<SavedSessionError> for Failure {
    fn from(error: SavedSessionError) -> Self {
        Self::Refused(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_clock_is_worth_a_word_from_a_minute_on() {
        let theirs = datetime!(2026-11-22 05:00 UTC);
        let words = |off| clock_words(theirs + Duration::seconds(off), theirs);
        assert_eq!((words(0), words(60), words(-60)), (None, None, None));
        assert_eq!(words(61).as_deref(), Some("this machine's clock is 61 s ahead of the issuer's"));
        assert_eq!(words(-7200).as_deref(), Some("this machine's clock is 7200 s behind the issuer's"));
    }
}
