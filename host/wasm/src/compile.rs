//! Compiling, in a child process with limits on memory and time.
//!
//! What a component makes a compiler do is not covered by wasmtime's security promise, so a component that makes it
//! loop, eat memory or crash only takes the child down. The child reads the component from standard input and writes
//! machine code into a file; only this process ever loads it.

use std::{
    collections::HashMap,
    ffi::OsString,
    fmt, fs,
    io::{Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    sync::Semaphore,
};

use crate::{
    Component, Engine, EngineError, Refusal, cache::Cache, component::WeakComponent, engine, failure::clip, imports,
    inspect,
};

/// What the program is called with first, before the arguments of [`compile_from_stdin`].
const SUBCOMMAND: &str = "compile-component";

/// The child's exit code where the component is at fault; what is wrong with it is on standard error.
const EXIT_INVALID: u8 = 65;

/// How many compile at once: each may take the whole memory limit.
const CONCURRENT_COMPILES: usize = 2;

/// How much of a child's standard error is read, in bytes.
const MAX_MESSAGE_BYTES: u64 = 4_000;

/// How a compiler works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompilerOptions {
    /// The program that is run as `PROGRAM compile-component …` and hands the rest of its arguments to
    /// [`compile_from_stdin`]: the `windlass` binary.
    pub program: PathBuf,
    /// Where compiled code is kept. Made where it is missing; refused where others can write to it.
    pub cache_dir: PathBuf,
    /// How long a component may be, in bytes. Default: 64 MiB.
    pub max_component_bytes: u64,
    /// How much memory (addresses) the child may take, in bytes. Default: 2 GiB.
    pub memory_bytes: u64,
    /// How long the child may take. Default: 60 s.
    pub timeout: Duration,
}

impl CompilerOptions {
    /// The default limits with this program and cache.
    #[must_use]
    pub fn new(program: PathBuf, cache_dir: PathBuf) -> Self {
        let timeout = Duration::from_secs(60);
        Self { program, cache_dir, max_component_bytes: 64 << 20, memory_bytes: 2 << 30, timeout }
    }
}

/// Makes components ready to run, each once: a second call for the same digest waits for the first, and finds what it
/// left, in memory while anyone holds it and on disk from then on.
pub struct Compiler {
    engine: Engine,
    options: CompilerOptions,
    cache: Arc<Cache>,
    at_once: Semaphore,
    /// One entry per digest asked for. A mutex, held to find or add one.
    known: Mutex<HashMap<[u8; 32], Arc<Slot>>>,
}

type Slot = tokio::sync::Mutex<WeakComponent>;

impl Compiler {
    /// Opens the cache.
    ///
    /// # Errors
    ///
    /// Where the cache folder cannot be made or is not the host's own.
    pub fn new(engine: Engine, options: CompilerOptions) -> Result<Self, EngineError> {
        let cache = Cache::open(&options.cache_dir, engine.wasmtime(), options.timeout).map_err(|error| {
            EngineError::new("open the cache of compiled code", format!("{}: {error}", options.cache_dir.display()))
        })?;
        let at_once = Semaphore::new(CONCURRENT_COMPILES);
        Ok(Self { engine, options, cache: Arc::new(cache), at_once, known: Mutex::default() })
    }

    /// Gives the component with this digest, ready to run. `fetch` is awaited only where its code is not there yet; its
    /// error completes "failed to …".
    ///
    /// # Errors
    ///
    /// The [`Refusal`] says what is wrong with the component, or ([`Refusal::Host`]) what the host could not do.
    pub async fn load<F>(&self, digest: [u8; 32], fetch: F) -> Result<Component, Refusal>
    where
        F: Future<Output = Result<Vec<u8>, String>> + Send,
    {
        let slot = self.slot(digest);
        let mut held = slot.lock().await;
        if let Some(component) = Component::upgrade(&held) {
            return Ok(component);
        }
        let component = match self.cached(digest).await? {
            Some(component) => component,
            None => self.compile(digest, fetch.await.map_err(Refusal::Host)?).await?,
        };
        *held = component.downgrade();
        Ok(component)
    }

    fn slot(&self, digest: [u8; 32]) -> Arc<Slot> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Entries of components that nobody runs any more go, but for those that somebody waits at.
        known
            .retain(|_, slot| Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|weak| weak.strong_count() > 0));
        Arc::clone(known.entry(digest).or_default())
    }

    async fn cached(&self, digest: [u8; 32]) -> Result<Option<Component>, Refusal> {
        let (cache, engine) = (Arc::clone(&self.cache), self.engine.clone());
        let find = move || cache.load(&digest).map(|compiled| link(&engine, &compiled)).transpose();
        tokio::task::spawn_blocking(find).await.map_err(|error| interrupted(&error))?
    }

    async fn compile(&self, digest: [u8; 32], bytes: Vec<u8>) -> Result<Component, Refusal> {
        inspect::check_bytes(&bytes, self.options.max_component_bytes)?;
        if crate::digest(&bytes) != digest {
            return Err(Refusal::Host("load the component: its bytes do not match its digest".to_owned()));
        }
        // Whoever uploads may have filled it with sections: not on a thread that others wait for.
        let (wasi_p3, offered) = (self.engine.has_wasi_p3(), self.engine.offered());
        let check = move || imports::check(&bytes, wasi_p3, offered).map(|()| bytes);
        let bytes = tokio::task::spawn_blocking(check).await.map_err(|error| interrupted(&error))??;
        let _turn = self.at_once.acquire().await;
        let draft =
            self.cache.draft().map_err(|error| Refusal::Host(format!("write to the compiled cache: {error}")))?;
        self.run_child(&bytes, draft.path()).await?;
        let (cache, engine) = (Arc::clone(&self.cache), self.engine.clone());
        let keep = move || {
            let kept = cache.keep(&digest, draft);
            let compiled = kept.map_err(|error| Refusal::Host(format!("keep compiled code: {error}")))?;
            // The pool has looked at the component's sizes.
            link(&engine, &compiled.map_err(|error| Refusal::TooDemanding(format!("{error:#}")))?)
        };
        tokio::task::spawn_blocking(keep).await.map_err(|error| interrupted(&error))?
    }

    async fn run_child(&self, component: &[u8], output: &Path) -> Result<(), Refusal> {
        let CompilerOptions { program, memory_bytes, timeout, .. } = &self.options;
        // Processor time is a second guard, for the case that this process dies meanwhile: all threads' together.
        let cpu_seconds = timeout.as_secs().saturating_mul(4).max(1);
        let mut child = Command::new(program)
            .arg(SUBCOMMAND)
            .arg(output)
            .arg(memory_bytes.to_string())
            .arg(cpu_seconds.to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Refusal::Host(format!("start the compiler {}: {error}", program.display())))?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let feed = async {
            // A child that dies early closes the pipe; its exit status tells more than the write's error.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(component).await;
            }
        };
        let listen = async {
            let mut message = Vec::new();
            if let Some(stderr) = stderr {
                let _ = stderr.take(MAX_MESSAGE_BYTES).read_to_end(&mut message).await;
            }
            String::from_utf8_lossy(&message).trim().to_owned()
        };
        let work = async { tokio::join!(feed, listen, child.wait()) };
        // Dropped where it takes too long: that kills the child.
        let ((), message, status) =
            tokio::time::timeout(*timeout, work).await.map_err(|_| Refusal::CompileTimeout(*timeout))?;
        let status = status.map_err(|error| Refusal::Host(format!("wait for the compiler: {error}")))?;
        judge(status, message, *memory_bytes)
    }
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiler").field("options", &self.options).finish_non_exhaustive()
    }
}

fn link(engine: &Engine, compiled: &wasmtime::component::Component) -> Result<Component, Refusal> {
    inspect::check_types(engine, compiled)?;
    Component::link(engine, compiled)
}

fn interrupted(error: &tokio::task::JoinError) -> Refusal {
    Refusal::Host(format!("load compiled code: {error}"))
}

fn judge(status: ExitStatus, message: String, memory_bytes: u64) -> Result<(), Refusal> {
    if status.success() {
        return Ok(());
    }
    if status.code() == Some(i32::from(EXIT_INVALID)) {
        return Err(Refusal::Invalid(message));
    }
    let how = match status.signal() {
        Some(signal) if signal == Signal::XCPU.as_raw() => "it used too much processor time".to_owned(),
        Some(signal) => {
            format!("the compiler was ended by signal {signal}, with {memory_bytes} bytes of memory to use")
        }
        None => format!("the compiler gave up ({status}), with {memory_bytes} bytes of memory to use"),
    };
    Err(Refusal::CompileCrashed(if message.is_empty() { how } else { format!("{how}: {}", clip(message, 500)) }))
}

/// The child's part: reads a component from standard input and writes machine code to a file.
///
/// `arguments` are those that follow `compile-component`: the file, the bytes of memory and the seconds of processor
/// time that the process may take. It sets these limits for its whole process, so call it from `main` and exit with
/// what it returns. It loads nothing.
#[must_use]
pub fn compile_from_stdin(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match compile_within_limits(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be listening any more; the exit code stays.
            let _ = writeln!(std::io::stderr(), "{}", error.message);
            ExitCode::from(error.code)
        }
    }
}

struct ChildError {
    code: u8,
    message: String,
}

impl ChildError {
    fn own(what: &str, reason: impl fmt::Display) -> Self {
        Self { code: 1, message: format!("failed to {what}: {reason}") }
    }
}

fn compile_within_limits(arguments: impl IntoIterator<Item = OsString>) -> Result<(), ChildError> {
    // A host that is stopped or killed does not get to end its children. The kernel looks at the thread that started
    // this process: a worker of the host's runtime, which lives as long as the host does.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| ChildError::own("end the compiler with its host", error))?;
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let [output, memory_bytes, cpu_seconds] = arguments.as_slice() else {
        return Err(ChildError::own("read the arguments", "expected OUTPUT MEMORY-BYTES CPU-SECONDS"));
    };
    let number = |text: &OsString| text.to_str().and_then(|text| text.parse::<u64>().ok());
    for (resource, limit) in
        [(Resource::As, number(memory_bytes)), (Resource::Cpu, number(cpu_seconds)), (Resource::Core, Some(0))]
    {
        let limit = limit.ok_or_else(|| ChildError::own("read the arguments", "a limit is not a number"))?;
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
            .map_err(|error| ChildError::own("limit the compiler", error))?;
    }
    let mut component = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut component);
    read.map_err(|error| ChildError::own("read the component", error))?;
    let engine =
        wasmtime::Engine::new(&engine::config()).map_err(|error| ChildError::own("make the compiler", error))?;
    let invalid = |error: wasmtime::Error| ChildError { code: EXIT_INVALID, message: format!("{error:#}") };
    let code = engine.precompile_component(&component).map_err(invalid)?;
    fs::write(output, code).map_err(|error| ChildError::own("write compiled code", error))
}
