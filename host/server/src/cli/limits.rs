//! `windlass limits`: how many jobs may run at once, and how many may start in a span of time.

use anyhow::Context as _;
use clap::{Args, Subcommand, builder::RangedI64ValueParser, value_parser};
use windlass_api::{LimitRule, LimitTarget, LimitView, Rate};

use super::{Exit, Global, format, output::say, table};
use crate::{config::Span, remote::Remote};

#[derive(Debug, Default, Subcommand)]
#[command(after_help = "Examples:
  windlass limits put queue:mail --rate 100/1m
  windlass limits put handler:shop/charge --concurrency 5
  windlass limits put 'key:tenant:*' --concurrency 2        # each tenant for itself
  windlass limits put key:tenant:acme --concurrency 10      # but this one
  windlass limits remove queue:mail")]
pub(super) enum Command {
    /// List the limits, with how many jobs run under each and wait for room.
    #[default]
    List,
    /// Put a limit, or another in its place. It holds over all hosts, from now on.
    Put {
        /// What it is on: queue:NAME, handler:MODULE/HANDLER, key:KEY, or key:START* for each key that starts so.
        target: LimitTarget,
        #[command(flatten)]
        rule: Rule,
    },
    /// Remove a limit; jobs that wait for it are let go.
    Remove {
        /// What it is on.
        target: LimitTarget,
    },
}

/// How much is allowed.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(super) struct Rule {
    /// How many jobs may run at once, 1 to 1000000.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = concurrency())]
    pub(super) concurrency: Option<u32>,
    /// How many jobs may start in a span of time, such as 100/1m: 1 to 1000000, in 1s to 31d.
    #[arg(long, value_name = "N/SPAN", allow_hyphen_values = true, value_parser = rate)]
    pub(super) rate: Option<Rate>,
}

impl From<Rule> for LimitRule {
    fn from(rule: Rule) -> Self {
        Self { concurrency: rule.concurrency, rate: rule.rate }
    }
}

/// Reads how many may run at once.
pub(super) fn concurrency() -> RangedI64ValueParser<u32> {
    value_parser!(u32).range(1..=LimitRule::MAX_COUNT.into())
}

/// Reads `N/SPAN`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let (count, period) = text.split_once('/').ok_or("expected N/SPAN, such as 100/1m")?;
    let fine = 1..=LimitRule::MAX_COUNT;
    let count = count.parse().ok().filter(|count| fine.contains(count));
    let count = count.ok_or_else(|| format!("expected {} to {} jobs before the `/`", fine.start(), fine.end()))?;
    let period = period.parse::<Span>().map_err(|error| error.to_string())?;
    let rate = Rate { count, period_ms: period.as_ms() };
    let rule = LimitRule { concurrency: None, rate: Some(rate) };
    rule.check().map(|()| rate).map_err(|_| "expected 1s to 31d after the `/`".to_owned())
}

pub(super) async fn run(command: Command, global: &Global) -> anyhow::Result<Exit> {
    let remote = global.remote()?;
    match command {
        Command::List => global.output().show(&remote.limits().await?, |limits| list(limits))?,
        Command::Put { target, rule } => put(&remote, &target, rule, global).await?,
        Command::Remove { target } => remove(&remote, &target).await?,
    }
    Ok(Exit::Fine)
}

pub(super) async fn put(remote: &Remote, target: &LimitTarget, rule: Rule, global: &Global) -> anyhow::Result<()> {
    let put = remote.put_limit(target, rule.into()).await;
    let put = put.with_context(|| format!("failed to put a limit on {target}"))?;
    if let Some(warning) = unknown(remote, target).await? {
        say(&warning);
    }
    global.output().show(&put, |limit| list(std::slice::from_ref(limit)))
}

/// What to tell about a limit on something that nothing is known of: its name may be a slip. It holds all the same, since the
/// first job may yet come.
async fn unknown(remote: &Remote, target: &LimitTarget) -> anyhow::Result<Option<String>> {
    match target {
        LimitTarget::Queue(name) => super::queues::unknown(remote, name).await,
        LimitTarget::Handler(path) => {
            let modules = remote.modules().await?;
            let of_module = modules.into_iter().filter(|module| module.name == path.module);
            let mut handlers = of_module.flat_map(|module| module.versions).flat_map(|version| version.handlers);
            let is_known = handlers.any(|handler| handler.name == path.handler);
            Ok((!is_known).then(|| {
                format!(
                    "warning: no deployed module has a handler `{path}` yet: `windlass modules` lists what there is"
                )
            }))
        }
        LimitTarget::Key(_) | LimitTarget::Keys(_) => Ok(None),
    }
}

pub(super) async fn remove(remote: &Remote, target: &LimitTarget) -> anyhow::Result<()> {
    remote.remove_limit(target).await.with_context(|| format!("failed to remove the limit on {target}"))?;
    say(&format!("there is no limit on {target} any more"));
    Ok(())
}

fn list(limits: &[LimitView]) -> String {
    if limits.is_empty() {
        return "there is no limit".to_owned();
    }
    let rows = limits.iter().map(|limit| {
        let LimitView { target, rule, running, held, keys } = limit;
        let rate =
            rule.rate.map(|rate| format!("{}/{}", format::count(rate.count.into()), format::span(rate.period_ms)));
        let keys = keys.map_or_else(String::new, format::count);
        let concurrency = rule.concurrency.map_or_else(|| "-".to_owned(), |most| format::count(most.into()));
        let target = format::one_line(&target.to_string(), 80);
        vec![
            target,
            concurrency,
            rate.unwrap_or_else(|| "-".to_owned()),
            format::count(*running),
            format::count(*held),
            keys,
        ]
    });
    table::table(&["LIMIT ON", "AT ONCE", "RATE", "RUNNING", "HELD", "KEYS"], &[0], &[1, 3, 4, 5], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_in_a_span() {
        assert_eq!(rate("100/1m"), Ok(Rate { count: 100, period_ms: 60_000 }));
        for bad in ["100", "5/later"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        for bad in ["x/1m", "-1/1s", "0/1s", "1000001/1s"] {
            assert_eq!(rate(bad).unwrap_err(), "expected 1 to 1000000 jobs before the `/`", "{bad}");
        }
        for bad in ["1/0s", "1/999ms", "1/32d"] {
            assert_eq!(rate(bad).unwrap_err(), "expected 1s to 31d after the `/`", "{bad}");
        }
    }
}
