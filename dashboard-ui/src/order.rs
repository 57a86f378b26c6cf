//! Putting things in order. The library's own sorting is compiled once for each type that is sorted, some 3 kB each time;
//! what is sorted here are places, whatever stands in them.

use std::cmp::Ordering;

/// These in an order. What is equal stays as it was.
#[must_use]
pub fn sorted<T>(items: Vec<T>, compare: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let places = places(items.len(), &|one, other| compare(&items[one], &items[other]));
    let mut items: Vec<_> = items.into_iter().map(Some).collect();
    places.into_iter().filter_map(|place| items[place].take()).collect()
}

fn places(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<_> = (0..count).collect();
    places.sort_by(|one, other| compare(*one, *other));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_equal_stays_as_it_was() {
        let words = ["three", "one", "two", "four", "six"].map(str::to_owned).to_vec();
        let by_length = |one: &String, other: &String| one.len().cmp(&other.len());
        assert_eq!(sorted(words, by_length), ["one", "two", "six", "four", "three"]);
        assert!(sorted(Vec::<u8>::new(), Ord::cmp).is_empty());
    }
}
