//! Running a job: the handler, its payload as a form and as JSON beside it, and when.

use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::{use_location, use_navigate};
use windlass_api::{HandlerPath, HandlerSpec, JobId, JobRequest, Role};

use super::{
    Head,
    payload::{Chooser, Payload, PayloadFields, spec},
    run_options::{Conditions, Options, When},
};
use crate::{
    commands,
    format::visible,
    model::{access::Access, asking::Asking, job::again},
    query,
    ui::{
        browser,
        parts::{Copy, Empty, Failed, Loading, prose, sentence},
        shared::Shared,
    },
};

/// What the page works on.
#[derive(Clone, Copy)]
struct RunPage {
    shared: Shared,
    payload: Payload,
    asking: RwSignal<Asking>,
    /// The request that is repeated.
    like: RwSignal<Option<JobRequest>>,
    made: RwSignal<Option<JobId>>,
    is_sending: RwSignal<bool>,
}

#[component]
pub(in crate::ui) fn Run() -> impl IntoView {
    let shared = Shared::of_page();
    let search = use_location().search;
    let wanted = move |key: &str| {
        search.with(|search| query::read(search).into_iter().find(|(name, _)| name == key).map(|(_, value)| value))
    };
    let from = Memo::new(move |_| wanted("from"));
    let page = RunPage {
        shared,
        payload: Payload::new(),
        asking: RwSignal::new(Asking::default()),
        like: RwSignal::new(None),
        made: RwSignal::new(None),
        is_sending: RwSignal::new(false),
    };
    let handler = Memo::new(move |_| {
        let named = wanted("handler").and_then(|name| name.parse::<HandlerPath>().ok());
        named.or_else(|| page.like.with(|like| like.as_ref().map(|like| like.handler.clone())))
    });
    Effect::new(move |_| {
        let Some(id) = from.get() else { return };
        spawn_local(async move { repeat(page, &id).await });
    });
    let spec = Memo::new(move |_| handler.get().and_then(|path| spec(shared, &path)));
    // Another handler, another form. Its schema may come later than the page.
    Effect::new(move |_| {
        let spec = spec.get();
        page.like.track();
        begin(page, spec.as_ref());
    });
    let body = move || match (handler.get(), spec.get()) {
        (None, _) => view! { <p class="quiet">"Choose a handler to begin."</p> }.into_any(),
        (Some(_), Some(spec)) => view! { <Asked page=page handler=handler spec=spec /> }.into_any(),
        (Some(path), None) if shared.modules.with(crate::model::Loaded::is_loading) => {
            view! { <Loading what=path.to_string() /> }.into_any()
        }
        (Some(path), None) => view! {
            <Empty title=format!("No active version has {path}")>
                <p>"Deploy a module that has it, or choose another handler."</p>
                <a class="button" href="modules">"To the modules"</a>
            </Empty>
        }
        .into_any(),
    };
    let navigate = use_navigate();
    let choose = Callback::new(move |name: String| {
        navigate(&format!("/run?{}", query::write([("handler", name.as_str())])), Default::default());
    });
    // Until the host has said who the viewer is, nothing is denied.
    let may_run =
        Memo::new(move |_| shared.access.with(|access| *access == Access::Unknown || access.may(Role::Operator)));
    let failed = move || shared.modules.with(|modules| modules.trouble.clone().filter(|_| modules.value.is_none()));
    view! {
        <Head title="Run a job" />
        {move || failed().map(|trouble| view! { <Failed what="handlers" trouble=trouble /> })}
        {move || (!may_run.get()).then(|| {
            let (title, text) = match shared.access.with(Access::is_read_only) {
                true => ("No jobs are taken here", "Another host of the same storage may take them."),
                false => ("Your role may not run jobs", "It takes the role operator."),
            };
            view! { <Empty title=title><p>{text}" What can be run is on the page of each module."</p></Empty> }
        })}
        <div hidden=move || !may_run.get()>
            <Chooser handler=handler choose=choose />
            {body}
        </div>
    }
}

/// Takes over what a job had.
async fn repeat(page: RunPage, id: &str) {
    let answer = match id.parse::<JobId>() {
        Ok(id) => page.shared.api().job(id).await.map_err(|trouble| trouble.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match answer {
        Ok(detail) => {
            let request = again(&detail, detail.payload.clone());
            page.asking.try_set(Asking::of(&request));
            page.payload.write(request.payload.as_str());
            page.like.try_set(Some(request));
        }
        Err(reason) => page.shared.complain(sentence(&visible(&reason))),
    }
}

fn begin(page: RunPage, spec: Option<&HandlerSpec>) {
    page.made.set(None);
    let payload = page.like.with_untracked(|like| like.as_ref().map(|like| like.payload.as_str().to_owned()));
    page.payload.begin(spec, payload.as_deref());
}

#[component]
fn Asked(page: RunPage, handler: Memo<Option<HandlerPath>>, spec: HandlerSpec) -> impl IntoView {
    let request = Memo::new(move |_| {
        let handler = handler.get().ok_or_else(|| "choose a handler".to_owned())?;
        let payload = page.payload.json()?;
        page.asking.with(|asking| page.like.with(|like| asking.request(handler, payload, like.as_ref())))
    });
    let send = move || match request.get_untracked() {
        Err(reason) => page.shared.complain(sentence(&reason)),
        Ok(request) => {
            page.is_sending.set(true);
            spawn_local(async move { enqueue(page, &request).await });
        }
    };
    let copied = move |write: fn(&JobRequest, &str) -> String| {
        move |()| {
            let base = browser::base();
            request.get_untracked().map(|request| write(&request, base.trim_end_matches('/'))).unwrap_or_default()
        }
    };
    view! {
        {spec.summary.map(|summary| view! { <p class="quiet summary-line" dir="auto">{prose(&summary)}</p> })}
        <form class="run" on:submit=move |event| { event.prevent_default(); send(); }>
            <PayloadFields payload=page.payload />
            <section class="card wide"><h2>"Options"</h2><When asking=page.asking /><Options asking=page.asking /><Conditions asking=page.asking /></section>
            <div class="buttons wide">
                <button type="submit" class="button primary" disabled=move || page.is_sending.get() || page.payload.has_faults()>
                    {move || if page.is_sending.get() { "Enqueueing …" } else { "Enqueue" }}
                </button>
                <Copy label="Copy command line" text=copied(commands::command_line) />
                <Copy label="Copy curl" text=copied(commands::curl) />
                {move || page.payload.lacks_fields().then(|| view! { <span class="quiet">"Fill in the required fields first."</span> })}
            </div>
        </form>
        {move || page.made.get().map(|id| view! {
            <p class="made" role="status">"Enqueued as " <a class="mono" href=format!("jobs/{id}")>{id.to_string()}</a>"."</p>
        })}
    }
}

async fn enqueue(page: RunPage, request: &JobRequest) {
    match page.shared.api().enqueue(request).await {
        Ok(enqueued) => {
            if enqueued.replaced {
                page.shared.say("Such a job waited already, and got this payload and time.");
            } else if enqueued.existing {
                page.shared.say("Such a job is there already; no other one was made.");
            }
            page.made.try_set(Some(enqueued.id));
        }
        Err(trouble) => page.shared.complain(sentence(&visible(&trouble.to_string()))),
    }
    page.is_sending.try_set(false);
    page.shared.look();
}
