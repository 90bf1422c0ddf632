//! The wish to stop: Ctrl-C, SIGTERM, a time limit. One token is asked everywhere; it wakes who waits for it.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Clones share one wish; it is never taken back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Stop {
    /// Asks all that share this token to end in order. `true` for the first call.
    pub(crate) fn ask(&self) -> bool {
        let first = !self.shared.asked.swap(true, Ordering::SeqCst);
        let _held = self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.changed.notify_all();
        first
    }

    /// Whether the end was asked for.
    pub(crate) fn asked(&self) -> bool {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Sleeps for `span` or until the end is asked for; says whether it was.
    pub(crate) fn wait(&self, span: Duration) -> bool {
        let held = self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = self.shared.changed.wait_timeout_while(held, span, |()| !self.asked());
        drop(wait);
        self.asked()
    }
}

/// The first Ctrl-C (SIGINT, SIGTERM, SIGHUP) asks for an end in order; the second ends the process at once.
///
/// # Errors
/// When the system refuses the handler; the signals then end the process as by default.
pub(crate) fn on_signal(stop: &Stop) -> Result<(), ctrlc::Error> {
    let stop = stop.clone();
    ctrlc::set_handler(move || {
        if !stop.ask() {
            process::exit(INTERRUPTED);
        }
    })
}

/// What shells show for a program ended by SIGINT.
const INTERRUPTED: i32 = 130;

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn asking_wakes_whoever_waits_and_only_the_first_call_is_first() {
        let stop = Stop::default();
        let waiter = stop.clone();
        let thread = thread::spawn(move || waiter.wait(Duration::from_secs(60)));
        assert!(stop.ask());
        assert!(thread.join().unwrap());
        assert!(!stop.ask());
        assert!(stop.asked());
    }

    #[test]
    fn waiting_without_a_wish_runs_out() {
        assert!(!Stop::default().wait(Duration::from_millis(1)));
    }
}
