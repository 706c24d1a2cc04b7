//! `/device`: where a person types the code that a device shows (RFC 8628, section 3.3).

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::SIGN_IN;
use super::page::{Frame, elsewhere, giving, page};
use super::posted::Posted;
use super::query::{once, pairs};
use super::refused::Refusal;
use super::visit::Visit;
use crate::domain::browser::{BrowserSecret, Derived};
use crate::domain::sign_in::Asker;
use crate::domain::user_code::UserCode;
use crate::http::state::IssuerState;
use crate::issuer::sign_in::DeviceRefused;

/// Longest text that is shown again: twice a user code.
const TYPED_MAX: usize = 18;

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage<'a> {
    frame: Frame,
    token: &'a str,
    typed: String,
    prefilled: bool,
    wrong: Option<String>,
}

/// `GET /device[?user_code=…]`. A code of the link is shown and goes nowhere by itself: the person compares it with
/// the device's (RFC 8628, section 3.3.1).
pub(super) async fn show(State(state): State<IssuerState>, visit: Visit) -> Response {
    let query = pairs(&visit.query);
    let linked = once(&query, "user_code").and_then(|text| UserCode::parse(text).ok());
    let typed = linked.map(|code| code.to_text());
    let made = || BrowserSecret::generate(state.naming().entropy.as_ref());
    let (secret, is_new) = visit.secret.clone().map_or_else(|| (made(), true), |secret| (secret, false));
    let token = secret.derive(Derived::Form);
    let prefilled = typed.is_some();
    let typed = typed.unwrap_or_default();
    let shown = DevicePage { frame: visit.frame, token: token.expose(), typed, prefilled, wrong: None };
    let response = page(StatusCode::OK, &shown);
    if is_new { giving(response, &secret) } else { response }
}

/// `POST /device`. The code leads to the device that shows it; from here on the browser's way is about that one.
pub(super) async fn take(State(state): State<IssuerState>, posted: Posted) -> Response {
    let answer = taken(&state, &posted).await;
    posted.visit.answer(answer)
}

async fn taken(state: &IssuerState, posted: &Posted) -> Result<Response, Refusal> {
    let issuer = state.issuer()?;
    let typed = posted.field("user_code").unwrap_or_default();
    let wrong = match issuer.device_asked(typed, &posted.visit.origin).await {
        Ok(device) => {
            let asker = Asker::Device { grant: device.id, team: device.team };
            let secret = issuer.browser_begin(&asker, &posted.visit.origin).await?;
            return Ok(giving(elsewhere(&posted.visit.frame, SIGN_IN), &secret));
        }
        Err(DeviceRefused::Form(rule)) => format!("The code {rule}"),
        Err(DeviceRefused::Unknown | DeviceRefused::Undecidable(_) | DeviceRefused::Over) => {
            "No device waits with this code: check each letter, or start again at your terminal".to_owned()
        }
        Err(DeviceRefused::Limited(limited)) => return Err(Refusal::Limited(limited)),
        Err(DeviceRefused::Unavailable(unavailable)) => return Err(unavailable.into()),
    };
    let token = posted.secret().derive(Derived::Form);
    let frame = posted.visit.frame.clone();
    // Shown again to be mended, unless it is so long that it was meant for another field, as a secret would be.
    let typed = if typed.chars().count() <= TYPED_MAX { typed.to_owned() } else { String::new() };
    let shown = DevicePage { frame, token: token.expose(), typed, prefilled: false, wrong: Some(wrong) };
    Ok(page(StatusCode::BAD_REQUEST, &shown))
}
