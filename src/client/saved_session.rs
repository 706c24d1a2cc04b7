//! The saved session of a person at a terminal: one file an issuer, readable by its owner alone.
//!
//! The file holds the session, or says under which name the system's keyring does. The lock beside it is a file in
//! either case, because no keyring has one.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::os_keyring::{self, KeyringError};
use super::private_file;
use crate::domain::issuer_url::{Development, IssuerUrl};
use crate::wire::secret_text::SecretText;

/// How long a command waits for another that is busy with the session, and how often it looks.
const LOCK_WAIT: Duration = Duration::from_secs(30);
const LOCK_LOOK: Duration = Duration::from_millis(20);

/// One saved session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SavedSession {
    /// Whose issuer: the whole URL, because a file name alone could be moved.
    pub issuer: String,
    /// The bearer.
    pub access_token: SecretText,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// What the next bearer is got with; sessions of before had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<SecretText>,
    /// When the session ends, refreshed or not.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub session_expires_at: Option<OffsetDateTime>,
    /// The session, to end it by.
    pub session_id: String,
    /// The person.
    pub user_uid: String,
}

impl SavedSession {
    /// When it is over for good.
    pub fn end(&self) -> OffsetDateTime {
        self.session_expires_at.unwrap_or(self.expires_at)
    }
}

/// Where a session is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// In its file.
    File,
    /// In the system's keyring, to which its file points.
    Keyring,
}

/// What stands in a file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Entry {
    Session(Box<SavedSession>),
    Pointer(Pointer),
}

/// The session is elsewhere.
#[derive(Serialize, Deserialize)]
struct Pointer {
    issuer: String,
    /// The name of the keyring's entry: of one session, so that the entry of the next can be written before this one
    /// goes.
    keyring: String,
}

impl Entry {
    fn issuer(&self) -> &str {
        match self {
            Self::Session(session) => &session.issuer,
            Self::Pointer(pointer) => &pointer.issuer,
        }
    }
}

/// Held while a session is refreshed, saved anew or removed; given back when dropped, and by the kernel when its
/// holder is killed.
#[derive(Debug)]
pub struct SessionLock(#[expect(dead_code, reason = "holds the kernel's lock until it is closed")] File);

/// The folder of saved sessions.
#[derive(Debug, Clone)]
pub struct SessionFolder(PathBuf);

/// What stands between us and the saved sessions.
#[derive(Debug, thiserror::Error)]
pub enum SavedSessionError {
    /// Someone else could read or change it.
    #[error("{path} has mode {mode:04o}; others must not read it: chmod {right} it, or remove it and sign in again")]
    Mode {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What it should be.
        right: &'static str,
    },
    /// Belongs to another user.
    #[error("{0} belongs to another user")]
    Owner(PathBuf),
    /// Not what we wrote.
    #[error("{0} is not a saved session: remove it and sign in again")]
    Content(PathBuf),
    /// Another command has held the lock all the while.
    #[error("another brevet command has been busy with {0} for 30 s: end it (it may be stopped), or try again")]
    Busy(PathBuf),
    /// The keyring refused, or is none.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The file system refused.
    #[error("{path}: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl SessionFolder {
    /// The folder at `path`, which need not exist.
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The session of `issuer`, if one is saved. Whether it still lives, the caller judges.
    pub fn load(&self, issuer: &IssuerUrl) -> Result<Option<SavedSession>, SavedSessionError> {
        let file = self.file(issuer);
        let session = match Self::read(&file)? {
            None => None,
            Some(Entry::Session(session)) => Some(*session),
            Some(Entry::Pointer(pointer)) => match os_keyring::read(&pointer.keyring)? {
                None => None,
                Some(text) => {
                    let session = serde_json::from_slice(&text);
                    session.map_err(|_| KeyringError::Content(pointer.keyring))?
                }
            },
        };
        Ok(session.filter(|session| session.issuer == issuer.as_str()))
    }

    /// The issuers of every saved session. No keyring is asked.
    pub fn issuers(&self) -> Result<Vec<String>, SavedSessionError> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|error| at(&self.0, error))?,
        };
        let mut issuers = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| at(&self.0, error))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                issuers.extend(Self::read(&path)?.map(|entry| entry.issuer().to_owned()));
            }
        }
        issuers.sort();
        Ok(issuers)
    }

    /// Saves the refreshed `session` where it was, whole.
    pub fn save(&self, session: &SavedSession) -> Result<(), SavedSessionError> {
        let issuer = self.issuer_of(session)?;
        let keeping = match Self::read(&self.file(&issuer)) {
            Ok(Some(Entry::Pointer(_))) => Keeping::Keyring,
            _ => Keeping::File,
        };
        self.save_in(session, keeping)
    }

    /// Saves a new `session` for its issuer in the place of the one before, which is forgotten.
    pub fn save_in(&self, session: &SavedSession, keeping: Keeping) -> Result<(), SavedSessionError> {
        let issuer = self.issuer_of(session)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(|error| at(&self.0, error))?;
        check(&self.0, 0o022, "go-w")?;
        let file = self.file(&issuer);
        let before = match Self::read(&file) {
            Ok(Some(Entry::Pointer(pointer))) => Some(pointer.keyring),
            _ => None,
        };
        let entry = match keeping {
            Keeping::File => None,
            Keeping::Keyring => Some(format!("{issuer} {}", session.session_id)),
        };
        let session = serde_json::to_vec_pretty(session).map(zeroize::Zeroizing::new);
        let session = session.map_err(|error| at(&file, error.into()))?;
        match &entry {
            None => private_file::replace(&file, &session).map_err(|error| at(&file, error))?,
            Some(name) => {
                os_keyring::write(name, &session)?;
                // Refreshed: the pointer stands there already.
                if before.as_ref() != Some(name) {
                    let pointer = Pointer { issuer: issuer.to_string(), keyring: name.clone() };
                    let text = serde_json::to_vec_pretty(&pointer).map_err(io::Error::from);
                    let written = text.and_then(|text| private_file::replace(&file, &text));
                    written.map_err(|error| at(&file, error))?;
                }
            }
        }
        if let Some(before) = before.filter(|before| entry.as_ref() != Some(before)) {
            // What stays behind belongs to a session that nobody refreshes any more.
            let _ = os_keyring::remove(&before);
        }
        Ok(())
    }

    fn issuer_of(&self, session: &SavedSession) -> Result<IssuerUrl, SavedSessionError> {
        IssuerUrl::parse(&session.issuer, Development::On).map_err(|_| SavedSessionError::Content(self.0.clone()))
    }

    /// Waits until no other command is busy with the session of `issuer`, at most 30 s.
    pub async fn lock(&self, issuer: &IssuerUrl) -> Result<SessionLock, SavedSessionError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(|error| at(&self.0, error))?;
        check(&self.0, 0o022, "go-w")?;
        let path = self.file(issuer).with_extension("lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).clone();
        let file = open.open(&path).map_err(|error| at(&path, error))?;
        for _ in 0..LOCK_WAIT.as_millis() / LOCK_LOOK.as_millis() {
            match file.try_lock() {
                Ok(()) => return Ok(SessionLock(file)),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_LOOK).await,
                Err(TryLockError::Error(error)) => return Err(at(&path, error)),
            }
        }
        Err(SavedSessionError::Busy(path))
    }

    /// Forgets the session of `issuer`; whether there was one.
    pub fn remove(&self, issuer: &IssuerUrl) -> Result<bool, SavedSessionError> {
        let file = self.file(issuer);
        if let Ok(Some(Entry::Pointer(pointer))) = Self::read(&file) {
            os_keyring::remove(&pointer.keyring)?;
        }
        match fs::remove_file(&file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(at(&file, error)),
        }
    }

    fn read(file: &Path) -> Result<Option<Entry>, SavedSessionError> {
        match fs::metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(file, error)),
            Ok(_) => check(file, 0o077, "0600")?,
        }
        let text = fs::read(file).map(zeroize::Zeroizing::new).map_err(|error| at(file, error))?;
        serde_json::from_slice(&text).map(Some).map_err(|_| SavedSessionError::Content(file.to_owned()))
    }

    /// The host for people, and a hash of the whole URL because two issuers may share a host.
    fn file(&self, issuer: &IssuerUrl) -> PathBuf {
        use std::fmt::Write as _;
        let digest = digest::digest(&digest::SHA256, issuer.as_str().as_bytes());
        let mut name = issuer.authority().replace(':', "-");
        name.truncate(80);
        name.push('-');
        for byte in digest.as_ref().iter().take(8) {
            let _ = write!(name, "{byte:02x}");
        }
        self.0.join(name + ".json")
    }
}

fn at(path: &Path, error: io::Error) -> SavedSessionError {
    SavedSessionError::Io { path: path.to_owned(), error }
}

/// Refuses what `forbidden` mode bits open to others, and what another user owns.
fn check(path: &Path, forbidden: u32, right: &'static str) -> Result<(), SavedSessionError> {
    let metadata = fs::metadata(path).map_err(|error| at(path, error))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & forbidden != 0 {
        return Err(SavedSessionError::Mode { path: path.to_owned(), mode, right });
    }
    if own_uid().is_some_and(|own| own != metadata.uid()) {
        return Err(SavedSessionError::Owner(path.to_owned()));
    }
    Ok(())
}

/// Our own uid, as the owner of our own process's entry says; unknown where there is no /proc.
fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(issuer: &str) -> SavedSession {
        SavedSession {
            issuer: issuer.to_owned(),
            access_token: SecretText::new("bvt_at_canary"),
            expires_at: OffsetDateTime::UNIX_EPOCH,
            refresh_token: None,
            session_expires_at: None,
            session_id: "s".to_owned(),
            user_uid: "ann".to_owned(),
        }
    }

    fn url(text: &str) -> IssuerUrl {
        IssuerUrl::parse(text, Development::On).unwrap()
    }

    #[test]
    fn each_issuer_has_its_own_entry() {
        let home = tempfile::tempdir().unwrap();
        let folder = SessionFolder::new(home.path().join("state/brevet"));
        assert!(folder.load(&url("https://id.example")).unwrap().is_none());
        assert!(folder.issuers().unwrap().is_empty());
        folder.save(&session("https://id.example")).unwrap();
        folder.save(&session("https://id.example/b")).unwrap();
        folder.save(&session("https://id.example/b")).unwrap();
        assert_eq!(folder.issuers().unwrap(), ["https://id.example", "https://id.example/b"]);
        assert!(folder.remove(&url("https://id.example")).unwrap());
        assert!(!folder.remove(&url("https://id.example")).unwrap());
        assert_eq!(folder.load(&url("https://id.example/b")).unwrap().unwrap().access_token.expose(), "bvt_at_canary");
        assert_eq!(fs::read_dir(home.path().join("state/brevet")).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn threat_31_a_session_file_is_private_and_a_wider_one_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let folder = SessionFolder::new(home.path().join("brevet"));
        let issuer = url("https://id.example");
        folder.save(&session(issuer.as_str())).unwrap();
        let file = folder.file(&issuer);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(home.path().join("brevet")).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = folder.load(&issuer).unwrap_err().to_string();
        assert!(error.contains("has mode 0640; others must not read it: chmod 0600"), "{error}");
        assert!(!format!("{:?}", session("https://id.example")).contains("canary"));
    }

    #[test]
    fn threat_32_parallel_commands_never_meet_half_a_session() {
        let home = tempfile::tempdir().unwrap();
        let folder = SessionFolder::new(home.path().join("brevet"));
        let issuer = url("https://id.example");
        folder.save(&session(issuer.as_str())).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        folder.save(&session(issuer.as_str())).unwrap();
                        assert!(folder.load(&issuer).unwrap().is_some());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(home.path().join("brevet")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_moved_to_another_issuer_is_not_its_session() {
        let home = tempfile::tempdir().unwrap();
        let folder = SessionFolder::new(home.path().to_owned());
        folder.save(&session("https://id.example")).unwrap();
        fs::rename(folder.file(&url("https://id.example")), folder.file(&url("https://evil.example"))).unwrap();
        assert!(folder.load(&url("https://evil.example")).unwrap().is_none());
        fs::write(folder.file(&url("https://id.example")), "{").unwrap();
        fs::set_permissions(folder.file(&url("https://id.example")), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(folder.load(&url("https://id.example")), Err(SavedSessionError::Content(_))));
    }

    /// A build without the keyring still knows where the session is, and says so.
    #[test]
    #[cfg(not(feature = "keyring"))]
    fn a_session_in_a_keyring_that_this_build_lacks_is_told_and_can_be_replaced() {
        let home = tempfile::tempdir().unwrap();
        let folder = SessionFolder::new(home.path().to_owned());
        let issuer = url("https://id.example");
        let told = folder.save_in(&session(issuer.as_str()), Keeping::Keyring).unwrap_err().to_string();
        assert!(told.contains("built without the keyring"), "{told}");
        assert!(folder.load(&issuer).unwrap().is_none(), "nothing was saved by halves");
        let pointer = r#"{"issuer":"https://id.example","keyring":"https://id.example s"}"#;
        private_file::replace(&folder.file(&issuer), pointer.as_bytes()).unwrap();
        assert_eq!(folder.issuers().unwrap(), ["https://id.example"]);
        assert!(matches!(folder.load(&issuer), Err(SavedSessionError::Keyring(KeyringError::NotBuilt))));
        folder.save_in(&session(issuer.as_str()), Keeping::File).unwrap();
        assert!(folder.load(&issuer).unwrap().is_some());
    }
}
