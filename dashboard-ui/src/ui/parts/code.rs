//! JSON, laid out and coloured. Only the lines that can be seen are drawn.

use leptos::{html, prelude::*};

use super::copying::Copy;
use crate::{
    format::{decimal, plural, visible},
    json::{Kind, Layout},
    window,
};

/// How high a line is, in pixels; the style says the same.
const LINE: f64 = 19.0;

/// More lines than these are folded away at first.
const MANY: usize = 24;

/// JSON text.
#[component]
pub(in crate::ui) fn Code(
    /// What it is, for the buttons and for screen readers: "payload".
    #[prop(into)]
    what: String,
    #[prop(into)] json: Signal<String>,
) -> impl IntoView {
    let layout = Memo::new(move |_| Layout::new(&json.get()));
    let scrolled = RwSignal::new((0.0, 600.0));
    let is_open = RwSignal::new(false);
    let frame = NodeRef::<html::Div>::new();
    let look = move || {
        if let Some(frame) = frame.get_untracked() {
            scrolled.set((f64::from(frame.scroll_top()), f64::from(frame.client_height())));
        }
    };
    let total = Memo::new(move |_| layout.with(|layout| layout.lines().len()));
    let range = Memo::new(move |_| {
        let (top, height) = scrolled.get();
        window::rows(total.get(), top, height, LINE)
    });
    let lines = move || {
        layout.with(|layout| {
            layout.lines()[range.get()]
                .iter()
                .map(|line| {
                    let pieces = layout.pieces(line).into_iter().map(|piece| {
                        view! { <span class=class(piece.kind)>{visible(&piece.text)}</span> }
                    });
                    let indent = "  ".repeat(usize::try_from(line.depth).unwrap_or_default());
                    view! { <div class="code-line">{indent}{pieces.collect_view()}</div> }
                })
                .collect_view()
        })
    };
    let px = |pixels: f64| format!("{}px", decimal(pixels));
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let (above, high) = (move || px(range.get().start as f64 * LINE), move || px(total.get() as f64 * LINE));
    let title = what.clone();
    view! {
        <div class="code" class:open=move || is_open.get()>
            <div class="code-tools">
                {move || (total.get() > MANY).then(|| view! {
                    <button type="button" class="button quiet small" aria-expanded=move || is_open.get().to_string()
                        on:click=move |_| { is_open.update(|open| *open = !*open); request_animation_frame(look); }>
                        {move || if is_open.get() { "Fold".to_owned() } else { format!("Show {}", plural(total.get() as u64, "line", "lines")) }}
                    </button>
                })}
                <Copy label=format!("Copy {what}") small=true text=move |()| layout.with_untracked(Layout::pretty) />
            </div>
            <div class="code-frame" node_ref=frame tabindex="0" role="region" aria-label=title on:scroll=move |_| look()>
                <div class="code-all" style:height=high>
                    <div class="code-seen" style:padding-top=above>{lines}</div>
                </div>
            </div>
        </div>
    }
}

const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Key => "json-key",
        Kind::Text => "json-text",
        Kind::Number => "json-number",
        Kind::Word => "json-word",
        Kind::Mark => "json-mark",
        Kind::Odd => "json-odd",
    }
}
