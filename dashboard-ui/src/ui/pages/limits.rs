//! Limits on how many jobs run at once and how many start in a time: shown, set and removed beside the queues.

use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};
use windlass_api::{LimitView, Role};

use crate::{
    format::{count, plural, visible},
    model::{
        Loaded,
        limits::{Editing, Kind, PERIODS, target_words, words},
        news::Topic,
    },
    trouble::Trouble,
    ui::{
        parts::{Name, sentence},
        shared::{Offer, Rounds, Shared},
    },
};

#[derive(Clone, Copy)]
struct Limits {
    shared: Shared,
    known: RwSignal<Loaded<Vec<LimitView>>>,
    editing: RwSignal<Editing>,
    fault: RwSignal<Option<String>>,
}

#[component]
pub(super) fn LimitCard() -> impl IntoView {
    let shared = Shared::of_page();
    let limits = Limits {
        shared,
        known: RwSignal::new(Loaded::default()),
        editing: RwSignal::new(Editing::default()),
        fault: RwSignal::new(None),
    };
    let (news, rounds) = (shared.of_topic(Topic::Queues), Rounds::new());
    shared.follow(&[Topic::Queues, Topic::Second], move || async move {
        let (is_news, is_turn) = (news.are_there(), rounds.is_turn(2));
        if !is_news && !is_turn {
            return;
        }
        let answer = shared.api().limits().await;
        if limits.known.try_with_untracked(|known| known.differs(&answer)) == Some(true) {
            limits.known.try_update(|known| known.take(answer));
        }
    });
    let body = move || {
        limits.known.with(|known| match (&known.value, &known.trouble) {
            (Some(there), _) if there.is_empty() => {
                view! { <p class="quiet">"None: jobs start wherever there is a free slot."</p> }.into_any()
            }
            (Some(there), _) => table(limits, there),
            (None, Some(Trouble::NotOffered)) => view! { <p class="quiet">"This host knows no limits."</p> }.into_any(),
            (None, Some(trouble)) => view! { <p class="quiet">{sentence(&trouble.to_string())}</p> }.into_any(),
            (None, None) => ().into_any(),
        })
    };
    // Kept, so that the form is not made anew, and what was typed lost, whenever the list is read again.
    let may_set = Memo::new(move |_| {
        shared.may(Role::Operator) && limits.known.with(|known| known.trouble != Some(Trouble::NotOffered))
    });
    view! {
        <section class="card limits">
            <h2>"Limits"</h2>
            {body}
            {move || may_set.get().then(|| form(limits))}
        </section>
    }
}

fn table(limits: Limits, there: &[LimitView]) -> AnyView {
    let row = |limit: &LimitView| {
        let (target, own) = (limit.target.clone(), limit.clone());
        let name = target_words(&target);
        let keys = limit.keys.map(|keys| format!(" of {}", plural(keys, "key", "keys")));
        let change = move |_| {
            limits.fault.set(None);
            limits.editing.set(Editing::of(&own));
            crate::ui::browser::focus("limit-concurrency");
        };
        let view = limit.clone();
        view! {
            <tr>
                <th scope="row"><Name text=name.clone() /></th>
                <td data-label="At most">{words(&limit.rule)}</td>
                <td data-label="Running" class="number">{count(limit.running)}{keys}</td>
                <td data-label="Waiting for it" class="number">{count(limit.held)}</td>
                <td class="end">
                    <button class="button small" hidden=move || !limits.shared.may(Role::Operator) aria-label=format!("Change the limit on {name}") on:click=change>"Change"</button>" "
                    <button class="button small danger" hidden=move || !limits.shared.may(Role::Operator) aria-label=format!("Remove the limit on {name}")
                        on:click=move |_| remove(limits, view.clone())>"Remove"</button>
                </td>
            </tr>
        }
        .into_any()
    };
    let rows: Vec<_> = there.iter().map(row).collect();
    view! {
        <table class="table plain">
            <thead><tr><th>"On"</th><th>"At most"</th><th class="number">"Running"</th><th class="number">"Waiting for it"</th><th><span class="unseen">"Actions"</span></th></tr></thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn form(limits: Limits) -> AnyView {
    let Limits { editing, fault, .. } = limits;
    let kinds: Vec<_> = Kind::ALL
        .into_iter()
        .map(|(kind, word, _)| {
            view! { <option value=word selected=move || editing.with(|editing| editing.kind == kind)>{word}</option> }
                .into_any()
        })
        .collect();
    let choose_kind = move |event| {
        let chosen = event_target_value(&event);
        let kind = Kind::ALL.into_iter().find(|(_, word, _)| *word == chosen).map_or(Kind::Queue, |(kind, ..)| kind);
        editing.update(|editing| editing.kind = kind);
    };
    let hint = move || {
        let kind = editing.with(|editing| editing.kind);
        Kind::ALL.into_iter().find(|(known, ..)| *known == kind).map(|(_, _, hint)| hint)
    };
    let periods: Vec<_> = PERIODS
        .into_iter()
        .map(|(ms, word)| view! { <option value=ms.to_string() selected=move || editing.with(|editing| editing.period_ms == ms)>{format!("a {word}")}</option> }.into_any())
        .collect();
    let choose_period = move |event| {
        if let Ok(ms) = event_target_value(&event).parse() {
            editing.update(|editing| editing.period_ms = ms);
        }
    };
    // A time that none of the choices stands for is kept as it is.
    let other = move || {
        let ms = editing.with(|editing| editing.period_ms);
        let is_other = PERIODS.iter().all(|(known, _)| *known != ms);
        is_other
            .then(|| view! { <option value=ms.to_string() selected=true>{crate::format::span(ms)}</option> }.into_any())
    };
    let field = move |id: &'static str,
                      label: &'static str,
                      hint: Signal<Option<&'static str>>,
                      keyboard: &'static str,
                      part: fn(&mut Editing) -> &mut String| {
        view! {
            <label class="labelled">
                <span>{label}</span>
                <input type="text" id=id inputmode=keyboard autocomplete="off" placeholder=move || hint.get()
                    prop:value=move || editing.with(|editing| part(&mut editing.clone()).clone())
                    on:input=move |event| editing.update(|editing| *part(editing) = event_target_value(&event)) />
            </label>
        }
        .into_any()
    };
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let asked = editing.with_untracked(Editing::request);
        fault.set(asked.as_ref().err().cloned());
        let Ok((target, rule)) = asked else { return };
        spawn_local(async move {
            match limits.shared.api().put_limit(&target, &rule).await {
                Ok(_) => {
                    limits.shared.say(format!("The limit on {} is {}.", visible(&target_words(&target)), words(&rule)));
                    editing.try_set(Editing::default());
                }
                Err(trouble) => {
                    fault.try_set(Some(trouble.to_string()));
                }
            }
            limits.shared.look();
        });
    };
    view! {
        <form class="limit-fields" on:submit=send>
            <label class="labelled"><span>"Limit on"</span><select on:change=choose_kind>{kinds}</select></label>
            {field("limit-name", "Name", Signal::derive(hint), "text", |editing| &mut editing.name)}
            {field("limit-concurrency", "At once", Signal::stored(Some("any number")), "numeric", |editing| &mut editing.concurrency)}
            {field("limit-starts", "Starts", Signal::stored(Some("any number")), "numeric", |editing| &mut editing.starts)}
            <label class="labelled"><span>"in"</span><select on:change=choose_period>{periods}{other}</select></label>
            <button type="submit" class="button">"Set the limit"</button>
            {move || fault.get().map(|fault| view! { <p class="fault" role="alert">{sentence(&visible(&fault))}</p> })}
        </form>
    }
    .into_any()
}

fn remove(limits: Limits, limit: LimitView) {
    spawn_local(async move {
        let name = visible(&target_words(&limit.target));
        match limits.shared.api().remove_limit(&limit.target).await {
            Ok(()) => {
                let (target, rule) = (limit.target, limit.rule);
                let undo = Offer {
                    label: "Put it back".to_owned(),
                    action: Arc::new(move || {
                        let target = target.clone();
                        spawn_local(async move {
                            if let Err(trouble) = limits.shared.api().put_limit(&target, &rule).await {
                                limits.shared.complain(sentence(&trouble.to_string()));
                            }
                            limits.shared.look();
                        });
                    }),
                };
                limits.shared.toast(format!("The limit on {name} is removed."), false, Some(undo));
            }
            Err(trouble) => limits.shared.complain(sentence(&visible(&trouble.to_string()))),
        }
        limits.shared.look();
    });
}
