//! Linux: the system calls, each in a safe function.
#![expect(unsafe_code, reason = "system calls that the standard library does not have")]

use super::control::{self, Control, NAME_SIZE, Name};
use crate::batch::{MAX_MESSAGES, Message, Slot, Storage};
use crate::capability::Capabilities;
use crate::socket::Steering;
use crate::wait::{Event, Events, Interest, WAKE_TOKEN};
use libc::{c_int, c_ulong, c_void};
use socket2::{SockRef, Type};
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};

pub(crate) const EMSGSIZE: i32 = libc::EMSGSIZE;
pub(crate) const ENOBUFS: i32 = libc::ENOBUFS;
pub(crate) const EAFNOSUPPORT: i32 = libc::EAFNOSUPPORT;

// ---- time

pub(crate) fn now_nanos() -> u64 {
    let mut time = timespec(0);
    // SAFETY: `time` is a valid timespec to write to, and CLOCK_MONOTONIC exists on every Linux.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    debug_assert_eq!(status, 0, "CLOCK_MONOTONIC can be read");
    i64_from(time.tv_sec).unsigned_abs() * NANOS_PER_SECOND + i64_from(time.tv_nsec).unsigned_abs()
}

/// May return early when a signal comes.
pub(crate) fn sleep_until_nanos(deadline: u64) {
    let time = timespec(deadline);
    // SAFETY: `time` is a valid timespec; with TIMER_ABSTIME the remaining time is not written, so null is allowed.
    unsafe {
        libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const time, ptr::null_mut())
    };
}

pub(crate) fn set_timer_slack_ns(nanoseconds: u64) -> io::Result<()> {
    let slack = c_ulong::try_from(nanoseconds).unwrap_or(c_ulong::MAX);
    // SAFETY: PR_SET_TIMERSLACK takes one unsigned long and touches no memory of ours.
    let status = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack) };
    done(status).map(drop)
}

fn timespec(nanoseconds: u64) -> libc::timespec {
    let seconds = libc::time_t::try_from(nanoseconds / NANOS_PER_SECOND).unwrap_or(libc::time_t::MAX);
    let rest = i32::try_from(nanoseconds % NANOS_PER_SECOND).unwrap_or_default(); // always fits
    libc::timespec { tv_sec: seconds, tv_nsec: rest.into() }
}

// ---- abilities

pub(crate) fn probe() -> Capabilities {
    let socket = [socket2::Domain::IPV4, socket2::Domain::IPV6]
        .into_iter()
        .find_map(|domain| socket2::Socket::new(domain, Type::DGRAM, None).ok());
    let supports = |option| {
        let socket = socket.as_ref()?;
        set_int(socket.as_fd(), libc::SOL_UDP, option, 0).ok()
    };
    Capabilities {
        gso: supports(UDP_SEGMENT).is_some(),
        gro: supports(UDP_GRO).is_some(),
        precise_wait: has_epoll_pwait2(),
        source_address: true,
    }
}

/// Asks with a bad descriptor: a kernel that has the call says EBADF, another ENOSYS, a sandbox EPERM.
fn has_epoll_pwait2() -> bool {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }];
    let outcome = epoll_pwait2(-1, &mut events, Some(0));
    outcome.is_err_and(|error| error.raw_os_error() == Some(libc::EBADF))
}

// ---- options

pub(crate) fn bind_device(socket: &SockRef<'_>, device: &str) -> io::Result<()> {
    socket.bind_device(Some(device.as_bytes()))
}

pub(crate) fn set_ttl(socket: &SockRef<'_>, v6: bool, ttl: u8) -> io::Result<()> {
    if v6 {
        socket.set_unicast_hops_v6(ttl.into())?;
    }
    socket.set_ttl_v4(ttl.into()) // on an IPv6 socket: for its IPv4 peers
}

pub(crate) fn set_tos(socket: &SockRef<'_>, v6: bool, tos: u8) -> io::Result<()> {
    if v6 {
        socket.set_tclass_v6(tos.into())?;
    }
    socket.set_tos_v4(tos.into())
}

/// With CAP_NET_ADMIN beyond the system's limit, else up to it.
pub(crate) fn set_send_buffer(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    set_buffer(socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, bytes)
}

/// As [`set_send_buffer`].
pub(crate) fn set_receive_buffer(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    set_buffer(socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, bytes)
}

fn set_buffer(socket: &SockRef<'_>, forced: c_int, limited: c_int, bytes: u32) -> io::Result<()> {
    let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    set_int(socket.as_fd(), libc::SOL_SOCKET, forced, bytes)
        .or_else(|_| set_int(socket.as_fd(), libc::SOL_SOCKET, limited, bytes))
}

/// Lets several sockets bind the same address.
pub(crate) fn share_port(socket: &SockRef<'_>) -> io::Result<()> {
    set_int(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)
}

/// Deals the datagrams of a port to its `count` sockets, in the order in which they were bound: a program for all of them is
/// attached to one. It sees a datagram from its first byte of payload on.
pub(crate) fn steer(socket: &SockRef<'_>, count: usize, steering: Steering) -> io::Result<()> {
    let step = |code: u32, if_true, if_false, k| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(u16::MAX),
        jt: if_true,
        jf: if_false,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let count = u32::try_from(count).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut program = [
        step(load, 0, 0, steering.number_at),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, 0),
        step(load, 0, 0, steering.or_else_at),
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, 0, 0, count.max(1)),
        step(libc::BPF_RET | BPF_A, 0, 0, 0),
    ];
    let program = libc::sock_fprog { len: 5, filter: program.as_mut_ptr() };
    let pointer: *const libc::sock_fprog = &raw const program;
    let size = fit(size_of::<libc::sock_fprog>());
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open while borrowed; pointer and size describe a sock_fprog whose filter points to five
    // instructions; both outlive the call, which copies them.
    let status = unsafe {
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, pointer.cast(), size)
    };
    done(status).map(drop)
}

/// The accumulator as what a program returns; libc has no name for it on every target.
const BPF_A: u32 = 0x10;

/// Linux sets and reports twice what was asked for, the half being its own bookkeeping.
pub(crate) fn usable_buffer(reported: usize) -> u32 {
    u32::try_from(reported / 2).unwrap_or(u32::MAX)
}

/// Fragment what is too large, tell the local address and the drops of each datagram, join datagrams if `gro`.
pub(crate) fn prepare(socket: &SockRef<'_>, v6: bool, gro: bool) -> io::Result<()> {
    let fd = socket.as_fd();
    set_int(fd, libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT)?;
    if v6 {
        set_int(fd, libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT)?;
        set_int(fd, libc::SOL_IPV6, libc::IPV6_RECVPKTINFO, 1)?; // IPv4 senders' too, as mapped addresses
    } else {
        set_int(fd, libc::SOL_IP, libc::IP_PKTINFO, 1)?;
    }
    // Without the next two all still works, unseen drops and cheaper receiving apart.
    let _ = set_int(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1);
    let _ = set_int(fd, libc::SOL_UDP, UDP_GRO, gro.into());
    Ok(())
}

fn set_int(fd: BorrowedFd<'_>, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    let pointer: *const c_int = &raw const value;
    // SAFETY: the descriptor is open while borrowed, and pointer and length describe one c_int that outlives the call.
    let status = unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, pointer.cast(), INT_SIZE) };
    done(status).map(drop)
}

// ---- sending

/// Sends the first messages in one call; gives how many the kernel took, at least one. The error is that of the first.
pub(crate) fn send_messages(socket: &UdpSocket, messages: &[Message<'_>]) -> io::Result<usize> {
    match messages {
        [_] => send_array::<1>(socket, messages),
        _ => send_array::<MAX_MESSAGES>(socket, messages),
    }
}

fn send_array<const N: usize>(socket: &UdpSocket, messages: &[Message<'_>]) -> io::Result<usize> {
    let mut names = [Name::EMPTY; N];
    let mut controls = [Control::<SEND_CONTROL>::EMPTY; N];
    let mut vectors = [NO_VECTOR; N];
    let mut headers = [NO_HEADER; N];
    let parts = names.iter_mut().zip(&mut controls).zip(&mut vectors).zip(&mut headers);
    let mut count: libc::c_uint = 0;
    for ((((name, control), vector), header), message) in parts.zip(messages) {
        let name_length = name.encode(&message.to);
        let control_length = write_control(control, message);
        vector.iov_base = message.data.as_ptr().cast_mut().cast();
        vector.iov_len = message.data.len();
        let header = &mut header.msg_hdr;
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_namelen = fit(name_length);
        header.msg_iov = vector;
        header.msg_iovlen = fit(1);
        if control_length > 0 {
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = fit(control_length);
        }
        count += 1;
    }
    // SAFETY: the first `count` headers point to names, vectors, control buffers and payloads that live until the call
    // returns, with their true lengths; the kernel only reads them, and writes msg_len into the headers, which are ours.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, fit(DONT_WAIT)) };
    done(sent)
}

/// The source address and the length of a train's segments; gives the length of what was written.
fn write_control(control: &mut Control<SEND_CONTROL>, message: &Message<'_>) -> usize {
    let mut length = match (message.from, message.to) {
        (None, _) => 0,
        (Some(IpAddr::V4(from)), _) => {
            control.push(0, libc::SOL_IP, libc::IP_PKTINFO, &control::in_pktinfo(from))
        }
        (Some(IpAddr::V6(from)), to) => {
            let interface = if let SocketAddr::V6(to) = to { to.scope_id() } else { 0 };
            control.push(0, libc::SOL_IPV6, libc::IPV6_PKTINFO, &control::in6_pktinfo(from, interface))
        }
    };
    if let Some(segment) = message.segment {
        length = control.push(length, libc::SOL_UDP, UDP_SEGMENT, &segment.to_ne_bytes());
    }
    length
}

/// True if a train was refused for being a train; its datagrams may well pass singly. EINVAL and EMSGSIZE: a segment is
/// longer than the path's MTU, which only single datagrams may be, as fragments. EIO: no checksum offload, or IPsec.
pub(crate) fn refuses_train(error: &io::Error) -> bool {
    no_trains_at_all(error) || matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EMSGSIZE))
}

/// True if the network card or its driver will refuse every train.
pub(crate) fn no_trains_at_all(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EOPNOTSUPP))
}

// ---- receiving

/// Addresses and control messages of a [`RecvBatch`](crate::RecvBatch).
pub(crate) struct Scratch {
    names: Vec<Name>,
    controls: Vec<Control<RECEIVE_CONTROL>>,
}

impl Scratch {
    pub(crate) const fn new() -> Self {
        Self { names: Vec::new(), controls: Vec::new() }
    }
}

/// Receives into as many buffers as there are messages, in one call.
pub(crate) fn recv_messages(
    socket: &UdpSocket,
    storage: Storage<'_>,
    kernel_drops: &mut Option<u32>,
    calls: &mut usize,
) -> io::Result<()> {
    let (buffers, Scratch { names, controls }, slots) = storage.split();
    names.resize(MAX_MESSAGES, Name::EMPTY);
    controls.resize(MAX_MESSAGES, Control::EMPTY);
    let mut vectors = [NO_VECTOR; MAX_MESSAGES];
    let mut headers = [NO_HEADER; MAX_MESSAGES];
    let parts = names.iter_mut().zip(controls.iter_mut()).zip(&mut vectors).zip(&mut headers);
    let mut count: libc::c_uint = 0;
    for ((((name, control), vector), header), buffer) in parts.zip(buffers) {
        vector.iov_base = buffer.as_mut_ptr().cast();
        vector.iov_len = buffer.len();
        let header = &mut header.msg_hdr;
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_namelen = fit(NAME_SIZE);
        header.msg_iov = vector;
        header.msg_iovlen = fit(1);
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = fit(RECEIVE_CONTROL);
        count += 1;
    }
    *calls += 1;
    let (fd, flags) = (socket.as_raw_fd(), fit(DONT_WAIT));
    // SAFETY: the first `count` headers point to distinct buffers, names and control buffers, exclusively borrowed until
    // the call returns, with their true lengths; without a timeout the last argument may be null.
    let received = unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), count, flags, ptr::null_mut()) };
    let received = done(received)?;
    for ((name, control), header) in names.iter().zip(controls.iter()).zip(&headers).take(received) {
        slots.push(read_slot(name, control, header, kernel_drops));
    }
    Ok(())
}

fn read_slot(
    name: &Name,
    control: &Control<RECEIVE_CONTROL>,
    header: &libc::mmsghdr,
    kernel_drops: &mut Option<u32>,
) -> Slot {
    let (length, header) = (header.msg_len as usize, &header.msg_hdr);
    let from = name.decode(header.msg_namelen as usize);
    let (Some(from), 0) = (from, header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC)) else {
        return Slot::BROKEN;
    };
    let mut slot = Slot { from, to: None, length, segment_size: length, intact: true };
    for (level, kind, data) in control.messages(usize_from(header.msg_controllen)) {
        match (level, kind) {
            (libc::SOL_IP, libc::IP_PKTINFO) => slot.to = control::from_in_pktinfo(data),
            (libc::SOL_IPV6, libc::IPV6_PKTINFO) => slot.to = control::from_in6_pktinfo(data),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                *kernel_drops = control::take(data, 0).map(u32::from_ne_bytes)
            }
            (libc::SOL_UDP, UDP_GRO) => {
                let segment = control::take(data, 0).map_or(0, i32::from_ne_bytes);
                slot.segment_size = usize::try_from(segment).ok().filter(|&size| size > 0).unwrap_or(length);
            }
            _ => {}
        }
    }
    slot
}

// ---- waiting

/// An epoll instance, and an eventfd that ends its wait.
#[derive(Debug)]
pub(crate) struct Selector {
    epoll: OwnedFd,
    wake: File,
    /// A wake-up is written or about to be; further ones need not be.
    wake_pending: AtomicBool,
    precise: bool,
}

impl Selector {
    pub(crate) fn new(capabilities: Capabilities) -> io::Result<Self> {
        // SAFETY: takes a number and gives a new descriptor or -1.
        let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: takes two numbers and gives a new descriptor or -1.
        let wake = owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        let selector = Self {
            epoll,
            wake: wake.into(),
            wake_pending: AtomicBool::new(false),
            precise: capabilities.precise_wait,
        };
        // Edge-triggered: every write to the eventfd is a new event, so that nobody has to read it.
        selector.control(
            libc::EPOLL_CTL_ADD,
            selector.wake.as_fd(),
            libc::EPOLLIN | libc::EPOLLET,
            WAKE_TOKEN,
        )?;
        Ok(selector)
    }

    pub(crate) fn add(&self, socket: &UdpSocket, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket.as_fd(), flags(interest), token)
    }

    pub(crate) fn modify(&self, socket: &UdpSocket, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket.as_fd(), flags(interest), token)
    }

    pub(crate) fn remove(&self, socket: &UdpSocket) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, socket.as_fd(), 0, 0)
    }

    pub(crate) fn wake(&self) {
        if !self.wake_pending.swap(true, AcqRel) {
            // Fails only when the counter overflows, after 2^64 calls, and even then the event stands.
            let _ = (&self.wake).write(&1_u64.to_ne_bytes());
        }
    }

    /// Waits once; may end early.
    pub(crate) fn wait(&self, events: &mut Events, timeout_ns: Option<u64>) -> io::Result<()> {
        let Events { raw: RawEvents(raw), list, woken } = events;
        let epoll = self.epoll.as_raw_fd();
        let ready = match timeout_ns {
            _ if self.precise => epoll_pwait2(epoll, raw, timeout_ns)?,
            Some(0) => epoll_wait(epoll, raw, 0)?,
            None => epoll_wait(epoll, raw, -1)?,
            Some(timeout) => {
                ppoll_readable(self.epoll.as_fd(), timeout)?;
                epoll_wait(epoll, raw, 0)?
            }
        };
        for &libc::epoll_event { events: flags, u64: token } in raw.iter().take(ready) {
            if token == WAKE_TOKEN {
                // After the event was taken: a call from now on writes again.
                *woken = self.wake_pending.swap(false, AcqRel);
                continue;
            }
            let has = |flag: c_int| flags & flag.cast_unsigned() != 0;
            let broken = has(libc::EPOLLERR | libc::EPOLLHUP); // the next call tells what it is
            list.push(Event {
                token,
                readable: has(libc::EPOLLIN) || broken,
                writable: has(libc::EPOLLOUT) || broken,
            });
        }
        Ok(())
    }

    fn control(&self, operation: c_int, fd: BorrowedFd<'_>, flags: c_int, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: flags.cast_unsigned(), u64: token };
        // SAFETY: both descriptors are open while borrowed, and `event` outlives the call, which copies it.
        let status =
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd.as_raw_fd(), &raw mut event) };
        done(status).map(drop)
    }
}

/// Where the kernel writes events.
pub(crate) struct RawEvents(Vec<libc::epoll_event>);

impl RawEvents {
    pub(crate) fn with_capacity(events: usize) -> Self {
        Self(vec![libc::epoll_event { events: 0, u64: 0 }; events])
    }
}

impl fmt::Debug for RawEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawEvents").field("capacity", &self.0.len()).finish()
    }
}

fn flags(interest: Interest) -> c_int {
    (if interest.readable { libc::EPOLLIN } else { 0 }) | (if interest.writable { libc::EPOLLOUT } else { 0 })
}

fn epoll_wait(epoll: c_int, events: &mut [libc::epoll_event], timeout_ms: c_int) -> io::Result<usize> {
    let room = fit(events.len());
    // SAFETY: the kernel writes at most `room` events, for which the slice has place; a bad descriptor is an error.
    let ready = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), room, timeout_ms) };
    done(ready)
}

/// As the C library's function of that name, which older C libraries lack.
fn epoll_pwait2(
    epoll: c_int,
    events: &mut [libc::epoll_event],
    timeout_ns: Option<u64>,
) -> io::Result<usize> {
    /// `struct __kernel_timespec`: 64 bits each, on every architecture.
    #[repr(C)]
    struct KernelTimespec {
        seconds: i64,
        nanoseconds: i64,
    }
    let room: c_int = fit(events.len());
    let timeout = timeout_ns.map(|nanoseconds| KernelTimespec {
        seconds: (nanoseconds / NANOS_PER_SECOND).cast_signed(),
        nanoseconds: (nanoseconds % NANOS_PER_SECOND).cast_signed(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let (events, no_mask) = (events.as_mut_ptr(), ptr::null::<c_void>());
    // SAFETY: the kernel writes at most `room` events, for which the slice has place; the timeout is null or outlives the
    // call; without a signal mask its size is not looked at; a bad descriptor is an error.
    let ready =
        unsafe { libc::syscall(libc::SYS_epoll_pwait2, epoll, events, room, timeout, no_mask, 0_usize) };
    done(c_int::try_from(ready).unwrap_or(-1))
}

/// Waits until `fd` is readable or the time is over.
fn ppoll_readable(fd: BorrowedFd<'_>, timeout_ns: u64) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let timeout = timespec(timeout_ns);
    // SAFETY: one pollfd and one timespec, both outliving the call; a null signal mask means none.
    let ready = unsafe { libc::ppoll(&raw mut poll, 1, &raw const timeout, ptr::null()) };
    done(ready).map(drop)
}

// ---- small things

/// The outcome of a system call that gives -1 for an error.
fn done(outcome: c_int) -> io::Result<usize> {
    usize::try_from(outcome).map_err(|_| io::Error::last_os_error())
}

/// The descriptor a system call has just made.
fn owned(fd: c_int) -> io::Result<OwnedFd> {
    done(fd)?;
    // SAFETY: the call succeeded, so `fd` is open, and nobody else knows it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A small length in whatever integer type the C library of this platform declares for it.
fn fit<T: TryFrom<usize>>(length: usize) -> T {
    T::try_from(length).ok().expect("lengths of our own buffers and small flags fit every C integer")
}

/// A length the kernel gave, of whatever integer type.
fn usize_from(length: impl TryInto<usize>) -> usize {
    length.try_into().unwrap_or_default()
}

fn i64_from(value: impl Into<i64>) -> i64 {
    value.into()
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const INT_SIZE: libc::socklen_t = 4;
/// MSG_DONTWAIT: even if somebody shares the socket and has made it blocking. The type of flags depends on the C library.
const DONT_WAIT: usize = libc::MSG_DONTWAIT.cast_unsigned() as usize;
const UDP_SEGMENT: c_int = 103; // since Linux 4.18; not in every C library
const UDP_GRO: c_int = 104; // since Linux 5.0
/// Room for IPV6_PKTINFO and UDP_SEGMENT.
const SEND_CONTROL: usize = 64;
/// Room for IPV6_PKTINFO, UDP_GRO, SO_RXQ_OVFL, and as much again for what the owner of a socket that was taken over has
/// switched on.
const RECEIVE_CONTROL: usize = 192;
const NO_VECTOR: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
// SAFETY: a structure of integers and raw pointers, for which zero bytes are valid; some C libraries pad it with private
// fields, so that it cannot be written out.
const NO_HEADER: libc::mmsghdr = unsafe { std::mem::zeroed() };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{loopbacks, numbered, receive, socket_at, wait_readable};
    use crate::{RecvBatch, SendItem, UdpOptions, UdpSocket, to_mapped};
    use std::net::Ipv4Addr;

    /// Receives one message; gives it as `inspect` sees it, and its control messages.
    fn receive_one<T>(
        socket: &UdpSocket,
        inspect: impl Fn(crate::RecvItem<'_>) -> T,
    ) -> (T, Vec<(i32, i32, i32)>) {
        let mut batch = RecvBatch::with_capacity(1);
        wait_readable(socket);
        assert_eq!(socket.recv_batch(&mut batch).unwrap(), 1);
        let seen = inspect(batch.iter().next().unwrap());
        let number = |data: &[u8]| control::take(data, 0).map_or_else(|| data[0].into(), i32::from_ne_bytes);
        let control = &batch.storage().scratch.controls[0];
        (
            seen,
            control
                .messages(RECEIVE_CONTROL)
                .map(|(level, kind, data)| (level, kind, number(data)))
                .collect(),
        )
    }

    #[test]
    fn ttl_and_tos_are_on_the_wire() {
        let options = UdpOptions { ttl: Some(33), tos: Some(0xb8), ..UdpOptions::default() };
        for ip in loopbacks() {
            let receiver = socket_at(ip, &UdpOptions::default());
            let (level, ttl, tos, ttl_told, tos_told) = if ip.is_ipv4() {
                (libc::SOL_IP, libc::IP_RECVTTL, libc::IP_RECVTOS, libc::IP_TTL, libc::IP_TOS)
            } else {
                let (told, class) = (libc::IPV6_HOPLIMIT, libc::IPV6_TCLASS);
                (libc::SOL_IPV6, libc::IPV6_RECVHOPLIMIT, libc::IPV6_RECVTCLASS, told, class)
            };
            set_int(receiver.as_std().as_fd(), level, ttl, 1).unwrap();
            set_int(receiver.as_std().as_fd(), level, tos, 1).unwrap();
            let sender = socket_at(ip, &options);
            for (data, from) in [(vec![0; 10], None), (vec![0; 2_000], None), (vec![0; 2_000], Some(ip))] {
                let item = SendItem { to: receiver.local_addr(), from, data: &data, segment_size: 1_000 };
                sender.send(&item).unwrap();
                let (length, facts) = receive_one(&receiver, |item| item.data.len());
                assert!(facts.contains(&(level, ttl_told, 33)), "{facts:?}");
                assert!(facts.contains(&(level, tos_told, 0xb8)), "{facts:?}");
                assert_eq!(length, data.len());
            }
        }
    }

    #[test]
    fn ttl_and_tos_of_a_dual_stack_socket_reach_ipv4_peers() {
        if loopbacks().len() > 1 {
            let options =
                UdpOptions { ipv6_only: Some(false), ttl: Some(34), tos: Some(8), ..UdpOptions::default() };
            let sender = socket_at("::".parse().unwrap(), &options);
            let receiver = socket_at(Ipv4Addr::LOCALHOST.into(), &UdpOptions::default());
            set_int(receiver.as_std().as_fd(), libc::SOL_IP, libc::IP_RECVTTL, 1).unwrap();
            set_int(receiver.as_std().as_fd(), libc::SOL_IP, libc::IP_RECVTOS, 1).unwrap();
            let to = receiver.local_addr();
            sender.send(&SendItem { to, from: None, data: b"?", segment_size: 0 }).unwrap();
            let (_, facts) = receive_one(&receiver, |_| ());
            assert!(facts.contains(&(libc::SOL_IP, libc::IP_TTL, 34)), "{facts:?}");
            assert!(facts.contains(&(libc::SOL_IP, libc::IP_TOS, 8)), "{facts:?}");
        }
    }

    #[test]
    fn an_answer_leaves_from_the_address_that_was_called() {
        let called = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let caller = socket_at(Ipv4Addr::LOCALHOST.into(), &UdpOptions::default());
        let wildcards = ["0.0.0.0", "::"].into_iter().take(loopbacks().len());
        for wildcard in wildcards {
            let options = UdpOptions { ipv6_only: Some(false), ..UdpOptions::default() };
            let server = socket_at(wildcard.parse().unwrap(), &options);
            let to = SocketAddr::new(called, server.local_addr().port());
            caller.send(&SendItem { to, from: None, data: b"hello", segment_size: 0 }).unwrap();
            let ((peer, local), _) = receive_one(&server, |item| (item.from, item.to));
            let dual = server.local_addr().is_ipv6();
            assert_eq!(local, Some(if dual { to_mapped(to).ip() } else { called }));
            // As the kernel named it, and under its plain name; a datagram and a train.
            for from in [local, Some(called)] {
                for segment_size in [0, 1_000] {
                    server.send(&SendItem { to: peer, from, data: &[1; 1_800], segment_size }).unwrap();
                    let mut received = 0; // the train may come apart
                    while received < 1_800 {
                        let ((source, length), _) = receive_one(&caller, |item| (item.from, item.data.len()));
                        assert_eq!(source, to);
                        received += length;
                    }
                }
            }
            server.send(&SendItem { to: peer, from: None, data: b"?", segment_size: 0 }).unwrap();
            let (source, _) = receive_one(&caller, |item| item.from);
            assert_eq!(source.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
    }

    #[test]
    fn the_called_address_is_told_for_ipv6() {
        for ip in loopbacks().into_iter().skip(1) {
            let server = socket_at("::".parse().unwrap(), &UdpOptions::default());
            let caller = socket_at(ip, &UdpOptions::default());
            let to = SocketAddr::new(ip, server.local_addr().port());
            caller.send(&SendItem { to, from: Some(ip), data: b"hello", segment_size: 0 }).unwrap();
            let ((peer, local), _) = receive_one(&server, |item| (item.from, item.to));
            assert_eq!((peer, local), (caller.local_addr(), Some(ip)));
            server.send(&SendItem { to: peer, from: local, data: b"you too", segment_size: 0 }).unwrap();
            assert_eq!(receive_one(&caller, |item| item.from).0, to);
        }
    }

    #[test]
    fn a_source_address_that_is_not_ours_fails_its_item_only() {
        let sender = socket_at(Ipv4Addr::UNSPECIFIED.into(), &UdpOptions::default());
        let receiver = socket_at(Ipv4Addr::LOCALHOST.into(), &UdpOptions::default());
        let item = SendItem { to: receiver.local_addr(), from: None, data: &[3; 2_500], segment_size: 1_000 };
        let foreign = SendItem { from: Some("192.0.2.1".parse().unwrap()), ..item };
        let report = sender.send_batch(&[item, foreign, item]);
        assert_eq!((report.items, report.datagrams, report.failures.len()), (3, 6, 1));
        assert_eq!((report.failures[0].item, report.failures[0].datagrams), (1, 3));
        assert_eq!(receive(&receiver, 6).len(), 6);
    }

    #[test]
    fn datagrams_longer_than_the_path_are_fragmented_and_trains_of_them_sent_singly() {
        for ip in loopbacks().into_iter().skip(1) {
            // Only IPv6 lets a socket narrow its path without the privilege to change an interface.
            let sender = socket_at(ip, &UdpOptions::default());
            set_int(sender.as_std().as_fd(), libc::SOL_IPV6, libc::IPV6_MTU, 1_400).unwrap();
            let receiver = socket_at(ip, &UdpOptions::default());
            let long = numbered(10 * 1_456, 1_456);
            let short = numbered(10 * 1_316, 1_316);
            let to = receiver.local_addr();
            let items = [
                SendItem { to, from: None, data: &long, segment_size: 1_456 },
                SendItem { to, from: Some(ip), data: &short, segment_size: 1_316 },
            ];
            let report = sender.send_batch(&items);
            assert!(report.failures.is_empty(), "{report:?}");
            let expected: Vec<_> = long.chunks(1_456).chain(short.chunks(1_316)).collect();
            assert_eq!(receive(&receiver, 20), expected);
            let counters = sender.counters().send;
            if probe().gso {
                assert_eq!((counters.refused_trains, counters.trains), (1, 1));
            }
        }
    }

    #[test]
    fn paths_are_asked_for_their_mtu_but_nothing_is_ever_refused_for_it() {
        for ip in loopbacks() {
            let socket = socket_at(ip, &UdpOptions::default());
            let fd = socket.as_std().as_fd();
            assert_eq!(get_int(fd, libc::SOL_IP, libc::IP_MTU_DISCOVER), libc::IP_PMTUDISC_WANT);
            if ip.is_ipv6() {
                assert_eq!(get_int(fd, libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER), libc::IPV6_PMTUDISC_WANT);
            }
            assert_eq!(get_int(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR), 0);
            let recverr = if ip.is_ipv4() {
                (libc::SOL_IP, libc::IP_RECVERR)
            } else {
                (libc::SOL_IPV6, libc::IPV6_RECVERR)
            };
            assert_eq!(get_int(fd, recverr.0, recverr.1), 0, "ICMP errors would end other peers' calls");
        }
    }

    #[test]
    fn a_socket_bound_to_an_interface_uses_no_other() {
        let options = UdpOptions { device: Some("lo".into()), ..UdpOptions::default() };
        match UdpSocket::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), &options) {
            Ok(socket) => {
                assert_eq!(SockRef::from(socket.as_std()).device().unwrap().as_deref(), Some(&b"lo"[..]));
                let to = "192.0.2.1:9".parse().unwrap();
                let outcome = socket.send(&SendItem { to, from: None, data: b"?", segment_size: 0 });
                let port = socket.local_addr().port();
                let peer = socket_at(Ipv4Addr::LOCALHOST.into(), &UdpOptions::default());
                let to = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
                peer.send(&SendItem { to, from: None, data: b"!", segment_size: 0 }).unwrap();
                assert_eq!(receive(&socket, 1), [b"!"]);
                drop(outcome); // whether `lo` takes the datagram into nowhere is a matter of the kernel's version
            }
            Err(error) => {
                assert_eq!(error.io_kind(), io::ErrorKind::PermissionDenied, "{error}");
                eprintln!("no privilege to bind to an interface, which is not tested");
            }
        }
    }

    #[test]
    fn datagrams_that_find_the_buffer_full_are_counted() {
        let options = UdpOptions { receive_buffer: Some(10_000), gro: false, ..UdpOptions::default() };
        let receiver = socket_at(Ipv4Addr::LOCALHOST.into(), &options);
        let sender =
            socket_at(Ipv4Addr::LOCALHOST.into(), &UdpOptions { gso: false, ..UdpOptions::default() });
        let item =
            SendItem { to: receiver.local_addr(), from: None, data: &[0; 100 * 1_000], segment_size: 1_000 };
        let mut sent = sender.send(&item).unwrap().datagrams;
        let mut batch = RecvBatch::new();
        let mut counters = receiver.counters().receive;
        while counters.kernel_drops == 0 || counters.datagrams + counters.kernel_drops < sent as u64 {
            // The drops are told with the next datagram.
            sent += sender.send(&SendItem { data: b"and one more", ..item }).unwrap().datagrams;
            wait_readable(&receiver);
            receiver.recv_batch(&mut batch).unwrap();
            counters = receiver.counters().receive;
        }
        assert_eq!(counters.datagrams + counters.kernel_drops, sent as u64);
    }

    #[test]
    fn a_train_is_received_in_one_call_and_its_calls_are_counted() {
        let receiver = socket_at(Ipv4Addr::LOCALHOST.into(), &UdpOptions::default());
        let sender = socket_at(Ipv4Addr::LOCALHOST.into(), &UdpOptions::default());
        let item =
            SendItem { to: receiver.local_addr(), from: None, data: &[0; 13_160], segment_size: 1_316 };
        let report = sender.send_batch(&[item; 20]);
        assert_eq!((report.datagrams, report.bytes), (200, 263_200));
        if probe().gso {
            let counters = sender.counters().send;
            assert_eq!((counters.calls, counters.trains, counters.datagrams), (1, 20, 200));
        }
        if probe().gro {
            receive_one(&receiver, |item| assert_eq!((item.data.len(), item.segment_size), (13_160, 1_316)));
        }
    }

    #[test]
    fn the_precise_wait_can_be_done_without() {
        for capabilities in [probe(), Capabilities::default()] {
            let selector = Selector::new(capabilities).unwrap();
            let mut events = Events::with_capacity(4);
            for timeout in [0, 1, 300_000] {
                let start = now_nanos();
                selector.wait(&mut events, Some(timeout)).unwrap();
                assert!(now_nanos() >= start + timeout);
            }
            selector.wake();
            selector.wait(&mut events, None).unwrap();
            assert!(events.woken);
        }
    }

    fn get_int(fd: BorrowedFd<'_>, level: c_int, option: c_int) -> c_int {
        let (mut value, mut length) = (-1, INT_SIZE);
        let pointer: *mut c_int = &raw mut value;
        // SAFETY: the descriptor is open while borrowed, and pointer and length describe one c_int that outlives the call.
        let status =
            unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, pointer.cast(), &raw mut length) };
        done(status).unwrap();
        value
    }
}
