//! What a component's bytes and types say before it is compiled or run.

use crate::{Engine, Refusal, pool};

/// The interface of sync handlers, in any version that is compatible.
pub(crate) const SYNC_HANDLERS: &str = "windlass:job/handlers@0.1.";

/// The interface of async handlers, in any version that is compatible.
pub(crate) const ASYNC_HANDLERS: &str = "windlass:job/async-handlers@0.1.";

/// Looks at the bytes alone: cheap, and with clearer words than a parser's.
///
/// # Errors
/// Where they are too long, or no component.
pub fn check_bytes(bytes: &[u8], limit: u64) -> Result<(), Refusal> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > limit {
        return Err(Refusal::TooLarge { bytes: length, limit });
    }
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(Refusal::Precompiled);
    }
    // `\0asm`, then a version and a layer of two bytes each: layer 0 is a module, layer 1 a component.
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err(Refusal::CoreModule),
        [0, b'a', b's', b'm', ..] => Err(Refusal::Invalid("its header is cut off or of an unknown kind".to_owned())),
        _ if is_text(bytes) => Err(Refusal::WasmText),
        _ => Err(Refusal::NotWasm),
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    start.starts_with(b"(component") || start.starts_with(b"(module")
}

/// Looks at what compiled code needs and gives.
pub(crate) fn check_types(engine: &Engine, compiled: &wasmtime::component::Component) -> Result<(), Refusal> {
    check_demands(engine, compiled)?;
    let types = compiled.component_type();
    if let Err(error) = engine.linker().instantiate_pre(compiled) {
        let reason = error.root_cause().to_string();
        let whole = format!("{error:#}");
        let culprit =
            types.imports(engine.wasmtime()).map(|(name, _)| name).find(|name| whole.contains(&format!("`{name}`")));
        return Err(match culprit {
            Some(name) => Refusal::UnknownImport { name: name.to_owned(), reason, offered: engine.offered() },
            None => Refusal::WrongShape(whole),
        });
    }
    let handlers = |name: &String| name.starts_with(SYNC_HANDLERS) || name.starts_with(ASYNC_HANDLERS);
    if exports(engine, compiled).any(|name| handlers(&name)) {
        return Ok(());
    }
    let names: Vec<String> = exports(engine, compiled).take(10).collect();
    Err(Refusal::NoHandlers(if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }))
}

/// The names of what a component exports.
pub(crate) fn exports(engine: &Engine, compiled: &wasmtime::component::Component) -> impl Iterator<Item = String> {
    let names: Vec<String> =
        compiled.component_type().exports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect();
    names.into_iter()
}

fn check_demands(engine: &Engine, compiled: &wasmtime::component::Component) -> Result<(), Refusal> {
    let too_much = |what: String| Err(Refusal::TooDemanding(what));
    // Absent where the component imports modules, whose needs nobody knows; no host offers any.
    let Some(needs) = compiled.resources_required() else { return Ok(()) };
    if needs.num_memories > pool::MEMORIES_PER_COMPONENT {
        let limit = pool::MEMORIES_PER_COMPONENT;
        return too_much(format!("it has {} memories: expected at most {limit}", needs.num_memories));
    }
    if needs.num_tables > pool::TABLES_PER_COMPONENT {
        let limit = pool::TABLES_PER_COMPONENT;
        return too_much(format!("it has {} tables: expected at most {limit}", needs.num_tables));
    }
    let memory_bytes = needs.max_initial_memory_size.unwrap_or(0);
    if memory_bytes > engine.max_memory_bytes() {
        let limit = engine.max_memory_bytes();
        return too_much(format!("it starts with {memory_bytes} bytes of memory: expected at most {limit}"));
    }
    let elements = needs.max_initial_table_size.unwrap_or(0);
    if elements > pool::TABLE_ELEMENTS as u64 {
        let limit = pool::TABLE_ELEMENTS;
        return too_much(format!("it has a table of {elements} elements: expected at most {limit}"));
    }
    Ok(())
}
