//! Where the bars and lines of a chart stand. The drawing itself is plain SVG.

use crate::model::traffic::Bar;

/// The width of a chart's own coordinates.
pub const WIDTH: f64 = 600.0;

/// The height of a chart's own coordinates.
pub const HEIGHT: f64 = 120.0;

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rectangle {
    /// Its left edge.
    pub x: f64,
    /// Its upper edge.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// A bar as it is drawn: from below, what succeeded, what is tried again, what failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// What it stands for.
    pub bar: Bar,
    /// The whole column, for the pointer.
    pub column: Rectangle,
    /// What succeeded.
    pub succeeded: Rectangle,
    /// What is tried again.
    pub retried: Rectangle,
    /// What failed.
    pub failed: Rectangle,
}

/// The upper end of the scale: 1, 2 or 5 times a power of ten, so that its marks are round.
#[must_use]
pub fn top(bars: &[Bar]) -> u64 {
    let highest = bars.iter().map(Bar::total).max().unwrap_or(0).max(4);
    let mut power: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            let top = power.saturating_mul(factor);
            if top >= highest {
                return top;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Where the bars stand.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a pixel is coarser than the error")]
pub fn stack(bars: &[Bar]) -> Vec<Drawn> {
    let (top, step) = (top(bars) as f64, WIDTH / bars.len().max(1) as f64);
    let gap = (step * 0.2).min(3.0);
    let high = |number: u64| number as f64 / top * HEIGHT;
    let drawn = |(at, bar): (usize, &Bar)| {
        let x = at as f64 * step;
        let mut below = HEIGHT;
        let mut part = |number: u64| {
            // What happened at all can be seen, however high the other bars are.
            let height = if number == 0 { 0.0 } else { high(number).max(1.5) };
            below -= height;
            Rectangle { x: x + gap / 2.0, y: below, width: step - gap, height }
        };
        let (succeeded, retried, failed) = (part(bar.succeeded), part(bar.retried), part(bar.failed));
        let column = Rectangle { x, y: 0.0, width: step, height: HEIGHT };
        Drawn { bar: *bar, column, succeeded, retried, failed }
    };
    bars.iter().enumerate().map(drawn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(succeeded: u64, failed: u64) -> Bar {
        Bar { succeeded, failed, ..Bar::default() }
    }

    #[test]
    fn scales_end_at_round_figures() {
        let tops = [0, 5, 6, 99, 101, 4_999].map(|number| top(&[bar(number, 0)]));
        assert_eq!(tops, [5, 5, 10, 100, 200, 5_000]);
        assert_eq!(top(&[bar(u64::MAX, 0)]), u64::MAX);
    }

    #[test]
    fn parts_stand_on_each_other_and_a_single_failure_can_be_seen() {
        let drawn = stack(&[bar(50_000, 1), bar(0, 0)]);
        assert_eq!(drawn.len(), 2);
        assert_eq!(drawn[0].succeeded.y, HEIGHT / 2.0);
        assert_eq!(drawn[0].failed.height, 1.5);
        assert_eq!(drawn[0].failed.y + drawn[0].failed.height, drawn[0].succeeded.y);
        assert_eq!(drawn[1].failed.height, 0.0);
        assert_eq!(stack(&[]), []);
    }
}
