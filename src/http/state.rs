//! What handlers share.

use std::sync::{Arc, OnceLock};

use crate::domain::issuer_url::IssuerUrl;
use crate::http::layer::Naming;
use crate::issuer::Issuer;
use crate::issuer::publish::Publication;
use crate::issuer::refusals::Unavailable;

/// The state of the issuer's listeners. The public documents are there from the first moment; the issuer itself
/// only when its database has answered, and until then everything else is 503.
#[derive(Clone)]
pub struct IssuerState {
    url: IssuerUrl,
    publication: Arc<Publication>,
    naming: Naming,
    issuer: Arc<OnceLock<Issuer>>,
}

impl IssuerState {
    /// A listener whose issuer is still starting.
    pub fn starting(url: IssuerUrl, publication: Arc<Publication>, naming: Naming) -> Self {
        Self { url, publication, naming, issuer: Arc::default() }
    }

    /// Hands the issuer in, once; a second one is ignored.
    pub fn started(&self, issuer: Issuer) {
        let _ = self.issuer.set(issuer);
    }

    /// The issuer's URL, under whose path every route lives.
    pub const fn url(&self) -> &IssuerUrl {
        &self.url
    }

    /// What is published.
    pub fn publication(&self) -> &Publication {
        &self.publication
    }

    /// What names requests.
    pub const fn naming(&self) -> &Naming {
        &self.naming
    }

    /// The issuer, once it has started.
    pub fn issuer(&self) -> Result<&Issuer, Unavailable> {
        self.issuer.get().ok_or(Unavailable::Starting)
    }
}
