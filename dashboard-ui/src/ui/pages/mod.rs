//! The pages, one in each file.

mod audit;
mod flow;
mod job;
mod job_actions;
mod job_parts;
mod job_relations;
mod jobs;
mod jobs_bulk;
mod jobs_filter;
mod jobs_table;
mod limits;
mod module;
mod module_grants;
mod module_versions;
mod modules;
mod not_found;
mod overview;
mod payload;
mod queues;
mod recurring;
mod recurring_form;
mod recurring_job;
mod recurring_parts;
mod run;
mod run_options;
mod servers;
mod settings;

pub(super) use audit::Audit;
pub(super) use flow::Flow;
pub(super) use job::Job;
pub(super) use jobs::Jobs;
pub(super) use module::Module;
pub(super) use modules::Modules;
pub(super) use not_found::NotFound;
pub(super) use overview::Overview;
pub(super) use queues::Queues;
pub(super) use recurring::Recurring;
pub(super) use recurring_form::{ChangeRecurring, NewRecurring};
pub(super) use recurring_job::RecurringJob;
pub(super) use run::Run;
pub(super) use servers::Servers;
pub(super) use settings::Settings;

use leptos::prelude::*;

use super::browser;

/// The head of a page: its title, which the browser's window bears too, and what stands beside it.
#[component]
fn Head(#[prop(into)] title: String, #[prop(optional)] children: Option<Children>) -> impl IntoView {
    browser::set_title(&title);
    view! {
        <div class="head">
            <h1>{title}</h1>
            <div class="head-end">{children.map(|children| children())}</div>
        </div>
    }
}
