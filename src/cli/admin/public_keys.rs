//! `brevet admin public-keys`: what agents sign their own assertions with.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::remaining_sessions::hint;
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, fields, table};
use crate::cli::remote::{admin, stamp, stamp_or_none};
use crate::wire::admin::public_key::{CreatePublicKey, PublicKey};

/// Longest file that is taken for a JWK.
const JWK_MAX: u64 = 64 * 1024;

/// Public keys of agents, for those that prove themselves with private_key_jwt
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin public-keys add --team red builder --jwk builder.pub.json")]
pub(in crate::cli) enum PublicKeys {
    /// List an agent's public keys
    #[command(after_help = "Example:\n  brevet admin public-keys list --team red builder")]
    List(Of),
    /// Register a public key, or the URL of a JWKS
    #[command(after_help = "Example:\n  brevet admin public-keys add --team red builder --jwk builder.pub.json\n  \
                            brevet admin public-keys add --team red builder --jwks-uri https://ci.example.com/jwks")]
    Add {
        #[command(flatten)]
        of: Of,
        /// File with the public half as a JWK; - reads standard input
        #[arg(long, value_name = "FILE", required_unless_present = "jwks_uri", conflicts_with = "jwks_uri")]
        jwk: Option<PathBuf>,
        /// Where the agent serves its own JWKS
        #[arg(long, value_name = "URL")]
        jwks_uri: Option<String>,
        /// What to call it
        #[arg(long)]
        name: Option<String>,
        /// When it ends, such as 3600s or 720h; it does not end by itself by default
        #[arg(long, value_name = "TIME", value_parser = crate::cli::arguments::seconds)]
        expires_in: Option<u32>,
    },
    /// Revoke a public key: from the moment this returns, nothing got with it mints
    #[command(after_help = "Example:\n  brevet admin public-keys delete --team red builder KEY-ID")]
    Delete {
        #[command(flatten)]
        of: Of,
        /// The public key's id
        key: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Of {
    #[command(flatten)]
    flags: AdminFlags,
    /// The team's uid
    #[arg(long)]
    team: String,
    /// The agent's uid
    uid: String,
}

impl PublicKeys {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let (Self::List(of) | Self::Add { of, .. } | Self::Delete { of, .. }) = &self;
        let (output, admin) = (run.output.as_json(of.flags.json), admin(run, &of.flags).await?);
        match &self {
            Self::List(of) => {
                let keys = admin.public_keys(&of.team, &of.uid).await?;
                output.data(&keys, |keys| list(output.out(), keys))
            }
            Self::Add { of, jwk, jwks_uri, name, expires_in } => {
                let jwk = jwk.as_deref().map(read_jwk).transpose()?;
                let (name, jwks_uri) = (name.clone(), jwks_uri.clone());
                let body = CreatePublicKey { name, jwk, jwks_uri, expires_in_seconds: *expires_in };
                let key = admin.create_public_key(&of.team, &of.uid, &body).await?;
                output.data(&key, |key| show(output.out(), key))
            }
            Self::Delete { of, key } => {
                admin.delete_public_key(&of.team, &of.uid, key).await?;
                output.say(format_args!("public key {key} is revoked"));
                hint(output, &of.team, &format!("service_account:{}", of.uid));
                Ok(())
            }
        }
    }
}

fn read_jwk(path: &Path) -> Result<serde_json::Value, Failure> {
    let refuse = |what: String| Failure::Usage(format!("--jwk {}: {what}", path.display()));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(JWK_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(JWK_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| refuse(error.to_string()))?;
    // The parser's own message could show a part of a key.
    serde_json::from_str(&text).map_err(|_| refuse("must hold one JWK, a JSON object".to_owned()))
}

fn kind(key: &PublicKey) -> String {
    match (&key.jwk, &key.jwks_uri) {
        (Some(jwk), _) => jwk["alg"].as_str().unwrap_or_default().to_owned(),
        (None, Some(uri)) => uri.clone(),
        (None, None) => String::new(),
    }
}

fn list(paint: Paint, keys: &[PublicKey]) -> String {
    let row = |key: &PublicKey| {
        let times = (stamp(key.created_at), stamp_or_none(key.expires_at), stamp_or_none(key.last_used_at));
        let state = key.revoked_at.map_or_else(|| "active".to_owned(), |at| format!("revoked since {}", stamp(at)));
        [key.id.clone(), key.name.clone().unwrap_or_default(), kind(key), state, times.0, times.1, times.2]
    };
    table(paint, ["ID", "NAME", "KEY", "STATE", "CREATED", "EXPIRES", "LAST USED"], keys.iter().map(row))
}

fn show(paint: Paint, key: &PublicKey) -> String {
    fields(
        paint,
        &[
            ("id", key.id.clone()),
            ("name", key.name.clone().unwrap_or_default()),
            ("key", kind(key)),
            ("thumbprint", key.thumbprint.clone().unwrap_or_default()),
            ("created", stamp(key.created_at)),
            ("expires", stamp_or_none(key.expires_at)),
        ],
    )
}
