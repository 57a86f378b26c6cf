//! The page that stands in front of all others where the host asks for a token and nobody is signed in. What was there
//! stays behind it, so that whoever signs in again goes on where they were.

use leptos::{html, prelude::*, task::spawn_local};

use super::{
    browser,
    parts::{Logo, sentence},
    shared::Shared,
    stream,
};
use crate::model::access::{self, Access, Event, Reason, Viewer};

/// Where a token is asked for.
#[component]
pub(super) fn SignIn() -> impl IntoView {
    let shared = Shared::of_page();
    // What is heard of it later changes what is said, and not what was typed.
    let reason = move || match shared.access.get() {
        Access::Out(reason) => Some(why(&reason)),
        _ => None,
    };
    let title = document().title();
    browser::set_title("Sign in");
    on_cleanup(move || document().set_title(&title));
    let field = NodeRef::<html::Input>::new();
    let (fault, is_sending) = (RwSignal::new(None::<String>), RwSignal::new(false));
    // Until when the host wants to hear of no other wrong one. A right one it takes at any time.
    let until = RwSignal::new(None);
    let wait = Memo::new(move |_| {
        let left = until.get().map_or(0, |until: windlass_api::Timestamp| until.ms_since(shared.now.get()));
        left.div_ceil(1_000)
    });
    Effect::new(move |_| {
        if let Some(field) = field.get() {
            let _ = field.focus();
        }
    });
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(field) = field.get_untracked() else { return };
        let token = field.value().trim().to_owned();
        if token.is_empty() || is_sending.get_untracked() {
            return;
        }
        is_sending.set(true);
        spawn_local(async move {
            let answer = shared.api().sign_in(token).await;
            is_sending.try_set(false);
            match answer {
                Ok(session) => shared.hear(Event::Told(session)),
                Err((trouble, retry_after)) => {
                    let (text, wait) = access::refusal(&trouble, retry_after);
                    fault.try_set(Some(sentence(&text)));
                    shared.now.set(browser::now());
                    until.try_set((wait > 0).then(|| browser::now().plus_ms(u64::from(wait) * 1_000)));
                    // The host may ask nobody for a token any more.
                    stream::ask_who(shared);
                }
            }
        });
    };
    let told = move || {
        fault.get().map(|fault| match wait.get() {
            0 => fault,
            wait => format!("{fault} If you have another one, try it in {wait} s."),
        })
    };
    view! {
        <main class="sign-in">
            <form class="card" on:submit=send>
                <Logo />
                <h1>"Sign in to Windlass"</h1>
                <p class="quiet">{reason}</p>
                <label class="labelled">
                    <span>"Token"</span>
                    <input type="password" id="token" node_ref=field autocomplete="current-password" placeholder="wl_…" spellcheck="false" required
                        aria-invalid=move || fault.get().map(|_| "true") aria-describedby="token-fault" />
                </label>
                <p class="fault" id="token-fault" role="alert">{told}</p>
                <button type="submit" class="button primary" disabled=is_sending>
                    {move || if is_sending.get() { "Signing in …" } else { "Sign in" }}
                </button>
                <p class="quiet">"Whoever runs the host makes tokens with " <code>"windlass token new"</code> "."</p>
            </form>
        </main>
    }
}

fn why(reason: &Reason) -> String {
    let whose = |viewer: &Viewer| {
        if viewer.name.is_empty() { "Your session".to_owned() } else { format!("The session of {}", viewer.name) }
    };
    match reason {
        Reason::NotYet => "This host asks for a token.".to_owned(),
        Reason::SignedOut => "You are signed out.".to_owned(),
        Reason::Expired(viewer) => {
            format!("{} has expired. Sign in again to go on where you were.", whose(viewer))
        }
        Reason::Ended(viewer) => format!(
            "{} was ended, be it elsewhere or since the host was started anew. Sign in again to go on where you were.",
            whose(viewer)
        ),
    }
}

/// Who is signed in, with the way out.
#[component]
pub(super) fn SignedIn() -> impl IntoView {
    let shared = Shared::of_page();
    let viewer = Memo::new(move |_| match shared.access.get() {
        Access::In(viewer) => Some(viewer),
        _ => None,
    });
    move || {
        viewer.get().map(|viewer| {
            view! {
                <div class="signed-in">
                    <span class="signed-in-name" title=viewer.name.clone()>{viewer.name.clone()}</span>
                    <span class="quiet">{viewer.role.to_string()}</span>
                    {viewer.by_token.then(|| view! {
                        <button class="button quiet small" on:click=move |_| sign_out(shared)>"Sign out"</button>
                    })}
                </div>
            }
        })
    }
}

/// Ends the session.
pub(super) fn sign_out(shared: Shared) {
    spawn_local(async move {
        match shared.api().sign_out().await {
            Ok(()) => shared.hear(Event::SignedOut),
            Err(trouble) => shared.complain(format!("You are still signed in: {trouble}.")),
        }
    });
}
