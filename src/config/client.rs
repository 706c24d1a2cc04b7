//! The settings of commands that talk to an issuer.

use std::path::PathBuf;

use super::env;
use super::outbound::Outbound;
use super::setting::{Given, SettingError};
use crate::domain::issuer_url::{Development, IssuerUrl, IssuerUrlError};
use crate::domain::secret::Secret;

/// Whom a client command talks to, and as whom.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The issuer, where it was named.
    pub issuer: Option<IssuerUrl>,
    /// Where the admin API answers, if not under the issuer URL.
    pub admin_url: Option<String>,
    /// The credential, where it was given.
    pub token: Option<Secret>,
    /// The folder of the saved sessions; `None` where there is no home (a runner uses BREVET_TOKEN).
    pub state_dir: Option<PathBuf>,
    /// Whether a new session goes to the system's keyring.
    pub keyring: bool,
    /// Outbound requests. Loopback may always be reached: a client talks to whom its user names.
    pub outbound: Outbound,
}

impl ClientSettings {
    /// Reads them.
    pub fn read(given: &Given) -> Result<Self, SettingError> {
        let path = |variable| given.parse(variable, |text| Ok::<_, String>(PathBuf::from(text)));
        let state_home = match path(&env::XDG_STATE_HOME)?.filter(|path| path.is_absolute()) {
            Some(folder) => Some(folder),
            None => path(&env::HOME)?.map(|home| home.join(".local/state")),
        };
        Ok(Self {
            issuer: given.parse(&env::ISSUER, issuer)?,
            admin_url: given.parse(&env::ADMIN_URL, admin_url)?,
            token: given.secret(&env::TOKEN, &env::TOKEN_FILE)?,
            state_dir: state_home.map(|folder| folder.join("brevet")),
            keyring: given.is_on(&env::KEYRING, false)?,
            outbound: Outbound { loopback: true, ..Outbound::read(given)? },
        })
    }
}

/// A client may name an issuer on loopback as it is: the rule is the servers', and so is its flag.
fn issuer(text: &str) -> Result<IssuerUrl, String> {
    IssuerUrl::parse(text, Development::On).map_err(|rule| match rule {
        IssuerUrlError::Scheme => {
            "must begin with https:// (with http:// only on this machine: http://127.0.0.1:PORT)".to_owned()
        }
        IssuerUrlError::Path if text.ends_with('/') => "must not end with a slash".to_owned(),
        rule => rule.to_string(),
    })
}

/// A credential goes there, so plain http stays on the host. `client` judges the host itself; this is the form.
fn admin_url(text: &str) -> Result<String, &'static str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://127.0.0.1:"));
    let rest = rest.or_else(|| text.strip_prefix("http://localhost:"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(['@', '?', '#']) && !text.ends_with('/') => {
            Ok(text.to_owned())
        }
        _ => Err("must be https, or http on loopback with a port, without user, query or trailing slash"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::env::Environment;
    use super::*;

    #[test]
    fn sessions_are_looked_for_below_the_state_folder_and_relative_ones_do_not_count() {
        let folder = |values: &[_]| ClientSettings::read(&Given::new(Environment::of(values))).unwrap().state_dir;
        assert_eq!(folder(&[]), None);
        let home = (&env::HOME, "/home/ann");
        assert_eq!(folder(&[home]), Some(PathBuf::from("/home/ann/.local/state/brevet")));
        assert_eq!(folder(&[home, (&env::XDG_STATE_HOME, "/state")]), Some(PathBuf::from("/state/brevet")));
        assert_eq!(
            folder(&[home, (&env::XDG_STATE_HOME, "state")]),
            Some(PathBuf::from("/home/ann/.local/state/brevet"))
        );
    }
}
