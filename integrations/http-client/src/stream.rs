//! Server-sent events, read piece by piece as they come. What is only said to keep the connection is passed over.

/// No event of a host is longer, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// One event as it stands in the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) id: Option<String>,
    pub(crate) kind: String,
    pub(crate) data: String,
}

/// What has come and is not read yet.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    bytes: Vec<u8>,
    begun: Sent,
}

impl Incoming {
    /// Takes in what has come. False where that cannot be a stream of events.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        self.bytes.extend_from_slice(bytes);
        self.bytes.len() + self.begun.data.len() <= MAX_BYTES
    }

    /// The next event that is whole. One without data tells its id alone.
    pub(crate) fn next(&mut self) -> Option<Sent> {
        loop {
            let end = self.bytes.iter().position(|&byte| byte == b'\n')?;
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                let sent = std::mem::take(&mut self.begun);
                if sent != Sent::default() {
                    return Some(sent);
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.begun.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut self.begun.kind),
                "data" => {
                    if !self.begun.data.is_empty() {
                        self.begun.data.push('\n');
                    }
                    self.begun.data += value;
                }
                // Comments, and how soon a browser comes back.
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_wherever_the_pieces_are_cut() {
        let text =
            "id: a-1\nretry: 2000\n: following\n\n: still here\n\nevent: job\r\nid: a-2\r\ndata: {\"id\":1}\r\n\r\n";
        for cut in 0..text.len() {
            let mut incoming = Incoming::default();
            let mut read = Vec::new();
            for piece in [&text[..cut], &text[cut..]] {
                assert!(incoming.push(piece.as_bytes()));
                read.extend(std::iter::from_fn(|| incoming.next()));
            }
            let begun = Sent { id: Some("a-1".to_owned()), ..Sent::default() };
            let job = Sent { id: Some("a-2".to_owned()), kind: "job".to_owned(), data: "{\"id\":1}".to_owned() };
            assert_eq!(read, [begun, job], "cut at {cut}");
        }
    }

    #[test]
    fn what_never_ends_is_no_event() {
        let mut incoming = Incoming::default();
        assert!(incoming.push(&[b'a'; MAX_BYTES]));
        assert!(!incoming.push(b"a"));
    }
}
