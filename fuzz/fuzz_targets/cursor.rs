#![no_main]

#[path = "../src/cursor.rs"]
mod cursor;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cursor::fuzz(bytes));
