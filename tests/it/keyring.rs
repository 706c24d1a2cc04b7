//! Sessions in the system's keyring: the real binary, built with the feature `keyring`, before a gnome-keyring of its own
//! on a private D-Bus. Skipped where `dbus-daemon` or `gnome-keyring-daemon` is not installed.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::process::{self, Ended};
use crate::support::served::Served;

/// A session bus with an unlocked keyring on it. Both end with the value.
struct Bus {
    address: String,
    daemon: Child,
    keyring: Child,
}

impl Bus {
    /// In the home of `served`, so that nobody else's keyring is touched.
    fn start(served: &Served) -> Option<Self> {
        let mut bus = served.home.command("dbus-daemon");
        bus.args(["--session", "--nofork", "--print-address"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut daemon) = bus.spawn() else { return skipped() };
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        let mut keyring = served.home.command("gnome-keyring-daemon");
        keyring.args(["--foreground", "--unlock", "--components=secrets"]).env("DBUS_SESSION_BUS_ADDRESS", &address);
        keyring.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut keyring) = keyring.spawn() else {
            end(&mut daemon);
            return skipped();
        };
        // The password is what stands before the end of its input.
        keyring.stdin.take().unwrap().write_all(b"only for tests").unwrap();
        let bus = Self { address, daemon, keyring };
        while !bus.has_a_keyring(served) {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Some(bus)
    }

    fn has_a_keyring(&self, served: &Served) -> bool {
        let mut asked = served.home.command("dbus-send");
        asked.args([
            "--session",
            "--print-reply",
            "--dest=org.freedesktop.DBus",
            "/",
            "org.freedesktop.DBus.NameHasOwner",
        ]);
        asked.arg("string:org.freedesktop.secrets").env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        process::run(asked).stdout.contains("boolean true")
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        end(&mut self.keyring);
        end(&mut self.daemon);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn skipped<T>() -> Option<T> {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a-test");
    writeln!(std::io::stderr(), "skipped: {name} needs dbus-daemon and gnome-keyring-daemon").unwrap();
    None
}

fn command(served: &Served, bus: Option<&Bus>, arguments: &[&str]) -> Command {
    let mut command = served.home.brevet(arguments.iter().copied());
    command.env("BREVET_ISSUER", &served.url);
    // Without one, nothing of this machine's is found either.
    command.env("DBUS_SESSION_BUS_ADDRESS", bus.map_or("unix:path=/nowhere/bus", |bus| &bus.address));
    command
}

fn brevet(served: &Served, bus: Option<&Bus>, arguments: &[&str]) -> Ended {
    process::run(command(served, bus, arguments))
}

fn code(served: &Served) -> String {
    served.admin(&["admin", "enrolment-codes", "create", "--user", "ann"])
}

fn refreshes(served: &Served) -> usize {
    let rows = served.admin(&["admin", "audit", "--action", "session.refresh", "--json"]);
    serde_json::from_str::<Value>(&rows).unwrap()["items"].as_array().unwrap().len()
}

/// Lets the access token in the keyring have run out, by way of another client of the Secret Service.
fn spend(served: &Served, bus: &Bus, name: &str) {
    let attributes = ["service", "brevet", "username", name];
    let mut lookup = served.home.command("secret-tool");
    lookup.arg("lookup").args(attributes).env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
    let mut session: Value = serde_json::from_str(&process::run(lookup).stdout).unwrap();
    session["expires_at"] = "2020-01-01T00:00:00Z".into();
    let mut store = served.home.command("secret-tool");
    store.args(["store", "--label", "brevet"]).args(attributes).env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
    let mut child = store.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(session.to_string().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn threat_31_a_session_lives_in_the_keyring_and_no_file_holds_a_token() {
    let served = Served::start();
    served.furnish();
    let Some(bus) = Bus::start(&served) else { return };
    let signed_in = brevet(&served, Some(&bus), &["login", "--keyring", "--code", &code(&served)]);
    assert_eq!(signed_in.code(), Some(0), "{signed_in:#?}");
    let text = fs::read_to_string(served.session_file()).unwrap();
    assert!(!text.contains("bvt_"), "{text}");
    let pointer: Value = serde_json::from_str(&text).unwrap();
    let name = pointer["keyring"].as_str().unwrap();
    assert!(name.starts_with(&served.url), "{name}");

    // One refresh for all commands at once: the lock is a file's.
    if process::run({
        let mut tool = served.home.command("sh");
        tool.args(["-c", "command -v secret-tool"]);
        tool
    })
    .code()
        == Some(0)
    {
        spend(&served, &bus, name);
        let running: Vec<_> = (0..20).map(|_| process::start(command(&served, Some(&bus), &["token"]))).collect();
        for one in running {
            let ended = one.finish();
            assert_eq!((ended.code(), ended.stdout.trim().split('.').count()), (Some(0), 3), "{ended:#?}");
        }
        assert_eq!(refreshes(&served), 1);
        assert_eq!(fs::read_to_string(served.session_file()).unwrap(), text, "what the file says stays true");
    }

    // A new sign-in, to a file: the keyring forgets.
    let moved = brevet(&served, Some(&bus), &["login", "--code", &code(&served)]);
    assert_eq!(moved.code(), Some(0), "{moved:#?}");
    assert!(fs::read_to_string(served.session_file()).unwrap().contains("bvt_rt_"));
    let back = brevet(&served, Some(&bus), &["login", "--keyring", "--code", &code(&served)]);
    assert_eq!(back.code(), Some(0), "{back:#?}");
    assert_eq!(brevet(&served, Some(&bus), &["whoami"]).code(), Some(0));
    let logout = brevet(&served, Some(&bus), &["logout"]);
    assert_eq!(logout.code(), Some(0), "{logout:#?}");
    assert!(brevet(&served, Some(&bus), &["token"]).stderr.contains("not signed in"));
}

#[test]
fn without_a_secret_service_a_person_is_told_before_signing_in_and_can_fall_back() {
    let served = Served::start();
    served.furnish();
    let code = code(&served);
    let refused = brevet(&served, None, &["login", "--keyring", "--code", &code]);
    assert_eq!(refused.code(), Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("the keyring of this system cannot be used"), "{refused:#?}");
    assert!(refused.stderr.contains("`brevet login` without --keyring"), "{refused:#?}");
    // The code was not used up.
    assert_eq!(brevet(&served, None, &["login", "--code", &code]).code(), Some(0));
    assert_eq!(brevet(&served, None, &["token"]).code(), Some(0));
    // A session that is in a keyring which has gone.
    fs::write(served.session_file(), format!(r#"{{"issuer":"{}","keyring":"x"}}"#, served.url)).unwrap();
    let refused = brevet(&served, None, &["token"]);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr.contains("the keyring of this system cannot be used"), "{refused:#?}");
}
