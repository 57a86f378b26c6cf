//! What fuzz targets throw things at, and what must hold whatever comes. There for tests and for fuzzing alone.
#![expect(clippy::expect_used, reason = "what cannot fail must not fail here either")]
#![allow(missing_docs, reason = "nobody but the fuzz targets calls these")]

mod guest;
mod request;

pub use self::{guest::guest, request::request};
use crate::modules;

/// A component as it is uploaded, with its signature after the first line break: looked at before anything is compiled.
pub fn upload(bytes: &[u8]) {
    const LIMIT: u64 = 1 << 16;
    let checked = windlass_wasm::check_bytes(bytes, LIMIT);
    if checked.is_ok() {
        assert!(bytes.starts_with(b"\0asm") && bytes.len() as u64 <= LIMIT, "only what looks like a component goes on");
    }
    let at = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (signed, signature) = bytes.split_at(at);
    let signature = String::from_utf8_lossy(signature);
    assert!(!modules::is_signed(signed, signature.trim_start()), "nobody has the key that would sign it");
}

#[cfg(test)]
mod tests {
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
    fn uploads_are_taken_or_refused() {
        replay("upload", super::upload);
    }

    #[test]
    fn requests_are_answered_and_never_by_a_failure_of_the_host() {
        replay("request", super::request);
    }

    #[test]
    fn what_a_guest_hands_over_is_taken_or_refused() {
        replay("guest", super::guest);
    }
}
