//! What a token costs: our signer beside bare aws-lc over the same key, and the claims alone.
//!
//! Rates are per second of this process's CPU time, on one thread, so that other work on the machine moves them
//! little. The two sides of a ratio take short turns within one run: A B A B. Prints what `scripts/bench` reads, four
//! fields a line; `BREVET_BENCH_QUICK` shortens the rounds.

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use brevet::config::host::{SystemClock, SystemEntropy};
use brevet::crypto::keypair::KeyPair;
use brevet::crypto::signer::KeySet;
use brevet::domain::claims::Claims;
use brevet::domain::clock::Clock;
use brevet::domain::entropy::Entropy;
use brevet::domain::id::{TeamUid, TokenId};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::policy::{Grant, MintRequest, Standing, decide};
use brevet::domain::principal::{ActorType, Principal};
use brevet::domain::region::Region;
use brevet::domain::role_arn::RoleArn;
use brevet::domain::secret::SecretBytes;
use brevet::domain::settings::{EffectiveSettings, Layer, ProviderLayer};
use brevet::domain::signing_key::KeyKind;
use brevet::domain::subject::Subject;
use brevet::domain::team::TeamPolicy;
use rustix::time::{ClockId, clock_gettime};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let rounds = Rounds::of_environment();
    let (issuer, grant) = (IssuerUrl::parse("https://id.example.com", Development::Off)?, grant()?);
    let mint =
        || Claims::build(&grant, &issuer, TokenId::new(SystemEntropy.uuid_v7(SystemClock.now())), SystemClock.now());

    let json = rounds.rates(|| serde_json::to_vec(&mint()).is_ok());
    tell("claims, built and written as JSON", json, "per CPU s")?;
    for kind in KeyKind::ALL {
        let (mut raw, ours) = twins(kind)?;
        let name = format!("{} {}", kind.algorithm(), kind.bits());
        let claims = mint();
        // As long as what our signer signs; the time it takes does not depend on the text.
        let text = vec![b'x'; serde_json::to_vec(&claims)?.len() * 4 / 3 + 120];
        let prepared = rounds.rates(|| ours.prepare(&claims).is_ok());
        let (bare, token, ratio) = rounds
            .side_by_side(|| raw.sign(&text), || ours.prepare(&claims).and_then(|input| ours.sign(input)).is_ok());
        tell(&format!("{name}, signing input and its hash"), prepared, "per CPU s")?;
        tell(&format!("{name}, bare aws-lc signature"), bare, "per CPU s")?;
        tell(&format!("{name}, whole token"), token, "per CPU s")?;
        tell(&format!("{name}, token to bare signature"), ratio, "ratio")?;
    }
    Ok(())
}

/// What a service account's token for STS is decided on.
fn grant() -> Outcome<Grant> {
    let principal = Principal::new(ActorType::ServiceAccount, "01890a5d-ac96-774b-bcce-b302099a8057")?;
    let subject = Subject::new(TeamUid::parse("01890a5d-ac96-774b-bcce-b302099a8058")?, principal);
    let layer = ProviderLayer {
        role_arn: Some(RoleArn::parse("arn:aws:iam::111122223333:role/bedrock")?),
        region: Some(Region::parse("us-east-1")?),
        ..Default::default()
    };
    let issuer = IssuerUrl::parse("https://id.example.com", Development::Off)?;
    let standing = Standing {
        subject: &subject,
        run: None,
        issuer: &issuer,
        policy: &TeamPolicy::new_team(),
        settings: &EffectiveSettings::of(&[(Layer::Team, &layer)]),
        worker_audiences: &[],
    };
    Ok(decide(standing, &MintRequest::default())?)
}

/// A key pair as aws-lc has it, parsed once.
enum Raw {
    Rsa(RsaKeyPair, Vec<u8>),
    P256(EcdsaKeyPair),
}

impl Raw {
    fn sign(&mut self, text: &[u8]) -> bool {
        match self {
            Self::Rsa(pair, signature) => pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, signature).is_ok(),
            Self::P256(pair) => pair.sign(&SystemRandom::new(), text).is_ok(),
        }
    }
}

/// The same key twice: bare, and in our signer.
fn twins(kind: KeyKind) -> Outcome<(Raw, KeySet)> {
    let rsa = |size| -> Outcome<_> {
        let pair = RsaKeyPair::generate(size)?;
        let signature = vec![0; pair.public_modulus_len()];
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der()?;
        Ok((pkcs8.as_ref().to_vec(), Raw::Rsa(pair, signature)))
    };
    let (pkcs8, raw) = match kind {
        KeyKind::Rsa2048 => rsa(KeySize::Rsa2048)?,
        KeyKind::Rsa3072 => rsa(KeySize::Rsa3072)?,
        KeyKind::Rsa4096 => rsa(KeySize::Rsa4096)?,
        KeyKind::P256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
            (pair.to_pkcs8v1()?.as_ref().to_vec(), Raw::P256(pair))
        }
    };
    Ok((raw, KeySet::new(KeyPair::from_pkcs8(kind, &SecretBytes::new(pkcs8))?, &SystemEntropy)?))
}

/// How often and how long is measured.
struct Rounds {
    count: usize,
    length: Duration,
}

impl Rounds {
    #[expect(clippy::disallowed_methods, reason = "how scripts/bench asks for short rounds")]
    fn of_environment() -> Self {
        if std::env::var_os("BREVET_BENCH_QUICK").is_some() {
            Self { count: 3, length: Duration::from_millis(200) }
        } else {
            Self { count: 5, length: Duration::from_secs(1) }
        }
    }

    /// Rates of one thing.
    fn rates(&self, mut work: impl FnMut() -> bool) -> Vec<f64> {
        self.rate(&mut work);
        (0..self.count).map(|_| self.rate(&mut work)).collect()
    }

    /// Rates of two things, and of each round the second's to the first's. A round is many short turns, so that
    /// whatever else slows the machine down for a while slows both.
    fn side_by_side(
        &self,
        mut first: impl FnMut() -> bool,
        mut second: impl FnMut() -> bool,
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        const TURNS: u32 = 20;
        let turn = Self { count: 1, length: self.length / TURNS };
        let mean = |rates: &[f64]| f64::from(TURNS) / rates.iter().map(|rate| rate.recip()).sum::<f64>();
        let mut round = || {
            let turns = (0..TURNS).map(|_| (turn.rate(&mut first), turn.rate(&mut second)));
            let (first, second): (Vec<_>, Vec<_>) = turns.unzip();
            (mean(&first), mean(&second))
        };
        round();
        let rounds: Vec<_> = (0..self.count).map(|_| round()).collect();
        let ratios = rounds.iter().map(|(first, second)| second / first).collect();
        let (first, second) = rounds.into_iter().unzip();
        (first, second, ratios)
    }

    /// How often `work` succeeds in a second of this process's CPU time.
    fn rate(&self, work: &mut impl FnMut() -> bool) -> f64 {
        let start = cpu_time();
        let mut done = 0_u32;
        loop {
            for _ in 0..4 {
                done += u32::from(black_box(work()));
            }
            let spent = cpu_time().saturating_sub(start);
            if spent >= self.length {
                return f64::from(done) / spent.as_secs_f64();
            }
        }
    }
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// One line: the median and how far the others lie from it.
fn tell(name: &str, mut values: Vec<f64>, unit: &str) -> Outcome<()> {
    values.sort_by(f64::total_cmp);
    let (low, median, high) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    let digits = if median < 10.0 { 3 } else { 0 };
    writeln!(std::io::stdout(), "{name}\t{median:.digits$}\t{unit}\t{low:.digits$}-{high:.digits$}")?;
    Ok(())
}
