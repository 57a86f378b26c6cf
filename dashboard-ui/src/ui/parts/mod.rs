//! The parts that pages are made of.

mod chart;
mod code;
mod copying;
mod dialog;
mod facts;
mod form;
mod icon;
mod instant;
mod logs;
mod notice;
mod state;
mod toasts;

pub(super) use chart::Chart;
pub(super) use code::Code;
pub(super) use copying::Copy;
pub(super) use dialog::Confirmation;
pub(super) use facts::{Fact, Meter, Name, prose};
pub(super) use form::{Form, FormState};
pub(super) use icon::{Glyph, Icon, Logo};
pub(super) use instant::Instant;
pub(super) use logs::LogView;
pub(super) use notice::{Empty, Failed, Loading, Stale, sentence};
pub(super) use state::StateBadge;
pub(super) use toasts::Toasts;
