//! The set-up that the other tests trust, tried by itself: a test that cannot fail proves nothing.

use std::path::Path;

use crate::support::process::{self, Home, Stream};
use crate::support::{clients, postgres};

fn shell(home: &Home, script: &str) -> std::process::Command {
    let mut command = home.command("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn each_database_is_fresh_and_gone_afterwards() {
    let (Some(one), Some(other)) = (postgres::database(), postgres::database()) else { return };
    assert_ne!(one.url(), other.url());
    let tables = |url: String, sql: &'static str| {
        use sqlx::{Connection, PgConnection, Row};
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await?;
            sqlx::raw_sql(sql).execute(&mut connection).await?;
            let row = sqlx::query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
            row.fetch_one(&mut connection).await?.try_get::<i64, _>(0)
        })
    };
    assert_eq!(tables(one.url(), "CREATE TABLE t (a BIGINT)").unwrap(), 1);
    assert_eq!(tables(other.url(), "SELECT 1").unwrap(), 0, "the second database sees the first one's table");
    let url = one.url();
    drop(one);
    assert!(tables(url, "SELECT 1").is_err(), "a dropped database still answers");
}

#[test]
fn a_child_sees_an_empty_home_and_nothing_of_ours() {
    let home = Home::new();
    let ended = process::run(shell(&home, "pwd; echo \"$HOME\"; env | grep -c -e BREVET -e CARGO; ls -A"));
    let path = home.path().to_str().unwrap();
    assert_eq!(ended.stdout, format!("{path}\n{path}\n0\n"), "{ended:#?}");
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn both_outputs_are_captured_and_a_line_can_be_awaited() {
    let home = Home::new();
    let child = process::start(shell(&home, "echo said; echo cried >&2; echo ready at 7; sleep 60"));
    assert_eq!(child.wait_for("ready"), "ready at 7");
    assert_eq!(child.said(Stream::Out), "said\nready at 7\n");
    child.wait_for("cried");
    assert_eq!(child.said(Stream::Err), "cried\n");
}

#[test]
#[should_panic(expected = "no line with \"ready\"")]
fn a_child_that_ends_without_the_line_fails_the_test_at_once() {
    let home = Home::new();
    process::start(shell(&home, "echo not yet")).wait_for("ready");
}

#[test]
fn a_child_never_outlives_its_test() {
    let home = Home::new();
    let runs = |id: u32| Path::new(&format!("/proc/{id}")).exists();
    let child = process::start(home.command("/bin/sleep"));
    drop(child);
    let mut command = home.command("/bin/sleep");
    command.arg("60");
    let child = process::start(command);
    let id = child.id();
    if cfg!(target_os = "linux") {
        assert!(runs(id));
    }
    drop(child);
    assert!(!runs(id));
}

#[test]
fn a_child_can_be_asked_to_end_and_can_be_killed() {
    let home = Home::new();
    let waits = "trap 'echo orderly; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let child = process::start(shell(&home, waits));
    child.wait_for("ready");
    child.terminate();
    let ended = child.finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(3), "ready\norderly\n"));

    let mut command = home.command("/bin/sleep");
    command.arg("60");
    assert_eq!(process::start(command).kill().code(), None);
}

#[test]
fn the_binary_under_test_runs() {
    let ended = process::run(Home::new().brevet([]));
    assert!(!ended.stderr.contains("panicked"), "{ended:#?}");
}

/// The clients run and tell an unreachable issuer as a fault, so that `"ok": true` means something elsewhere.
#[test]
fn foreign_verifiers_run_and_can_refuse() {
    // Port 9 of loopback (discard): nothing listens there.
    let flags = ["--token", "a.b.c", "--issuer", "http://127.0.0.1:9", "--audience", "x"];
    for client in [clients::python("verify_pyjwt.py"), clients::node("verify_jose.mjs")] {
        let Some(client) = client else { continue };
        let answer = client.args(flags).run().json();
        assert_eq!(answer["ok"], false, "{answer}");
        assert!(answer["error"].is_string() && answer["message"].is_string(), "{answer}");
    }
}

#[test]
fn foreign_aws_clients_run_and_can_refuse() {
    let nobody = "http://127.0.0.1:9";
    let Some(assume) = clients::python("boto3_assume.py") else { return };
    let role = ["--role-arn", "arn:aws:iam::111122223333:role/x", "--session-name", "nobody", "--token", "a.b.c"];
    let answer = assume.args(["--endpoint-url", nobody, "--region", "us-east-1"]).args(role).run().json();
    assert_eq!(answer["code"], "EndpointConnectionError", "{answer}");

    let Some(converse) = clients::python("boto3_converse_stream.py") else { return };
    let caller = ["--access-key-id", "AKIAIOSFODNN7EXAMPLE", "--secret-access-key", "x"];
    let place = ["--endpoint-url", nobody, "--region", "us-east-1", "--model", "m"];
    let answer = converse.args(place).args(caller).run().json();
    assert_eq!(answer["code"], "EndpointConnectionError", "{answer}");

    let Some(cli) = clients::aws_cli() else { return };
    assert!(cli.home().read_dir().unwrap().next().is_none(), "no profile of anybody's");
    let cli = cli.args(["sts", "get-caller-identity"]).env("AWS_ENDPOINT_URL_STS", nobody);
    let ended = cli.env("AWS_DEFAULT_REGION", "us-east-1").run();
    assert!(!ended.status.success(), "{ended:#?}");
    assert!(ended.stderr.contains("Unable to locate credentials"), "{ended:#?}");
}
