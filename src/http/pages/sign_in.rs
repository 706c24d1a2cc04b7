//! `/sign-in`: where a browser says who it is, at a provider or with an enrolment code.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::CONFIRM;
use super::asker::AskerView;
use super::page::{Frame, Leave, elsewhere, giving, leaving, page};
use super::posted::Posted;
use super::refused::Refusal;
use super::visit::Visit;
use crate::domain::browser::{BrowserSecret, Derived};
use crate::domain::id::UpstreamUid;
use crate::domain::secret::Secret;
use crate::http::state::IssuerState;
use crate::issuer::Issuer;
use crate::issuer::refusals::OpenSessionError;
use crate::issuer::sign_in::browser::BrowserError;
use crate::issuer::sign_in::upstream::UpstreamChoice;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    frame: Frame,
    token: &'a str,
    asker: AskerView,
    choices: Vec<UpstreamChoice>,
    wrong: Option<String>,
}

/// `GET /sign-in`.
pub(super) async fn show(State(state): State<IssuerState>, visit: Visit) -> Response {
    let answer = async {
        let secret = visit.secret()?;
        shown(state.issuer()?, &visit, secret, None).await
    };
    let answer = answer.await;
    visit.answer(answer)
}

async fn shown(
    issuer: &Issuer,
    visit: &Visit,
    secret: &BrowserSecret,
    wrong: Option<String>,
) -> Result<Response, Refusal> {
    let way = issuer.browser_way(secret).await?;
    if way.person.is_some() {
        return Ok(elsewhere(&visit.frame, CONFIRM));
    }
    let token = secret.derive(Derived::Form);
    let status = if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let shown = SignInPage {
        frame: visit.frame.clone(),
        token: token.expose(),
        asker: AskerView::of(&way.asking, &visit.origin),
        choices: issuer.upstream_choices(way.team.as_ref()).await?,
        wrong,
    };
    Ok(page(status, &shown))
}

/// `POST /sign-in`: a provider, or an enrolment code.
pub(super) async fn take(State(state): State<IssuerState>, posted: Posted) -> Response {
    let answer = taken(&state, &posted).await;
    posted.visit.answer(answer)
}

async fn taken(state: &IssuerState, posted: &Posted) -> Result<Response, Refusal> {
    let issuer = state.issuer()?;
    if let Some(provider) = posted.field("provider") {
        let provider = UpstreamUid::parse(provider).map_err(|_| Refusal::Form)?;
        let (name, url) = issuer.browser_leaves(posted.secret(), &provider).await?;
        return Ok(leaving(&Leave {
            frame: posted.visit.frame.clone(),
            title: format!("Going to {name}"),
            words: format!("You sign in at {name} and come back here."),
            link: format!("Continue to {name}"),
            to: url.into(),
        }));
    }
    let code = Secret::new(posted.field("code").ok_or(Refusal::Form)?.to_owned());
    let wrong = match issuer.browser_redeems(posted.secret(), &code, &posted.visit.origin).await {
        Ok(fresh) => return Ok(giving(elsewhere(&posted.visit.frame, CONFIRM), &fresh)),
        Err(BrowserError::Code(OpenSessionError::Refused)) => {
            "The code is not known, expired, or was used before: ask for a new one"
        }
        Err(BrowserError::Code(_)) => "That is no enrolment code: copy it whole, from bvt_en_ to its last letter",
        Err(error) => return Err(error.into()),
    };
    shown(issuer, &posted.visit, posted.secret(), Some(wrong.to_owned())).await
}
