//! One setting: the flag first, then the variable, and an error that names both and the rule.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::env::{self, Environment, Variable};
use crate::domain::secret::Secret;

/// Most bytes of a file that holds one secret.
const SECRET_FILE_MAX: u64 = 16 * 1024;

/// A setting that breaks its rule. Never shows the value: it may be a secret, or hold one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {rule}", spelled(.variable))]
pub struct SettingError {
    variable: &'static Variable,
    rule: String,
}

impl SettingError {
    /// `rule` completes the sentence that the setting's name begins.
    pub fn new(variable: &'static Variable, rule: impl Display) -> Self {
        Self { variable, rule: rule.to_string() }
    }

    /// The setting.
    pub const fn variable(&self) -> &'static Variable {
        self.variable
    }
}

/// The setting's name as a user would write it: flag and variable.
pub fn spelled(variable: &Variable) -> String {
    match variable.flag {
        Some(flag) => format!("{flag} ({})", variable.name),
        None => variable.name.to_owned(),
    }
}

/// What flags and variables say together.
#[derive(Debug, Clone)]
pub struct Given {
    environment: Environment,
    flags: BTreeMap<&'static str, String>,
}

impl Given {
    /// What the variables say, before any flag.
    pub const fn new(environment: Environment) -> Self {
        Self { environment, flags: BTreeMap::new() }
    }

    /// Adds what the flag of `variable` said, if it was given.
    #[must_use]
    pub fn flag(mut self, variable: &'static Variable, value: Option<&str>) -> Self {
        self.flags.extend(value.map(|value| (variable.name, value.to_owned())));
        self
    }

    /// Adds a flag without value: given, it means `on`.
    #[must_use]
    pub fn switch(self, variable: &'static Variable, given: bool) -> Self {
        self.flag(variable, given.then_some("on"))
    }

    /// The text of a setting: the flag's, else the variable's.
    pub fn text(&self, variable: &'static Variable) -> Result<Option<&str>, SettingError> {
        match self.flags.get(variable.name) {
            Some(value) if value.is_empty() => Err(SettingError::new(variable, "must not be empty")),
            Some(value) => Ok(Some(value)),
            None => self.environment.text(variable).map_err(|rule| SettingError::new(variable, rule)),
        }
    }

    /// The setting through `parse`, whose error completes a sentence that begins with the setting.
    pub fn parse<T, E: Display>(
        &self,
        variable: &'static Variable,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, SettingError> {
        self.text(variable)?.map(parse).transpose().map_err(|rule| SettingError::new(variable, rule))
    }

    /// Like [`Given::parse`], for a setting without which the command cannot run.
    pub fn required<T, E: Display>(
        &self,
        variable: &'static Variable,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, SettingError> {
        self.parse(variable, parse)?.ok_or_else(|| SettingError::new(variable, "is required"))
    }

    /// An `on`/`off` setting.
    pub fn is_on(&self, variable: &'static Variable, default: bool) -> Result<bool, SettingError> {
        let parse = |text: &str| match text {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err("must be on or off"),
        };
        Ok(self.parse(variable, parse)?.unwrap_or(default))
    }

    /// The entries of a list divided by commas, each through `parse`.
    pub fn list<T, E: Display>(
        &self,
        variable: &'static Variable,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, SettingError> {
        let Some(text) = self.text(variable)? else { return Ok(Vec::new()) };
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(|entry| parse(entry).map_err(|rule| SettingError::new(variable, rule))).collect()
    }

    /// A secret that stands in `text` or in the file that `file` names; both together are an error, because one
    /// of them would be ignored silently.
    pub fn secret(&self, text: &'static Variable, file: &'static Variable) -> Result<Option<Secret>, SettingError> {
        let path = self.text(file)?;
        match (self.text(text)?, path) {
            (Some(_), Some(_)) if !self.flags.contains_key(file.name) => {
                Err(SettingError::new(text, format!("and {} must not both be set", file.name)))
            }
            (_, Some(path)) => {
                let guarded = [env::KEK_FILE.name, env::PREVIOUS_KEK_FILE.name].contains(&file.name);
                let readers = if guarded { Readers::OwnerOrGroup } else { Readers::Any };
                let read = secret_file(Path::new(path), readers);
                read.map(Some).map_err(|rule| SettingError::new(file, rule))
            }
            (Some(value), None) => Ok(Some(Secret::new(value.trim().to_owned()))),
            (None, None) => Ok(None),
        }
    }
}

/// Whom a secret's file may be open to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// Whoever its owner lets: a credential of one principal, often piped or redirected into place.
    Any,
    /// The key that opens every signing key: its owner, and a group where an orchestrator mounts it (0440).
    OwnerOrGroup,
}

/// The text of a file, without white space around it: editors and `echo` end a file with a line feed.
fn secret_file(path: &Path, readers: Readers) -> Result<Secret, String> {
    let told = |error: std::io::Error| format!("names {}, which cannot be read: {}", path.display(), error.kind());
    // One handle for all of it: what is judged is what is read.
    let mut file = fs::File::open(path).map_err(told)?;
    let metadata = file.metadata().map_err(told)?;
    if metadata.len() > SECRET_FILE_MAX {
        return Err(format!("names {}, which is no secret's file: it is longer than 16 KiB", path.display()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if readers == Readers::OwnerOrGroup && mode & 0o027 != 0 {
        return Err(format!(
            "names {}, which is open to others (mode {mode:04o}): chmod 600, or 440 where it is mounted for a group",
            path.display()
        ));
    }
    let mut whole = zeroize::Zeroizing::new(String::new());
    file.by_ref().take(SECRET_FILE_MAX).read_to_string(&mut whole).map_err(told)?;
    match whole.trim() {
        "" => Err(format!("names {}, which is empty", path.display())),
        text => Ok(Secret::new(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::env;
    use super::*;

    #[test]
    fn a_flag_goes_before_its_variable_and_errors_name_both() {
        let environment = Environment::of(&[(&env::MIGRATE, "off"), (&env::DATA_DIR, "/var")]);
        let given = Given::new(environment).flag(&env::MIGRATE, Some("maybe"));
        assert_eq!(given.text(&env::DATA_DIR).unwrap(), Some("/var"));
        let error = given.is_on(&env::MIGRATE, true).unwrap_err();
        assert_eq!(error.to_string(), "--migrate (BREVET_MIGRATE) must be on or off");
        assert!(!given.flag(&env::MIGRATE, Some("off")).is_on(&env::MIGRATE, true).unwrap());
    }

    #[test]
    fn threat_15_a_key_encryption_key_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        fs::write(&path, "key\n").unwrap();
        let read = |variable: &'static Variable, mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let given = Given::new(Environment::of(&[(variable, path.to_str().unwrap())]));
            given.secret(&env::KEK, variable).map(|secret| secret.unwrap().expose().to_owned())
        };
        for mode in [0o600, 0o400, 0o440, 0o640] {
            assert_eq!(read(&env::KEK_FILE, mode).unwrap(), "key", "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o660, 0o666] {
            let refused = read(&env::KEK_FILE, mode).unwrap_err().to_string();
            assert!(refused.contains("--kek-file (BREVET_KEK_FILE)") && refused.contains("chmod 600"), "{refused}");
        }
        assert!(read(&env::PREVIOUS_KEK_FILE, 0o644).unwrap_err().to_string().contains("--previous-kek-file"));
        assert_eq!(read(&env::TOKEN_FILE, 0o644).unwrap(), "key");
    }

    #[test]
    fn a_required_setting_that_is_absent_says_so() {
        let error = Given::new(Environment::default()).required(&env::ISSUER_URL, |text| Ok::<_, String>(text.len()));
        assert_eq!(error.unwrap_err().to_string(), "--issuer-url (BREVET_ISSUER_URL) is required");
    }

    #[test]
    fn threat_31_a_secret_comes_from_a_variable_or_a_file_and_is_in_no_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, " canary-1\n").unwrap();
        let path = path.to_str().unwrap();
        let read = |values: &[(&'static Variable, &str)]| {
            Given::new(Environment::of(values)).secret(&env::TOKEN, &env::TOKEN_FILE)
        };
        assert_eq!(read(&[(&env::TOKEN_FILE, path)]).unwrap().unwrap().expose(), "canary-1");
        assert_eq!(read(&[(&env::TOKEN, "canary-2\n")]).unwrap().unwrap().expose(), "canary-2");
        let both = read(&[(&env::TOKEN_FILE, path), (&env::TOKEN, "canary-2")]).unwrap_err().to_string();
        assert_eq!(both, "BREVET_TOKEN and BREVET_TOKEN_FILE must not both be set");
        let gone = read(&[(&env::TOKEN_FILE, "/nowhere")]).unwrap_err().to_string();
        assert_eq!(gone, "--token-file (BREVET_TOKEN_FILE) names /nowhere, which cannot be read: entity not found");
    }
}
