//! Who waits for a socket: threads, tasks and pollers, and how each is told.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use srt_protocol::time::{Instant, Micros};

use crate::{poll::Registration, time_now};

/// Threads and tasks that wait for one thing.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    threads: usize,
    tasks: Vec<(u64, Waker)>,
}

impl Waiters {
    /// Puts down the task's waker under `key`, in the place of the one it has there.
    pub(super) fn enlist(&mut self, key: u64, waker: &Waker) {
        match self.tasks.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => old.clone_from(waker),
            None => self.tasks.push((key, waker.clone())),
        }
    }

    /// The task under `key` waits no more.
    pub(super) fn dismiss(&mut self, key: u64) {
        self.tasks.retain(|(known, _)| *known != key);
    }

    /// Wakes the threads, and has the tasks called later.
    pub(super) fn wake(&mut self, threads: &Condvar, calls: &mut Calls) {
        if self.threads > 0 {
            threads.notify_all();
        }
        calls.tasks.extend(self.tasks.drain(..).map(|(_, waker)| waker));
    }
}

/// Sleeps on `condvar` until it is called or `until` has come; false if the time is over.
pub(super) fn wait<'a, T>(
    mut guard: MutexGuard<'a, T>,
    condvar: &Condvar,
    until: Option<Instant>,
    waiters: impl Fn(&mut T) -> &mut Waiters,
) -> (MutexGuard<'a, T>, bool) {
    let span = match until {
        None => None,
        Some(until) => match until.saturating_since(time_now()) {
            Micros::ZERO => return (guard, false),
            span => Some(Duration::from(span)),
        },
    };
    waiters(&mut guard).threads += 1;
    let mut guard = match span {
        None => condvar.wait(guard).unwrap_or_else(PoisonError::into_inner),
        Some(span) => condvar.wait_timeout(guard, span).unwrap_or_else(PoisonError::into_inner).0,
    };
    waiters(&mut guard).threads -= 1;
    (guard, true)
}

/// The moment `timeout` from now; `None` for never.
pub(super) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.map(|span| time_now() + Micros::from(span))
}

/// Whom to call when no lock is held any more: an executor may poll the task on the spot, and a poller that is called once
/// for many sockets wakes once.
#[derive(Debug, Default)]
pub(super) struct Calls {
    tasks: Vec<Waker>,
    raised: Vec<Arc<Registration>>,
}

impl Calls {
    /// The pollers of these registrations are to look.
    pub(super) fn raise(&mut self, watchers: &[Arc<Registration>]) {
        self.raised.extend(watchers.iter().filter(|watcher| !watcher.is_raised()).cloned());
    }

    /// Makes the calls; no lock may be held.
    pub(super) fn make(&mut self) {
        Registration::raise_all(self.raised.drain(..));
        for waker in self.tasks.drain(..) {
            // An executor may run the task here and now. Its panic is not to end the worker.
            if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
                tracing::error!("a task panicked when it was woken");
            }
        }
    }
}
