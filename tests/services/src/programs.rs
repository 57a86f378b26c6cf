//! Where the servers' programs are, and which package has them.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use crate::failure;

/// A program that the services need, and Debian's package of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The program.
    pub program: &'static str,
    /// Debian's package, which Ubuntu calls the same.
    pub package: &'static str,
}

pub(crate) const REDIS: Needed = Needed { program: "redis-server", package: "redis-server" };
pub(crate) const POSTGRES: Needed = Needed { program: "postgres", package: "postgresql" };
pub(crate) const INITDB: Needed = Needed { program: "initdb", package: "postgresql" };
pub(crate) const PGBOUNCER: Needed = Needed { program: "pgbouncer", package: "pgbouncer" };
pub(crate) const FAKETIME: Needed = Needed { program: "faketime", package: "faketime" };
pub(crate) const OPENSSL: Needed = Needed { program: "openssl", package: "openssl" };

/// What is missing on this machine of all that the services need.
#[must_use]
pub fn missing() -> Vec<Needed> {
    let all = [REDIS, POSTGRES, INITDB, PGBOUNCER, OPENSSL, FAKETIME];
    all.into_iter().filter(|needed| find(*needed).is_err()).collect()
}

/// The program's place: what PATH names, then where Debian keeps servers that are not meant to be called by hand.
pub(crate) fn find(needed: Needed) -> io::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let known = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let folders = newest_postgres().into_iter().chain(env::split_paths(&path)).chain(known);
    folders.map(|folder| folder.join(needed.program)).find(|program| program.is_file()).ok_or_else(|| {
        failure(format!(
            "the program `{}` is not on this machine; install it (Debian, Ubuntu: `apt-get install {}`)",
            needed.program, needed.package
        ))
    })
}

/// Debian's folders of PostgreSQL's programs, newest version first. Before PATH: what is there may be Debian's wrappers,
/// or initdb of one version and postgres of another.
fn newest_postgres() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join(POSTGRES.program).is_file() && folder.join(INITDB.program).is_file())
        .collect();
    versions.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// Whom a server runs as that refuses to be root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// None where this process is not root: the server runs as whoever this is.
    pub(crate) fn other_than_root() -> io::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd")?;
        let user = ["postgres", "nobody"].into_iter().find_map(|name| Self::parse(&accounts, name));
        user.map(Some).ok_or_else(|| failure("PostgreSQL refuses to be root, and there is no user postgres or nobody"))
    }

    fn parse(accounts: &str, name: &str) -> Option<Self> {
        let fields: Vec<&str> =
            accounts.lines().map(|line| line.split(':').collect()).find(|f: &Vec<&str>| f[0] == name)?;
        Some(Self { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
    }
}

/// Whether everybody may walk through these folders down to this one.
pub(crate) fn is_reachable_by_all(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    folder.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & 0o001 != 0))
}
