//! `windlass new`: a project to begin with.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{
    Exit, Global,
    exit::Usage,
    project::{self, Language, RustSdk},
};

/// Make a project of handlers: one that builds, with a handler, its test and a README.
///
/// Handlers in Rust are written against the crate windlass-guest, which cargo fetches from Windlass's repository; `--sdk` takes it
/// from a checkout, along with the versions of libraries that the checkout has. What handlers in Python and JavaScript are written
/// against is put into the project, as this program has it. What is printed in the end are the commands to go on with.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  windlass new hello
  windlass new hello --sdk windlass/guest-sdk
  windlass new hello --lang python")]
pub(super) struct New {
    /// The project's folder, which is made; its last part is the module's name: 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a
    /// letter.
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// The language.
    #[arg(long, default_value = "rust")]
    lang: Language,
    /// A checkout of Windlass, or the folder guest-sdk in it, to take windlass-guest from; for Rust alone.
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

/// What was made, for programs.
#[derive(Serialize)]
struct Made<'a> {
    folder: &'a PathBuf,
    module: &'a str,
    language: Language,
    /// Where the library is that handlers are written against, in words.
    library: String,
}

pub(super) fn run(command: &New, global: &Global) -> anyhow::Result<Exit> {
    let New { folder, lang: language, sdk } = command;
    let sdk = match sdk {
        None => RustSdk::Repository,
        Some(sdk) if *language == Language::Rust => RustSdk::in_checkout(sdk)?,
        Some(_) => {
            let problem =
                format!("--sdk is for Rust: a project in {language} gets what this program has; leave it out");
            return Err(Usage(problem).into());
        }
    };
    let new = project::New { folder, language: *language, sdk: &sdk };
    let steps = new.steps()?;
    project::make(&new)?;
    let made = Made { folder, module: new.name()?, language: *language, library: new.library() };
    global.output().show(&made, |made| told(made, &steps))?;
    Ok(Exit::Fine)
}

fn told(made: &Made<'_>, steps: &[(String, &'static str)]) -> String {
    let Made { folder: _, module, language, library } = made;
    let with_host = [
        (format!("windlass deploy {module}.wasm"), ""),
        (format!("windlass enqueue {module}/greet '{{ \"name\": \"Ada\" }}' --wait"), ""),
    ];
    let width = steps.iter().chain(&with_host).map(|(line, _)| line.len()).max().unwrap_or(0);
    let shown = |(line, why): &(String, &str)| match *why {
        "" => format!("  {line}\n"),
        why => format!("  {line:width$}  # {why}\n"),
    };
    let lines = |steps: &[(String, &'static str)]| steps.iter().map(shown).collect::<String>();
    format!(
        "{module} is a project in {language} now, with a handler `greet`\n\n{}\nWith a host, which `windlass serve` starts in another \
         terminal:\n\n{}\n`windlass dev` does all of that, and again with each change. windlass-guest comes from {library}.",
        lines(steps),
        lines(&with_host)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_are_the_commands_to_go_on_with() {
        let folder = PathBuf::from("of/hello");
        let new = project::New { folder: &folder, language: Language::Python, sdk: &RustSdk::Repository };
        let made = Made { folder: &folder, module: "hello", language: Language::Python, library: new.library() };
        insta::assert_snapshot!(told(&made, &new.steps().unwrap()), @r#"
        hello is a project in Python now, with a handler `greet`

          cd of/hello
          PYTHONPATH=sdk python3 -m unittest                       # the handlers, natively
          python3 -m venv .venv
          .venv/bin/pip install -r requirements.txt                # what makes components
          windlass build                                           # the component
          windlass run hello.wasm greet '{ "name": "Ada" }'        # in the sandbox, without a host

        With a host, which `windlass serve` starts in another terminal:

          windlass deploy hello.wasm
          windlass enqueue hello/greet '{ "name": "Ada" }' --wait

        `windlass dev` does all of that, and again with each change. windlass-guest comes from sdk/ in the project, as this program has it.
        "#);
    }
}
