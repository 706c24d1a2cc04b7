//! Keys without key material: what the pure functions look at is their instants.

use brevet::domain::id::IssuerId;
use brevet::domain::issuer_url::Development;
use brevet::domain::key_schedule::{KeySchedule, ScheduleNumbers};
use brevet::domain::rotation::NewKey;
use brevet::domain::sealed::Sealed;
use brevet::domain::signing_key::{KeyKind, KeyTimes, Kid, PublicKey, SigningKey};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub(super) fn issuer() -> IssuerId {
    IssuerId::new(Uuid::from_u128(1))
}

/// Second `second` of the world.
pub(super) fn at(second: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(second)
}

/// The kid of the nth key that is made; [`number`] is its inverse.
pub(super) fn kid(n: u32) -> Kid {
    Kid::parse(&format!("{n:0>43}")).unwrap()
}

/// The number under which a kid was made.
pub(super) fn number(kid: &Kid) -> usize {
    kid.as_str()[35..].parse().unwrap()
}

/// The nth key that is made.
pub(super) fn key(n: u32, new: &NewKey) -> SigningKey {
    let (kind, first, second) = match new.kind {
        KeyKind::P256 => (KeyKind::P256, "A".repeat(43), "A".repeat(43)),
        _ => (KeyKind::Rsa2048, "A".repeat(342), "AQAB".to_owned()),
    };
    SigningKey {
        issuer: issuer(),
        kid: kid(n),
        kind,
        public: PublicKey::new(kind, &first, &second).unwrap(),
        certificate: None,
        private: Sealed::parse("v1.0123456789abcdef.bm9uY2U.Y2lwaGVy").unwrap(),
        times: new.times,
        first: false,
        forgotten_at: None,
    }
}

/// An issuer's first pair, made at second 0.
pub(super) fn first_pair(now: OffsetDateTime) -> Vec<SigningKey> {
    let (first, standby) = KeySchedule::first_pair(now);
    let pair: [(u32, KeyTimes); 2] = [(0, first), (1, standby)];
    let made = |(n, times)| SigningKey { first: true, ..key(n, &NewKey { kind: KeyKind::P256, times }) };
    pair.into_iter().map(made).collect()
}

/// A schedule of numbers that may break the rules: what breaks with them is what the proofs look for.
pub(super) fn unchecked(numbers: ScheduleNumbers) -> KeySchedule {
    KeySchedule::new(numbers, Development::On).unwrap()
}
