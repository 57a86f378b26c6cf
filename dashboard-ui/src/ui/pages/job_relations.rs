//! What a job continues, and what continues it, on its page.

use leptos::prelude::*;
use windlass_api::{JobId, Relations, Relative};

use super::flow::on_words;
use crate::{
    model::{Loaded, news::Topic},
    ui::{
        parts::{Name, StateBadge},
        shared::{Rounds, Shared},
    },
};

/// How many children are shown; the rest is among the jobs of the list.
const CHILDREN: usize = 20;

/// The parents and the children of a job; nothing where it has neither.
#[component]
pub(super) fn Family(id: JobId) -> impl IntoView {
    let shared = Shared::of_page();
    let known = RwSignal::new(Loaded::<Relations>::default());
    let (news, rounds) = (shared.of_topic(Topic::Job), Rounds::new());
    shared.follow(&[Topic::Job, Topic::Counts], move || async move {
        // Others end as well: looked at less often than there are news of all jobs.
        let (is_own, is_turn) = (news.are_there(), rounds.is_turn(4));
        if !is_own && !is_turn {
            return;
        }
        let answer = shared.api().relations(id, CHILDREN).await;
        if known.try_with_untracked(|known| known.differs(&answer)) == Some(true) {
            known.try_update(|known| known.take(answer));
        }
    });
    move || {
        known.with(|known| {
            let relations = known.value.as_ref()?;
            let (parents, children) = (&relations.parents, &relations.children.items);
            if parents.is_empty() && children.is_empty() {
                return None;
            }
            let more = relations.children.next.is_some();
            Some(
                view! {
                    <section class="card">
                        <div class="card-head"><h2>"Flow"</h2><a href=format!("flow/{id}")>"As a graph"</a></div>
                        {some("It continues", parents)}
                        {some("Continued by", children)}
                        {more.then(|| view! { <p class="row-note">"and more"</p> }.into_any())}
                    </section>
                }
                .into_any(),
            )
        })
    }
}

fn some(title: &'static str, relatives: &[Relative]) -> Option<AnyView> {
    if relatives.is_empty() {
        return None;
    }
    let row = |relative: &Relative| {
        let path = relative.module.as_ref().zip(relative.handler.as_ref());
        let name =
            path.map_or_else(|| "a job that was removed".to_owned(), |(module, handler)| format!("{module}/{handler}"));
        let waits = if relative.met { "" } else { " · waits" };
        view! {
            <li class="flow-row">
                <a href=format!("jobs/{}", relative.id)><Name text=name /></a>
                {relative.state.map(|state| view! { <StateBadge state=state reason=None /> }.into_any())}
                <div class="row-note">{format!("on {}{waits}", on_words(relative.on).trim_end_matches(" of"))}</div>
            </li>
        }
        .into_any()
    };
    let rows: Vec<_> = relatives.iter().map(row).collect();
    Some(view! { <h3 class="quiet">{title}</h3><ul class="flow-rows">{rows}</ul> }.into_any())
}
