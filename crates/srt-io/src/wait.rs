//! Readiness of sockets, deadlines in µs, and calls from other threads: the three things a driver thread sleeps for.

use crate::capability::{Capabilities, capabilities};
use crate::socket::UdpSocket;
use crate::sys;
use std::io;
use std::sync::Arc;

/// What to be told of a socket. Level-triggered: it is told again as long as it is so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// A datagram, or an error, waits to be received.
    pub readable: bool,
    /// The send buffer has room.
    pub writable: bool,
}

impl Interest {
    /// Nothing for now.
    pub const NONE: Self = Self { readable: false, writable: false };
    /// Receiving only.
    pub const READABLE: Self = Self { readable: true, writable: false };
    /// Sending only.
    pub const WRITABLE: Self = Self { readable: false, writable: true };
    /// Receiving and sending.
    pub const BOTH: Self = Self { readable: true, writable: true };
}

/// A socket that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The token it was added with.
    pub token: u64,
    /// It is worth receiving.
    pub readable: bool,
    /// It is worth sending.
    pub writable: bool,
}

/// The sockets that were ready when a wait ended, and whether a [`Waker`] ended it. Used again for every wait.
#[derive(Debug)]
pub struct Events {
    pub(crate) raw: sys::RawEvents,
    pub(crate) list: Vec<Event>,
    pub(crate) woken: bool,
}

impl Events {
    /// Room for so many sockets, at least 1; further ready sockets are told by the next wait.
    pub fn with_capacity(sockets: usize) -> Self {
        let sockets = sockets.max(1);
        Self {
            raw: sys::RawEvents::with_capacity(sockets + 1),
            list: Vec::with_capacity(sockets + 1),
            woken: false,
        }
    }

    /// The ready sockets.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event> + '_ {
        self.list.iter().copied()
    }

    /// True if no socket is ready.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// True if a [`Waker`] was called since the wait before: look at what other threads have left for you.
    pub fn woken(&self) -> bool {
        self.woken
    }
}

impl Default for Events {
    /// Room for 256 sockets.
    fn default() -> Self {
        Self::with_capacity(256)
    }
}

/// Waits for any number of sockets, a deadline, and [`Waker`]s.
///
/// Meant for one waiting thread. On Linux it is an `epoll` instance, on other systems what the `polling` crate has.
#[derive(Debug)]
pub struct Poller {
    selector: Arc<sys::Selector>,
}

impl Poller {
    /// A poller that watches nothing yet.
    ///
    /// Precise deadlines need a small timer slack on the thread that waits: see [`set_timer_slack_ns`].
    ///
    /// # Errors
    /// If the process or the system has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        Self::with_capabilities(capabilities())
    }

    /// The same, using no more than `capabilities`: the fall-backs can be tried on a system that does not need them.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_capabilities(capabilities: Capabilities) -> io::Result<Self> {
        Ok(Self { selector: Arc::new(sys::Selector::new(capabilities)?) })
    }

    /// Watches `socket`, whose events will carry `token`. [`remove`](Self::remove) it before dropping it.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if it is watched, [`InvalidInput`](io::ErrorKind::InvalidInput)
    /// for the token `u64::MAX`, which is taken; else if the system has no memory left.
    pub fn add(&self, socket: &UdpSocket, token: u64, interest: Interest) -> io::Result<()> {
        self.selector.add(&socket.socket, checked(token)?, interest)
    }

    /// Changes token and interest of a watched socket.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if it is not watched; tokens as for [`add`](Self::add).
    pub fn modify(&self, socket: &UdpSocket, token: u64, interest: Interest) -> io::Result<()> {
        self.selector.modify(&socket.socket, checked(token)?, interest)
    }

    /// Watches `socket` no more.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if it is not watched.
    pub fn remove(&self, socket: &UdpSocket) -> io::Result<()> {
        self.selector.remove(&socket.socket)
    }

    /// A handle that ends this poller's wait from any thread.
    pub fn waker(&self) -> Waker {
        Waker { selector: Arc::clone(&self.selector) }
    }

    /// Sleeps until a socket is ready, a waker calls, or `deadline` has come, in µs of [`Clock`](crate::Clock); `None`
    /// waits without end. `events` is filled anew.
    ///
    /// It ends for no other reason: without events and a wake, the deadline has come. A deadline in the past still
    /// gathers what is ready.
    ///
    /// # Errors
    /// Only if the poller itself is broken; signals do not end the wait.
    pub fn wait(&self, events: &mut Events, deadline: Option<u64>) -> io::Result<()> {
        events.list.clear();
        events.woken = false;
        let deadline_ns = deadline.map(|micros| micros.saturating_mul(1_000));
        loop {
            let timeout_ns = deadline_ns.map(|at| at.saturating_sub(sys::now_nanos()));
            match self.selector.wait(events, timeout_ns) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
                Ok(()) if !events.list.is_empty() || events.woken || timeout_ns == Some(0) => return Ok(()),
                Ok(()) => {}
            }
        }
    }
}

/// Ends the wait of a [`Poller`] from any thread, or the next wait if none is under way.
///
/// Calls between two waits count as one, and cost one atomic operation each but the first. What was written before
/// [`wake`](Self::wake) is visible to the thread that waited.
#[derive(Clone, Debug)]
pub struct Waker {
    selector: Arc<sys::Selector>,
}

impl Waker {
    /// Ends the wait.
    pub fn wake(&self) {
        self.selector.wake();
    }
}

/// Lets the kernel delay the calling thread's timers by at most `nanoseconds` (`PR_SET_TIMERSLACK`; 0 restores the
/// default, mostly 50 µs). 1 is as precise as it gets; long waits keep a slack of a thousandth of their length.
/// Does nothing on systems other than Linux.
///
/// # Errors
/// If the system refuses.
pub fn set_timer_slack_ns(nanoseconds: u64) -> io::Result<()> {
    sys::set_timer_slack_ns(nanoseconds)
}

fn checked(token: u64) -> io::Result<u64> {
    if token == WAKE_TOKEN {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the token u64::MAX is taken"));
    }
    Ok(token)
}

/// The token of wake-ups.
pub(crate) const WAKE_TOKEN: u64 = u64::MAX;
