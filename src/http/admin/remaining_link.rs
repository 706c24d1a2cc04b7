//! `Link` and `Link-Template` of every operation that may switch something off: where the sessions stand that AWS goes on
//! with (RFC 8288, RFC 9652).

use axum::extract::{MatchedPath, RawPathParams, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::{Object, OpenApi, RefOr, Type};

/// The relation of such an answer to what a disable cannot end (RFC 8288, section 2.1.2).
const RELATION: &str = "urn:brevet:rel:remaining-sessions";

/// Whose sessions may go on, by the parameters of the operation's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Everyone's in `team`.
    Team,
    /// Those of `user` in `team`.
    Member,
    /// Those of the service account `uid`, of `team`.
    ServiceAccount,
    /// Those of `user`, in whichever teams they are.
    User,
    /// Anyone's, in whichever teams it was for.
    Anyone,
}

/// Every operation by which a principal, a credential or a permission to mint can end, under the issuer URL's path. Not
/// among them: what whoever mints ends themselves and may not read the answer of (`/v1/runs`, `/v1/sessions`), signing
/// keys, whose answers say themselves what remains, and administrators, who do not mint.
const ENDS: [(&str, &str, Whose); 29] = [
    ("PATCH", "/v1/teams/{team}", Whose::Team),
    ("DELETE", "/v1/teams/{team}", Whose::Team),
    ("PUT", "/v1/teams/{team}/audiences", Whose::Team),
    ("PUT", "/v1/teams/{team}/roles", Whose::Team),
    ("PATCH", "/v1/teams/{team}/policy", Whose::Team),
    ("PATCH", "/v1/teams/{team}/provider-settings", Whose::Team),
    ("DELETE", "/v1/teams/{team}/issuer", Whose::Team),
    ("DELETE", "/v1/teams/{team}/runs/{run_id}", Whose::Team),
    ("PATCH", "/v1/teams/{team}/members/{user}", Whose::Member),
    ("DELETE", "/v1/teams/{team}/members/{user}", Whose::Member),
    ("PATCH", "/v1/teams/{team}/service-accounts/{uid}", Whose::ServiceAccount),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}", Whose::ServiceAccount),
    ("PATCH", "/v1/teams/{team}/service-accounts/{uid}/provider-settings", Whose::ServiceAccount),
    ("POST", "/v1/teams/{team}/service-accounts/{uid}/keys/{id}/rotate", Whose::ServiceAccount),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}/keys/{id}", Whose::ServiceAccount),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}/public-keys/{id}", Whose::ServiceAccount),
    ("PATCH", "/v1/teams/{team}/service-accounts/{uid}/trust-rules/{id}", Whose::ServiceAccount),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}/trust-rules/{id}", Whose::ServiceAccount),
    ("PATCH", "/v1/users/{user}", Whose::User),
    ("DELETE", "/v1/users/{user}", Whose::User),
    ("DELETE", "/v1/users/{user}/sessions", Whose::User),
    ("DELETE", "/v1/users/{user}/sessions/{id}", Whose::User),
    ("DELETE", "/v1/users/{user}/identities/{provider}/{subject}", Whose::User),
    ("PATCH", "/v1/platform-keys/{id}", Whose::Anyone),
    ("DELETE", "/v1/platform-keys/{id}", Whose::Anyone),
    ("PATCH", "/v1/worker-keys/{id}", Whose::Anyone),
    ("DELETE", "/v1/worker-keys/{id}", Whose::Anyone),
    ("PATCH", "/v1/upstream-providers/{uid}", Whose::Anyone),
    ("DELETE", "/v1/upstream-providers/{uid}", Whose::Anyone),
];

impl Whose {
    /// The header: one link where the team is known, else a template with the team left open.
    fn header(self) -> HeaderName {
        match self {
            Self::Team | Self::Member | Self::ServiceAccount => http::header::LINK,
            Self::User | Self::Anyone => HeaderName::from_static("link-template"),
        }
    }

    /// What it says of the parameters in `of`, which have parsed by then: a uid needs no escape. `base` is the issuer URL's
    /// path.
    fn value(self, base: &str, of: impl Fn(&str) -> Option<String>) -> Option<HeaderValue> {
        let team = match self {
            Self::Team | Self::Member | Self::ServiceAccount => of("team")?,
            Self::User | Self::Anyone => "{team}".to_owned(),
        };
        let whose = match self {
            Self::Team | Self::Anyone => String::new(),
            Self::Member | Self::User => format!("?principal=user:{}", of("user")?),
            Self::ServiceAccount => format!("?principal=service_account:{}", of("uid")?),
        };
        let path = format!("{base}/v1/teams/{team}/remaining-sessions{whose}");
        let text = match self {
            Self::Team | Self::Member | Self::ServiceAccount => format!("<{path}>; rel=\"{RELATION}\""),
            Self::User | Self::Anyone => format!("\"{path}\"; rel=\"{RELATION}\""),
        };
        HeaderValue::from_str(&text).ok()
    }
}

/// Adds the header to answers of success.
pub(super) async fn add(
    matched: MatchedPath,
    parameters: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let found = ENDS.into_iter().find_map(|(of, path, whose)| {
        let base = matched.as_str().strip_suffix(path).filter(|_| method == of)?;
        Some((base.to_owned(), whose))
    });
    let mut response = next.run(request).await;
    if let (Some((base, whose)), Ok(parameters), true) = (found, parameters, response.status().is_success()) {
        let of = |name: &str| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned());
        if let Some(value) = whose.value(&base, of) {
            response.headers_mut().append(whose.header(), value);
        }
    }
    response
}

/// Tells the header where the operations are described.
pub(super) fn describe(document: &mut OpenApi) {
    for (method, path, whose) in ENDS {
        let Some(operation) = document.paths.paths.get_mut(path).and_then(|item| operation(item, method)) else {
            continue;
        };
        let (name, words) = match whose {
            Whose::Team | Whose::Member | Whose::ServiceAccount => (
                "Link",
                format!("With `rel=\"{RELATION}\"`: where the sessions are told that AWS goes on with (RFC 8288)"),
            ),
            Whose::User | Whose::Anyone => (
                "Link-Template",
                format!(
                    "With `rel=\"{RELATION}\"`: where, for each `{{team}}`, the sessions are told that AWS goes on \
                     with (RFC 9652)"
                ),
            ),
        };
        let successes = operation.responses.responses.iter_mut().filter(|(status, _)| status.starts_with('2'));
        for (_, response) in successes {
            if let RefOr::T(response) = response {
                let header = HeaderBuilder::new().schema(Some(Object::with_type(Type::String)));
                response.headers.insert(name.to_owned(), header.description(Some(words.clone())).build().into());
            }
        }
    }
}

fn operation<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut utoipa::openapi::path::Operation> {
    match method {
        "PATCH" => item.patch.as_mut(),
        "PUT" => item.put.as_mut(),
        "POST" => item.post.as_mut(),
        "DELETE" => item.delete.as_mut(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_23_a_link_names_whose_sessions_go_on_or_leaves_the_team_open() {
        let of = |name: &str| Some(format!("a-{name}"));
        for (whose, name, value) in [
            (Whose::Team, "link", "</brevet/v1/teams/a-team/remaining-sessions>"),
            (Whose::Member, "link", "</brevet/v1/teams/a-team/remaining-sessions?principal=user:a-user>"),
            (
                Whose::ServiceAccount,
                "link",
                "</brevet/v1/teams/a-team/remaining-sessions?principal=service_account:a-uid>",
            ),
            (Whose::User, "link-template", "\"/brevet/v1/teams/{team}/remaining-sessions?principal=user:a-user\""),
            (Whose::Anyone, "link-template", "\"/brevet/v1/teams/{team}/remaining-sessions\""),
        ] {
            let value = format!("{value}; rel=\"urn:brevet:rel:remaining-sessions\"");
            assert_eq!(whose.header().as_str(), name);
            assert_eq!(whose.value("/brevet", of).unwrap().to_str().unwrap(), value);
        }
        assert_eq!(Whose::Team.value("", |_| None), None);
        assert_eq!(Whose::Team.value("", |_| Some("\n".to_owned())), None, "no header is broken in two");
    }

    /// Whatever is deleted or has a switch stands in the table, or is one of those that it names as left out.
    #[test]
    fn threat_23_every_operation_that_switches_off_is_in_the_table() {
        let document = serde_json::to_value(super::super::document()).unwrap();
        let left_out = [
            ("DELETE", "/v1/administrators/{id}"),
            ("DELETE", "/v1/runs/{run_id}"),
            ("DELETE", "/v1/sessions/{session_id}"),
        ];
        let mut pointed = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in ["get", "put", "post", "delete", "patch"] {
                let operation = &item[method];
                let named = method.to_uppercase();
                let row = ENDS.iter().find(|(of, at, _)| *of == named && at == path);
                let body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
                let body = body.and_then(|reference| document.pointer(reference.trim_start_matches('#')));
                let has_switch = body.is_some_and(|body| body["properties"].get("disabled").is_some());
                if (method == "delete" && operation.is_object()) || has_switch {
                    let excused = left_out.contains(&(named.as_str(), path));
                    assert_ne!(row.is_some(), excused, "{named} {path}");
                }
                let told: Vec<_> = operation["responses"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter_map(|(_, answer)| answer["headers"].as_object())
                    .flat_map(serde_json::Map::keys)
                    .filter(|name| name.starts_with("Link"))
                    .collect();
                let expected = row.map(|(_, _, whose)| whose.header().as_str().to_owned());
                assert_eq!(told.first().map(|name| name.to_lowercase()), expected, "{named} {path}");
                pointed += told.len();
            }
        }
        assert_eq!(pointed, ENDS.len(), "a row of the table is no operation");
    }
}
