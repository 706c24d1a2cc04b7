//! A mint without audit, in this harness alone: the product's listener, layer, credentials, decision, claims, signer and
//! answer, with no database, no admission, no rate limits, no log and no metrics behind them, and simpler reading of
//! requests. What a mint over HTTP costs more than this is what the promises of `serve` cost, nearly.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use brevet::config::host::{SystemClock, SystemEntropy};
use brevet::crypto::signer::KeySet;
use brevet::domain::credential::{CredentialKind, OpaqueCredential};
use brevet::domain::signing_key::KeyKind;
use brevet::http::layer::{self, Naming};
use brevet::http::serve::{Protection, ServeOptions, serve};
use brevet::wire;
use brevet::wire::mint::MintedToken;
use brevet::wire::secret_text::SecretText;
use serde_json::json;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::Outcome;
use crate::claims::Token;
use crate::figures::{Rounds, tell};
use crate::load::Load;
use crate::mint::{CONNECTIONS, PATH};
use crate::raw::twins;
use crate::server::{Server, free_addresses, request};

/// How this program is told to be that server: with the bits of its key, an address, and a file of the credentials that it knows.
pub(crate) const ROLE: &str = "serve-unaudited";

pub(crate) fn measure(rounds: &Rounds) -> Outcome<()> {
    signing_with(KeyKind::Rsa2048, "mint", "without audit (harness only)", rounds)?;
    signing_with(KeyKind::P256, "es256", "ES256, without audit (harness only)", rounds)
}

fn signing_with(kind: KeyKind, key: &str, words: &str, rounds: &Rounds) -> Outcome<()> {
    let (raw, _) = twins(kind)?;
    let folder = TempDir::new()?;
    let file = folder.path().join("credentials");
    let made = || OpaqueCredential::generate(CredentialKind::ServiceAccount, &SystemEntropy);
    let keys: Vec<_> = (0..CONNECTIONS).map(|_| made().secret().expose().to_owned()).collect();
    fs::write(&file, keys.join("\n"))?;
    let [address] = free_addresses()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(ROLE).arg(kind.bits().to_string()).arg(address.to_string()).arg(&file);
    let mut server = Server::start(command, address)?;
    server.ready(address, "/ready")?;
    let mint = |key| request(address, "POST", PATH, key, Some(&json!({})), "keep-alive");
    let mut load = Load::connect(address, keys.iter().map(|key| mint(key)).collect())?;
    load.round(server.id(), rounds.load, |_| ())?;
    let text = vec![b'x'; 900];
    let bare = || raw.rate_on_all_cores(&text, rounds.length / 2);
    let (mut ratios, mut rates, mut before) = (Vec::new(), Vec::new(), bare()?);
    for _ in 0..rounds.count {
        let rate = load.round(server.id(), rounds.load, |_| ())?.per_cpu_second();
        let after = bare()?;
        ratios.push(rate / f64::midpoint(before, after));
        rates.push(rate);
        before = after;
    }
    tell(&format!("{key}_rate_unaudited"), &format!("{words}: mints"), "per server CPU s", &rates)?;
    tell(&format!("{key}_ratio_unaudited"), &format!("{words}: mints / bare signature"), "ratio", &ratios)
}

struct Mint {
    known: HashMap<String, Token>,
    keys: KeySet,
}

/// Serves until it is killed.
pub(crate) fn run(bits: &str, address: &str, credentials: &Path) -> Outcome<()> {
    let bits: u32 = bits.parse()?;
    let kind = KeyKind::ALL.into_iter().find(|kind| kind.bits() == bits).ok_or("no such kind of key")?;
    let address: SocketAddr = address.parse()?;
    let mut known = HashMap::new();
    for line in fs::read_to_string(credentials)?.lines() {
        let credential = OpaqueCredential::parse(line).map_err(|_| "no credential")?;
        known.insert(credential.hash().to_hex(), Token::of_an_agent()?);
    }
    let (_, keys) = twins(kind)?;
    let router = Router::new()
        .route("/ready", get(|| async { "ready" }))
        .route(PATH, post(mint))
        .with_state(Arc::new(Mint { known, keys }));
    let router = layer::wrap(router, Naming { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) });
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        serve(listener, router, ServeOptions::new(Protection::Loopback), CancellationToken::new()).await?;
        Ok(())
    })
}

async fn mint(
    State(state): State<Arc<Mint>>,
    headers: HeaderMap,
    Json(_): Json<wire::mint::MintRequest>,
) -> Result<Response, StatusCode> {
    let bearer = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "));
    let credential = bearer.and_then(|bearer| OpaqueCredential::parse(bearer).ok()).ok_or(StatusCode::UNAUTHORIZED)?;
    let token = state.known.get(&credential.hash().to_hex()).ok_or(StatusCode::UNAUTHORIZED)?;
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let grant = token.grant().map_err(|_| StatusCode::FORBIDDEN)?;
    let (id, claims) = token.named_claims(&grant);
    let input = state.keys.prepare(&claims).map_err(failed)?;
    let signed = state.keys.sign(input).map_err(failed)?;
    let answer = MintedToken {
        token: SecretText(signed),
        expires_at: OffsetDateTime::from_unix_timestamp(claims.expires_at()).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        issuer: token.issuer().to_string(),
        subject: grant.subject().to_string(),
        audience: grant.audience().to_string(),
        token_id: id.to_string(),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}
