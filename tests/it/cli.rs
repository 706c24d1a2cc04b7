//! The real binary in an empty home: each command's good way, and what clumsy uses are told.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::process::{self, Home};
use crate::support::served::{MODEL, ROLE, Served, free_port};

/// Every command there is, as its path: read from the help texts.
fn commands(path: &[String], found: &mut Vec<Vec<String>>) {
    let arguments = path.iter().map(String::as_str).chain(["--help"]);
    let help = process::run(Home::new().brevet(arguments));
    assert_eq!(help.code(), Some(0), "{path:?}: {help:#?}");
    assert!(help.stdout.contains("Example"), "`{} --help` has no example", path.join(" "));
    found.push(path.to_vec());
    let listed = help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in listed.take_while(|line| line.starts_with(' ')) {
        if let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
            let name = name.split_whitespace().next().expect("a name");
            commands(&[path, &[name.to_owned()]].concat(), found);
        }
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let mut found = Vec::new();
    commands(&[], &mut found);
    assert!(found.len() > 60, "only {} commands were found", found.len());
    let top: Vec<_> = found.iter().filter(|path| path.len() == 1).map(|path| path[0].as_str()).collect();
    let expected = [
        "serve",
        "worker",
        "sandbox",
        "demo",
        "login",
        "logout",
        "whoami",
        "token",
        "runs",
        "aws",
        "admin",
        "keys",
        "store",
        "completion",
        "help",
    ];
    assert_eq!(top, expected);
}

#[test]
fn the_way_of_a_person_and_of_an_agent() {
    let mut served = Served::start();
    let bot = served.furnish();
    let code = served.admin(&["admin", "enrolment-codes", "create", "--user", "ann"]);
    let signed_in = served.brevet(None, &["login", "--code", &code, "--device", "test"]);
    assert_eq!((signed_in.code(), signed_in.stdout.as_str()), (Some(0), ""), "{signed_in:#?}");
    let whoami: Value = serde_json::from_str(&served.succeeds(None, &["whoami", "--json"])).unwrap();
    assert_eq!(whoami["teams"][0]["subject"], "scoped_principal:red/user:ann");

    let minted: Value = serde_json::from_str(&served.succeeds(None, &["token", "--format", "json"])).unwrap();
    assert_eq!(minted["subject"], "scoped_principal:red/user:ann");
    assert_eq!(minted["audience"], "sts.amazonaws.com");
    let token = served.succeeds(Some(&bot), &["token", "--lifetime", "2m", "--role-arn", ROLE]);
    assert_eq!(token.split('.').count(), 3, "stdout carries the token alone");
    let id = minted["token_id"].as_str().unwrap();
    let rows = served.admin(&["admin", "audit", "--token-id", id, "--json"]);
    let rows: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows["items"].as_array().unwrap().len(), 1);

    // Secrets that were used are in no log and on no stderr but the one that shows them.
    let session = served.session_file();
    let saved: Value = serde_json::from_str(&fs::read_to_string(&session).unwrap()).unwrap();
    let bearer = saved["access_token"].as_str().unwrap().to_owned();
    assert_eq!(served.succeeds(None, &["logout"]), "");
    assert!(!session.exists());
    let after = served.brevet(Some(&bearer), &["whoami"]);
    assert_eq!(after.code(), Some(1));
    assert!(after.stderr.contains("sign in again with `brevet login`"), "{}", after.stderr);
    let ended = served.stop();
    assert_eq!(ended.code(), Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("stopped"), "{}", ended.stderr);
    for secret in [&bot, &code, &bearer, &token, &served.admin_key] {
        assert!(!ended.stderr.contains(secret.as_str()), "threat 31: a secret is in the log");
    }
}

#[test]
fn threat_31_a_saved_session_is_private_and_a_readable_one_is_refused() {
    let served = Served::start();
    served.furnish();
    let code = served.admin(&["admin", "enrolment-codes", "create", "--user", "ann"]);
    served.succeeds(None, &["login", "--code", &code]);
    let file = served.session_file();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = served.brevet(None, &["token"]);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr.contains("has mode 0644; others must not read it: chmod 0600 it"), "{}", refused.stderr);
    let again = served.brevet(None, &["login", "--code", &code]);
    assert_eq!(again.code(), Some(1), "a code works once");
    assert!(again.stderr.contains("(enrolment_code_refused)"), "{}", again.stderr);
}

#[test]
fn administration_from_the_terminal() {
    let served = Served::start();
    served.furnish();
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&served.admin(arguments)).unwrap() };
    assert_eq!(json(&["admin", "teams", "list", "--json"])[0]["uid"], "red");
    assert_eq!(json(&["admin", "teams", "update", "red", "--name", "Reds", "--json"])["name"], "Reds");
    assert_eq!(json(&["admin", "users", "update", "ann", "--email", "a@b.example", "--json"])["email"], "a@b.example");
    assert_eq!(json(&["admin", "users", "update", "ann", "--email", "", "--json"])["email"], Value::Null);
    let set = ["admin", "audiences", "set", "--team", "red", "sts.amazonaws.com", "https://v.example=600", "--json"];
    assert_eq!(json(&set)["items"][1]["lifetime_cap_seconds"], 600);
    let batch = "arn:aws:iam::111122223333:role/batch";
    let add = ["admin", "roles", "add", "--team", "red", batch, "--principal", "service_account", "--json"];
    assert_eq!(json(&add)["items"][0]["principals"][0], "service_account");
    assert!(
        json(&["admin", "roles", "remove", "--team", "red", batch, "--json"])["items"].as_array().unwrap().is_empty()
    );
    let policy = ["admin", "policy", "set", "--team", "red", "--lifetime-cap", "15m", "--json"];
    assert_eq!(json(&policy)["lifetime_cap_seconds"], 900);
    let tags = [
        "admin",
        "policy",
        "set",
        "--team",
        "red",
        "--cost-tag",
        "CostCenter=a=b",
        "--address-ranges",
        "127.0.0.0/8, ::1",
        "--json",
    ];
    let set = json(&tags);
    assert_eq!(
        (&set["cost_tags"]["CostCenter"], set["address_ranges"].to_string()),
        (&"a=b".into(), r#"["127.0.0.0/8","::1/128"]"#.to_owned())
    );
    let cleared =
        json(&["admin", "policy", "set", "--team", "red", "--no-cost-tags", "--address-ranges", "", "--json"]);
    assert_eq!(
        (cleared["cost_tags"].to_string(), cleared["address_ranges"].to_string()),
        ("{}".to_owned(), "[]".to_owned())
    );
    let effective = json(&["admin", "provider-settings", "effective", "--team", "red", "--json"]);
    assert_eq!(effective["role_arn"]["layer"], "team");
    let rights = ["--right", "open_runs", "--right", "mint_for_service_accounts"];
    let create = ["admin", "platform-keys", "create", "--name", "p", "--team", "red", "--expires-in", "24h"];
    let platform = served.admin(&[&create[..], &rights[..]].concat());
    assert!(platform.starts_with("bvt_pk_"));
    let key = json(&["admin", "platform-keys", "list", "--json"])[0].clone();
    assert_eq!(key["rights"], serde_json::json!(["mint_for_service_accounts", "open_runs"]));
    let id = key["id"].as_str().unwrap();
    let update = ["admin", "platform-keys", "update", id, "--name", "q", "--json"];
    assert_eq!((&json(&update)["name"], &json(&update)["teams"]), (&"q".into(), &serde_json::json!(["red"])));
    served.admin(&["admin", "service-accounts", "create", "--team", "red", "--uid", "runner", "--name", "Runner"]);
    let named = ["--on-behalf-of", "service_account:runner"];
    let open = ["runs", "open", "--tokens", "1", "--ends-in", "1h", "--label", "project=apollo"];
    let bearer = served.succeeds(Some(&platform), &[&open[..], &named[..]].concat());
    assert!(bearer.starts_with("bvt_run_"), "stdout carries the bearer alone");
    assert_eq!(served.succeeds(Some(&bearer), &["token"]).split('.').count(), 3);
    let exhausted = served.brevet(Some(&bearer), &["token"]);
    assert!(exhausted.code() == Some(1) && exhausted.stderr.contains("(run_exhausted)"), "{}", exhausted.stderr);
    let runs: Value =
        serde_json::from_str(&served.succeeds(Some(&platform), &["runs", "list", "--open", "--json"])).unwrap();
    assert_eq!((&runs[0]["tokens_issued"], &runs[0]["labels"]["project"]), (&1.into(), &"apollo".into()));
    served.succeeds(Some(&platform), &["runs", "end", runs[0]["id"].as_str().unwrap()]);
    let ended = served.brevet(Some(&bearer), &["token"]);
    assert!(ended.code() == Some(1) && ended.stderr.contains("the run was ended"), "{}", ended.stderr);
    assert_eq!(served.succeeds(Some(&platform), &[&["token"][..], &named[..]].concat()).split('.').count(), 3);
    served.admin(&["admin", "platform-keys", "delete", id]);
    let worker = served.admin(&["admin", "worker-keys", "create", "--name", "w", "--audience", "w", "--team", "red"]);
    assert!(worker.starts_with("bvt_wk_"));
    assert_eq!(json(&["keys", "list", "--json"])["items"].as_array().unwrap().len(), 2);
    let table = served.admin(&["admin", "service-accounts", "list", "--team", "red"]);
    assert!(table.contains("scoped_principal:red/service_account:bot"), "{table}");
    let keys = json(&["admin", "service-accounts", "list-keys", "--team", "red", "bot", "--json"]);
    let key = keys[0]["id"].as_str().unwrap();
    served.admin(&["admin", "service-accounts", "delete-key", "--team", "red", "bot", key]);
    let second = served.admin(&["admin", "administrators", "create", "--name", "ops"]);
    let first = served.brevet(Some(&served.admin_key), &["admin", "teams", "list"]);
    assert_eq!(first.code(), Some(1), "the first key ends when a second administrator exists");
    assert_eq!(served.brevet(Some(&second), &["admin", "users", "delete", "ann"]).code(), Some(0));
}

#[test]
fn aws_setup_speaks_of_the_team_and_its_settings() {
    let served = Served::start();
    served.furnish();
    let printed: Value = serde_json::from_str(&served.admin(&["aws", "setup", "--team", "red"])).unwrap();
    let host = served.url.strip_prefix("http://").unwrap();
    let condition = &printed["trust_policy"]["Statement"][0]["Condition"];
    let subjects = serde_json::json!(["scoped_principal:red/user:*", "scoped_principal:red/service_account:*"]);
    assert_eq!(condition["StringLike"][format!("{host}:sub")], subjects);
    assert_eq!(condition["StringEquals"][format!("{host}:aud")], "sts.amazonaws.com");
    assert_eq!(condition["Bool"]["sts:RoleAuthorizedByIdp"], "true");
    let model = format!("arn:aws:bedrock:eu-central-1::foundation-model/{MODEL}");
    assert_eq!(printed["permission_policy"]["Statement"][0]["Resource"], model);
    let script = served.admin(&["aws", "setup", "--team", "red", "--actor", "service_account:bot", "--format", "cli"]);
    assert!(script.contains("scoped_principal:red/service_account:bot"), "{script}");
    fs::write(served.home.path().join("setup.sh"), &script).unwrap();
    let mut parsed = served.home.command("sh");
    parsed.args(["-n", "setup.sh"]);
    assert_eq!(process::run(parsed).code(), Some(0), "the script is no shell script");
}

/// What is typed wrongly, with the exit code and the words it gets. `{url}` is a serving issuer.
const CLUMSY: &[(&[&str], Option<&str>, i32, &str)] = &[
    (&[], None, 2, "Usage: brevet [OPTIONS] <COMMAND>"),
    (&["tokn"], None, 2, "unrecognized subcommand 'tokn'"),
    (&["token", "--lifetime", "5x"], None, 2, "must be a number of seconds"),
    (&["token", "--format", "xml"], None, 2, "invalid value 'xml'"),
    (&["token"], None, 1, "not signed in to {url}: run `brevet login --issuer URL`, or set BREVET_TOKEN"),
    (&["whoami"], None, 1, "not signed in"),
    (&["token"], Some("hunter2"), 1, "(invalid_credential)"),
    (&["token", "--issuer", "http://127.0.0.1:1"], Some("x"), 3, "http://127.0.0.1:1 cannot be reached"),
    (&["token", "--issuer", "https://id.example/"], Some("x"), 2, "--issuer (BREVET_ISSUER) must not end with a slash"),
    (
        &["login", "--issuer", "http://id.example"],
        None,
        2,
        "must begin with https:// (with http:// only on this machine",
    ),
    (
        &["token", "--token-file", "/nowhere"],
        None,
        2,
        "--token-file (BREVET_TOKEN_FILE) names /nowhere, which cannot be read",
    ),
    (&["login", "--code", "hunter2"], None, 2, "--code is not a Brevet credential (those begin with bvt_)"),
    (&["login", "--code", "bvt_en_short"], None, 2, "--code is cut short or mistyped"),
    (&["login", "--code", "x", "--browser"], None, 2, "cannot be used with"),
    (&["login", "--browser", "--device-code"], None, 2, "cannot be used with"),
    #[cfg(not(feature = "keyring"))]
    (&["login", "--keyring", "--code", "x"], None, 2, "this brevet was built without the keyring"),
    (&["logout"], None, 0, "not signed in to {url}"),
    (&["admin", "teams", "list"], None, 1, "administration needs an administrator key (bvt_ad_…)"),
    (&["admin", "teams", "create"], None, 2, "--name <NAME>"),
    (&["admin", "policy", "set", "--team", "red", "--enrolment-codes", "maybe"], None, 2, "must be on or off"),
    (&["aws", "setup", "--team", "red", "--actor", "robot"], None, 2, "must be user:<uid> or service_account:<uid>"),
    (
        &["aws", "setup", "--team", "*", "--role-arn", ROLE, "--region", "eu-central-1", "--model", MODEL],
        None,
        2,
        "--team must have 2 to 48 characters",
    ),
    (
        &["aws", "setup", "--team", "red", "--role-arn", ROLE, "--region", "cn-north-1", "--model", MODEL],
        None,
        2,
        "region must lie in the partition of role_arn",
    ),
    (&["help", "nonsense"], None, 2, "there is no command or topic \"nonsense\""),
    (&["token", "--log", "loud"], None, 2, "--log (BREVET_LOG) must be off, error"),
    (&["serve"], None, 2, "--issuer-url (BREVET_ISSUER_URL) is required"),
    (&["serve", "--issuer-url", "http://127.0.0.1:8080"], None, 2, "only with --development"),
    (
        &["serve", "--issuer-url", "https://id.example", "--public-listen", "0.0.0.0:1"],
        None,
        2,
        "is off loopback and needs",
    ),
    (&["worker", "--development"], None, 2, "--worker-audience (BREVET_WORKER_AUDIENCE) is required"),
    (
        &["worker", "--development", "--worker-audience", "w"],
        Some("bvt_wk_x"),
        2,
        "BREVET_TOKEN is cut short or mistyped",
    ),
    (&["sandbox", "--listen", "0.0.0.0:1"], None, 2, "must be a loopback address"),
    (&["sandbox", "--config", "/nowhere"], None, 2, "--config names /nowhere"),
    (
        &["store", "migrate", "--data-dir", "/nowhere"],
        None,
        2,
        "--data-dir (BREVET_DATA_DIR) names /nowhere, which is no folder",
    ),
    (&["store", "backup"], None, 2, "<FILE>"),
    (&["store", "backup", "/nowhere/copy"], None, 1, "/nowhere/copy: "),
    (&["store", "restore", "/nowhere"], None, 1, "is locked: another brevet process has this store open"),
    (&["store", "export-tombstones", "/nowhere/tombstones"], None, 1, "/nowhere/tombstones: "),
    (&["store", "import-tombstones", "/nowhere"], None, 1, "/nowhere: "),
    (
        &["serve", "--issuer-url", "https://id.example", "--audit-retention-days", "0"],
        None,
        2,
        "--audit-retention-days (BREVET_AUDIT_RETENTION_DAYS) must be a whole number of days",
    ),
    (&["login", "--code", "x", "--token-file", "x"], None, 2, "unexpected argument '--token-file'"),
    (&["demo", "--kept"], None, 2, "unexpected argument '--kept'"),
    (&["completion", "tcsh"], None, 2, "possible values: bash, zsh, fish"),
    (&["keys", "list"], None, 1, "administration needs an administrator key"),
    (&["keys", "list", "--kid", "x"], None, 2, "unexpected argument '--kid'"),
    (&["keys", "list", "--team", "nobody"], ADMIN, 1, "no such private issuer (not_found)"),
    (&["keys", "plan", "--days", "0"], ADMIN, 2, "0 is not in 1..=3650"),
    (&["keys", "prepare"], ADMIN, 2, "--alg <ALG>"),
    (&["keys", "prepare", "--alg", "PS256"], ADMIN, 1, "algorithm must be RS256 or ES256"),
    (&["keys", "prepare", "--alg", "ES256", "--bits", "2048"], ADMIN, 1, "bits must be 2048, 3072 or 4096 for RS256"),
    (&["keys", "rotate"], None, 1, "administration needs an administrator key"),
    (&["keys", "distrust"], ADMIN, 2, "<KID>"),
    (&["keys", "distrust", "x"], ADMIN, 2, "must be 43 base64url characters"),
    (&["keys", "distrust", "--now"], ADMIN, 2, "must be 43 base64url characters"),
    (&["keys", "distrust", "-hyphen-at-either-end-is-base64url-as-well-"], ADMIN, 1, "no such signing key (not_found)"),
    (&["keys", "replace-all"], ADMIN, 2, "nothing was done: without a terminal to ask on, say --yes"),
    (&["keys", "replace-all", "--bits", "2048", "--yes"], ADMIN, 2, "--alg <ALG>"),
    (&["keys", "schedule", "--max-age", "0"], ADMIN, 1, "max_age_seconds must be from 1 to 86400"),
    (&["keys", "export-jwks", "/nowhere"], ADMIN, 2, "/nowhere is no folder: make it first"),
    (&["keys", "init-kek", "--prnt"], None, 2, "unexpected argument '--prnt'"),
    (&["keys", "init-kek", "--data-dir", "/nowhere"], None, 2, "names /nowhere, which is no folder"),
    (&["keys", "import"], None, 2, "<FILE>"),
    (&["keys", "import", "/nowhere", "--issuer-url", "https://id.example"], None, 1, "/nowhere cannot be read"),
    (&["keys", "reseal", "--data-dir", "/nowhere"], None, 2, "names /nowhere, which is no folder"),
    (&["admin", "init"], None, 2, "--issuer-url (BREVET_ISSUER_URL) is required"),
    (&["admin", "teams", "show", "nobody"], ADMIN, 1, "no such team (not_found)"),
    (
        &["admin", "teams", "update", "red", "--disable", "--enable"],
        ADMIN,
        2,
        "'--disable' cannot be used with '--enable'",
    ),
    (&["admin", "teams", "delete", "nobody"], ADMIN, 1, "no such team (not_found)"),
    (&["admin", "users", "list", "extra"], ADMIN, 2, "unexpected argument 'extra'"),
    (&["admin", "users", "create", "--uid", "a b", "--name", "A"], ADMIN, 1, "uid may contain only ASCII letters"),
    (&["admin", "users", "show", "ann smith"], ADMIN, 1, "no such user (not_found)"),
    (
        &["admin", "users", "update", "ann", "--disable", "--enable"],
        ADMIN,
        2,
        "'--disable' cannot be used with '--enable'",
    ),
    (&["admin", "users", "delete", "nobody"], ADMIN, 1, "no such user (not_found)"),
    (&["admin", "members", "list", "--team", "nobody"], ADMIN, 1, "no such team (not_found)"),
    (&["admin", "members", "add", "--team", "red", "nobody"], ADMIN, 1, "no such user (not_found)"),
    (&["admin", "members", "remove", "--team", "red", "nobody"], ADMIN, 1, "no such member (not_found)"),
    (&["admin", "service-accounts", "list"], ADMIN, 2, "--team <TEAM>"),
    (&["admin", "service-accounts", "create", "--team", "nobody", "--name", "x"], ADMIN, 1, "no such team (not_found)"),
    (&["admin", "service-accounts", "show", "--team", "red", "ann"], ADMIN, 1, "no such service account (not_found)"),
    (&["admin", "service-accounts", "update", "--team", "red", "ann"], ADMIN, 1, "no such service account (not_found)"),
    (&["admin", "service-accounts", "delete", "--team", "red", "ann"], ADMIN, 1, "no such service account (not_found)"),
    (
        &["admin", "service-accounts", "list-keys", "--team", "red", "ann"],
        ADMIN,
        1,
        "no such service account (not_found)",
    ),
    (
        &["admin", "service-accounts", "create-key", "--team", "red", "bot", "--expires-in", "1y"],
        ADMIN,
        2,
        "must be a number of seconds",
    ),
    (&["admin", "service-accounts", "delete-key", "--team", "red", "bot", "x"], ADMIN, 1, "no such key (not_found)"),
    (&["admin", "service-accounts", "rotate-key", "--team", "red", "bot", "x"], ADMIN, 1, "no such key (not_found)"),
    (&["admin", "public-keys", "list", "--team", "red", "ann"], ADMIN, 1, "no such service account (not_found)"),
    (
        &["admin", "public-keys", "add", "--team", "red", "bot", "--jwks-uri", "ftp://x.example/j"],
        ADMIN,
        1,
        "jwks_uri must be an https URL",
    ),
    (&["admin", "public-keys", "add", "--team", "red", "bot", "--jwk", "missing.json"], ADMIN, 2, "missing.json"),
    (&["admin", "public-keys", "delete", "--team", "red", "bot", "x"], ADMIN, 1, "no such public key (not_found)"),
    (&["admin", "trust-rules", "list", "--team", "red"], ADMIN, 2, "<UID>"),
    (&["admin", "trust-rules", "create", "--team", "red", "bot"], ADMIN, 2, "--from <URL>"),
    (
        &["admin", "trust-rules", "create", "--team", "red", "bot", "--template", "kubernetes"],
        ADMIN,
        2,
        "--from is required by this template",
    ),
    (
        &["admin", "trust-rules", "create", "--team", "red", "bot", "--template", "gitlab", "--set", "ref=main"],
        ADMIN,
        2,
        "--set: template gitlab needs project_id or namespace_id",
    ),
    (
        &["admin", "trust-rules", "create", "--team", "red", "bot", "--template", "github"],
        ADMIN,
        2,
        "must be one of: kubernetes, github-actions, gitlab, brevet",
    ),
    (
        &["admin", "trust-rules", "create", "--team", "red", "bot", "--from", "https://gitlab.com", "--claim", "sub=x"],
        ADMIN,
        1,
        "conditions must pin the owner by an id that is never given away",
    ),
    (
        &["admin", "trust-rules", "create", "--team", "red", "bot", "--from", "https://x.example", "--jwks", "none"],
        ADMIN,
        2,
        "--jwks names none",
    ),
    (&["admin", "trust-rules", "show", "--team", "red", "bot", "x"], ADMIN, 1, "no such trust rule (not_found)"),
    (
        &["admin", "trust-rules", "update", "--team", "red", "bot", "x", "--disable", "--enable"],
        ADMIN,
        2,
        "cannot be used with",
    ),
    (&["admin", "trust-rules", "delete", "--team", "red", "bot", "x"], ADMIN, 1, "no such trust rule (not_found)"),
    (
        &["admin", "enrolment-codes", "create", "--user", "nobody"],
        ADMIN,
        1,
        "user_uid must be the uid of a person who exists",
    ),
    (&["admin", "platform-keys", "list", "red"], ADMIN, 2, "unexpected argument 'red'"),
    (&["admin", "platform-keys", "create", "--name", "p", "--team", "red"], ADMIN, 2, "--right <RIGHT>"),
    (
        &["admin", "platform-keys", "create", "--name", "p", "--team", "red", "--right", "all"],
        ADMIN,
        1,
        "rights.0 must be one of mint_for_service_accounts",
    ),
    (&["admin", "platform-keys", "update", "x", "--name", "p"], ADMIN, 1, "no such platform key (not_found)"),
    (&["admin", "platform-keys", "delete", "x"], ADMIN, 1, "no such platform key (not_found)"),
    (&["runs", "open", "--label", "project"], ADMIN, 2, "must be KEY=VALUE"),
    (&["runs", "open"], ADMIN, 1, "(not_permitted)"),
    (&["runs", "list", "red"], ADMIN, 2, "unexpected argument 'red'"),
    (&["runs", "end", "x"], ADMIN, 1, "no such run (run_not_found)"),
    (&["admin", "upstream-providers", "list", "red"], ADMIN, 2, "unexpected argument 'red'"),
    (&["admin", "upstream-providers", "create", "--name", "Acme", "--client-id", "b"], ADMIN, 2, "--from <URL>"),
    (
        &[
            "admin",
            "upstream-providers",
            "create",
            "--name",
            "A",
            "--client-id",
            "b",
            "--from",
            "http://id.example.com",
        ],
        ADMIN,
        1,
        "issuer must begin with https://",
    ),
    (&["admin", "upstream-providers", "show", "nobody"], ADMIN, 1, "no such upstream provider (not_found)"),
    (
        &["admin", "upstream-providers", "update", "nobody", "--session", "1m"],
        ADMIN,
        1,
        "session_seconds must be 900 to 2592000 seconds",
    ),
    (&["admin", "upstream-providers", "delete", "nobody"], ADMIN, 1, "no such upstream provider (not_found)"),
    (&["admin", "identities", "list", "nobody"], ADMIN, 1, "no such user (not_found)"),
    (&["admin", "identities", "link", "nobody", "--provider", "okta"], ADMIN, 2, "--subject <SUBJECT>"),
    (
        &["admin", "identities", "unlink", "nobody", "--provider", "okta", "--subject", "x"],
        ADMIN,
        1,
        "no such identity (not_found)",
    ),
    (&["admin", "policy", "set", "--team", "red", "--join", "okta"], ADMIN, 2, "must be PROVIDER:domain=DOMAIN"),
    (&["admin", "runs", "list"], ADMIN, 2, "--team <TEAM>"),
    (&["admin", "runs", "list", "--team", "red", "--principal", "ann"], ADMIN, 1, "principal must be"),
    (&["admin", "runs", "show", "--team", "nobody", "x"], ADMIN, 1, "no such run (not_found)"),
    (&["admin", "runs", "end", "--team", "red", "4Wp0Zb1cQmT7hK2sXy9d"], ADMIN, 1, "no such run (not_found)"),
    (&["admin", "worker-keys", "list", "red"], ADMIN, 2, "unexpected argument 'red'"),
    (&["admin", "worker-keys", "create", "--name", "w", "--audience", "w"], ADMIN, 2, "--team <UID>"),
    (
        &["admin", "worker-keys", "create", "--name", "w", "--audience", "sts.amazonaws.com", "--team", "red"],
        ADMIN,
        1,
        "audience must not be AWS STS",
    ),
    (&["admin", "worker-keys", "update", "x"], ADMIN, 2, "--team <UID>"),
    (&["admin", "worker-keys", "delete", "x"], ADMIN, 1, "no such worker key (not_found)"),
    (&["admin", "administrators", "list", "--team", "red"], ADMIN, 2, "unexpected argument '--team'"),
    (&["admin", "administrators", "create"], ADMIN, 2, "--name <NAME>"),
    (&["admin", "administrators", "delete", "x"], ADMIN, 1, "no such administrator (not_found)"),
    (&["admin", "audiences", "list"], ADMIN, 2, "--team <TEAM>"),
    (&["admin", "audiences", "set", "--team", "red"], ADMIN, 2, "<AUDIENCE[=SECONDS]>..."),
    (&["admin", "roles", "list", "--team", "nobody"], ADMIN, 1, "no such team (not_found)"),
    (
        &["admin", "roles", "add", "--team", "red", "arn:aws:iam::1:role/x"],
        ADMIN,
        1,
        "role_arn account must be 12 digits",
    ),
    (&["admin", "roles", "remove", "--team", "red", "x"], ADMIN, 1, "x is not on the list of team red"),
    (&["admin", "policy", "show"], ADMIN, 2, "--team <TEAM>"),
    (&["admin", "provider-settings", "show", "--team", "nobody"], ADMIN, 1, "no such team (not_found)"),
    (&["admin", "provider-settings", "effective"], ADMIN, 2, "--team <TEAM>"),
    (
        &["admin", "provider-settings", "set", "--team", "red", "--region", "mars"],
        ADMIN,
        1,
        "region must be an AWS region",
    ),
    (&["admin", "issuer", "show", "--team", "nobody"], ADMIN, 1, "no such team (not_found)"),
    (&["admin", "issuer", "make", "--team", "nobody"], ADMIN, 1, "no such team (not_found)"),
    (&["admin", "issuer", "delete", "--team", "nobody"], ADMIN, 1, "no such private issuer (not_found)"),
    (&["admin", "sessions", "list", "nobody"], ADMIN, 1, "no such user (not_found)"),
    (&["admin", "sessions", "end", "nobody", "--session", "x"], ADMIN, 1, "no such session (not_found)"),
    (&["admin", "remaining-sessions", "--team", "nobody"], ADMIN, 1, "no such team (not_found)"),
    (&["admin", "audit", "--limit", "0"], ADMIN, 2, "0 is not in 1..=100"),
    (&["admin", "audit", "export", "--action", "x"], ADMIN, 1, "action must be one of token.mint"),
    (&["admin", "members", "create", "--team", "red", "--name", ""], ADMIN, 1, "name must have 1 to 200 characters"),
    (&["admin", "members", "update", "--team", "red", "ann", "--role", "king"], ADMIN, 2, "[possible values: member"),
    (&["admin", "administrators", "update", "x", "--role", "king"], ADMIN, 2, "[possible values: operator, auditor]"),
    (&["admin", "audit", "--token-id", "x"], ADMIN, 1, "token_id must be the jti of a token"),
];

/// Stands for the key of the serving issuer's administrator.
const ADMIN: Option<&str> = Some("{admin}");

#[test]
fn every_command_has_a_clumsy_use() {
    let mut found = Vec::new();
    commands(&[], &mut found);
    let is_leaf = |path: &&Vec<String>| !found.iter().any(|other| other.len() > path.len() && other.starts_with(path));
    let missing: Vec<String> = found
        .iter()
        .filter(is_leaf)
        .filter(|path| !CLUMSY.iter().any(|(arguments, ..)| path.iter().eq(arguments.iter().take(path.len()))))
        .map(|path| path.join(" "))
        .collect();
    assert!(missing.is_empty(), "no row in CLUMSY for: {}", missing.join(", "));
}

#[test]
fn clumsy_uses_are_told_what_is_wrong() {
    let served = Served::start();
    served.furnish();
    let mut wrong = Vec::new();
    for (arguments, token, code, words) in CLUMSY {
        // The servers know BREVET_ISSUER_URL only; a worker without its issuer would be told that first.
        let token = if *token == ADMIN { Some(served.admin_key.as_str()) } else { *token };
        let ended = served.brevet(token, arguments);
        let words = words.replace("{url}", &served.url);
        let quiet = ended.stdout.is_empty();
        if ended.code() != Some(*code) || !ended.stderr.contains(&words) || !quiet {
            wrong.push(format!("{arguments:?}: wanted {code} and {words:?}, got {ended:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn two_processes_do_not_share_a_sqlite_store_and_one_store_has_one_issuer() {
    let mut served = Served::start();
    let init = process::run(served.home.brevet(["admin", "init", "--issuer-url", "https://id.example"]));
    assert_eq!(init.code(), Some(1));
    assert!(init.stderr.contains("is locked: another brevet process has this store open"), "{}", init.stderr);
    served.stop();
    let other = process::run(served.home.brevet(["admin", "init", "--issuer-url", "https://id.example"]));
    assert_eq!(other.code(), Some(1));
    let names =
        format!("the store belongs to issuer {}, but the configured issuer URL is https://id.example", served.url);
    assert!(other.stderr.contains(&names), "threat 14: {}", other.stderr);
    let own = ["admin", "init", "--development", "--issuer-url", &served.url];
    let second = process::run(served.home.brevet(own));
    assert!(second.stderr.contains("there is an administrator already"), "{}", second.stderr);
}

#[test]
fn a_first_administrator_by_hand_and_a_migrated_store() {
    let home = Home::new();
    let migrated = process::run(home.brevet(["store", "migrate", "--json"]));
    assert_eq!(migrated.json()["from"], 0);
    let init = process::run(home.brevet(["admin", "init", "--issuer-url", "https://id.example"]));
    assert_eq!(init.code(), Some(0), "{init:#?}");
    assert!(init.stdout.starts_with("bvt_ad_") && !init.stderr.contains("bvt_ad_"), "{init:#?}");
    let kek = process::run(home.brevet(["keys", "init-kek"]));
    assert_eq!(kek.code(), Some(0), "{kek:#?}");
    assert_eq!(
        process::run(home.brevet(["keys", "init-kek"])).code(),
        Some(1),
        "a second one would lock the first out"
    );
    assert_eq!(process::run(home.brevet(["keys", "init-kek", "--print"])).stdout.lines().count(), 1);
}

#[test]
fn the_start_tells_what_runs_where() {
    let served = Served::start();
    let line = served.logged("\"serving\"");
    let told: Value = serde_json::from_str(&line).unwrap();
    let data = served.home.path().canonicalize().unwrap();
    for (field, value) in [
        ("version", env!("CARGO_PKG_VERSION")),
        ("issuer", &served.url),
        ("public", served.url.strip_prefix("http://").unwrap()),
        ("admin", "same as public"),
        ("store", "SQLite, ./brevet.db"),
        ("data", data.to_str().unwrap()),
    ] {
        assert_eq!(told[field], value, "{field}: {line}");
    }
    let ops = told["ops"].as_str().unwrap();
    assert!(ops.starts_with("127.0.0.1:") && !ops.ends_with(":0"), "the port it really has: {line}");
    let keys: Value = serde_json::from_str(&served.admin(&["keys", "list", "--json"])).unwrap();
    let kid = |key: usize| keys["items"][key]["kid"].as_str().unwrap()[..8].to_owned();
    let ages = told["keys"].as_str().unwrap();
    for key in 0..2 {
        assert!(ages.contains(&kid(key)), "{line}");
    }
    assert!(ages.contains("RS256 active, 0 d") && ages.contains("RS256 next, 0 d"), "{line}");
    // The active key's period ends after thirty days; the standby's turn is planned when it was seen long enough.
    let items = keys["items"].as_array().unwrap();
    let from = |state| items.iter().find(|key| key["state"] == state).unwrap()["sign_from"].as_str();
    let parse = |text| time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap();
    let due = parse(told["rotation_due"].as_str().unwrap());
    let turn = due + time::Duration::SECOND - parse(from("active").unwrap());
    assert_eq!(turn.whole_days(), 30, "cut to seconds: {line}");
    assert_eq!(from("next"), None, "{line}");
}

#[test]
fn a_first_key_that_cannot_be_kept_makes_no_administrator_and_the_next_start_does() {
    let home = Home::new();
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let serve = || {
        let mut command = home.brevet(["serve", "--development", "--issuer-url", &url, "--public-listen", &address]);
        command.args(["--admin-listen", "same", "--ops-listen", "127.0.0.1:0"]);
        command
    };
    let file = home.path().join("first-administrator.key");
    fs::write(&file, "somebody's\n").unwrap();
    let refused = process::run(serve());
    assert_eq!(refused.code(), Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("it is there already, so move it away; no administrator was made"), "{refused:#?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's\n");

    fs::remove_file(&file).unwrap();
    let running = process::start(serve());
    running.wait_for("first administrator key");
    let key = fs::read_to_string(&file).unwrap();
    let mut list = home.brevet(["admin", "teams", "list", "--json"]);
    list.env("BREVET_ISSUER", &url).env("BREVET_TOKEN", key.trim());
    assert_eq!(process::run(list).stdout.trim(), "[]");
}

#[test]
fn a_first_key_that_cannot_be_printed_makes_no_administrator() {
    let home = Home::new();
    let mut lost = home.command("sh");
    let script = format!("{} admin init --issuer-url https://id.example > /dev/full", env!("CARGO_BIN_EXE_brevet"));
    lost.args(["-c", &script]);
    let lost = process::run(lost);
    assert_eq!(lost.code(), Some(1), "{lost:#?}");
    assert!(lost.stderr.contains("cannot be written to stdout, so no administrator was made"), "{lost:#?}");
    let again = process::run(home.brevet(["admin", "init", "--issuer-url", "https://id.example"]));
    assert!(again.stdout.starts_with("bvt_ad_"), "{again:#?}");
}

#[test]
fn a_note_and_a_fault_name_the_variable_that_was_set() {
    let served = Served::start();
    served.furnish();
    let code = served.admin(&["admin", "enrolment-codes", "create", "--user", "ann"]);
    let mut login = served.home.brevet(["login", "--code", &code]);
    login.env("BREVET_ISSUER", &served.url).env("BREVET_TOKEN_FILE", "first-administrator.key");
    let signed_in = process::run(login);
    assert_eq!(signed_in.code(), Some(0), "{signed_in:#?}");
    assert!(signed_in.stderr.contains("note: BREVET_TOKEN_FILE is set and goes before"), "{signed_in:#?}");
    let mut demo = served.home.brevet(["demo"]);
    demo.env("TMPDIR", "/nowhere");
    let refused = process::run(demo);
    assert_eq!(refused.code(), Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("no folder can be made in /nowhere"), "{refused:#?}");
    assert!(refused.stderr.contains("TMPDIR names another place"), "{refused:#?}");
}

#[test]
fn output_that_nobody_reads_is_no_failure_and_completions_are_scripts() {
    let home = Home::new();
    let mut piped = home.command("bash");
    let script = format!("set -o pipefail; {} help environment | true", env!("CARGO_BIN_EXE_brevet"));
    piped.args(["-c", &script]);
    assert_eq!(process::run(piped).code(), Some(0));
    for (shell, mark) in [("bash", "_brevet()"), ("zsh", "#compdef brevet"), ("fish", "complete -c brevet")] {
        let ended = process::run(home.brevet(["completion", shell]));
        assert!(ended.stdout.contains(mark), "{shell}");
    }
}
