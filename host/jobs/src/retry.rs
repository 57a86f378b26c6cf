//! How long to wait before the next attempt.

use windlass_api::RetryPolicy;

/// The delay before the attempt that follows `failed_attempt` (1, 2, …), in milliseconds. `draw` is a random number from
/// 0 up to but not including 1: it spreads an exponential delay from half to one and a half of its value, so that what
/// failed together does not come back together.
#[must_use]
pub fn delay_ms(policy: &RetryPolicy, failed_attempt: u32, draw: f64) -> u64 {
    let failed_before = failed_attempt.saturating_sub(1);
    match policy {
        RetryPolicy::Fixed { delay_ms } => *delay_ms,
        RetryPolicy::Linear { delay_ms } => delay_ms.saturating_mul(u64::from(failed_attempt.max(1))),
        RetryPolicy::Exponential { base_ms, max_ms } => {
            let doubled = base_ms.saturating_mul(2_u64.saturating_pow(failed_before)).min(*max_ms);
            spread(doubled, draw).min(*max_ms)
        }
        RetryPolicy::Delays { delays_ms } => {
            let at = usize::try_from(failed_before).unwrap_or(usize::MAX);
            delays_ms.get(at).or(delays_ms.last()).copied().unwrap_or(0)
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a delay need not be exact, and float-to-integer casts saturate"
)]
fn spread(delay_ms: u64, draw: f64) -> u64 {
    (delay_ms as f64 * (0.5 + draw)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_policy_keeps_to_its_delays() {
        let delays = |policy: &RetryPolicy| [1, 2, 3, 4].map(|attempt| delay_ms(policy, attempt, 0.5));
        assert_eq!(delays(&RetryPolicy::Fixed { delay_ms: 7 }), [7, 7, 7, 7]);
        assert_eq!(delays(&RetryPolicy::Linear { delay_ms: 7 }), [7, 14, 21, 28]);
        assert_eq!(delays(&RetryPolicy::Exponential { base_ms: 10, max_ms: 50 }), [10, 20, 40, 50]);
        assert_eq!(delays(&RetryPolicy::Delays { delays_ms: vec![1, 5, 9] }), [1, 5, 9, 9]);
    }

    proptest! {
        #[test]
        fn an_exponential_delay_stays_within_its_spread_and_bound(
            base_ms in 1_u64..100_000, max_ms in 1_u64..10_000_000, attempt in 1_u32..2_000, draw in 0.0_f64..1.0,
        ) {
            let delay = delay_ms(&RetryPolicy::Exponential { base_ms, max_ms }, attempt, draw);
            let middle = base_ms.saturating_mul(2_u64.saturating_pow(attempt - 1)).min(max_ms);
            prop_assert!(delay >= middle / 2 && delay <= max_ms);
        }
    }
}
