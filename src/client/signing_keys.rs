//! `/v1/signing-keys`: the keys of the shared issuer, or of a team's private one.

use http::Method;

use super::admin::{Admin, Answer, encode, path};
use crate::wire::admin::signing_key::{
    ChangeKeySchedule, DistrustKey, KeyOperation, KeyPlan, KeySchedule, PrepareKey, ReplaceAllKeys, RotateKey,
    SigningKeys,
};

/// The keys of one issuer.
#[derive(Debug, Clone)]
pub struct KeysOf<'a> {
    admin: &'a Admin,
    team: Option<String>,
}

impl Admin {
    /// The keys of `team`'s private issuer; without a team those of the shared one.
    pub fn keys_of(&self, team: Option<&str>) -> KeysOf<'_> {
        KeysOf { admin: self, team: team.map(|team| format!("team={}", encode(team))) }
    }
}

impl KeysOf<'_> {
    fn at(&self, place: &str, more: Option<String>) -> String {
        let query: Vec<String> = self.team.clone().into_iter().chain(more).collect();
        if query.is_empty() { place.to_owned() } else { format!("{place}?{}", query.join("&")) }
    }

    /// `GET /v1/signing-keys`, every page of it; what is not the list is as the first one says.
    pub async fn list(&self) -> Answer<SigningKeys> {
        let mut all: SigningKeys = self.admin.get(&self.at("/v1/signing-keys", Some("limit=200".to_owned()))).await?;
        while let Some(after) = all.next.take() {
            let more = format!("limit=200&after={}", encode(&after));
            let page: SigningKeys = self.admin.get(&self.at("/v1/signing-keys", Some(more))).await?;
            all.items.extend(page.items);
            // A server that repeats its cursor would keep us for ever.
            all.next = page.next.filter(|next| *next != after);
        }
        Ok(all)
    }
    /// `GET /v1/signing-keys/plan`
    pub async fn plan(&self, days: u32) -> Answer<KeyPlan> {
        self.admin.get(&self.at("/v1/signing-keys/plan", Some(format!("days={days}")))).await
    }
    /// `POST /v1/signing-keys/prepare`
    pub async fn prepare(&self, body: &PrepareKey) -> Answer<KeyOperation> {
        self.admin.send(Method::POST, &self.at("/v1/signing-keys/prepare", None), body).await
    }
    /// `POST /v1/signing-keys/rotate`
    pub async fn rotate(&self, body: &RotateKey) -> Answer<KeyOperation> {
        self.admin.send(Method::POST, &self.at("/v1/signing-keys/rotate", None), body).await
    }
    /// `POST /v1/signing-keys/{kid}/distrust`
    pub async fn distrust(&self, kid: &str, body: &DistrustKey) -> Answer<KeyOperation> {
        self.admin.send(Method::POST, &self.at(&path(["signing-keys", kid, "distrust"]), None), body).await
    }
    /// `POST /v1/signing-keys/replace-all`
    pub async fn replace_all(&self, body: &ReplaceAllKeys) -> Answer<KeyOperation> {
        self.admin.send(Method::POST, &self.at("/v1/signing-keys/replace-all", None), body).await
    }
    /// `GET /v1/signing-keys/schedule`, with the version of the numbers
    pub async fn schedule(&self) -> Answer<(KeySchedule, i64)> {
        self.admin.get_versioned(&self.at("/v1/signing-keys/schedule", None)).await
    }
    /// `PATCH /v1/signing-keys/schedule`, if the numbers still have `version`
    pub async fn change_schedule(&self, version: i64, body: &ChangeKeySchedule) -> Answer<KeySchedule> {
        self.admin.change(&self.at("/v1/signing-keys/schedule", None), version, body).await
    }
}
