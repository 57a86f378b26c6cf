//! Imports something that no host offers.

#![expect(unsafe_code, reason = "wit-bindgen writes it")]

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package acme:shop;

            interface warehouse {
                stock: func(article: string) -> u32;
            }

            world module {
                include windlass:job/sync-module@0.1.0;
                import warehouse;
            }
        ",
        generate_all,
    });
}

use bindings::{
    acme::shop::warehouse,
    export,
    exports::windlass::job::handlers::{Guest, Job, JobError, Manifest},
};

struct Component;

impl Guest for Component {
    fn describe() -> Manifest {
        windlass_test_guests::manifest!(bindings, "stock")
    }

    fn run(job: Job) -> Result<Option<String>, JobError> {
        Ok(Some(warehouse::stock(&job.payload).to_string()))
    }
}

export!(Component with_types_in bindings);
