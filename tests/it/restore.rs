//! Restoring an older backup, as docs/operations.md says it: what comes back, and what tombstones keep from coming back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::support::postgres::{self, TestDatabase};
use crate::support::process::{self, Ended, Home};
use crate::support::served::{Served, free_port};

/// The database of an installation, and how its kind of database is backed up and restored.
enum Database {
    Sqlite,
    Postgres(TestDatabase),
}

#[track_caller]
fn ok(ended: Ended) -> Ended {
    assert_eq!(ended.code(), Some(0), "{ended:#?}");
    ended
}

impl Database {
    fn variables(&self, kek: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::Sqlite => Vec::new(),
            Self::Postgres(database) => vec![("DATABASE_URL", database.url()), ("BREVET_KEK", kek.to_owned())],
        }
    }

    /// Beside the running issuer.
    fn back_up(&self, served: &Served) {
        match self {
            Self::Sqlite => {
                ok(served.beside(&["store", "backup", "backup"]));
                let again = served.beside(&["store", "backup", "backup"]);
                assert!(again.code() == Some(1) && again.stderr.contains("exists"), "{again:#?}");
            }
            Self::Postgres(database) => {
                let mut dump = served.home.command("pg_dump");
                dump.args(["--no-owner", "--file", "backup", &database.url()]);
                ok(process::run(dump));
                fs::set_permissions(served.home.path().join("backup"), fs::Permissions::from_mode(0o600)).unwrap();
                let refused = served.beside(&["store", "backup", "copy"]);
                assert!(refused.code() == Some(2) && refused.stderr.contains("pg_dump"), "{refused:#?}");
            }
        }
    }

    /// While the issuer is stopped, in the place of what is there.
    fn restore(&mut self, served: &mut Served, kek: &str) {
        match self {
            Self::Sqlite => {
                let there = served.beside(&["store", "restore", "backup"]);
                assert_eq!(there.code(), Some(1), "{there:#?}");
                assert!(there.stderr.contains("move the old database and what is beside it away"), "{there:#?}");
                for file in ["brevet.db", "brevet.db-wal", "brevet.db-shm"] {
                    let path = served.home.path().join(file);
                    if path.exists() {
                        fs::rename(&path, path.with_extension("lost")).unwrap();
                    }
                }
                let garbage = served.home.path().join("garbage");
                fs::write(&garbage, "no database").unwrap();
                let refused = served.beside(&["store", "restore", "garbage"]);
                assert_eq!(refused.code(), Some(1), "{refused:#?}");
                assert!(!served.home.path().join("brevet.db").exists(), "what is no store is not restored");
                ok(served.beside(&["store", "restore", "backup"]));
            }
            Self::Postgres(database) => {
                let empty = postgres::database().expect("there was one");
                let mut psql = served.home.command("psql");
                psql.args(["--quiet", "--set", "ON_ERROR_STOP=1", "--file", "backup", &empty.url()]);
                ok(process::run(psql));
                *database = empty;
                served.variables = self.variables(kek);
            }
        }
    }
}

fn kid_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

/// The kids that an issuer publishes; none where there is no such issuer.
fn published(at: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let settings = brevet::fetch::Settings {
        reach: brevet::fetch::Reach::public().and_loopback(),
        ..brevet::fetch::Settings::default()
    };
    let client = brevet::fetch::Client::new(settings).unwrap();
    let jwks = match runtime.block_on(client.document(&format!("{at}/.well-known/jwks.json"))) {
        Ok(jwks) => jwks,
        Err(brevet::fetch::FetchError::Status(404)) => return Vec::new(),
        Err(other) => panic!("{at}: {other}"),
    };
    let jwks: Value = serde_json::from_slice(&jwks).unwrap();
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn states(served: &Served) -> Vec<(String, String)> {
    let listed: Value = serde_json::from_str(&served.admin(&["keys", "list", "--json"])).unwrap();
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    listed["items"].as_array().unwrap().iter().map(|key| (text(key, "kid"), text(key, "state"))).collect()
}

fn state(served: &Served, kid: &str) -> Option<String> {
    states(served).into_iter().find(|(key, _)| key == kid).map(|(_, state)| state)
}

fn taken(served: &Served, arguments: &[&str]) {
    let refused = served.brevet(Some(&served.admin_key), arguments);
    assert_eq!(refused.code(), Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("uids are never reused"), "{refused:#?}");
}

/// Mint, back up, go on, restore: without tombstones, and with them.
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn an_older_backup_is_restored(mut database: Database) {
    let home = Home::new();
    let kek = process::run(home.brevet(["keys", "init-kek", "--print"])).stdout.trim().to_owned();
    let url = format!("http://127.0.0.1:{}", free_port());
    let mut served = Served::start_with(home, &url, database.variables(&kek));
    let bot = served.furnish();
    let token = |served: &Served| served.succeeds(Some(&bot), &["token"]);
    let create = |kind: &'static str, uid: &'static str| ["admin", kind, "create", "--uid", uid, "--name", uid];
    let agent =
        |uid: &'static str| ["admin", "service-accounts", "create", "--team", "red", "--uid", uid, "--name", uid];
    let first = kid_of(&token(&served));
    for uid in ["green", "grey"] {
        served.admin(&create("teams", uid));
    }
    served.admin(&["admin", "issuer", "make", "--team", "green"]);
    served.admin(&["admin", "policy", "set", "--team", "green", "--minted-by", "private"]);
    let destroyed = format!("{url}/t/green");
    assert_eq!(published(&destroyed).len(), 2);
    database.back_up(&served);

    // What the backup does not know: keys follow each other and one is distrusted, some go and some come.
    served.admin(&["keys", "rotate"]);
    let last = token(&served);
    let second = kid_of(&last);
    served.admin(&["keys", "distrust", &first, "--yes"]);
    served.admin(&["admin", "users", "delete", "ann"]);
    served.admin(&create("users", "bob"));
    served.admin(&agent("gone"));
    served.admin(&["admin", "service-accounts", "delete", "--team", "red", "gone"]);
    served.admin(&agent("late"));
    served.admin(&create("teams", "blue"));
    served.admin(&["admin", "teams", "delete", "grey"]);
    served.admin(&["admin", "policy", "set", "--team", "green", "--minted-by", "shared"]);
    served.admin(&["admin", "issuer", "delete", "--team", "green"]);
    served.admin(&["admin", "issuer", "make", "--team", "red"]);
    let private = format!("{url}/t/red");
    let mut private_keys = published(&private);
    // A standby is listed before it is published.
    let mut newest = loop {
        let kids = published(&url);
        if states(&served).iter().any(|(kid, state)| state == "next" && kids.contains(kid)) {
            break kids;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    ok(served.beside(&["store", "export-tombstones", "tombstones"]));
    for file in ["backup", "tombstones"] {
        let mode = fs::metadata(served.home.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    served.stop();

    // The backup alone: everything is as it was then, for better and worse.
    database.restore(&mut served, &kek);
    served.serve();
    assert_eq!(kid_of(&token(&served)), first, "it signs with the key of then, distrusted or not");
    assert_eq!(published(&url), [first.as_str(), second.as_str()], "and publishes those of then");
    served.admin(&["admin", "users", "show", "ann"]);
    assert_eq!(published(&destroyed).len(), 2);
    // The key that signed last is its standby, and needs no wait: tokens of it never failed, and new ones do not.
    served.admin(&["keys", "rotate"]);
    served.admin(&["keys", "distrust", &first, "--yes"]);
    assert_eq!((kid_of(&token(&served)), state(&served, &first).unwrap()), (second.clone(), "revoked".to_owned()));
    // From here on it goes its own way, and the tombstones of the other come too late.
    served.admin(&["keys", "replace-all", "--yes"]);
    served.stop();
    let late = served.beside(&["store", "import-tombstones", "tombstones"]);
    assert_eq!(late.code(), Some(1), "{late:#?}");
    assert!(late.stderr.contains("have gone on since the copy was restored"), "{late:#?}");

    // The backup and the tombstones.
    database.restore(&mut served, &kek);
    let cut = fs::read_to_string(served.home.path().join("tombstones")).unwrap();
    fs::write(served.home.path().join("cut"), &cut[..cut.len() - 20]).unwrap();
    let refused = served.beside(&["store", "import-tombstones", "cut"]);
    assert!(refused.code() == Some(1) && refused.stderr.contains("is none that"), "{refused:#?}");
    let done = ok(served.beside(&["store", "import-tombstones", "tombstones", "--json"])).json();
    assert_eq!(done["ended"], serde_json::json!(["team:grey", "user:ann"]), "{done}");
    assert_eq!(done["reserved"], serde_json::json!(["service_account:gone"]), "{done}");
    let disabled = serde_json::json!(["team:blue", "user:bob", "service_account:late"]);
    assert_eq!(done["disabled"], disabled, "{done}");
    assert_eq!(done["rekeyed"], serde_json::json!([url, private]), "{done}");
    let twice = ok(served.beside(&["store", "import-tombstones", "tombstones"]));
    assert!(twice.stdout.contains("the store knew all of it"), "{twice:#?}");

    served.serve();
    assert_eq!(kid_of(&token(&served)), second, "the key that signed last signs");
    assert_eq!(state(&served, &first).as_deref(), Some("revoked"), "a distrusted key stays distrusted");
    let mut now = published(&url);
    now.sort();
    newest.sort();
    assert_eq!(now, newest, "verifiers find the keys that they know");
    assert!(now.contains(&kid_of(&last)), "a token from before is still good");
    let mut private_now = published(&private);
    private_now.sort();
    private_keys.sort();
    assert_eq!(private_now, private_keys, "the private issuer made since is there with its keys");
    assert!(published(&destroyed).is_empty(), "a destroyed issuer stays destroyed");
    let policy: Value =
        serde_json::from_str(&served.admin(&["admin", "policy", "show", "--team", "green", "--json"])).unwrap();
    assert_eq!(policy["issuer"], "shared", "and does not mint");
    // No uid comes back as somebody else.
    taken(&served, &create("users", "ann"));
    taken(&served, &create("users", "ANN"));
    taken(&served, &create("users", "bob"));
    taken(&served, &agent("gone"));
    taken(&served, &agent("late"));
    taken(&served, &create("teams", "Blue"));
    taken(&served, &create("teams", "grey"));
    let shown: Value = serde_json::from_str(&served.admin(&["admin", "users", "show", "bob", "--json"])).unwrap();
    assert!(shown["disabled_at"].is_string() && shown["name"] == "bob", "{shown}");
    let gone = served.brevet(Some(&served.admin_key), &["admin", "users", "show", "ann"]);
    assert_eq!(gone.code(), Some(1), "who was deleted stays deleted: {gone:#?}");
    let audit = served.admin(&["admin", "audit", "--action", "store.restore", "--json"]);
    assert!(audit.contains("store.restore"), "{audit}");
    served.stop();
}

#[test]
fn threat_14_an_older_sqlite_backup_and_tombstones_bring_back_no_key_and_nobody() {
    an_older_backup_is_restored(Database::Sqlite);
}

#[test]
fn threat_14_an_older_postgres_backup_and_tombstones_bring_back_no_key_and_nobody() {
    let Some(database) = postgres::database() else { return };
    an_older_backup_is_restored(Database::Postgres(database));
}
