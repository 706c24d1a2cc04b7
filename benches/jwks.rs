//! What the public keys cost, beside nginx with the same bytes.

use std::fs;
use std::iter::repeat_n;

use tempfile::TempDir;

use crate::Outcome;
use crate::figures::{Rounds, remark, tell};
use crate::load::{Load, Round};
use crate::server::{Database, Issuer, Server, call, nginx, request};

const PATH: &str = "/.well-known/jwks.json";
const CONNECTIONS: usize = 64;

pub(crate) fn measure(rounds: &Rounds) -> Outcome<()> {
    let issuer = Issuer::start(&Database::Sqlite)?;
    let (_, keys) = call(issuer.server.public, "GET", PATH, "", None)?;
    let folder = TempDir::with_prefix("brevet-bench-nginx-")?;
    // nginx gives up root for its files.
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let other = nginx(folder.path(), PATH, &keys)?;
    if other.is_none() {
        remark("no nginx is given in BREVET_BENCH_NGINX: no comparison")?;
    }

    let connect = |server: &Server| {
        let request = request(server.public, "GET", PATH, "", None, "keep-alive");
        Load::connect(server.public, repeat_n(request, CONNECTIONS).collect())
    };
    let mut ours = connect(&issuer.server)?;
    let mut theirs = other.as_ref().map(connect).transpose()?;
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    // The first round of each warms up.
    for _ in 0..=rounds.count {
        of_ours.push(ours.round(issuer.server.id(), rounds.load / 2, |_| ())?);
        if let Some((load, server)) = theirs.as_mut().zip(other.as_ref()) {
            of_theirs.push(load.round(server.id(), rounds.load / 2, |body| assert_eq!(body, keys))?);
        }
    }
    let rates = |of: &[Round]| of.iter().skip(1).map(Round::per_cpu_second).collect::<Vec<_>>();
    let (ours, theirs) = (rates(&of_ours), rates(&of_theirs));
    tell("jwks_rate", "public keys", "per server CPU s", &ours)?;
    if !theirs.is_empty() {
        let ratios: Vec<_> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
        tell("jwks_rate_nginx", "the same bytes from nginx", "per server CPU s", &theirs)?;
        tell("jwks_ratio_nginx", "public keys / nginx", "ratio", &ratios)?;
    }
    issuer.stop().map(drop)
}
