//! Returns text that is not JSON. The SDK would not let it, so this speaks to the host without.

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
        windlass_test_guests::manifest!(bindings, "babble")
    }

    fn run(_job: Job) -> Result<Option<String>, JobError> {
        Ok(Some("{ this is not JSON".to_owned()))
    }
}

export!(Component with_types_in bindings);
