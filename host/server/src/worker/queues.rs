//! Which queue is looked at first.

use std::str::FromStr;

use windlass_api::QueueName;

/// A queue and its share: one of weight 3 is looked at first three times as often as one of weight 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedQueue {
    /// The queue.
    pub name: QueueName,
    /// Its weight, 1 to 1000.
    pub weight: u32,
}

impl FromStr for WeightedQueue {
    type Err = String;

    /// Reads `name` or `name:weight`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, weight) = text.split_once(':').unwrap_or((text, "1"));
        let name = name.trim().parse::<QueueName>().map_err(|error| error.to_string())?;
        let weight = weight.trim().parse().ok().filter(|weight| (1..=1000).contains(weight));
        let weight = weight
            .ok_or_else(|| format!("`{text}`: expected `queue` or `queue:weight` with a weight from 1 to 1000"))?;
        Ok(Self { name, weight })
    }
}

/// An order drawn at random in which each queue stands first as often as its weight says. All queues are in it, so that
/// none starves while there is room.
pub(super) fn order(queues: &[WeightedQueue]) -> Vec<QueueName> {
    // A key of u^(1/weight) for each and sorting by it is a weighted draw without replacement (Efraimidis, Spirakis).
    let mut keyed: Vec<_> =
        queues.iter().map(|queue| (fastrand::f64().powf(1.0 / f64::from(queue.weight)), &queue.name)).collect();
    keyed.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    keyed.into_iter().map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_stands_first_as_often_as_its_weight_says() {
        fastrand::seed(7);
        let queues: Vec<WeightedQueue> = ["a", "b:3"].map(|text| text.parse().unwrap()).into();
        let firsts = (0..10_000).filter(|_| order(&queues)[0].as_str() == "b").count();
        assert!((7_200..7_800).contains(&firsts), "b stood first {firsts} times of 10000");
    }

    #[test]
    fn a_wrong_weight_is_refused() {
        for text in ["a:0", "a:x", "a:1001", ":1", "a b"] {
            assert!(text.parse::<WeightedQueue>().is_err(), "{text}");
        }
    }
}
