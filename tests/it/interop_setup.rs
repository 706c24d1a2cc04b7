//! The script of `brevet aws setup --format cli`, run by the AWS CLI against the stand-in's IAM: it makes what a token of
//! ours needs, it may run again, and it takes away what it made.

use std::fs;

use serde_json::Value;

use crate::support::clients::{self, Client};
use crate::support::process::{self, Ended, Home, Running};
use crate::support::served::{ROLE, Served};

/// An empty account that takes loopback issuers, and the script that is to furnish it.
struct Account {
    home: Home,
    url: String,
    key_id: String,
    secret: String,
    _running: Running,
}

impl Account {
    fn start(script: &str) -> Self {
        let home = Home::new();
        fs::write(home.path().join("setup.sh"), script).unwrap();
        let running = process::start(home.brevet(["sandbox", "--listen", "127.0.0.1:0", "--loopback-issuers"]));
        let last = |line: &str| running.wait_for(line).split_whitespace().last().unwrap().to_owned();
        let (url, key_id, secret) = (last("stand-in AWS"), last("access key id"), last("secret access key"));
        Self { home, url, key_id, secret, _running: running }
    }

    fn signed(&self, client: Client) -> Client {
        let client = client.env("AWS_ENDPOINT_URL_STS", &self.url).env("AWS_ENDPOINT_URL_IAM", &self.url);
        let client = client.env("AWS_ACCESS_KEY_ID", &self.key_id).env("AWS_SECRET_ACCESS_KEY", &self.secret);
        client.env("AWS_DEFAULT_REGION", "eu-central-1")
    }

    /// The script with `step`, which succeeds.
    #[track_caller]
    fn script(&self, step: &str) {
        let file = self.home.path().join("setup.sh");
        let ended = self.signed(clients::aws_shell().unwrap()).args([file.to_str().unwrap(), step]).run();
        assert_eq!(ended.code(), Some(0), "{step}: {ended:#?}");
    }

    /// One call of the AWS CLI as the account's administrator.
    fn iam(&self, arguments: &[&str]) -> Ended {
        let client = self.signed(clients::aws_cli().unwrap());
        client.args([&["iam"][..], arguments, &["--output", "json"]].concat()).run()
    }

    /// What STS says to `token`, for two hours.
    fn assume(&self, token: &str) -> Ended {
        let client = clients::aws_cli().unwrap().env("AWS_ENDPOINT_URL_STS", &self.url);
        let call = ["sts", "assume-role-with-web-identity", "--region", "eu-central-1", "--role-arn", ROLE];
        let more = ["--role-session-name", "s.bot", "--duration-seconds", "7200", "--output", "json"];
        client.args(call).args(more).args(["--web-identity-token", token]).run()
    }
}

#[test]
fn the_set_up_script_makes_what_a_token_needs_and_takes_it_away_again() {
    let Some(_) = clients::aws_shell() else { return };
    let served = Served::start();
    let bot = served.furnish();
    served.admin(&["admin", "provider-settings", "set", "--team", "red", "--session-duration", "2h"]);
    let account = Account::start(&served.admin(&["aws", "setup", "--team", "red", "--format", "cli"]));

    account.script("apply");
    // A role that was there before, with sessions too short for the team's.
    let name = ["--role-name", "brevet-red"];
    let lowered = account.iam(&[&["update-role"][..], &name, &["--max-session-duration", "3600"]].concat());
    assert_eq!(lowered.code(), Some(0), "{lowered:#?}");
    account.script("apply");
    let role: Value = account.iam(&[&["get-role"][..], &name].concat()).json();
    assert_eq!(role["Role"]["MaxSessionDuration"], 7200);
    let providers = account.iam(&["list-open-id-connect-providers"]).json();
    let arn = providers["OpenIDConnectProviderList"][0]["Arn"].as_str().unwrap().to_owned();
    let provider = account.iam(&["get-open-id-connect-provider", "--open-id-connect-provider-arn", &arn]).json();
    assert_eq!(provider["ClientIDList"], serde_json::json!(["sts.amazonaws.com"]));

    let token = served.succeeds(Some(&bot), &["token"]);
    let assumed = account.assume(&token).json();
    assert_eq!(assumed["SubjectFromWebIdentityToken"], "scoped_principal:red/service_account:bot");

    for step in ["delete", "delete", "delete-provider", "delete-provider"] {
        account.script(step);
    }
    let absent = account.iam(&[&["get-role"][..], &name].concat());
    assert!(absent.stderr.contains("NoSuchEntity"), "{absent:#?}");
    let left = account.iam(&["list-open-id-connect-providers"]).json();
    assert_eq!(left["OpenIDConnectProviderList"], serde_json::json!([]));
    let refused = account.assume(&token);
    assert_ne!(refused.code(), Some(0), "{refused:#?}");
}

#[test]
fn the_set_up_script_stops_at_another_account_and_at_a_refusal_that_is_not_absence() {
    let Some(_) = clients::aws_shell() else { return };
    let issuer = "https://id.example.com";
    let setup = |role: &str| {
        let model = ["--model", crate::support::served::MODEL, "--region", "eu-central-1", "--format", "cli"];
        let arguments = ["aws", "setup", "--issuer", issuer, "--team", "red", "--role-arn", role];
        process::run(Home::new().brevet([&arguments[..], &model].concat()))
    };
    let elsewhere = setup("arn:aws:iam::444455556666:role/brevet-red");
    assert_eq!(elsewhere.code(), Some(0), "{elsewhere:#?}");
    let account = Account::start(&elsewhere.stdout);
    let file = account.home.path().join("setup.sh");
    let stopped = account.signed(clients::aws_shell().unwrap()).args([file.to_str().unwrap()]).run();
    assert_eq!(stopped.code(), Some(1));
    assert!(stopped.stderr.contains("are of account 111122223333, the role is to be in 444455556666"), "{stopped:#?}");

    // A role with another policy in it cannot be deleted, and the script must not say that it was.
    fs::write(&file, setup(ROLE).stdout).unwrap();
    account.script("apply");
    let foreign = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
    let put =
        ["put-role-policy", "--role-name", "brevet-red", "--policy-name", "foreign", "--policy-document", foreign];
    assert_eq!(account.iam(&put).code(), Some(0));
    let kept = account.signed(clients::aws_shell().unwrap()).args([file.to_str().unwrap(), "delete"]).run();
    assert_eq!(kept.code(), Some(1), "{kept:#?}");
    assert!(kept.stderr.contains("DeleteConflict") && !kept.stderr.contains("is removed"), "{kept:#?}");
}
