//! Waking the event loop at a microsecond: a timer file descriptor on Linux, the poll's time-out elsewhere.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

/// When the loop must wake although no socket is ready.
#[derive(Debug)]
pub(super) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: std::os::fd::OwnedFd,
    #[cfg(target_os = "linux")]
    set_for_us: Option<u64>,
}

#[cfg(target_os = "linux")]
impl Alarm {
    /// A timer of its own: mio hands whole milliseconds to `epoll_wait`, rounded up.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use std::os::fd::AsRawFd as _;

        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let mut source = mio::unix::SourceFd(&timer.as_raw_fd());
        registry.register(&mut source, token, mio::Interest::READABLE)?;
        Ok(Self { timer, set_for_us: None })
    }

    /// Wakes the poll at `due_us`, or somewhat earlier; returns what else to give it as time-out.
    pub(super) fn set(&mut self, now_us: u64, due_us: Option<u64>) -> io::Result<Option<Duration>> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        let Some(due_us) = due_us else {
            return Ok(None);
        };
        if due_us <= now_us {
            return Ok(Some(Duration::ZERO));
        }
        if self.set_for_us != Some(due_us) {
            // Setting a timer also forgets its last expiry, so there is nothing to read: each one is a new edge.
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let wait = Duration::from_micros(due_us - now_us);
            let it_value = Timespec::try_from(wait).map_err(io::Error::other)?;
            timerfd_settime(
                &self.timer,
                TimerfdTimerFlags::empty(),
                &Itimerspec { it_interval: zero, it_value },
            )?;
            self.set_for_us = Some(due_us);
        }
        Ok(None)
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    /// Nothing is needed: the poll's own time-out will do.
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Ok(Self {})
    }

    /// What to give the poll as time-out to wake at `due_us`, or up to 1 ms later.
    #[allow(clippy::needless_pass_by_ref_mut, reason = "as on Linux")]
    pub(super) fn set(&mut self, now_us: u64, due_us: Option<u64>) -> io::Result<Option<Duration>> {
        Ok(due_us.map(|due_us| Duration::from_micros(due_us.saturating_sub(now_us))))
    }
}
