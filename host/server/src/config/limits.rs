//! What a run may take: what it gets where its handler asks for nothing, and what no handler may exceed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Size, Span};

/// `[limits]` for all modules, `[module.NAME.limits]` for one. What is absent for a module is as for all modules; the
/// defaults are those for all modules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, expecting = "a table of limits")]
pub struct LimitSettings {
    /// Fuel, about one per instruction. Default: 1 trillion, some 100 s of computing.
    pub fuel: Option<u64>,
    /// How long a run may take. Default: 5 min.
    pub timeout: Option<Span>,
    /// Memory, summed over all of the run's memories. Default: 128 MiB.
    pub memory: Option<Size>,
    /// What a run may log. Default: 1 MiB.
    pub logs: Option<Size>,
    /// How many jobs a run may enqueue. Default: 1,000.
    pub follow_ups: Option<u32>,
    /// How long its result may be. Default: 256 KiB.
    pub result: Option<Size>,
    /// What no handler may exceed, whatever it asks for.
    pub max: MaxLimitSettings,
}

/// `[limits.max]` and `[module.NAME.limits.max]`: what a handler or a job may ask for at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, expecting = "a table of limits")]
pub struct MaxLimitSettings {
    /// Fuel. Default: 10 trillion, or `limits.fuel` where that is more.
    pub fuel: Option<u64>,
    /// Time. Default: 1 h, or `limits.timeout` where that is more.
    pub timeout: Option<Span>,
    /// Memory. Default: 1 GiB, or `limits.memory` where that is more.
    pub memory: Option<Size>,
}

/// A limit with the bound on what may be asked for instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded<T> {
    /// What a run gets unless it is asked for otherwise.
    pub default: T,
    /// What it gets at most.
    pub max: T,
}

impl<T: Copy + Ord> Bounded<T> {
    /// What a run gets that asks for this.
    #[must_use]
    pub fn grant(self, asked: Option<T>) -> T {
        asked.unwrap_or(self.default).min(self.max)
    }

    /// These bounds with the operator's own word in place of them. A default alone that is over the outer bound raises
    /// the bound, since the operator said so; a bound alone lowers the outer default.
    fn narrowed(self, key: &str, default: Option<T>, max: Option<T>) -> Result<Self, String>
    where
        T: std::fmt::Display,
    {
        match (default, max) {
            (Some(default), Some(max)) if default > max => {
                Err(format!("`{key}` ({default}) is over `max.{key}` ({max}): lower the one or raise the other"))
            }
            (Some(default), max) => Ok(Self { default, max: max.unwrap_or(self.max.max(default)) }),
            (None, max) => {
                let max = max.unwrap_or(self.max);
                Ok(Self { default: self.default.min(max), max })
            }
        }
    }
}

/// The limits of a module's runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunBounds {
    /// Fuel.
    pub fuel: Bounded<u64>,
    /// Time.
    pub timeout: Bounded<Span>,
    /// Memory.
    pub memory: Bounded<Size>,
    /// Bytes of logs.
    pub logs: Size,
    /// Jobs that a run may enqueue.
    pub follow_ups: u32,
    /// Bytes of a result.
    pub result: Size,
}

impl Default for RunBounds {
    fn default() -> Self {
        Self {
            fuel: Bounded { default: 1_000_000_000_000, max: 10_000_000_000_000 },
            timeout: Bounded { default: Span::from_secs(300), max: Span::from_secs(3_600) },
            memory: Bounded { default: Size::from_mib(128), max: Size::from_mib(1_024) },
            logs: Size::from_mib(1),
            follow_ups: 1_000,
            result: Size(256 << 10),
        }
    }
}

impl RunBounds {
    /// These bounds with the operator's settings in place of what they name.
    ///
    /// # Errors
    /// Where a default is over the bound that stands beside it, the text names both; where one is nothing, so that no run could
    /// even begin, it names that one.
    pub fn narrowed(self, settings: &LimitSettings) -> Result<Self, String> {
        let max = &settings.max;
        let nothing = [
            ("fuel", settings.fuel == Some(0)),
            ("max.fuel", max.fuel == Some(0)),
            ("timeout", settings.timeout.is_some_and(|timeout| timeout.as_ms() == 0)),
            ("max.timeout", max.timeout.is_some_and(|timeout| timeout.as_ms() == 0)),
            ("memory", settings.memory == Some(Size(0))),
            ("max.memory", max.memory == Some(Size(0))),
        ];
        if let Some((key, _)) = nothing.iter().find(|(_, is_nothing)| *is_nothing) {
            return Err(format!(
                "`{key}` is 0, with which no run could begin: give it more, or leave it out for the default"
            ));
        }
        Ok(Self {
            fuel: self.fuel.narrowed("fuel", settings.fuel, max.fuel)?,
            timeout: self.timeout.narrowed("timeout", settings.timeout, max.timeout)?,
            memory: self.memory.narrowed("memory", settings.memory, max.memory)?,
            logs: settings.logs.unwrap_or(self.logs),
            follow_ups: settings.follow_ups.unwrap_or(self.follow_ups),
            result: settings.result.unwrap_or(self.result),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTER: Bounded<u64> = Bounded { default: 10, max: 100 };

    #[test]
    fn what_a_handler_asks_for_is_clamped() {
        assert_eq!(OUTER.grant(None), 10);
        assert_eq!(OUTER.grant(Some(50)), 50);
        assert_eq!(OUTER.grant(Some(1_000)), 100);
    }

    #[test]
    fn a_limit_of_nothing_is_refused_and_named() {
        let refused = |settings: LimitSettings| RunBounds::default().narrowed(&settings).unwrap_err();
        let of = |fuel, timeout, memory| LimitSettings { fuel, timeout, memory, ..LimitSettings::default() };
        assert!(refused(of(Some(0), None, None)).starts_with("`fuel` is 0,"));
        assert!(refused(of(None, Some(Span::from_secs(0)), None)).starts_with("`timeout` is 0,"));
        assert!(refused(of(None, None, Some(Size(0)))).starts_with("`memory` is 0,"));
        let max = MaxLimitSettings { fuel: Some(0), ..MaxLimitSettings::default() };
        assert!(refused(LimitSettings { max, ..LimitSettings::default() }).starts_with("`max.fuel` is 0,"));
    }

    #[test]
    fn the_operators_word_stands_in_place_of_the_outer_bounds() {
        let narrowed = |default, max| OUTER.narrowed("fuel", default, max).map(|limit| (limit.default, limit.max));
        assert_eq!(narrowed(None, None), Ok((10, 100)));
        assert_eq!(narrowed(Some(20), None), Ok((20, 100)));
        assert_eq!(narrowed(Some(200), None), Ok((200, 200)), "a default over the bound raises the bound");
        assert_eq!(narrowed(None, Some(5)), Ok((5, 5)), "a bound under the default lowers the default");
        assert_eq!(
            narrowed(Some(20), Some(15)).unwrap_err(),
            "`fuel` (20) is over `max.fuel` (15): lower the one or raise the other"
        );
    }
}
