//! The papers' shell blocks, run as they stand there, in one shell in an empty home: the walk of
//! docs/getting-started.md, and README with docs/worker.md and docs/operations.md against a serving issuer, a worker
//! and the stand-in AWS. Only addresses are exchanged for free loopback ones. What cannot run here is marked `text`.
//! That the lines of the other papers name commands and flags that exist is `papers`' part.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::process::{self, Ended, Home};
use crate::support::served::free_port;

/// A fenced block: what stands behind its fence, and its lines.
struct Block<'a> {
    info: &'a str,
    text: String,
}

fn blocks(paper: &str) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut inside = false;
    for line in paper.lines() {
        if let Some(info) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                found.push(Block { info, text: String::new() });
            }
        } else if inside {
            let text = &mut found.last_mut().expect("a block is open").text;
            text.push_str(line);
            text.push('\n');
        }
    }
    found
}

/// The lines of all shell blocks, in order.
fn shell(paper: &str) -> String {
    blocks(paper).into_iter().filter(|block| block.info == "sh").map(|block| block.text).collect()
}

/// The free addresses of a walk, which take the place of those that a reader has.
struct Ports {
    public: String,
    admin: String,
    worker: String,
    stand_in: String,
}

impl Ports {
    fn free() -> Self {
        let free = || format!("127.0.0.1:{}", free_port());
        Self { public: free(), admin: free(), worker: free(), stand_in: free() }
    }

    /// Runs `script` to its end or its first failing command; what it leaves running ends with it.
    fn walk(&self, home: &Home, script: &str) -> Ended {
        let bin = home.path().join("bin");
        fs::create_dir_all(&bin).expect("a folder");
        symlink(env!("CARGO_BIN_EXE_brevet"), bin.join("brevet")).expect("a link");
        let script = script.replace(" 2>&1 &\n", " 2>&1 & echo $! >> \"$HOME/running\"\n");
        let whole = format!("trap 'kill $(cat \"$HOME/running\") || true' EXIT\n{script}echo walked\n");
        fs::write(home.path().join("walk.sh"), whole).expect("the script is written");
        let mut walk = home.command("sh");
        walk.args(["-eu", "walk.sh"])
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()))
            .env("BREVET_PUBLIC_LISTEN", &self.public)
            .env("BREVET_ADMIN_LISTEN", &self.admin)
            .env("BREVET_WORKER_LISTEN", &self.worker)
            .env("BREVET_OPS_LISTEN", "127.0.0.1:0");
        process::run(walk)
    }
}

#[test]
fn the_walk_of_getting_started_can_be_walked() {
    let paper = include_str!("../../docs/getting-started.md");
    let first_part = paper.split_once("## With a real account").expect("the part ends").0;
    let ports = Ports::free();
    let mut script = shell(first_part);
    assert!(script.lines().count() > 40, "the walk is gone from the paper");
    for (written, free) in [("8080", &ports.public), ("8090", &ports.worker), ("4566", &ports.stand_in)] {
        script = script.replace(&format!("127.0.0.1:{written}"), free);
    }
    script = script.replace("brevet sandbox", &format!("brevet sandbox --listen {}", ports.stand_in));
    let ended = ports.walk(&Home::new(), &script);
    assert_eq!(ended.code(), Some(0), "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.ends_with("walked\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("scoped_principal:red/user:ann"), "{}", ended.stdout);
}

/// The customer's AWS account as `aws setup` has it made, and settings that lead there instead of to AWS.
const ACCOUNT: &str = r#"cat > sandbox.toml <<END
loopback_issuers = true
region = "eu-central-1"
[[provider]]
url = "https://id.example.com"
client_ids = ["sts.amazonaws.com"]
[[role]]
name = "brevet-red"
trust = '$(as_admin brevet aws setup --team red --format trust-policy)'
[role.policies]
bedrock = '$(as_admin brevet aws setup --team red --format permission-policy)'
END
brevet sandbox --listen STAND_IN --config sandbox.toml > sandbox.log 2>&1 &
until grep -q STAND_IN sandbox.log; do sleep 0.2; done
as_admin brevet admin provider-settings set --team red --base-url http://STAND_IN --sts-endpoint http://STAND_IN
sh -n setup.sh
"#;

/// In the place of the AWS CLI, which would ask AWS: `aws sts assume-role-with-web-identity`, and nothing else.
const AWS: &str = r#"#!/bin/sh
[ "$1 $2" = "sts assume-role-with-web-identity" ] || exit 2
shift 2
while [ $# -gt 0 ]; do
  case $1 in
    --role-arn) role=$2 ;;
    --role-session-name) name=$2 ;;
    --web-identity-token) token=$2 ;;
    *) exit 2 ;;
  esac
  shift 2
done
exec curl -sf http://STAND_IN/ -d Action=AssumeRoleWithWebIdentity -d Version=2011-06-15 \
  -d "RoleArn=$role" -d "RoleSessionName=$name" --data-urlencode "WebIdentityToken=$token"
"#;

/// A question to the worker as an SDK asks it, with `$bearer`.
const ASK: &str = r#"curl -sf "$AWS_ENDPOINT_URL_BEDROCK_RUNTIME/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse" \
  -H "Authorization: Bearer $bearer" -H 'Content-Type: application/json' \
  -d '{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}' | grep stopReason
"#;

/// README from top to bottom: the administrator's lines, Ann's, the agent's, the worker's and an SDK's.
fn readme() -> String {
    let mut script = String::new();
    // The opening commands build, run the demo and every test.
    for Block { info, text } in blocks(include_str!("../../README.md")).into_iter().skip(1) {
        let one = text.replace("\\\n", " ");
        let server = one.trim_end();
        if info == "sh" {
            script.push_str(&text);
            if text.contains("setup.sh") {
                script.push_str(ACCOUNT);
            }
        } else if server.starts_with("brevet serve") {
            script.push_str(server);
            script.push_str(" > serve.log 2>&1 &\nuntil [ -s first-administrator.key ]; do sleep 0.2; done\n");
        } else if server.contains("brevet worker --issuer") {
            script.push_str(server);
            script.push_str(" > worker.log 2>&1 &\nuntil grep -q '\"serving\"' worker.log; do sleep 0.2; done\n");
        }
    }
    script.push_str("bearer=$AWS_BEARER_TOKEN_BEDROCK\n");
    script + ASK
}

#[test]
fn the_lines_of_readme_and_of_the_servers_papers_run_as_written() {
    let ports = Ports::free();
    let home = Home::new();
    let mut script = readme();
    for part in ["brevet serve", "aws setup", "brevet login", "aws sts", "builder.key", "brevet worker --issuer"] {
        assert!(script.contains(part), "{part:?} is gone from README");
    }
    script.push_str(&shell(include_str!("../../docs/worker.md")));
    script.push_str("for bearer in \"$AWS_BEARER_TOKEN_BEDROCK\" \"$AWS_SESSION_TOKEN\"; do\n");
    script.push_str(ASK);
    script.push_str("done\n");
    script.push_str(&shell(include_str!("../../docs/operations.md")));
    let local = |text: &str| {
        text.replace("https://id.example.com", &format!("http://{}", ports.public))
            .replace("https://inference.example.com", &format!("http://{}", ports.worker))
            .replace("127.0.0.1:8081", &ports.admin)
            .replace("--behind-tls-proxy", "--development --allowed-endpoints http://STAND_IN")
            .replace("STAND_IN", &ports.stand_in)
    };
    let aws = home.path().join("bin/aws");
    fs::create_dir(home.path().join("bin")).expect("a folder");
    fs::write(&aws, local(AWS)).expect("the stand-in's client is written");
    fs::set_permissions(&aws, fs::Permissions::from_mode(0o755)).expect("it can be run");
    let ended = ports.walk(&home, &local(&script));
    assert_eq!(ended.code(), Some(0), "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.ends_with("walked\n"), "{}", ended.stdout);
    // Ann's lines are Ann's: what an exported administrator's key would have made of them.
    let whoami = ended.stdout.lines().filter(|line| line.contains("scoped_principal:red/user:ann")).count();
    assert!(whoami >= 2, "whoami and STS tell Ann's subject: {}", ended.stdout);
    assert!(ended.stdout.contains("SubjectFromWebIdentityToken"), "{}", ended.stdout);
    assert_eq!(ended.stdout.matches("stopReason").count(), 3, "{}", ended.stdout);
}
