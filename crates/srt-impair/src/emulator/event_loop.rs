//! The one thread: read what is ready, let the model judge it, send what is due, sleep until the next is.

use core::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

use super::alarm::Alarm;
use super::clients::{self, Client, Clients};
use super::kernel::KernelDrops;
use super::{Direction, Setup, Shared, StartError, State};

/// Sockets, and what is on its way between them.
pub(super) struct EventLoop {
    setup: Setup,
    shared: Arc<Shared>,
    poll: Poll,
    alarm: Alarm,
    listen: UdpSocket,
    is_listen_listed: bool,
    clients: Clients,
    /// Sockets that may have more to read: the poll tells each change only once.
    readable: VecDeque<Token>,
    pending: BinaryHeap<Reverse<Pending>>,
    pending_bytes: usize,
    next_serial: u64,
    /// Nothing is sent before this time, as the system had no room for more.
    blocked_until_us: u64,
    next_sweep_us: u64,
    /// Kernel drops of the sockets of expired clients.
    past_drops: Option<u64>,
    buffer: Box<[u8]>,
}

/// A datagram on its way.
struct Pending {
    due_us: u64,
    /// Keeps the order among those due at the same time.
    serial: u64,
    direction: Direction,
    slot: usize,
    data: Arc<[u8]>,
}

/// What failed, and how.
type Failure = (&'static str, io::Error);

impl EventLoop {
    /// Opens the port; also gives its address and what wakes the loop.
    pub(super) fn new(setup: Setup, shared: Arc<Shared>) -> Result<(Self, SocketAddr, Waker), StartError> {
        let address = setup.listen;
        let mut listen = clients::listen(address).map_err(|source| StartError::Listen { address, source })?;
        let local_addr = listen.local_addr().map_err(StartError::System)?;
        if is_circle(local_addr, setup.target) {
            return Err(StartError::Circle(setup.target));
        }
        let poll = Poll::new().map_err(StartError::System)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(StartError::System)?;
        let alarm = Alarm::new(poll.registry(), ALARM).map_err(StartError::System)?;
        poll.registry().register(&mut listen, LISTEN, Interest::READABLE).map_err(StartError::System)?;
        let event_loop = Self {
            clients: Clients::new(setup.max_clients),
            setup,
            shared,
            poll,
            alarm,
            listen,
            is_listen_listed: false,
            readable: VecDeque::new(),
            pending: BinaryHeap::new(),
            pending_bytes: 0,
            next_serial: 0,
            blocked_until_us: 0,
            next_sweep_us: 0,
            past_drops: Some(0),
            buffer: vec![0; LARGEST_DATAGRAM].into_boxed_slice(),
        };
        Ok((event_loop, local_addr, waker))
    }

    /// Until it is told to stop, or the listening socket dies.
    pub(super) fn run(mut self) {
        let outcome = self.turn_until_stopped();
        let drops = KernelDrops::look();
        let upstream = self.clients.iter().map(|client| drops.of(&client.upstream)).sum::<Option<u64>>();
        let mut state = self.shared.lock();
        if let Err((what, source)) = outcome {
            state.fail(what, source);
        }
        state.to_target.report.kernel_drops = drops.of(&self.listen);
        state.to_client.report.kernel_drops = add(self.past_drops, upstream);
        state.ended = Some(self.shared.epoch.elapsed());
    }

    fn turn_until_stopped(&mut self) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        let mut events = Events::with_capacity(EVENTS);
        while !shared.stop.load(atomic::Ordering::Acquire) {
            self.wait(&mut events)?;
            let mut state = shared.lock();
            if shared.rebind.swap(false, atomic::Ordering::AcqRel) {
                self.rebind(&mut state);
            }
            self.send_due(&mut state);
            for _ in 0..self.readable.len() {
                let Some(token) = self.readable.pop_front() else {
                    break;
                };
                let drained = match token {
                    LISTEN => self.read_listen(&mut state)?,
                    Token(slot) => self.read_upstream(slot, &mut state),
                };
                if drained {
                    self.unlist(token);
                } else {
                    self.readable.push_back(token);
                }
                self.send_due(&mut state);
            }
            drop(state);
            self.sweep_if_due();
        }
        Ok(())
    }

    /// Sleeps until a socket is readable, a datagram is due, or it is time to look for idle clients.
    fn wait(&mut self, events: &mut Events) -> Result<(), Failure> {
        let now_us = self.shared.now_us();
        let timeout = if self.readable.is_empty() {
            let due_us = self.pending.peek().map(|Reverse(first)| first.due_us.max(self.blocked_until_us));
            let sweep = Duration::from_micros(self.next_sweep_us.saturating_sub(now_us));
            let exact = self.alarm.set(now_us, due_us).map_err(|error| ("timer", error))?;
            exact.map_or(sweep, |exact| exact.min(sweep))
        } else {
            Duration::ZERO
        };
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(("event queue", error)),
            _ => {}
        }
        for event in events.iter() {
            self.list(event.token());
        }
        Ok(())
    }

    fn list(&mut self, token: Token) {
        let is_listed = match token {
            WAKER | ALARM => return,
            LISTEN => &mut self.is_listen_listed,
            Token(slot) => match self.clients.get(slot) {
                Some(client) => &mut client.is_listed,
                None => return,
            },
        };
        if !core::mem::replace(is_listed, true) {
            self.readable.push_back(token);
        }
    }

    fn unlist(&mut self, token: Token) {
        if token == LISTEN {
            self.is_listen_listed = false;
        } else if let Some(client) = self.clients.get(token.0) {
            client.is_listed = false;
        }
    }

    /// Reads one batch from the clients; true if nothing is left to read.
    fn read_listen(&mut self, state: &mut State) -> Result<bool, Failure> {
        for _ in 0..BATCH {
            match self.listen.recv_from(&mut self.buffer) {
                Ok((length, from)) => {
                    let now_us = self.shared.now_us();
                    match self.client(from, now_us, state) {
                        Some(slot) => self.offer(Direction::ToTarget, slot, length, now_us, state),
                        None => state.refused += 1,
                    }
                }
                Err(error) => match Hindrance::of(&error) {
                    Hindrance::Later => return Ok(true),
                    Hindrance::Passing => {}
                    Hindrance::Lasting => return Err(("listening socket", error)),
                },
            }
        }
        Ok(false)
    }

    /// Reads one batch of what the target sent to one client; true if nothing is left to read.
    fn read_upstream(&mut self, slot: usize, state: &mut State) -> bool {
        for _ in 0..BATCH {
            let Some(client) = self.clients.get(slot) else {
                return true;
            };
            match client.upstream.recv(&mut self.buffer) {
                Ok(length) => {
                    let now_us = self.shared.now_us();
                    client.last_active_us = now_us;
                    self.offer(Direction::ToClient, slot, length, now_us, state);
                }
                Err(error) => match Hindrance::of(&error) {
                    Hindrance::Later => return true,
                    Hindrance::Passing => {}
                    Hindrance::Lasting => {
                        state.fail("socket towards the target", error);
                        return true;
                    }
                },
            }
        }
        false
    }

    /// The slot of the client with this address, a new one if need be; `None` if there is no room or no socket.
    fn client(&mut self, address: SocketAddr, now_us: u64, state: &mut State) -> Option<usize> {
        if let Some(slot) = self.clients.find(address) {
            if let Some(client) = self.clients.get(slot) {
                client.last_active_us = now_us;
            }
            return Some(slot);
        }
        if self.clients.is_full() {
            return None;
        }
        let slot = self.clients.next_slot();
        let open = || {
            let mut upstream = clients::connect(self.setup.target, self.setup.upstream_ip)?;
            self.poll.registry().register(&mut upstream, Token(slot), Interest::READABLE)?;
            Ok(upstream)
        };
        match open() {
            Ok(upstream) => {
                self.clients.insert(address, upstream, now_us);
                state.clients += 1;
                Some(slot)
            }
            Err(error) => {
                state.fail("socket for a new client", error);
                None
            }
        }
    }

    /// Gives every client another socket towards the target.
    fn rebind(&mut self, state: &mut State) {
        let drops = KernelDrops::look();
        for (slot, client) in self.clients.iter_mut() {
            let fresh = clients::connect(self.setup.target, self.setup.upstream_ip).and_then(|mut fresh| {
                self.poll.registry().register(&mut fresh, Token(slot), Interest::READABLE)?;
                Ok(fresh)
            });
            match fresh {
                Ok(fresh) => {
                    self.past_drops = add(self.past_drops, drops.of(&client.upstream));
                    let mut before = std::mem::replace(&mut client.upstream, fresh);
                    // Closing it would do the same; a failure here changes nothing.
                    let _ = self.poll.registry().deregister(&mut before);
                }
                Err(error) => state.fail("socket for a client that moves", error),
            }
        }
    }

    /// Lets the model judge the datagram in the buffer.
    fn offer(&mut self, direction: Direction, slot: usize, length: usize, now_us: u64, state: &mut State) {
        let way = state.way(direction);
        let mut arrivals = way.model.offer(now_us, length).arrivals().peekable();
        if arrivals.peek().is_none() {
            return;
        }
        let data: Arc<[u8]> = Arc::from(&self.buffer[..length]);
        for due_us in arrivals {
            if self.pending_bytes.saturating_add(length) > self.setup.max_pending_bytes {
                way.report.overrun += 1;
                continue;
            }
            self.pending_bytes += length;
            if let Some(client) = self.clients.get(slot) {
                client.pending += 1;
            }
            let data = Arc::clone(&data);
            self.pending.push(Reverse(Pending { due_us, serial: self.next_serial, direction, slot, data }));
            self.next_serial += 1;
        }
    }

    /// Sends what is due, at most one batch.
    fn send_due(&mut self, state: &mut State) {
        let mut now_us = self.shared.now_us();
        if now_us < self.blocked_until_us {
            return;
        }
        for _ in 0..BATCH {
            let Some(Reverse(first)) = self.pending.peek() else {
                return;
            };
            if first.due_us > now_us {
                now_us = self.shared.now_us();
                if first.due_us > now_us {
                    return;
                }
            }
            let Some(client) = self.clients.get(first.slot) else {
                // Cannot be: a client stays as long as it has datagrams on their way.
                debug_assert!(false, "a datagram has lost its client");
                return;
            };
            let outcome = first.send(&self.listen, client);
            if outcome.as_ref().is_err_and(|error| Hindrance::of(error) == Hindrance::Later) {
                // The device is behind; nothing is lost, as the datagram stays the first.
                self.blocked_until_us = now_us + BLOCKED_US;
                return;
            }
            let report = &mut state.way(first.direction).report;
            match outcome {
                Ok(()) => report.on_sent(first.data.len(), now_us - first.due_us),
                Err(_) => report.unsent += 1,
            }
            client.pending -= 1;
            client.last_active_us = now_us;
            self.pending_bytes -= first.data.len();
            self.pending.pop();
        }
    }

    /// Forgets clients that were idle for too long.
    fn sweep_if_due(&mut self) {
        let now_us = self.shared.now_us();
        if now_us < self.next_sweep_us {
            return;
        }
        let idle_us = u64::try_from(self.setup.idle_timeout.as_micros()).unwrap_or(u64::MAX);
        self.next_sweep_us = now_us + (idle_us / 4).clamp(SHORTEST_SWEEP_US, LONGEST_SWEEP_US);
        let expired = self.clients.expire(now_us.saturating_sub(idle_us));
        if expired.is_empty() {
            return;
        }
        let drops = KernelDrops::look();
        for mut client in expired {
            self.past_drops = add(self.past_drops, drops.of(&client.upstream));
            // Closing it would do the same; a failure here changes nothing.
            let _ = self.poll.registry().deregister(&mut client.upstream);
        }
    }
}

impl Pending {
    fn send(&self, listen: &UdpSocket, client: &Client) -> io::Result<()> {
        let send = || match self.direction {
            Direction::ToTarget => client.upstream.send(&self.data),
            Direction::ToClient => listen.send_to(&self.data, client.address),
        };
        // A connected socket reports the fate of earlier datagrams (ICMP) in place of sending this one: try again.
        send()
            .or_else(|error| if Hindrance::of(&error) == Hindrance::Passing { send() } else { Err(error) })
            .map(drop)
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due_us, self.serial).cmp(&(other.due_us, other.serial))
    }
}

/// What an error of a UDP socket means for the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hindrance {
    /// Nothing to read, or no room to write: when the poll says so, or a little later.
    Later,
    /// News about an earlier datagram (ICMP) or a signal: go on.
    Passing,
    /// The socket or the system is broken.
    Lasting,
}

impl Hindrance {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock => Self::Later,
            ErrorKind::Interrupted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown => Self::Passing,
            _ => Self::Lasting,
        }
    }
}

/// Whether what is sent to the target comes back to us at once.
fn is_circle(local: SocketAddr, target: SocketAddr) -> bool {
    let reaches_us =
        local.ip().is_unspecified() && (target.ip().is_loopback() || target.ip().is_unspecified());
    local.port() == target.port() && (local.ip() == target.ip() || reaches_us)
}

fn add(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.zip(other).map(|(one, other)| one + other)
}

// Slots count from 0; these are never reached.
const WAKER: Token = Token(usize::MAX);
const ALARM: Token = Token(usize::MAX - 1);
const LISTEN: Token = Token(usize::MAX - 2);
const EVENTS: usize = 256;
/// Datagrams read from one socket, or sent, before others have their turn.
const BATCH: usize = 64;
const LARGEST_DATAGRAM: usize = 65_536;
const BLOCKED_US: u64 = 200;
const SHORTEST_SWEEP_US: u64 = 10_000;
/// Also how long a stop can take if waking fails.
const LONGEST_SWEEP_US: u64 = 1_000_000;
