//! `brevet serve` on PostgreSQL: the key-encryption key that must be given, two replicas, the admin API on its own
//! listener.

use std::fs;

use serde_json::Value;

use crate::support::postgres;
use crate::support::process::{self, Home, Running};
use crate::support::served::{Served, free_port};

const ISSUER: &str = "http://127.0.0.1:9";

/// A replica in a home of its own: nothing but database and key-encryption key is shared.
struct Replica {
    home: Home,
    running: Running,
    public: String,
    admin: String,
}

impl Replica {
    fn start(database: &str, kek: &str) -> Self {
        let home = Home::new();
        let public = format!("127.0.0.1:{}", free_port());
        let mut command = serve(&home, database);
        command.env("BREVET_KEK", kek).args(["--public-listen", &public]);
        let running = process::start(command);
        let line: Value = serde_json::from_str(&running.wait_for("\"serving\"")).expect("a JSON line");
        let admin = format!("http://{}", line["admin"].as_str().expect("an address"));
        assert!(line["store"].as_str().expect("a store").starts_with("PostgreSQL, "), "{line}");
        Self { home, running, public, admin }
    }

    fn admin(&self, key: &str, arguments: &[&str]) -> process::Ended {
        let mut command = self.home.brevet(arguments.iter().copied());
        command.env("BREVET_ISSUER", format!("http://{}", self.public));
        command.env("BREVET_ADMIN_URL", &self.admin).env("BREVET_TOKEN", key);
        process::run(command)
    }
}

fn serve(home: &Home, database: &str) -> std::process::Command {
    let mut command = home.brevet(["serve", "--development", "--issuer-url", ISSUER]);
    command.args(["--admin-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]).env("DATABASE_URL", database);
    command
}

#[test]
fn two_replicas_serve_one_issuer_and_none_makes_its_own_key_encryption_key() {
    let Some(database) = postgres::database() else { return };
    let home = Home::new();
    let mut without = serve(&home, &database.url());
    without.args(["--public-listen", "127.0.0.1:0"]);
    let refused = process::run(without);
    assert_eq!(refused.code(), Some(2), "{refused:#?}");
    assert!(refused.stderr.contains("`brevet keys init-kek`"), "{}", refused.stderr);
    assert!(!home.path().join("keys").exists(), "a replica made a key of its own");

    let kek = process::run(home.brevet(["keys", "init-kek", "--print"])).stdout.trim().to_owned();
    let (one, other) = (Replica::start(&database.url(), &kek), Replica::start(&database.url(), &kek));
    one.running.wait_for("first administrator key");
    let key = fs::read_to_string(one.home.path().join("first-administrator.key")).expect("the first key");
    assert!(!other.home.path().join("first-administrator.key").exists(), "two first administrators");
    let key = key.trim();
    assert_eq!(one.admin(key, &["admin", "teams", "create", "--uid", "red", "--name", "Red"]).code(), Some(0));
    let listed = other.admin(key, &["admin", "teams", "list", "--json"]).json();
    assert_eq!(listed[0]["uid"], "red", "the other replica does not see it");
    let kids = |replica: &Replica| replica.admin(key, &["keys", "list", "--json"]).json()["items"].clone();
    assert_eq!(kids(&one), kids(&other), "the replicas have other keys");

    // The admin API is on its own listener alone.
    let mut lost = other.home.brevet(["admin", "teams", "list"]);
    lost.env("BREVET_ISSUER", format!("http://{}", other.public)).env("BREVET_TOKEN", key);
    let lost = process::run(lost);
    assert_eq!(lost.code(), Some(1));
    assert!(lost.stderr.contains("set --admin-url (BREVET_ADMIN_URL)"), "{}", lost.stderr);

    for replica in [one, other] {
        replica.running.terminate();
        let ended = replica.running.finish();
        assert_eq!(ended.code(), Some(0), "{ended:#?}");
        assert!(!ended.stderr.contains(&kek) && !ended.stderr.contains(key), "threat 31: a secret is in the log");
    }
}

#[test]
fn an_issuer_behind_a_pooler_serves_and_off_is_off() {
    let Some((database, pooled)) = postgres::pooled_database() else { return };
    let home = Home::new();
    let kek = process::run(home.brevet(["keys", "init-kek", "--print"])).stdout.trim().to_owned();
    let variables = vec![("DATABASE_URL", pooled), ("DATABASE_DIRECT_URL", database.url()), ("BREVET_KEK", kek)];
    let mut served = Served::start_with(home, &format!("http://127.0.0.1:{}", free_port()), variables);
    let key = served.furnish();
    for _ in 0..3 {
        assert!(served.succeeds(Some(&key), &["token"]).starts_with("eyJ"));
    }
    let listed = served.admin(&["admin", "service-accounts", "list-keys", "--team", "red", "bot", "--json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let id = listed[0]["id"].as_str().expect("a key");
    served.admin(&["admin", "service-accounts", "delete-key", "--team", "red", "bot", id]);
    let refused = served.brevet(Some(&key), &["token"]);
    assert_eq!(refused.code(), Some(1), "{refused:#?}");
    assert_eq!(served.stop().code(), Some(0));
}
