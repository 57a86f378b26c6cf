//! A clock that can be set for single programs, by `faketime`.

use std::{
    fs, io,
    process::{Command, Stdio},
};

use rustix::process::Signal;

use crate::{
    failure,
    programs::{self, User},
    room::Room,
};

/// The clock on the wall as a program sees it that is started with [`Self::environment`]. What runs without being set, such
/// as the monotonic clock, is left alone. Programs notice within a second that it has been set.
///
/// The program must be linked to the system's C library as Rust's programs usually are; one that is not sees the true
/// time, so a test makes sure that it was fooled.
#[derive(Debug)]
pub struct FalseClock {
    library: String,
    room: Room,
}

impl FalseClock {
    /// One that is right so far.
    ///
    /// # Errors
    /// Where there is no `faketime`.
    pub fn new() -> io::Result<Self> {
        let mut command = Command::new(programs::find(programs::FAKETIME)?);
        let output = command.args(["-f", "+0", "env"]).stdin(Stdio::null()).output()?;
        let environment = String::from_utf8_lossy(&output.stdout);
        let library = environment.lines().find_map(|line| line.strip_prefix("LD_PRELOAD="));
        let library = library.ok_or_else(|| failure("faketime preloads nothing"))?.to_owned();
        // A server that does not run as root must be able to read it.
        let clock = Self { library, room: Room::new(User::other_than_root()?, Signal::KILL)? };
        clock.set(0)?;
        Ok(clock)
    }

    /// Variables of the program's environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment_with(self.library.clone(), ("FAKETIME_CACHE_DURATION", "1"))
    }

    /// The same for programs that notice at once that it has been set. Each look at the clock costs them a look at a file.
    #[must_use]
    pub fn environment_at_once(&self) -> Vec<(String, String)> {
        // jemalloc, which Redis has, looks at the clock while it sets itself up, and a look at a file allocates: the C library's own
        // allocator is put before it.
        self.environment_with(format!("{}:libc.so.6", self.library), ("FAKETIME_NO_CACHE", "1"))
    }

    fn environment_with(&self, preloaded: String, (name, value): (&str, &str)) -> Vec<(String, String)> {
        let file = self.room.file("offset").display().to_string();
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            ("LD_PRELOAD".to_owned(), preloaded),
            set("FAKETIME_TIMESTAMP_FILE", &file),
            set(name, value),
            // The older name and the newer one.
            set("DONT_FAKE_MONOTONIC", "1"),
            set("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            set("NO_FAKE_STAT", "1"),
        ]
    }

    /// Sets it to this many seconds ahead of the true time, or behind.
    ///
    /// # Errors
    /// Where its file cannot be written.
    pub fn set(&self, offset_s: i64) -> io::Result<()> {
        // In one step, so that nobody reads half of it.
        let fresh = self.room.file("offset.fresh");
        fs::write(&fresh, format!("{offset_s:+}"))?;
        fs::rename(fresh, self.room.file("offset"))
    }
}
