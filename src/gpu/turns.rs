//! Whose turn it is on a device, where several want to work on it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// How soon a cancelled one stops to wait.
const PATIENCE: Duration = Duration::from_millis(10);

/// What a generation does where another one is at work on its device. It counts as at work from the first event that it is asked for until
/// it is over or dropped.
///
/// Where those at work were last driven by the very thread that would have to wait for them, it does not wait: it works beside them as with
/// [`Share`](Self::Share), or fails with [`Error::Busy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenBusy {
    /// Waits until all that came before are over. Its [`Cancel`] ends that too.
    #[default]
    Wait,
    /// Works beside the others where what all of them take, by their plans, is within the [limit](crate::DeviceBuilder::memory_limit) of the
    /// device and nine tenths of its [memory](crate::Device::memory_size), as far as these are known; otherwise it waits.
    Share,
    /// Fails with [`Error::Busy`].
    Fail,
}

/// The turns of one device.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    state: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    /// Those that wait, in their order.
    queue: VecDeque<u64>,
    at_work: BTreeMap<u64, AtWork>,
}

#[derive(Debug)]
struct AtWork {
    /// Bytes that it takes, where they are known.
    peak: Option<u64>,
    /// That drove it last.
    thread: ThreadId,
}

/// What wants a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub when_busy: WhenBusy,
    /// Bytes that it will take, where they are known.
    pub peak: Option<u64>,
    /// Bytes that there is room for, where that is limited.
    pub room: Option<u64>,
}

/// Being at work. It ends when this drops.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

impl Turns {
    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Error::Busy`] where that is wished for, or nothing could be waited for; [`Error::Cancelled`] where the flag is set meanwhile.
    pub(crate) fn take(self: &Arc<Self>, wish: Wish, cancel: &Cancel) -> Result<Turn> {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.queue.push_back(number);
        let outcome = loop {
            if state.admits(number, wish) {
                state.at_work.insert(number, AtWork { peak: wish.peak, thread: thread::current().id() });
                break Ok(Turn { turns: self.clone(), number });
            }
            if wish.when_busy == WhenBusy::Fail || state.waits_for_itself() {
                break Err(Error::Busy);
            }
            if cancel.is_cancelled() {
                break Err(Error::Cancelled);
            }
            state = self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.queue.retain(|&other| other != number);
        drop(state);
        self.changed.notify_all();
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn admits(&self, number: u64, wish: Wish) -> bool {
        let is_willing = wish.when_busy == WhenBusy::Share || wish.when_busy == WhenBusy::Wait && self.waits_for_itself();
        let is_next = self.queue.front() == Some(&number) || self.waits_for_itself();
        is_next && (self.at_work.is_empty() || is_willing && self.has_room(wish))
    }

    fn has_room(&self, wish: Wish) -> bool {
        let Some(room) = wish.room else { return true };
        let peaks = self.at_work.values().map(|other| other.peak).chain([wish.peak]);
        peaks.sum::<Option<u64>>().is_some_and(|sum| sum <= room)
    }

    fn waits_for_itself(&self) -> bool {
        self.at_work.values().any(|other| other.thread == thread::current().id())
    }
}

impl Turn {
    /// It is driven by this thread now.
    pub(crate) fn go_on(&self) {
        if let Some(own) = self.turns.lock().at_work.get_mut(&self.number) {
            own.thread = thread::current().id();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.lock().at_work.remove(&self.number);
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(when_busy: WhenBusy, peak: u64) -> Wish {
        Wish { when_busy, peak: Some(peak), room: Some(10) }
    }

    fn elsewhere<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| scope.spawn(work).join().expect("no panic"))
    }

    #[test]
    fn one_after_another_or_together_or_not_at_all() {
        let (turns, cancel) = (Arc::new(Turns::default()), Cancel::new());
        let first = turns.take(wish(WhenBusy::Fail, 4), &cancel).expect("nobody is there");
        elsewhere(|| {
            assert!(matches!(turns.take(wish(WhenBusy::Fail, 4), &cancel), Err(Error::Busy)));
            drop(turns.take(wish(WhenBusy::Share, 6), &cancel).expect("there is room for both"));
            let cancelled = Cancel::new();
            cancelled.cancel();
            assert!(matches!(turns.take(wish(WhenBusy::Share, 7), &cancelled), Err(Error::Cancelled)), "it waited");
        });
        thread::scope(|scope| {
            let second = scope.spawn(|| turns.take(wish(WhenBusy::Wait, 9), &cancel).map(drop));
            while turns.lock().queue.is_empty() {
                thread::yield_now();
            }
            drop(first);
            second.join().expect("no panic").expect("its turn comes");
        });
        assert!(turns.lock().queue.is_empty() && turns.lock().at_work.is_empty());
    }

    #[test]
    fn nobody_waits_for_itself() {
        let (turns, cancel) = (Arc::new(Turns::default()), Cancel::new());
        let _first = turns.take(wish(WhenBusy::Wait, 4), &cancel).expect("nobody is there");
        let second = turns.take(wish(WhenBusy::Wait, 6), &cancel).expect("beside the first");
        assert!(matches!(turns.take(wish(WhenBusy::Wait, 1), &cancel), Err(Error::Busy)));
        elsewhere(|| second.go_on());
        drop(second);
    }
}
