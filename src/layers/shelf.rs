//! What several generations share on the GPU: each says what is to stay for it, and what nobody wants leaves.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Things by number, each there or not.
///
/// What the last generation wanted stays when it ends, for the next one.
#[derive(Debug)]
pub struct Shelf<T> {
    places: Vec<Mutex<Option<Arc<T>>>>,
    /// What is to stay, by claim.
    claims: Mutex<BTreeMap<u64, Range<usize>>>,
}

/// What is to stay for one generation: a range of numbers. Nothing, and nothing leaves for its sake, before it is [set](Self::set).
pub struct Claim<T> {
    shelf: Arc<Shelf<T>>,
    id: u64,
    range: Range<usize>,
}

impl<T> Shelf<T> {
    /// Places for `count` things.
    pub fn new(count: usize) -> Self {
        Self { places: (0..count).map(|_| Mutex::default()).collect(), claims: Mutex::default() }
    }

    /// How many places there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// A place, for as long as somebody looks at it or fills it: others wait.
    pub fn place(&self, number: usize) -> MutexGuard<'_, Option<Arc<T>>> {
        self.places[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets everything go that is neither in `range` nor claimed.
    pub fn clear_but(&self, range: Range<usize>) {
        self.sweep(&self.claims(), range);
    }

    /// A claim to nothing yet.
    pub fn claim(self: &Arc<Self>) -> Claim<T> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Claim { shelf: self.clone(), id: NEXT.fetch_add(1, Ordering::Relaxed), range: 0..0 }
    }

    fn claims(&self) -> MutexGuard<'_, BTreeMap<u64, Range<usize>>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweep(&self, claims: &BTreeMap<u64, Range<usize>>, also: Range<usize>) {
        let is_wanted = |number| also.contains(&number) || claims.values().any(|range| range.contains(&number));
        (0..self.len()).filter(|&number| !is_wanted(number)).for_each(|number| *self.place(number) = None);
    }
}

impl<T> Claim<T> {
    /// From now on this stays once it is there, and what no other claim holds leaves.
    pub fn set(&mut self, range: Range<usize>) {
        self.range = range.clone();
        let mut claims = self.shelf.claims();
        claims.insert(self.id, range);
        self.shelf.sweep(&claims, 0..0);
    }

    /// Whether the thing of this number is to stay.
    pub fn contains(&self, number: usize) -> bool {
        self.range.contains(&number)
    }
}

impl<T> Drop for Claim<T> {
    fn drop(&mut self) {
        let mut claims = self.shelf.claims();
        if claims.remove(&self.id).is_some() && !claims.is_empty() {
            self.shelf.sweep(&claims, 0..0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(shelf: &Shelf<u8>) -> Vec<usize> {
        (0..shelf.len()).filter(|&number| shelf.place(number).is_some()).collect()
    }

    #[test]
    fn what_nobody_wants_leaves() {
        let shelf = Arc::new(Shelf::new(5));
        (0..5).for_each(|number| *shelf.place(number) = Some(Arc::new(0)));
        let (mut large, mut small) = (shelf.claim(), shelf.claim());
        assert_eq!(there(&shelf), [0, 1, 2, 3, 4], "a claim to nothing yet moves nothing");
        large.set(0..4);
        small.set(0..2);
        assert_eq!(there(&shelf), [0, 1, 2, 3]);
        large.set(1..3);
        assert_eq!(there(&shelf), [0, 1, 2]);
        drop(large);
        assert_eq!(there(&shelf), [0, 1]);
        drop(small);
        assert_eq!(there(&shelf), [0, 1], "for the next one");
        shelf.clear_but(1..2);
        assert_eq!(there(&shelf), [1]);
    }
}
