//! Parts of a job's page: why it failed, its runs, its life.

use leptos::prelude::*;
use windlass_api::{Failure as Reason, HistoryLine, State};

use crate::{
    format::{bytes, clip, count, fuel, micros, span, visible},
    model::job::{Run, Step, runs, timeline},
    ui::{
        parts::{Code, Copy, Instant, StateBadge},
        shared::Shared,
    },
};

/// Why the last run did not succeed.
#[component]
pub(super) fn Failure(failure: Reason) -> impl IntoView {
    let backtrace = failure.backtrace.clone();
    view! {
        <section class="card failure">
            <div class="card-head">
                <h2>"Error"</h2>
                <span class="badge state-failed"><span class="dot" aria-hidden="true"></span>{failure.cause.to_string()}</span>
                {failure.code.clone().map(|code| view! { <code>{visible(&code)}</code> })}
            </div>
            <p class="message" dir="auto">{visible(&failure.message)}</p>
            {failure.details.map(|details| view! { <Code what="details" json=Signal::stored(details.as_str().to_owned()) /> })}
            {backtrace.map(|backtrace| {
                let text = backtrace.clone();
                view! {
                    <details>
                        <summary>"Where in the component"</summary>
                        <Copy label="Copy backtrace" small=true text=move |()| text.clone() />
                        <pre class="backtrace" tabindex="0">{visible(&backtrace)}</pre>
                    </details>
                }
            })}
        </section>
    }
}

/// The runs, newest first.
#[component]
pub(super) fn Runs(#[prop(into)] history: Signal<Vec<HistoryLine>>) -> impl IntoView {
    move || {
        let runs = runs(&history.get());
        if runs.is_empty() {
            return view! { <p class="quiet">"It has not run yet."</p> }.into_any();
        }
        view! {
            <table class="table plain">
                <thead>
                    <tr><th>"Run"</th><th>"Became"</th><th class="number">"Began"</th><th class="number">"Took"</th><th class="number">"Fuel"</th><th class="number">"Peak memory"</th><th class="number">"Logs"</th></tr>
                </thead>
                <tbody>{runs.iter().map(run).collect_view()}</tbody>
            </table>
        }
        .into_any()
    }
}

fn run(run: &Run) -> impl IntoView + use<> {
    let now = Shared::of_page().now;
    let started = run.started_at;
    let took = match (run.usage, run.ended) {
        (Some(usage), _) => micros(usage.wall_us).into_any(),
        (None, Some((ended, _))) => span(ended.ms_since(started)).into_any(),
        (None, None) => view! { <span>{move || span(now.get().ms_since(started) / 1_000 * 1_000)}</span> }.into_any(),
    };
    let became = run.ended.map_or(State::Processing, |(_, state)| state);
    let failure = run.failure.as_ref().map(|failure| {
        view! {
            <div class="row-note bad">{format!("{}: ", failure.cause)}{visible(&failure.message)}</div>
        }
    });
    let usage = run.usage;
    let network = usage.filter(|usage| usage.sent_bytes + usage.received_bytes > 0).map(|usage| {
        let text = format!("{} sent, {} received", bytes(usage.sent_bytes), bytes(usage.received_bytes));
        view! { <div class="row-note">{text}</div> }
    });
    view! {
        <tr>
            <th scope="row">
                <span class="number">{run.number.to_string()}</span>
                <div class="quiet number">{format!("attempt {}", run.attempt)}</div>
            </th>
            <td data-label="Became"><StateBadge state=became reason=run.reason.clone() />{failure}{network}</td>
            <td class="number" data-label="Began"><Instant at=started time_of_day=true /></td>
            <td class="number" data-label="Took">{took}</td>
            <td class="number" data-label="Fuel" title=usage.map(|usage| count(usage.fuel))>{usage.map(|usage| fuel(usage.fuel))}</td>
            <td class="number" data-label="Peak memory">{usage.map(|usage| bytes(usage.peak_memory_bytes))}</td>
            <td class="number" data-label="Logs">{usage.map(|usage| bytes(usage.log_bytes))}</td>
        </tr>
    }
}

/// The life of a job, newest first.
#[component]
pub(super) fn Timeline(#[prop(into)] history: Signal<Vec<HistoryLine>>) -> impl IntoView {
    move || {
        let steps = timeline(&history.get());
        view! { <ol class="timeline">{steps.iter().map(step).collect_view()}</ol> }
    }
}

fn step(step: &Step) -> impl IntoView + use<> {
    let now = Shared::of_page().now;
    let (line, at) = (&step.line, step.line.at);
    let lasted = match step.lasted_ms {
        Some(ms) => view! { <span class="lasted number">{format!("for {}", span(ms))}</span> }.into_any(),
        None if line.to.is_final() => ().into_any(),
        None => view! { <span class="lasted number">{move || format!("for {} so far", span(now.get().ms_since(at) / 1_000 * 1_000))}</span> }.into_any(),
    };
    let reason = line.reason.as_deref().filter(|reason| *reason != "retry").map(visible);
    view! {
        <li class=format!("step state-{}", line.to)>
            <span class="dot" aria-hidden="true"></span>
            <div class="step-head">
                <strong>{line.to.to_string()}</strong>
                {line.run.map(|run| view! { <span class="quiet number">{format!("run {run}")}</span> })}
                <span class="step-at number"><Instant at=at time_of_day=true /></span>
            </div>
            <div class="quiet step-by">"by "<span title=visible(&line.by)>{who(&line.by)}</span>{reason.map(|reason| format!(" · {reason}"))}</div>
            {line.failure.as_ref().map(|failure| view! { <div class="row-note bad">{visible(&failure.message)}</div> })}
            {lasted}
        </li>
    }
}

/// Who it was, a server by the beginning of its id.
fn who(by: &str) -> String {
    match by.strip_prefix("server ") {
        Some(id) => format!("server {}", visible(&clip(id, 8))),
        None => visible(by),
    }
}
