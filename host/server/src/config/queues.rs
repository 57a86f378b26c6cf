//! The queues that a server takes from, as they are written: `a,b:3`, or a list of such parts.

use std::fmt;

use serde::{Deserializer, de};

use crate::worker::WeightedQueue;

/// Reads `a,b:3`. Empty text means all queues.
pub(crate) fn parse_queues(text: &str) -> Result<Vec<WeightedQueue>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    distinct(parts.map(str::parse).collect::<Result<_, _>>()?)
}

/// Refuses a queue that is named twice, since its weight would be a guess.
fn distinct(queues: Vec<WeightedQueue>) -> Result<Vec<WeightedQueue>, String> {
    let twice =
        queues.iter().enumerate().find(|(at, queue)| queues[..*at].iter().any(|other| other.name == queue.name));
    match twice {
        Some((_, queue)) => Err(format!("the queue `{}` is named twice: name it once, with its weight", queue.name)),
        None => Ok(queues),
    }
}

/// Reads text or a list of texts.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<WeightedQueue>, D::Error> {
    struct Visitor;

    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Vec<WeightedQueue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("queues with their weights, such as \"a,b:3\" or [\"a\", \"b:3\"]")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            parse_queues(text).map_err(E::custom)
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut queues = Vec::new();
            while let Some(part) = list.next_element::<String>()? {
                queues.push(part.parse().map_err(de::Error::custom)?);
            }
            distinct(queues).map_err(de::Error::custom)
        }
    }

    deserializer.deserialize_any(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, u32)>, String> {
        Ok(parse_queues(text)?.into_iter().map(|queue| (queue.name.to_string(), queue.weight)).collect())
    }

    #[test]
    fn queues_are_read_with_their_weights() {
        assert_eq!(read("a,b:3"), Ok(vec![("a".to_owned(), 1), ("b".to_owned(), 3)]));
        assert_eq!(read(" a , b : 3 "), Ok(vec![("a".to_owned(), 1), ("b".to_owned(), 3)]));
        assert_eq!(read(""), Ok(vec![]));
    }

    #[test]
    fn wrong_queues_are_refused() {
        assert!(read("a:none").unwrap_err().contains("weight from 1 to 1000"));
        assert!(read("a b").unwrap_err().contains("is not a queue name"));
        assert_eq!(read("a,b,a:2").unwrap_err(), "the queue `a` is named twice: name it once, with its weight");
    }
}
