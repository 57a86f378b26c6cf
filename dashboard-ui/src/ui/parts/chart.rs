//! The chart of what happened: columns of plain SVG, the figures of one on hover and for screen readers as a table.

use leptos::prelude::*;
use windlass_api::Timestamp;

use crate::{
    chart::{Drawn, HEIGHT, Rectangle, WIDTH, stack, top},
    format::{clock, compact, count, decimal},
    model::traffic::{Bar, Reach},
    ui::browser,
};

/// A chart of these bars.
#[component]
pub(in crate::ui) fn Chart(#[prop(into)] bars: Signal<Vec<Bar>>, #[prop(into)] reach: Signal<Reach>) -> impl IntoView {
    let pointed = RwSignal::new(None::<usize>);
    let told = move || {
        let bars = bars.get();
        match pointed.get().and_then(|at| bars.get(at).copied()) {
            Some(bar) => format!("{}: {}", label(bar.at, reach.get()), figures(&bar)),
            None => {
                let sum = |part: fn(&Bar) -> u64| bars.iter().map(part).sum();
                let all = Bar {
                    at: Timestamp(0),
                    succeeded: sum(|bar| bar.succeeded),
                    failed: sum(|bar| bar.failed),
                    retried: sum(|bar| bar.retried),
                };
                format!("In all: {}", figures(&all))
            }
        }
    };
    let columns = move || {
        let draw = |(at, drawn): (usize, Drawn)| {
            view! {
                <g on:pointerenter=move |_| pointed.set(Some(at))>
                    {rectangle("column", drawn.column)}
                    {rectangle("succeeded", drawn.succeeded)}
                    {rectangle("retried", drawn.retried)}
                    {rectangle("failed", drawn.failed)}
                </g>
            }
        };
        stack(&bars.get()).into_iter().enumerate().map(draw).collect_view()
    };
    let ends = move || {
        let (bars, reach) = (bars.get(), reach.get());
        let end = |bar: Option<&Bar>| bar.map(|bar| label(bar.at, reach)).unwrap_or_default();
        (end(bars.first()), end(bars.get(bars.len() / 2)))
    };
    view! {
        <figure class="chart">
            <figcaption>
                <span class="legend succeeded">"succeeded"</span>
                <span class="legend retried">"retried"</span>
                <span class="legend failed">"failed"</span>
                <span class="told number">{told}</span>
            </figcaption>
            <div class="plot">
                <div class="scale number" aria-hidden="true">
                    <span>{move || compact(top(&bars.get()))}</span>
                    <span>{move || compact(top(&bars.get()) / 2)}</span>
                    <span>"0"</span>
                </div>
                <svg
                    viewBox=format!("0 0 {} {}", decimal(WIDTH), decimal(HEIGHT))
                    preserveAspectRatio="none"
                    role="img"
                    aria-label=move || format!("Jobs over time. {}", told())
                    on:pointerleave=move |_| pointed.set(None)
                >
                    <path class="grid" d=grid()></path>
                    {columns}
                </svg>
            </div>
            <div class="ends number" aria-hidden="true">
                <span>{move || ends().0}</span>
                <span>{move || ends().1}</span>
                <span>"now"</span>
            </div>
        </figure>
    }
}

fn rectangle(class: &'static str, at: Rectangle) -> impl IntoView {
    view! { <rect class=class x=decimal(at.x) y=decimal(at.y) width=decimal(at.width.max(0.0)) height=decimal(at.height)></rect> }
}

/// Lines at the top, in the middle and at the bottom.
fn grid() -> String {
    [0.5, HEIGHT / 2.0, HEIGHT - 0.5].map(|y| format!("M0 {}H{}", decimal(y), decimal(WIDTH))).concat()
}

fn figures(bar: &Bar) -> String {
    format!("{} succeeded, {} retried, {} failed", count(bar.succeeded), count(bar.retried), count(bar.failed))
}

fn label(at: Timestamp, reach: Reach) -> String {
    let offset = browser::offset_minutes(at);
    match reach {
        Reach::Hour | Reach::Day => clock(at, at, offset).chars().take(5).collect(),
        // Days are counted in UTC.
        Reach::Month => at.to_string().chars().take(10).collect(),
    }
}
