//! Providers at which people sign in.

use super::repeat::First;
use super::{AdminError, Administration, Reading, Repeatable};
use crate::crypto::seal::Sealing;
use crate::domain::audit::Action;
use crate::domain::foreign_issuer::ForeignIssuer;
use crate::domain::id::UpstreamUid;
use crate::domain::issuer_url::Development;
use crate::domain::sealed::Sealed;
use crate::domain::secret::{Secret, SecretBytes};
use crate::domain::upstream::{UpstreamProvider, UpstreamSettings, Word};
use crate::issuer::sign_in::upstream::{CALLBACK, LOGOUT};
use crate::store::{Page, Paged, StoreError, UpstreamProviderChange};

const KIND: &str = "upstream provider";

/// A provider to make.
#[derive(Debug, Clone)]
pub struct NewUpstreamProvider {
    /// Its uid; one of ours where absent.
    pub uid: Option<UpstreamUid>,
    /// What to call it.
    pub name: String,
    /// Its issuer, not yet checked: whether loopback is taken, the installation says.
    pub issuer: String,
    /// What it knows us by.
    pub client_id: Word,
    /// Our secret there.
    pub client_secret: Option<Secret>,
    /// How people sign in there.
    pub settings: UpstreamSettings,
}

/// What to change of a provider; `None` keeps.
pub struct ChangeUpstreamProvider<E> {
    /// Another name.
    pub name: Option<String>,
    /// Another client id.
    pub client_id: Option<Word>,
    /// Another secret; `Some(None)` clears it.
    #[expect(clippy::option_option, reason = "keep, clear and set are three things")]
    pub client_secret: Option<Option<Secret>>,
    /// Edits the settings.
    pub edit: E,
    /// Off or on.
    pub disabled: Option<bool>,
}

/// A provider with the addresses that are to be registered there.
#[derive(Debug, Clone)]
pub struct UpstreamSeen {
    /// The provider.
    pub provider: UpstreamProvider,
    /// Where it sends people back to.
    pub redirect_uri: String,
    /// Where it says that somebody has signed out.
    pub logout_uri: String,
}

impl Reading {
    /// A page of providers, disabled ones among them.
    pub async fn upstream_providers(&self, page: &Page) -> Result<Paged<UpstreamSeen>, AdminError> {
        let page = self.store().upstream_providers(page).await?;
        Ok(Paged { items: page.items.into_iter().map(|provider| self.seen(provider)).collect(), next: page.next })
    }

    /// One provider.
    pub async fn upstream_provider(&self, uid: &UpstreamUid) -> Result<UpstreamSeen, AdminError> {
        let provider = self.store().upstream_provider(uid).await?.ok_or(AdminError::NotFound(KIND))?;
        Ok(self.seen(provider))
    }

    fn seen(&self, provider: UpstreamProvider) -> UpstreamSeen {
        let url = self.issuer.url();
        UpstreamSeen {
            redirect_uri: format!("{url}{CALLBACK}/{}", provider.uid),
            logout_uri: format!("{url}{LOGOUT}"),
            provider,
        }
    }
}

impl Administration {
    /// Sets a provider up.
    pub async fn create_upstream_provider(
        &self,
        new: NewUpstreamProvider,
        request: Option<Repeatable>,
    ) -> Result<UpstreamSeen, AdminError> {
        // Loopback issuers are for installations that are on loopback themselves.
        let development = if self.issuer.url().is_loopback() { Development::On } else { Development::Off };
        let issuer = ForeignIssuer::parse(&new.issuer, development)
            .map_err(|rule| AdminError::rule("issuer", rule.to_string()))?;
        if issuer.is_of(self.issuer.url()) {
            return Err(AdminError::field("issuer", "must not be this installation's own"));
        }
        let now = self.now();
        let uid = new.uid.unwrap_or_else(|| UpstreamUid::from_uuid(self.issuer.entropy().uuid_v7(now)));
        let client_secret = new.client_secret.map(|secret| self.sealed(&uid, &secret)).transpose()?;
        let provider = UpstreamProvider {
            uid,
            name: new.name,
            issuer,
            client_id: new.client_id,
            client_secret,
            settings: new.settings,
            version: 1,
            created_at: now,
            updated_at: now,
            disabled_at: None,
        };
        let event = self.event(Action::AdminCreate, None, format!("upstream_provider:{}", provider.uid));
        let earlier = match self.first(request.as_ref(), provider.uid.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let done = self.store().create_upstream_provider(&provider, &event, remember.as_ref()).await;
                self.settle(done, request.as_ref(), KIND).await?
            }
        };
        match earlier {
            None => Ok(self.seen(provider)),
            Some(uid) => {
                let uid = UpstreamUid::parse(&uid).map_err(|_| StoreError::Corrupt("resource"))?;
                self.upstream_provider(&uid).await
            }
        }
    }

    /// Changes a provider.
    pub async fn change_upstream_provider(
        &self,
        uid: &UpstreamUid,
        expected: Option<i64>,
        change: ChangeUpstreamProvider<impl FnOnce(&mut UpstreamSettings) + Send>,
    ) -> Result<UpstreamSeen, AdminError> {
        let before = self.upstream_provider(uid).await?.provider;
        let mut settings = before.settings;
        (change.edit)(&mut settings);
        let client_secret = match change.client_secret {
            None => None,
            Some(None) => Some(None),
            Some(Some(secret)) => Some(Some(self.sealed(uid, &secret)?)),
        };
        let event = self.event(Action::AdminUpdate, None, format!("upstream_provider:{uid}"));
        let change = UpstreamProviderChange {
            name: change.name,
            client_id: change.client_id,
            client_secret,
            settings: Some(settings),
            disabled_at: change.disabled.map(|disabled| disabled.then_some(event.at)),
        };
        // Members that were not named are those of the version that was read: no other may be written over.
        let expected = expected.or(Some(before.version));
        let done = self.store().update_upstream_provider(uid, expected, &change, &event).await;
        self.changed(done.map(|provider| self.seen(provider)).map_err(AdminError::of(KIND)))
    }

    /// Deletes a provider for ever; sessions that began there end.
    pub async fn delete_upstream_provider(&self, uid: &UpstreamUid, expected: Option<i64>) -> Result<(), AdminError> {
        let event = self.event(Action::AdminDelete, None, format!("upstream_provider:{uid}"));
        let done = self.store().delete_upstream_provider(uid, expected, &event).await;
        self.changed(done.map_err(AdminError::of(KIND)))
    }

    fn sealed(&self, uid: &UpstreamUid, secret: &Secret) -> Result<Sealed, AdminError> {
        let bytes = SecretBytes::new(secret.expose().as_bytes().to_vec());
        let sealing = Sealing::upstream_client_secret(uid);
        Ok(self.issuer.keys().kek().seal(self.issuer.entropy(), &bytes, &sealing)?)
    }
}
