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

    /// How many are ready.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The ready socket at this place.
    pub fn get(&self, index: usize) -> Option<Event> {
        self.list.get(index).copied()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{loopbacks, pair, socket_at};
    use crate::{Clock, RecvBatch, SendItem, UdpOptions};
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

    /// A poller with everything the system has, and one without.
    fn pollers() -> [Poller; 2] {
        [Poller::new().unwrap(), Poller::with_capabilities(Capabilities::default()).unwrap()]
    }

    fn poke(sender: &UdpSocket, receiver: &UdpSocket) {
        let item = SendItem { to: receiver.local_addr(), from: None, data: b"!", segment_size: 0 };
        assert_eq!(sender.send(&item).unwrap().datagrams, 1);
    }

    #[test]
    fn a_wait_never_ends_before_its_deadline() {
        let clock = Clock::new();
        set_timer_slack_ns(1).unwrap();
        for poller in pollers() {
            let mut events = Events::default();
            for span in [0, 1, 7, 99, 500, 1_001, 20_000] {
                let deadline = clock.now_micros() + span;
                poller.wait(&mut events, Some(deadline)).unwrap();
                assert!(clock.now_micros() >= deadline);
                assert!(events.is_empty() && !events.woken());
            }
            poller.wait(&mut events, Some(0)).unwrap(); // the past
        }
    }

    #[test]
    fn readability_ends_a_wait_as_long_as_something_is_there() {
        for poller in pollers() {
            for ip in loopbacks() {
                let (sender, receiver) = pair(ip, &UdpOptions::default(), &UdpOptions::default());
                poller.add(&receiver, 42, Interest::READABLE).unwrap();
                poke(&sender, &receiver);
                let mut events = Events::with_capacity(0);
                for _ in 0..3 {
                    poller.wait(&mut events, None).unwrap();
                    let all: Vec<_> = events.iter().collect();
                    assert_eq!(all, [Event { token: 42, readable: true, writable: false }]);
                    assert!(!events.woken());
                }
                receiver.recv_batch(&mut RecvBatch::new()).unwrap();
                poller.wait(&mut events, Some(0)).unwrap();
                assert!(events.is_empty());
                poller.remove(&receiver).unwrap();
            }
        }
    }

    #[test]
    fn interest_and_token_can_be_changed() {
        for poller in pollers() {
            let (sender, receiver) = pair(loopbacks()[0], &UdpOptions::default(), &UdpOptions::default());
            let mut events = Events::default();
            poller.add(&receiver, 1, Interest::NONE).unwrap();
            poke(&sender, &receiver);
            poller.wait(&mut events, Some(0)).unwrap();
            assert!(events.is_empty());
            for (token, interest) in
                [(2, Interest::READABLE), (3, Interest::WRITABLE), (u64::MAX - 1, Interest::BOTH)]
            {
                poller.modify(&receiver, token, interest).unwrap();
                poller.wait(&mut events, None).unwrap();
                let Interest { readable, writable } = interest;
                assert_eq!(events.iter().collect::<Vec<_>>(), [Event { token, readable, writable }]);
            }
            poller.remove(&receiver).unwrap();
            poller.wait(&mut events, Some(0)).unwrap();
            assert!(events.is_empty());
        }
    }

    #[test]
    fn every_ready_socket_is_told_even_if_there_is_room_for_few() {
        for poller in pollers() {
            let sockets: Vec<_> =
                (0..20).map(|_| socket_at(loopbacks()[0], &UdpOptions::default())).collect();
            for (token, socket) in (0..).zip(&sockets) {
                poller.add(socket, token, Interest::WRITABLE).unwrap();
            }
            let mut seen = [false; 20];
            let mut events = Events::with_capacity(3);
            while seen.contains(&false) {
                poller.wait(&mut events, None).unwrap();
                events.iter().for_each(|event| seen[usize::try_from(event.token).unwrap()] = true);
            }
            for socket in &sockets {
                poller.remove(socket).unwrap();
            }
        }
    }

    #[test]
    fn misuse_is_an_error() {
        for poller in pollers() {
            let socket = socket_at(loopbacks()[0], &UdpOptions::default());
            let kind = |outcome: io::Result<()>| outcome.unwrap_err().kind();
            assert_eq!(kind(poller.add(&socket, u64::MAX, Interest::BOTH)), io::ErrorKind::InvalidInput);
            assert_eq!(kind(poller.modify(&socket, 1, Interest::BOTH)), io::ErrorKind::NotFound);
            assert_eq!(kind(poller.remove(&socket)), io::ErrorKind::NotFound);
            poller.add(&socket, 1, Interest::NONE).unwrap();
            assert_eq!(kind(poller.add(&socket, 2, Interest::BOTH)), io::ErrorKind::AlreadyExists);
            poller.remove(&socket).unwrap();
        }
    }

    #[test]
    fn a_wake_before_the_wait_ends_it_once() {
        for poller in pollers() {
            let waker = poller.waker();
            let mut events = Events::default();
            for _ in 0..3 {
                waker.wake();
                waker.clone().wake();
                poller.wait(&mut events, None).unwrap();
                assert!(events.woken() && events.is_empty());
                poller.wait(&mut events, Some(0)).unwrap();
                assert!(!events.woken());
            }
        }
    }

    #[test]
    fn no_wake_from_another_thread_is_lost_and_what_it_wrote_is_seen() {
        const ROUNDS: u32 = 20_000;
        for poller in pollers() {
            let (given, done, waker) = (AtomicU32::new(0), AtomicBool::new(false), poller.waker());
            let mut events = Events::default();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for round in 1..=ROUNDS {
                        given.store(round, Relaxed);
                        waker.wake();
                    }
                    done.store(true, Relaxed);
                    waker.wake();
                });
                // Without a deadline: a lost wake-up would hang here.
                let mut last = 0;
                while !done.load(Relaxed) {
                    poller.wait(&mut events, None).unwrap();
                    assert!(events.woken());
                    let now = given.load(Relaxed);
                    assert!(now >= last);
                    last = now;
                }
                assert_eq!(given.load(Relaxed), ROUNDS);
            });
        }
    }

    #[test]
    fn a_wake_is_told_beside_ready_sockets() {
        for poller in pollers() {
            let socket = socket_at(loopbacks()[0], &UdpOptions::default());
            poller.add(&socket, 5, Interest::WRITABLE).unwrap();
            let mut events = Events::with_capacity(1);
            poller.wait(&mut events, None).unwrap();
            poller.waker().wake();
            let (mut woken, mut writable) = (false, false);
            while !(woken && writable) {
                poller.wait(&mut events, None).unwrap();
                woken |= events.woken();
                writable |= events.iter().any(|event| event.writable);
            }
            poller.remove(&socket).unwrap();
        }
    }
}
