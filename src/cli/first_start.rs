//! What only a first start does: look whether the issuer URL is taken, and hand out the first administrator key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::opened_store::store_failure;
use super::outcome::Failure;
use super::output::{Output, plain};
use super::remote::{http, stamp};
use crate::config::outbound::Outbound;
use crate::crypto::jwk::thumbprint;
use crate::domain::id::IssuerId;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::secret::Secret;
use crate::domain::signing_key::PublicKey;
use crate::issuer::bootstrap::{Candidate, FirstAdministrator, Host};
use crate::issuer::publish::{DISCOVERY_PATH, JWKS_PATH};
use crate::store::Store;

/// Refuses an empty store under an issuer URL that already answers with keys: they can be none of ours, and
/// whoever trusts that URL would get tokens of two installations, or none that verify.
pub(super) async fn refuse_taken(url: &IssuerUrl, outbound: &Outbound) -> Result<(), Failure> {
    if url.is_loopback() {
        return Ok(());
    }
    let answer = http(url.as_str(), outbound)?.document(&url.join(JWKS_PATH)).await;
    if answer.is_ok_and(|body| !listed_keys(&body).is_empty()) {
        return Err(taken(url));
    }
    Ok(())
}

/// The refusal to begin anew where another installation is.
pub(super) fn taken(url: &IssuerUrl) -> Failure {
    Failure::Refused(format!(
        "the store is empty, but {} already answers with other keys: connect the right store, or give \
         --new-issuer to replace that installation (tokens of the old keys stop verifying)",
        url.join(JWKS_PATH)
    ))
}

/// What stands at an issuer URL whose key is to be imported.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// No keys.
    None,
    /// The key itself, under the name that it has here.
    Same,
    /// The key itself, under another name.
    Renamed(String),
    /// Other keys only.
    Others,
}

/// Looks at what the issuer URL publishes, where its discovery document says, before `key` is imported for it.
pub(super) async fn neighbour(url: &IssuerUrl, key: &PublicKey, outbound: &Outbound) -> Result<Neighbour, Failure> {
    if url.is_loopback() {
        return Ok(Neighbour::None);
    }
    let http = http(url.as_str(), outbound)?;
    // Another issuer's software may keep its JWKS elsewhere.
    let named = http.document(&url.join(DISCOVERY_PATH)).await.ok().and_then(|body| {
        let discovery: Value = serde_json::from_slice(&body).ok()?;
        Some(discovery["jwks_uri"].as_str()?.to_owned())
    });
    let answer = http.document(&named.unwrap_or_else(|| url.join(JWKS_PATH))).await;
    Ok(answer.map_or(Neighbour::None, |body| among(&listed_keys(&body), key)))
}

fn among(listed: &[Value], key: &PublicKey) -> Neighbour {
    let (first, second) = key.members();
    let names = match key {
        PublicKey::Rsa { .. } => ("n", "e"),
        PublicKey::P256 { .. } => ("x", "y"),
    };
    let same = |jwk: &&Value| jwk[names.0].as_str() == Some(first) && jwk[names.1].as_str() == Some(second);
    match listed.iter().find(same).map(|jwk| jwk["kid"].as_str().unwrap_or_default()) {
        None if listed.is_empty() => Neighbour::None,
        None => Neighbour::Others,
        Some(kid) if kid == thumbprint(key).as_str() => Neighbour::Same,
        Some(kid) => Neighbour::Renamed(plain(kid)),
    }
}

/// The keys of a document that is a JWKS. Whatever else answers there (a proxy's page, our own 503 before the first
/// start) is no other installation.
fn listed_keys(body: &[u8]) -> Vec<Value> {
    let jwks: Option<Value> = serde_json::from_slice(body).ok();
    jwks.and_then(|jwks| jwks["keys"].as_array().cloned()).unwrap_or_default()
}

/// Makes the first administrator where there is none. With a `folder` its key goes into a private file there, and the
/// file is opened first: a key that counts and that nobody can read would lock everyone out until it ends.
pub(super) async fn administrator(
    store: &Store,
    issuer: IssuerId,
    host: &Host,
    folder: Option<&Path>,
) -> Result<Option<(FirstAdministrator, Option<KeyFile>)>, Failure> {
    if store.has_administrator(host.clock.now()).await.map_err(store_failure)? {
        return Ok(None);
    }
    let file = folder.map(KeyFile::open).transpose()?;
    let made = Candidate::draw(issuer, host).commit(store).await.map_err(Failure::refused)?;
    Ok(made.map(|first| (first, file)))
}

/// Hands the first administrator key out, once: on a terminal by showing it, else in a private file whose path
/// alone is told, because a log is no place for it.
pub(super) fn hand_out(output: Output, first: &FirstAdministrator, file: Option<KeyFile>) -> Result<(), Failure> {
    let until = stamp(first.expires_at);
    let Some(file) = file else {
        output
            .say(format_args!("first administrator key, shown this once (until {until}, or a second administrator):"));
        output.say(first.key.expose());
        return Ok(());
    };
    let path = file.write(&first.key)?;
    tracing::info!(path = %path.display(), until, "the first administrator key is in a private file: read it, then delete it");
    Ok(())
}

/// A private file, open and still empty, for the first administrator key; gone again unless the key was written.
pub(super) struct KeyFile {
    path: PathBuf,
    file: File,
    written: bool,
}

impl KeyFile {
    fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("first-administrator.key");
        // A file that is there already may be somebody else's, or readable by others: never written into.
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| {
            let cause = match error.kind() {
                io::ErrorKind::AlreadyExists => "it is there already, so move it away".to_owned(),
                _ => error.to_string(),
            };
            let path = path.display();
            Failure::Refused(format!(
                "{path} cannot be made for the first administrator key: {cause}; no administrator was made, start again"
            ))
        })?;
        Ok(Self { path, file, written: false })
    }

    fn write(mut self, key: &Secret) -> Result<PathBuf, Failure> {
        let written = writeln!(self.file, "{}", key.expose()).and_then(|()| self.file.sync_all());
        written.map_err(|error| Failure::Refused(format!("{}: {error}", self.path.display())))?;
        self.written = true;
        Ok(self.path.clone())
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        if !self.written {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::domain::signing_key::KeyKind;

    #[test]
    fn threat_14_only_a_jwks_with_keys_is_another_installation() {
        assert_eq!(listed_keys(br#"{"keys":[{"kid":"a"}]}"#).len(), 1);
        for other in [&b"{\"keys\":[]}"[..], b"{}", b"[]", b"<html>", b""] {
            assert!(listed_keys(other).is_empty());
        }
    }

    #[test]
    fn threat_14_a_key_is_imported_where_it_stands_already_or_where_nothing_does() {
        let n = "a".repeat(342);
        let key = PublicKey::new(KeyKind::Rsa2048, &n, "AQAB").unwrap();
        let jwk = |kid: &str, n: &str| serde_json::json!({ "kty": "RSA", "n": n, "e": "AQAB", "kid": kid });
        let other = jwk("other", &"b".repeat(342));
        let own = thumbprint(&key);
        assert_eq!(among(&[], &key), Neighbour::None);
        assert_eq!(among(std::slice::from_ref(&other), &key), Neighbour::Others);
        assert_eq!(among(&[other.clone(), jwk(own.as_str(), &n)], &key), Neighbour::Same);
        assert_eq!(among(&[other, jwk("k1\u{1b}", &n)], &key), Neighbour::Renamed("k1\u{fffd}".to_owned()));
    }

    #[test]
    fn threat_31_the_first_key_goes_into_a_private_file_and_never_into_an_existing_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = KeyFile::open(folder.path()).unwrap().write(&Secret::new("bvt_ad_canary".to_owned())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "bvt_ad_canary\n");
        let Err(refused) = KeyFile::open(folder.path()) else { panic!("an existing file was taken") };
        assert!(refused.to_string().contains("it is there already, so move it away"), "{refused}");
        fs::remove_file(&path).unwrap();
        drop(KeyFile::open(folder.path()).unwrap());
        assert!(!path.exists(), "a key that was not written leaves no file");
        assert!(KeyFile::open(&path).is_err(), "there is no such folder");
    }
}
