//! People.

use super::repeat::First;
use super::{AdminError, Administration, Reading, Repeatable};
use crate::domain::audit::{Action, Event};
use crate::domain::id::UserUid;
use crate::domain::principal::Principal;
use crate::domain::team::User;
use crate::store::{Page, Paged, StoreError, UserChange};

/// A person to make known.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Their uid; one of ours where absent.
    pub uid: Option<UserUid>,
    /// What to call them.
    pub name: String,
    /// For people to recognise them by.
    pub email: Option<String>,
}

/// What to change of a person; `None` keeps.
#[derive(Debug, Clone)]
pub struct ChangeUser {
    /// Another name.
    pub name: Option<String>,
    /// Another e-mail address; `Some(None)` clears it.
    #[expect(clippy::option_option, reason = "keep, clear and set are three things")]
    pub email: Option<Option<String>>,
    /// Off or on.
    pub disabled: Option<bool>,
}

impl Reading {
    /// A page of people.
    pub async fn users(&self, page: &Page) -> Result<Paged<User>, AdminError> {
        Ok(self.store().users(page).await?)
    }

    /// One person.
    pub async fn user(&self, uid: &UserUid) -> Result<User, AdminError> {
        self.store().user(uid).await?.ok_or(AdminError::NotFound("user"))
    }
}

impl Administration {
    /// Makes a person known.
    pub async fn create_user(&self, new: NewUser, request: Option<Repeatable>) -> Result<User, AdminError> {
        let user = self.user_to_make(new);
        let event = self.event_of_user(Action::AdminCreate, &user.uid);
        let earlier = match self.first(request.as_ref(), user.uid.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let done = self.store().create_user(&user, &event, remember.as_ref()).await;
                self.settle(done, request.as_ref(), "user").await?
            }
        };
        match earlier {
            None => Ok(user),
            Some(uid) => self.user(&UserUid::parse(&uid).map_err(|_| StoreError::Corrupt("resource"))?).await,
        }
    }

    /// Changes a person.
    pub async fn change_user(
        &self,
        uid: &UserUid,
        expected: Option<i64>,
        change: ChangeUser,
    ) -> Result<User, AdminError> {
        let event = self.event_of_user(Action::AdminUpdate, uid);
        let disabled_at = change.disabled.map(|disabled| disabled.then_some(event.at));
        let change = UserChange { name: change.name, email: change.email, disabled_at };
        let user = self.store().update_user(uid, expected, &change, &event).await;
        self.changed(user.map_err(AdminError::of("user")))
    }

    /// Deletes a person for ever; name and e-mail are erased.
    pub async fn delete_user(&self, uid: &UserUid, expected: Option<i64>) -> Result<(), AdminError> {
        let event = self.event_of_user(Action::AdminDelete, uid);
        self.changed(self.store().delete_user(uid, expected, &event).await.map_err(AdminError::of("user")))
    }

    pub(super) fn user_to_make(&self, new: NewUser) -> User {
        let now = self.now();
        User {
            uid: new.uid.unwrap_or_else(|| UserUid::from_uuid(self.issuer.entropy().uuid_v7(now))),
            name: new.name,
            email: new.email,
            created_at: now,
            disabled_at: None,
            deleted_at: None,
            version: 1,
        }
    }

    fn event_of_user(&self, action: Action, uid: &UserUid) -> Event {
        let mut event = self.event(action, None, format!("user:{uid}"));
        event.principal = Some(Principal::User(uid.clone()));
        event
    }
}
