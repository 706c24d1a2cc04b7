//! The limits of `brevet serve`: generous by themselves, and an operator's to move.

use super::outcome::Failure;
use crate::config::env::{self, Variable};
use crate::config::setting::{Given, SettingError};
use crate::issuer::limits::LimitNumbers;
use crate::limit::rate::Rate;

/// How often callers may come.
#[derive(Debug, Default, clap::Args)]
pub(super) struct LimitFlags {
    /// Requests of one credential: per minute/at once (BREVET_LIMIT_CREDENTIAL)
    #[arg(long = "limit-credential", value_name = "RATE")]
    credential: Option<String>,
    /// Tokens of one principal (BREVET_LIMIT_PRINCIPAL)
    #[arg(long = "limit-principal", value_name = "RATE")]
    principal: Option<String>,
    /// Tokens of one team (BREVET_LIMIT_TEAM)
    #[arg(long = "limit-team", value_name = "RATE")]
    team: Option<String>,
    /// Requests of one address (BREVET_LIMIT_ADDRESS)
    #[arg(long = "limit-address", value_name = "RATE")]
    address: Option<String>,
    /// Requests of one address without a live credential (BREVET_LIMIT_FAILURES)
    #[arg(long = "limit-failures", value_name = "RATE")]
    failures: Option<String>,
    /// Codes of waiting devices that are typed, from everywhere (BREVET_LIMIT_USER_CODES)
    #[arg(long = "limit-user-codes", value_name = "RATE")]
    user_codes: Option<String>,
    /// Mints and exchanges under way at once/that wait for a place (BREVET_LIMIT_IN_FLIGHT)
    #[arg(long = "limit-in-flight", value_name = "PLACES/WAITING")]
    in_flight: Option<String>,
}

impl LimitFlags {
    /// Adds what the flags say.
    pub(super) fn add(&self, given: Given) -> Given {
        given
            .flag(&env::LIMIT_CREDENTIAL, self.credential.as_deref())
            .flag(&env::LIMIT_PRINCIPAL, self.principal.as_deref())
            .flag(&env::LIMIT_TEAM, self.team.as_deref())
            .flag(&env::LIMIT_ADDRESS, self.address.as_deref())
            .flag(&env::LIMIT_FAILURES, self.failures.as_deref())
            .flag(&env::LIMIT_USER_CODES, self.user_codes.as_deref())
            .flag(&env::LIMIT_IN_FLIGHT, self.in_flight.as_deref())
    }
}

/// The limits of this host: what is given, and for the rest what its cores allow.
pub(super) fn read(given: &Given) -> Result<LimitNumbers, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let usual = LimitNumbers::for_cores(cores).map_err(Failure::refused)?;
    let rate = |variable: &'static Variable, usual: Rate| -> Result<Rate, SettingError> {
        Ok(given.parse(variable, Rate::parse)?.unwrap_or(usual))
    };
    let (in_flight, waiting) =
        given.parse(&env::LIMIT_IN_FLIGHT, places_and_waiting)?.unwrap_or((usual.in_flight, usual.waiting));
    Ok(LimitNumbers {
        credential: rate(&env::LIMIT_CREDENTIAL, usual.credential)?,
        principal: rate(&env::LIMIT_PRINCIPAL, usual.principal)?,
        team: rate(&env::LIMIT_TEAM, usual.team)?,
        address: rate(&env::LIMIT_ADDRESS, usual.address)?,
        failures: rate(&env::LIMIT_FAILURES, usual.failures)?,
        user_codes: rate(&env::LIMIT_USER_CODES, usual.user_codes)?,
        in_flight,
        waiting,
        patience: usual.patience,
    })
}

/// A text that is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be <places>/<waiting>, whole numbers, of places at least 1 and of both at most 100000, such as 128/2048")]
struct RoomError;

fn places_and_waiting(text: &str) -> Result<(usize, usize), RoomError> {
    let (places, waiting) = text.split_once('/').ok_or(RoomError)?;
    let number = |text: &str, least: usize| {
        text.parse().ok().filter(|number| (least..=100_000).contains(number)).ok_or(RoomError)
    };
    Ok((number(places, 1)?, number(waiting, 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::Environment;

    #[test]
    fn each_limit_is_what_is_given_and_else_the_default_that_the_list_of_variables_tells() {
        let usual = read(&Given::new(Environment::default())).unwrap();
        for (variable, of) in [
            (&env::LIMIT_CREDENTIAL, (|limits| limits.credential) as fn(&LimitNumbers) -> Rate),
            (&env::LIMIT_PRINCIPAL, |limits| limits.principal),
            (&env::LIMIT_TEAM, |limits| limits.team),
            (&env::LIMIT_ADDRESS, |limits| limits.address),
            (&env::LIMIT_FAILURES, |limits| limits.failures),
            (&env::LIMIT_USER_CODES, |limits| limits.user_codes),
        ] {
            assert_eq!(of(&usual).to_string(), variable.default, "{}", variable.name);
            let given = Given::new(Environment::of(&[(variable, "7/3")]));
            let read = read(&given).unwrap();
            assert_eq!(of(&read).to_string(), "7/3");
            assert_ne!(read, usual);
            assert!(super::read(&given.flag(variable, Some("0"))).is_err(), "a flag goes first, and 0 is no rate");
        }
    }

    #[test]
    fn the_room_at_the_mint_is_given_as_places_and_those_that_wait() {
        let read = |text: &str| read(&Given::new(Environment::of(&[(&env::LIMIT_IN_FLIGHT, text)])));
        let room = read("16/0").unwrap();
        assert_eq!((room.in_flight, room.waiting), (16, 0));
        for bad in ["", "16", "0/5", "-1/5", "5/", "5/100001", "many"] {
            assert!(read(bad).is_err() || bad.is_empty(), "{bad}");
        }
    }

    #[test]
    fn a_fault_names_flag_variable_and_rule() {
        let given = Given::new(Environment::of(&[(&env::LIMIT_TEAM, "many")]));
        let Err(Failure::Usage(fault)) = read(&given) else { panic!("it was taken") };
        assert!(fault.starts_with("--limit-team (BREVET_LIMIT_TEAM) must be <per minute>"), "{fault}");
    }
}
