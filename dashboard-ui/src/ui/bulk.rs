//! The bulk actions of the host that go on: begun here or found, shown with how far they are, stopped on request. They go
//! on whatever page is shown, and what came of them is told wherever the viewer is by then.

use std::{sync::Arc, time::Duration};

use leptos::{prelude::*, task::spawn_local};
use windlass_api::{BulkAction, BulkActionId, BulkActionRequest, BulkState, Role};

use super::{
    parts::{Glyph, Icon, sentence},
    shared::{Offer, Shared},
};
use crate::{
    format::{decimal, visible},
    model::bulk::{doing, lost, outcome, total},
    trouble::Trouble,
};

/// How often it is asked how far one is, in milliseconds.
const LOOK_MS: u64 = 500;

/// How often where the last answer was none, or that nobody is signed in, in milliseconds.
const LATER_MS: u64 = 5_000;

/// How often at first: a few jobs are done by then.
const SOON_MS: u64 = 60;

/// Begins one. `undo` is offered where something came of it.
pub(super) fn begin(shared: Shared, request: BulkActionRequest, undo: Option<BulkActionRequest>) {
    spawn_local(async move {
        match shared.api().begin_bulk_action(&request).await {
            Ok(begun) => follow(shared, begun, undo),
            Err(trouble) => shared.complain(sentence(&visible(&trouble.to_string()))),
        }
    });
}

/// Shows those that go on already, whoever began them.
pub(super) fn adopt(shared: Shared) {
    spawn_local(async move {
        // A host that does not have them has none that go on.
        for action in shared.api().bulk_actions().await.unwrap_or_default() {
            let is_known = shared.bulk.with_untracked(|known| known.iter().any(|known| known.id == action.id));
            if !action.state.is_final() && !is_known {
                follow(shared, action, None);
            }
        }
    });
}

fn follow(shared: Shared, action: BulkAction, undo: Option<BulkActionRequest>) {
    let id = action.id;
    shared.bulk.update(|known| known.push(action.clone()));
    look_later(shared, id, SOON_MS, undo);
}

fn look_later(shared: Shared, id: BulkActionId, wait: u64, undo: Option<BulkActionRequest>) {
    let look = move || {
        spawn_local(async move {
            let answer = shared.api().bulk_action(id).await;
            // Whoever has signed out meanwhile hears nothing more of it.
            let Some(known) = shared.bulk.with_untracked(|known| known.iter().find(|known| known.id == id).cloned())
            else {
                return;
            };
            match answer {
                Ok(action) if action.state.is_final() => {
                    forget(shared, id);
                    let (text, is_bad) = outcome(&action);
                    let offer = undo.filter(|_| action.done > 0).map(|undo| Offer {
                        label: "Enqueue them again".to_owned(),
                        action: Arc::new(move || begin(shared, undo.clone(), None)),
                    });
                    shared.toast(visible(&text), is_bad, offer);
                    shared.look();
                }
                Ok(action) => {
                    shared.bulk.update(|known| {
                        known.iter_mut().filter(|known| known.id == id).for_each(|known| known.clone_from(&action));
                    });
                    look_later(shared, id, LOOK_MS, undo);
                }
                Err(trouble) if trouble.is_not_found() => {
                    forget(shared, id);
                    shared.complain(lost(&known));
                }
                // A host that does not answer now may do so later, and the bulk action goes on meanwhile.
                Err(_) => look_later(shared, id, LATER_MS, undo),
            }
        });
    };
    set_timeout(look, Duration::from_millis(wait));
}

fn forget(shared: Shared, id: BulkActionId) {
    shared.bulk.update(|known| known.retain(|known| known.id != id));
}

fn stop(shared: Shared, id: BulkActionId) {
    spawn_local(async move {
        match shared.api().stop_bulk_action(id).await {
            Ok(_) | Err(Trouble::Unreachable) => {}
            Err(trouble) => shared.complain(sentence(&visible(&trouble.to_string()))),
        }
    });
}

/// Those that go on, with how far they are.
#[component]
pub(super) fn BulkActions(shared: Shared) -> impl IntoView {
    let row = move |id: BulkActionId| {
        let action = Memo::new(move |_| shared.bulk.with(|known| known.iter().find(|known| known.id == id).cloned()));
        let width = move || {
            action.with(|action| {
                action.as_ref().map_or(0.0, |action| {
                    #[expect(clippy::cast_precision_loss, reason = "pixels")]
                    let share = action.looked_at as f64 / total(action).max(1) as f64;
                    (share * 100.0).min(100.0)
                })
            })
        };
        let is_stopping =
            move || action.with(|action| action.as_ref().is_some_and(|action| action.state == BulkState::Stopping));
        view! {
            <div class="bulk" role="status">
                <span class="number">{move || action.with(|action| action.as_ref().map(doing))}</span>
                <svg class="meter wide" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                    <rect class="meter-all" width="100" height="6"></rect>
                    <rect class="meter-used" width=move || decimal(width()) height="6"></rect>
                </svg>
                <span class="quiet">{move || action.with(|action| action.as_ref().map(|action| format!("by {}", visible(&action.by))))}</span>
                <button class="button small" hidden=move || !shared.may(Role::Operator) disabled=is_stopping on:click=move |_| stop(shared, id)>
                    <Icon glyph=Glyph::Close />"Stop"
                </button>
            </div>
        }
    };
    let ids = move || shared.bulk.with(|known| known.iter().map(|action| action.id).collect::<Vec<_>>());
    view! { <For each=ids key=|id| *id children=row /> }
}
