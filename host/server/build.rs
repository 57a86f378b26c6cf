//! Takes the dashboard in, as `cargo xtask build` leaves it. A host built without it serves all the rest.

use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

/// How each file is there: as it is, and compressed in two ways.
const FORMS: [&str; 3] = ["", ".gz", ".br"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=WINDLASS_DASHBOARD_DIR");
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    // The second is there in every checkout, empty until the dashboard is built.
    let folder =
        env::var_os("WINDLASS_DASHBOARD_DIR").map_or_else(|| here.join("../../dashboard-ui/dist"), PathBuf::from);
    if folder.is_dir() {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    // A copy of them: the folder may be built anew while the compiler still reads.
    let taken = out.join("dashboard");
    if taken.is_dir() {
        fs::remove_dir_all(&taken)?;
    }
    fs::create_dir_all(taken.join("assets"))?;
    let mut files = String::from("&[\n");
    for name in names(&folder)? {
        for suffix in FORMS {
            fs::copy(folder.join(format!("{name}{suffix}")), taken.join(format!("{name}{suffix}")))?;
        }
        let include = |suffix: &str| {
            let file = taken.join(format!("{name}{suffix}"));
            format!("include_bytes!({:?})", file.display().to_string())
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            files,
            "File {{ name: {name:?}, plain: {}, gzip: {}, brotli: {} }},",
            include(""),
            include(".gz"),
            include(".br")
        );
    }
    files.push_str("]\n");
    fs::write(out.join("dashboard.rs"), files)
}

/// The files of which all three forms are there.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for (part, prefix) in [(folder.to_owned(), ""), (folder.join("assets"), "assets/")] {
        if !part.is_dir() {
            continue;
        }
        for entry in fs::read_dir(part)? {
            let name = format!("{prefix}{}", entry?.file_name().to_string_lossy());
            let is_whole = FORMS.iter().all(|suffix| folder.join(format!("{name}{suffix}")).is_file());
            if is_whole {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}
