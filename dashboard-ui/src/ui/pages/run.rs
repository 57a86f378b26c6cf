//! Running a job: the handler, its payload as a form and as JSON beside it, and when.

use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::{use_location, use_navigate};
use windlass_api::{HandlerPath, HandlerSpec, JobId, JobRequest, Json};

use super::{Head, run_options::Options};
use crate::{
    commands,
    format::visible,
    json::Layout,
    model::{asking::Asking, job::again},
    query, schema,
    ui::{
        browser,
        parts::{Copy, Empty, Failed, Form, FormState, Loading, prose, sentence},
        shared::Shared,
    },
};

/// What the page works on.
#[derive(Clone, Copy)]
struct RunPage {
    shared: Shared,
    /// The payload, as text.
    text: RwSignal<String>,
    /// Its form, where the handler has a schema.
    form: RwSignal<Option<FormState>>,
    /// Whether the form can show what the text says.
    fits: RwSignal<bool>,
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
        text: RwSignal::new(String::new()),
        form: RwSignal::new(None),
        fits: RwSignal::new(true),
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
    keep_in_step(page);
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
    let failed = move || shared.modules.with(|modules| modules.trouble.clone().filter(|_| modules.value.is_none()));
    view! {
        <Head title="Run a job" />
        {move || failed().map(|trouble| view! { <Failed what="handlers" trouble=trouble /> })}
        <Chooser handler=handler />
        {body}
    }
}

/// The handlers of all active versions.
#[component]
fn Chooser(handler: Memo<Option<HandlerPath>>) -> impl IntoView {
    let shared = Shared::of_page();
    let navigate = use_navigate();
    let choose = move |event| {
        let name = event_target_value(&event);
        navigate(&format!("/run?{}", query::write([("handler", name.as_str())])), Default::default());
    };
    let groups = Memo::new(move |_| {
        shared.modules.with(|modules| {
            let active = modules
                .value
                .iter()
                .flatten()
                .filter_map(|module| Some((module, module.versions.iter().find(|version| version.active)?)));
            active
                .map(|(module, version)| {
                    (
                        module.name.to_string(),
                        version.handlers.iter().map(|handler| handler.name.to_string()).collect::<Vec<_>>(),
                    )
                })
                .collect::<Vec<_>>()
        })
    });
    let options = move || {
        groups.get().into_iter().map(|(module, handlers)| {
        let options = handlers.into_iter().map(|name| {
            let path = format!("{module}/{name}");
            let value = path.clone();
            view! { <option value=path.clone() selected=move || handler.get().is_some_and(|handler| handler.to_string() == value)>{path.clone()}</option> }
        });
        view! { <optgroup label=module.clone()>{options.collect_view()}</optgroup> }
    }).collect_view()
    };
    view! {
        <label class="labelled chooser">
            <span>"Handler"</span>
            <select on:change=choose>
                <option value="" disabled=true selected=move || handler.get().is_none()>"choose a handler"</option>
                {options}
            </select>
        </label>
    }
}

fn spec(shared: Shared, path: &HandlerPath) -> Option<HandlerSpec> {
    shared.modules.with(|modules| {
        let module = modules.value.as_ref()?.iter().find(|module| module.name == path.module)?;
        let version = module.versions.iter().find(|version| version.active)?;
        version.handlers.iter().find(|handler| handler.name == path.handler).cloned()
    })
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
            page.text.try_set(Layout::new(request.payload.as_str()).pretty());
            page.like.try_set(Some(request));
        }
        Err(reason) => page.shared.complain(sentence(&visible(&reason))),
    }
}

fn begin(page: RunPage, spec: Option<&HandlerSpec>) {
    page.made.set(None);
    let Some(spec) = spec else { return page.form.set(None) };
    let payload = page.like.with_untracked(|like| like.as_ref().map(|like| like.payload.as_str().to_owned()));
    let form = FormState::new(schema::read(spec.payload_schema.as_ref().map(Json::as_str)), payload.as_deref());
    page.fits.set(payload.is_none_or(|payload| form.refill(&payload)));
    page.form.set(Some(form));
    if page.like.with_untracked(Option::is_none) {
        // What is to be filled in yet stands there as what it is in JSON.
        let text = untrack(|| form.json()).map(|json| Layout::new(&json).pretty());
        page.text.set(text.unwrap_or_else(|_| "{}".to_owned()));
    }
}

/// What is typed into the form shows in the text.
fn keep_in_step(page: RunPage) {
    Effect::new(move |_| {
        let Some(Ok(json)) = page.form.get().map(FormState::json) else { return };
        if !page.fits.get_untracked() {
            return;
        }
        let is_other = page.text.with_untracked(|text| Layout::new(text).pretty() != Layout::new(&json).pretty());
        let is_typed_here =
            page.text.with_untracked(|text| page.form.get_untracked().is_some_and(|form| form.stands_for(text)));
        if is_other && !is_typed_here {
            page.text.set(Layout::new(&json).pretty());
        }
    });
}

#[component]
fn Asked(page: RunPage, handler: Memo<Option<HandlerPath>>, spec: HandlerSpec) -> impl IntoView {
    let text_fault =
        Memo::new(move |_| page.text.with(|text| text.parse::<Json>().err().map(|error| error.to_string())));
    let has_faults = Memo::new(move |_| {
        page.fits.get() && page.form.get().is_some_and(|form| form.is_of_use() && form.json().is_err())
    });
    let typed = move |event| {
        let text = event_target_value(&event);
        let is_json = text.parse::<Json>().is_ok();
        page.text.set(text.clone());
        if let Some(form) = page.form.get_untracked().filter(|_| is_json) {
            page.fits.set(form.refill(&text));
        }
    };
    let request = Memo::new(move |_| {
        let handler = handler.get().ok_or_else(|| "choose a handler".to_owned())?;
        let payload =
            page.text.with(|text| text.trim().parse::<Json>()).map_err(|error| format!("payload: {error}"))?;
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
    let form = move || {
        match page.form.get() {
        Some(form) if !form.is_of_use() => view! { <p class="quiet">"This handler says nothing of its payload: write it as JSON."</p> }.into_any(),
        Some(_) if !page.fits.get() => view! {
            <p class="stale">"The JSON says what this form cannot show, so it rests until it can. The host decides whether the payload is taken."</p>
        }
        .into_any(),
        Some(form) => view! { <Form state=form /> }.into_any(),
        None => ().into_any(),
    }
    };
    let rows = move || page.text.with(|text| text.lines().count().clamp(6, 24).to_string());
    view! {
        {spec.summary.map(|summary| view! { <p class="quiet summary-line" dir="auto">{prose(&summary)}</p> })}
        <form class="run" on:submit=move |event| { event.prevent_default(); send(); }>
            <section class="card"><h2>"Payload"</h2>{form}</section>
            <section class="card">
                <h2 id="as-json">"As JSON"</h2>
                <textarea class="mono json-input" aria-labelledby="as-json" spellcheck="false" rows=rows aria-invalid=move || text_fault.get().map(|_| "true")
                    prop:value=page.text on:input=typed></textarea>
                {move || text_fault.get().map(|fault| view! { <p class="fault" role="status">{sentence(&fault)}</p> })}
            </section>
            <section class="card wide"><h2>"Options"</h2><Options asking=page.asking /></section>
            <div class="buttons wide">
                <button type="submit" class="button primary" disabled=move || page.is_sending.get() || has_faults.get() || text_fault.get().is_some()>
                    {move || if page.is_sending.get() { "Enqueueing …" } else { "Enqueue" }}
                </button>
                <Copy label="Copy command line" text=copied(commands::command_line) />
                <Copy label="Copy curl" text=copied(commands::curl) />
                {move || has_faults.get().then(|| view! { <span class="quiet">"Fill in the required fields first."</span> })}
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
            page.made.try_set(Some(enqueued.id));
        }
        Err(trouble) => page.shared.complain(sentence(&visible(&trouble.to_string()))),
    }
    page.is_sending.try_set(false);
    page.shared.look();
}
