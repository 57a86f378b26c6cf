//! The versions of a module, and what new jobs go to.

use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};
use windlass_api::{Digest, ModuleName, ModuleView, Role, VersionView};

use crate::{
    format::{bytes, plural, visible},
    model::versions::{FIRST_SHARE, Step, chosen, is_idle, moved, share},
    ui::{
        browser,
        parts::{Instant, sentence},
        shared::Shared,
    },
};

/// What is chosen and typed on a module's page. It is the page's, and outlives each drawing of the versions: others may deploy or
/// activate some meanwhile.
#[derive(Clone, Copy)]
pub(super) struct Choosing {
    /// The version that is to become the canary, while its share is chosen.
    digest: RwSignal<Option<Digest>>,
    share: RwSignal<String>,
}

impl Choosing {
    pub(super) fn new() -> Self {
        Self { digest: RwSignal::new(None), share: RwSignal::new(FIRST_SHARE.to_owned()) }
    }

    /// Asks for the share of a version.
    fn begin(self, digest: Digest, share: String) {
        self.share.set(share);
        self.digest.set(Some(digest));
        browser::focus("canary-share");
    }
}

pub(super) fn shown(shared: Shared, choosing: Choosing, module: &ModuleView) -> AnyView {
    let has_active = module.versions.iter().any(|version| version.active);
    let rows: Vec<_> =
        module.versions.iter().map(|version| row(shared, choosing, &module.name, version, has_active)).collect();
    let canary = module
        .versions
        .iter()
        .find_map(|version| Some(on_trial(shared, choosing, &module.name, version, version.canary_percent?)));
    let own = module.clone();
    let asked =
        move || chosen(&own, choosing.digest.get()).map(|digest| form(shared, choosing, own.name.clone(), digest));
    view! {
        <section class="card flush">
            <h2 class="card-title">{plural(module.versions.len() as u64, "version", "versions")}</h2>
            {canary}
            <table class="table">
                <thead><tr><th>"Version"</th><th>"Digest"</th><th>"Handlers"</th><th class="number">"Size"</th><th>"Built with"</th><th class="number">"Deployed"</th><th><span class="unseen">"Actions"</span></th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
            {asked}
        </section>
    }
    .into_any()
}

/// What is said of the canary, and what may become of it.
fn on_trial(shared: Shared, choosing: Choosing, module: &ModuleName, version: &VersionView, percent: u8) -> AnyView {
    let (digest, author, short) = (version.digest, visible(&version.version), version.digest.short());
    let change = move |_| choosing.begin(digest, percent.to_string());
    let name = module.clone();
    let promote = move |_| {
        let text = format!("All new jobs of {name} go to it; jobs that have started keep their version.");
        let name = name.clone();
        let go = move || take(shared, name.clone(), Step::Promote(digest), false);
        shared.ask("Promote the canary?", text, "Promote", go);
    };
    let name = module.clone();
    let end = move |_| {
        let text = format!(
            "All new jobs of {name} go to the active version again, and so do jobs that began on the canary and wait to go on."
        );
        let name = name.clone();
        shared.ask("Drop the canary?", text, "Drop", move || end_canary(shared, name.clone()));
    };
    let may_not = move || !shared.may(Role::Deployer);
    view! {
        <div class="canary">
            <p><strong>{format!("{percent} % of the new jobs")}</strong>" go to version "<bdi>{author}</bdi>" ("<span class="mono">{short.clone()}</span>"), the canary."</p>
            <div class="buttons" hidden=may_not>
                <button class="button small" aria-label=format!("Change the share of version {short}") on:click=change>"Change the share"</button>
                <button class="button small primary" aria-label=format!("Promote version {short}") on:click=promote>"Promote"</button>
                <button class="button small danger" aria-label=format!("Drop version {short}") on:click=end>"Drop"</button>
            </div>
        </div>
    }
    .into_any()
}

fn row(shared: Shared, choosing: Choosing, module: &ModuleName, version: &VersionView, has_active: bool) -> AnyView {
    let (digest, author, short) = (version.digest, visible(&version.version), version.digest.short());
    let activate = {
        let (name, author, short) = (module.clone(), author.clone(), short.clone());
        move |_| {
            let text =
                format!("New jobs of {name} go to version {author} ({short}); jobs that have started keep theirs.");
            let name = name.clone();
            let go = move || take(shared, name.clone(), Step::Activate(digest), false);
            shared.ask("Activate this version?", text, "Activate", go);
        }
    };
    let try_out = move |_| choosing.begin(digest, FIRST_SHARE.to_owned());
    let retire = {
        let (name, author, short) = (module.clone(), author.clone(), short.clone());
        move |_| {
            let text = format!(
                "Nothing starts on version {author} ({short}) any more, and its component is removed; jobs that began on it and wait to \
                 go on do so with the active version. To have it back, deploy it again."
            );
            let name = name.clone();
            shared.ask("Retire this version?", text, "Retire", move || retire(shared, name.clone(), digest));
        }
    };
    let may_not = move || !shared.may(Role::Deployer);
    let actions = is_idle(version).then(|| {
        view! {
            <div class="version-buttons" hidden=may_not>
                <button class="button small" aria-label=format!("Activate version {short}") on:click=activate>"Activate"</button>
                {has_active.then(|| view! { <button class="button small" aria-label=format!("Try version {short} as a canary") on:click=try_out>"Canary"</button> })}
                <button class="button small danger" aria-label=format!("Retire version {short}") on:click=retire>"Retire"</button>
            </div>
        }
    });
    view! {
        <tr>
            <th scope="row"><bdi>{author}</bdi>" "{badge(version)}</th>
            <td data-label="Digest" class="mono" title=digest.to_string()>{short}</td>
            <td data-label="Handlers">{plural(version.handlers.len() as u64, "handler", "handlers")}</td>
            <td data-label="Size" class="number">{bytes(version.size_bytes)}</td>
            <td data-label="Built with" class="quiet"><bdi>{visible(&version.sdk)}</bdi></td>
            <td data-label="Deployed" class="number"><Instant at=version.deployed_at /></td>
            <td class="end">{actions}</td>
        </tr>
    }
    .into_any()
}

/// What a version is for now.
fn badge(version: &VersionView) -> Option<AnyView> {
    let (class, text) = match (version.active, version.canary_percent, version.retired_at) {
        (true, ..) => ("badge state-succeeded", "active".to_owned()),
        (false, Some(percent), _) => ("badge state-processing", format!("canary, {percent} %")),
        (false, None, Some(_)) => ("badge state-deleted", "retired".to_owned()),
        (false, None, None) => return None,
    };
    Some(view! { <span class=class><span class="dot" aria-hidden="true"></span>{text}</span> }.into_any())
}

/// Where the share of a canary is typed.
fn form(shared: Shared, choosing: Choosing, module: ModuleName, digest: Digest) -> AnyView {
    let fault = RwSignal::new(None::<&'static str>);
    let send = move |event: SubmitEvent| {
        event.prevent_default();
        match choosing.share.with_untracked(|typed| share(typed)) {
            Ok(percent) => {
                choosing.digest.set(None);
                take(shared, module.clone(), Step::Canary(digest, percent), false);
            }
            Err(expected) => fault.set(Some(expected)),
        }
    };
    view! {
        <form class="canary" on:submit=send>
            <label class="labelled">
                <span>{format!("Percent of the new jobs for version {}", digest.short())}</span>
                <input type="text" id="canary-share" inputmode="numeric" autocomplete="off" prop:value=move || choosing.share.get()
                    on:input=move |event| choosing.share.set(event_target_value(&event)) />
            </label>
            <div class="buttons">
                <button type="submit" class="button small primary">"Begin the canary"</button>
                <button type="button" class="button small" on:click=move |_| choosing.digest.set(None)>"Not now"</button>
            </div>
            {move || fault.get().map(|fault| view! { <p class="fault" role="alert">{fault}</p> })}
        </form>
    }
    .into_any()
}

// What follows is done after a question perhaps, and by then the versions may have been drawn anew: it keeps nothing of theirs.

fn take(shared: Shared, name: ModuleName, step: Step, force: bool) {
    spawn_local(async move {
        let api = shared.api();
        let answer = match step {
            Step::Activate(digest) => api.activate(&name, digest, force).await,
            Step::Canary(digest, percent) => api.begin_canary(&name, digest, percent, force).await,
            Step::Promote(_) => api.promote_canary(&name, force).await,
        };
        match answer {
            Ok(_) => shared.say(step.done(&name)),
            Err(trouble) if trouble.would_break() => {
                let (title, yes) = step.insistence();
                let go = move || take(shared, name.clone(), step, true);
                shared.ask(title, sentence(&visible(&trouble.to_string())), yes, go);
            }
            Err(trouble) => shared.complain(sentence(&visible(&trouble.to_string()))),
        }
        look_again(shared).await;
    });
}

fn end_canary(shared: Shared, name: ModuleName) {
    spawn_local(async move {
        match shared.api().drop_canary(&name).await {
            Ok(dropped) => {
                let version = dropped.digest.short();
                shared.say(format!("Version {version} of {name} is no canary any more; {}.", moved(dropped.unpinned)));
            }
            Err(trouble) => shared.complain(sentence(&visible(&trouble.to_string()))),
        }
        look_again(shared).await;
    });
}

fn retire(shared: Shared, name: ModuleName, digest: Digest) {
    spawn_local(async move {
        match shared.api().retire(&name, digest).await {
            Ok(retired) => {
                let version = digest.short();
                shared.say(format!("Version {version} of {name} is retired; {}.", moved(retired.unpinned)));
            }
            Err(trouble) => shared.complain(sentence(&visible(&trouble.to_string()))),
        }
        look_again(shared).await;
    });
}

async fn look_again(shared: Shared) {
    let answer = shared.api().modules().await;
    shared.modules.update(|known| known.take(answer));
    shared.look();
}
