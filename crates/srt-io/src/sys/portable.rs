//! Every other system: the standard library, `socket2` and `polling`, one datagram per call.
#![expect(unsafe_code, reason = "registering a socket with `polling` is declared unsafe")]

use crate::batch::{Message, Slot, Storage};
use crate::capability::Capabilities;
use crate::socket::Steering;
use crate::wait::{Event, Events, Interest};
use polling::PollMode;
use socket2::SockRef;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::UdpSocket;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

#[cfg(not(windows))]
pub(crate) use libc::{EAFNOSUPPORT, EMSGSIZE, ENOBUFS};

#[cfg(windows)]
mod winsock {
    //! The codes of Winsock, which are not those of the C library.
    pub(crate) const EMSGSIZE: i32 = 10_040; // WSAEMSGSIZE
    pub(crate) const EAFNOSUPPORT: i32 = 10_047; // WSAEAFNOSUPPORT
    pub(crate) const ENOBUFS: i32 = 10_055; // WSAENOBUFS
}
#[cfg(windows)]
pub(crate) use winsock::{EAFNOSUPPORT, EMSGSIZE, ENOBUFS};

// ---- time

/// Nanoseconds since the first call.
pub(crate) fn now_nanos() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// May return early.
pub(crate) fn sleep_until_nanos(deadline: u64) {
    std::thread::sleep(Duration::from_nanos(deadline.saturating_sub(now_nanos())));
}

/// There is no such thing here.
#[expect(clippy::unnecessary_wraps, reason = "it can fail on Linux")]
pub(crate) fn set_timer_slack_ns(_nanoseconds: u64) -> io::Result<()> {
    Ok(())
}

// ---- abilities

pub(crate) fn probe() -> Capabilities {
    Capabilities::default()
}

// ---- options

/// Several sockets on one address, with a say in which of them a datagram goes to, are not to be had.
pub(crate) fn share_port(_socket: &SockRef<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// As [`share_port`].
pub(crate) fn steer(_socket: &SockRef<'_>, _count: usize, _steering: Steering) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn bind_device(_socket: &SockRef<'_>, _device: &str) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "only Linux can bind a socket to an interface by its name",
    ))
}

pub(crate) fn set_ttl(socket: &SockRef<'_>, v6: bool, ttl: u8) -> io::Result<()> {
    if v6 { socket.set_unicast_hops_v6(ttl.into()) } else { socket.set_ttl_v4(ttl.into()) }
}

pub(crate) fn set_tos(socket: &SockRef<'_>, v6: bool, tos: u8) -> io::Result<()> {
    if v6 { set_traffic_class(socket, tos) } else { socket.set_tos_v4(tos.into()) }
}

#[cfg(not(windows))]
fn set_traffic_class(socket: &SockRef<'_>, tos: u8) -> io::Result<()> {
    socket.set_tclass_v6(tos.into())
}

#[cfg(windows)]
fn set_traffic_class(_socket: &SockRef<'_>, _tos: u8) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "Windows sets no traffic class for IPv6"))
}

pub(crate) fn set_send_buffer(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    largest_granted(bytes, |size| socket.set_send_buffer_size(size))
}

pub(crate) fn set_receive_buffer(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    largest_granted(bytes, |size| socket.set_recv_buffer_size(size))
}

/// BSD systems refuse what is above their limit instead of granting the limit: halve until it passes. If nothing does,
/// the buffer stays as it is.
fn largest_granted(bytes: u32, set: impl Fn(usize) -> io::Result<()>) -> io::Result<()> {
    let mut size = bytes as usize;
    while let Err(error) = set(size) {
        if error.raw_os_error() != Some(ENOBUFS) {
            return Err(error);
        }
        if size <= SMALLEST_BUFFER {
            return Ok(());
        }
        size /= 2;
    }
    Ok(())
}

pub(crate) fn usable_buffer(reported: usize) -> u32 {
    let usable = if cfg!(target_os = "linux") { reported / 2 } else { reported };
    u32::try_from(usable).unwrap_or(u32::MAX)
}

/// These systems fragment what is too large without being told, and tell nothing beside the sender.
#[expect(clippy::unnecessary_wraps, reason = "it can fail on Linux")]
pub(crate) fn prepare(_socket: &SockRef<'_>, _v6: bool, _gro: bool) -> io::Result<()> {
    Ok(())
}

// ---- sending

/// Sends the first message; the source address is the system's choice.
pub(crate) fn send_messages(socket: &UdpSocket, messages: &[Message<'_>]) -> io::Result<usize> {
    let Some(message) = messages.first() else { return Ok(0) };
    debug_assert!(message.segment.is_none(), "no trains without the ability");
    socket.send_to(message.data, message.to).map(|_| 1)
}

/// There are no trains.
pub(crate) fn refuses_train(_error: &io::Error) -> bool {
    false
}

/// There are no trains.
pub(crate) fn no_trains_at_all(_error: &io::Error) -> bool {
    false
}

// ---- receiving

/// Nothing is needed beside the buffers.
pub(crate) struct Scratch;

impl Scratch {
    pub(crate) const fn new() -> Self {
        Self
    }
}

/// Receives datagrams until there are no more or no more buffers. An error after the first is left for the next call.
pub(crate) fn recv_messages(
    socket: &UdpSocket,
    storage: Storage<'_>,
    _kernel_drops: &mut Option<u32>,
    calls: &mut usize,
) -> io::Result<()> {
    let (buffers, _scratch, slots) = storage.split();
    // Known only if the socket is bound to one address.
    let to = socket.local_addr().ok().map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
    for buffer in buffers {
        *calls += 1;
        match socket.recv_from(buffer) {
            Ok((length, from)) => slots.push(Slot { from, to, length, segment_size: length, intact: true }),
            Err(error) if error.raw_os_error() == Some(EMSGSIZE) => slots.push(Slot::BROKEN), // Windows: cut
            Err(error) if slots.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(())
}

// ---- waiting

/// What `polling` has for the system, and the sockets in it.
pub(crate) struct Selector {
    poller: polling::Poller,
    wake_pending: AtomicBool,
    /// By the address of the shared socket, which is also its key in `poller`. Holding the socket here keeps it open as
    /// long as it is registered. Declared after `poller`, so that it is dropped later.
    watched: Mutex<HashMap<usize, Watched>>,
}

struct Watched {
    socket: Arc<UdpSocket>,
    token: u64,
}

impl Selector {
    pub(crate) fn new(_capabilities: Capabilities) -> io::Result<Self> {
        let poller = polling::Poller::new()?;
        if !poller.supports_level() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "no level-triggered readiness on this system",
            ));
        }
        Ok(Self { poller, wake_pending: AtomicBool::new(false), watched: Mutex::default() })
    }

    pub(crate) fn add(&self, socket: &Arc<UdpSocket>, token: u64, interest: Interest) -> io::Result<()> {
        let key = key(socket);
        let mut watched = self.watched();
        if watched.contains_key(&key) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // SAFETY: the socket must stay open until it is deleted from the poller or the poller is gone: `watched` holds it.
        unsafe { self.poller.add_with_mode(&**socket, event(key, interest), PollMode::Level) }?;
        watched.insert(key, Watched { socket: Arc::clone(socket), token });
        Ok(())
    }

    pub(crate) fn modify(&self, socket: &Arc<UdpSocket>, token: u64, interest: Interest) -> io::Result<()> {
        let key = key(socket);
        let mut watched = self.watched();
        let entry = watched.get_mut(&key).ok_or(io::ErrorKind::NotFound)?;
        self.poller.modify_with_mode(&*entry.socket, event(key, interest), PollMode::Level)?;
        entry.token = token;
        Ok(())
    }

    pub(crate) fn remove(&self, socket: &Arc<UdpSocket>) -> io::Result<()> {
        let mut watched = self.watched();
        let entry = watched.get(&key(socket)).ok_or(io::ErrorKind::NotFound)?;
        self.poller.delete(&*entry.socket)?;
        watched.remove(&key(socket));
        Ok(())
    }

    pub(crate) fn wake(&self) {
        if !self.wake_pending.swap(true, AcqRel) {
            // Can fail only if the poller is broken, which its next wait will say.
            let _ = self.poller.notify();
        }
    }

    /// Waits once; may end early.
    pub(crate) fn wait(&self, events: &mut Events, timeout_ns: Option<u64>) -> io::Result<()> {
        let Events { raw: RawEvents(raw), list, woken } = events;
        raw.clear();
        self.poller.wait(raw, timeout_ns.map(Duration::from_nanos))?;
        let watched = self.watched();
        list.extend(raw.iter().filter_map(|event| {
            let token = watched.get(&event.key)?.token; // or removed while we waited
            let broken = event.is_err().unwrap_or_default();
            Some(Event { token, readable: event.readable || broken, writable: event.writable || broken })
        }));
        *woken = self.wake_pending.swap(false, AcqRel);
        Ok(())
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<usize, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selector").field("sockets", &self.watched().len()).finish_non_exhaustive()
    }
}

/// Where the system writes events.
#[derive(Debug)]
pub(crate) struct RawEvents(polling::Events);

impl RawEvents {
    pub(crate) fn with_capacity(events: usize) -> Self {
        Self(polling::Events::with_capacity(NonZeroUsize::new(events).unwrap_or(NonZeroUsize::MIN)))
    }
}

fn key(socket: &Arc<UdpSocket>) -> usize {
    Arc::as_ptr(socket).addr()
}

fn event(key: usize, interest: Interest) -> polling::Event {
    polling::Event::new(key, interest.readable, interest.writable)
}

/// Below this a buffer is not worth asking for.
const SMALLEST_BUFFER: usize = 16 << 10;
