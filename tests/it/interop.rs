//! Foreign clients around the whole running loop: tokens of a serving issuer before PyJWT and jose, the AWS CLI and
//! boto3 before the stand-in with tokens of ours, and before the worker.

use std::fs;

use serde_json::Value;

use crate::support::clients;
use crate::support::process::{self, Home, Running};

const ROLE: &str = "arn:aws:iam::111122223333:role/brevet-acme";
const MODEL: &str = "anthropic.claude-3-haiku-20240307-v1:0";
const WORKER_AUDIENCE: &str = "https://inference.acme.example";

/// `brevet demo --keep`, and where its parts listen.
struct Loop {
    home: Home,
    issuer: String,
    aws: String,
    worker: String,
    key_file: String,
    _running: Running,
}

impl Loop {
    fn start() -> Self {
        let home = Home::new();
        let mut command = home.brevet(["demo", "--keep"]);
        command.env("TMPDIR", home.path());
        let running = process::start(command);
        running.wait_for("everything runs until Ctrl-C");
        let word = |line: &str, prefix: &str| {
            let found = running.wait_for(line);
            let word = found.split_whitespace().find(|word| word.starts_with(prefix)).map(str::to_owned);
            word.unwrap_or_else(|| panic!("no {prefix} in {found}"))
        };
        let (issuer, aws) = (word("✓ issuer", "http://"), word("✓ stand-in AWS", "http://"));
        let worker = word("✓ worker", "http://");
        let line = running.wait_for("BREVET_TOKEN_FILE=");
        let key_file = line.split_once("BREVET_TOKEN_FILE=").unwrap().1.split(' ').next().unwrap().to_owned();
        Self { home, issuer, aws, worker, key_file, _running: running }
    }

    fn token(&self, audience: &str) -> String {
        let arguments = ["token", "--issuer", &self.issuer, "--token-file", &self.key_file, "--audience", audience];
        let ended = process::run(self.home.brevet(arguments));
        assert_eq!(ended.code(), Some(0), "{ended:#?}");
        ended.stdout.trim().to_owned()
    }
}

#[test]
fn tokens_of_a_running_issuer_are_verified_by_others() {
    let (Some(pyjwt), Some(jose)) = (clients::python("verify_pyjwt.py"), clients::node("verify_jose.mjs")) else {
        return;
    };
    let running = Loop::start();
    let token = running.token("sts.amazonaws.com");
    for client in [pyjwt, jose] {
        let arguments = ["--token", &token, "--issuer", &running.issuer, "--audience", "sts.amazonaws.com"];
        let answer = client.args(arguments).run().json();
        assert_eq!(answer["ok"], true, "{answer}");
        assert_eq!(answer["claims"]["sub"], "scoped_principal:acme/service_account:builder");
        assert_eq!(answer["claims"]["https://aws.amazon.com/roles"][0], ROLE);
    }
}

#[test]
fn the_aws_cli_assumes_the_role_and_invokes_a_model() {
    let Some(sts) = clients::aws_cli() else { return };
    let running = Loop::start();
    let token = running.token("sts.amazonaws.com");
    let arguments = [
        "sts",
        "assume-role-with-web-identity",
        "--region",
        "eu-central-1",
        "--role-arn",
        ROLE,
        "--role-session-name",
        "s.builder",
        "--web-identity-token",
        &token,
        "--output",
        "json",
    ];
    let assumed = sts.env("AWS_ENDPOINT_URL_STS", &running.aws).args(arguments).run().json();
    assert_eq!(assumed["SubjectFromWebIdentityToken"], "scoped_principal:acme/service_account:builder");
    let of = |name: &str| assumed["Credentials"][name].as_str().unwrap().to_owned();

    let bedrock = clients::aws_cli().unwrap();
    let out = running.home.path().join("answer.json");
    let body =
        r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}"#;
    let arguments = [
        "bedrock-runtime",
        "invoke-model",
        "--region",
        "eu-central-1",
        "--model-id",
        MODEL,
        "--body",
        body,
        "--content-type",
        "application/json",
        out.to_str().unwrap(),
    ];
    let invoked = bedrock
        .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &running.aws)
        .env("AWS_ACCESS_KEY_ID", &of("AccessKeyId"))
        .env("AWS_SECRET_ACCESS_KEY", &of("SecretAccessKey"))
        .env("AWS_SESSION_TOKEN", &of("SessionToken"))
        .args(arguments)
        .run();
    assert_eq!(invoked.code(), Some(0), "{invoked:#?}");
    let answer: Value = serde_json::from_str(&fs::read_to_string(out).unwrap()).unwrap();
    assert!(answer["content"][0]["text"].as_str().unwrap().contains("assumed-role/brevet-acme/s.builder"), "{answer}");
}

#[test]
fn the_aws_cli_asks_the_worker_with_a_token_in_the_place_of_a_session() {
    let (Some(invoke), Some(converse)) = (clients::aws_cli(), clients::aws_cli()) else { return };
    let running = Loop::start();
    let (token, endpoint) = (running.token(WORKER_AUDIENCE), format!("{}/bedrock", running.worker));
    let at_worker = |client: clients::Client| {
        let client = client.env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &endpoint).env("AWS_DEFAULT_REGION", "us-east-1");
        let client = client.env("AWS_ACCESS_KEY_ID", "BREVETTOKEN00000000").env("AWS_SECRET_ACCESS_KEY", "unused");
        client.env("AWS_SESSION_TOKEN", &token)
    };
    let out = running.home.path().join("answer.json");
    let body =
        r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}"#;
    let call = ["bedrock-runtime", "invoke-model", "--model-id", MODEL, "--body", body];
    let typed = ["--content-type", "application/json", out.to_str().unwrap()];
    let invoked = at_worker(invoke).args(call).args(typed).run();
    assert_eq!(invoked.code(), Some(0), "{invoked:#?}");
    let answer: Value = serde_json::from_str(&fs::read_to_string(out).unwrap()).unwrap();
    assert!(answer["content"][0]["text"].as_str().unwrap().contains("assumed-role/brevet-acme/s.builder"), "{answer}");

    let messages = r#"[{"role":"user","content":[{"text":"Hello"}]}]"#;
    let call = ["bedrock-runtime", "converse", "--model-id", MODEL, "--messages", messages, "--output", "json"];
    let answer = at_worker(converse).args(call).run().json();
    let text = answer["output"]["message"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("assumed-role/brevet-acme/s.builder"), "{answer}");
}

#[test]
fn the_aws_cli_is_refused_a_role_that_the_token_does_not_name() {
    let Some(sts) = clients::aws_cli() else { return };
    let running = Loop::start();
    let token = running.token("sts.amazonaws.com");
    let arguments = [
        "sts",
        "assume-role-with-web-identity",
        "--region",
        "eu-central-1",
        "--role-arn",
        "arn:aws:iam::111122223333:role/billing",
        "--role-session-name",
        "s.builder",
        "--web-identity-token",
        &token,
    ];
    let refused = sts.env("AWS_ENDPOINT_URL_STS", &running.aws).args(arguments).run();
    assert_ne!(refused.code(), Some(0));
    assert!(refused.stderr.contains("not present in the roles claim"), "{}", refused.stderr);
}

#[test]
fn boto3_streams_from_the_stand_in_and_through_the_worker() {
    let (Some(direct), Some(through)) =
        (clients::python("boto3_converse_stream.py"), clients::python("boto3_converse_stream.py"))
    else {
        return;
    };
    let running = Loop::start();
    let file = running.home.path().join("identity.jwt");
    fs::write(&file, running.token("sts.amazonaws.com")).unwrap();
    let arguments = [
        "--endpoint-url",
        &running.aws,
        "--region",
        "eu-central-1",
        "--model",
        MODEL,
        "--role-arn",
        ROLE,
        "--token-file",
        file.to_str().unwrap(),
        "--sts-endpoint-url",
        &running.aws,
        "--session-name",
        "s.builder",
    ];
    let answer = direct.args(arguments).run().json();
    assert_eq!(answer["ok"], true, "{answer}");

    let endpoint = format!("{}/bedrock", running.worker);
    // boto3 sends bearers over https only; what it signs with instead is a token in the place of an AWS session's.
    let token = running.token(WORKER_AUDIENCE);
    let arguments = [
        "--endpoint-url",
        &endpoint,
        "--region",
        "eu-central-1",
        "--model",
        MODEL,
        "--access-key-id",
        "BREVETTOKEN00000000",
        "--secret-access-key",
        "unused",
        "--session-token",
        &token,
    ];
    let relayed = through.args(arguments).run().json();
    assert_eq!(relayed["ok"], true, "{relayed}");
    assert_eq!(relayed["stop_reason"], answer["stop_reason"]);
    assert!(relayed["text"].as_str().unwrap().contains("s.builder"), "{relayed}");
    assert!(relayed["events"].as_u64().unwrap_or_default() > 2, "{relayed}");
}
