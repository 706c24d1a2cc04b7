//! The worker between an issuer and AWS, over real sockets.

use brevet::sandbox::Fault;
use brevet::worker::PLACES;
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::logs::Logs;
use crate::support::worker_house::{AGENT, AUDIENCE, Answer, MODEL, WorkerHouse, prompt};

#[tokio::test]
async fn a_token_becomes_an_answer_of_the_model() {
    let house = WorkerHouse::start().await;
    let answer = house.converse(&house.issuer.caller(AGENT)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let said = answer.json()["output"]["message"]["content"][0]["text"].to_string();
    // The stand-in names the session that it took the signature of.
    assert!(said.contains("s.agent-1"), "{said}");
    assert!(answer.headers.contains_key("x-amzn-requestid"));
    assert!(answer.headers.contains_key("x-request-id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_28_a_hundred_first_requests_of_one_principal_are_one_exchange_and_one_sts_call() {
    let house = WorkerHouse::start().await;
    let token = house.issuer.caller(AGENT);
    let answers = join_all((0..100).map(|_| house.converse(&token))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{:?}", answers.iter().find(|a| a.status != 200));
    assert_eq!(house.issuer.script().exchanges, 1);
    assert_eq!(house.issuer.script().liveness_calls, 0);
    assert_eq!(house.calls("AssumeRoleWithWebIdentity"), 1);
    assert_eq!(house.calls("Converse"), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_25_each_principal_has_a_session_of_its_own_however_they_mix() {
    let house = WorkerHouse::start().await;
    let subjects: Vec<String> =
        (0..8).map(|n| format!("scoped_principal:team-1/{}:p-{}", ["user", "service_account"][n % 2], n / 2)).collect();
    let tokens: Vec<_> = subjects.iter().map(|subject| house.issuer.caller(subject)).collect();
    let asked = (0..160).map(|n| {
        let (house, token) = (&house, &tokens[(n * 7) % tokens.len()]);
        async move { ((n * 7) % 8, house.converse(token).await) }
    });
    for (who, answer) in join_all(asked).await {
        assert_eq!(answer.status, 200, "{answer:?}");
        let said = answer.json()["output"]["message"]["content"][0]["text"].to_string();
        let session = format!("{}.p-{}", ["u", "s"][who % 2], who / 2);
        assert!(said.contains(&session), "{session}: {said}");
    }
    assert_eq!(house.calls("AssumeRoleWithWebIdentity"), 8);
    let principals: std::collections::BTreeSet<_> = house
        .aws
        .handle()
        .trail()
        .into_iter()
        .filter(|event| event.action == "AssumeRoleWithWebIdentity")
        .map(|event| event.subject)
        .collect();
    assert_eq!(principals.len(), 8);
}

#[tokio::test]
async fn threat_28_an_expired_answer_brings_one_refresh_and_one_retry() {
    let house = WorkerHouse::start().await;
    let token = house.issuer.caller(AGENT);
    assert_eq!(house.converse(&token).await.status, 200);
    house.aws.handle().expire_sessions();
    assert_eq!(house.converse(&token).await.status, 200);
    assert_eq!((house.calls("AssumeRoleWithWebIdentity"), house.calls("Converse")), (2, 3));
    // And not for ever: a second expired answer is told.
    let expired = || Fault::Refuse {
        action: Some("Converse".into()),
        status: 403,
        code: "ExpiredTokenException".into(),
        message: "The security token included in the request is expired".into(),
    };
    house.aws.handle().inject(expired());
    house.aws.handle().inject(expired());
    assert_eq!(house.converse(&token).await.code(), (503, "bedrock_credentials_expired".into()));
    assert_eq!(house.converse(&token).await.status, 200);
}

#[tokio::test]
async fn threat_30_each_fault_of_sts_is_told_apart_and_nothing_else_is_tried() {
    let roles = "The target role ARN is not present in the roles claim of the identity token";
    let fetch = "Couldn't retrieve verification key from your identity provider,  please reference X";
    let duration = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    for (status, code, message, answer, calls) in [
        (400, "InvalidIdentityToken", "Incorrect token audience", (403, "sts_token_invalid"), 1),
        (400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account", (403, "sts_no_provider"), 1),
        (400, "InvalidIdentityToken", fetch, (503, "sts_key_fetch_failed"), 2),
        (400, "InvalidIdentityToken", roles, (403, "sts_role_not_in_roles_claim"), 1),
        (400, "ExpiredTokenException", "Token expired", (403, "sts_token_expired"), 2),
        (400, "ExpiredToken", "Token expired", (403, "sts_token_expired"), 2),
        (400, "IDPCommunicationError", "", (503, "sts_issuer_unreachable"), 3),
        (403, "IDPRejectedClaim", "", (403, "sts_claim_rejected"), 1),
        (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", (403, "sts_access_denied"), 1),
        (400, "ValidationError", duration, (403, "sts_duration_too_long"), 1),
        (400, "ValidationError", "1 validation error detected", (403, "sts_request_invalid"), 1),
        (403, "RegionDisabledException", "", (403, "sts_region_disabled"), 1),
        (400, "PackedPolicyTooLarge", "", (403, "sts_session_too_large"), 1),
        (400, "MalformedPolicyDocument", "", (403, "sts_session_policy_malformed"), 1),
        (400, "Throttling", "Rate exceeded", (429, "sts_throttled"), 1),
        (500, "InternalFailure", "", (503, "sts_unavailable"), 2),
        (503, "ServiceUnavailable", "", (503, "sts_unavailable"), 2),
        (418, "Teapot", "", (502, "sts_unexpected_answer"), 1),
    ] {
        let house = WorkerHouse::start().await;
        for _ in 0..calls {
            house.aws.handle().inject(Fault::Refuse {
                action: Some("AssumeRoleWithWebIdentity".into()),
                status,
                code: code.into(),
                message: message.into(),
            });
        }
        let token = house.issuer.caller(AGENT);
        let got = house.converse(&token).await;
        assert_eq!(got.code(), (answer.0, answer.1.to_owned()), "{code} {message}: {got:?}");
        assert_eq!(got.json()["presented"]["sub"], AGENT, "{code}");
        assert_eq!(house.calls("AssumeRoleWithWebIdentity"), calls, "{code}");
        // From memory, without another call, and nobody else's credentials are tried.
        assert_eq!(house.converse(&token).await.code().1, answer.1, "{code}");
        assert_eq!(house.calls("AssumeRoleWithWebIdentity"), calls, "{code}");
        assert_eq!(house.aws.handle().all_calls().values().sum::<u64>(), calls, "{code}");
        house.advance(11);
        assert_eq!(house.converse(&token).await.status, 200, "{code}: the fault has passed");
    }
}

#[tokio::test]
async fn a_denial_names_what_the_trust_policy_must_admit() {
    let house = WorkerHouse::start().await;
    let answer = house.converse(&house.issuer.caller("scoped_principal:team-2/user:pp")).await;
    assert_eq!(answer.code(), (403, "sts_access_denied".into()));
    assert_eq!(answer.headers["x-amzn-errortype"], "AccessDeniedException");
    let body = answer.json();
    assert_eq!(body["presented"]["sub"], "scoped_principal:team-2/user:pp");
    assert_eq!(body["presented"]["aud"], "sts.amazonaws.com");
    assert!(body["message"].as_str().unwrap().starts_with("sts_access_denied (AWS STS said: Not authorized"));
    // Another one still gets its own.
    assert_eq!(house.converse(&house.issuer.caller(AGENT)).await.status, 200);
}

#[tokio::test]
async fn threat_23_who_is_switched_off_is_refused_within_the_minute_and_all_of_it_is_dropped() {
    let house = WorkerHouse::start().await;
    let (one, other) = (house.issuer.caller(AGENT), house.issuer.caller(AGENT));
    assert_eq!(house.converse(&one).await.status, 200);
    assert_eq!(house.converse(&other).await.status, 200);
    house.issuer.script().dead = Some("service_account_disabled");
    house.advance(61);
    for token in [&one, &other] {
        assert_eq!(house.converse(token).await.code(), (403, "caller_not_alive".into()));
    }
    assert_eq!(house.calls("Converse"), 2);
    // Back again: sessions and exchange are made anew, nothing was kept.
    house.issuer.script().dead = None;
    house.advance(11);
    assert_eq!(house.converse(&one).await.status, 200);
    assert_eq!(house.calls("AssumeRoleWithWebIdentity"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liveness_of_many_is_asked_in_few_calls() {
    let house = WorkerHouse::start().await;
    let tokens: Vec<_> = (0..60).map(|_| house.issuer.caller(AGENT)).collect();
    assert_eq!(house.converse(&tokens[0]).await.status, 200);
    let answers = join_all(tokens.iter().map(|token| house.converse(token))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let script = house.issuer.script();
    assert_eq!((script.exchanges, script.liveness_tokens), (1, 59));
    assert!(script.liveness_calls < 59, "{}", script.liveness_calls);
}

#[tokio::test]
async fn in_an_outage_of_the_issuer_callers_go_on_for_a_quarter_of_an_hour() {
    let house = WorkerHouse::start().await;
    let token = house.issuer.caller(AGENT);
    assert_eq!(house.converse(&token).await.status, 200);
    house.issuer.script().down = true;
    house.advance(14 * 60);
    assert_eq!(house.converse(&token).await.status, 200);
    house.advance(61);
    assert_eq!(house.converse(&token).await.code(), (503, "issuer_unreachable".into()));
    // Somebody never seen before is nobody meanwhile.
    assert_eq!(
        house.converse(&house.issuer.caller("scoped_principal:team-1/user:uu")).await.code(),
        (503, "issuer_unreachable".into())
    );
    house.issuer.script().down = false;
    house.advance(11);
    assert_eq!(house.converse(&token).await.status, 200);
}

#[tokio::test]
async fn changed_settings_act_at_the_next_check() {
    let house = WorkerHouse::start().await;
    let token = house.issuer.caller(AGENT);
    assert_eq!(house.converse(&token).await.status, 200);
    {
        let mut script = house.issuer.script();
        script.settings["allowed_models"] = json!(["amazon.nova-micro-v1:0"]);
        script.version = 2;
    }
    house.advance(61);
    assert_eq!(house.converse(&token).await.code(), (403, "model_not_allowed".into()));
    assert_eq!(house.issuer.script().exchanges, 2);
}

#[tokio::test]
async fn threat_34_and_35_what_the_issuer_sends_is_checked_again() {
    for (settings, answer, code) in [
        (json!({ "base_url": "http://169.254.169.254" }), json!({}), "endpoint_not_allowed"),
        (json!({ "sts_endpoint": "https://evil.example" }), json!({}), "endpoint_not_allowed"),
        (json!({ "region": "evil.example/us-east-1" }), json!({}), "settings_unusable"),
        (json!({}), json!({ "subject": "scoped_principal:team-1/user:somebody" }), "issuer_unexpected_answer"),
        (json!({}), json!({ "run_id": "0123456789abcdefABCD" }), "issuer_unexpected_answer"),
        (json!({}), json!({ "session_name": "s.agent-2" }), "issuer_unexpected_answer"),
        (json!({}), json!({ "identity_token": "a.b.c" }), "issuer_unexpected_answer"),
    ] {
        let house = WorkerHouse::start().await;
        {
            let mut script = house.issuer.script();
            for (name, value) in settings.as_object().unwrap() {
                script.settings[name].clone_from(value);
            }
            script.answer = answer;
        }
        let got = house.converse(&house.issuer.caller(AGENT)).await;
        assert_eq!(got.code().1, code, "{got:?}");
        assert!(house.aws.handle().all_calls().is_empty(), "{code}: AWS was called");
    }
}

#[tokio::test]
async fn threat_26_attribution_comes_from_the_token_alone() {
    let house = WorkerHouse::start().await;
    let mut request = house.request("/bedrock/model/haiku/converse", &house.issuer.caller(AGENT), &prompt());
    for (name, value) in [
        ("x-brevet-subject", "scoped_principal:team-1/user:boss"),
        ("x-amzn-bedrock-session", "boss"),
        ("x-amz-date", "20200101T000000Z"),
        ("x-forwarded-user", "boss"),
        ("from", "boss@example.com"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = house.send(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let trail = house.aws.handle().trail();
    assert!(
        trail.iter().all(|event| event.principal.as_ref().is_none_or(|who| who.ends_with("/s.agent-1"))),
        "{trail:?}"
    );
    assert_eq!(trail[0].subject.as_deref(), Some(AGENT));
}

#[tokio::test]
async fn session_tags_and_source_identity_reach_aws_as_the_issuer_signed_them() {
    let house = WorkerHouse::start().await;
    {
        let mut script = house.issuer.script();
        script.settings["session_tags"] = json!(true);
        script.settings["source_identity"] = json!(true);
        script.claims = json!({
            "https://aws.amazon.com/tags": { "principal_tags": { "brevet:team": ["team-1"] }, "transitive_tag_keys": ["brevet:team"] },
            "https://aws.amazon.com/source_identity": "s.agent-1",
        });
    }
    assert_eq!(house.converse(&house.issuer.caller(AGENT)).await.status, 200);
    let trail = house.aws.handle().trail();
    assert_eq!(trail[0].source_identity.as_deref(), Some("s.agent-1"));
    assert_eq!(trail[0].tags["brevet:team"], "team-1");
}

#[tokio::test]
async fn clumsy_and_hostile_callers_get_an_answer_of_their_own() {
    let house = WorkerHouse::start().await;
    let issuer = &house.issuer;
    let good = issuer.caller(AGENT);
    let now = brevet::domain::clock::Clock::now(house.clock.as_ref()).unix_timestamp();
    let signed = |id: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential={id}/20260102/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0"
        )
    };
    let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
    let mut tampered = good.clone();
    let last = tampered.pop().unwrap();
    tampered.push(if last == 'A' { 'Q' } else { 'A' });
    for (headers, path, status, code) in [
        (vec![], "", 401, "caller_missing"),
        (vec![("authorization", "Basic YTpi".to_owned())], "", 401, "caller_scheme_unknown"),
        (vec![("authorization", signed("AKIAIOSFODNN7EXAMPLE"))], "", 401, "caller_own_aws_keys"),
        (vec![("authorization", signed("BREVETTOKEN00000000"))], "", 401, "caller_session_token_missing"),
        ([bearer(&good), vec![("x-api-key", "other".into())]].concat(), "", 401, "caller_several_credentials"),
        (bearer(&good), "?X-Amz-Signature=0", 401, "caller_query_signature"),
        (bearer("bvt_sa_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "", 401, "caller_not_identity_token"),
        (bearer("a.b"), "", 401, "token_invalid"),
        (bearer("a.b.c"), "", 401, "token_invalid"),
        (bearer(&tampered), "", 401, "token_invalid"),
        (bearer(&issuer.token(AGENT, "sts.amazonaws.com", &json!({}))), "", 401, "token_for_sts"),
        (bearer(&issuer.token(AGENT, "https://other.example", &json!({}))), "", 401, "token_other_audience"),
        (
            bearer(&issuer.token(AGENT, AUDIENCE, &json!({ "iss": "https://evil.example" }))),
            "",
            401,
            "token_other_issuer",
        ),
        (
            bearer(&issuer.token(AGENT, AUDIENCE, &json!({ "iat": now - 600, "exp": now - 61 }))),
            "",
            401,
            "token_expired",
        ),
        (bearer(&issuer.token(AGENT, AUDIENCE, &json!({ "nbf": now + 120 }))), "", 401, "token_not_yet_valid"),
        (bearer(&issuer.token(AGENT, AUDIENCE, &json!({ "aud": [AUDIENCE] }))), "", 401, "token_invalid"),
        (bearer(&issuer.token("scoped_principal:team-1/root:x", AUDIENCE, &json!({}))), "", 401, "token_invalid"),
    ] {
        let mut request = house.request(&format!("/bedrock/model/haiku/converse{path}"), "", &prompt());
        request.headers_mut().remove("authorization");
        for (name, value) in &headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let answer = house.send(request).await;
        assert_eq!(answer.code(), (status, code.to_owned()), "{headers:?}: {answer:?}");
        assert!(answer.headers.contains_key("www-authenticate"), "{code}");
        assert_eq!(answer.headers["x-amzn-errortype"].to_str().unwrap(), answer.json()["__type"], "{code}");
        assert!(!answer.json()["request_id"].as_str().unwrap().is_empty(), "{code}");
    }
    assert_eq!(house.issuer.script().exchanges, 0, "nothing of these reached the issuer");
    assert!(house.aws.handle().all_calls().is_empty());
}

#[tokio::test]
async fn clumsy_and_hostile_requests_get_an_answer_of_their_own() {
    let house = WorkerHouse::start().await;
    let token = house.issuer.caller(AGENT);
    for (method, path, status, code) in [
        ("POST", "/", 404, "route_not_found"),
        ("GET", "/model/haiku/invoke", 405, "method_not_allowed"),
        ("POST", "/bedrock/model/haiku/Converse", 404, "route_not_found"),
        ("POST", "/bedrock/model/haiku/invoke-with-bidirectional-stream", 404, "route_not_found"),
        ("POST", "/bedrock/async-invoke", 404, "route_not_found"),
        ("POST", "/v1/identity-tokens", 404, "route_not_found"),
        ("POST", "/bedrock/model/no%20model/converse", 400, "model_invalid"),
        ("POST", "/bedrock/model/%2E%2E%2Fx/converse", 400, "model_invalid"),
        ("POST", "/bedrock/model/%FF/converse", 400, "model_invalid"),
        ("POST", "/bedrock/model/nobody.knows-v1%3A0/converse", 400, "bedrock_validation"),
    ] {
        let mut request = house.request(path, &token, &prompt());
        *request.method_mut() = method.parse().unwrap();
        let answer = house.send(request).await;
        assert_eq!(answer.code(), (status, code.to_owned()), "{method} {path}: {answer:?}");
    }
    let mut large = house.request("/model/haiku/invoke", &token, &json!({}));
    *large.body_mut() = Bytes::from(vec![b'x'; 25_000_001]);
    assert_eq!(house.send(large).await.code(), (413, "body_too_large".into()));
    let broken = house.send(house.request("/model/haiku/converse", &token, &json!([1]))).await;
    assert_eq!(broken.code(), (400, "bedrock_validation".into()));
    assert_eq!(broken.headers["x-amzn-errortype"], "ValidationException");
}

#[tokio::test]
async fn the_ways_of_aws_clients_lead_to_one_model() {
    let house = WorkerHouse::start().await;
    let token = house.issuer.caller(AGENT);
    let profile = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-3-haiku-20240307-v1%3A0";
    let twice = profile.replace('%', "%25");
    for path in [
        format!("/bedrock/model/{}/converse", MODEL.replace(':', "%3A")),
        format!("/model/{MODEL}/converse"),
        format!("/model/{}/converse", MODEL.replace(':', "%253A")),
        format!("/model/{profile}/converse"),
        format!("/bedrock/model/{twice}/converse"),
        "/model/haiku/converse".to_owned(),
    ] {
        let answer = house.send(house.request(&path, &token, &prompt())).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let mut signed = house.request("/model/haiku/converse", &token, &prompt());
    let authorization = "AWS4-HMAC-SHA256 Credential=BREVETTOKEN00000000/20260102/us-east-1/bedrock/aws4_request, \
                         SignedHeaders=host;x-amz-date, Signature=00";
    signed.headers_mut().insert("authorization", authorization.parse().unwrap());
    signed.headers_mut().insert("x-amz-security-token", token.parse().unwrap());
    assert_eq!(house.send(signed).await.status, 200);
    let mut keyed = house.request("/model/haiku/converse", &token, &prompt());
    let value = keyed.headers_mut().remove("authorization").unwrap();
    keyed.headers_mut().insert("x-api-key", value.to_str().unwrap()[7..].parse().unwrap());
    assert_eq!(house.send(keyed).await.status, 200);
}

#[tokio::test]
async fn the_first_part_of_a_stream_is_passed_on_before_the_second_exists() {
    // An hour between two parts: whoever waited for the second would never see the first.
    let house = WorkerHouse::with(3_600_000, &[]).await;
    let token = house.issuer.caller(AGENT);
    for operation in ["converse-stream", "invoke-with-response-stream"] {
        let body = match operation {
            "converse-stream" => prompt(),
            _ => json!({ "anthropic_version": "bedrock-2023-05-31", "max_tokens": 20,
                         "messages": [{ "role": "user", "content": "Hi" }] }),
        };
        let request = house.request(&format!("/bedrock/model/haiku/{operation}"), &token, &body);
        let mut answer = house.client.stream(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/vnd.amazon.eventstream");
        let first = answer.body_mut().next().await.unwrap().unwrap();
        let length = u32::from_be_bytes(first[..4].try_into().unwrap()) as usize;
        assert_eq!(first.len(), length, "{operation}: one whole message, untouched");
    }
}

/// Requests that announce a body and never send it hold their places for a minute.
#[tokio::test]
async fn threat_24_one_principal_cannot_hold_every_place_of_the_worker() {
    let house = WorkerHouse::start().await;
    let (greedy, other) = (house.issuer.caller(AGENT), house.issuer.caller("scoped_principal:team-1/user:p-1"));
    assert_eq!(house.converse(&greedy).await.status, 200);
    let address = house.url.trim_start_matches("http://");
    let head = format!(
        "POST /model/haiku/converse HTTP/1.1\r\nhost: worker\r\nauthorization: Bearer {greedy}\r\n\
         content-type: application/json\r\ncontent-length: 20000000\r\n\r\n{{"
    );
    let mut held = Vec::new();
    for _ in 0..PLACES / 8 {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        held.push(socket);
    }
    // They are handled as they arrive; from when on all are, only the worker knows.
    let refused = async {
        while house.converse(&greedy).await.code() != (503, "worker_busy".to_owned()) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    // Less than the minute for which they hold their places.
    tokio::time::timeout(std::time::Duration::from_secs(55), refused).await.unwrap();
    assert_eq!(house.converse(&other).await.status, 200);
    drop(held);
    let back = async {
        while house.converse(&greedy).await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(55), back).await.unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_exchange_with_bedrock() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bedrock = format!("http://{}", listener.local_addr().unwrap());
    let house = WorkerHouse::with(0, std::slice::from_ref(&bedrock)).await;
    house.issuer.script().settings["base_url"] = json!(bedrock);
    let upstream = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut part = [0; 4096];
            let read = socket.read(&mut part).await.unwrap();
            seen.extend_from_slice(&part[..read]);
        }
        socket
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n")
            .await
            .unwrap();
        // Until the worker closes its end.
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        String::from_utf8_lossy(&seen).into_owned()
    });
    let request = house.request("/model/haiku/converse-stream", &house.issuer.caller(AGENT), &prompt());
    let mut answer = house.client.stream(request).await.unwrap();
    assert_eq!(answer.body_mut().next().await.unwrap().unwrap(), "abcd");
    assert!(!upstream.is_finished());
    drop(answer);
    house.client.forget_connections();
    let head = upstream.await.unwrap();
    assert!(head.contains("authorization: AWS4-HMAC-SHA256 Credential=ASIA"), "{head}");
    assert!(!head.contains("Bearer") && !head.contains("eyJ"), "{head}");
}

#[tokio::test]
async fn bedrocks_own_refusals_keep_their_status_and_gain_a_remedy() {
    for (status, code, message, ours) in [
        (
            403,
            "AccessDeniedException",
            "User: x is not authorized to perform: bedrock:InvokeModel",
            "bedrock_access_denied",
        ),
        (403, "AccessDeniedException", "… with an explicit deny in a service control policy", "bedrock_explicit_deny"),
        (429, "ThrottlingException", "Too many tokens", "bedrock_throttled"),
        (429, "ModelNotReadyException", "", "bedrock_model_not_ready"),
        (424, "ModelErrorException", "", "bedrock_model_error"),
        (500, "InternalServerException", "", "bedrock_internal"),
    ] {
        let house = WorkerHouse::start().await;
        house.aws.handle().inject(Fault::Refuse {
            action: Some("Converse".into()),
            status,
            code: code.into(),
            message: message.into(),
        });
        let answer: Answer = house.converse(&house.issuer.caller(AGENT)).await;
        assert_eq!(answer.code(), (status, ours.to_owned()));
        assert_eq!(answer.headers["x-amzn-errortype"], code);
        assert!(answer.json()["message"].as_str().unwrap().contains(message));
        assert_eq!(house.calls("Converse"), 1, "nothing is tried again");
    }
}

#[tokio::test]
async fn refusals_of_the_issuer_are_told_apart() {
    for (status, code, ours) in [
        (401, "invalid_credential", (502, "worker_key_refused")),
        (403, "team_not_served", (403, "team_not_served")),
        (403, "provider_disabled", (403, "provider_disabled")),
        (409, "provider_not_configured", (403, "provider_not_configured")),
        (409, "provider_misconfigured", (403, "provider_misconfigured")),
        (403, "user_disabled", (403, "caller_not_alive")),
        (422, "invalid_token", (401, "token_not_accepted")),
        (429, "rate_limited", (429, "issuer_busy")),
        (500, "internal", (503, "issuer_unreachable")),
        (403, "a_word_of_next_year", (403, "exchange_refused")),
    ] {
        let house = WorkerHouse::start().await;
        house.issuer.script().refuse = Some((status, code));
        let token = house.issuer.caller(AGENT);
        for _ in 0..3 {
            assert_eq!(house.converse(&token).await.code(), (ours.0, ours.1.to_owned()), "{code}");
        }
        assert_eq!(house.issuer.script().exchanges, 1, "{code}: answered from memory");
    }
}

#[tokio::test]
async fn a_dead_token_says_nothing_of_the_other_tokens_of_its_principal() {
    let house = WorkerHouse::start().await;
    let (dead, live) = (house.issuer.caller(AGENT), house.issuer.caller(AGENT));
    house.issuer.script().dead_tokens.push(dead.clone());
    assert_eq!(house.converse(&dead).await.code(), (403, "caller_not_alive".into()));
    assert_eq!(house.converse(&live).await.status, 200);
    // Its holder cannot make the worker drop the other's session again and again.
    for _ in 0..20 {
        assert_eq!(house.converse(&dead).await.code(), (403, "caller_not_alive".into()));
        assert_eq!(house.converse(&live).await.status, 200);
    }
    assert_eq!(house.calls("AssumeRoleWithWebIdentity"), 1);
    assert_eq!(house.issuer.script().exchanges, 2);
}

/// One thread, so that everything that runs in the test logs here, at every level there is.
#[tokio::test]
async fn threat_31_no_secret_is_in_any_log_or_answer() {
    let logs = Logs::capture();
    let house = WorkerHouse::start().await;
    let token = house.issuer.caller(AGENT);
    let mut answers = vec![house.converse(&token).await];
    house.aws.handle().expire_sessions();
    answers.push(house.converse(&token).await);
    house.aws.handle().inject(Fault::Refuse {
        action: Some("Converse".into()),
        status: 403,
        code: "AccessDeniedException".into(),
        message: "no".into(),
    });
    answers.push(house.converse(&token).await);
    // An STS that echoes what it was shown.
    let identity = house.issuer.script().made[0].clone();
    house.aws.handle().expire_sessions();
    house.aws.handle().inject(Fault::Refuse {
        action: Some("AssumeRoleWithWebIdentity".into()),
        status: 400,
        code: "InvalidIdentityToken".into(),
        message: format!("bad token {identity}"),
    });
    answers.push(house.converse(&token).await);
    answers.push(house.converse(&format!("{token}x")).await);
    answers.push(house.converse("bvt_sa_canary").await);
    let mut told = logs.text();
    assert!(told.contains("brevet::access"), "the log was captured");
    told.extend(answers.iter().map(|answer| format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body))));
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let mut secrets = vec![signature(&token), "canary-of-the-worker-key".to_owned(), "bvt_sa_canary".to_owned()];
    secrets.extend(house.issuer.script().made.iter().map(|made| signature(made)));
    for secret in secrets {
        let at = told.find(&secret);
        assert!(at.is_none(), "a secret was told: …{}…", &told[at.unwrap().saturating_sub(300)..at.unwrap()]);
    }
    let _: Value = answers[0].json();
}

#[test]
fn the_documented_answers_are_the_ones_there_are() {
    let paper = include_str!("../../docs/worker.md");
    let documented: Vec<&str> = paper
        .lines()
        .skip_while(|line| !line.starts_with("| code | status |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let there_are: Vec<String> = brevet::worker::error::catalogue()
        .map(|answer| {
            let (code, status, exception) = (answer.code, answer.status, answer.exception);
            format!("| `{code}` | {status} | `{exception}` | {} | {} |", answer.cause, answer.remedy)
        })
        .collect();
    assert_eq!(documented, there_are, "write this table:\n{}", there_are.join("\n"));
}

#[tokio::test]
async fn tokens_of_a_private_issuer_are_verified_with_its_own_keys() {
    let house = WorkerHouse::start().await;
    assert_eq!(house.converse(&house.issuer.private_caller(AGENT, "team-1")).await.status, 200);
    assert_eq!(house.converse(&house.issuer.private_caller(AGENT, "team-1")).await.status, 200);
    let read = house.issuer.script().private_reads.clone();
    assert_eq!(read, ["team-1/openid-configuration", "team-1/jwks.json"], "once for both");
    // Under the wrong keys in either direction, and for another team than the issuer's.
    let stranger = "scoped_principal:team-2/service_account:agent-1";
    for token in [
        house.issuer.token(AGENT, AUDIENCE, &json!({ "iss": format!("{}/t/team-1", house.issuer.url()) })),
        house.issuer.private_caller(stranger, "team-1"),
        house.issuer.private_caller(stranger, "team-2"),
        house.issuer.private_caller(AGENT, "team-2"),
        house.issuer.private_caller(AGENT, "team-1/"),
    ] {
        assert_eq!(house.converse(&token).await.status, 401);
    }
    // Destroyed: kept keys do not outlive the issuer, however long an outage would let them.
    house.issuer.script().private_gone = true;
    house.advance(61);
    let token = house.issuer.private_caller(AGENT, "team-1");
    assert_eq!(house.converse(&token).await.code(), (401, "token_unknown_key".into()));
}

#[tokio::test]
async fn threat_24_tokens_that_name_a_hundred_teams_make_a_worker_ask_for_none_of_them() {
    let house = WorkerHouse::start().await;
    for round in 0..2 {
        for n in 0..100 {
            let team = format!("team-x{n}");
            let subject = format!("scoped_principal:{team}/service_account:agent-1");
            assert_eq!(house.converse(&house.issuer.private_caller(&subject, &team)).await.status, 401);
        }
        // One list of the teams of its own key, and one more once ten seconds have gone by.
        assert_eq!(house.issuer.script().whoamis, 1 + round);
        house.advance(11);
    }
    assert!(house.issuer.script().private_reads.is_empty());
}
