//! Bars for long work. They are drawn on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for so much work, or a mark that turns where nobody knows how much it is.
pub(super) fn bar(length: Option<u64>) -> ProgressBar {
    let Some(length) = length else { return ProgressBar::new_spinner() };
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
