//! Refusals of the mint, and of runs.

use super::{Code, ProblemAnswer};
use crate::domain::policy::Refusal;
use crate::domain::settings::SettingsFault;
use crate::issuer::refusals::MintError;
use crate::issuer::runs::RunError;

impl From<MintError> for ProblemAnswer {
    fn from(error: MintError) -> Self {
        let words = error.to_string();
        match error {
            MintError::TeamRequired(_) => Self::new(Code::TeamRequired, words),
            MintError::TeamNotFound => Self::new(Code::TeamNotFound, words),
            MintError::SignInNotAccepted(_) => Self::new(Code::SignInNotAccepted, words),
            MintError::Dead(reason) => reason.into(),
            MintError::Refused(refusal) => refusal.into(),
            MintError::OnBehalfOfRequired => Self::new(Code::OnBehalfOfRequired, words),
            MintError::RightMissing(_) => Self::new(Code::NotPermitted, words),
            MintError::PrincipalNotFound => Self::new(Code::PrincipalNotFound, words),
            MintError::Denied(denied) => denied.into(),
            MintError::Limited(limited) => limited.into(),
            MintError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<RunError> for ProblemAnswer {
    fn from(error: RunError) -> Self {
        let words = error.to_string();
        match error {
            RunError::Mint(error) => error.into(),
            RunError::End(error) => Self::field("ends_at", error.to_string()),
            RunError::NotFound => Self::new(Code::RunNotFound, words),
            RunError::ReadsOnly => Self::new(Code::NotPermitted, words),
            RunError::Change(error) => error.into(),
            RunError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<Refusal> for ProblemAnswer {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::AudienceNotAllowed => Code::AudienceNotAllowed,
            Refusal::AddressNotAllowed => Code::AddressNotAllowed,
            Refusal::RunRequired => Code::RunRequired,
            Refusal::RunExhausted => Code::RunExhausted,
            Refusal::AudienceNotInRun => Code::AudienceNotInRun,
            Refusal::ModelNotAllowed => Code::ModelNotAllowed,
            Refusal::SettingNotAllowed(_) => Code::SettingNotAllowed,
            Refusal::AudienceReserved => Code::AudienceReserved,
            Refusal::RoleNotAllowed => Code::RoleNotAllowed,
            Refusal::RoleRequired => Code::RoleRequired,
            Refusal::RoleNotApplicable => Code::RoleNotApplicable,
            Refusal::Settings(SettingsFault::Disabled(_)) => Code::ProviderDisabled,
            Refusal::Settings(SettingsFault::NoRole | SettingsFault::NoRegion) => Code::ProviderNotConfigured,
            Refusal::Settings(SettingsFault::Partition) => Code::ProviderMisconfigured,
        };
        Self::new(code, refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::settings::Layer;

    #[test]
    fn the_audit_row_and_the_answer_say_the_same_word() {
        for refusal in [
            Refusal::AddressNotAllowed,
            Refusal::RunRequired,
            Refusal::RunExhausted,
            Refusal::AudienceNotAllowed,
            Refusal::AudienceNotInRun,
            Refusal::ModelNotAllowed,
            Refusal::SettingNotAllowed("name endpoints"),
            Refusal::AudienceReserved,
            Refusal::RoleNotAllowed,
            Refusal::RoleRequired,
            Refusal::RoleNotApplicable,
            Refusal::Settings(SettingsFault::Disabled(Layer::Team)),
            Refusal::Settings(SettingsFault::NoRole),
            Refusal::Settings(SettingsFault::NoRegion),
            Refusal::Settings(SettingsFault::Partition),
        ] {
            assert_eq!(ProblemAnswer::from(refusal).code().as_str(), refusal.code());
        }
    }
}
