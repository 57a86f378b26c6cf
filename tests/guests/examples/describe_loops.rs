//! Never finishes saying which handlers it has.

#![expect(unsafe_code, reason = "wit-bindgen writes it")]

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "windlass:job/sync-module" });
}

use std::hint::black_box;

use bindings::{
    export,
    exports::windlass::job::handlers::{Guest, Job, JobError, Manifest},
};

struct Component;

impl Guest for Component {
    fn describe() -> Manifest {
        let mut rounds: u64 = 0;
        loop {
            rounds = black_box(rounds.wrapping_add(1));
        }
    }

    fn run(_job: Job) -> Result<Option<String>, JobError> {
        Ok(None)
    }
}

export!(Component with_types_in bindings);
