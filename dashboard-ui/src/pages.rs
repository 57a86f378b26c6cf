//! Which pages there are, and at which path each of them is.

/// A page, or a part of one that is fetched as pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// What happens, and what asks for attention.
    Overview,
    /// The list of jobs.
    Jobs,
    /// A job.
    Job,
    /// What a job continues and what continues it.
    Flow,
    /// Making a job by hand.
    Run,
    /// The list of recurring jobs.
    Recurring,
    /// A recurring job.
    RecurringJob,
    /// Making a recurring job.
    NewRecurring,
    /// The form on the page of a recurring job, which most who look at it do not need.
    ChangeRecurring,
    /// Queues and limits.
    Queues,
    /// The list of modules.
    Modules,
    /// A module.
    Module,
    /// Hosts that take jobs.
    Servers,
    /// Who did what.
    Audit,
    /// What is set for this browser.
    Settings,
    /// What stands before all others where the host asks for a token.
    SignIn,
}

/// The page at a path relative to the dashboard's own, without slashes at its ends, and what the path names there.
#[must_use]
pub fn at(path: &str) -> Option<(Page, &str)> {
    let (first, name) = path.split_once('/').unwrap_or((path, ""));
    let page = match (first, name.is_empty()) {
        ("", true) => Page::Overview,
        ("jobs", true) => Page::Jobs,
        ("jobs", false) => Page::Job,
        ("flow", false) => Page::Flow,
        ("run", true) => Page::Run,
        ("queues", true) => Page::Queues,
        ("recurring", true) => Page::Recurring,
        ("recurring", false) => Page::RecurringJob,
        ("new-recurring", true) => Page::NewRecurring,
        ("modules", true) => Page::Modules,
        ("modules", false) => Page::Module,
        ("servers", true) => Page::Servers,
        ("audit", true) => Page::Audit,
        ("settings", true) => Page::Settings,
        _ => return None,
    };
    (!name.contains('/')).then_some((page, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_a_page_and_names_what_is_shown_there() {
        assert_eq!(at(""), Some((Page::Overview, "")));
        assert_eq!(at("jobs"), Some((Page::Jobs, "")));
        assert_eq!(at("jobs/7"), Some((Page::Job, "7")));
        assert_eq!(at("flow/7"), Some((Page::Flow, "7")));
        assert_eq!(at("modules/images"), Some((Page::Module, "images")));
        assert_eq!(at("recurring/nightly"), Some((Page::RecurringJob, "nightly")));
        for nowhere in
            ["flow", "jobs/7/logs", "queues/mail", "no/such/page", "/jobs", "Jobs", "change-recurring", "sign-in"]
        {
            assert_eq!(at(nowhere), None, "{nowhere}");
        }
    }
}
