//! `brevet login`: a person signs in, and the session is saved.
//!
//! Three ways, one end: the browser of this machine brings an authorization code to a listener on loopback; a browser
//! anywhere approves the code that the terminal shows; or a one-time enrolment code is redeemed without a browser.

use std::time::Duration as StdDuration;

use tokio::time::{Instant, sleep, timeout_at};

use super::Run;
use super::arguments::{self, IssuerFlags};
use super::browser::Browser;
use super::outcome::Failure;
use super::output::plain;
use super::remote::{client, clock_words, named_issuer, sessions, stamp};
use crate::client::fresh_session::session;
use crate::client::os_keyring;
use crate::client::saved_session::{Keeping, SavedSession, SavedSessionError, SessionFolder};
use crate::client::sign_in::{AuthorizationRequest, DeviceAuthorization, Poll};
use crate::client::{Client, ClientError};
use crate::config::client::ClientSettings;
use crate::config::env;
use crate::domain::browser::{BrowserSecret, Derived};
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::secret::Secret;
use crate::http::loopback::{Ending, Loopback};
use crate::wire::session::SessionTokens;

/// How long the listener waits for the browser: as long as a device code lives.
const BROWSER_WAIT: StdDuration = StdDuration::from_mins(10);
/// Most seconds between two polls, whatever the issuer asks for.
const INTERVAL_MAX: u32 = 60;

/// Sign in at an issuer
///
/// Opens the browser of this machine where there is one; else shows a code to type into a browser anywhere. The
/// session is saved in $XDG_STATE_HOME/brevet, readable by you alone, or in the system's keyring. It is refreshed while
/// it is used, and lasts as long as your company's sign-in does: 12 hours unless it says otherwise. A session that was
/// saved before is ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  brevet login --issuer https://id.example.com\n  \
                  brevet login --device-code       (no browser here: type the code shown into one elsewhere)\n  \
                  brevet login --code -            (a one-time enrolment code, asked on stdin)")]
pub(super) struct Login {
    #[command(flatten)]
    issuer: IssuerFlags,
    /// A one-time enrolment code, or - to read it from stdin: an argument stays in the shell's history and shows in
    /// the process list, though the code is worth nothing once it is redeemed
    #[arg(long, value_name = "CODE", conflicts_with_all = ["browser", "device_code"])]
    code: Option<String>,
    /// Open a browser on this machine, also where none seems to be at hand
    #[arg(long, conflicts_with = "device_code")]
    browser: bool,
    /// Show a code to type into a browser on any machine
    #[arg(long)]
    device_code: bool,
    /// What to call this device in the list of your sessions; the name of the host by default
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// The team that you sign in for: the page then offers what it accepts
    #[arg(long, value_name = "UID", conflicts_with = "code")]
    team: Option<String>,
    /// Keep the session in the system's keyring instead of a file, where this build knows it (BREVET_KEYRING)
    #[arg(long)]
    keyring: bool,
}

/// Which way.
enum Way {
    Enrolment(Secret),
    Browser(Browser),
    DeviceCode,
}

impl Login {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let given = self.issuer.add(run.given.clone()).switch(&env::KEYRING, self.keyring);
        let settings = ClientSettings::read(&given)?;
        let issuer = named_issuer(&settings)?;
        let folder = sessions(&settings)?;
        let keeping = if settings.keyring { Keeping::Keyring } else { Keeping::File };
        if keeping == Keeping::Keyring {
            // Before a person has gone through a sign-in that could not be kept.
            os_keyring::probe()?;
        }
        let way = self.way(run)?;
        let client = client(issuer.as_str(), &settings.outbound)?;
        if let Some(theirs) = client.meet().await?
            && let Some(off) = clock_words(run.clock.now(), theirs)
        {
            run.output.say(format_args!("note: {off}: set it, or AWS will refuse what is signed here"));
        }
        let device = self.device.clone().or_else(host_name);
        let granted = match way {
            Way::Enrolment(code) => client.open_session(code, device).await?,
            Way::Browser(browser) => self.by_browser(run, &client, &browser, device.as_deref()).await?,
            Way::DeviceCode => self.by_device_code(run, &client, device.as_deref()).await?,
        };
        let session = session(&issuer, granted, run.clock.now());
        let before = match keep(&folder, &issuer, &session, keeping).await {
            Ok(before) => before,
            Err(error) => {
                // A session that nobody can use any more must not live on.
                let fate = match client.end_saved(&session).await {
                    Ok(()) => "the session was ended again",
                    Err(_) => "the session lives on unused",
                };
                return Err(Failure::Refused(format!("{error}; {fate}")));
            }
        };
        let until = stamp(session.end());
        run.output.say(format_args!("signed in to {issuer} as {} until {until}", plain(&session.user_uid)));
        if let Some(before) = before.filter(|before| before.end() > run.clock.now())
            && client.end_saved(&before).await.is_err()
        {
            let until = stamp(before.end());
            run.output.say(format_args!("note: the session before could not be ended; unused, it lives until {until}"));
        }
        if settings.token.is_some() {
            let set = if run.given.text(&env::TOKEN)?.is_some() { &env::TOKEN } else { &env::TOKEN_FILE };
            run.output.say(format_args!("note: {} is set and goes before the session", set.name));
        }
        Ok(())
    }

    fn way(&self, run: &Run) -> Result<Way, Failure> {
        if let Some(code) = &self.code {
            return Ok(Way::Enrolment(enrolment_code(arguments::secret(code)?)?));
        }
        if self.browser {
            return Ok(Way::Browser(Browser::named(&run.given)?));
        }
        let browser = if self.device_code { None } else { Browser::at_hand(&run.given)? };
        Ok(browser.map_or(Way::DeviceCode, Way::Browser))
    }

    async fn by_browser(
        &self,
        run: &Run,
        client: &Client,
        browser: &Browser,
        device: Option<&str>,
    ) -> Result<SessionTokens, Failure> {
        let secret = BrowserSecret::generate(run.entropy.as_ref());
        let listening = Loopback::listen(client.issuer_url(), secret.clone()).await;
        let mut loopback = listening.map_err(|error| {
            Failure::Refused(format!("cannot listen on 127.0.0.1: {error}; try `brevet login --device-code`"))
        })?;
        let redirect_uri = loopback.redirect_uri();
        let address = client.authorization_url(&AuthorizationRequest {
            redirect_uri: &redirect_uri,
            state: secret.derive(Derived::State).expose(),
            code_challenge: &secret.challenge(),
            device,
            team: self.team.as_deref(),
        });
        if browser.open(&address) {
            run.output.say("opening your browser to sign in; if none comes up, visit");
        } else {
            run.output.say("no browser could be opened (see --device-code); on this machine, visit");
        }
        run.output.say(format_args!("  {address}"));
        let until = Instant::now() + BROWSER_WAIT;
        let Ok(Some(visit)) = timeout_at(until, loopback.visit()).await else {
            return Err(Failure::Refused("nobody signed in within 10 minutes: run `brevet login` again".to_owned()));
        };
        let denied = matches!(&visit.brought, Err(denied) if denied.error == "access_denied");
        let granted = match &visit.brought {
            Ok(code) => {
                client.redeem_code(code, &redirect_uri, &secret.derive(Derived::Verifier)).await.map_err(too_late)
            }
            Err(denied) => Err(denied_words(&denied.error, &denied.description)),
        };
        let ending = match (&granted, denied) {
            (Ok(_), _) => Ending::SignedIn,
            (Err(_), true) => Ending::Denied,
            (Err(_), false) => Ending::Failed,
        };
        visit.answer(ending).await;
        granted
    }

    async fn by_device_code(&self, run: &Run, client: &Client, device: Option<&str>) -> Result<SessionTokens, Failure> {
        let asked = client.device_authorization(device, self.team.as_deref()).await?;
        let paint = run.output.err();
        run.output.say("to sign in, open this address in a browser on any machine");
        run.output.say(format_args!("  {}", paint.name(plain(&asked.verification_uri))));
        run.output.say(format_args!("and type the code  {}", paint.bold(plain(&asked.user_code))));
        if let Some(complete) = &asked.verification_uri_complete {
            run.output.say(format_args!("(or open {})", plain(complete)));
        }
        run.output.say("waiting for your approval; never type a code that you did not ask for yourself");
        poll(client, &asked).await
    }
}

/// Asks until the person has decided. A poll that meets no answer is one of many (RFC 8628, section 3.5).
async fn poll(client: &Client, asked: &DeviceAuthorization) -> Result<SessionTokens, Failure> {
    let until = Instant::now() + StdDuration::from_secs(asked.expires_in.into());
    let mut interval = asked.interval.clamp(1, INTERVAL_MAX);
    loop {
        sleep(StdDuration::from_secs(interval.into())).await;
        let over = Instant::now() >= until;
        match client.poll_device(&asked.device_code.0).await {
            Ok(Poll::Granted(granted)) => return Ok(*granted),
            Ok(Poll::Pending) => {}
            Ok(Poll::SlowDown) => interval = (interval + 5).min(INTERVAL_MAX),
            Err(ClientError::OAuth { code, description, .. })
                if matches!(&*code, "access_denied" | "expired_token") =>
            {
                return Err(denied_words(&code, &description));
            }
            Err(error) if error.is_retryable() && !over => interval = (interval * 2).min(INTERVAL_MAX),
            Err(error) => return Err(error.into()),
        }
        if over {
            return Err(denied_words("expired_token", ""));
        }
    }
}

/// A code that the issuer does not take was approved, and has been on its way for too long or twice.
fn too_late(error: ClientError) -> Failure {
    match error.code() {
        Some("invalid_grant") => Failure::Refused(
            "the browser's answer came too late, or was used before: run `brevet login` again".to_owned(),
        ),
        _ => error.into(),
    }
}

/// What ended the sign-in, in the words of somebody who must do something about it.
fn denied_words(code: &str, description: &str) -> Failure {
    Failure::Refused(match code {
        "access_denied" => "the sign-in was denied in the browser; nobody is signed in".to_owned(),
        "expired_token" => "the code was not approved in time: run `brevet login` again".to_owned(),
        _ => format!("the sign-in failed: {} ({})", plain(description), plain(code)),
    })
}

/// Saves the new session; the one before, which nobody will use any more.
async fn keep(
    folder: &SessionFolder,
    issuer: &IssuerUrl,
    session: &SavedSession,
    keeping: Keeping,
) -> Result<Option<SavedSession>, SavedSessionError> {
    let _lock = folder.lock(issuer).await?;
    // One that cannot be read, or not any more, is no reason to refuse a new one its place.
    let before = folder.load(issuer).ok().flatten();
    folder.save_in(session, keeping)?;
    Ok(before)
}

/// What the system calls itself.
fn host_name() -> Option<String> {
    let text = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .into_iter()
        .find_map(|file| std::fs::read_to_string(file).ok())?;
    let name: String = text.trim().chars().filter(|c| !c.is_control()).take(200).collect();
    (!name.is_empty()).then_some(name)
}

/// Tells a mistyped code before it is sent anywhere.
fn enrolment_code(text: Secret) -> Result<Secret, Failure> {
    let parsed = OpaqueCredential::parse(text.expose()).map_err(|rule| Failure::Usage(format!("--code {rule}")))?;
    match parsed.kind() {
        CredentialKind::Enrolment => Ok(text),
        other => Err(Failure::Usage(format!("--code must be an enrolment code (bvt_en_…), not a {other}"))),
    }
}
