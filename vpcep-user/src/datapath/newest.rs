//! The newest few of many, in memory for the few.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Keeps the `limit` greatest of what it is shown.
#[derive(Debug)]
pub struct Newest<T> {
    limit: usize,
    /// The least of those kept is on top.
    kept: BinaryHeap<Reverse<T>>,
    seen: u64,
}

impl<T: Ord> Newest<T> {
    /// Nothing yet.
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: BinaryHeap::new(), seen: 0 }
    }

    /// Shows it one more.
    pub fn show(&mut self, item: T) {
        self.seen += 1;
        if self.kept.len() < self.limit {
            self.kept.push(Reverse(item));
        } else if let Some(mut least) = self.kept.peek_mut()
            && item > least.0
        {
            *least = Reverse(item);
        }
    }

    /// Those kept, the greatest first, and how many it was shown.
    pub fn finish(self) -> (Vec<T>, u64) {
        let kept = self.kept.into_sorted_vec();
        (kept.into_iter().map(|Reverse(item)| item).collect(), self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_are_kept_in_order_and_all_are_counted() {
        let shown = [3, 9, 1, 7, 7, 2];
        for (limit, kept) in [
            (0, vec![]),
            (1, vec![9]),
            (3, vec![9, 7, 7]),
            (6, vec![9, 7, 7, 3, 2, 1]),
            (9, vec![9, 7, 7, 3, 2, 1]),
        ] {
            let mut newest = Newest::new(limit);
            shown.into_iter().for_each(|item| newest.show(item));
            assert_eq!(newest.finish(), (kept, 6), "limit {limit}");
        }
    }
}
