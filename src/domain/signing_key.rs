//! Signing keys: what one is, and what the clock makes of it.
//!
//! State is data and clock, never a flag: every question here is a pure function of rows and `now`, so all
//! replicas give the same answer without a leader. How far apart the instants must lie is
//! [`super::key_schedule`].

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;

use super::id::IssuerId;
use super::sealed::Sealed;

/// Most keys an issuer has at once, gone and revoked ones not counted.
pub const KEYS_MAX: usize = 5;

/// A signature algorithm of JWS (RFC 7518, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// Every algorithm there is: two, both asymmetric. There is no `none` and no HMAC to confuse them with.
    pub const ALL: [Self; 2] = [Self::Rs256, Self::Es256];

    /// The `alg` of headers and JWKs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// The exact inverse of [`Algorithm::as_str`]; case counts.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kinds of key that sign: an algorithm with a size that fits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum KeyKind {
    /// RS256 with a modulus of 2048 bits, the default: every relying party takes it.
    #[default]
    Rsa2048,
    /// RS256 with a modulus of 3072 bits.
    Rsa3072,
    /// RS256 with a modulus of 4096 bits.
    Rsa4096,
    /// ES256.
    P256,
}

/// A size that does not fit the algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bits must be 2048, 3072 or 4096 for RS256 and 256 for ES256")]
pub struct KeyKindError;

impl KeyKind {
    /// Every kind there is.
    pub const ALL: [Self; 4] = [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::P256];

    /// The kind for `algorithm`, of `bits` or of the smallest size there is for it.
    pub fn new(algorithm: Algorithm, bits: Option<u32>) -> Result<Self, KeyKindError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.algorithm() == algorithm && bits.is_none_or(|bits| bits == kind.bits()))
            .ok_or(KeyKindError)
    }

    /// The algorithm, a property of the key.
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => Algorithm::Rs256,
            Self::P256 => Algorithm::Es256,
        }
    }

    /// Bits of the modulus, or of the field.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
            Self::P256 => 256,
        }
    }
}

/// Characters of a [`Kid`]: a SHA-256 in base64url without padding.
pub const KID_LEN: usize = 43;

/// A key's name: the RFC 7638 thumbprint of its public half. 43 characters of `[A-Za-z0-9_-]`, compared
/// byte for byte; it names a key and is never a path, a URL or a query.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(Box<str>);

/// A text that is no kid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 43 base64url characters")]
pub struct KidError;

impl Kid {
    /// Takes `text` for a kid, unchanged.
    pub fn parse(text: &str) -> Result<Self, KidError> {
        if text.len() == KID_LEN && is_base64url(text) { Ok(Self(text.into())) } else { Err(KidError) }
    }

    /// The name that a thumbprint gives.
    pub fn from_thumbprint(sha256: &[u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(sha256).into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The public half of a key: the members of its JWK that depend on the key, base64url without padding
/// (RFC 7518, section 6). There is no place in it for a private member.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// Modulus and exponent.
    Rsa {
        /// The modulus, big-endian, without leading zeroes.
        n: Box<str>,
        /// The exponent, big-endian, without leading zeroes.
        e: Box<str>,
    },
    /// A point of P-256.
    P256 {
        /// The x coordinate, 32 bytes.
        x: Box<str>,
        /// The y coordinate, 32 bytes.
        y: Box<str>,
    },
}

/// Texts that are no public half of a key of the kind given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("public members must be base64url without padding, of the size of the key")]
pub struct PublicKeyError;

impl PublicKey {
    /// Puts the two members of a row together: `n` and `e`, or `x` and `y`.
    pub fn new(kind: KeyKind, first: &str, second: &str) -> Result<Self, PublicKeyError> {
        let bytes = usize::try_from(kind.bits() / 8).unwrap_or_default();
        let length = |bytes: usize| (bytes * 4).div_ceil(3);
        if first.len() != length(bytes) || !is_base64url(first) || !is_base64url(second) {
            return Err(PublicKeyError);
        }
        match kind.algorithm() {
            Algorithm::Rs256 if (2..=length(4)).contains(&second.len()) => {
                Ok(Self::Rsa { n: first.into(), e: second.into() })
            }
            Algorithm::Es256 if second.len() == length(bytes) => Ok(Self::P256 { x: first.into(), y: second.into() }),
            Algorithm::Rs256 | Algorithm::Es256 => Err(PublicKeyError),
        }
    }

    /// The exact inverse of [`PublicKey::new`], for a row.
    pub fn members(&self) -> (&str, &str) {
        match self {
            Self::Rsa { n, e } => (n, e),
            Self::P256 { x, y } => (x, y),
        }
    }
}

fn is_base64url(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The instants that make a key's state. Each holds from that instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTimes {
    /// It stands in the JWKS from here.
    pub publish_from: OffsetDateTime,
    /// Since when it has been seen at the public `jwks_uri` at every look; `None` where it was missing at the last.
    pub seen_from: Option<OffsetDateTime>,
    /// The last look that saw it; `None` as long as `seen_from` is.
    pub seen_until: Option<OffsetDateTime>,
    /// It signs from here; `None` for a standby whose turn is not planned yet.
    pub sign_from: Option<OffsetDateTime>,
    /// It signs no more; `None` until its successor is planned. The same instant as `sign_from`: it was withdrawn
    /// and has never signed.
    pub sign_until: Option<OffsetDateTime>,
    /// It leaves the JWKS; `None` as long as `sign_until` is.
    pub publish_until: Option<OffsetDateTime>,
    /// It was distrusted: it neither signs nor is published, whatever this and the other instants say. A distrust is
    /// never planned ahead, so that no slow clock goes on publishing what another has revoked.
    pub revoked_at: Option<OffsetDateTime>,
}

/// What a key is at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyState {
    /// Made, and published or about to be; it does not sign yet.
    Next,
    /// It signs.
    Active,
    /// It signs no more, but verifiers still need it.
    Retired,
    /// No token of it can be alive; it is not published.
    Gone,
    /// Distrusted.
    Revoked,
}

impl KeyState {
    /// The word in JSON and on the terminal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Gone => "gone",
            Self::Revoked => "revoked",
        }
    }
}

impl KeyTimes {
    /// A standby's, published from `publish_from` on and with nothing planned.
    pub const fn published(publish_from: OffsetDateTime) -> Self {
        Self {
            publish_from,
            seen_from: None,
            seen_until: None,
            sign_from: None,
            sign_until: None,
            publish_until: None,
            revoked_at: None,
        }
    }

    /// What the clock makes of these instants.
    pub fn state(&self, now: OffsetDateTime) -> KeyState {
        let reached = |instant: Option<OffsetDateTime>| instant.is_some_and(|instant| instant <= now);
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if reached(self.publish_until) || self.is_withdrawn() {
            KeyState::Gone
        } else if reached(self.sign_until) {
            KeyState::Retired
        } else if reached(self.sign_from) {
            KeyState::Active
        } else {
            KeyState::Next
        }
    }

    /// Whether the key stands in the JWKS.
    pub fn is_published(&self, now: OffsetDateTime) -> bool {
        match self.state(now) {
            KeyState::Next => self.publish_from <= now,
            KeyState::Active | KeyState::Retired => true,
            KeyState::Gone | KeyState::Revoked => false,
        }
    }

    /// Whether it was taken out of the JWKS without ever having signed.
    pub fn is_withdrawn(&self) -> bool {
        self.sign_from.is_some() && self.sign_from == self.sign_until
    }

    /// Whether it waits for its turn.
    pub fn is_standby(&self, now: OffsetDateTime) -> bool {
        self.state(now) == KeyState::Next
    }

    /// Whether it counts against [`KEYS_MAX`]: neither gone nor distrusted.
    pub fn is_alive(&self, now: OffsetDateTime) -> bool {
        !matches!(self.state(now), KeyState::Gone | KeyState::Revoked)
    }

    fn instants(&self) -> impl Iterator<Item = OffsetDateTime> {
        [Some(self.publish_from), self.sign_from, self.sign_until, self.publish_until].into_iter().flatten()
    }
}

/// A signing key as its row tells it: the public half open, the private half sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The issuer it belongs to; a kid is valid under its own issuer only.
    pub issuer: IssuerId,
    /// Its name.
    pub kid: Kid,
    /// Its algorithm and size.
    pub kind: KeyKind,
    /// Its public half.
    pub public: PublicKey,
    /// A self-signed certificate over the public half, standard base64 of its DER, for the `x5c` option.
    pub certificate: Option<Box<str>>,
    /// Its private half: PKCS#8, sealed with kid and issuer as associated data.
    pub private: Sealed,
    /// What makes its state.
    pub times: KeyTimes,
    /// Whether it was made with its issuer: no verifier can hold an older JWKS, so it need not wait to sign.
    pub first: bool,
    /// Since when its private half is destroyed.
    pub forgotten_at: Option<OffsetDateTime>,
}

impl SigningKey {
    /// Its algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.kind.algorithm()
    }

    /// What it is at `now`.
    pub fn state(&self, now: OffsetDateTime) -> KeyState {
        self.times.state(now)
    }
}

/// Why a set of keys has no one signing key, or may not be an issuer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// None may sign now.
    #[error("no signing key is active")]
    NoneSigns,
    /// Two would sign at once.
    #[error("signing keys {0} and {1} would sign at the same time")]
    SeveralSign(Kid, Kid),
    /// One key more than [`KEYS_MAX`].
    #[error("an issuer has at most 5 signing keys")]
    TooMany,
    /// One kid twice.
    #[error("signing key {0} is there twice")]
    Twice(Kid),
    /// A key of another issuer.
    #[error("signing key {0} belongs to another issuer")]
    OtherIssuer(Kid),
    /// Instants out of order: publish, sign, stop signing, stop publishing.
    #[error("signing key {0} must be published before it signs and until after it stops")]
    Order(Kid),
}

/// The one key of `keys` that signs at `now`. Zero and several are both refused: which of two keys signs must
/// never depend on the order of rows.
pub fn signing_key(keys: &[SigningKey], now: OffsetDateTime) -> Result<&SigningKey, KeySetError> {
    let mut active = keys.iter().filter(|key| key.state(now) == KeyState::Active);
    match (active.next(), active.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => Err(KeySetError::NoneSigns),
        (Some(one), Some(other)) => Err(KeySetError::SeveralSign(one.kid.clone(), other.kid.clone())),
    }
}

/// The keys of the JWKS at `now`: the signing key first (some verifiers try only the first), then those to
/// come, then those that were, the newest first.
pub fn published(keys: &[SigningKey], now: OffsetDateTime) -> Vec<&SigningKey> {
    let mut published: Vec<_> = keys.iter().filter(|key| key.times.is_published(now)).collect();
    let rank = |key: &SigningKey| match key.state(now) {
        KeyState::Active => 0,
        KeyState::Next => 1,
        KeyState::Retired | KeyState::Gone | KeyState::Revoked => 2,
    };
    let order = |key: &SigningKey| (key.times.sign_from, key.times.publish_from);
    published.sort_by(|a, b| (rank(a), order(b), &a.kid).cmp(&(rank(b), order(a), &b.kid)));
    published
}

/// The next instant after `now` at which any key's state changes: when the signer and the JWKS must be made
/// anew, without polling.
pub fn next_change(keys: &[SigningKey], now: OffsetDateTime) -> Option<OffsetDateTime> {
    keys.iter().flat_map(|key| key.times.instants()).filter(|instant| *instant > now).min()
}

/// Whether `keys` may be the keys of `issuer`, at `now` and ever after: at most [`KEYS_MAX`] alive, each kid
/// once, instants in order, and no two that would ever sign together.
pub fn check(keys: &[SigningKey], issuer: IssuerId, now: OffsetDateTime) -> Result<(), KeySetError> {
    let alive: Vec<_> = keys.iter().filter(|key| key.times.is_alive(now)).collect();
    if alive.len() > KEYS_MAX {
        return Err(KeySetError::TooMany);
    }
    for (at, key) in keys.iter().enumerate() {
        if key.issuer != issuer {
            return Err(KeySetError::OtherIssuer(key.kid.clone()));
        }
        if keys[..at].iter().any(|other| other.kid == key.kid) {
            return Err(KeySetError::Twice(key.kid.clone()));
        }
        if !key.times.in_order() {
            return Err(KeySetError::Order(key.kid.clone()));
        }
    }
    for (at, key) in alive.iter().enumerate() {
        if let Some(other) = alive[..at].iter().find(|other| other.times.signs_together_with(&key.times)) {
            return Err(KeySetError::SeveralSign(other.kid.clone(), key.kid.clone()));
        }
    }
    Ok(())
}

impl KeyTimes {
    fn in_order(&self) -> bool {
        self.sign_from.is_none_or(|from| self.publish_from <= from)
            && self.sign_until.is_none_or(|until| self.sign_from.is_some_and(|from| from <= until))
            && match (self.sign_until, self.publish_until) {
                (Some(sign), Some(publish)) => sign <= publish,
                (None, Some(_)) => false,
                (_, None) => true,
            }
    }

    fn signs_together_with(&self, other: &Self) -> bool {
        let (Some(from), Some(other_from)) = (self.sign_from, other.sign_from) else { return false };
        let ends_by = |times: &Self, instant| times.sign_until.is_some_and(|until| until <= instant);
        !ends_by(self, other_from) && !ends_by(other, from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::Duration;

    const EPOCH: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn issuer(n: u128) -> IssuerId {
        IssuerId::new(uuid::Uuid::from_u128(n))
    }

    fn at(second: i64) -> OffsetDateTime {
        EPOCH + Duration::seconds(second)
    }

    fn times(publish: i64, sign: i64, stop: Option<i64>, gone: Option<i64>) -> KeyTimes {
        KeyTimes {
            sign_from: Some(at(sign)),
            sign_until: stop.map(at),
            publish_until: gone.map(at),
            ..KeyTimes::published(at(publish))
        }
    }

    fn key(name: char, times: KeyTimes) -> SigningKey {
        SigningKey {
            issuer: issuer(1),
            kid: Kid::parse(&name.to_string().repeat(KID_LEN)).unwrap(),
            kind: KeyKind::P256,
            public: PublicKey::new(KeyKind::P256, &"A".repeat(43), &"A".repeat(43)).unwrap(),
            certificate: None,
            private: Sealed::parse("v1.0123456789abcdef.bm9uY2U.Y2lwaGVy").unwrap(),
            times,
            first: false,
            forgotten_at: None,
        }
    }

    #[test]
    fn each_instant_turns_the_key_over_exactly_when_it_is_reached() {
        let times = times(0, 10, Some(20), Some(30));
        for (second, state, published) in [
            (-1, KeyState::Next, false),
            (0, KeyState::Next, true),
            (9, KeyState::Next, true),
            (10, KeyState::Active, true),
            (19, KeyState::Active, true),
            (20, KeyState::Retired, true),
            (29, KeyState::Retired, true),
            (30, KeyState::Gone, false),
        ] {
            assert_eq!((times.state(at(second)), times.is_published(at(second))), (state, published), "{second}");
            let revoked = KeyTimes { revoked_at: Some(at(second)), ..times };
            assert_eq!((revoked.state(at(second)), revoked.is_published(at(second))), (KeyState::Revoked, false));
        }
    }

    #[test]
    fn the_signing_key_comes_first_and_the_standby_follows() {
        let keys = [
            key('o', times(0, 0, Some(100), Some(300))),
            key('p', times(0, 100, Some(200), Some(400))),
            key('s', times(150, 250, None, None)),
            key('q', times(0, 200, Some(250), Some(500))),
        ];
        let order =
            |second| published(&keys, at(second)).iter().map(|k| k.kid.as_str()[..1].to_owned()).collect::<String>();
        assert_eq!(order(0), "oqp");
        assert_eq!(order(220), "qspo");
        assert_eq!(order(260), "sqpo");
        assert_eq!(order(300), "sqp");
        assert_eq!(signing_key(&keys, at(220)).map(|k| &k.kid), Ok(&keys[3].kid));
        assert_eq!(next_change(&keys, at(220)), Some(at(250)));
        assert_eq!(next_change(&keys, at(500)), None);
        assert_eq!(check(&keys, issuer(1), at(0)), Ok(()));
    }

    #[test]
    fn a_set_that_breaks_a_rule_is_named() {
        let (a, b) = (key('a', times(0, 0, Some(100), Some(200))), key('b', times(0, 100, None, None)));
        assert_eq!(check(&[a.clone(), b.clone()], issuer(1), at(0)), Ok(()));
        assert_eq!(check(&[a.clone(), a.clone()], issuer(1), at(0)), Err(KeySetError::Twice(a.kid.clone())));
        let early = key('b', times(0, 99, None, None));
        let both = KeySetError::SeveralSign(a.kid.clone(), early.kid.clone());
        assert_eq!(check(&[a.clone(), early.clone()], issuer(1), at(0)), Err(both.clone()));
        assert_eq!(signing_key(&[a.clone(), early], at(99)), Err(both));
        assert_eq!(signing_key(std::slice::from_ref(&b), at(99)), Err(KeySetError::NoneSigns));
        assert_eq!(
            check(&[key('a', times(1, 0, None, None))], issuer(1), at(0)),
            Err(KeySetError::Order(a.kid.clone()))
        );
        let kids = ['c', 'd', 'e', 'f', 'g', 'h'];
        let many: Vec<_> = (0i64..).zip(kids).map(|(n, kid)| key(kid, times(0, n, Some(n + 1), Some(99)))).collect();
        assert_eq!(check(&many, issuer(1), at(0)), Err(KeySetError::TooMany));
        assert_eq!(check(&many, issuer(1), at(99)), Ok(()));
    }

    #[test]
    fn threat_14_a_key_of_another_issuer_is_refused() {
        let foreign = key('a', times(0, 0, None, None));
        assert_eq!(
            check(std::slice::from_ref(&foreign), issuer(2), at(0)),
            Err(KeySetError::OtherIssuer(foreign.kid.clone()))
        );
    }

    #[test]
    fn kinds_and_members_fit_each_other_or_are_refused() {
        assert_eq!(KeyKind::new(Algorithm::Rs256, None), Ok(KeyKind::Rsa2048));
        assert_eq!(KeyKind::new(Algorithm::Rs256, Some(4096)), Ok(KeyKind::Rsa4096));
        assert_eq!(KeyKind::new(Algorithm::Es256, None), Ok(KeyKind::P256));
        for (algorithm, bits) in [(Algorithm::Rs256, 1024), (Algorithm::Rs256, 256), (Algorithm::Es256, 2048)] {
            assert_eq!(KeyKind::new(algorithm, Some(bits)), Err(KeyKindError));
        }
        let modulus = "A".repeat(342);
        assert!(PublicKey::new(KeyKind::Rsa2048, &modulus, "AQAB").is_ok());
        for (kind, first, second) in [
            (KeyKind::Rsa3072, modulus.as_str(), "AQAB"),
            (KeyKind::Rsa2048, modulus.as_str(), ""),
            (KeyKind::Rsa2048, modulus.as_str(), "AQ=="),
            (KeyKind::P256, "AQAB", "AQAB"),
        ] {
            assert_eq!(PublicKey::new(kind, first, second), Err(PublicKeyError));
        }
    }

    #[test]
    fn threat_3_a_kid_is_a_thumbprint_and_nothing_else() {
        let good = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        assert_eq!(Kid::parse(good).map(|kid| kid.to_string()).as_deref(), Ok(good));
        let long = "a".repeat(44);
        for bad in
            ["", "../../../../../../../../../../../etc/passwd", "' OR '1'='1' --aaaaaaaaaaaaaaaaaaaaaaaaaaaa", &long]
        {
            assert_eq!(Kid::parse(bad), Err(KidError), "{bad:?}");
        }
        assert_eq!(Algorithm::parse("rs256"), None);
        assert_eq!(Algorithm::ALL.map(|a| Algorithm::parse(a.as_str())), Algorithm::ALL.map(Some));
    }

    proptest! {
        #[test]
        fn threat_16_whatever_passes_the_check_has_at_most_one_signing_key_ever(
            rows in prop::collection::vec((0i64..50, 0i64..50, prop::option::of(0i64..50), prop::option::of(0i64..50)), 0..5)
        ) {
            let keys: Vec<_> = rows.into_iter().zip('a'..).map(|((publish, lead, span, keep), name)| {
                let sign = publish + lead;
                let stop = span.map(|span| sign + span);
                key(name, times(publish, sign, stop, stop.zip(keep).map(|(stop, keep)| stop + keep)))
            }).collect();
            if check(&keys, issuer(1), at(0)).is_ok() {
                for second in 0..200 {
                    let active = keys.iter().filter(|key| key.state(at(second)) == KeyState::Active).count();
                    prop_assert!(active <= 1);
                    prop_assert_eq!(signing_key(&keys, at(second)).is_ok(), active == 1);
                    let published = published(&keys, at(second));
                    prop_assert!(active == 0 || published[0].state(at(second)) == KeyState::Active);
                }
            }
        }

        #[test]
        fn a_state_never_goes_back(publish in 0i64..20, lead in 0i64..20, span in 0i64..20, keep in 0i64..20, revoked in prop::option::of(0i64..90)) {
            let sign = publish + lead;
            let times = KeyTimes { revoked_at: revoked.map(at), ..times(publish, sign, Some(sign + span), Some(sign + span + keep)) };
            for second in 0..100 {
                prop_assert!(times.state(at(second)) <= times.state(at(second + 1)));
                if times.state(at(second)) != times.state(at(second + 1)) {
                    prop_assert_eq!(next_change(&[key('a', times)], at(second)), Some(at(second + 1)));
                }
            }
        }
    }
}
