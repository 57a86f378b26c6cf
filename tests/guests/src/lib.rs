//! Components that misbehave, one for each file in `examples/`, and `mixed`, which behaves. Here is only what several of
//! those that do without the SDK share.

/// The manifest of a module with one sync handler that leaves everything to the operator. A macro, since each component
/// has its own generated types.
#[macro_export]
macro_rules! manifest {
    ($bindings:ident, $handler:literal) => {{
        use $bindings::windlass::job::types::{Handler, Manifest};
        Manifest {
            name: $handler.to_owned(),
            version: "0.1.0".to_owned(),
            sdk: "none".to_owned(),
            handlers: vec![Handler {
                name: $handler.to_owned(),
                summary: None,
                queue: None,
                priority: None,
                max_attempts: None,
                retry: None,
                timeout: None,
                cancel_grace: None,
                fuel: None,
                memory: None,
                payload_schema: None,
                result_schema: None,
                redact: Vec::new(),
                schedules: Vec::new(),
                extensions: Vec::new(),
            }],
        }
    }};
}
