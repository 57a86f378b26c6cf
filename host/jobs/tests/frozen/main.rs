//! Storages as earlier versions of Windlass left them, frozen in this folder: one folder for each minor version, in it one
//! file for each backend in a form that the backend's own tools read, beside what they hold as an export. This version
//! reads them and goes on where they were left.
//!
//! `WINDLASS_FREEZE=1` freezes what this version writes, into the last folder. Do that only while that version is not
//! released: afterwards what changes needs a new folder, and a migration that these tests then run.
#![cfg(all(feature = "sqlite", feature = "postgres", feature = "redis"))]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod backend;
mod life;

use std::{env, fs, path::PathBuf};

use windlass_jobs::storage::{OpenOptions, Storage};

use self::backend::Backend;

/// The versions whose storages this one reads.
const VERSIONS: [&str; 1] = ["0.1"];

#[tokio::test]
async fn an_sqlite_file_of_each_version_is_read_and_gone_on_with() {
    each_version(Backend::Sqlite).await;
}

#[tokio::test]
async fn a_postgresql_schema_of_each_version_is_read_and_gone_on_with() {
    each_version(Backend::Postgres).await;
}

#[tokio::test]
async fn a_redis_namespace_of_each_version_is_read_and_gone_on_with() {
    each_version(Backend::Redis).await;
}

async fn each_version(backend: Backend) {
    if env::var_os("WINDLASS_FREEZE").is_some() {
        freeze(backend).await;
    }
    for version in VERSIONS {
        let room = backend.room();
        room.restore(&fs::read_to_string(file(version, backend, "")).unwrap()).await;
        // As an operator would before the first new host, so that what comes out is seen before one changes it.
        room.migrate().await;
        // A host would begin by putting right what the last one left.
        let storage = room.open(OpenOptions::default()).await;
        let expected = fs::read_to_string(file(version, backend, ".jsonl")).unwrap();
        assert_eq!(export(&*storage).await, in_todays_words(version, &expected), "{backend:?}, {version}");
        let running = life::running(&*storage).await;
        storage.close().await;
        drop(storage);
        life::go_on(&*room.open(OpenOptions::host()).await, running).await;
    }
}

/// An export of an earlier version as this one writes it.
fn in_todays_words(version: &str, export: &str) -> String {
    match version {
        // When a job that has ended is removed; today's word of that name is of when one expires that was not started.
        "0.1" => export.replace("\"expires_at\":", "\"removed_at\":"),
        _ => export.to_owned(),
    }
}

async fn freeze(backend: Backend) {
    let room = backend.room();
    let storage = room.open(OpenOptions::host()).await;
    life::begin(&*storage).await;
    let records = export(&*storage).await;
    storage.close().await;
    drop(storage);
    let newest = VERSIONS[VERSIONS.len() - 1];
    fs::create_dir_all(file(newest, backend, "").parent().unwrap()).unwrap();
    fs::write(file(newest, backend, ""), room.dump().await).unwrap();
    fs::write(file(newest, backend, ".jsonl"), records).unwrap();
}

fn file(version: &str, backend: Backend, suffix: &str) -> PathBuf {
    let name = format!("{}{suffix}", backend.file());
    [env!("CARGO_MANIFEST_DIR"), "tests/frozen", version, &name].iter().collect()
}

/// Everything that a storage holds, a line for each record.
async fn export(storage: &dyn Storage) -> String {
    let page = storage.export(None, 1_000).await.unwrap();
    assert_eq!(page.next, None);
    let lines = page.items.iter().map(|record| serde_json::to_string(record).unwrap() + "\n");
    lines.collect()
}
