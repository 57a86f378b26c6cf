//! The format of an export: a line that names it, a line for each record, and a last line by which a file that was cut off
//! can be told. Each line is a JSON object.

use std::io::{self, BufRead, Read as _, Write};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use windlass_api::Timestamp;
use windlass_jobs::storage::Record;

use super::super::{exit::Usage, format};

/// What the first line says that the file is.
const FORMAT: &str = "windlass-export";

/// The version that is written. One that is higher is not read.
const VERSION: u32 = 1;

/// The longest line: a component of the biggest size that is usually allowed, 64 MiB, takes 86 MiB; somebody may have
/// allowed more.
const LINE_BYTES: u64 = 1 << 30;

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    format: String,
    version: u32,
    /// The version of Windlass that wrote it.
    windlass: String,
    /// The kind of storage that it comes from.
    storage: String,
    exported_at: Timestamp,
}

/// The last line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    end: EndOfExport,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EndOfExport {
    records: u64,
    /// Whether something could not be read and is left out.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    incomplete: bool,
}

impl Header {
    pub(super) fn new(storage: &str, exported_at: Timestamp) -> Self {
        let windlass = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT.to_owned(), version: VERSION, windlass, storage: storage.to_owned(), exported_at }
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        line(out, self)
    }
}

/// Writes a record as its line.
pub(super) fn write(record: &Record, out: &mut dyn Write) -> anyhow::Result<()> {
    line(out, record)
}

/// Writes the last line. `incomplete` says that something is left out because it was damaged.
pub(super) fn write_end(records: u64, incomplete: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    line(out, &End { end: EndOfExport { records, incomplete } })
}

fn line<T: Serialize>(mut out: &mut dyn Write, value: &T) -> anyhow::Result<()> {
    serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Reads an export.
pub(super) struct Lines<R> {
    name: String,
    reader: R,
    /// The line that was read last, from 1.
    pub(super) line: u64,
    pub(super) read_bytes: u64,
    records: u64,
    ended: bool,
    /// Whether its last line says that something was left out.
    pub(super) is_incomplete: bool,
}

/// A record with its place.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) bytes: usize,
    pub(super) record: Record,
}

impl<R: BufRead> Lines<R> {
    /// Reads the first line, which says whether the rest can be read.
    pub(super) fn open(name: &str, reader: R) -> anyhow::Result<(Self, Header)> {
        let name = name.to_owned();
        let mut lines = Self { name, reader, line: 0, read_bytes: 0, records: 0, ended: false, is_incomplete: false };
        let text = lines.text()?.unwrap_or_default();
        let header: Option<Header> = serde_json::from_str(text.trim_end()).ok();
        let Some(header) = header.filter(|header| header.format == FORMAT) else {
            return Err(lines.wrong("it is not the beginning of an export, as `windlass storage export` writes it"));
        };
        if header.version > VERSION {
            let (version, windlass) = (header.version, &header.windlass);
            return Err(lines.wrong(&format!(
                "the export has version {version}, written by windlass {windlass}, and this windlass reads versions up to \
                 {VERSION}: use a newer windlass"
            )));
        }
        Ok((lines, header))
    }

    /// The next record; nothing at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            let Some(text) = self.text()? else { return Ok(None) };
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            if self.ended {
                return Err(self.wrong("there is more after the line that ends the export"));
            }
            match Record::from_json(text) {
                Ok(record) => {
                    self.records += 1;
                    return Ok(Some(Line { number: self.line, bytes: text.len(), record }));
                }
                Err(error) => match serde_json::from_str::<End>(text) {
                    Ok(End { end }) if end.records == self.records => {
                        (self.ended, self.is_incomplete) = (true, end.incomplete);
                    }
                    Ok(End { end }) => {
                        let problem = format!("the export had {} records, and {} are here", end.records, self.records);
                        return Err(self.wrong(&problem));
                    }
                    Err(_) => return Err(self.wrong(&error.to_string())),
                },
            }
        }
    }

    /// Whether the export is there to its end.
    pub(super) fn check_end(&self) -> anyhow::Result<()> {
        if !self.ended {
            bail!(
                "{} ends after line {} without the line that ends an export: it has been cut off, and holds only a part",
                self.name,
                self.line
            );
        }
        Ok(())
    }

    fn text(&mut self) -> anyhow::Result<Option<String>> {
        let (mut bytes, number) = (Vec::new(), self.line + 1);
        let read = self.reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut bytes);
        let read = read.with_context(|| format!("failed to read line {number} of {}", self.name))? as u64;
        if read == 0 {
            return Ok(None);
        }
        (self.line, self.read_bytes) = (number, self.read_bytes + read);
        if read == LINE_BYTES && bytes.last() != Some(&b'\n') {
            return Err(self.wrong(&format!("it has more than {}", format::size(LINE_BYTES))));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| self.wrong("it is not UTF-8"))
    }

    fn wrong(&self, problem: &str) -> anyhow::Error {
        Usage(format!("failed to read line {} of {}: {problem}", self.line, self.name)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = r#"{"kind":"queue","name":"mail","paused":true}"#;

    fn header() -> String {
        let mut text = Vec::new();
        Header::new("SQLite", Timestamp(0)).write(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn read(text: &str) -> Result<Vec<(u64, Record)>, String> {
        let (mut lines, _) = Lines::open("e.jsonl", text.as_bytes()).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        while let Some(line) = lines.next().map_err(|error| error.to_string())? {
            found.push((line.number, line.record));
        }
        lines.check_end().map_err(|error| error.to_string())?;
        Ok(found)
    }

    #[test]
    fn what_was_written_is_read() {
        let record = Record::from_json(QUEUE).unwrap();
        let mut text = header().into_bytes();
        write(&record, &mut text).unwrap();
        write(&record, &mut text).unwrap();
        write_end(2, true, &mut text).unwrap();
        assert_eq!(read(std::str::from_utf8(&text).unwrap()), Ok(vec![(2, record.clone()), (3, record)]));
    }

    #[test]
    fn the_first_line_says_what_it_is() {
        insta::assert_snapshot!(header(), @r#"{"format":"windlass-export","version":1,"windlass":"0.1.0","storage":"SQLite","exported_at":"1970-01-01T00:00:00.000Z"}"#);
        for text in ["", "\n", QUEUE, "{\"format\":\"other\",\"version\":1}"] {
            let error = read(text).unwrap_err();
            assert!(error.contains("of e.jsonl: it is not the beginning of an export"), "{error}");
        }
        let error = read(&header().replace("\"version\":1", "\"version\":2")).unwrap_err();
        assert!(
            error.contains("version 2, written by windlass 0.1.0, and this windlass reads versions up to 1"),
            "{error}"
        );
    }

    #[test]
    fn a_bad_line_is_named_with_its_field() {
        let error = read(&format!("{}{QUEUE}\n\n{}\n", header(), QUEUE.replace("mail", "a b"))).unwrap_err();
        assert!(error.starts_with("failed to read line 4 of e.jsonl: name: `a b` is not a queue name"), "{error}");
        let error = read(&format!("{}{}\n", header(), &QUEUE[..20])).unwrap_err();
        assert!(error.starts_with("failed to read line 2 of e.jsonl: EOF while parsing"), "{error}");
    }

    #[test]
    fn an_export_that_was_cut_off_is_told() {
        let error = read(&format!("{}{QUEUE}\n", header())).unwrap_err();
        assert!(error.contains("e.jsonl ends after line 2 without the line that ends an export"), "{error}");
        let error = read(&format!("{}{QUEUE}\n{{\"end\":{{\"records\":3}}}}\n", header())).unwrap_err();
        assert!(error.contains("the export had 3 records, and 1 are here"), "{error}");
        let error = read(&format!("{}{{\"end\":{{\"records\":0}}}}\n{QUEUE}\n", header())).unwrap_err();
        assert!(error.contains("there is more after the line that ends the export"), "{error}");
    }
}
