//! The form that puts a recurring job in place or changes one. What is wrong is told at its field, in the host's words.

use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::use_navigate;
use windlass_api::{HandlerPath, Misfire, RecurringJob, RecurringName, RecurringRequest, Role};

use super::{
    Head,
    payload::{Chooser, Payload, PayloadFields, spec},
    recurring_parts::Changing,
    run_options::Options,
};
use crate::{
    format::visible,
    model::{
        access::Access,
        asking::Asking,
        recurring::{Editing, Fault, Field, misfire_words},
    },
    ui::{browser, parts::sentence, shared::Shared},
};

/// What the form works on.
#[derive(Clone, Copy)]
struct Form {
    shared: Shared,
    editing: RwSignal<Editing>,
    asking: RwSignal<Asking>,
    handler: RwSignal<Option<HandlerPath>>,
    payload: Payload,
    fault: RwSignal<Option<Fault>>,
    is_sending: RwSignal<bool>,
    /// The one that is changed.
    there: StoredValue<Option<RecurringJob>>,
}

#[component]
pub(in crate::ui) fn NewRecurring() -> impl IntoView {
    let shared = Shared::of_page();
    let may = Memo::new(move |_| shared.may(Role::Operator));
    view! {
        <p class="crumbs"><a href="recurring">"Recurring jobs"</a></p>
        <Head title="Add a recurring job" />
        {move || match may.get() {
            true => view! { <RecurringForm there=None /> }.into_any(),
            false if shared.access.with(Access::is_read_only) => ().into_any(),
            false => view! { <p class="quiet">"It takes the role operator."</p> }.into_any(),
        }}
    }
}

/// In the place of what the page of a recurring job shows of its payload.
#[component]
pub(in crate::ui) fn ChangeRecurring() -> impl IntoView {
    let there = use_context().map(|Changing(there)| there);
    view! { <RecurringForm there=there /> }
}

#[component]
fn RecurringForm(there: Option<RecurringJob>) -> impl IntoView {
    let shared = Shared::of_page();
    let navigate = use_navigate();
    let is_new = there.is_none();
    let form = Form {
        shared,
        editing: RwSignal::new(there.as_ref().map(Editing::of).unwrap_or_default()),
        asking: RwSignal::new(there.as_ref().map(|there| Asking::of(&there.request.job)).unwrap_or_default()),
        handler: RwSignal::new(there.as_ref().map(|there| there.request.job.handler.clone())),
        payload: Payload::new(),
        fault: RwSignal::new(None),
        is_sending: RwSignal::new(false),
        there: StoredValue::new(there),
    };
    let spec = Memo::new(move |_| form.handler.get().and_then(|handler| spec(shared, &handler)));
    // Another handler, another form; that of the one that is there begins with its payload.
    Effect::new(move |_| {
        let (spec, handler) = (spec.get(), form.handler.get());
        let payload = form.there.with_value(|there| {
            let job = &there.as_ref()?.request.job;
            (Some(&job.handler) == handler.as_ref()).then(|| job.payload.as_str().to_owned())
        });
        if let (None, Some(payload)) = (&spec, &payload) {
            form.payload.write(payload);
        }
        form.payload.begin(spec.as_ref(), payload.as_deref());
    });
    let is_chosen = Memo::new(move |_| form.handler.with(Option::is_some));
    let choose = Callback::new(move |name: String| form.handler.set(name.parse().ok()));
    let show =
        StoredValue::new(move |name: &RecurringName| navigate(&format!("/recurring/{name}"), Default::default()));
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let asked = asked(form);
        form.fault.set(asked.as_ref().err().cloned());
        let Ok((name, request)) = asked else { return };
        form.is_sending.set(true);
        spawn_local(async move {
            if put(form, &name, &request).await && is_new {
                show.with_value(|show| show(&name));
            }
        });
    };
    let other =
        move || fault_at(form, Field::Other).map(|message| view! { <p class="fault wide" role="alert">{message}</p> });
    view! {
        <form class="run" on:submit=send>
            <section class="card wide">
                <h2>{if is_new { "When" } else { "Change it" }}</h2>
                <Schedule form=form is_new=is_new />
            </section>
            <div class="wide"><Chooser handler=form.handler choose=choose /></div>
            {move || is_chosen.get().then(|| view! { <PayloadFields payload=form.payload /> })}
            <section class="card wide">
                <h2>"Options of its jobs"</h2>
                <Options asking=form.asking />
                <label class="choice">
                    <input type="checkbox" prop:checked=move || form.editing.with(|editing| editing.wait_for_handler)
                        on:change=move |event| form.editing.update(|editing| editing.wait_for_handler = event_target_checked(&event)) />
                    "Enqueue also while no module has the handler: its jobs wait for it"
                </label>
            </section>
            {other}
            <div class="buttons wide">
                <button type="submit" class="button primary" disabled=move || form.is_sending.get()>
                    {move || match (form.is_sending.get(), is_new) {
                        (true, _) => "Saving …",
                        (false, true) => "Add",
                        (false, false) => "Save",
                    }}
                </button>
            </div>
        </form>
    }
}

/// When it runs: name, schedule, zone, and what happens to what was missed.
#[component]
fn Schedule(form: Form, is_new: bool) -> impl IntoView {
    let zones = browser::zones().into_iter().map(|zone| view! { <option value=zone></option> }).collect_view();
    let misfire = move |event| {
        let chosen = event_target_value(&event).parse().unwrap_or_default();
        form.editing.update(|editing| editing.misfire = chosen);
    };
    let options = Misfire::ALL.iter().map(|&misfire| {
        let is_chosen = move || form.editing.with(|editing| editing.misfire == misfire);
        view! { <option value=misfire.as_str() selected=is_chosen>{misfire_words(misfire)}</option> }
    });
    let catches_up = move || form.editing.with(|editing| editing.misfire == Misfire::CatchUp);
    let is_known = move || form.editing.with(|editing| editing.time_zone.is_empty());
    let mine = browser::zone().filter(|zone| zone != "UTC").map(|zone| {
        let label = format!("Use mine, {zone}");
        let take = move |_| form.editing.update(|editing| editing.time_zone.clone_from(&zone));
        view! { <button type="button" class="button quiet small" hidden=move || !is_known() on:click=take>{label}</button> }
    });
    let examples = [
        ("30 2 * * mon-fri", "2:30 on weekdays"),
        ("0 * * * *", "each hour"),
        ("@daily", "at midnight"),
        ("every 15m", "every 15 minutes"),
    ];
    let examples = examples.map(|(schedule, words)| {
        let take = move |_| {
            form.editing.update(|editing| schedule.clone_into(&mut editing.schedule));
            form.fault.set(None);
        };
        view! { <button type="button" class="button quiet small" title=schedule on:click=take>{words}</button> }
    });
    view! {
        <div class="schedule-fields">
            {is_new.then(|| typed(form, Field::Name, "Name", "nightly-report", None, |editing| &mut editing.name))}
            <div class="wide-field">
                {typed(form, Field::Schedule, "Schedule", "30 2 * * mon-fri", None, |editing| &mut editing.schedule)}
                <p class="help">"Minutes, hours, days, months, days of the week; or " <code>"every 90s"</code> ". For instance:"</p>
                <div class="examples">{examples.into_iter().collect_view()}</div>
            </div>
            <div>
                <datalist id="zones">{zones}</datalist>
                {typed(form, Field::TimeZone, "Time zone", "UTC", Some("zones"), |editing| &mut editing.time_zone)}
                {mine}
            </div>
            <label class="labelled">
                <span>"Times that were missed"</span>
                <select on:change=misfire>{options.collect_view()}</select>
            </label>
            {move || catches_up().then(|| typed(form, Field::CatchUp, "At most so many", "100", None, |editing| &mut editing.catch_up_limit))}
        </div>
    }
}

/// A field, with what is wrong with it below.
fn typed(
    form: Form,
    field: Field,
    label: &'static str,
    hint: &'static str,
    list: Option<&'static str>,
    part: fn(&mut Editing) -> &mut String,
) -> impl IntoView {
    let value = move || form.editing.with(|editing| part(&mut editing.clone()).clone());
    let fault = Memo::new(move |_| fault_at(form, field));
    let id = format!("fault-{}", label.to_ascii_lowercase().replace(' ', "-"));
    let type_in = move |event| {
        form.editing.update(|editing| *part(editing) = event_target_value(&event));
        // What is wrong was said of what stood there before.
        if fault.with_untracked(Option::is_some) {
            form.fault.set(None);
        }
    };
    let described = id.clone();
    view! {
        <div>
            <label class="labelled">
                <span>{label}</span>
                <input type="text" class:mono=field == Field::Schedule list=list placeholder=hint autocomplete="off" spellcheck="false" prop:value=value
                    aria-invalid=move || fault.get().map(|_| "true") aria-describedby=move || fault.get().map(|_| described.clone()) on:input=type_in />
            </label>
            {move || fault.get().map(|fault| view! { <p class="fault" id=id.clone() role="alert">{fault}</p> })}
        </div>
    }
}

/// What is wrong there, as a sentence.
fn fault_at(form: Form, field: Field) -> Option<String> {
    form.fault.with(|fault| {
        fault.as_ref().filter(|fault| fault.field == field).map(|fault| sentence(&visible(&fault.message)))
    })
}

fn asked(form: Form) -> Result<(RecurringName, RecurringRequest), Fault> {
    let other = |message: String| Fault { field: Field::Other, message };
    let handler = form.handler.get_untracked().ok_or_else(|| other("choose a handler".to_owned()))?;
    let payload = untrack(|| form.payload.json()).map_err(other)?;
    let like = form.there.with_value(|there| there.as_ref().map(|there| there.request.job.clone()));
    let asking = form.asking.get_untracked();
    form.editing.with_untracked(|editing| editing.request(&asking, handler, payload, like.as_ref()))
}

/// Has the host put it in place. Gives whether it did.
async fn put(form: Form, name: &RecurringName, request: &RecurringRequest) -> bool {
    let shared = form.shared;
    // A name that is taken would change another one, which nobody asked for.
    if form.there.try_with_value(Option::is_none) == Some(true) && shared.api().recurring_job(name).await.is_ok() {
        let message =
            format!("there is a recurring job {name} already: choose another name, or change that one on its page");
        form.fault.try_set(Some(Fault { field: Field::Name, message }));
        form.is_sending.try_set(false);
        return false;
    }
    let answer = shared.api().put_recurring(name, request).await;
    form.is_sending.try_set(false);
    let is_put = answer.is_ok();
    match answer {
        Ok(put) => {
            shared.say(format!("{name} is in place."));
            form.there.try_update_value(|there| {
                if there.is_some() {
                    *there = Some(put);
                }
            });
        }
        Err(trouble) => {
            form.fault.try_set(Some(Fault::of(&trouble)));
        }
    }
    shared.look();
    is_put
}
