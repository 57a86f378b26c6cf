//! How a Redis is used.

use std::{sync::Arc, time::Duration};

use crate::{Clock, storage::Retention};

/// How a Redis is used.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Whether to make a namespace that is not there; yes by default.
    pub prepare: bool,
    /// How long ended jobs and logs are kept.
    pub retention: Retention,
    /// What time it is; Redis' own clock where absent, so that all hosts go by one.
    pub clock: Option<Arc<dyn Clock>>,
    /// How long opening a connection may take; 3 seconds by default.
    pub connect_timeout: Duration,
    /// How long an answer may take before its connection is given up; 5 seconds by default.
    pub answer_timeout: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prepare: true,
            retention: Retention::default(),
            clock: None,
            connect_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(5),
        }
    }
}
