//! How people sign in: sessions and the ways that lead to one, from a code, a device or a browser.
//!
//! Owns what a session is opened with, its tokens and their rotation. Does not own pages (`http::pages`), forms
//! (`http::issuer::oauth`) nor who a provider says somebody is.
//! May import: what its parent may.

pub mod browser;
pub mod code;
pub mod device;
pub mod refresh;
pub mod refusals;
pub mod session;
pub mod upstream;
pub mod upstream_logout;

pub use code::AuthorizationAsked;
pub use device::{DeviceAsked, DeviceAuthorization};
pub use refusals::{DeviceRefused, SignInRefused};
pub use session::SessionTokens;

use super::Issuer;
use super::oauth::OAuthError;
use super::oauth::refusals::GrantRefused;
use super::refusals::Unavailable;
use crate::crypto::seal::Sealing;
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::label::NAME_MAX;
use crate::domain::secret::SecretBytes;
use crate::domain::session::CLI_CLIENT_ID;
use crate::store::USER_CODE_KEY;

/// Bytes of the key under which user codes are kept.
const USER_CODE_KEY_LEN: usize = 32;

/// Why a browser that has proved who it is gets no further: its way ended meanwhile. The word of the audit row.
const SIGN_IN_OVER: &str = "sign_in_over";

/// Whether a text can be what a device is called.
pub(super) fn is_device_name(device: &str) -> bool {
    device.chars().count() <= NAME_MAX && !device.chars().any(char::is_control)
}

impl Issuer {
    /// The key under which user codes are kept; made where there is none, which is at a first start and once after an
    /// update. Read once a process: a change of the key-encryption key seals the same key anew.
    pub async fn user_code_key(&self) -> Result<&SecretBytes, Unavailable> {
        self.0.user_code_key.get_or_try_init(|| self.read_user_code_key()).await
    }

    async fn read_user_code_key(&self) -> Result<SecretBytes, Unavailable> {
        let sealing = Sealing::installation_key(USER_CODE_KEY);
        let kek = self.keys().kek();
        if self.store().installation_key(USER_CODE_KEY).await?.is_none() {
            let mut bytes = vec![0; USER_CODE_KEY_LEN];
            self.entropy().fill(&mut bytes);
            let sealed = kek.seal(self.entropy(), &SecretBytes::new(bytes), &sealing)?;
            let mut event = self.event(Action::Bootstrap, Decision::Allowed, &Origin::default());
            event.target = Some(format!("installation_key:{USER_CODE_KEY}"));
            // Of two replicas that do this at once one's stands, and both read it.
            self.store().insert_installation_key(USER_CODE_KEY, &sealed, &event).await?;
        }
        let sealed = self.store().installation_key(USER_CODE_KEY).await?.ok_or(Unavailable::Changing)?;
        Ok(kek.open(&sealed, &sealing)?)
    }

    /// Counts a refusal of what is no caller's credential yet, like those of unknown ones.
    fn count_sign_in(&self, action: Action, reason: &'static str, origin: &Origin) {
        metrics::counter!("brevet_refusals_total", "action" => action.as_str(), "reason" => reason).increment(1);
        let mut event = self.event(action, Decision::Refused, origin);
        event.reason = Some(reason);
        self.audit().append_counted(event);
    }
}

/// The one public client there is.
fn check_client(client: &str) -> Result<(), OAuthError> {
    if client == CLI_CLIENT_ID { Ok(()) } else { Err(GrantRefused::Client.into()) }
}
