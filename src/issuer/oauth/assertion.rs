//! A client that signs its own assertions (RFC 7523): which of its registered keys, whether it is alive, whether the
//! assertion comes the first time.

use time::OffsetDateTime;

use super::client::Client;
use super::{ClientRefused, OAuthError};
use crate::crypto::client_assertion::{AssertionRefused, ClientAssertion, UnverifiedAssertion};
use crate::crypto::foreign_keys::ForeignKeys;
use crate::crypto::jwk::thumbprint;
use crate::crypto::verifying_key::VerifyingKey;
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::client_key::{ClientKey, KeySource};
use crate::domain::id::{ServiceAccountUid, TeamUid};
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::issuer::Issuer;
use crate::issuer::refusals::Unavailable;
use crate::oidc::KeyPlace;
use crate::store::{ClientKeys, DerivesFrom, Presented};

/// What became of an assertion under one registered key, or place of keys.
type Judged = Result<ClientAssertion, ClientRefused>;

impl Issuer {
    /// The client that signed `assertion`.
    ///
    /// Nothing is a row before a signature holds: until then anyone may have written it (threat 41), and a client that
    /// is not there is answered like one that has other keys.
    pub(super) async fn client_by_assertion(
        &self,
        named: Option<&Secret>,
        assertion: &Secret,
        action: Action,
        origin: &Origin,
    ) -> Result<Client, OAuthError> {
        self.count_limited(self.0.limits.anonymous(origin), action, origin)?;
        self.count_limited(self.0.limits.failing(origin), action, origin)?;
        let _place = self.0.limits.judge(origin).map_err(Unavailable::from)?;
        let unverified = match UnverifiedAssertion::parse(assertion.expose()) {
            Ok(unverified) => unverified,
            Err(refused) => return Err(self.count_assertion(refused.into(), action, origin)),
        };
        if named.is_some_and(|named| named.expose() != unverified.claimed_client()) {
            return Err(self.count_assertion(ClientRefused::OtherSubject, action, origin));
        }
        let unknown = || ClientRefused::from(AssertionRefused::UnknownKey);
        let Ok(uid) = ServiceAccountUid::parse(unverified.claimed_client()) else {
            return Err(self.count_assertion(unknown(), action, origin));
        };
        let now = self.now();
        let Some(registered) = self.store().client_keys(&uid, now).await? else {
            return Err(self.count_assertion(unknown(), action, origin));
        };
        let (key, judged) = match self.signer_of(&unverified, &registered, now).await {
            Ok(found) => found,
            Err(refused) => return Err(self.count_assertion(refused, action, origin)),
        };
        let client = Client {
            uid,
            team: registered.team.clone(),
            from: DerivesFrom::PublicKey(key.id),
            until: key.expires_at,
            shown: None,
        };
        match self.accept(judged, &registered, &client, now).await? {
            Ok(()) => Ok(client),
            Err(refused) => Err(self.record_assertion(refused, &client, action, origin).await),
        }
    }

    /// The registered key under which the signature holds, and what else there is to say of the assertion. Keys that
    /// were registered come first; nobody is asked for keys while one of those fits.
    async fn signer_of<'a>(
        &self,
        assertion: &UnverifiedAssertion,
        client: &'a ClientKeys,
        now: OffsetDateTime,
    ) -> Result<(&'a ClientKey, Judged), ClientRefused> {
        let mut best = ClientRefused::from(AssertionRefused::UnknownKey);
        let mut places = Vec::new();
        for registered in &client.keys {
            let (kid, public) = match &registered.source {
                KeySource::Jwk { kid, public } => (kid, public),
                KeySource::JwksUri(uri) => {
                    places.push((registered, uri));
                    continue;
                }
            };
            let is_meant = |asked: &str| kid.as_deref() == Some(asked) || thumbprint(public).as_str() == asked;
            if !assertion.kid().is_none_or(is_meant) {
                continue;
            }
            let Ok(key) = VerifyingKey::new(public) else { continue };
            match self.under(assertion, &key, now) {
                Err(ClientRefused::Assertion(
                    refused @ (AssertionRefused::Signature | AssertionRefused::Algorithm),
                )) => best = refused.into(),
                judged => return Ok((registered, judged)),
            }
        }
        // A JWKS finds its keys by name only.
        let Some(kid) = assertion.kid() else { return Err(best) };
        for (registered, uri) in places {
            match self.key_at(uri, &client.team, kid).await {
                Ok(Some(key)) => match self.under(assertion, &key, now) {
                    Err(ClientRefused::Assertion(
                        refused @ (AssertionRefused::Signature | AssertionRefused::Algorithm),
                    )) => best = refused.into(),
                    judged => return Ok((registered, judged)),
                },
                Ok(None) => {}
                Err(refused) => best = refused,
            }
        }
        Err(best)
    }

    /// What there is to say of the assertion under one key.
    fn under(&self, assertion: &UnverifiedAssertion, key: &VerifyingKey, now: OffsetDateTime) -> Judged {
        Ok(assertion.verify(key, self.url().as_str(), now)?)
    }

    /// The key that the JWKS at `uri` calls `kid`. A kid that is not there may be new, so the JWKS is asked for again,
    /// at the bounded rate of the cache.
    async fn key_at(&self, uri: &str, team: &TeamUid, kid: &str) -> Result<Option<VerifyingKey>, ClientRefused> {
        let place = KeyPlace::url(uri, self.url().is_loopback()).map_err(|_| ClientRefused::KeysUnavailable)?;
        let find = |keys: &ForeignKeys| keys.get(kid).cloned();
        let seen = self.keys_at(&place, team).await.map_err(|_| ClientRefused::KeysUnavailable)?;
        if let Some(key) = find(&seen) {
            return Ok(Some(key));
        }
        let newer = self.newer_keys_at(&place, team, &seen).await.map_err(|_| ClientRefused::KeysUnavailable)?;
        Ok(newer.as_deref().and_then(find))
    }

    /// What remains when the signature holds. The use of the assertion is noted last: one that is refused for
    /// something else is not used up.
    async fn accept(
        &self,
        judged: Judged,
        registered: &ClientKeys,
        client: &Client,
        now: OffsetDateTime,
    ) -> Result<Result<(), ClientRefused>, OAuthError> {
        let held = match judged {
            Ok(held) => held,
            Err(refused) => return Ok(Err(refused)),
        };
        if let Some(dead) = registered.dead {
            return Ok(Err(ClientRefused::Dead(dead)));
        }
        let uid = client.uid.as_str();
        let presented =
            self.store().present_token(&["private_key_jwt"], uid, held.id(), 1, held.refused_from(), now).await?;
        Ok(match presented {
            Presented::Accepted { .. } => Ok(()),
            Presented::Spent => Err(ClientRefused::Replayed),
        })
    }

    /// An assertion that anyone may have written is counted, and its address pays for it.
    fn count_assertion(&self, refused: ClientRefused, action: Action, origin: &Origin) -> OAuthError {
        let mut event = self.event(action, Decision::Refused, origin);
        event.reason = Some(refused.reason());
        self.audit().append_counted(event);
        match self.0.limits.failure(origin) {
            Ok(()) => refused.into(),
            Err(limited) => limited.into(),
        }
    }

    /// One that the client has signed is a row, as long as there are not too many: whoever has seen an assertion can
    /// send it again and again.
    async fn record_assertion(
        &self,
        refused: ClientRefused,
        client: &Client,
        action: Action,
        origin: &Origin,
    ) -> OAuthError {
        let mut event = self.event(action, Decision::Refused, origin);
        event.reason = Some(refused.reason());
        if let Err(limited) = self.0.limits.failure(origin) {
            self.audit().append_counted(event);
            return limited.into();
        }
        event.team = Some(client.team.clone());
        event.principal = Some(Principal::ServiceAccount(client.uid.clone()));
        if let DerivesFrom::PublicKey(id) = client.from {
            event.target = Some(format!("public_key:{id}"));
        }
        self.record_refusal(event).await;
        refused.into()
    }
}
