//! What only a first start does: look whether the issuer URL is taken, and hand out the first administrator key.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::outcome::Failure;
use super::output::Output;
use super::remote::{http, stamp};
use crate::config::outbound::Outbound;
use crate::domain::issuer_url::IssuerUrl;
use crate::issuer::bootstrap::FirstAdministrator;
use crate::issuer::publish::JWKS_PATH;

/// Refuses an empty store under an issuer URL that already answers with keys: they can be none of ours, and
/// whoever trusts that URL would get tokens of two installations, or none that verify.
pub(super) async fn refuse_taken(url: &IssuerUrl, outbound: &Outbound) -> Result<(), Failure> {
    if url.is_loopback() {
        return Ok(());
    }
    let answer = http(url.as_str(), outbound)?.document(&url.join(JWKS_PATH)).await;
    if answer.is_ok_and(|body| lists_keys(&body)) {
        return Err(Failure::Refused(format!(
            "the store is empty, but {} already answers with other keys: connect the right store, or give \
             --new-issuer to replace that installation (tokens of the old keys stop verifying)",
            url.join(JWKS_PATH)
        )));
    }
    Ok(())
}

/// Whether a document is a JWKS with at least one key. Whatever else answers there (a proxy's page, our own 503
/// before the first start) is no other installation.
fn lists_keys(body: &[u8]) -> bool {
    let jwks: Option<Value> = serde_json::from_slice(body).ok();
    jwks.is_some_and(|jwks| jwks["keys"].as_array().is_some_and(|keys| !keys.is_empty()))
}

/// Hands the first administrator key out, once: on a terminal by showing it, else in a private file whose path
/// alone is told, because a log is no place for it.
pub(super) fn hand_out(output: Output, data_dir: &Path, first: &FirstAdministrator) -> Result<(), Failure> {
    let until = stamp(first.expires_at);
    if io::stderr().is_terminal() {
        output
            .say(format_args!("first administrator key, shown this once (until {until}, or a second administrator):"));
        output.say(first.key.expose());
        return Ok(());
    }
    let path = write_key(data_dir, first).map_err(|error| {
        Failure::Refused(format!("the first administrator key cannot be written to {}: {error}", data_dir.display()))
    })?;
    tracing::info!(path = %path.display(), until, "the first administrator key is in a private file: read it, then delete it");
    Ok(())
}

fn write_key(data_dir: &Path, first: &FirstAdministrator) -> io::Result<PathBuf> {
    let path = data_dir.join("first-administrator.key");
    // A file that is there already may be somebody else's, or readable by others: never written into.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    writeln!(file, "{}", first.key.expose())?;
    file.sync_all()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::domain::id::AdministratorId;
    use crate::domain::secret::Secret;

    #[test]
    fn threat_14_only_a_jwks_with_keys_is_another_installation() {
        assert!(lists_keys(br#"{"keys":[{"kid":"a"}]}"#));
        for other in [&b"{\"keys\":[]}"[..], b"{}", b"[]", b"<html>", b""] {
            assert!(!lists_keys(other));
        }
    }

    #[test]
    fn threat_31_the_first_key_goes_into_a_private_file_and_never_into_an_existing_one() {
        let folder = tempfile::tempdir().unwrap();
        let first = FirstAdministrator {
            key: Secret::new("bvt_ad_canary".to_owned()),
            id: AdministratorId::new(uuid::Uuid::nil()),
            expires_at: time::OffsetDateTime::UNIX_EPOCH,
        };
        let path = write_key(folder.path(), &first).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "bvt_ad_canary\n");
        assert_eq!(write_key(folder.path(), &first).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
