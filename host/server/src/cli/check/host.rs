//! What the host itself needs: an address, and a program that compiles.

use std::{
    env, io,
    net::TcpListener,
    path::{Path, PathBuf},
};

use super::{super::format, folders, report::Report};
use crate::{config::Settings, http::Tls};

pub(super) fn look(settings: &Settings, report: &mut Report) {
    listen(settings, report);
    tokens(settings, report);
    certificate(settings, report);
    compiler(settings, report);
}

fn listen(settings: &Settings, report: &mut Report) {
    let (about, address) = ("listen", settings.listen);
    if !address.ip().is_loopback() {
        if settings.access.asks() && settings.tls.is_some() {
            report.ok(about, format!("{address} speaks TLS, and everybody is asked who they are"));
        } else if settings.access.asks() {
            let what = format!("tokens for {address} travel as they are unless something adds TLS");
            report.note(about, what, "put a proxy with TLS before it where the network is not your own");
        } else if settings.insecure_listen {
            let what = format!("whoever reaches {address} can deploy code and read every job");
            report.warning(about, what, "make sure that the network keeps strangers out");
        } else {
            let what = format!("{address} can be reached from other machines, and nobody is asked for a token");
            return report.error(
                about,
                what,
                "make tokens with `windlass token new`, listen on 127.0.0.1, or set `insecure_listen` where the network \
                 keeps strangers out",
            );
        }
    }
    match TcpListener::bind(address) {
        Ok(_) => report.ok(about, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let what = format!("{address} is in use: by a host that runs, or by another program");
            report.note(about, what, "where that is no host of yours, choose another address with `listen`");
        }
        Err(error) => report.error(about, format!("{address} cannot be listened on: {error}"), "correct `listen`"),
    }
}

fn tokens(settings: &Settings, report: &mut Report) {
    let now = format::now();
    for token in &settings.access.tokens {
        if let Some(expires) = token.expires.filter(|expires| *expires <= now) {
            let what = format!("the token `{}` has expired at {expires}", token.name);
            report.warning(
                "access",
                what,
                "make another with `windlass token new`, or remove it from [[access.tokens]]",
            );
        }
    }
}

fn certificate(settings: &Settings, report: &mut Report) {
    let Some(tls) = &settings.tls else { return };
    match Tls::load(tls) {
        Ok(_) => report.ok("tls", format!("{} can be shown", tls.certificate.display())),
        Err(error) => report.error("tls", format!("{error:#}"), "correct `certificate` and `key` in [tls]"),
    }
}

fn compiler(settings: &Settings, report: &mut Report) {
    let about = "compiler";
    let program = match &settings.compile.program {
        Some(program) => program.clone(),
        None => match env::current_exe() {
            Ok(program) => program,
            Err(error) => {
                let what = format!("this program's own file cannot be found: {error}");
                return report.error(about, what, "name it as `program` in [compile]");
            }
        },
    };
    match found(&program) {
        Some(path) if folders::may_run(&path) => report.ok(about, format!("{} compiles components", path.display())),
        Some(path) => report.error(
            about,
            format!("{} cannot be run", path.display()),
            "make it executable, or correct `program` in [compile]",
        ),
        None => {
            report.error(about, format!("there is no program {}", program.display()), "correct `program` in [compile]");
        }
    }
    let cache = settings.cache_dir();
    match folders::can_be_made(&cache) {
        Ok(()) => report.ok(about, format!("compiled components are kept in {}", cache.display())),
        Err(problem) => report.error(
            about,
            format!("compiled components cannot be kept in {}: {problem}", cache.display()),
            "correct `cache_dir`",
        ),
    }
}

/// Where a program is, which without a `/` is looked for as a shell would.
fn found(program: &Path) -> Option<PathBuf> {
    let searched = program.components().count() == 1 && program.is_relative();
    let folders: Vec<_> = if searched {
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
    } else {
        vec![PathBuf::new()]
    };
    folders.into_iter().map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_a_shell_finds_it() {
        assert!(found(Path::new("sh")).is_some_and(|path| folders::may_run(&path)));
        assert!(found(Path::new("/bin/sh")).is_some());
        assert_eq!(found(Path::new("there-is-no-such-program")), None);
        assert_eq!(found(Path::new("/bin")), None);
    }

    #[test]
    fn an_address_for_all_without_an_opt_out_is_an_error() {
        let mut report = Report::default();
        let settings = Settings { listen: "0.0.0.0:0".parse().unwrap(), ..Settings::default() };
        listen(&settings, &mut report);
        assert_eq!((report.errors, report.warnings), (1, 0));
        let mut report = Report::default();
        listen(&Settings { insecure_listen: true, ..settings }, &mut report);
        assert_eq!((report.errors, report.warnings), (0, 1));
    }
}
