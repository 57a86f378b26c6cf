//! The logs of a job: filtered, followed while they grow, and only those lines drawn that can be seen.

use leptos::{html, prelude::*};
use windlass_api::{LogLevel, LogLine};

use super::copying::Copy;
use crate::{
    format::{clip, clock, decimal, exact, plural, visible},
    model::job::JobModel,
    order::sorted,
    ui::browser,
    window,
};

/// How high a line is, in pixels; the style says the same.
const LINE: f64 = 19.0;

/// No line is shown longer, in characters; copying gives all of it.
const LONG: usize = 2_000;

/// A line as it is drawn: a message of several lines makes several of them.
#[derive(Clone, PartialEq)]
struct Shown {
    /// What it belongs to, on its first line.
    head: Option<LogLine>,
    level: LogLevel,
    text: String,
}

/// The logs of the job of the page.
#[component]
pub(in crate::ui) fn LogView(model: RwSignal<JobModel>, #[prop(into)] is_running: Signal<bool>) -> impl IntoView {
    let least = RwSignal::new(LogLevel::Trace);
    let run = RwSignal::new(None::<u32>);
    let wanted = RwSignal::new(String::new());
    let wraps_at_end = RwSignal::new(true);
    let lines = Memo::new(move |_| {
        let (least, run, wanted) = (least.get(), run.get(), wanted.get());
        let passes = |line: &&LogLine| {
            line.level >= least
                && run.is_none_or(|run| line.run == run)
                && (wanted.is_empty() || line.message.contains(&wanted))
        };
        model.with(|model| model.logs.lines().filter(passes).flat_map(shown).collect::<Vec<_>>())
    });
    let runs = Memo::new(move |_| {
        let mut runs: Vec<_> = model.with(|model| model.logs.lines().map(|line| line.run).collect());
        runs.dedup();
        let mut runs = sorted(runs, Ord::cmp);
        runs.dedup();
        runs
    });
    let total = Memo::new(move |_| lines.with(Vec::len));
    let frame = NodeRef::<html::Div>::new();
    let scrolled = RwSignal::new((0.0, 400.0));
    let look = move || {
        if let Some(frame) = frame.get_untracked() {
            let (top, height, all) = (frame.scroll_top(), frame.client_height(), frame.scroll_height());
            scrolled.set((f64::from(top), f64::from(height)));
            wraps_at_end.set(top + height >= all - 8);
        }
    };
    // Whoever is at the end stays at the end.
    Effect::new(move |_| {
        total.track();
        if wraps_at_end.get_untracked() && is_running.get_untracked() {
            request_animation_frame(move || {
                if let Some(frame) = frame.get_untracked() {
                    frame.set_scroll_top(frame.scroll_height());
                }
            });
        }
    });
    let range = Memo::new(move |_| {
        let (top, height) = scrolled.get();
        window::rows(total.get(), top, height, LINE)
    });
    let rows = move || lines.with(|lines| lines[range.get()].iter().map(row).collect_view());
    let px = |pixels: f64| format!("{}px", decimal(pixels));
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let (above, high) = (move || px(range.get().start as f64 * LINE), move || px(total.get() as f64 * LINE));
    let whole = move |()| model.with_untracked(|model| model.logs.lines().map(plain).collect::<Vec<_>>().join("\n"));
    let levels = LogLevel::ALL
        .iter()
        .map(|level| view! { <option value=level.as_str()>{format!("{level} and above")}</option> })
        .collect_view();
    view! {
        <div class="logs">
            <div class="tools">
                <select aria-label="Least level" on:change=move |event| least.set(event_target_value(&event).parse().unwrap_or(LogLevel::Trace))>
                    {levels}
                </select>
                {move || (runs.get().len() > 1).then(|| view! {
                    <select aria-label="Run" on:change=move |event| run.set(event_target_value(&event).parse().ok())>
                        <option value="">"all runs"</option>
                        {runs.get().into_iter().map(|run| view! { <option value=run.to_string()>{format!("run {run}")}</option> }).collect_view()}
                    </select>
                })}
                <input type="search" placeholder="Find in logs" aria-label="Find in logs" bind:value=wanted />
                <span class="quiet number">{move || plural(total.get() as u64, "line", "lines")}</span>
                <Copy label="Copy logs" small=true text=whole />
            </div>
            <div class="log-frame" node_ref=frame tabindex="0" role="log" aria-live="off" aria-label="Logs" on:scroll=move |_| look()>
                <div class="code-all" style:height=high>
                    <div class="code-seen" style:padding-top=above>{rows}</div>
                </div>
            </div>
        </div>
    }
}

fn shown(line: &LogLine) -> Vec<Shown> {
    let fields = line.fields.as_ref().map(|fields| format!("  {}", fields.as_str())).unwrap_or_default();
    let text = format!("{}{fields}", line.message);
    let parts = text.split('\n').enumerate().map(|(at, part)| Shown {
        head: (at == 0).then(|| line.clone()),
        level: line.level,
        text: visible(&clip(part, LONG)),
    });
    parts.collect()
}

fn row(shown: &Shown) -> impl IntoView + use<> {
    let head = shown.head.as_ref().map(|line| {
        let offset = browser::offset_minutes(line.at);
        let time = clock(line.at, line.at, offset);
        view! {
            <time title=format!("{} · run {}", exact(line.at, offset), line.run) datetime=line.at.to_string()>{time}</time>
            <span class=format!("level {}", line.level)>{line.level.to_string()}</span>
        }
    });
    view! { <div class=format!("log-line level-{}", shown.level)>{head}<span class="log-text">{shown.text.clone()}</span></div> }
}

fn plain(line: &LogLine) -> String {
    let fields = line.fields.as_ref().map(|fields| format!(" {}", fields.as_str())).unwrap_or_default();
    format!("{} {:5} run {} {}{fields}", line.at, line.level, line.run, line.message)
}
