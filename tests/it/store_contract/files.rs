//! SQLite's files: their modes and the lock of the one serving process.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use brevet::domain::secret::Secret;
use brevet::store::{Store, StoreError, Target};

use super::world::{NOW, Scene};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn threat_31_every_file_of_the_store_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::Sqlite { path: folder.path().join("brevet.db") };
    let store = Store::connect(&target).await.unwrap();
    store.migrate(NOW).await.unwrap();
    Scene::set(&store).await;
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["brevet.db", "brevet.db-shm", "brevet.db-wal", "brevet.db.lock"]);
}

#[tokio::test]
async fn threat_31_a_file_that_others_may_read_is_refused_by_name_and_mode() {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        for wide in [0o644, 0o660, 0o604] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(format!("brevet.db{suffix}"));
            OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(wide)).unwrap();
            let error = Store::connect(&Target::Sqlite { path: folder.path().join("brevet.db") }).await.unwrap_err();
            assert_eq!(error, StoreError::Permissions { path: path.clone(), mode: wide });
            assert_eq!(mode(&path), wide, "what an operator set is theirs to change");
            let told = error.to_string();
            assert!(told.contains(path.to_str().unwrap()) && told.contains(&format!("{wide:04o}")), "{told}");
        }
    }
}

#[tokio::test]
async fn one_process_serves_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("brevet.db");
    let target = Target::Sqlite { path: path.clone() };
    let first = Store::connect(&target).await.unwrap();
    let error = Store::connect(&target).await.unwrap_err();
    assert_eq!(error, StoreError::Locked(path.clone()));
    assert!(error.to_string().contains(path.to_str().unwrap()));
    first.close().await;
    drop(first);
    Store::connect(&target).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("brevet.db");
    let error = Store::connect(&Target::Sqlite { path }).await.unwrap_err();
    assert!(matches!(&error, StoreError::File { .. }) && error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn threat_31_no_error_repeats_the_password_of_the_url() {
    for url in [
        "postgres://brevet:hunter2@127.0.0.1:1/brevet",
        "postgres://brevet:hunter2@127.0.0.1:99999/brevet",
        "mysql://brevet:hunter2@127.0.0.1/brevet",
        "hunter2",
    ] {
        let error = Store::connect(&Target::Postgres { url: Secret::new(url.to_owned()) }).await.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
