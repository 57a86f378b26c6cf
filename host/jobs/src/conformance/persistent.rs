//! A caller that repeats what failed, as a storage around another: so each behaviour can be shown on a storage whose calls
//! fail.

use std::{fmt, pin::Pin, sync::Arc};

use super::decorate::{decorate, decorated_names};

decorated_names!();

/// How often a call is made before its failure is passed on.
const ATTEMPTS: usize = 100;

/// Repeats each call until it is answered.
pub(super) struct Persistent {
    inner: Arc<dyn Storage>,
}

impl fmt::Debug for Persistent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Persistent").finish_non_exhaustive()
    }
}

impl Persistent {
    /// Wraps a storage.
    pub(super) fn around(inner: Arc<dyn Storage>) -> Arc<dyn Storage> {
        Arc::new(Self { inner })
    }

    #[expect(clippy::needless_lifetimes, reason = "a bound of its arguments names it")]
    async fn call<'a, T, F>(&'a self, _: &'static str, attempt: F) -> Result<T, StorageError>
    where
        F: Fn() -> Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>> + Send,
    {
        for _ in 1..ATTEMPTS {
            match attempt().await {
                Err(StorageError::Unavailable(_)) => {}
                answer => return answer,
            }
        }
        attempt().await
    }
}

decorate!(Persistent);
