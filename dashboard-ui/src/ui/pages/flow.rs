//! The flow of a job: what it continues and what continues it, drawn as a graph with a list beside it that says the same.

use leptos::{
    ev::{KeyboardEvent, MouseEvent},
    prelude::*,
};
use wasm_bindgen::JsCast;
use web_sys::Element;
use windlass_api::{ContinueOn, JobId};

use super::Head;
use crate::{
    format::{decimal, plural, visible},
    model::{
        flow::{Direction, Drawing, Graph, JOB_HEIGHT, JOB_WIDTH, Line, MOST_JOBS, Node, Placed},
        news::Topic,
    },
    trouble::Trouble,
    ui::{
        app::Named,
        browser,
        parts::{Empty, Failed, Loading, Name, Stale, StateBadge},
        shared::{Rounds, Shared},
    },
};

/// How many jobs are read anew at a time, once all are known.
const AGAIN: usize = 3;

/// What the page works on.
#[derive(Clone, PartialEq)]
struct Known {
    graph: Graph,
    trouble: Option<Trouble>,
    is_there: bool,
}

#[component]
pub(in crate::ui) fn Flow() -> impl IntoView {
    let id = Named::of_page();
    move || match id.get().parse::<JobId>() {
        Ok(id) => view! { <Shown id=id /> }.into_any(),
        Err(error) => view! {
            <Head title="No such job" />
            <Empty title="There can be no such job"><p>{visible(&error.to_string())}</p></Empty>
        }
        .into_any(),
    }
}

#[component]
fn Shown(id: JobId) -> impl IntoView {
    let known = RwSignal::new(Known { graph: Graph::of(id), trouble: None, is_there: false });
    follow(Shared::of_page(), known);
    let what =
        Memo::new(move |_| known.with(|known| (known.is_there, known.trouble.clone().filter(|_| !known.is_there))));
    view! {
        <p class="crumbs"><a href="jobs">"Jobs"</a>" / "<a class="mono" href=format!("jobs/{id}")>{id.to_string()}</a></p>
        <Head title="Flow" />
        {move || match what.get() {
            (true, _) => view! { <Drawn known=known id=id /> }.into_any(),
            (false, Some(trouble)) => view! { <Failed what="job" trouble=trouble /> }.into_any(),
            (false, None) => view! { <Loading what="the flow" /> }.into_any(),
        }}
    }
}

/// Reads the relations of the job and of those that become known by them, then some of them anew whenever something changes.
fn follow(shared: Shared, known: RwSignal<Known>) {
    let rounds = Rounds::new();
    shared.follow(&[Topic::Counts, Topic::Second], move || async move {
        let is_growing = known.try_with_untracked(|known| known.graph.is_growing());
        if is_growing == Some(false) && !rounds.is_turn(2) {
            return;
        }
        let mut left = AGAIN;
        loop {
            let Some((next, is_growing)) =
                known.try_with_untracked(|known| (known.graph.next(), known.graph.is_growing()))
            else {
                return;
            };
            let Some(next) = next.filter(|_| is_growing || left > 0) else { return };
            left = left.saturating_sub(usize::from(!is_growing));
            if !read(shared, known, next).await {
                return;
            }
        }
    });
}

/// Reads one job. Gives whether to go on.
async fn read(shared: Shared, known: RwSignal<Known>, id: JobId) -> bool {
    let Some((root, is_there)) = known.try_with_untracked(|known| (known.graph.root, known.is_there)) else {
        return false;
    };
    let answer = shared.api().relations(id, MOST_JOBS).await;
    // What a relation does not tell of the one that it starts from.
    let own = if id == root { shared.api().job(id).await.ok() } else { None };
    let Some(mut after) = known.try_get_untracked() else { return false };
    let goes_on = match answer {
        Ok(relations) => {
            after.graph.take(id, &relations);
            (after.is_there, after.trouble) = (true, None);
            true
        }
        // One that was removed meanwhile is shown for as long as others name it.
        Err(trouble) if trouble.is_not_found() && is_there => {
            after.graph.pass_over(id);
            true
        }
        Err(trouble) => {
            after.trouble = Some(trouble);
            false
        }
    };
    if let Some(own) = own {
        let path = windlass_api::HandlerPath { module: own.job.module, handler: own.job.handler };
        after.graph.take_job(id, path, own.job.state);
    }
    if known.try_with_untracked(|known| *known != after) == Some(true) {
        known.try_set(after);
    }
    goes_on
}

#[component]
fn Drawn(known: RwSignal<Known>, id: JobId) -> impl IntoView {
    let graph = Memo::new(move |_| known.with(|known| known.graph.clone()));
    let drawing = Memo::new(move |_| graph.with(Graph::draw));
    // Where the picture is wider than the window, the job itself is what one wants to see.
    Effect::new(move |was_shown: Option<bool>| {
        let place = drawing.with(|drawing| drawing.jobs.iter().find(|placed| placed.id == id).map(|placed| placed.x));
        let is_whole = !graph.with(Graph::is_growing);
        if let Some(x) = place.filter(|_| is_whole && was_shown != Some(true)) {
            request_animation_frame(move || browser::centre("flow", x + JOB_WIDTH / 2.0));
        }
        was_shown == Some(true) || is_whole
    });
    let told = move || {
        graph.with(|graph| {
            let jobs = plural(graph.jobs().count() as u64, "job", "jobs");
            match (graph.is_growing(), graph.is_cut) {
                (true, _) => format!("{jobs} so far …"),
                (false, true) => {
                    format!("{jobs} are shown, and there are more: open the flow of one at the edge to see them.")
                }
                (false, false) => format!("{jobs}. The arrow keys lead from one to the next."),
            }
        })
    };
    view! {
        <Stale trouble=Signal::derive(move || known.with(|known| known.trouble.clone())) />
        <p class="quiet flow-told" role="status">{told}</p>
        <p class="quiet flow-legend" aria-hidden="true">
            <span>"on success"</span><span class="on-failure">"on failure"</span><span class="on-finished">"on any end"</span><span class="waits">"waited for"</span>
        </p>
        <div class="card flow" id="flow" role="region" aria-label="Graph" tabindex="0">{move || picture(graph, drawing, id)}</div>
        <section class="card flow-list">
            <h2>"As a list"</h2>
            {move || graph.with(list)}
        </section>
    }
}

fn picture(graph: Memo<Graph>, drawing: Memo<Drawing>, root: JobId) -> AnyView {
    let on_key = move |event: KeyboardEvent| {
        let to = match event.key().as_str() {
            "ArrowLeft" => Direction::Left,
            "ArrowRight" => Direction::Right,
            "ArrowUp" => Direction::Up,
            "ArrowDown" => Direction::Down,
            _ => return,
        };
        let focused = document().active_element().map(|element| element.id());
        let from = focused.and_then(|id| id.strip_prefix("job-")?.parse::<JobId>().ok());
        let Some(from) = from else { return };
        event.prevent_default();
        let beside = graph.with_untracked(|graph| drawing.with_untracked(|drawing| drawing.beside(graph, from, to)));
        if let Some(beside) = beside {
            browser::focus(&format!("job-{beside}"));
        }
    };
    // The router knows no links of pictures, and the page would be loaded anew: the same link of the list is followed.
    let on_click = move |event: MouseEvent| {
        let is_plain = !event.ctrl_key() && !event.meta_key() && !event.shift_key();
        let clicked = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let link = clicked.and_then(|clicked| clicked.closest("a").ok().flatten()).filter(|_| is_plain);
        if let Some(href) = link.and_then(|link| link.get_attribute("href")) {
            event.prevent_default();
            browser::follow(&format!(".flow-list a[href='{href}']"));
        }
    };
    let Drawing { jobs, lines, width, height } = drawing.get();
    let lines: Vec<_> = lines.iter().map(line).collect();
    let jobs: Vec<_> =
        graph.with(|graph| jobs.iter().filter_map(|placed| Some(job(placed, graph.node(placed.id)?, root))).collect());
    view! {
        <svg role="group" aria-label="Jobs and what they continue" width=decimal(width) height=decimal(height)
            viewBox=format!("0 0 {} {}", decimal(width), decimal(height)) on:keydown=on_key on:click=on_click>
            {lines}
            {jobs}
        </svg>
    }
    .into_any()
}

fn line(line: &Line) -> AnyView {
    let ((from_x, from_y), (to_x, to_y)) = (line.from, line.to);
    let [from_x, middle, to_x] = [from_x, (from_x + to_x) / 2.0, to_x].map(decimal);
    let [from_y, to_y] = [from_y, to_y].map(decimal);
    let class = if line.link.met { "flow-line met" } else { "flow-line" };
    let class =
        if line.link.on == ContinueOn::Success { class.to_owned() } else { format!("{class} on-{}", line.link.on) };
    view! { <path class=class d=format!("M{from_x} {from_y}C{middle} {from_y} {middle} {to_y} {to_x} {to_y}")></path> }
        .into_any()
}

fn job(placed: &Placed, node: &Node, root: JobId) -> AnyView {
    let Placed { id, x, y } = *placed;
    let state = node.state.map_or("removed", |state| state.as_str());
    let name = handler(node);
    let class = format!("flow-job state-{state}{}", if id == root { " root" } else { "" });
    let href = if id == root { format!("jobs/{id}") } else { format!("flow/{id}") };
    let text = crate::format::clip(&name, 27);
    view! {
        // Within another element of a picture, or else the link would be one of a page.
        <g>
            <a href=href id=format!("job-{id}") class=class>
                <rect x=decimal(x) y=decimal(y) width=decimal(JOB_WIDTH) height=decimal(JOB_HEIGHT) rx="6"></rect>
                <circle cx=decimal(x + 13.0) cy=decimal(y + 16.0) r="4"></circle>
                <text x=decimal(x + 24.0) y=decimal(y + 20.0)>{text}</text>
                " "
                <text class="flow-state" x=decimal(x + 24.0) y=decimal(y + 36.0)>{state}</text>
            </a>
        </g>
    }
    .into_any()
}

fn handler(node: &Node) -> String {
    node.handler.as_ref().map_or_else(|| "a job that was removed".to_owned(), ToString::to_string)
}

/// The same in words.
fn list(graph: &Graph) -> AnyView {
    let named = |id: JobId| graph.node(id).map(handler).unwrap_or_default();
    let row = |(id, node): (JobId, &Node)| {
        let parents: Vec<_> = graph
            .parents(id)
            .map(|(parent, link)| {
                let (word, waits) = (on_words(link.on), if link.met { "" } else { ", for which it waits" });
                let name = named(parent);
                view! { <div class="row-note">{format!("after {word} ")}<a href=format!("jobs/{parent}")><Name text=name /></a>{waits}</div> }
                    .into_any()
            })
            .collect();
        view! {
            <li class="flow-row">
                <a href=format!("jobs/{id}")><Name text=handler(node) /></a>
                {node.state.map(|state| view! { <StateBadge state=state reason=None /> }.into_any())}
                <a class="quiet" href=format!("flow/{id}") aria-label=format!("its flow, of job {id}")>"its flow"</a>
                {parents}
            </li>
        }
        .into_any()
    };
    let rows: Vec<_> = graph.jobs().map(row).collect();
    view! { <ul class="flow-rows">{rows}</ul> }.into_any()
}

/// How a parent must have ended, for people.
pub(super) const fn on_words(on: ContinueOn) -> &'static str {
    match on {
        ContinueOn::Success => "success of",
        ContinueOn::Failure => "failure of",
        ContinueOn::Finished => "the end of",
    }
}
