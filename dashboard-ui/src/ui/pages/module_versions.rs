//! The versions of a module, and what new jobs go to.

use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};
use windlass_api::{Digest, ModuleName, ModuleView, Role, VersionView};

use crate::{
    format::{bytes, plural, visible},
    ui::{
        browser,
        parts::{Instant, sentence},
        shared::Shared,
    },
};

/// The share that a canary begins with where nobody says otherwise.
const FIRST_SHARE: &str = "10";

/// What is refused where something would break, and done all the same where somebody insists.
#[derive(Clone, Copy)]
enum Step {
    Activate(Digest),
    Canary(Digest, u8),
    Promote(Digest),
}

impl Step {
    /// What is asked where something would break, and what says yes to it.
    const fn insistence(self) -> (&'static str, &'static str) {
        match self {
            Self::Activate(_) => ("Activate it all the same?", "Activate all the same"),
            Self::Canary(..) => ("Begin the canary all the same?", "Begin all the same"),
            Self::Promote(_) => ("Promote it all the same?", "Promote all the same"),
        }
    }

    fn done(self, module: &ModuleName) -> String {
        match self {
            Self::Activate(digest) | Self::Promote(digest) => {
                format!("Version {} of {module} is active.", digest.short())
            }
            Self::Canary(digest, percent) => {
                format!("{percent} % of the new jobs of {module} go to version {}.", digest.short())
            }
        }
    }
}

/// A module's versions on its page.
#[derive(Clone, Copy)]
struct Versions {
    shared: Shared,
    module: StoredValue<ModuleName>,
    /// The version that is to become the canary, while its share is chosen.
    choosing: RwSignal<Option<Digest>>,
    share: RwSignal<String>,
}

pub(super) fn shown(shared: Shared, module: &ModuleView) -> AnyView {
    let versions = Versions {
        shared,
        module: StoredValue::new(module.name.clone()),
        choosing: RwSignal::new(None),
        share: RwSignal::new(FIRST_SHARE.to_owned()),
    };
    let has_active = module.versions.iter().any(|version| version.active);
    let rows: Vec<_> = module.versions.iter().map(|version| row(versions, version, has_active)).collect();
    let canary = module.versions.iter().find_map(|version| Some(on_trial(versions, version, version.canary_percent?)));
    view! {
        <section class="card flush">
            <h2 class="card-title">{plural(module.versions.len() as u64, "version", "versions")}</h2>
            {canary}
            <table class="table">
                <thead><tr><th>"Version"</th><th>"Digest"</th><th>"Handlers"</th><th class="number">"Size"</th><th>"Built with"</th><th class="number">"Deployed"</th><th><span class="unseen">"Actions"</span></th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
            {move || versions.choosing.get().map(|digest| form(versions, digest))}
        </section>
    }
    .into_any()
}

/// What is said of the canary, and what may become of it.
fn on_trial(versions: Versions, version: &VersionView, percent: u8) -> AnyView {
    let Versions { shared, share, choosing, .. } = versions;
    let (digest, author, short) = (version.digest, visible(&version.version), version.digest.short());
    let change = move |_| {
        share.set(percent.to_string());
        choosing.set(Some(digest));
        browser::focus("canary-share");
    };
    let promote = move |_| {
        let text = format!("All new jobs of {} go to it; jobs that have started keep their version.", versions.name());
        shared.ask("Promote the canary?", text, "Promote", move || versions.take(Step::Promote(digest), false));
    };
    let end = move |_| {
        let text = format!(
            "All new jobs of {} go to the active version again, and so do jobs that began on the canary and wait to go on.",
            versions.name()
        );
        shared.ask("Drop the canary?", text, "Drop", move || versions.end_canary());
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

fn row(versions: Versions, version: &VersionView, has_active: bool) -> AnyView {
    let Versions { shared, share, choosing, .. } = versions;
    let (digest, author, short) = (version.digest, visible(&version.version), version.digest.short());
    let activate = {
        let (author, short) = (author.clone(), short.clone());
        move |_| {
            let name = versions.name();
            let text =
                format!("New jobs of {name} go to version {author} ({short}); jobs that have started keep theirs.");
            let go = move || versions.take(Step::Activate(digest), false);
            shared.ask("Activate this version?", text, "Activate", go);
        }
    };
    let try_out = move |_| {
        share.set(FIRST_SHARE.to_owned());
        choosing.set(Some(digest));
        browser::focus("canary-share");
    };
    let retire = {
        let (author, short) = (author.clone(), short.clone());
        move |_| {
            let text = format!(
                "Nothing starts on version {author} ({short}) any more, and its component is removed; jobs that began on it and wait to \
                 go on do so with the active version. To have it back, deploy it again."
            );
            shared.ask("Retire this version?", text, "Retire", move || versions.retire(digest));
        }
    };
    let may_not = move || !shared.may(Role::Deployer);
    let is_idle = !version.active && version.canary_percent.is_none() && version.retired_at.is_none();
    let actions = is_idle.then(|| {
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
fn form(versions: Versions, digest: Digest) -> AnyView {
    let Versions { share, choosing, .. } = versions;
    let fault = RwSignal::new(None::<&'static str>);
    let send = move |event: SubmitEvent| {
        event.prevent_default();
        match share
            .with_untracked(|share| share.trim().parse::<u8>().ok().filter(|percent| (1..=100).contains(percent)))
        {
            Some(percent) => {
                choosing.set(None);
                versions.take(Step::Canary(digest, percent), false);
            }
            None => fault.set(Some("Expected a whole number of percent, from 1 to 100.")),
        }
    };
    view! {
        <form class="canary" on:submit=send>
            <label class="labelled">
                <span>{format!("Percent of the new jobs for version {}", digest.short())}</span>
                <input type="text" id="canary-share" inputmode="numeric" autocomplete="off" prop:value=move || share.get()
                    on:input=move |event| share.set(event_target_value(&event)) />
            </label>
            <div class="buttons">
                <button type="submit" class="button small primary">"Begin the canary"</button>
                <button type="button" class="button small" on:click=move |_| choosing.set(None)>"Not now"</button>
            </div>
            {move || fault.get().map(|fault| view! { <p class="fault" role="alert">{fault}</p> })}
        </form>
    }
    .into_any()
}

impl Versions {
    fn name(self) -> ModuleName {
        self.module.get_value()
    }

    fn take(self, step: Step, force: bool) {
        let (shared, name) = (self.shared, self.name());
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
                    shared.ask(title, sentence(&visible(&trouble.to_string())), yes, move || self.take(step, true));
                }
                Err(trouble) => shared.complain(sentence(&trouble.to_string())),
            }
            look_again(shared).await;
        });
    }

    fn end_canary(self) {
        let (shared, name) = (self.shared, self.name());
        spawn_local(async move {
            match shared.api().drop_canary(&name).await {
                Ok(dropped) => {
                    let version = dropped.digest.short();
                    shared.say(format!(
                        "Version {version} of {name} is no canary any more; {}.",
                        moved(dropped.unpinned)
                    ));
                }
                Err(trouble) => shared.complain(sentence(&trouble.to_string())),
            }
            look_again(shared).await;
        });
    }

    fn retire(self, digest: Digest) {
        let (shared, name) = (self.shared, self.name());
        spawn_local(async move {
            match shared.api().retire(&name, digest).await {
                Ok(retired) => {
                    shared.say(format!(
                        "Version {} of {name} is retired; {}.",
                        digest.short(),
                        moved(retired.unpinned)
                    ));
                }
                Err(trouble) => shared.complain(sentence(&trouble.to_string())),
            }
            look_again(shared).await;
        });
    }
}

/// What became of the jobs that had begun on a version.
fn moved(unpinned: u64) -> String {
    match unpinned {
        0 => "no job waited to go on with it".to_owned(),
        _ => format!("{} that had begun on it go on with the active version", plural(unpinned, "job", "jobs")),
    }
}

async fn look_again(shared: Shared) {
    let answer = shared.api().modules().await;
    shared.modules.update(|known| known.take(answer));
    shared.look();
}
