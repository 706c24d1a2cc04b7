//! Verifying tokens of a Brevet issuer, for the worker and for the issuer's exchange.
//!
//! The order is fixed: size, header, key, signature, and only then claims. Nothing a token says is believed before
//! its signature holds, and nothing in its header says how to verify it: the key is found by a thumbprint, the
//! algorithm is the key's, and no file, URL or certificate is ever followed. Where tokens of several issuers are
//! taken, [`Claimed`] tells whose keys to try; the verifier of that issuer then takes its own `iss` alone.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::jwk::Jwks;
use super::strict_json;
use super::verifying_key::{VerifyingKey, VerifyingKeyError};
use crate::domain::audience::Audience;
use crate::domain::id::{RunId, TeamUid, TokenId};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::secret::Secret;
use crate::domain::signing_key::{Algorithm, Kid};
use crate::domain::subject::Subject;

/// Most characters of a token. STS takes 20 000; ours stay far below.
pub const TOKEN_MAX: usize = 16 * 1024;
/// How far clocks may be apart, in seconds. Replay records must outlive `exp` by as much.
pub const LEEWAY: i64 = 60;

/// Why a token is refused: a closed list, none of which repeats the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// Not three base64url parts, or longer than [`TOKEN_MAX`].
    #[error("token must be three base64url parts of together at most 16384 characters")]
    Form,
    /// The header is not exactly `alg`, `kid` and at most `typ: JWT`, each name once.
    #[error("token header must have alg, kid and typ JWT, and nothing else")]
    Header,
    /// The kid is no thumbprint.
    #[error("token kid must be 43 base64url characters")]
    KidForm,
    /// The key is not among those known. It may be new: fetch the JWKS again, at a bounded rate.
    #[error("token is signed with a key that its issuer does not publish: {0}")]
    UnknownKid(Kid),
    /// The header names another algorithm than the key's.
    #[error("token alg must be the algorithm of its key")]
    Algorithm,
    /// The signature does not hold.
    #[error("token signature does not hold")]
    Signature,
    /// A claim is absent, or not of its exact type.
    #[error("token claim {0} is missing or malformed")]
    Claim(&'static str),
    /// From another issuer.
    #[error("token iss must be {expected}")]
    Issuer {
        /// Whose tokens are taken.
        expected: String,
    },
    /// From the private issuer of a team that is not the subject's.
    #[error("token sub must be of the team whose private issuer is its iss")]
    ForeignTeam,
    /// For another relying party.
    #[error("token aud is {found} and must be {expected}")]
    Audience {
        /// Whom it is for.
        found: Audience,
        /// Who is asked.
        expected: Audience,
    },
    /// Its time is over.
    #[error("token expired at {0}")]
    Expired(OffsetDateTime),
    /// Its time has not come: clocks are more than a minute apart.
    #[error("token is not valid before {0}: check the clocks")]
    NotYet(OffsetDateTime),
}

/// What a token says, once all of it is verified. Only [`Verifier::verify`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedToken {
    subject: Subject,
    audience: Audience,
    token_id: TokenId,
    run_id: Option<RunId>,
    issued_at: OffsetDateTime,
    not_before: OffsetDateTime,
    expires_at: OffsetDateTime,
    act: Option<Map<String, Value>>,
    kid: Kid,
}

impl VerifiedToken {
    /// Whom it speaks for.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whom it is for.
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Its `jti`.
    pub const fn token_id(&self) -> TokenId {
        self.token_id
    }

    /// The run it was minted in.
    pub const fn run_id(&self) -> Option<&RunId> {
        self.run_id.as_ref()
    }

    /// Its `iat`.
    pub const fn issued_at(&self) -> OffsetDateTime {
        self.issued_at
    }

    /// Its `nbf`.
    pub const fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// Its `exp`, without leeway.
    pub const fn expires_at(&self) -> OffsetDateTime {
        self.expires_at
    }

    /// Who acts for the subject (RFC 8693, section 4.1).
    pub const fn act(&self) -> Option<&Map<String, Value>> {
        self.act.as_ref()
    }

    /// The key that signed it.
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }
}

/// What a token says of itself, of which nothing is verified: good for choosing the verifier to show it to, and for
/// nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Its `iss`.
    pub issuer: String,
    /// The team of its `sub`.
    pub team: TeamUid,
}

impl Claimed {
    /// Reads it, as strictly as after verification.
    pub fn of(token: &Secret) -> Result<Self, TokenRefused> {
        let [_, payload, _] = parts(token.expose())?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenRefused::Form)?;
        let claims = Claims(strict_json::object(&payload).ok_or(TokenRefused::Form)?);
        let subject = Subject::parse(claims.text("sub")?).map_err(|_| TokenRefused::Claim("sub"))?;
        Ok(Self { issuer: claims.text("iss")?.to_owned(), team: subject.team().clone() })
    }
}

/// Takes tokens of one issuer under the keys of one JWKS. Immutable: a new JWKS makes a new one.
#[derive(Debug, Clone)]
pub struct Verifier {
    issuer: IssuerUrl,
    team: Option<TeamUid>,
    keys: HashMap<Kid, VerifyingKey>,
}

impl Verifier {
    /// Parses the keys once and binds each kid to its algorithm.
    pub fn new(issuer: IssuerUrl, jwks: &Jwks) -> Result<Self, VerifyingKeyError> {
        let parse = |(kid, public): &(Kid, _)| Ok((kid.clone(), VerifyingKey::new(public)?));
        Ok(Self { issuer, team: None, keys: jwks.keys().iter().map(parse).collect::<Result<_, _>>()? })
    }

    /// The same for the private issuer of `team`, which speaks for nobody else.
    #[must_use]
    pub fn for_team(self, team: Option<TeamUid>) -> Self {
        Self { team, ..self }
    }

    /// Whose tokens it takes.
    pub const fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// Whether a key of this name is known.
    pub fn knows(&self, kid: &Kid) -> bool {
        self.keys.contains_key(kid)
    }

    /// Verifies `token` for `audience` at `now`.
    pub fn verify(
        &self,
        token: &Secret,
        audience: &Audience,
        now: OffsetDateTime,
    ) -> Result<VerifiedToken, TokenRefused> {
        let token = token.expose();
        let [header, payload, signature] = parts(token)?;
        let input = &token[..header.len() + 1 + payload.len()];
        // The engine takes the one canonical spelling only: no padding, no white space, no stray bits.
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefused::Form);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);

        let (algorithm, kid) = read_header(&header)?;
        let key = self.keys.get(&kid).ok_or_else(|| TokenRefused::UnknownKid(kid.clone()))?;
        if algorithm != key.algorithm().as_str() {
            return Err(TokenRefused::Algorithm);
        }
        if !key.verifies(input.as_bytes(), &signature) {
            return Err(TokenRefused::Signature);
        }

        let claims = Claims(strict_json::object(&payload).ok_or(TokenRefused::Form)?);
        if claims.text("iss")? != self.issuer.as_str() {
            return Err(TokenRefused::Issuer { expected: self.issuer.as_str().to_owned() });
        }
        let verified = claims.read(kid)?;
        if self.team.as_ref().is_some_and(|team| team != verified.subject.team()) {
            return Err(TokenRefused::ForeignTeam);
        }
        if verified.audience != *audience {
            return Err(TokenRefused::Audience { found: verified.audience, expected: audience.clone() });
        }
        check_time(&verified, now)?;
        Ok(verified)
    }
}

/// Header, payload and signature as they were sent.
fn parts(token: &str) -> Result<[&str; 3], TokenRefused> {
    if token.len() > TOKEN_MAX {
        return Err(TokenRefused::Form);
    }
    let (input, signature) = token.rsplit_once('.').ok_or(TokenRefused::Form)?;
    let (header, payload) = input.split_once('.').ok_or(TokenRefused::Form)?;
    Ok([header, payload, signature])
}

fn read_header(text: &[u8]) -> Result<(String, Kid), TokenRefused> {
    let mut header = strict_json::object(text).ok_or(TokenRefused::Header)?;
    let (Some(Value::String(algorithm)), Some(Value::String(kid))) = (header.remove("alg"), header.remove("kid"))
    else {
        return Err(TokenRefused::Header);
    };
    if header.remove("typ").is_some_and(|typ| typ != "JWT") || !header.is_empty() {
        return Err(TokenRefused::Header);
    }
    // One of ours, spelled exactly; `none` and HMAC have no value to become.
    if Algorithm::parse(&algorithm).is_none() {
        return Err(TokenRefused::Algorithm);
    }
    Ok((algorithm, Kid::parse(&kid).map_err(|_| TokenRefused::KidForm)?))
}

fn check_time(token: &VerifiedToken, now: OffsetDateTime) -> Result<(), TokenRefused> {
    let leeway = time::Duration::seconds(LEEWAY);
    if now >= token.expires_at.saturating_add(leeway) {
        return Err(TokenRefused::Expired(token.expires_at));
    }
    let begins = token.not_before.max(token.issued_at);
    if now.saturating_add(leeway) < begins {
        return Err(TokenRefused::NotYet(begins));
    }
    Ok(())
}

/// The claims of a token whose signature holds. Every getter takes one exact type.
struct Claims(Map<String, Value>);

impl Claims {
    fn text(&self, name: &'static str) -> Result<&str, TokenRefused> {
        self.0.get(name).and_then(Value::as_str).ok_or(TokenRefused::Claim(name))
    }

    fn instant(&self, name: &'static str) -> Result<OffsetDateTime, TokenRefused> {
        // `as_u64` gives nothing for strings, negatives and anything written with a point or an exponent. Instants end
        // with the year 9999, far below 2^53, from where readers in other languages round (RFC 7493, section 2.2).
        let seconds = self.0.get(name).and_then(Value::as_u64);
        let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
        seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()).ok_or(TokenRefused::Claim(name))
    }

    /// A claim that may be absent but not of another type, and must say the same as `sub` does.
    fn agrees(&self, name: &'static str, expected: &str) -> Result<(), TokenRefused> {
        match self.0.get(name) {
            None => Ok(()),
            Some(Value::String(found)) if found == expected => Ok(()),
            Some(_) => Err(TokenRefused::Claim(name)),
        }
    }

    fn read(&self, kid: Kid) -> Result<VerifiedToken, TokenRefused> {
        let subject = Subject::parse(self.text("sub")?).map_err(|_| TokenRefused::Claim("sub"))?;
        let principal = subject.principal();
        self.agrees("team_uid", subject.team().as_str())?;
        self.agrees("actor_type", principal.actor_type().as_str())?;
        self.agrees("principal_uid", principal.uid())?;
        let run_id = match self.0.get("run_id") {
            None => None,
            Some(Value::String(run)) => Some(RunId::parse(run).map_err(|_| TokenRefused::Claim("run_id"))?),
            Some(_) => return Err(TokenRefused::Claim("run_id")),
        };
        let act = match self.0.get("act") {
            None => None,
            Some(Value::Object(act)) => Some(act.clone()),
            Some(_) => return Err(TokenRefused::Claim("act")),
        };
        let issued_at = self.instant("iat")?;
        let expires_at = self.instant("exp")?;
        if expires_at <= issued_at {
            return Err(TokenRefused::Claim("exp"));
        }
        Ok(VerifiedToken {
            audience: Audience::parse(self.text("aud")?).map_err(|_| TokenRefused::Claim("aud"))?,
            token_id: TokenId::parse(self.text("jti")?).ok_or(TokenRefused::Claim("jti"))?,
            not_before: self.instant("nbf")?,
            subject,
            run_id,
            issued_at,
            expires_at,
            act,
            kid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::jwk::thumbprint;
    use crate::crypto::keypair::KeyPair;
    use crate::crypto::signer::KeySet;
    use crate::domain::entropy::seeded::SeededEntropy;
    use crate::domain::issuer_url::Development;
    use crate::domain::signing_key::{KeyKind, PublicKey};
    use aws_lc_rs::hmac;
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::LazyLock;
    use time::Duration;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);
    const ISSUER: &str = "https://id.example.com/brevet";
    const AUDIENCE: &str = "https://worker.example.com";

    /// An issuer's key and a verifier that knows it.
    struct House {
        pair: KeyPair,
        verifier: Verifier,
    }

    static ES256: LazyLock<House> = LazyLock::new(|| House::new(KeyKind::P256));
    static RS256: LazyLock<House> = LazyLock::new(|| House::new(KeyKind::Rsa2048));

    impl House {
        fn new(kind: KeyKind) -> Self {
            let pair = KeyPair::generate(kind).unwrap();
            let jwks = json!({ "keys": [public_jwk(&pair)] }).to_string();
            let issuer = IssuerUrl::parse(ISSUER, Development::Off).unwrap();
            let verifier = Verifier::new(issuer, &Jwks::parse(jwks.as_bytes()).unwrap()).unwrap();
            Self { pair, verifier }
        }

        fn header(&self) -> Value {
            json!({ "alg": self.pair.kind().algorithm().as_str(), "typ": "JWT", "kid": self.pair.kid().as_str() })
        }

        /// Any header over any payload, signed with the right key whatever they say.
        fn token(&self, header: &str, payload: &str) -> String {
            let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
            let signature = self.pair.sign(input.as_bytes()).unwrap();
            format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
        }

        fn sound_token(&self) -> String {
            self.token(&self.header().to_string(), &sound().to_string())
        }

        fn with_claims(&self, claims: &str) -> Result<VerifiedToken, TokenRefused> {
            self.verify(&self.token(&self.header().to_string(), claims))
        }

        fn with_header(&self, header: &str) -> Result<VerifiedToken, TokenRefused> {
            self.verify(&self.token(header, &sound().to_string()))
        }

        fn verify(&self, token: &str) -> Result<VerifiedToken, TokenRefused> {
            self.verify_at(token, NOW)
        }

        fn verify_at(&self, token: &str, now: OffsetDateTime) -> Result<VerifiedToken, TokenRefused> {
            self.verifier.verify(&Secret::new(token.to_owned()), &Audience::parse(AUDIENCE).unwrap(), now)
        }
    }

    fn public_jwk(pair: &KeyPair) -> Value {
        let (first, second) = pair.public().members();
        let kid = thumbprint(pair.public());
        match pair.public() {
            PublicKey::Rsa { .. } => {
                json!({ "kty": "RSA", "alg": "RS256", "kid": kid.as_str(), "n": first, "e": second })
            }
            PublicKey::P256 { .. } => {
                json!({ "kty": "EC", "alg": "ES256", "kid": kid.as_str(), "crv": "P-256", "x": first, "y": second })
            }
        }
    }

    fn sound() -> Value {
        let now = NOW.unix_timestamp();
        json!({
            "iss": ISSUER,
            "sub": "scoped_principal:team-1/service_account:agent-1",
            "aud": AUDIENCE,
            "iat": now, "nbf": now - 30, "exp": now + 300,
            "jti": "01890a5d-ac96-774b-bcce-b302099a8057",
            "team_uid": "team-1", "actor_type": "service_account", "principal_uid": "agent-1",
            "run_id": "0123456789abcdefABCD",
            "act": { "sub": "platform:p1" },
        })
    }

    fn changed(name: &str, value: Value) -> String {
        let mut claims = sound();
        claims[name] = value;
        claims.to_string()
    }

    fn without(name: &str) -> String {
        let mut claims = sound();
        claims.as_object_mut().unwrap().remove(name);
        claims.to_string()
    }

    #[test]
    fn a_sound_token_says_what_was_minted() {
        for house in [&*ES256, &*RS256] {
            let set = KeySet::new(KeyPair::generate(house.pair.kind()).unwrap(), &SeededEntropy::new(1)).unwrap();
            let token = set.sign(set.prepare(&sound()).unwrap()).unwrap();
            assert_eq!(house.verify(token.expose()), Err(TokenRefused::UnknownKid(set.kid().clone())));

            let verified = house.verify(&house.sound_token()).unwrap();
            assert_eq!(verified.subject().to_string(), sound()["sub"]);
            assert_eq!(verified.audience().as_str(), AUDIENCE);
            assert_eq!(verified.run_id().map(RunId::as_str), sound()["run_id"].as_str());
            assert_eq!(verified.token_id().to_string(), sound()["jti"]);
            assert_eq!((verified.issued_at(), verified.expires_at()), (NOW, NOW + Duration::seconds(300)));
            assert_eq!(verified.not_before(), NOW - Duration::seconds(30));
            assert_eq!(verified.act().map(|act| &act["sub"]), Some(&json!("platform:p1")));
            assert_eq!(verified.kid(), house.pair.kid());
        }
    }

    #[test]
    fn threat_14_a_private_issuer_speaks_for_its_own_team_alone() {
        let house = &*ES256;
        let at = |team: &str| {
            let verifier = house.verifier.clone().for_team(Some(TeamUid::parse(team).unwrap()));
            let token = Secret::new(house.sound_token());
            verifier.verify(&token, &Audience::parse(AUDIENCE).unwrap(), NOW).map(drop)
        };
        assert_eq!(at("team-1"), Ok(()));
        for other in ["team-2", "team-", "team-11", "Team-1"] {
            assert_eq!(at(other), Err(TokenRefused::ForeignTeam), "{other}");
        }
    }

    #[test]
    fn what_a_token_claims_is_read_as_strictly_as_what_it_says() {
        let claimed = |payload: &str| Claimed::of(&Secret::new(ES256.token("{}", payload)));
        let read = Claimed { issuer: ISSUER.to_owned(), team: TeamUid::parse("team-1").unwrap() };
        assert_eq!(claimed(&sound().to_string()), Ok(read));
        assert_eq!(claimed(&without("iss")), Err(TokenRefused::Claim("iss")));
        assert_eq!(claimed(&changed("iss", json!([ISSUER]))), Err(TokenRefused::Claim("iss")));
        assert_eq!(claimed(&changed("sub", json!("team-1"))), Err(TokenRefused::Claim("sub")));
        assert_eq!(claimed(r#"{"iss":"a","iss":"b"}"#), Err(TokenRefused::Form));
        for text in ["", "a.b", "a.b.c.d", &"a".repeat(TOKEN_MAX + 1)] {
            assert_eq!(Claimed::of(&Secret::new(text.to_owned())), Err(TokenRefused::Form));
        }
    }

    #[test]
    fn threat_1_a_public_key_is_never_an_hmac_secret() {
        let house = &*RS256;
        let (n, e) = house.pair.public().members();
        let jwk = public_jwk(&house.pair).to_string();
        let der = house.pair.subject_public_key();
        let pem = format!(
            "-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n",
            base64::engine::general_purpose::STANDARD.encode(der)
        );
        for secret in [der, pem.as_bytes(), jwk.as_bytes(), n.as_bytes(), e.as_bytes()] {
            for claimed in ["HS256", "RS256"] {
                let mut header = house.header();
                header["alg"] = json!(claimed);
                let input = format!(
                    "{}.{}",
                    URL_SAFE_NO_PAD.encode(header.to_string()),
                    URL_SAFE_NO_PAD.encode(sound().to_string())
                );
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
                let refused = house.verify(&format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag)));
                let expected = if claimed == "RS256" { TokenRefused::Signature } else { TokenRefused::Algorithm };
                assert_eq!(refused, Err(expected));
            }
        }
        assert!(house.verify(&house.sound_token()).is_ok());
    }

    #[test]
    fn threat_1_the_algorithm_is_the_keys_whatever_the_header_says() {
        for house in [&*ES256, &*RS256] {
            let own = house.pair.kind().algorithm().as_str();
            for claimed in [
                "none",
                "None",
                "NONE",
                "nOnE",
                "",
                " ",
                "HS256",
                "HS512",
                "RS256",
                "ES256",
                "RS512",
                "PS256",
                "ES384",
                "EdDSA",
                "rs256",
                "es256",
                "RS256 ",
                " RS256",
                "RS256\n",
                "ES256\u{0}",
            ] {
                let mut header = house.header();
                header["alg"] = json!(claimed);
                let token = house.token(&header.to_string(), &sound().to_string());
                let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
                if claimed == own {
                    assert!(house.verify(&token).is_ok(), "positive control");
                    assert_eq!(house.verify(&unsigned), Err(TokenRefused::Signature));
                } else {
                    assert_eq!(house.verify(&token), Err(TokenRefused::Algorithm), "{claimed:?}");
                    assert_eq!(house.verify(&unsigned), Err(TokenRefused::Algorithm), "{claimed:?}");
                }
            }
            for value in [json!(null), json!(1), json!(["RS256"]), json!({})] {
                let mut header = house.header();
                header["alg"] = value;
                assert_eq!(house.with_header(&header.to_string()), Err(TokenRefused::Header));
            }
        }
    }

    #[test]
    fn threat_1_a_token_has_one_spelling() {
        let house = &*ES256;
        let token = house.sound_token();
        assert!(house.verify(&token).is_ok());
        let parts: Vec<_> = token.split('.').collect();
        for altered in [
            format!(" {token}"),
            format!("{token}\n"),
            format!("{token}="),
            format!("{token}."),
            format!(".{token}"),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}. {}.{}", parts[0], parts[1], parts[2]),
            format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
            format!("{}.{}.{}\t", parts[0], parts[1], parts[2]),
            String::new(),
            "..".to_owned(),
            "a".repeat(TOKEN_MAX + 1),
        ] {
            let refused = house.verify(&altered);
            assert!(matches!(refused, Err(TokenRefused::Form | TokenRefused::Header)), "{altered}: {refused:?}");
        }
    }

    #[test]
    fn threat_3_no_header_member_brings_a_key_along() {
        let (house, attacker) = (&*ES256, KeyPair::generate(KeyKind::P256).unwrap());
        for (name, value) in [
            ("jku", json!("https://evil.example/jwks.json")),
            ("x5u", json!("https://evil.example/cert.pem")),
            ("jwk", public_jwk(&attacker)),
            ("x5c", json!(["MIIB"])),
            ("crit", json!(["exp"])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("kid ", json!("x")),
        ] {
            let mut header = house.header();
            header[name] = value;
            assert_eq!(house.with_header(&header.to_string()), Err(TokenRefused::Header), "{name}");
        }
        // The attacker's own signature over an embedded key of theirs, under our kid.
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(house.header().to_string()),
            URL_SAFE_NO_PAD.encode(sound().to_string())
        );
        let forged = format!("{input}.{}", URL_SAFE_NO_PAD.encode(attacker.sign(input.as_bytes()).unwrap()));
        assert_eq!(house.verify(&forged), Err(TokenRefused::Signature));
        assert!(house.with_header(&house.header().to_string()).is_ok());
        let mut bare = house.header();
        bare.as_object_mut().unwrap().remove("typ");
        assert!(house.with_header(&bare.to_string()).is_ok());
    }

    #[test]
    fn threat_3_a_kid_is_looked_up_and_nothing_else() {
        let house = &*ES256;
        let long = "A".repeat(4000);
        for (kid, refused) in [
            ("../../../../../../../../../../dev/null", TokenRefused::KidForm),
            ("' UNION SELECT 'AAAA' --", TokenRefused::KidForm),
            ("https://evil.example/key", TokenRefused::KidForm),
            ("", TokenRefused::KidForm),
            ("\u{0}", TokenRefused::KidForm),
            (&long, TokenRefused::KidForm),
            (&"A".repeat(43), TokenRefused::UnknownKid(Kid::parse(&"A".repeat(43)).unwrap())),
            (RS256.pair.kid().as_str(), TokenRefused::UnknownKid(RS256.pair.kid().clone())),
        ] {
            let mut header = house.header();
            header["kid"] = json!(kid);
            assert_eq!(house.with_header(&header.to_string()), Err(refused), "{kid:?}");
        }
        let kid = house.pair.kid().as_str();
        for header in [
            r#"{"alg":"ES256"}"#.to_owned(),
            format!(r#"{{"alg":"ES256","kid":["{kid}"]}}"#),
            format!(r#"{{"alg":"ES256","kid":"{kid}","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"at+jwt"}}"#),
            format!(r#"[{{"alg":"ES256","kid":"{kid}"}}]"#),
            "null".to_owned(),
        ] {
            assert_eq!(house.with_header(&header), Err(TokenRefused::Header), "{header}");
        }
    }

    #[test]
    fn threat_2_every_claim_is_required_and_of_one_type() {
        let house = &*ES256;
        for name in ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"] {
            assert_eq!(house.with_claims(&without(name)), Err(TokenRefused::Claim(name)));
        }
        for name in ["iat", "nbf", "exp"] {
            let good = sound()[name].clone();
            for bad in [
                json!(good.to_string()),
                json!(-1),
                json!(good.as_f64()),
                json!(1u64 << 54),
                json!(u64::MAX),
                json!(null),
                json!([good]),
            ] {
                assert_eq!(
                    house.with_claims(&changed(name, bad.clone())),
                    Err(TokenRefused::Claim(name)),
                    "{name} {bad}"
                );
            }
        }
        // The same number in another spelling is another type.
        let seconds = sound()["exp"].to_string();
        for spelling in [format!("{seconds}.0"), format!("{seconds}e0"), "1e11".to_owned()] {
            let claims = sound().to_string().replace(&format!("\"exp\":{seconds}"), &format!("\"exp\":{spelling}"));
            assert_eq!(house.with_claims(&claims), Err(TokenRefused::Claim("exp")), "{spelling}");
        }
        for (name, bad) in [
            ("aud", json!([AUDIENCE])),
            ("aud", json!("")),
            ("sub", json!("scoped_principal:team-1/root:agent-1")),
            ("sub", json!(["x"])),
            ("jti", json!("not a uuid")),
            ("run_id", json!("short")),
            ("run_id", json!(null)),
            ("act", json!("platform:p1")),
            ("team_uid", json!("team-2")),
            ("actor_type", json!("user")),
            ("principal_uid", json!("agent-2")),
            ("principal_uid", json!(null)),
            ("iss", json!([ISSUER])),
        ] {
            assert_eq!(house.with_claims(&changed(name, bad.clone())), Err(TokenRefused::Claim(name)), "{name} {bad}");
        }
        assert_eq!(house.with_claims(&changed("exp", sound()["iat"].clone())), Err(TokenRefused::Claim("exp")));
        for payload in ["[]", "null", "", "{", "1"] {
            assert_eq!(house.with_claims(payload), Err(TokenRefused::Form), "{payload}");
        }
        let lean = without("run_id");
        assert!(house.with_claims(&lean).is_ok_and(|token| token.run_id().is_none()));
    }

    #[test]
    fn threat_2_a_repeated_claim_is_refused_even_with_equal_values() {
        let text = sound().to_string();
        for name in ["exp", "sub", "aud", "jti", "act"] {
            let twice = format!("{},\"{name}\":{}}}", text.strip_suffix('}').unwrap(), sound()[name]);
            assert_eq!(ES256.with_claims(&twice), Err(TokenRefused::Form), "{name}");
        }
        let nested = text.replace(r#"{"sub":"platform:p1"}"#, r#"{"sub":"platform:p1","sub":"platform:p2"}"#);
        assert_ne!(nested, text);
        assert_eq!(ES256.with_claims(&nested), Err(TokenRefused::Form));
    }

    #[test]
    fn threat_5_a_token_for_another_audience_is_refused_by_name() {
        let found = Audience::sts();
        let refused = ES256.with_claims(&changed("aud", json!(found.as_str())));
        assert_eq!(refused, Err(TokenRefused::Audience { found, expected: Audience::parse(AUDIENCE).unwrap() }));
    }

    #[test]
    fn threat_6_the_issuer_is_equal_to_the_byte() {
        for other in [
            "https://id.example.com/brevet/",
            "https://id.example.com/brevet/t/team-1",
            "https://id.example.com",
            "https://ID.example.com/brevet",
            "https://id.example.com/brevet#",
            "https://id.example.com/brevet?x",
            "https://id.example.com:443/brevet",
            "https://id.example.com@evil.example/brevet",
            "https://id.example.com.evil.example/brevet",
            "http://id.example.com/brevet",
            "https://id.example.com/brevet ",
            "https://id.example.com/brevеt",
            "",
        ] {
            let refused = ES256.with_claims(&changed("iss", json!(other)));
            assert_eq!(refused, Err(TokenRefused::Issuer { expected: ISSUER.to_owned() }), "{other}");
        }
    }

    #[test]
    fn threat_7_clocks_may_be_a_minute_apart_and_no_more() {
        let token = ES256.sound_token();
        for (seconds, accepted) in [
            (-300, false),
            (-61, false),
            (-60, true),
            (-1, true),
            (0, true),
            (299, true),
            (300, true),
            (359, true),
            (360, false),
            (600, false),
            (100_000_000, false),
        ] {
            let answer = ES256.verify_at(&token, NOW + Duration::seconds(seconds));
            let expected = match answer {
                Ok(_) => accepted,
                Err(TokenRefused::NotYet(from)) => !accepted && seconds < 0 && from == NOW,
                Err(TokenRefused::Expired(at)) => !accepted && seconds > 0 && at == NOW + Duration::seconds(300),
                Err(_) => false,
            };
            assert!(expected, "{seconds}");
        }
        let late = changed("nbf", json!(NOW.unix_timestamp() + 61));
        assert_eq!(ES256.with_claims(&late), Err(TokenRefused::NotYet(NOW + Duration::seconds(61))));
        assert!(ES256.verify_at(&token, OffsetDateTime::UNIX_EPOCH - Duration::days(4_000_000)).is_err());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            // Halves: exact in every reader, so that the test is not about rounding.
            any::<i32>().prop_map(|n| Value::from(f64::from(n) / 2.0)),
            "\\PC{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{0,4}", inner, 0..3).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn threat_2_a_claim_of_any_json_type_is_taken_for_nothing_else(
            name in prop::sample::select(vec!["iss", "sub", "aud", "iat", "nbf", "exp", "jti", "run_id", "act", "team_uid"]),
            value in any_json()
        ) {
            if let Ok(token) = ES256.with_claims(&changed(name, value.clone())) {
                let instant = |at: OffsetDateTime| json!(at.unix_timestamp());
                let read = match name {
                    "iat" => instant(token.issued_at()),
                    "nbf" => instant(token.not_before()),
                    "exp" => instant(token.expires_at()),
                    "act" => token.act().cloned().map(Value::Object).unwrap(),
                    other => sound()[other].clone(),
                };
                prop_assert_eq!(read, value);
            }
        }

        #[test]
        fn threat_3_no_header_makes_the_verifier_take_a_changed_token(name in "\\PC{0,8}", value in any_json(), at: prop::sample::Index) {
            let mut header = ES256.header();
            header[name] = value;
            let token = ES256.token(&header.to_string(), &sound().to_string());
            prop_assert_eq!(ES256.verify(&token).is_ok(), header == ES256.header());
            let sound = ES256.sound_token();
            let at = at.index(sound.len());
            let mut bytes = sound.into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            prop_assert!(ES256.verify(&String::from_utf8(bytes).unwrap()).is_err());
        }
    }
}
