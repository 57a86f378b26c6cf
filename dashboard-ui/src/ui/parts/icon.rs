//! Icons, drawn here, so that nothing is fetched for them. None means anything by itself: words stand beside them.

use leptos::prelude::*;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ui) enum Glyph {
    Overview,
    Jobs,
    Run,
    Queues,
    Recurring,
    Modules,
    Servers,
    Audit,
    Settings,
    Close,
    Copy,
    Pause,
    Play,
    Upload,
    Menu,
    Warning,
    Check,
}

impl Glyph {
    /// Lines within a square of 16 by 16.
    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "M2 13V9M6 13V5M10 13V7M14 13V3",
            Self::Jobs => "M5.5 4H14M5.5 8H14M5.5 12H14M2 4h.5M2 8h.5M2 12h.5",
            Self::Run => "M8 2v12M2 8h12",
            Self::Queues => "M2 4h12M4 8h8M6 12h4",
            Self::Recurring => "M13.5 8a5.5 5.5 0 1 1-1.7-4M13.5 1.8v3h-3M8 5v3.2l2 1.3",
            Self::Modules => "M8 1.8 13.8 5v6L8 14.2 2.2 11V5zM2.2 5 8 8.2 13.8 5M8 8.2v6",
            Self::Servers => "M2.5 2.5h11v4.5h-11zM2.5 9h11v4.5h-11zM5 4.8h.5M5 11.3h.5",
            Self::Audit => "M4 2.5h8v11H4zM6.5 5.5h3M6.5 8h3M6.5 10.5h1.5",
            Self::Settings => "M2 4.5h7M12 4.5h2M2 11.5h2M7 11.5h7M9 2.7v3.6M4.5 9.7v3.6",
            Self::Close => "M4 4l8 8M12 4l-8 8",
            Self::Copy => "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
            Self::Pause => "M5.5 3.5v9M10.5 3.5v9",
            Self::Play => "M5 3.2 12 8l-7 4.8z",
            Self::Upload => "M8 10.5v-8M4.8 5.5 8 2.3l3.2 3.2M2.5 10.5v3h11v-3",
            Self::Menu => "M2 4h12M2 8h12M2 12h12",
            Self::Warning => "M8 2.2 14.5 13.5h-13zM8 6.5v3.2M8 11.4v.4",
            Self::Check => "M3 8.5 6.5 12 13 4.5",
        }
    }
}

/// An icon.
#[component]
pub(in crate::ui) fn Icon(glyph: Glyph) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
            <path d=glyph.path()></path>
        </svg>
    }
}

/// What Windlass is known by.
#[component]
pub(in crate::ui) fn Logo() -> impl IntoView {
    view! {
        <svg class="logo" viewBox="0 0 24 24" aria-hidden="true">
            <path d="M4 5v14M20 5v14M4 9h16M4 15h16M9 9v6M12 9v6M15 9v6"></path>
        </svg>
    }
}
