//! Modules: what is deployed, and the place to drop more.

use leptos::{ev::DragEvent, html, prelude::*, task::spawn_local};
use web_sys::{File, FileList};
use windlass_api::{ModuleView, Role};

use super::Head;
use crate::{
    format::{bytes, decimal, plural, visible},
    ui::{
        parts::{Empty, Failed, Glyph, Icon, Instant, Loading, Name, Stale, prose, sentence},
        shared::Shared,
        uploads,
    },
};

#[component]
pub(in crate::ui) fn Modules() -> impl IntoView {
    let shared = Shared::of_page();
    let may_deploy = Memo::new(move |_| shared.may(Role::Deployer));
    let body = move || {
        shared.modules.with(|modules| match (&modules.value, &modules.trouble) {
            (Some(modules), _) if modules.is_empty() => view! {
                <Empty title="No module is deployed">
                    <p>"A module is a WebAssembly component with one or more handlers. " {if may_deploy.get() { "Drop its file above, or run " } else { "Somebody with the role deployer deploys it: " }} <code>"windlass deploy FILE"</code> "."</p>
                </Empty>
            }
            .into_any(),
            (Some(modules), _) => view! { <div class="modules">{modules.iter().map(card).collect_view()}</div> }.into_any(),
            (None, Some(trouble)) => view! { <Failed what="modules" trouble=trouble.clone() /> }.into_any(),
            (None, None) => view! { <Loading what="modules" /> }.into_any(),
        })
    };
    view! {
        <Head title="Modules" />
        {move || may_deploy.get().then(|| view! { <Deploy /> })}
        <Stale trouble=Signal::derive(move || shared.modules.with(|modules| modules.value.is_some().then(|| modules.trouble.clone()).flatten())) />
        {body}
    }
}

fn card(module: &ModuleView) -> impl IntoView + use<> {
    let shared = Shared::of_page();
    let active = module.versions.iter().find(|version| version.active);
    let handlers = active.map(|version| version.handlers.iter().map(|handler| {
        let run = format!("run?handler={}/{}", module.name, handler.name);
        view! {
            <li>
                <span class=format!("mode {}", handler.mode)>{handler.mode.to_string()}</span>
                <Name text=handler.name.to_string() />
                <span class="quiet summary">{handler.summary.as_deref().map(prose)}</span>
                <a class="button quiet small" hidden=move || !shared.may(Role::Operator) href=run aria-label=format!("Run {}/{}", module.name, handler.name)>"Run"</a>
            </li>
        }
    }).collect_view());
    view! {
        <article class="card">
            <div class="card-head">
                <h2><a href=format!("modules/{}", module.name)><Name text=module.name.to_string() /></a></h2>
                <span class="quiet">{plural(module.versions.len() as u64, "version", "versions")}</span>
            </div>
            {match active {
                Some(version) => view! {
                    <p class="quiet">
                        <bdi>{visible(&version.version)}</bdi>" · "<span class="mono" title=version.digest.to_string()>{version.digest.short()}</span>
                        " · "{bytes(version.size_bytes)}" · deployed "<Instant at=version.deployed_at />
                    </p>
                }.into_any(),
                None => view! { <p class="bad">"No version is active: its jobs wait."</p> }.into_any(),
            }}
            <ul class="handlers">{handlers}</ul>
        </article>
    }
}

/// How far a deploy is.
#[derive(Clone, PartialEq)]
enum Deploying {
    No,
    Sending(String),
    /// Which file, why, and whether it is for what would break.
    Refused(String, String, bool),
}

/// Where a component is dropped.
#[component]
fn Deploy() -> impl IntoView {
    let shared = Shared::of_page();
    let (is_over, activate) = (RwSignal::new(false), RwSignal::new(true));
    let deploying = RwSignal::new(Deploying::No);
    let (sent, set_sent) = signal(0.0);
    // What was refused for what would break: it may be deployed all the same.
    let refused = StoredValue::new_local(None::<Component>);
    let input = NodeRef::<html::Input>::new();
    let take = move |files: Option<FileList>| {
        let Some(component) = files.and_then(|files| Component::among(&files)) else { return };
        refused.set_value(Some(component.clone()));
        begin(shared, component, activate.get_untracked(), false, deploying, set_sent);
    };
    let drop = move |event: DragEvent| {
        event.prevent_default();
        is_over.set(false);
        take(event.data_transfer().and_then(|transfer| transfer.files()));
    };
    let chosen = move |_| {
        if let Some(input) = input.get_untracked() {
            take(input.files());
            // So that the same file can be chosen again, mended.
            input.set_value("");
        }
    };
    let all_the_same = move |_| {
        if let Some(component) = refused.get_value() {
            begin(shared, component, true, true, deploying, set_sent);
        }
    };
    let told = move || {
        match deploying.get() {
        Deploying::No => view! {
            <p><strong>"Drop a component here"</strong>" to deploy it, or choose its file; with its "<code>".minisig"</code>" where it is signed."</p>
        }
        .into_any(),
        Deploying::Sending(name) => view! {
            <div class="sending" role="status">
                <p>{move || if sent.get() < 1.0 { format!("Sending {name} …") } else { format!("Checking and compiling {name} …") }}</p>
                <svg class="meter wide" viewBox="0 0 100 6" preserveAspectRatio="none" role="progressbar" aria-label="Sent" aria-valuemin="0" aria-valuemax="100"
                    aria-valuenow=move || decimal((sent.get() * 100.0).round())>
                    <rect class="meter-all" width="100" height="6"></rect>
                    <rect class="meter-used" width=move || decimal(sent.get() * 100.0) height="6"></rect>
                </svg>
            </div>
        }
        .into_any(),
        Deploying::Refused(name, reason, would_break) => view! {
            <div class="refused" role="alert">
                <p><strong>{format!("{name} was not deployed.")}</strong></p>
                <p class="message">{reason}</p>
                {would_break.then(|| view! { <button class="button small danger" on:click=all_the_same>"Deploy all the same"</button> })}
            </div>
        }
        .into_any(),
    }
    };
    let is_sending = move || matches!(deploying.get(), Deploying::Sending(_));
    view! {
        <section class="drop" class:over=is_over aria-label="Deploy a module"
            on:dragover=move |event| { event.prevent_default(); is_over.set(true); }
            on:dragleave=move |_| is_over.set(false) on:drop=drop>
            <Icon glyph=Glyph::Upload />
            <div class="drop-told">{told}</div>
            <div class="drop-tools">
                <label class="choice"><input type="checkbox" bind:checked=activate />"Activate at once"</label>
                <label class="button" class:disabled=is_sending>
                    "Choose a file"
                    <input type="file" class="unseen" multiple accept=".wasm,.minisig,application/wasm" node_ref=input on:change=chosen disabled=is_sending />
                </label>
            </div>
        </section>
    }
}

/// A component's file, and that of its signature.
#[derive(Clone)]
struct Component {
    file: File,
    signature: Option<File>,
}

impl Component {
    /// What was dropped or chosen, in whatever order.
    fn among(files: &FileList) -> Option<Self> {
        let files: Vec<_> = (0..files.length()).filter_map(|place| files.get(place)).collect();
        let (mut signatures, mut others): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| file.name().ends_with(".minisig"));
        (!others.is_empty()).then(|| Self { file: others.swap_remove(0), signature: signatures.pop() })
    }
}

fn begin(
    shared: Shared,
    component: Component,
    activate: bool,
    force: bool,
    deploying: RwSignal<Deploying>,
    sent: WriteSignal<f64>,
) {
    let Component { file, signature } = component;
    let name = visible(&file.name());
    sent.set(0.0);
    deploying.set(Deploying::Sending(name.clone()));
    spawn_local(async move {
        match uploads::deploy(shared.api(), &file, signature.as_ref(), activate, force, sent).await {
            Ok(deployed) => {
                let digest = deployed.version.digest.short();
                let what = match (deployed.already_known, deployed.version.active) {
                    (true, true) => "was there before and is active",
                    (true, false) => "was there before and is not active",
                    (false, true) => "is deployed and active",
                    (false, false) => "is deployed; activate it on the module's page",
                };
                shared.say(format!("Version {digest} of {} {what}.", deployed.module));
                deploying.try_set(Deploying::No);
            }
            Err(trouble) => {
                let reason = sentence(&visible(&trouble.to_string()));
                deploying.try_set(Deploying::Refused(name, reason, trouble.would_break()));
            }
        }
        shared.look();
    });
}
