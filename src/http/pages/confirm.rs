//! `/sign-in/confirm`: who asks, from where and when, and what the person decides.

use std::net::IpAddr;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::SIGN_IN;
use super::asker::{AskerView, ago, clock, machine};
use super::outcome::{DENIED, DONE};
use super::page::{Frame, Leave, elsewhere, leaving, page, taking};
use super::posted::Posted;
use super::refused::Refusal;
use super::visit::Visit;
use crate::domain::browser::{BrowserSecret, Derived};
use crate::http::state::IssuerState;
use crate::issuer::Issuer;
use crate::issuer::sign_in::browser::{Decision, Outcome};

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage<'a> {
    frame: Frame,
    token: &'a str,
    asker: AskerView,
    here: Option<IpAddr>,
    person: String,
    how: String,
    asked: String,
    asked_machine: String,
    ago: String,
    ends: String,
    ends_machine: String,
    wrong: Option<&'static str>,
}

/// `GET /sign-in/confirm`.
pub(super) async fn show(State(state): State<IssuerState>, visit: Visit) -> Response {
    let answer = async { shown(state.issuer()?, &visit, visit.secret()?, None).await };
    let answer = answer.await;
    visit.answer(answer)
}

async fn shown(
    issuer: &Issuer,
    visit: &Visit,
    secret: &BrowserSecret,
    wrong: Option<&'static str>,
) -> Result<Response, Refusal> {
    let way = issuer.browser_way(secret).await?;
    let Some(person) = way.person else { return Ok(elsewhere(&visit.frame, SIGN_IN)) };
    let token = secret.derive(Derived::Form);
    let asked_at = way.asking.asked_at;
    let shown = ConfirmPage {
        frame: visit.frame.clone(),
        token: token.expose(),
        asker: AskerView::of(&way.asking, &visit.origin),
        here: visit.origin.address,
        person: person.name,
        how: person.provider.map_or_else(|| "with an enrolment code".to_owned(), |name| format!("by {name}")),
        asked: clock(asked_at),
        asked_machine: machine(asked_at),
        ago: ago(asked_at, issuer.now()),
        ends: clock(person.ends_at),
        ends_machine: machine(person.ends_at),
        wrong,
    };
    let status = if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok(page(status, &shown))
}

/// `POST /sign-in/confirm`. Denying needs no sign-in: whoever has the page may turn the device away.
pub(super) async fn take(State(state): State<IssuerState>, posted: Posted) -> Response {
    let answer = taken(&state, &posted).await;
    posted.visit.answer(answer)
}

async fn taken(state: &IssuerState, posted: &Posted) -> Result<Response, Refusal> {
    let issuer = state.issuer()?;
    let (visit, secret) = (&posted.visit, posted.secret());
    let decision = match posted.field("decision") {
        Some("approve") => Decision::Approve,
        Some("deny") => Decision::Deny,
        _ => return Err(Refusal::Form),
    };
    if decision == Decision::Approve {
        let asking = issuer.browser_way(secret).await?.asking;
        if !asking.is_from(visit.origin.address) && posted.field("mine") != Some("yes") {
            let wrong = "Say that you started this yourself, or deny";
            return shown(issuer, visit, secret, Some(wrong)).await;
        }
    }
    let response = match issuer.browser_decides(secret, decision, &visit.origin).await? {
        Outcome::SignInFirst => return Ok(elsewhere(&visit.frame, SIGN_IN)),
        Outcome::Device => elsewhere(&visit.frame, if decision == Decision::Approve { DONE } else { DENIED }),
        Outcome::Terminal(back) => {
            let (title, words) = match decision {
                Decision::Approve => ("Approved", "Your browser goes back to your terminal, which takes it from here."),
                Decision::Deny => ("Denied", "The program got nothing, and is told so."),
            };
            leaving(&Leave {
                frame: visit.frame.clone(),
                title: title.to_owned(),
                words: words.to_owned(),
                link: "Go back to the terminal".to_owned(),
                to: back.expose().to_owned(),
            })
        }
    };
    Ok(taking(response))
}
