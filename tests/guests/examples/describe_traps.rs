//! Traps when it is asked which handlers it has.

#![expect(unsafe_code, reason = "wit-bindgen writes it")]

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "windlass:job/sync-module" });
}

use bindings::{
    export,
    exports::windlass::job::handlers::{Guest, Job, JobError, Manifest},
};

struct Component;

impl Guest for Component {
    fn describe() -> Manifest {
        panic!("this guest does not say what it can do");
    }

    fn run(_job: Job) -> Result<Option<String>, JobError> {
        Ok(None)
    }
}

export!(Component with_types_in bindings);
