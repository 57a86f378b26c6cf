//! Which rows of a long list are drawn: those that can be seen and a few around them. All rows are of one height.

use std::ops::Range;

/// Rows drawn beyond what can be seen, so that scrolling by the wheel shows no gaps.
const AROUND: usize = 30;

/// The rows to draw, from how far the list is scrolled and how high it is, in pixels.
#[must_use]
pub fn rows(total: usize, scrolled: f64, height: f64, row_height: f64) -> Range<usize> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the list right after")]
    let row_at = |pixels: f64| (pixels.max(0.0) / row_height.max(1.0)) as usize;
    let first = row_at(scrolled).saturating_sub(AROUND);
    let end = row_at(scrolled + height).saturating_add(AROUND + 1).min(total);
    first.min(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_seen_is_drawn() {
        assert_eq!(rows(100_000, 20_000.0, 400.0, 20.0), 970..1_051);
        assert_eq!(rows(5, 0.0, 400.0, 20.0), 0..5);
        assert_eq!(rows(0, 0.0, 400.0, 20.0), 0..0);
    }

    #[test]
    fn a_list_that_became_shorter_or_odd_figures_do_no_harm() {
        assert_eq!(rows(10, 1e12, 400.0, 20.0), 10..10);
        assert_eq!(rows(10, f64::NAN, f64::NAN, 0.0), 0..10);
        assert_eq!(rows(10, -50.0, 400.0, 20.0), 0..10);
    }
}
