//! The compiler's child and the cache of what it made.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant, SystemTime},
};

use windlass_wasm::{Compiler, CompilerOptions, Refusal, digest};

use crate::{
    harness::{ENGINE, compiler, compiler_with, load, program, runtime},
    wat_guest::sync_guest,
};

fn guest() -> Vec<u8> {
    sync_guest("", "", "(i32.const 1024)")
}

/// A component with so many functions of so many operations each.
fn heavy(functions: usize, operations: usize) -> Vec<u8> {
    let body = "(i64.mul (local.get 0)) (i64.add (local.get 0))".repeat(operations / 2);
    let function = format!("(func (param i64) (result i64) (local.get 0) {body})");
    sync_guest("", &function.repeat(functions), "(i32.const 1024)")
}

/// Takes the compiler some seconds.
fn slow_to_compile() -> Vec<u8> {
    heavy(20, 4_000)
}

/// Takes the compiler some hundred MiB, since it looks at a function as a whole.
fn large_to_compile() -> Vec<u8> {
    heavy(1, 100_000)
}

fn compiled_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.join("cache")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn compiled_code_is_kept_for_the_hosts_user_alone() {
    let (compiler, folder) = compiler();
    runtime().block_on(load(&compiler, &guest())).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("cache")), 0o700);
    let files = compiled_files(folder.path());
    assert_eq!(files.len(), 2, "the code and its checksum: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_cached_component_is_neither_fetched_nor_compiled_again() {
    let (compiler, folder) = compiler();
    let bytes = guest();
    drop(runtime().block_on(load(&compiler, &bytes)).unwrap());
    let (elsewhere, _folder) = compiler_with(|options| {
        options.cache_dir = folder.path().join("cache");
        options.program = "/nonexistent/program".into();
    });
    let unfetched = async { Err("fetch it: it was asked for".to_owned()) };
    assert!(runtime().block_on(elsewhere.load(digest(&bytes), unfetched)).is_ok());
}

#[test]
fn a_cache_that_others_can_write_to_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let open = || Compiler::new(ENGINE.clone(), CompilerOptions::new(program(), cache.clone()));
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        fs::set_permissions(&cache, fs::Permissions::from_mode(mode)).unwrap();
        let refusal = open().unwrap_err().to_string();
        assert!(refusal.contains("others can write to it") && refusal.contains("chmod 700"), "{refusal}");
        assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o7777, mode);
    }
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
    open().unwrap();
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_a_killed_host_left_half_done_is_removed_when_it_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("compiling-old"), folder.path().join("compiling-new"));
    for path in [&old, &new] {
        fs::write(path, "half").unwrap();
    }
    let long_ago = SystemTime::now() - Duration::from_secs(3_600);
    fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    Compiler::new(ENGINE.clone(), CompilerOptions::new(program(), folder.path().to_owned())).unwrap();
    assert!(!old.exists() && new.exists());
}

#[test]
fn a_damaged_file_is_compiled_anew() {
    let bytes = guest();
    let damages: [fn(&mut Vec<u8>); 3] = [|code| code.truncate(100), |code| code[5_000] ^= 1, Vec::clear];
    for damage in damages {
        let (compiler, folder) = compiler();
        drop(runtime().block_on(load(&compiler, &bytes)).unwrap());
        let path = compiled_files(folder.path()).into_iter().find(|path| path.extension().unwrap() == "cwasm").unwrap();
        let good = fs::read(&path).unwrap();
        let mut code = good.clone();
        damage(&mut code);
        fs::write(&path, code).unwrap();
        runtime().block_on(load(&compiler, &bytes)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), good);
    }
}

#[test]
fn many_who_ask_at_once_wait_for_one_compile() {
    let (compiler, _folder) = compiler();
    let bytes = guest();
    let fetches = AtomicU32::new(0);
    runtime().block_on(async {
        let ask = || {
            compiler.load(digest(&bytes), async {
                fetches.fetch_add(1, Ordering::Relaxed);
                Ok(bytes.clone())
            })
        };
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
    });
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
}

#[test]
fn bytes_that_do_not_match_their_digest_are_not_compiled() {
    let (compiler, folder) = compiler();
    let refusal = runtime().block_on(compiler.load([7; 32], async { Ok(guest()) })).unwrap_err();
    assert!(refusal.is_host_failure(), "{refusal:?}");
    assert!(compiled_files(folder.path()).is_empty());
}

#[test]
fn a_component_that_takes_too_long_to_compile_is_refused() {
    let (compiler, folder) = compiler_with(|options| options.timeout = Duration::from_millis(50));
    let bytes = slow_to_compile();
    let started_at = Instant::now();
    let refusal = runtime().block_on(load(&compiler, &bytes)).unwrap_err();
    assert!(matches!(refusal, Refusal::CompileTimeout(_)), "{refusal:?}");
    assert!(started_at.elapsed() < Duration::from_secs(2), "{:?}", started_at.elapsed());
    assert!(compiled_files(folder.path()).is_empty(), "nothing half-done is left");
}

#[test]
fn a_component_that_takes_too_much_memory_to_compile_is_refused() {
    let (compiler, folder) = compiler_with(|options| options.memory_bytes = 64 << 20);
    let refusal = runtime().block_on(load(&compiler, &large_to_compile())).unwrap_err();
    assert!(matches!(refusal, Refusal::CompileCrashed(_)), "{refusal:?}");
    assert!(refusal.to_string().contains("67108864 bytes of memory"), "{refusal}");
    assert!(compiled_files(folder.path()).is_empty(), "nothing half-done is left");
}

#[test]
fn the_same_components_are_taken_where_the_limits_allow() {
    let (compiler, _folder) = compiler();
    for bytes in [slow_to_compile(), large_to_compile()] {
        assert!(runtime().block_on(load(&compiler, &bytes)).is_ok());
    }
}

#[test]
fn a_missing_compiler_is_the_hosts_failure() {
    let (compiler, _folder) = compiler_with(|options| options.program = "/nonexistent/program".into());
    let refusal = runtime().block_on(load(&compiler, &guest())).unwrap_err();
    assert!(refusal.is_host_failure() && refusal.to_string().contains("/nonexistent/program"), "{refusal}");
}
