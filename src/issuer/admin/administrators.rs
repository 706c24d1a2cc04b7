//! Administrators of the installation.

use super::repeat::First;
use super::{AdminError, Administration, Made, Reading, Repeatable};
use crate::domain::audit::Action;
use crate::domain::credential::CredentialKind;
use crate::domain::id::AdministratorId;
use crate::domain::role::InstallationRole;
use crate::store::{Administrator, AdministratorChange, Page, Paged, StoreError};

const KIND: &str = "administrator";

impl Reading {
    /// A page of administrators.
    pub async fn administrators(&self, page: &Page) -> Result<Paged<Administrator>, AdminError> {
        Ok(self.store().administrators(page).await?)
    }

    /// One administrator that is not removed.
    pub async fn administrator(&self, id: AdministratorId) -> Result<Administrator, AdminError> {
        let found = self.store().administrator(id).await?;
        found.filter(|administrator| administrator.revoked_at.is_none()).ok_or(AdminError::NotFound(KIND))
    }
}

impl Administration {
    /// Makes an administrator and their key. The first start's administrator is removed with an operator, in one
    /// transaction: its key was on a terminal or in a file.
    pub async fn create_administrator(
        &self,
        name: String,
        role: InstallationRole,
        request: Option<Repeatable>,
    ) -> Result<Made<Administrator>, AdminError> {
        let now = self.now();
        let administrator = Administrator {
            id: AdministratorId::new(self.issuer.entropy().uuid_v7(now)),
            name: name.clone(),
            role,
            bootstrap: false,
            created_at: now,
            expires_at: None,
            revoked_at: None,
            version: 1,
        };
        let id = administrator.id;
        let (secret, key) = self.credential(CredentialKind::Administrator, name, None);
        let event = self.event(Action::AdminCreate, None, format!("administrator:{id}"));
        let earlier = match self.first(request.as_ref(), id.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let done = self.store().create_administrator(&administrator, &key, &event, remember.as_ref()).await;
                self.settle(done, request.as_ref(), KIND).await?
            }
        };
        match earlier {
            None => Ok(Made { resource: administrator, key: Some(secret.secret().clone()) }),
            Some(id) => {
                let id = AdministratorId::parse(&id).ok_or(StoreError::Corrupt("resource"))?;
                Ok(Made { resource: self.administrator(id).await?, key: None })
            }
        }
    }

    /// Renames an administrator, or gives them another role, from their next request on. One operator stays.
    pub async fn change_administrator(
        &self,
        id: AdministratorId,
        expected: Option<i64>,
        change: AdministratorChange,
    ) -> Result<Administrator, AdminError> {
        let event = self.event(Action::AdminUpdate, None, format!("administrator:{id}"));
        let done = self.store().update_administrator(id, expected, &change, &event).await;
        self.changed(done.map_err(AdminError::of(KIND)))
    }

    /// Removes an administrator and revokes their key; never the last one.
    pub async fn delete_administrator(&self, id: AdministratorId, expected: Option<i64>) -> Result<(), AdminError> {
        let event = self.event(Action::AdminDelete, None, format!("administrator:{id}"));
        let done = self.store().revoke_administrator(id, expected, &event).await;
        self.changed(done.map_err(AdminError::of(KIND)))
    }
}
