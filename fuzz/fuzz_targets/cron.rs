#![no_main]

#[path = "../src/cron.rs"]
mod cron;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cron::fuzz(bytes));
