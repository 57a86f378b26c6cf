//! One module: its versions and its handlers.

use leptos::prelude::*;
use windlass_api::{HandlerSpec, ModuleName, ModuleView, RetryPolicy, Role};

use super::{
    Head,
    module_grants::Grants,
    module_versions::{self, Choosing},
};
use crate::{
    format::{bytes, count, span, visible},
    ui::{
        app::Named,
        parts::{Code, Empty, Fact, Failed, Loading, Name, prose},
        shared::Shared,
    },
};

#[component]
pub(in crate::ui) fn Module() -> impl IntoView {
    let shared = Shared::of_page();
    let name = Named::of_page();
    let choosing = Choosing::new();
    let found = Memo::new(move |_| {
        let name = name.get();
        shared.modules.with(|modules| {
            let found = modules
                .value
                .as_ref()
                .map(|modules| modules.iter().find(|module| module.name.as_str() == name).cloned());
            (found, modules.trouble.clone().filter(|_| modules.value.is_none()))
        })
    });
    move || {
        let title = visible(&name.get());
        match found.get() {
            (Some(Some(module)), _) => {
                view! { <p class="crumbs"><a href="modules">"Modules"</a></p><Head title=title />{shown(shared, choosing, &module)} }.into_any()
            }
            (Some(None), _) => view! {
                <Head title=title />
                <Empty title="There is no such module"><a class="button" href="modules">"To the modules"</a></Empty>
            }
            .into_any(),
            (None, Some(trouble)) => view! { <Head title=title /><Failed what="module" trouble=trouble /> }.into_any(),
            (None, None) => view! { <Head title=title /><Loading what="the module" /> }.into_any(),
        }
    }
}

fn shown(shared: Shared, choosing: Choosing, module: &ModuleView) -> impl IntoView + use<> {
    let active = module.versions.iter().find(|version| version.active);
    let handlers =
        active.map(|version| version.handlers.iter().map(|spec| handler(shared, &module.name, spec)).collect_view());
    view! {
        {module_versions::shown(shared, choosing, module)}
        {if handlers.is_none() { Some(view! { <p class="stale">"No version is active: jobs of this module wait."</p> }) } else { None }}
        <div class="modules">{handlers}</div>
        <Grants module=module.name.clone() />
    }
}

fn handler(shared: Shared, module: &ModuleName, spec: &HandlerSpec) -> impl IntoView + use<> {
    let jobs = format!("jobs?module={module}&handler={}", spec.name);
    let schema = |what: &'static str, schema: &Option<windlass_api::Json>| {
        schema.as_ref().map(|schema| {
            let json = schema.as_str().to_owned();
            view! {
                <details>
                    <summary>{format!("Schema of {what}")}</summary>
                    <Code what=format!("schema of {what}") json=Signal::stored(json) />
                </details>
            }
        })
    };
    let limits = [
        ("Queue", spec.queue.as_ref().map(ToString::to_string)),
        ("Priority", spec.priority.map(|priority| priority.to_string())),
        ("Attempts", spec.max_attempts.map(|attempts| attempts.to_string())),
        ("Retries", spec.retry.as_ref().map(retry)),
        ("Timeout", spec.timeout_ms.map(span)),
        ("Fuel", spec.fuel.map(count)),
        ("Memory", spec.memory_bytes.map(bytes)),
    ];
    let limits =
        limits.into_iter().filter_map(|(name, value)| value.map(|value| view! { <Fact name=name>{value}</Fact> }));
    view! {
        <article class="card">
            <div class="card-head">
                <h2><Name text=spec.name.to_string() /></h2>
                <span class=format!("mode {}", spec.mode)>{spec.mode.to_string()}</span>
                <a class="button small" href=jobs>"Jobs"</a>
                <a class="button small primary" hidden=move || !shared.may(Role::Operator) href=format!("run?handler={module}/{}", spec.name)>"Run"</a>
            </div>
            {spec.summary.as_deref().map(|summary| view! { <p dir="auto">{prose(summary)}</p> })}
            <dl class="facts">{limits.collect_view()}</dl>
            {schema("payload", &spec.payload_schema)}
            {schema("result", &spec.result_schema)}
        </article>
    }
}

fn retry(policy: &RetryPolicy) -> String {
    match policy {
        RetryPolicy::Fixed { delay_ms } => format!("every {}", span(*delay_ms)),
        RetryPolicy::Linear { delay_ms } => format!("after {} more each time", span(*delay_ms)),
        RetryPolicy::Exponential { base_ms, max_ms } => {
            format!("doubling from {} up to {}", span(*base_ms), span(*max_ms))
        }
        RetryPolicy::Delays { delays_ms } => {
            format!("after {}", delays_ms.iter().map(|delay| span(*delay)).collect::<Vec<_>>().join(", "))
        }
    }
}
