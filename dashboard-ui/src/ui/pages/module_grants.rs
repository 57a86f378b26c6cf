//! What a module may reach and take, as the host that serves this page has it in its settings.

use leptos::{prelude::*, task::spawn_local};
use windlass_api::{LimitRange, ModuleGrants, ModuleName, Role};

use crate::{
    format::{bytes, count, span, visible},
    trouble::Trouble,
    ui::{
        parts::{Fact, Name, sentence},
        shared::Shared,
    },
};

/// A card with the grants of a module, for who may see them.
#[component]
pub(super) fn Grants(module: ModuleName) -> impl IntoView {
    let shared = Shared::of_page();
    let known = RwSignal::new(None::<Result<ModuleGrants, Trouble>>);
    let may_see = Memo::new(move |_| shared.may(Role::Operator));
    Effect::new(move |_| {
        if may_see.get() {
            let module = module.clone();
            spawn_local(async move {
                let answer = shared.api().grants(&module).await;
                known.try_set(Some(answer));
            });
        }
    });
    move || {
        let body = match known.get()? {
            Ok(grants) => facts(grants),
            // A host of an older version; or one without a worker, which says so.
            Err(Trouble::NotOffered) => return None,
            Err(trouble) => view! { <p class="quiet">{sentence(&visible(&trouble.to_string()))}</p> }.into_any(),
        };
        Some(view! { <section class="card"><h2>"Grants and limits on this host"</h2>{body}</section> })
    }
}

fn facts(grants: ModuleGrants) -> AnyView {
    let private = if grants.private_networks { " (also at private addresses)" } else { "" };
    let folders: Vec<_> = grants
        .directories
        .iter()
        .map(|folder| format!("{}{}", folder.guest, if folder.write { " (may write)" } else { "" }))
        .collect();
    let limits = grants.limits;
    view! {
        <dl class="facts">
            <Fact name="HTTP">{names(&grants.http)}{private}</Fact>
            <Fact name="Folders">{names(&folders)}</Fact>
            <Fact name="Environment">{names(&grants.environment)}</Fact>
            <Fact name="Config">{names(&grants.config)}</Fact>
            <Fact name="Secrets">{names(&grants.secrets)}</Fact>
            <Fact name="Timeout">{range(limits.timeout_ms, span)}</Fact>
            <Fact name="Fuel">{range(limits.fuel, count)}</Fact>
            <Fact name="Memory">{range(limits.memory_bytes, bytes)}</Fact>
            <Fact name="Logs">{bytes(limits.log_bytes)}</Fact>
            <Fact name="Result">{bytes(limits.result_bytes)}</Fact>
            <Fact name="Further jobs">{count(limits.follow_ups.into())}</Fact>
        </dl>
    }
    .into_any()
}

fn names(names: &[String]) -> AnyView {
    if names.is_empty() {
        return view! { <span class="quiet">"none"</span> }.into_any();
    }
    view! { <Name text=names.join(", ") /> }.into_any()
}

fn range(range: LimitRange, text: fn(u64) -> String) -> String {
    format!("{}, at most {}", text(range.default), text(range.max))
}
