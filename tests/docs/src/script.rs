//! One shell script of all that a page has a reader type: each block in braces, so that folders and variables stay from
//! block to block as they do in a terminal.

use std::fmt::Write as _;

use crate::blocks::Block;

/// What comes before the blocks. `until_ready` waits for a host as a reader does who looks at its terminal.
const PRELUDE: &str = r#"set -euo pipefail
until_ready() { # port
    for _ in $(seq 1200); do
        if { exec 9<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; then
            printf 'GET /readyz HTTP/1.0\r\nHost: 127.0.0.1:%s\r\n\r\n' "$1" >&9
            local line=; read -r line <&9 || true; exec 9>&-
            if [[ $line == *' 200 '* ]]; then return 0; fi
        fi
        sleep 0.05
    done
    echo "no host became ready on port $1" >&2
    return 1
}
"#;

/// A part of the page that the script does something for.
#[derive(Debug)]
pub(crate) enum Step {
    /// Commands, and what they print where the page says so.
    Run { block: Block, prints: Option<Block> },
    /// A file.
    Write { block: Block, name: String },
}

impl Step {
    pub(crate) const fn line(&self) -> usize {
        match self {
            Self::Run { block, .. } | Self::Write { block, .. } => block.line,
        }
    }
}

/// The script. What the Nth step printed goes to `N.out` in the folder that `$SEEN` names, what it complained of to `N.err`.
pub(crate) fn script(steps: &[Step], change: impl Fn(&str) -> String) -> String {
    let mut script = PRELUDE.to_owned();
    for (at, step) in steps.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(script, "\necho {at} > \"$SEEN/at\"");
        match step {
            Step::Write { block, name } => {
                let _ = write!(
                    script,
                    "mkdir -p \"$(dirname '{name}')\"\ncat > '{name}' <<'END OF THE FILE'\n{}END OF THE FILE\n",
                    change(&block.shown())
                );
            }
            Step::Run { block, .. } => {
                let text = change(&block.text);
                let streams = format!("> \"$SEEN/{at}.out\" 2> \"$SEEN/{at}.err\" < /dev/null");
                let (serves, port) = served(&block.text);
                // A host goes on: a reader leaves it in a terminal of its own.
                let goes_on = if serves && !block.text.trim_end().ends_with('&') { " &" } else { "" };
                let _ = writeln!(script, "{{\n{text}}} {streams}{goes_on}");
                if serves {
                    let _ = writeln!(script, "until_ready {}", change(&port).rsplit(':').next().unwrap_or_default());
                }
            }
        }
    }
    script
}

/// Whether commands start a host, and where it listens.
fn served(text: &str) -> (bool, String) {
    let command = text.lines().find(|line| line.trim_start().starts_with("windlass serve"));
    let listen = command.and_then(|line| line.split_once("--listen ")).map(|(_, rest)| rest);
    let address = listen.and_then(|rest| rest.split_whitespace().next()).unwrap_or("127.0.0.1:7878");
    (command.is_some(), address.to_owned())
}

/// What is wrong with what was printed, where it is not as the page shows it. `…` stands for anything.
pub(crate) fn difference(shown: &str, printed: &str) -> Option<String> {
    let shown: Vec<_> = shown.lines().map(str::trim_end).collect();
    let printed: Vec<_> = printed.lines().map(str::trim_end).collect();
    (!fits(&shown, &printed))
        .then(|| format!("the page shows\n{}\nbut it printed\n{}", shown.join("\n"), printed.join("\n")))
}

fn fits(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&"…", rest)) => (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..])),
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, others)| line_fits(line, first) && fits(rest, others))
        }
    }
}

fn line_fits(shown: &str, printed: &str) -> bool {
    match shown.split_once('…') {
        None => shown == printed,
        // Ends are trimmed, and so the space before nothing is gone.
        Some((before, "")) if printed == before.trim_end() => true,
        Some((before, after)) => printed.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_fits(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_stands_for_anything() {
        assert_eq!(difference("id …, …\n…\nend", "id 7, 8\nx\ny\nend\n"), None);
        assert_eq!(difference("a …", "a "), None);
        assert!(difference("a\nb", "a\n").is_some());
        assert!(difference("a …", "b c").is_some());
    }

    #[test]
    fn a_host_goes_on_beside_what_follows() {
        let block = |text: &str| Block { language: "sh".into(), line: 1, text: text.into(), note: None };
        let steps = [Step::Run { block: block("windlass serve --listen 127.0.0.1:7879\n"), prints: None }];
        let script = script(&steps, str::to_owned);
        assert!(
            script.contains("} > \"$SEEN/0.out\" 2> \"$SEEN/0.err\" < /dev/null &\nuntil_ready 7879\n"),
            "{script}"
        );
    }
}
