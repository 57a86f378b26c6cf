//! Waiting in async handlers, over WASI 0.3. While a handler waits, it takes no thread of the host's.
//!
//! A sync handler waits with [`std::thread::sleep`].

use std::{fmt, future::poll_fn, pin::pin, task::Poll, time::Duration};

/// Waits. Natively it returns at once, so that unit tests do not wait.
pub async fn sleep(duration: Duration) {
    #[cfg(target_family = "wasm")]
    wasip3::clocks::monotonic_clock::wait_for(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)).await;
    #[cfg(not(target_family = "wasm"))]
    let _ = duration;
}

/// Waits for a future, but no longer than this; then the future is dropped. Natively a future that has to wait is
/// dropped at once, as [`sleep`] returns at once.
///
/// # Errors
/// [`Elapsed`] where the time was over first.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep(duration));
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(value));
        }
        sleep.as_mut().poll(context).map(|()| Err(Elapsed(duration)))
    })
    .await
}

/// Waits for a future while another goes on beside it; that one is dropped when the first is done.
#[cfg(target_family = "wasm")]
pub(crate) async fn alongside<T>(main: impl Future<Output = T>, side: impl Future<Output = ()>) -> T {
    let mut main = pin!(main);
    let mut side = pin!(side);
    let mut side_is_done = false;
    poll_fn(|context| {
        side_is_done = side_is_done || side.as_mut().poll(context).is_ready();
        main.as_mut().poll(context)
    })
    .await
}

/// The time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to finish within {:?}", self.0)
    }
}

impl std::error::Error for Elapsed {}
