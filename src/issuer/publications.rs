//! What teams' private issuers publish: documents that stand ready, by team.
//!
//! They answer like the shared issuer's: from memory, also without the database, after a start from the files of the
//! last run. A team that has no private issuer, never had one or has one no more is simply not there.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::publish::{Made, Publication, Published, SavedError};
use crate::domain::id::TeamUid;
use crate::domain::issuer_url::IssuerUrl;

/// The suffix of a saved file's name; before it stands the team's uid, whose grammar is safe in any file system.
const SUFFIX: &str = ".json";

/// The documents of every private issuer.
pub struct TeamPublications {
    shared: IssuerUrl,
    folder: Option<PathBuf>,
    // Held for a look or an assignment, never across an await.
    kept: RwLock<HashMap<TeamUid, Arc<Publication>>>,
    /// Whose files are to be removed, and whether it was told that one remains.
    gone: Mutex<Vec<(TeamUid, bool)>>,
}

impl TeamPublications {
    /// Publishes nothing yet. In `folder` the last documents are kept, one file a team, for a start without the
    /// database.
    pub fn new(shared: IssuerUrl, folder: Option<PathBuf>) -> Self {
        Self { shared, folder, kept: RwLock::default(), gone: Mutex::default() }
    }

    /// What the private issuer of `team` publishes, if it has one.
    pub fn current(&self, team: &TeamUid) -> Option<Arc<Published>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.get(team).and_then(|publication| publication.current())
    }

    /// What every private issuer publishes, in the order of the teams.
    pub fn all(&self) -> Vec<(TeamUid, Arc<Published>)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let published = kept.iter().filter_map(|(team, publication)| Some((team.clone(), publication.current()?)));
        let mut all: Vec<_> = published.collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// Serves the saved documents until the database answers; how many issuers there were. A file that is not
    /// understood is told and passed over: the others still serve.
    pub fn restore(&self) -> Result<usize, SavedError> {
        let Some(folder) = &self.folder else { return Ok(0) };
        let file = |source| SavedError::File { path: folder.clone(), source };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(file(error)),
        };
        let mut restored = 0;
        for entry in entries {
            let name = entry.map_err(file)?.file_name();
            let uid = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            let Some(team) = uid.and_then(|uid| TeamUid::parse(uid).ok()) else { continue };
            let Some(publication) = self.of(&team) else { continue };
            match publication.restore() {
                Ok(found) => restored += usize::from(found),
                Err(error) => tracing::warn!(cause = %error, "saved documents of a private issuer are not served"),
            }
        }
        Ok(restored)
    }

    /// The state of the keys that is published for `team`, where this process has published any.
    pub(super) fn version(&self, team: &TeamUid) -> Option<i64> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).get(team)?.version()
    }

    /// [`Publication::publish`] for `team`, if [`TeamPublications::keep_only`] has made a place for it.
    pub(super) fn publish(&self, team: &TeamUid, make: impl FnOnce(Option<&Published>) -> Option<Made>) -> bool {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(team).cloned();
        kept.is_some_and(|publication| publication.publish(make))
    }

    /// Publishes for `teams` and no others from now on; whether it did for any other.
    pub(super) fn keep_only(&self, teams: &[TeamUid]) -> bool {
        for team in teams {
            self.of(team);
        }
        let gone: Vec<TeamUid> = {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            let gone = kept.keys().filter(|team| !teams.contains(team)).cloned().collect();
            kept.retain(|team, _| teams.contains(team));
            gone
        };
        for team in &gone {
            tracing::info!(%team, "the private issuer is published no more");
        }
        let any = !gone.is_empty();
        self.gone().extend(gone.into_iter().map(|team| (team, false)));
        any
    }

    /// Brings the files up to what is published, and removes those of issuers that are gone. It may block.
    pub(super) fn save(&self) {
        let Some(folder) = &self.folder else { return };
        let gone = std::mem::take(&mut *self.gone());
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (team, told) in gone.into_iter().filter(|(team, _)| !kept.contains_key(team)) {
            let Some(file) = self.file(&team) else { continue };
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    if !told {
                        tracing::warn!(file = %file.display(), cause = %error, "saved documents of a gone issuer remain");
                    }
                    self.gone().push((team, true));
                }
                _ => {}
            }
        }
        if !kept.is_empty() {
            // Where it cannot be made, saving says so.
            let _ = private_folder(folder);
        }
        for publication in kept.values() {
            publication.save();
        }
    }

    fn gone(&self) -> MutexGuard<'_, Vec<(TeamUid, bool)>> {
        // Nothing panics half-way in there.
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, team: &TeamUid) -> Option<Arc<Publication>> {
        let url = self.shared.of_team(team).ok()?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(Publication::new(url, self.file(team)));
        Some(Arc::clone(kept.entry(team.clone()).or_insert_with(made)))
    }

    fn file(&self, team: &TeamUid) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("{team}{SUFFIX}")))
    }
}

/// Makes the folder for its owner alone.
fn private_folder(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

impl fmt::Debug for TeamPublications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "public documents of private issuers under {}", self.shared)
    }
}
