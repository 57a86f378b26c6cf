//! Certificates for TLS, made by `openssl` and valid for a day.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{failure, programs};

/// What the server's certificate is for. It must not be an authority's: rustls refuses such.
const EXTENSIONS: &str = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=critical,CA:FALSE\n";

/// An authority, and a server's certificate that it signed for 127.0.0.1 and localhost.
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them in a folder.
    ///
    /// # Errors
    /// Where there is no `openssl`, or the folder cannot be written.
    pub fn make(folder: &Path) -> io::Result<Self> {
        let made = Self { folder: folder.to_path_buf() };
        fs::write(folder.join("extensions"), EXTENSIONS)?;
        let openssl = |line: &str| run(folder, line);
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(&format!("req -x509 -days 1 {key} -keyout authority.key -out authority.pem -subj /CN=windlass-tests"))?;
        openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"))?;
        openssl(
            "x509 -req -days 1 -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -extfile extensions \
             -out server.pem",
        )?;
        Ok(made)
    }

    /// The authority's certificate, which a client must be told to trust, in PEM.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// The server's certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    /// The server's key, in PEM.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.join("server.key")
    }
}

fn run(folder: &Path, line: &str) -> io::Result<()> {
    let mut command = Command::new(programs::find(programs::OPENSSL)?);
    let output = command.args(line.split_whitespace()).current_dir(folder).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(failure(format!("`openssl {line}` gave {}: {}", output.status, String::from_utf8_lossy(&output.stderr))))
}
