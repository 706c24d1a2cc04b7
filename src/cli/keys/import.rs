//! `brevet keys import`.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::Run;
use crate::cli::arguments::StoreFlags;
use crate::cli::first_start::{self, Neighbour};
use crate::cli::opened_store::{kek, opened, schedule, store_failure};
use crate::cli::outcome::Failure;
use crate::cli::output::fields;
use crate::config::database::StoreSettings;
use crate::config::issuer::issuer_url;
use crate::config::outbound::Outbound;
use crate::crypto::KEY_FILE_MAX;
use crate::crypto::keypair::KeyPair;
use crate::domain::secret::SecretBytes;
use crate::issuer::bootstrap::{self, Host};

/// Make an existing private key the issuer's first, in an empty store, before the first start
///
/// The file is PKCS#8 or PKCS#1 in PEM: RSA with 2048, 3072 or 4096 bits, or P-256, open to its owner alone. A standby
/// is made beside it, which waits like every later key. For the move of an issuer that is trusted already.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet keys import old-issuer.pem --issuer-url https://id.example.com")]
pub(in crate::cli) struct Import {
    /// The private key
    file: PathBuf,
    #[command(flatten)]
    store: StoreFlags,
    /// Import it though the issuer URL answers with other keys, whose tokens then stop verifying
    #[arg(long)]
    new_issuer: bool,
    /// Print data as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told {
    kid: String,
    algorithm: &'static str,
    bits: u32,
}

impl Import {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let given = self.store.add(run.given.clone());
        let (url, development) = issuer_url(&given)?;
        let settings = StoreSettings::read(&given)?;
        let faulty = |rule: &dyn std::fmt::Display| Failure::Refused(format!("{} {rule}", self.file.display()));
        let text = private_file(&self.file).map_err(|rule| faulty(&rule))?;
        let pair = KeyPair::import(&text).map_err(|error| faulty(&error))?;
        drop(text);
        if !self.new_issuer {
            match first_start::neighbour(&url, pair.public(), &Outbound::read(&given)?).await? {
                Neighbour::None | Neighbour::Same => {}
                Neighbour::Renamed(kid) => run.output.say(format_args!(
                    "{} {url} lists this key as {kid:?}; here it is {:?}, its RFC 7638 thumbprint: verifiers with a \
                     cached JWKS refuse tokens until they read it again",
                    run.output.err().warn("mind:"),
                    pair.kid().as_str()
                )),
                Neighbour::Others => return Err(first_start::taken(&url)),
            }
        }
        let host = Host { clock: run.clock.clone(), entropy: run.entropy.clone() };
        let store = opened(&settings, true, run.clock.as_ref()).await.map_err(store_failure)?;
        let row = bootstrap::issuer(&store, &url, &host).await.map_err(Failure::refused)?;
        let kek = kek(&settings, &store, &host).await?;
        schedule(&row, development)?;
        let told =
            Told { kid: pair.kid().to_string(), algorithm: pair.kind().algorithm().as_str(), bits: pair.kind().bits() };
        let done = bootstrap::import_key(&store, row.id, &pair, &kek, &host).await;
        store.close().await;
        if !done.map_err(Failure::refused)? {
            return Err(Failure::Refused(
                "the store has signing keys already: a key is imported into an empty store only, as the first one"
                    .to_owned(),
            ));
        }
        run.output.as_json(self.json).data(&told, |told| {
            let bits = told.bits.to_string();
            fields(run.output.out(), &[("kid", told.kid.clone()), ("alg", told.algorithm.to_owned()), ("bits", bits)])
        })?;
        run.output.say(format_args!("it signs from the first start on; delete {} now", self.file.display()));
        Ok(())
    }
}

/// The bytes of a file that its owner alone may open.
fn private_file(path: &Path) -> Result<SecretBytes, String> {
    let told = |error: std::io::Error| format!("cannot be read: {}", error.kind());
    // One handle for all of it: what is judged is what is read.
    let mut file = File::open(path).map_err(told)?;
    let metadata = file.metadata().map_err(told)?;
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    if mode & 0o077 != 0 {
        return Err(format!("has mode {mode:04o} and must have 0600: chmod 600 it"));
    }
    if metadata.len() > KEY_FILE_MAX {
        return Err("is no private key: it is longer than 64 KiB".to_owned());
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default()));
    file.by_ref().take(KEY_FILE_MAX).read_to_end(&mut bytes).map_err(told)?;
    Ok(SecretBytes::new(bytes.to_vec()))
}
