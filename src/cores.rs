//! Work on all cores. Threads end with it: in an application that is not ours none stay behind.

use std::sync::{LazyLock, Mutex, PoisonError};

/// Operations that take about as long as it takes to wake another core.
const FEW: usize = 1 << 20;

/// Does work that is in parts of about the same size, of so many operations in all.
pub fn on_all_cores<T: Send>(operations: usize, parts: Vec<T>, work: impl Fn(T) + Sync) {
    // Asked for once: Linux reads files for it. A browser has no threads to spawn.
    static CORES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));
    let threads = CORES.min(parts.len()).min(operations / FEW + 1);
    let parts = Mutex::new(parts.into_iter());
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(part) = next() {
            work(part);
        }
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
}
