//! One job: its life, what it works on, what it gave, what it wrote, and what may be done with it.

use leptos::prelude::*;
use windlass_api::{Digest, HandlerPath, JobDetail, JobId, State};

use super::{
    Head,
    job_actions::Actions,
    job_parts::{Failure, Runs, Timeline},
    job_relations::Family,
};
use crate::{
    format::{decimal, span, visible},
    model::{job::JobModel, news::Topic},
    ui::{
        app::Named,
        parts::{Code, Empty, Fact, Failed, Instant, Loading, LogView, Name, Stale, StateBadge},
        shared::Shared,
    },
};

/// A header of a longer name stands above what it says, not beside it.
const SHORT: usize = 14;

#[component]
pub(in crate::ui) fn Job() -> impl IntoView {
    let id = Named::of_page();
    // Another job is another page.
    move || match id.get().parse::<JobId>() {
        Ok(id) => view! { <Shown id=id /> }.into_any(),
        Err(error) => view! {
            <Head title="No such job" />
            <Empty title="There can be no such job">
                <p>{visible(&error.to_string())}</p>
                <a class="button" href="jobs">"To the list of jobs"</a>
            </Empty>
        }
        .into_any(),
    }
}

#[component]
fn Shown(id: JobId) -> impl IntoView {
    let shared = Shared::of_page();
    let model = RwSignal::new(JobModel::default());
    follow(shared, model, id);
    let what = Memo::new(move |_| {
        model.with(|model| match (&model.detail.value, &model.detail.trouble) {
            (Some(_), _) => (2, None),
            (None, Some(trouble)) => (1, Some(trouble.clone())),
            (None, None) => (0, None),
        })
    });
    move || match what.get() {
        (2, _) => view! { <Details model=model id=id /> }.into_any(),
        (_, Some(trouble)) => view! { <Head title="Job" /><Failed what="job" trouble=trouble /> }.into_any(),
        _ => view! { <Head title="Job" /><Loading what="the job" /> }.into_any(),
    }
}

fn follow(shared: Shared, model: RwSignal<JobModel>, id: JobId) {
    // The host tells of this job as long as its page is shown.
    shared.watched.set(Some(id));
    on_cleanup(move || {
        if shared.watched.get_untracked() == Some(id) {
            shared.watched.set(None);
        }
    });
    let news = shared.of_topic(Topic::Job);
    shared.follow(&[Topic::Job, Topic::Second], move || async move {
        let is_news = news.are_there();
        // A job that is gone stays gone; of lines that are written no event tells.
        let is_due = model.try_with_untracked(|model| model.is_live() && (is_news || model.may_write()));
        if is_due != Some(true) {
            return;
        }
        if is_news {
            let answer = shared.api().job(id).await;
            // Only what has changed is drawn anew.
            if model.try_with_untracked(|model| model.detail.differs(&answer)) == Some(true) {
                model.try_update(|model| model.take(answer));
            }
            if model.try_with_untracked(JobModel::is_live) != Some(true) {
                return;
            }
        }
        loop {
            let Some(cursor) = model.try_with_untracked(|model| model.logs.cursor.clone()) else { return };
            let answer = shared.api().logs(id, cursor.as_deref()).await;
            if model.try_update(|model| model.logs.take(cursor.as_deref(), answer)) != Some(true) {
                break;
            }
        }
    });
}

#[component]
fn Details(model: RwSignal<JobModel>, id: JobId) -> impl IntoView {
    // Every part looks at its own piece, so that text that is being read or marked is not drawn anew.
    let detail = Signal::derive(move || model.with(|model| model.detail.value.clone()));
    let job = Memo::new(move |_| detail.get().map(|detail| detail.job));
    let title = job.get_untracked().map(|job| format!("{}/{}", job.module, job.handler)).unwrap_or_default();
    let payload = Memo::new(move |_| detail.get().map(|detail| detail.payload.as_str().to_owned()).unwrap_or_default());
    let result =
        Memo::new(move |_| detail.get().and_then(|detail| detail.result).map(|result| result.as_str().to_owned()));
    let failure = Memo::new(move |_| job.get().and_then(|job| job.failure));
    let history = Memo::new(move |_| detail.get().map(|detail| detail.history).unwrap_or_default());
    let state = Memo::new(move |_| job.get().map(|job| job.state));
    let is_running = Memo::new(move |_| state.get() == Some(State::Processing));
    let progress =
        Memo::new(move |_| job.get().and_then(|job| job.progress.filter(|_| job.state == State::Processing)));
    let badge = move || job.get().map(|job| view! { <StateBadge state=job.state reason=job.reason /> });
    view! {
        <p class="crumbs"><a href="jobs">"Jobs"</a>" / "<span class="mono">{id.to_string()}</span></p>
        <Head title=visible(&title)>{badge}</Head>
        <Actions model=model id=id />
        <Stale trouble=Signal::derive(move || model.with(|model| model.detail.trouble.clone())) />
        {move || progress.get().map(|progress| view! {
            <div class="progress">
                <svg class="meter wide" viewBox="0 0 100 6" preserveAspectRatio="none" role="progressbar" aria-label="Progress"
                    aria-valuenow=decimal(f64::from(progress.percent)) aria-valuemin="0" aria-valuemax="100">
                    <rect class="meter-all" width="100" height="6"></rect>
                    <rect class="meter-used" width=decimal(f64::from(progress.percent).clamp(0.0, 100.0)) height="6"></rect>
                </svg>
                <span class="number">{format!("{} %", decimal(f64::from(progress.percent).round()))}</span>
                <span>{progress.note.as_deref().map(visible)}</span>
            </div>
        })}
        <div class="job">
            <div class="job-main">
                {move || failure.get().filter(|_| state.get() != Some(State::Succeeded)).map(|failure| view! { <Failure failure=failure /> })}
                <section class="card">
                    <h2>"Payload"</h2>
                    <Code what="payload" json=payload />
                </section>
                {move || result.get().map(|result| view! {
                    <section class="card">
                        <h2>"Result"</h2>
                        <Code what="result" json=Signal::stored(result) />
                    </section>
                })}
                <section class="card">
                    <h2>"Logs"</h2>
                    <Logs model=model is_running=is_running />
                </section>
                <section class="card">
                    <h2>"Runs"</h2>
                    <Runs history=history />
                </section>
            </div>
            <div class="job-side">
                <section class="card">
                    <h2>"Facts"</h2>
                    {move || detail.get().map(facts)}
                </section>
                <Family id=id />
                <section class="card">
                    <h2>"History"</h2>
                    <Timeline history=history />
                </section>
            </div>
        </div>
    }
}

#[component]
fn Logs(model: RwSignal<JobModel>, is_running: Memo<bool>) -> impl IntoView {
    let is_there = Memo::new(move |_| {
        model.with(|model| (model.logs.is_there, model.logs.is_empty(), model.logs.trouble.clone()))
    });
    move || match is_there.get() {
        (_, false, _) => view! { <LogView model=model is_running=is_running /> }.into_any(),
        (_, true, Some(trouble)) => {
            view! { <p class="quiet">{crate::ui::parts::sentence(&trouble.to_string())}</p> }.into_any()
        }
        (true, true, None) => view! { <p class="quiet">"No run has written anything."</p> }.into_any(),
        (false, true, None) => view! { <Loading what="logs" /> }.into_any(),
    }
}

fn facts(detail: JobDetail) -> impl IntoView {
    let JobDetail { job, headers, timeout_ms, removed_at, expires_at, unique, limit_key, .. } = detail;
    let path = HandlerPath { module: job.module.clone(), handler: job.handler.clone() };
    let timing = [
        ("Made", Some(job.created_at)),
        ("Runs at", job.run_at),
        ("Started", job.started_at),
        ("Ended", job.finished_at),
        ("Starts by", expires_at),
        ("Removed", removed_at),
    ];
    let timing =
        timing.into_iter().filter_map(|(name, at)| at.map(|at| view! { <Fact name=name><Instant at=at /></Fact> }));
    let tags = job.tags.iter().map(|tag| {
        let link = format!("jobs?{}", crate::filter::Shown::default().with("tag", tag).write());
        view! { <a class="tag-chip" href=link><Name text=tag.clone() /></a> }
    });
    let tags = (!job.tags.is_empty()).then(|| tags.collect_view());
    let headers = headers.into_iter().map(|(name, value)| {
        let is_long = name.chars().count() > SHORT;
        view! {
            <Fact name=visible(&name) given=is_long><bdi class="mono">{visible(&value)}</bdi></Fact>
        }
    });
    let digest = |digest: Digest| view! { <Fact name="Version"><span class="mono" title=digest.to_string()>{digest.short()}</span></Fact> };
    view! {
        <dl class="facts">
            <Fact name="Handler"><a href=format!("modules/{}", path.module)><Name text=path.to_string() /></a></Fact>
            <Fact name="Mode">{job.mode.to_string()}</Fact>
            <Fact name="Queue"><a href=format!("jobs?queue={}", job.queue)><Name text=job.queue.to_string() /></a></Fact>
            <Fact name="Priority">{job.priority.to_string()}</Fact>
            <Fact name="Attempts"><span class="number">{format!("{} of {}", job.attempt, job.max_attempts)}</span></Fact>
            {timeout_ms.map(|timeout| view! { <Fact name="Timeout"><span class="number">{span(timeout)}</span></Fact> })}
            {job.version.map(digest)}
            {timing.collect_view()}
            {unique.map(|rule| view! { <Fact name="Unique">{visible(rule.on_conflict.as_str())}" where one is there"</Fact> })}
            {limit_key.map(|key| view! { <Fact name="Limit key"><Name text=key.to_string() /></Fact> })}
            {job.held_by.map(|target| view! { <Fact name="Waits for"><a href="queues"><Name text=crate::model::limits::target_words(&target) /></a></Fact> })}
            {tags.map(|tags| view! { <Fact name="Tags">{tags}</Fact> })}
            {headers.collect_view()}
        </dl>
    }
}
