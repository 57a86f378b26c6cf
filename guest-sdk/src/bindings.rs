//! The contract as wit-bindgen renders it. Nothing outside this crate names these types: the public ones are made for
//! people, and the contract may grow without changing them.
//!
//! There are two worlds rather than one, so that a component exports only the interfaces that it has handlers for: one
//! without async handlers runs on hosts that do not offer async components at all.

#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unsafe_code,
    unused_qualifications,
    rust_2018_idioms,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    clippy::uninlined_format_args,
    clippy::unwrap_used,
    reason = "generated code"
)]

pub mod sync_module {
    wit_bindgen::generate!({
        path: "../wit",
        world: "sync-module",
        runtime_path: "::windlass_guest::__private::wit_bindgen::rt",
        pub_export_macro: true,
        export_macro_name: "export_sync_module",
        default_bindings_module: "::windlass_guest::__private::sync_module",
        additional_derives: [Clone],
    });
}

pub mod async_module {
    wit_bindgen::generate!({
        path: "../wit",
        world: "async-module",
        runtime_path: "::windlass_guest::__private::wit_bindgen::rt",
        pub_export_macro: true,
        export_macro_name: "export_async_module",
        default_bindings_module: "::windlass_guest::__private::async_module",
        with: {
            "windlass:job/types@0.1.0": crate::bindings::sync_module::windlass::job::types,
            "windlass:job/log@0.1.0": crate::bindings::sync_module::windlass::job::log,
            "windlass:job/context@0.1.0": crate::bindings::sync_module::windlass::job::context,
            "windlass:job/config@0.1.0": crate::bindings::sync_module::windlass::job::config,
            "windlass:job/queue@0.1.0": crate::bindings::sync_module::windlass::job::queue,
        },
    });
}

#[cfg(target_family = "wasm")]
pub use sync_module::windlass::job::{config, context, log};
pub use sync_module::windlass::job::{queue, types};
