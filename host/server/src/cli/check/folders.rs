//! Folders and secrets that the settings name.

use std::path::Path;

use rustix::fs::{Access, access};
use windlass_api::ModuleName;

use super::report::Report;
use crate::config::{DirectorySettings, ModuleSettings, Settings};

pub(super) fn look(settings: &Settings, report: &mut Report) {
    if let Some(folder) = &settings.modules {
        match readable(folder) {
            Ok(()) => report.ok("modules", format!("components are deployed from {}", folder.display())),
            Err(problem) => report.error(
                "modules",
                format!("the module folder {} {problem}", folder.display()),
                "make it, or correct `modules`",
            ),
        }
    }
    for (name, module) in &settings.module {
        grants(name, module, report);
    }
}

fn grants(name: &ModuleName, module: &ModuleSettings, report: &mut Report) {
    let about = format!("[module.{name}]");
    let before = report.errors;
    for directory in &module.directories {
        if let Err((problem, mend)) = granted(directory) {
            report.error(&about, format!("the folder {} {problem}", directory.host.display()), mend);
        }
    }
    // One by one, so that each that is wrong is told of.
    let hosts = module.http.iter().map(|host| ModuleSettings { http: vec![host.clone()], ..ModuleSettings::default() });
    let secrets = module.secrets.iter().map(|(key, source)| ModuleSettings {
        secrets: [(key.clone(), source.clone())].into(),
        ..ModuleSettings::default()
    });
    for part in hosts.chain(secrets) {
        if let Err(error) = part.grants() {
            report.error(&about, format!("{error:#}"), "correct it: the host would not start");
        }
    }
    if report.errors == before {
        report.ok(&about, "what is granted is there");
    }
}

fn granted(directory: &DirectorySettings) -> Result<(), (String, &'static str)> {
    readable(&directory.host).map_err(|problem| (problem, "make it, or correct `directories`"))?;
    if directory.write && access(&directory.host, Access::WRITE_OK).is_err() {
        return Err((
            "is granted for writing and cannot be written to".to_owned(),
            "let this user write to it, or leave out `write`",
        ));
    }
    if !directory.guest.starts_with('/') {
        let problem = format!("has the `guest` path `{}`, which does not begin with `/`", directory.guest);
        return Err((problem, "write the path as the module sees it, such as `/data`"));
    }
    Ok(())
}

fn readable(folder: &Path) -> Result<(), String> {
    if !folder.exists() {
        return Err("does not exist".to_owned());
    }
    if !folder.is_dir() {
        return Err("is no folder".to_owned());
    }
    access(folder, Access::READ_OK | Access::EXEC_OK).map_err(|_| "cannot be read".to_owned())
}

/// Whether this user may run a file.
pub(super) fn may_run(file: &Path) -> bool {
    access(file, Access::EXEC_OK).is_ok()
}

/// Whether this user may write to a file, and its file system lets it.
pub(super) fn may_write(file: &Path) -> bool {
    access(file, Access::WRITE_OK).is_ok()
}

/// Whether a folder is there and can be written to, or could be made.
pub(super) fn can_be_made(folder: &Path) -> Result<(), String> {
    let there = folder.ancestors().map(|above| if above == Path::new("") { Path::new(".") } else { above });
    let Some(there) = there.into_iter().find(|above| above.exists()) else { return Ok(()) };
    if !there.is_dir() {
        return Err(format!("{} is no folder", there.display()));
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|_| format!("{} cannot be written to", there.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(host: &Path, guest: &str) -> DirectorySettings {
        DirectorySettings { host: host.to_owned(), guest: guest.to_owned(), write: true }
    }

    #[test]
    fn each_grant_that_cannot_be_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let missing = folder.path().join("missing");
        let module = ModuleSettings {
            directories: vec![
                directory(folder.path(), "/a"),
                directory(&missing, "/b"),
                directory(&file, "/c"),
                directory(folder.path(), "d"),
            ],
            http: vec!["example.com".to_owned(), "http://example.com/x".to_owned()],
            secrets: [("KEY".to_owned(), crate::config::SecretSource::File(missing))].into(),
            ..ModuleSettings::default()
        };
        let settings = Settings { module: [("images".parse().unwrap(), module)].into(), ..Settings::default() };
        let mut report = Report::default();
        look(&settings, &mut report);
        let text = report.text();
        for said in
            ["missing does not exist", "file is no folder", "`guest` path `d`", "http://example.com/x", "secret `KEY`"]
        {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert_eq!(report.errors, 5, "{text}");
    }

    #[test]
    fn a_folder_below_a_file_cannot_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(can_be_made(&file.join("cache")).unwrap_err().ends_with("file is no folder"));
        assert_eq!(can_be_made(&folder.path().join("a/b")), Ok(()));
        assert_eq!(can_be_made(Path::new("not-there-yet")), Ok(()));
    }
}
