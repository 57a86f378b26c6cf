//! What was thrown at random, thrown again: the corpora of the fuzz targets that need no host.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "these are tests, helpers included")]

#[expect(unreachable_pub, reason = "it is what the fuzz targets call")]
#[path = "../../../fuzz/src/cron.rs"]
mod cron;
#[expect(unreachable_pub, reason = "it is what the fuzz targets call")]
#[path = "../../../fuzz/src/cursor.rs"]
mod cursor;

use std::{fs, path::Path};

fn replay(target: &str, fuzz: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "the corpus of {target} is empty");
    for file in files {
        println!("{}", file.display());
        fuzz(&fs::read(file).unwrap());
    }
}

#[test]
fn expressions_of_recurring_jobs_are_taken_or_refused() {
    replay("cron", cron::fuzz);
}

#[test]
fn cursors_are_taken_or_refused() {
    replay("cursor", cursor::fuzz);
}
