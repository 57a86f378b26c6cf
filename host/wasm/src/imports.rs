//! What a component imports, looked at before it is compiled: what no host offers is refused without giving the compiler any
//! work. Whether what is offered has the shape that is asked for is only known of compiled code: see [`crate::inspect`].

use wasmparser::{
    BinaryReader, ComponentAlias, ComponentAliasSectionReader, ComponentExportSectionReader, ComponentExternalKind,
    ComponentImportSectionReader, ComponentOuterAliasKind, ComponentType, ComponentTypeRef, ComponentTypeSectionReader,
    InstanceTypeDeclaration, TypeBounds,
};

use crate::Refusal;

/// The bytes before the first section.
const HEADER: usize = 8;

/// The sections that are looked at, by their numbers in the binary format.
const ALIASES: u8 = 6;
const TYPES: u8 = 7;
const IMPORTS: u8 = 10;
const EXPORTS: u8 = 11;

/// What the linker has, by package: the track of versions that go together, and the interfaces.
const OFFERED: &[(&str, &str, &[&str])] = &[
    ("windlass:job", "0.1", &["log", "context", "config", "queue"]),
    ("wasi:cli", "0.2", CLI),
    ("wasi:clocks", "0.2", &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", "0.2", &["types", "preopens"]),
    ("wasi:http", "0.2", &["types", "outgoing-handler"]),
    ("wasi:io", "0.2", &["error", "poll", "streams"]),
    ("wasi:random", "0.2", &["random", "insecure", "insecure-seed"]),
    (
        "wasi:sockets",
        "0.2",
        &["network", "instance-network", "ip-name-lookup", "tcp", "tcp-create-socket", "udp", "udp-create-socket"],
    ),
    ("wasi:cli", P3, CLI),
    ("wasi:clocks", P3, &["types", "monotonic-clock", "system-clock"]),
    ("wasi:filesystem", P3, &["types", "preopens"]),
    ("wasi:http", P3, &["types", "client"]),
    ("wasi:random", P3, &["random", "insecure", "insecure-seed"]),
    ("wasi:sockets", P3, &["types", "ip-name-lookup"]),
];

/// The track that an operator may switch off.
const P3: &str = "0.3";

const CLI: &[&str] = &[
    "environment",
    "exit",
    "stdin",
    "stdout",
    "stderr",
    "terminal-input",
    "terminal-output",
    "terminal-stdin",
    "terminal-stdout",
    "terminal-stderr",
];

/// Refuses a component that needs what this host does not offer. One that cannot be read is left to the compiler, which says
/// what is wrong with it.
pub(crate) fn check(component: &[u8], wasi_p3: bool, offered: &'static str) -> Result<(), Refusal> {
    let Some((name, reason)) = first_unknown(component, wasi_p3) else { return Ok(()) };
    Err(Refusal::UnknownImport { name, reason: reason.to_owned(), offered })
}

fn first_unknown(component: &[u8], wasi_p3: bool) -> Option<(String, &'static str)> {
    // For each type of the component, whether an instance of it has anything that somebody must offer.
    let mut types = Vec::new();
    let mut rest = component.get(HEADER..)?;
    while let [number, after @ ..] = rest {
        let (length, after) = leb128(after)?;
        let section = BinaryReader::new(after.get(..length)?, 0);
        rest = after.get(length..)?;
        match *number {
            TYPES => {
                for ty in ComponentTypeSectionReader::new(section).ok()? {
                    types.push(matches!(ty.ok()?, ComponentType::Instance(parts) if parts.iter().any(is_needed)));
                }
            }
            ALIASES => {
                for alias in ComponentAliasSectionReader::new(section).ok()? {
                    let is_type = matches!(
                        alias.ok()?,
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Type, .. }
                            | ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. }
                    );
                    types.extend(is_type.then_some(false));
                }
            }
            EXPORTS => {
                for export in ComponentExportSectionReader::new(section).ok()? {
                    let is_type = export.ok()?.kind == ComponentExternalKind::Type;
                    types.extend(is_type.then_some(false));
                }
            }
            IMPORTS => {
                for import in ComponentImportSectionReader::new(section).ok()? {
                    let import = import.ok()?;
                    let is_needed = match import.ty {
                        ComponentTypeRef::Type(_) => {
                            types.push(false);
                            false
                        }
                        // Of a type that stands elsewhere nothing is known here.
                        ComponentTypeRef::Instance(at) => types.get(usize::try_from(at).ok()?).copied()?,
                        _ => true,
                    };
                    if is_needed && let Some(reason) = why_not(import.name.name, wasi_p3) {
                        return Some((import.name.name.to_owned(), reason));
                    }
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether somebody must offer this part of an instance. Types that are equal to others come from nowhere.
fn is_needed(part: &InstanceTypeDeclaration<'_>) -> bool {
    let InstanceTypeDeclaration::Export { ty, .. } = part else { return false };
    !matches!(ty, ComponentTypeRef::Type(TypeBounds::Eq(_)) | ComponentTypeRef::Instance(_))
}

/// Why an import is not offered; nothing where it is.
fn why_not(import: &str, wasi_p3: bool) -> Option<&'static str> {
    let (path, version) = import.split_once('@').unwrap_or((import, ""));
    let (package, interface) = path.split_once('/').unwrap_or((path, ""));
    let of_package =
        |&&(name, _, interfaces): &&(&str, &str, &[&str])| name == package && interfaces.contains(&interface);
    let mut tracks = OFFERED.iter().filter(of_package).map(|(_, track, _)| *track).peekable();
    if tracks.peek().is_none() {
        return Some("it has no such interface");
    }
    if tracks.any(|track| (track != P3 || wasi_p3) && is_on(track, version)) {
        return None;
    }
    Some("it has another version of this interface")
}

/// Whether a version is one of a track. What is not released stands by itself.
fn is_on(track: &str, version: &str) -> bool {
    let patch = version.strip_prefix(track).and_then(|rest| rest.strip_prefix('.'));
    patch.is_some_and(|patch| !patch.contains('-'))
}

/// A length as the binary format writes it, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, EngineOptions};

    fn refused(text: &str) -> Option<(String, &'static str)> {
        first_unknown(&wat::parse_str(text).unwrap(), true)
    }

    #[test]
    fn what_stands_in_the_list_is_in_the_linker() {
        let engine = Engine::new(&EngineOptions { concurrent_runs: 1, ..EngineOptions::default() }).unwrap();
        let mut linker = engine.linker().clone();
        for (package, track, interfaces) in OFFERED {
            for interface in *interfaces {
                // A name that is there cannot be defined once more; which patch the linker has is its own affair.
                let mut patches = (0..100).map(|patch| format!("{package}/{interface}@{track}.{patch}"));
                let is_there = patches
                    .any(|name| linker.root().func_wrap(&name, |_, (): ()| Ok::<(), wasmtime::Error>(())).is_err());
                assert!(is_there, "{package}/{interface}@{track} is not in the linker");
            }
        }
    }

    #[test]
    fn types_that_are_nested_without_an_end_are_left_to_the_compiler() {
        // A component type in a component type, a million deep, each with one declaration: three bytes a level.
        const LEVELS: usize = 1_000_000;
        let mut section = vec![1];
        section.extend([0x42, 0x01, 0x01].repeat(LEVELS));
        section.extend([0x42, 0x00]);
        let mut component = b"\0asm\x0d\0\x01\0\x07".to_vec();
        let mut length = section.len();
        while length >= 0x80 {
            component.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        component.push(length as u8);
        component.extend(section);
        assert_eq!(first_unknown(&component, true), None);
    }

    #[test]
    fn an_import_that_nobody_offers_is_found_whatever_it_is() {
        let of = |import: &str| refused(&format!("(component {import})")).map(|(name, _)| name);
        assert_eq!(of(r#"(import "print" (func))"#).as_deref(), Some("print"));
        let nowhere = r#"(import "my:shop/prices@1.0.0" (instance (export "get" (func))))"#;
        assert_eq!(of(nowhere).as_deref(), Some("my:shop/prices@1.0.0"));
        let resource = r#"(import "my:shop/prices@1.0.0" (instance (export "list" (type (sub resource)))))"#;
        assert_eq!(of(resource).as_deref(), Some("my:shop/prices@1.0.0"));
        let second = format!(
            r#"(import "wasi:random/random@0.2.3" (instance (export "get-random-u64" (func (result u64))))) {nowhere}"#
        );
        assert_eq!(of(&second).as_deref(), Some("my:shop/prices@1.0.0"));
        // In a component within it there may be anything: it is the outer one that offers that.
        assert_eq!(of(&format!("(component {nowhere})")), None);
    }

    #[test]
    fn types_alone_are_needed_from_nobody() {
        let types = r#"(import "my:shop/types@1.0.0" (instance (type $p (record (field "cents" u64))) (export "price" (type (eq $p)))))"#;
        assert_eq!(refused(&format!("(component {types})")), None);
    }

    #[test]
    fn versions_go_together_on_a_track() {
        let with = |version: &str, wasi_p3| why_not(&format!("wasi:random/random{version}"), wasi_p3);
        for fine in ["@0.2.0", "@0.2.99", "@0.3.0"] {
            assert_eq!(with(fine, true), None, "{fine}");
        }
        for other in ["", "@0.2", "@0.20.0", "@0.2.0-rc-2023-11-10", "@0.4.0", "@1.2.0"] {
            assert_eq!(with(other, true), Some("it has another version of this interface"), "{other}");
        }
        assert_eq!(with("@0.3.0", false), Some("it has another version of this interface"));
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_compiler() {
        let whole = wat::parse_str(r#"(component (import "print" (func)))"#).unwrap();
        for length in 0..whole.len() {
            let _ = first_unknown(&whole[..length], true);
        }
        assert_eq!(
            first_unknown(&[0, b'a', b's', b'm', 13, 0, 1, 0, IMPORTS, 0xff, 0xff, 0xff, 0xff, 0x0f], true),
            None
        );
    }
}
