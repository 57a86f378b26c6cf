//! Components that are not taken, each with words that say why.

use windlass_wasm::{Mode, Refusal, RunCause};

use crate::{
    harness::{ENGINE, compiler, compiler_with, load, runtime},
    wat_guest::{async_guest, component, sync_guest},
};

fn refused(bytes: &[u8]) -> Refusal {
    let (compiler, _folder) = compiler();
    runtime().block_on(load(&compiler, bytes)).unwrap_err()
}

#[test]
fn bytes_that_are_no_webassembly_are_refused() {
    for bytes in [&b""[..], b"hello", b"\0as", b"PK\x03\x04"] {
        assert!(matches!(refused(bytes), Refusal::NotWasm), "{bytes:?}");
    }
    assert!(matches!(refused(b"  (component)"), Refusal::WasmText));
}

#[test]
fn a_core_module_is_refused() {
    let refusal = refused(&wat::parse_str("(module)").unwrap());
    assert!(matches!(refusal, Refusal::CoreModule), "{refusal:?}");
    assert!(refusal.to_string().contains("wasm32-wasip2"), "{refusal}");
}

#[test]
fn a_precompiled_artifact_is_refused() {
    let (compiler, folder) = compiler();
    runtime().block_on(load(&compiler, &sync_guest("", "", "(i32.const 1024)"))).unwrap();
    let files = std::fs::read_dir(folder.path().join("cache")).unwrap();
    let compiled =
        files.map(|file| file.unwrap().path()).find(|path| path.extension().is_some_and(|end| end == "cwasm"));
    let refusal = refused(&std::fs::read(compiled.unwrap()).unwrap());
    assert!(matches!(refusal, Refusal::Precompiled), "{refusal:?}");
}

#[test]
fn a_component_that_is_not_valid_is_refused() {
    let mut bytes = sync_guest("", "", "(i32.const 1024)");
    bytes.truncate(bytes.len() / 2);
    let refusal = refused(&bytes);
    assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal:?}");
    assert!(matches!(refused(b"\0asm\x0d\0"), Refusal::Invalid(_)));
}

#[test]
fn a_component_over_the_size_limit_is_refused() {
    let (compiler, _folder) = compiler_with(|options| options.max_component_bytes = 100);
    let refusal = runtime().block_on(load(&compiler, &sync_guest("", "", "(i32.const 1024)"))).unwrap_err();
    assert!(matches!(refusal, Refusal::TooLarge { limit: 100, .. }), "{refusal:?}");
}

#[test]
fn an_import_that_the_host_does_not_offer_is_named() {
    let text = r#"(component
        (import "acme:teapot/brew@1.0.0" (instance (export "pour" (func (param "cups" u32))))))"#;
    let refusal = refused(&wat::parse_str(text).unwrap());
    assert!(matches!(&refusal, Refusal::UnknownImport { name, .. } if name == "acme:teapot/brew@1.0.0"), "{refusal:?}");
    assert!(refusal.to_string().contains("acme:teapot/brew@1.0.0"), "{refusal}");
}

#[test]
fn a_function_that_an_offered_interface_does_not_have_is_named_by_its_interface() {
    let text = r#"(component
        (import "windlass:job/config@0.1.0" (instance (export "set" (func (param "key" string))))))"#;
    let refusal = refused(&wat::parse_str(text).unwrap());
    assert!(
        matches!(&refusal, Refusal::UnknownImport { name, .. } if name == "windlass:job/config@0.1.0"),
        "{refusal:?}"
    );
}

#[test]
fn a_component_without_handlers_is_refused() {
    let refusal = refused(&wat::parse_str("(component)").unwrap());
    assert!(matches!(&refusal, Refusal::NoHandlers(exports) if exports == "nothing"), "{refusal:?}");
    let other =
        r#"(component (component $empty) (instance $i (instantiate $empty)) (export "a:b/c@1.0.0" (instance $i)))"#;
    let refusal = refused(&wat::parse_str(other).unwrap());
    assert!(matches!(&refusal, Refusal::NoHandlers(exports) if exports == "a:b/c@1.0.0"), "{refusal:?}");
}

#[test]
fn handlers_of_another_shape_are_refused() {
    let other = r#"(component (component $empty) (instance $i (instantiate $empty))
        (export "windlass:job/handlers@0.1.0" (instance $i)))"#;
    let refusal = refused(&wat::parse_str(other).unwrap());
    assert!(matches!(refusal, Refusal::WrongShape(_)), "{refusal:?}");
}

#[test]
fn a_component_of_too_many_memories_is_refused() {
    // Every guest of these tests has one of its own.
    let refusal = refused(&sync_guest("", "(memory 1) (memory 1)", "(i32.const 1024)"));
    assert!(matches!(refusal, Refusal::TooDemanding(_)), "{refusal:?}");
    let (compiler, _folder) = compiler();
    assert!(runtime().block_on(load(&compiler, &sync_guest("", "(memory 1)", "(i32.const 1024)"))).is_ok());
}

#[test]
fn a_component_of_too_many_tables_is_refused() {
    let refusal = refused(&sync_guest("", &"(table 1 funcref)".repeat(9), "(i32.const 1024)"));
    assert!(matches!(refusal, Refusal::TooDemanding(_)), "{refusal:?}");
}

fn describe(bytes: &[u8]) -> Result<windlass_wasm::Description, Refusal> {
    let (compiler, _folder) = compiler();
    runtime().block_on(async { load(&compiler, bytes).await.unwrap().describe().await })
}

#[test]
fn a_description_tells_each_handler_with_its_mode() {
    for (mode, bytes) in
        [(Mode::Sync, sync_guest("", "", "unreachable")), (Mode::Async, async_guest("", "unreachable", "unreachable"))]
    {
        let described = describe(&bytes).unwrap();
        assert_eq!((described.name.as_str(), described.handlers.len()), ("test", 1));
        assert_eq!((described.handlers[0].mode, described.handlers[0].handler.name.as_str()), (mode, "test"));
        assert_eq!(described.handlers[0].handler.fuel, None);
    }
}

/// A sync guest whose `describe` is this.
fn describing(items: &str, body: &str) -> Vec<u8> {
    let core = format!(
        r#"(module (memory (export "memory") 1) {items}
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "windlass:job/handlers@0.1.0#describe") (result i32) {body})
            (func (export "windlass:job/handlers@0.1.0#run") (param i32) (result i32) unreachable))"#
    );
    component("sync-guest", &core)
}

#[test]
fn a_describe_that_traps_is_refused() {
    let refusal = describe(&describing("", "unreachable")).unwrap_err();
    assert!(matches!(&refusal, Refusal::DescribeFailed(failure) if failure.cause == RunCause::Trap), "{refusal:?}");
}

#[test]
fn a_describe_that_never_ends_is_refused() {
    let refusal = describe(&describing("", "(loop (br 0)) unreachable")).unwrap_err();
    let Refusal::DescribeFailed(failure) = &refusal else { panic!("{refusal:?}") };
    assert!(matches!(failure.cause, RunCause::OutOfFuel | RunCause::Timeout), "{refusal:?}");
}

#[test]
fn a_description_with_a_name_that_breaks_the_rules_is_refused() {
    let items = r#"(data (i32.const 16) "no spaces") (data (i32.const 32) "\10\00\00\00\09\00\00\00")"#;
    let refusal = describe(&describing(items, "(i32.const 32)")).unwrap_err();
    assert!(matches!(&refusal, Refusal::BadManifest(what) if what.contains("`no spaces`")), "{refusal:?}");
}

#[test]
fn a_description_without_handlers_is_refused() {
    let items = r#"(data (i32.const 16) "test") (data (i32.const 32) "\10\00\00\00\04\00\00\00")"#;
    let refusal = describe(&describing(items, "(i32.const 32)")).unwrap_err();
    assert!(matches!(&refusal, Refusal::BadManifest(what) if what.contains("no handlers")), "{refusal:?}");
}

#[test]
fn a_description_with_too_many_handlers_is_refused() {
    // Zeros for handlers, and more of them than there may be; where they overlap does not matter. 65,536 bytes of
    // memory hold some hundred.
    let items = r#"(data (i32.const 16) "test")
        (data (i32.const 32) "\10\00\00\00\04\00\00\00" "\10\00\00\00\04\00\00\00" "\10\00\00\00\04\00\00\00"
            "\00\04\00\00\2c\01\00\00")"#;
    let body = "(drop (memory.grow (i32.const 10))) (i32.const 32)";
    let refusal = describe(&describing(items, body)).unwrap_err();
    assert!(matches!(&refusal, Refusal::BadManifest(what) if what.contains("300 handlers")), "{refusal:?}");
}

#[test]
fn an_engine_without_wasi_0_3_says_so_in_its_refusal() {
    let options = windlass_wasm::EngineOptions { concurrent_runs: 1, wasi_p3: false, ..Default::default() };
    let engine = windlass_wasm::Engine::new(&options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = windlass_wasm::CompilerOptions::new(crate::harness::program(), folder.path().join("cache"));
    let compiler = windlass_wasm::Compiler::new(engine, options).unwrap();
    let text =
        r#"(component (import "wasi:clocks/monotonic-clock@0.3.0" (instance (export "now" (func (result u64))))))"#;
    let refusal = runtime().block_on(load(&compiler, &wat::parse_str(text).unwrap())).unwrap_err().to_string();
    assert!(refusal.contains("WASI 0.2 and wasi:http only"), "{refusal}");
    assert!(ENGINE.is_pooling());
}
