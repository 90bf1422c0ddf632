//! The only clock read of the workspace.

use crate::sys;

/// The process's monotonic clock in microseconds.
///
/// It never goes back and does not follow the wall clock. All values of this type read the same clock, so
/// deadlines may be handed from one to the other, and to [`Poller::wait`](crate::Poller::wait).
///
/// On Linux it is `CLOCK_MONOTONIC`: time since boot, the same in every process of the machine. Elsewhere it starts
/// when the process first reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    _private: (),
}

impl Clock {
    /// The clock; costs nothing.
    pub const fn new() -> Self {
        Self { _private: () }
    }

    /// Now, in µs.
    pub fn now_micros(&self) -> u64 {
        sys::now_nanos() / 1_000
    }
}

/// Puts the calling thread to sleep until `deadline`, in µs of [`Clock`]; never returns earlier.
///
/// On Linux it returns within the thread's timer slack after the deadline: see
/// [`set_timer_slack_ns`](crate::set_timer_slack_ns).
pub fn sleep_until(deadline: u64) {
    let deadline_ns = deadline.saturating_mul(1_000);
    while sys::now_nanos() < deadline_ns {
        sys::sleep_until_nanos(deadline_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back_and_does_advance() {
        let clock = Clock::new();
        let start = clock.now_micros();
        let mut last = start;
        while last < start + 100 {
            let now = Clock::default().now_micros();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn sleep_never_ends_before_its_deadline() {
        let clock = Clock::new();
        for span in [0, 1, 50, 333, 2_000] {
            let deadline = clock.now_micros() + span;
            sleep_until(deadline);
            assert!(clock.now_micros() >= deadline);
        }
        sleep_until(0); // the past
    }
}
