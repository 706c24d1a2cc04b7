//! Signing in as a client of the issuer: the device grant, the authorization code, the refresh, the end.

use serde::Deserialize;

use super::call::{Client, ClientError};
use super::saved_session::SavedSession;
use crate::domain::secret::Secret;
use crate::domain::session::CLI_CLIENT_ID;
use crate::wire::secret_text::SecretText;
use crate::wire::session::SessionTokens;

const TOKEN: &str = "/oauth2/token";

/// What a device shows its user (RFC 8628, section 3.2).
#[derive(Debug, Clone, Deserialize)]
pub struct DeviceAuthorization {
    /// What this device polls with.
    pub device_code: SecretText,
    /// What the person types.
    pub user_code: String,
    /// Where they type it.
    pub verification_uri: String,
    /// The same with the code in it.
    #[serde(default)]
    pub verification_uri_complete: Option<String>,
    /// For how many seconds from now the codes live.
    pub expires_in: u32,
    /// Seconds between two polls; 5 where the issuer does not say.
    #[serde(default = "five")]
    pub interval: u32,
}

const fn five() -> u32 {
    5
}

/// What one poll of the device grant learns.
#[derive(Debug)]
pub enum Poll {
    /// The person approved.
    Granted(Box<SessionTokens>),
    /// Not yet.
    Pending,
    /// Not yet, and polls must be five seconds further apart from now on (RFC 8628, section 3.5).
    SlowDown,
}

/// What the authorization endpoint is asked for (RFC 6749, section 4.1.1, with PKCE of RFC 7636).
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// Where the browser comes back to, on loopback.
    pub redirect_uri: &'a str,
    /// What it must bring back unchanged.
    pub state: &'a str,
    /// The S256 challenge.
    pub code_challenge: &'a str,
    /// What the device is called.
    pub device: Option<&'a str>,
    /// The team that the sign-in is for.
    pub team: Option<&'a str>,
}

impl Client {
    /// The address at which a browser signs in.
    pub fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("response_type", "code").append_pair("client_id", CLI_CLIENT_ID);
        query.append_pair("redirect_uri", request.redirect_uri).append_pair("state", request.state);
        query.append_pair("code_challenge", request.code_challenge).append_pair("code_challenge_method", "S256");
        for (name, value) in [("device_name", request.device), ("team", request.team)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        format!("{}/oauth2/authorize?{}", self.issuer_url(), query.finish())
    }

    /// Begins the device grant.
    pub async fn device_authorization(
        &self,
        device: Option<&str>,
        team: Option<&str>,
    ) -> Result<DeviceAuthorization, ClientError> {
        let mut form = vec![("client_id", CLI_CLIENT_ID)];
        form.extend(device.map(|name| ("device_name", name)));
        form.extend(team.map(|team| ("team", team)));
        self.form("/oauth2/device_authorization", &form).await
    }

    /// Asks whether the person has approved.
    pub async fn poll_device(&self, device_code: &Secret) -> Result<Poll, ClientError> {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let form = [("grant_type", grant), ("client_id", CLI_CLIENT_ID), ("device_code", device_code.expose())];
        match self.form(TOKEN, &form).await {
            Ok(granted) => Ok(Poll::Granted(Box::new(granted))),
            Err(ClientError::OAuth { code, .. }) if &*code == "authorization_pending" => Ok(Poll::Pending),
            Err(ClientError::OAuth { code, .. }) if &*code == "slow_down" => Ok(Poll::SlowDown),
            Err(error) => Err(error),
        }
    }

    /// Redeems an authorization code.
    pub async fn redeem_code(
        &self,
        code: &Secret,
        redirect_uri: &str,
        verifier: &Secret,
    ) -> Result<SessionTokens, ClientError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", CLI_CLIENT_ID),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ];
        self.form(TOKEN, &form).await
    }

    /// Exchanges a refresh token for fresh tokens. The one shown is worth nothing afterwards.
    pub async fn refresh(&self, refresh_token: &Secret) -> Result<SessionTokens, ClientError> {
        let form =
            [("grant_type", "refresh_token"), ("client_id", CLI_CLIENT_ID), ("refresh_token", refresh_token.expose())];
        self.form(TOKEN, &form).await
    }

    /// Ends the session of a refresh token (RFC 7009). One that means nothing any more is no error.
    pub async fn revoke(&self, refresh_token: &Secret) -> Result<(), ClientError> {
        let form =
            [("token", refresh_token.expose()), ("token_type_hint", "refresh_token"), ("client_id", CLI_CLIENT_ID)];
        self.post_form("/oauth2/revoke", &form).await.map(drop)
    }

    /// Ends a saved session at the issuer, by what ends it also where its access token has run out.
    pub async fn end_saved(&self, session: &SavedSession) -> Result<(), ClientError> {
        match &session.refresh_token {
            Some(token) => self.revoke(&token.0).await,
            None => self.end_session(&session.access_token.0, &session.session_id).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::{Reach, Settings};

    fn client() -> Client {
        let settings =
            Settings { reach: Reach::public(), extra_ca: None, proxy: None, limits: crate::fetch::Limits::default() };
        Client::new("https://id.example/b", crate::fetch::Client::new(settings).unwrap())
    }

    #[test]
    fn the_address_for_the_browser_carries_the_challenge_and_escapes_names() {
        let url = client().authorization_url(&AuthorizationRequest {
            redirect_uri: "http://127.0.0.1:9/callback",
            state: "s",
            code_challenge: "c",
            device: Some("Ann & Bob's"),
            team: None,
        });
        assert_eq!(
            url,
            "https://id.example/b/oauth2/authorize?response_type=code&client_id=brevet-cli&\
             redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback&state=s&code_challenge=c&\
             code_challenge_method=S256&device_name=Ann+%26+Bob%27s"
        );
    }
}
