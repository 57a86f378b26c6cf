//! Choosing a handler, and filling in its payload: as a form from its schema, and as JSON beside it.

use leptos::prelude::*;
use windlass_api::{HandlerPath, HandlerSpec, Json};

use crate::{
    json::Layout,
    schema,
    ui::{
        parts::{Form, FormState, sentence},
        shared::Shared,
    },
};

/// A payload that is being filled in.
#[derive(Clone, Copy)]
pub(super) struct Payload {
    /// As text.
    text: RwSignal<String>,
    /// Its form, where the handler has a schema.
    form: RwSignal<Option<FormState>>,
    /// Whether the form can show what the text says.
    fits: RwSignal<bool>,
}

impl Payload {
    /// Nothing so far.
    pub(super) fn new() -> Self {
        let payload = Self { text: RwSignal::new(String::new()), form: RwSignal::new(None), fits: RwSignal::new(true) };
        payload.keep_in_step();
        payload
    }

    /// Begins anew for another handler, with what is there already.
    pub(super) fn begin(self, spec: Option<&HandlerSpec>, payload: Option<&str>) {
        let Some(spec) = spec else { return self.form.set(None) };
        let form = FormState::new(schema::read(spec.payload_schema.as_ref().map(Json::as_str)), payload);
        self.fits.set(payload.is_none_or(|payload| form.refill(payload)));
        self.form.set(Some(form));
        match payload {
            Some(payload) => self.write(payload),
            None => {
                // What is to be filled in yet stands there as what it is in JSON.
                let text = untrack(|| form.json()).map(|json| Layout::new(&json).pretty());
                self.text.set(text.unwrap_or_else(|_| "{}".to_owned()));
            }
        }
    }

    /// Puts JSON text in place of what was there.
    pub(super) fn write(self, json: &str) {
        self.text.try_set(Layout::new(json).pretty());
    }

    /// What it is; read reactively.
    pub(super) fn json(self) -> Result<Json, String> {
        self.text.with(|text| text.trim().parse::<Json>()).map_err(|error| format!("payload: {error}"))
    }

    /// Whether fields of the form are to be filled in yet; read reactively.
    pub(super) fn lacks_fields(self) -> bool {
        self.fits.get() && self.form.get().is_some_and(|form| form.is_of_use() && form.json().is_err())
    }

    /// Whether it cannot be sent as it stands; read reactively.
    pub(super) fn has_faults(self) -> bool {
        self.lacks_fields() || self.json().is_err()
    }

    /// What is typed into the form shows in the text.
    fn keep_in_step(self) {
        Effect::new(move |_| {
            let Some(Ok(json)) = self.form.get().map(FormState::json) else { return };
            if !self.fits.get_untracked() {
                return;
            }
            let is_other = self.text.with_untracked(|text| Layout::new(text).pretty() != Layout::new(&json).pretty());
            let is_typed_here =
                self.text.with_untracked(|text| self.form.get_untracked().is_some_and(|form| form.stands_for(text)));
            if is_other && !is_typed_here {
                self.text.set(Layout::new(&json).pretty());
            }
        });
    }
}

/// The form and the text, side by side.
#[component]
pub(super) fn PayloadFields(payload: Payload) -> impl IntoView {
    let Payload { text, form, fits } = payload;
    let text_fault = Memo::new(move |_| text.with(|text| text.parse::<Json>().err().map(|error| error.to_string())));
    let typed = move |event| {
        let typed = event_target_value(&event);
        let is_json = typed.parse::<Json>().is_ok();
        text.set(typed.clone());
        if let Some(form) = form.get_untracked().filter(|_| is_json) {
            fits.set(form.refill(&typed));
        }
    };
    let shown = move || {
        match form.get() {
        Some(form) if !form.is_of_use() => view! { <p class="quiet">"This handler says nothing of its payload: write it as JSON."</p> }.into_any(),
        Some(_) if !fits.get() => view! {
            <p class="stale">"The JSON says what this form cannot show, so it rests until it can. The host decides whether the payload is taken."</p>
        }
        .into_any(),
        Some(form) => view! { <Form state=form /> }.into_any(),
        None => view! { <p class="quiet">"No active version has this handler: write its payload as JSON."</p> }.into_any(),
    }
    };
    let rows = move || text.with(|text| text.lines().count().clamp(6, 24).to_string());
    view! {
        <section class="card"><h2>"Payload"</h2>{shown}</section>
        <section class="card">
            <h2 id="as-json">"As JSON"</h2>
            <textarea class="mono json-input" aria-labelledby="as-json" spellcheck="false" rows=rows aria-invalid=move || text_fault.get().map(|_| "true")
                prop:value=text on:input=typed></textarea>
            {move || text_fault.get().map(|fault| view! { <p class="fault" role="status">{sentence(&fault)}</p> })}
        </section>
    }
}

/// The handlers of all active versions.
#[component]
pub(super) fn Chooser(#[prop(into)] handler: Signal<Option<HandlerPath>>, choose: Callback<String>) -> impl IntoView {
    let shared = Shared::of_page();
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
    // What is chosen may be gone, and is shown all the same.
    let gone = move || {
        let chosen = handler.get()?.to_string();
        let is_there = groups.with(|groups| {
            groups.iter().any(|(module, handlers)| handlers.iter().any(|name| chosen == format!("{module}/{name}")))
        });
        (!is_there)
            .then(|| view! { <option value=chosen.clone() selected=true>{format!("{chosen} (not there)")}</option> })
    };
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
            <select on:change=move |event| choose.run(event_target_value(&event))>
                <option value="" disabled=true selected=move || handler.get().is_none()>"choose a handler"</option>
                {gone}
                {options}
            </select>
        </label>
    }
}

/// What the active version says of a handler; read reactively.
pub(super) fn spec(shared: Shared, path: &HandlerPath) -> Option<HandlerSpec> {
    shared.modules.with(|modules| {
        let module = modules.value.as_ref()?.iter().find(|module| module.name == path.module)?;
        let version = module.versions.iter().find(|version| version.active)?;
        version.handlers.iter().find(|handler| handler.name == path.handler).cloned()
    })
}
