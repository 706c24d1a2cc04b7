//! The page that says why something did not happen, and where to go from there.

use askama::Template;
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use super::page::{Frame, page};
use super::{DEVICE, SIGN_IN};
use crate::domain::authorization::Unanswerable;
use crate::domain::issuer_url::IssuerUrl;
use crate::http::error::page::PageFault;
use crate::http::error::{Code, ProblemAnswer};
use crate::issuer::refusals::Unavailable;
use crate::issuer::sign_in::browser::BrowserError;
use crate::issuer::sign_in::upstream::UpstreamRefused;
use crate::limit::rate::Limited;

/// Why a page is not shown, or a form not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request named another host than the issuer's.
    Host(IssuerUrl),
    /// It is asked for as a part of another page.
    Embedded,
    /// The form is not from a page of ours.
    Origin,
    /// The body is no form.
    Form,
    /// The form is from an older page, or from another browser's.
    Stale,
    /// The browser is on no way, or its time is over.
    Over,
    /// The device waits no more.
    DeviceGone,
    /// The terminal's request can be answered nowhere.
    Unanswerable(Unanswerable),
    /// The provider said no, or what it said does not hold.
    Upstream(UpstreamRefused),
    /// Whoever signed in may not be let in any more.
    PersonGone,
    /// Too often.
    Limited(Limited),
    /// Nobody can tell now.
    Unavailable(Unavailable),
    /// It went wrong before a page's handler had an answer; of a fault of ours the log is told more.
    Early(StatusCode, Option<PageFault>),
}

impl From<BrowserError> for Refusal {
    fn from(error: BrowserError) -> Self {
        match error {
            BrowserError::Over => Self::Over,
            BrowserError::DeviceGone => Self::DeviceGone,
            BrowserError::PersonGone => Self::PersonGone,
            BrowserError::Upstream(UpstreamRefused::Unavailable(unavailable))
            | BrowserError::Unavailable(unavailable) => Self::Unavailable(unavailable),
            BrowserError::Upstream(UpstreamRefused::Limited(limited)) | BrowserError::Limited(limited) => {
                Self::Limited(limited)
            }
            BrowserError::Upstream(refused) => Self::Upstream(refused),
            // The page of the code shows it beside the field; elsewhere none is sent.
            BrowserError::Code(_) => Self::Form,
        }
    }
}

impl From<Unavailable> for Refusal {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

/// Where to go from there.
struct Way {
    path: &'static str,
    words: &'static str,
}

#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    frame: Frame,
    title: &'static str,
    words: String,
    way: Option<Way>,
    reference: &'a str,
}

const TYPE_A_CODE: Way = Way { path: DEVICE, words: "Enter a code" };
const TRY_AGAIN: Way = Way { path: SIGN_IN, words: "Try again" };

/// The page.
pub(super) fn refused(frame: Frame, reference: &str, refusal: Refusal) -> Response {
    let mut fault = None;
    let mut retry_after = None;
    let (status, title, words, way) = match refusal {
        Refusal::Host(url) => (
            StatusCode::MISDIRECTED_REQUEST,
            "This page is somewhere else",
            format!(
                "Your browser asked for another host name than that of this service. People sign in at {url}. Behind a \
                 proxy the administrator must have it pass on the Host header unchanged."
            ),
            None,
        ),
        Refusal::Embedded => (
            StatusCode::FORBIDDEN,
            "This page stands by itself",
            "Another page tried to show it as a part of its own. Open it in a tab of its own.".to_owned(),
            None,
        ),
        Refusal::Origin => (
            StatusCode::MISDIRECTED_REQUEST,
            "This did not come from our page",
            "Another website tried to answer in your place, or your browser does not say where the form came from. \
             Nothing has happened."
                .to_owned(),
            None,
        ),
        Refusal::Form => (
            StatusCode::BAD_REQUEST,
            "This form cannot be read",
            "Nothing has happened. Go back and send the form again.".to_owned(),
            None,
        ),
        Refusal::Stale => (
            StatusCode::BAD_REQUEST,
            "This page has grown old",
            "Meanwhile a sign-in was begun in another tab or window of this browser. Nothing has happened here. Go on \
             in the newest one, or start again at your terminal."
                .to_owned(),
            Some(TYPE_A_CODE),
        ),
        Refusal::Over => (
            StatusCode::BAD_REQUEST,
            "This sign-in is over",
            "It was finished before, or took longer than ten minutes, or this browser does not keep cookies. Start \
             again at your terminal with brevet login."
                .to_owned(),
            Some(TYPE_A_CODE),
        ),
        Refusal::DeviceGone => (
            StatusCode::BAD_REQUEST,
            "The device waits no more",
            "It was approved or denied before, or it has waited for longer than ten minutes. If it is yours, start \
             again there with brevet login."
                .to_owned(),
            Some(TYPE_A_CODE),
        ),
        Refusal::Unanswerable(rule) => (
            StatusCode::BAD_REQUEST,
            "The program that opened this page asked in a wrong way",
            format!("Nothing is sent back to it, because it cannot be told who would receive it: {rule}."),
            None,
        ),
        Refusal::Upstream(refused) => {
            (StatusCode::FORBIDDEN, "You are not signed in", upstream_words(&refused), Some(TRY_AGAIN))
        }
        Refusal::PersonGone => (
            StatusCode::FORBIDDEN,
            "You cannot sign in",
            "Your account here was switched off, or how you signed in is not accepted any more. Ask your \
             administrator."
                .to_owned(),
            None,
        ),
        Refusal::Limited(limited) => {
            retry_after = Some(limited.retry_after);
            let words = format!("There were too many tries from your network. Try again in {} s.", limited.retry_after);
            (StatusCode::TOO_MANY_REQUESTS, "Too many tries", words, None)
        }
        Refusal::Unavailable(unavailable) => {
            let problem = ProblemAnswer::from(unavailable);
            let (words, passing) = fault_words(problem.code());
            retry_after = passing.then_some(1);
            fault = Some(PageFault { code: problem.code(), cause: problem.cause().map(str::to_owned) });
            (problem.code().status(), "Something is wrong here", words.to_owned(), None)
        }
        Refusal::Early(status, before) => {
            let (title, words, way) = early_words(status, before.as_ref().map(|fault| fault.code));
            fault = before;
            (status, title, words.to_owned(), way)
        }
    };
    let mut response = page(status, &Refused { frame, title, words, way, reference });
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(fault) = fault {
        response.extensions_mut().insert(fault);
    }
    response
}

/// What is said of a fault, and whether it passes.
fn fault_words(code: Code) -> (&'static str, bool) {
    if code == Code::Internal {
        ("The service failed. Its log has the cause under the reference below.", false)
    } else {
        ("The service cannot answer right now. Reload this page in a moment.", true)
    }
}

fn early_words(status: StatusCode, code: Option<Code>) -> (&'static str, &'static str, Option<Way>) {
    match (status, code) {
        (StatusCode::METHOD_NOT_ALLOWED, _) => (
            "This page does not open like that",
            "The address belongs to a step of a sign-in, and another page leads to it. Start at your terminal with \
             brevet login.",
            Some(TYPE_A_CODE),
        ),
        (_, Some(Code::Timeout)) => {
            ("This took too long", "The service did not answer in time. Reload this page in a moment.", None)
        }
        _ if status.is_server_error() => {
            ("Something is wrong here", "The service failed. Its log has the cause under the reference below.", None)
        }
        _ => (
            "There is no such page",
            "The address may be mistyped, or the link cut short. People sign in with the code or the link that \
             their terminal shows.",
            Some(TYPE_A_CODE),
        ),
    }
}

/// What a person can do about it. What exactly did not hold is in the audit row, for those who could mend it.
fn upstream_words(refused: &UpstreamRefused) -> String {
    format!("{refused}. Nothing has happened; you can try again, or sign in another way.")
}
