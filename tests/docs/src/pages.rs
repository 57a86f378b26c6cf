//! The code of the pages in Rust, as documentation of this crate, so that it is compiled, and run where it is not `no_run`.

macro_rules! pages {
    ($($name:ident: $file:literal;)*) => { $(
        #[doc = include_str!(concat!("../../../docs/src/", $file))]
        mod $name {}
    )* };
}

pages! {
    creating_jobs: "creating-jobs.md";
    flow: "flow.md";
    handlers: "handlers.md";
    index: "index.md";
    integrations_actix: "integrations/actix.md";
    integrations_axum: "integrations/axum.md";
    integrations_rust_client: "integrations/rust-client.md";
    quick_start: "quick-start.md";
    recurring: "recurring.md";
    rust: "rust.md";
    steps: "steps.md";
    storage: "storage.md";
}
