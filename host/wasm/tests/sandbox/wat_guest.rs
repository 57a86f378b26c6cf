//! Guests for tests, written as core modules in the text format and wrapped into components.
//!
//! A test gives what is particular: imports and the body of `run`. The rest, which every guest has, is here: memory, an
//! allocator that never frees, and a `describe` that tells of one handler named `test`.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Parts of WASI that the guests use, as small as they can be, and a world for each mode.
const WIT: &str = r#"
    package test:guests;

    world common {
        include windlass:job/guest@0.1.0;
        import wasi:io/poll@0.2.0;
        import wasi:io/streams@0.2.0;
        import wasi:clocks/monotonic-clock@0.2.0;
        import wasi:cli/exit@0.2.0;
        import wasi:cli/stdout@0.2.0;
        import wasi:cli/stderr@0.2.0;
    }
    world sync-guest { include common; export windlass:job/handlers@0.1.0; }
    world async-guest { include common; export windlass:job/async-handlers@0.1.0; }

    package wasi:io@0.2.0 {
        interface poll { resource pollable { block: func(); } }
        interface error { resource error; }
        interface streams {
            use error.{error};
            variant stream-error { last-operation-failed(error), closed }
            resource output-stream {
                blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
            }
        }
    }
    package wasi:clocks@0.2.0 {
        interface monotonic-clock {
            use wasi:io/poll@0.2.0.{pollable};
            subscribe-duration: func(when: u64) -> pollable;
        }
    }
    package wasi:cli@0.2.0 {
        interface exit { exit: func(status: result); }
        interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
        interface stderr { use wasi:io/streams@0.2.0.{output-stream}; get-stderr: func() -> output-stream; }
    }
"#;

/// Memory up to 1,024 is the manifest's, and all zeros from there to 2,048, where `run` may put its result: zeros are
/// "ok, with nothing". Text of a test starts at 4,096.
const COMMON: &str = r#"
    (memory (export "memory") 2)
    (global $next (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
        (global.get $next)
        (global.set $next (i32.add (global.get $next) (local.get 3))))
    (data (i32.const 16) "test")
    (data (i32.const 32)
        "\10\00\00\00\04\00\00\00" "\10\00\00\00\04\00\00\00" "\10\00\00\00\04\00\00\00" "\80\00\00\00\01\00\00\00")
    (data (i32.const 128) "\10\00\00\00\04\00\00\00")
"#;

/// A component with a sync handler. `imports` come first in the module, `body` has the job's address in `$job` and
/// leaves the address of the result.
pub(crate) fn sync_guest(imports: &str, items: &str, body: &str) -> Vec<u8> {
    let handlers = "windlass:job/handlers@0.1.0";
    component(
        "sync-guest",
        &format!(
            r#"(module {imports} {COMMON} {items}
                (func (export "{handlers}#describe") (result i32) (i32.const 32))
                (func (export "{handlers}#run") (param $job i32) (result i32) {body}))"#
        ),
    )
}

/// A component with an async handler. `body` and `callback` leave what to do next: 0 it has ended, 1 call again, or
/// 2 + 16 × a waitable set.
pub(crate) fn async_guest(imports: &str, body: &str, callback: &str) -> Vec<u8> {
    let handlers = "windlass:job/async-handlers@0.1.0";
    component(
        "async-guest",
        &format!(
            r#"(module {imports}
                (import "[export]{handlers}" "[task-return]run"
                    (func $task_return (param i32 i32 i64 i32 i32 i32 i32 i32 i32 i32)))
                (func $return_nothing
                    (call $task_return (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0)
                        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
                {COMMON}
                (func (export "{handlers}#describe") (result i32) (i32.const 32))
                (func (export "[async-lift]{handlers}#run") (param $job i32) (result i32) {body})
                (func (export "[callback][async-lift]{handlers}#run") (param i32 i32 i32) (result i32) {callback}))"#
        ),
    )
}

/// A component of the world that is this core module.
pub(crate) fn component(world: &str, core: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
    let package = resolve.push_str("guests.wit", WIT).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(core).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}
