//! Which jobs a command is about: the same options wherever jobs are chosen by what they are.

use clap::Args;
use windlass_api::{HandlerName, HandlerPath, JobFilter, ModuleName, QueueName, State, Timestamp};

use super::super::{exit::Usage, instant};

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(super) struct Filter {
    /// Those in this state: scheduled, awaiting, enqueued, processing, succeeded, failed or deleted.
    #[arg(long)]
    state: Option<State>,
    /// Those that are there for this reason, such as `retry`, `snooze`, `parents` or `expired`.
    #[arg(long)]
    reason: Option<String>,
    /// Those in this queue.
    #[arg(long)]
    queue: Option<QueueName>,
    /// Those of this module.
    #[arg(long)]
    module: Option<ModuleName>,
    /// Those of this handler: HANDLER or MODULE/HANDLER.
    #[arg(long, value_parser = handler)]
    handler: Option<(Option<ModuleName>, HandlerName)>,
    /// Those with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Those with this text in their payload, or in the message of their failure; upper and lower case differ.
    #[arg(long)]
    text: Option<String>,
    /// Those made since then: an instant such as `2026-11-23T15:00:00Z`, a day, or how long ago, such as `2h`.
    #[arg(long, value_name = "INSTANT", value_parser = instant::parse)]
    from: Option<Timestamp>,
    /// Those made before then, given likewise.
    #[arg(long, value_name = "INSTANT", value_parser = instant::parse)]
    before: Option<Timestamp>,
}

impl Filter {
    /// What the API takes.
    pub(super) fn read(self) -> Result<JobFilter, Usage> {
        let Self { state, reason, queue, module, handler, tag, text, from, before } = self;
        let (of_handler, handler) = handler.unzip();
        let of_handler = of_handler.flatten();
        if let (Some(module), Some(of_handler)) = (&module, &of_handler)
            && module != of_handler
        {
            return Err(Usage(format!(
                "--module names `{module}` and --handler one of `{of_handler}`: no job is of both; leave one of them out"
            )));
        }
        let module = module.or(of_handler);
        if let (Some(from), Some(before)) = (from, before)
            && before <= from
        {
            return Err(Usage(format!("--before {before} is not after --from {from}: no job was made then")));
        }
        Ok(JobFilter { state, reason, queue, module, handler, tag, created_from: from, created_before: before, text })
    }
}

fn handler(text: &str) -> Result<(Option<ModuleName>, HandlerName), String> {
    if text.contains('/') {
        let path: HandlerPath = text.parse().map_err(|error| format!("{error}"))?;
        return Ok((Some(path.module), path.handler));
    }
    text.parse().map(|handler| (None, handler)).map_err(|error| format!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_may_be_given_with_its_module() {
        assert_eq!(handler("thumbnail").unwrap().0, None);
        assert_eq!(handler("images/thumbnail").unwrap().0.unwrap().as_str(), "images");
        assert!(handler("a/b/c").is_err());
    }
}
