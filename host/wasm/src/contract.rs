//! The contract in `wit/` as Rust types, shared by both modes. What a handler may import is implemented in
//! `host_calls`; this module only generates and names.

#[allow(clippy::all, unused_qualifications, reason = "generated")]
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "mixed-module",
        imports: {
            "windlass:job/context.get-checkpoint": async | trappable,
            "windlass:job/context.put-checkpoint": async | trappable,
            "windlass:job/context.get-parent": async | trappable,
            "windlass:job/queue.enqueue": async | trappable,
            default: trappable,
        },
        exports: {
            "windlass:job/handlers.describe": async,
            "windlass:job/handlers.run": async,
            "windlass:job/async-handlers.describe": async,
        },
        additional_derives: [PartialEq],
    });
}

pub(crate) use bindings::exports::windlass::job::{async_handlers, handlers};
pub(crate) use bindings::windlass::job::{config, context, log, queue};
pub use bindings::windlass::job::{
    context::{CheckpointError, Parent, ParentError},
    log::Level,
    queue::{EnqueueError, Request, Start},
    types::{Exponential, Failure, Handler, Job, JobError, Manifest, Misfire, RetryPolicy, Schedule},
};
