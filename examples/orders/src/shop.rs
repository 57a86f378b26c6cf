//! The services that an order needs, as files in a directory. As services with idempotency keys do, each answers a key
//! that it has seen as it did before, and does nothing more.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

/// All of them.
pub(crate) struct Shop<'a> {
    folder: &'a Path,
}

impl<'a> Shop<'a> {
    pub(crate) const fn at(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// Charges a buyer and gives the number of the charge.
    pub(crate) fn charge(&self, key: &str, email: &str, cents: u64) -> io::Result<u64> {
        self.once("charges.csv", key, &format!("{email},{cents}"))
    }

    /// Sets goods aside and gives the number of the reservation.
    pub(crate) fn reserve(&self, key: &str, sku: &str, quantity: u32) -> io::Result<u64> {
        self.once("reservations.csv", key, &format!("{sku},{quantity}"))
    }

    /// Writes a mail and gives its file.
    pub(crate) fn mail(&self, key: &str, to: &str, text: &str) -> io::Result<String> {
        let file = format!("outbox/{key}.txt");
        fs::create_dir_all(self.folder.join("outbox"))?;
        fs::write(self.folder.join(&file), format!("To: {to}\n\n{text}\n"))?;
        Ok(file)
    }

    /// Appends a line with a key, unless there is one; gives its number.
    fn once(&self, file: &str, key: &str, rest: &str) -> io::Result<u64> {
        let path = self.folder.join(file);
        let lines = match fs::read_to_string(&path) {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        if let Some((number, _)) = (1..).zip(lines.lines()).find(|(_, line)| line.split(',').next() == Some(key)) {
            return Ok(number);
        }
        // One call, so that a run that is killed leaves the whole line or none.
        OpenOptions::new().create(true).append(true).open(path)?.write_all(format!("{key},{rest}\n").as_bytes())?;
        Ok(lines.lines().count() as u64 + 1)
    }
}
