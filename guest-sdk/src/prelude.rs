//! What nearly every handler needs: `use windlass_guest::prelude::*;`.

pub use schemars::{self, JsonSchema};
pub use serde::{self, Deserialize, Serialize};

pub use crate::{Context, JobError, JobRequest, ResultExt, handler};
