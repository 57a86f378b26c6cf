//! The servers that tests use: Redis, PostgreSQL, PgBouncer. Installs what is missing, and starts the ones that all tests
//! of a run share. How a server is started is known to `windlass-test-services`.

use std::{env, process::Command};

use anyhow::{Context, Result, bail};
use windlass_test_services::{Postgres, Redis, missing, shared};

use crate::shell::{step, works};

/// Installs Debian's packages so that none of them starts a service, now or when the machine starts: the tests start
/// their own, and nobody asked for more. The policy file is how Debian is told so; one that is there already is left as
/// it is.
const INSTALL: &str = r#"
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
apt-get update --quiet
apt-get install --quiet --yes --no-install-recommends "$@"
for unit in "$@"; do
    systemctl disable --quiet "$unit" 2>/dev/null || true
done
"#;

/// Installs what is missing where this may be done without asking, and says exactly what to install otherwise.
pub(crate) fn install() -> Result<()> {
    let mut packages: Vec<&str> = missing().iter().map(|needed| needed.package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if !install_packages(&packages)? {
        bail!(
            "the tests need servers that are not on this machine; install them (Debian, Ubuntu: `apt-get install {names}`; \
             other systems have packages of Redis 7, PostgreSQL and PgBouncer under similar names) and have their \
             programs in PATH"
        );
    }
    match missing().first() {
        None => Ok(()),
        Some(needed) => {
            bail!("the package {} is installed and brought no program `{}`", needed.package, needed.program)
        }
    }
}

/// Installs Debian's packages where this may be done without asking; false where it may not.
pub(crate) fn install_packages(packages: &[&str]) -> Result<bool> {
    let Some(mut command) = as_root().filter(|_| works(Command::new("apt-get").arg("--version"))) else {
        return Ok(false);
    };
    command.args(["sh", "-c", INSTALL, "sh"]).args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    step(&format!("installing {}", packages.join(" ")), &mut command)?;
    Ok(true)
}

/// A command whose arguments are run as root, where that is possible without a password.
fn as_root() -> Option<Command> {
    if rustix::process::geteuid().is_root() {
        return Some(Command::new("env"));
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", "--preserve-env=DEBIAN_FRONTEND"]);
    works(Command::new("sudo").args(["--non-interactive", "true"])).then_some(command)
}

/// One Redis and one PostgreSQL for all tests of a run. Dropping it ends both.
pub(crate) struct Shared {
    redis: Option<Redis>,
    postgres: Option<Postgres>,
}

impl Shared {
    /// Starts them, except where the environment names one already.
    pub(crate) fn start() -> Result<Self> {
        install()?;
        let is_named = |variable: &str| env::var_os(variable).is_some_and(|value| !value.is_empty());
        let redis = if is_named(shared::REDIS) { None } else { Some(Redis::start().context("Redis for the tests")?) };
        let postgres = if is_named(shared::POSTGRES) {
            None
        } else {
            Some(shared::postgres().start().context("PostgreSQL for the tests")?)
        };
        Ok(Self { redis, postgres })
    }

    /// Names them to a command.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.envs(self.redis.iter().map(|redis| (shared::REDIS, redis.url())));
        command.envs(self.postgres.iter().map(|postgres| (shared::POSTGRES, postgres.url())));
    }
}
