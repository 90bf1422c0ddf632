//! A UDP socket: bound exclusively, its options set and read back.

use crate::capability::capabilities;
use crate::counters::{IoCounters, LiveCounters};
use crate::sys;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Options of a UDP socket. Start from [`UdpOptions::default`] and change what is wanted.
///
/// There is no option for `SO_REUSEADDR`, and it is never set: on most systems it lets two programs of one user bind the
/// same UDP port and take each other's packets. What SRT calls `SRTO_REUSEADDR`, several SRT sockets on one port of one
/// program, is done by sharing one [`UdpSocket`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// `IPV6_V6ONLY` of an IPv6 socket: `Some(false)` also serves IPv4 (dual-stack). Default: as the system is set. Has no
    /// effect on an IPv4 socket, nor on one that is taken over.
    pub ipv6_only: Option<bool>,
    /// Time to live of IPv4 and hop limit of IPv6 packets, 1 to 255. Default: the system's, mostly 64.
    pub ttl: Option<u8>,
    /// Type of service of IPv4 and traffic class of IPv6 packets: the DSCP in the upper six bits. Default: 0.
    pub tos: Option<u8>,
    /// Bytes of the kernel's send buffer. Default: the system's. See [`UdpSocket::granted_buffers`].
    pub send_buffer: Option<u32>,
    /// Bytes of the kernel's receive buffer. Default: the system's. Too small a buffer loses packets whenever the program
    /// pauses: at 100 Mb/s 1 MB lasts for less than 80 ms, and the kernel counts more than the payload.
    pub receive_buffer: Option<u32>,
    /// Up to so many bytes the kernel's receive buffer may grow, each time to twice its size, when it has lost datagrams
    /// or [`UdpSocket::grow_receive_buffer`] is called. Default: never.
    pub receive_buffer_most: Option<u32>,
    /// Name of the only network interface to use (`SO_BINDTODEVICE`), such as `eth0`. Default: any. Linux only.
    pub device: Option<String>,
    /// Allows sending many datagrams as one message where the system can. Default: true. False is for tests and for
    /// network cards with a faulty driver.
    pub gso: bool,
    /// Allows receiving many datagrams as one message where the system can. Default: true.
    pub gro: bool,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            ipv6_only: None,
            ttl: None,
            tos: None,
            send_buffer: None,
            receive_buffer: None,
            receive_buffer_most: None,
            device: None,
            gso: true,
            gro: true,
        }
    }
}

/// How datagrams are dealt to the sockets of one port: by a number of 32 bits in them, most significant byte first, modulo
/// the number of sockets. A datagram too short for that goes to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "two offsets are all there is to it")]
pub struct Steering {
    /// Where the number begins, in bytes from the start of the datagram.
    pub number_at: u32,
    /// Where the one begins that counts where that is 0.
    pub or_else_at: u32,
}

/// Sizes of the kernel's buffers of one socket, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantedBuffers {
    /// Of the send buffer.
    pub send: u32,
    /// Of the receive buffer.
    pub receive: u32,
}

/// A non-blocking UDP socket.
///
/// Datagrams too large for the path are fragmented, as SRT over tunnels needs (`IP_MTU_DISCOVER` = `WANT`); one error
/// never ends the traffic of other peers. [`send_batch`](Self::send_batch) and [`recv_batch`](Self::recv_batch) carry
/// the traffic; any thread may use them, but only one thread at a time should receive.
#[derive(Debug)]
pub struct UdpSocket {
    pub(crate) socket: Arc<std::net::UdpSocket>,
    local: SocketAddr,
    granted_send: u32,
    granted_receive: AtomicU32,
    /// The receive buffer grows up to this.
    receive_most: AtomicU32,
    /// Trains may be sent; cleared when the first attempt shows that the way out cannot carry any.
    pub(crate) gso: AtomicBool,
    /// The kernel has taken a train.
    pub(crate) gso_proven: AtomicBool,
    pub(crate) kernel_drops_seen: AtomicU32,
    /// When a failure was last logged, in µs; 0 = never.
    pub(crate) last_warning: AtomicU64,
    pub(crate) counters: LiveCounters,
}

impl UdpSocket {
    /// Binds a new socket to `addr`, for itself alone; port 0 lets the system choose one.
    ///
    /// # Errors
    /// [`BindError`] tells the cause and what helps. A port that any socket of any program holds is
    /// [`BindError::InUse`].
    pub fn bind(addr: SocketAddr, options: &UdpOptions) -> Result<Self, BindError> {
        let socket = unbound(addr, options)?;
        socket.bind(&addr.into()).map_err(|error| BindError::at(addr, error))?;
        Self::assemble(socket.into(), addr, options)
    }

    /// Binds `count` sockets to one address, between which the system deals what arrives (`SO_REUSEPORT`).
    ///
    /// Which of them a datagram goes to is decided by its bytes alone, as `steering` says, so that one thread can serve each
    /// socket. The address is bound exclusively for a moment first: an address in use is an error as with [`bind`](Self::bind).
    /// All of them are to be closed together, for the system counts anew when one is gone.
    ///
    /// # Errors
    /// As [`bind`](Self::bind); [`BindError::Other`] with [`io::ErrorKind::Unsupported`] where the system cannot deal.
    pub fn bind_dealt(
        addr: SocketAddr,
        options: &UdpOptions,
        count: usize,
        steering: Steering,
    ) -> Result<Vec<Self>, BindError> {
        let addr = Self::bind(addr, options)?.local_addr();
        // The system would join datagrams of one sender whatever their numbers, and deal all of them by the first.
        let options = &UdpOptions { gro: false, ..options.clone() };
        let at = |error| BindError::at(addr, error);
        let mut sockets = Vec::with_capacity(count);
        for _ in 0..count {
            let socket = unbound(addr, options)?;
            sys::share_port(&SockRef::from(&socket)).map_err(at)?;
            socket.bind(&addr.into()).map_err(at)?;
            sockets.push(Self::assemble(socket.into(), addr, options)?);
        }
        if let Some(first) = sockets.first() {
            sys::steer(&SockRef::from(&*first.socket), count, steering).map_err(at)?;
        }
        Ok(sockets)
    }

    /// Takes over a bound socket and sets the options, except for `ipv6_only`.
    ///
    /// The caller keeps no copy of it that reads: whoever reads first has the datagram.
    ///
    /// # Errors
    /// [`BindError::Option`] or [`BindError::Device`] if an option is refused; [`BindError::Other`] if the socket is not
    /// bound.
    pub fn from_std(socket: std::net::UdpSocket, options: &UdpOptions) -> Result<Self, BindError> {
        let unknown = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
        let addr = socket.local_addr().map_err(|error| BindError::at(unknown, error))?;
        if addr.port() == 0 {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "the socket to take over is not bound");
            return Err(BindError::Other { addr, source: error });
        }
        configure(&SockRef::from(&socket), addr.is_ipv6(), options)?;
        Self::assemble(socket, addr, options)
    }

    fn assemble(
        socket: std::net::UdpSocket,
        addr: SocketAddr,
        options: &UdpOptions,
    ) -> Result<Self, BindError> {
        let at = |error| BindError::at(addr, error);
        socket.set_nonblocking(true).map_err(at)?;
        let granted = read_back(&SockRef::from(&socket), options).map_err(at)?;
        let local = socket.local_addr().map_err(at)?;
        tracing::debug!(%local, ?options, ?granted, "UDP socket ready");
        Ok(Self {
            socket: Arc::new(socket),
            local,
            granted_send: granted.send,
            granted_receive: AtomicU32::new(granted.receive),
            receive_most: AtomicU32::new(options.receive_buffer_most.unwrap_or(0)),
            gso: AtomicBool::new(options.gso && capabilities().gso),
            gso_proven: AtomicBool::new(false),
            kernel_drops_seen: AtomicU32::new(0),
            last_warning: AtomicU64::new(0),
            counters: LiveCounters::default(),
        })
    }

    /// The address it is bound to; the port is never 0.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sizes of the kernel's buffers as granted, in the unit of [`UdpOptions::receive_buffer`]. When less was granted
    /// than asked for, the log has said so.
    pub fn granted_buffers(&self) -> GrantedBuffers {
        GrantedBuffers { send: self.granted_send, receive: self.granted_receive.load(Relaxed) }
    }

    /// Asks the system for a receive buffer of twice the size, up to [`UdpOptions::receive_buffer_most`]; true if it has
    /// grown. For one thread at a time.
    pub fn grow_receive_buffer(&self) -> bool {
        let (before, most) = (self.granted_receive.load(Relaxed), self.receive_most.load(Relaxed));
        if before >= most {
            return false;
        }
        let socket = SockRef::from(&*self.socket);
        let asked = sys::set_receive_buffer(&socket, before.saturating_mul(2).min(most));
        let granted = asked.and_then(|()| socket.recv_buffer_size()).map_or(before, sys::usable_buffer);
        self.granted_receive.store(granted, Relaxed);
        if granted <= before {
            self.receive_most.store(before, Relaxed); // the system's limit: it is not asked again
        }
        tracing::debug!(local = %self.local, before, granted, "UDP receive buffer too small");
        granted > before
    }

    /// What it has carried, and what went wrong, since it was made.
    pub fn counters(&self) -> IoCounters {
        self.counters.snapshot()
    }

    /// The socket of the standard library, for options and facts that are not covered here.
    pub fn as_std(&self) -> &std::net::UdpSocket {
        &self.socket
    }

    /// A train was refused with `error`. If none was ever taken, the way out may be unable to carry any.
    pub(crate) fn on_train_refused(&self, error: &io::Error) {
        if sys::no_trains_at_all(error) && !self.gso_proven.load(Relaxed) && self.gso.swap(false, Relaxed) {
            tracing::debug!(local = %self.local, %error, "no UDP_SEGMENT on this path; datagrams go singly");
        }
    }
}

/// Why a socket could not be had. The text names the address, the cause and the mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another socket holds the port.
    #[error(
        "UDP {addr} is in use: stop the program that holds it, or bind another port (0 lets the system choose)"
    )]
    InUse {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The address belongs to no interface.
    #[error("{} is no address of this machine: bind one that is, or {} for all", addr.ip(), any(addr))]
    NotLocal {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The system forbids it.
    #[error(
        "not permitted to bind UDP {addr}: take a port above 1023, or run with the right to bind lower ones"
    )]
    NotPermitted {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The system has no IPv6, or no IPv4.
    #[error("this system has no {}: bind an address of the other family than {addr}", family(addr))]
    FamilyUnsupported {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// A link-local IPv6 address needs its interface.
    #[error("{addr} is link-local and valid on one interface only: name it, as in [fe80::1%eth0]:9000")]
    ScopeMissing {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The network interface cannot be used.
    #[error("cannot bind to network interface {device:?}: {source}; check its name and your privileges")]
    Device {
        /// Name of the interface.
        device: String,
        /// What the system said.
        source: io::Error,
    },
    /// An option was refused.
    #[error(
        "the system refuses {option} = {value}: {source}; choose another value or leave it at its default"
    )]
    Option {
        /// Name of the option as in the system's manual.
        option: &'static str,
        /// The value asked for.
        value: String,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot use UDP {addr}: {source}")]
    Other {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl BindError {
    /// The kind of I/O error this is, for callers that know only those.
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::InUse { .. } => io::ErrorKind::AddrInUse,
            Self::NotLocal { .. } => io::ErrorKind::AddrNotAvailable,
            Self::NotPermitted { .. } => io::ErrorKind::PermissionDenied,
            Self::FamilyUnsupported { .. } => io::ErrorKind::Unsupported,
            Self::ScopeMissing { .. } => io::ErrorKind::InvalidInput,
            Self::Device { source, .. } | Self::Option { source, .. } | Self::Other { source, .. } => {
                source.kind()
            }
        }
    }

    fn at(addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { addr },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { addr },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { addr },
            _ if source.raw_os_error() == Some(sys::EAFNOSUPPORT) => Self::FamilyUnsupported { addr },
            _ if lacks_scope(&addr) => Self::ScopeMissing { addr },
            _ => Self::Other { addr, source },
        }
    }

    fn option(option: &'static str, value: impl ToString, source: io::Error) -> Self {
        Self::Option { option, value: value.to_string(), source }
    }
}

/// `addr` as an IPv6 address: IPv4 becomes `::ffff:a.b.c.d`, the form in which a dual-stack socket reports it.
pub fn to_mapped(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        SocketAddr::V6(_) => addr,
    }
}

/// `addr` with `::ffff:a.b.c.d` turned back into IPv4: two names of one peer become equal.
pub fn to_canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, addr.port()),
        IpAddr::V6(_) => addr, // with its scope
    }
}

/// A socket for this address with all options set, not bound yet.
fn unbound(addr: SocketAddr, options: &UdpOptions) -> Result<Socket, BindError> {
    let made = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP));
    let socket = made.map_err(|error| BindError::at(addr, error))?;
    if let (Some(only), true) = (options.ipv6_only, addr.is_ipv6()) {
        socket.set_only_v6(only).map_err(|error| BindError::option("IPV6_V6ONLY", only, error))?;
    }
    configure(&SockRef::from(&socket), addr.is_ipv6(), options)?;
    Ok(socket)
}

/// Sets all options that belong before the first datagram.
fn configure(socket: &SockRef<'_>, v6: bool, options: &UdpOptions) -> Result<(), BindError> {
    if let Some(device) = &options.device {
        sys::bind_device(socket, device)
            .map_err(|source| BindError::Device { device: device.clone(), source })?;
    }
    if let Some(bytes) = options.send_buffer {
        sys::set_send_buffer(socket, bytes).map_err(|error| BindError::option("SO_SNDBUF", bytes, error))?;
    }
    if let Some(bytes) = options.receive_buffer {
        sys::set_receive_buffer(socket, bytes)
            .map_err(|error| BindError::option("SO_RCVBUF", bytes, error))?;
    }
    if let Some(ttl) = options.ttl {
        sys::set_ttl(socket, v6, ttl).map_err(|error| BindError::option("IP_TTL", ttl, error))?;
    }
    if let Some(tos) = options.tos {
        sys::set_tos(socket, v6, tos).map_err(|error| BindError::option("IP_TOS", tos, error))?;
    }
    sys::prepare(socket, v6, options.gro && capabilities().gro)
        .map_err(|error| BindError::option("packet information", "on", error))
}

fn read_back(socket: &SockRef<'_>, options: &UdpOptions) -> io::Result<GrantedBuffers> {
    static SEND_TOLD: AtomicBool = AtomicBool::new(false);
    static RECEIVE_TOLD: AtomicBool = AtomicBool::new(false);
    let granted = GrantedBuffers {
        send: sys::usable_buffer(socket.send_buffer_size()?),
        receive: sys::usable_buffer(socket.recv_buffer_size()?),
    };
    warn_if_less(options.send_buffer, granted.send, "send", "net.core.wmem_max", &SEND_TOLD);
    warn_if_less(options.receive_buffer, granted.receive, "receive", "net.core.rmem_max", &RECEIVE_TOLD);
    Ok(granted)
}

/// Warns, once per process: a program with a thousand sockets would otherwise say it a thousand times.
fn warn_if_less(asked: Option<u32>, granted: u32, which: &str, sysctl: &str, told: &AtomicBool) {
    let Some(asked) = asked.filter(|&asked| granted < asked) else { return };
    let mend = if cfg!(target_os = "linux") { sysctl } else { "the system's limit" };
    if !told.swap(true, Relaxed) {
        tracing::warn!(
            asked,
            granted,
            "UDP {which} buffer is smaller than asked for: raise {mend} to at least {asked}"
        );
    }
}

fn lacks_scope(addr: &SocketAddr) -> bool {
    matches!(addr, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

fn any(addr: &SocketAddr) -> &'static str {
    if addr.is_ipv4() { "0.0.0.0" } else { "[::]" }
}

fn family(addr: &SocketAddr) -> &'static str {
    if addr.is_ipv4() { "IPv4" } else { "IPv6" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{loopbacks, receive, socket_at, wait_readable};
    use crate::{RecvBatch, SendItem};
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    #[cfg(target_os = "linux")]
    fn datagrams_are_dealt_by_the_number_in_them() {
        for ip in loopbacks() {
            let addr = SocketAddr::new(ip, 0);
            let steering = Steering { number_at: 4, or_else_at: 8 };
            let sockets = UdpSocket::bind_dealt(addr, &UdpOptions::default(), 3, steering).unwrap();
            let local = sockets[0].local_addr();
            assert!(sockets.iter().all(|socket| socket.local_addr() == local));
            assert!(matches!(UdpSocket::bind(local, &UdpOptions::default()), Err(BindError::InUse { .. })));
            let sender = socket_at(ip, &UdpOptions::default());
            let datagram =
                |number: u32, or_else: u32| [[0; 4], number.to_be_bytes(), or_else.to_be_bytes()].concat();
            for (number, or_else, place) in
                [(3, 1, 0), (4, 0, 1), (u32::MAX, 0, 0), (8, 0, 2), (0, 7, 1), (0, 5, 2), (0, 0, 0)]
            {
                sender.as_std().send_to(&datagram(number, or_else), local).unwrap();
                assert_eq!(receive(&sockets[place], 1), [datagram(number, or_else)]);
            }
            sender.as_std().send_to(b"short", local).unwrap();
            wait_readable(&sockets[0]);
        }
    }

    #[test]
    fn a_port_in_use_is_an_error_that_names_address_and_mend() {
        for ip in loopbacks() {
            let first = socket_at(ip, &UdpOptions::default());
            let addr = first.local_addr();
            let error = UdpSocket::bind(addr, &UdpOptions::default()).unwrap_err();
            assert!(matches!(error, BindError::InUse { addr: named } if named == addr), "{error:?}");
            assert_eq!(error.io_kind(), io::ErrorKind::AddrInUse);
            let text = error.to_string();
            assert!(text.contains(&addr.to_string()) && text.contains("bind another port"), "{text}");
            drop(first);
            UdpSocket::bind(addr, &UdpOptions::default()).unwrap(); // and free again at once
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_port_is_in_use_even_if_its_holder_would_share_it() {
        let holder = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        holder.set_reuse_address(true).unwrap();
        holder.bind(&SocketAddr::new(LOOPBACK, 0).into()).unwrap();
        let addr = holder.local_addr().unwrap().as_socket().unwrap();
        let outcome = UdpSocket::bind(addr, &UdpOptions::default());
        assert!(matches!(outcome, Err(BindError::InUse { .. })), "{outcome:?}");
    }

    #[test]
    #[cfg(unix)]
    fn nobody_else_can_bind_our_port_not_even_to_share_it() {
        let ours = socket_at(LOOPBACK, &UdpOptions::default());
        let thief = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        thief.set_reuse_address(true).unwrap();
        let outcome = thief.bind(&ours.local_addr().into());
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_foreign_address_is_an_error_that_names_it() {
        let addr = "192.0.2.1:9000".parse().unwrap(); // for documentation, so nobody's
        let error = UdpSocket::bind(addr, &UdpOptions::default()).unwrap_err();
        assert!(matches!(error, BindError::NotLocal { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "192.0.2.1 is no address of this machine: bind one that is, or 0.0.0.0 for all"
        );
    }

    #[test]
    fn link_local_without_an_interface_asks_for_one() {
        if loopbacks().len() > 1 {
            let error =
                UdpSocket::bind("[fe80::1]:9000".parse().unwrap(), &UdpOptions::default()).unwrap_err();
            assert!(
                matches!(error, BindError::ScopeMissing { .. } | BindError::NotLocal { .. }),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_refused_option_is_named_with_its_value() {
        if cfg!(target_os = "linux") {
            let options = UdpOptions { ttl: Some(0), ..UdpOptions::default() };
            let error = UdpSocket::bind(SocketAddr::new(LOOPBACK, 0), &options).unwrap_err();
            assert!(error.to_string().contains("IP_TTL = 0"), "{error}");
        }
        let options = UdpOptions { device: Some("no-such-device".into()), ..UdpOptions::default() };
        let error = UdpSocket::bind(SocketAddr::new(LOOPBACK, 0), &options).unwrap_err();
        assert!(error.to_string().contains("no-such-device"), "{error}");
    }

    #[test]
    fn buffers_are_granted_and_read_back() {
        let options =
            UdpOptions { send_buffer: Some(50_000), receive_buffer: Some(60_000), ..UdpOptions::default() };
        let granted = socket_at(LOOPBACK, &options).granted_buffers();
        assert!(granted.send >= 50_000 && granted.receive >= 60_000, "{granted:?}");
    }

    #[test]
    fn a_receive_buffer_grows_up_to_its_bound_and_only_where_there_is_one() {
        let small = UdpOptions { receive_buffer: Some(20_000), ..UdpOptions::default() };
        let socket = socket_at(LOOPBACK, &small);
        assert!(!socket.grow_receive_buffer());
        let socket = socket_at(LOOPBACK, &UdpOptions { receive_buffer_most: Some(50_000), ..small });
        assert!(socket.grow_receive_buffer());
        assert!((40_000..50_000).contains(&socket.granted_buffers().receive));
        assert!(socket.grow_receive_buffer());
        assert!(!socket.grow_receive_buffer());
        assert_eq!(socket.granted_buffers().receive, 50_000);
    }

    #[test]
    fn a_receive_buffer_that_has_lost_datagrams_grows() {
        let small = UdpOptions {
            receive_buffer: Some(20_000),
            receive_buffer_most: Some(4 << 20),
            ..UdpOptions::default()
        };
        let (receiver, sender) = (socket_at(LOOPBACK, &small), socket_at(LOOPBACK, &UdpOptions::default()));
        let mut batch = RecvBatch::new();
        let before = receiver.granted_buffers().receive;
        for _ in 0..2 {
            // The kernel tells with the next datagram it takes what it has lost before.
            for _ in 0..100 {
                let item =
                    SendItem { to: receiver.local_addr(), from: None, data: &[7; 1_000], segment_size: 0 };
                sender.send(&item).unwrap();
            }
            while receiver.recv_batch(&mut batch).is_ok() {}
        }
        assert!(receiver.granted_buffers().receive > before);
    }

    #[test]
    fn a_socket_taken_over_serves_as_one_of_ours() {
        for ip in loopbacks() {
            let theirs = std::net::UdpSocket::bind((ip, 0)).unwrap();
            let addr = theirs.local_addr().unwrap();
            let taken = UdpSocket::from_std(theirs, &UdpOptions::default()).unwrap();
            assert_eq!(taken.local_addr(), addr);
            let sender = socket_at(ip, &UdpOptions::default());
            sender.send(&SendItem { to: addr, from: None, data: &[7; 2_500], segment_size: 1_000 }).unwrap();
            assert_eq!(receive(&taken, 3).iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
            let nothing_more = taken.recv_batch(&mut RecvBatch::new()); // would wait forever if it were blocking
            assert_eq!(nothing_more.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn an_unbound_socket_cannot_be_taken_over() {
        let unbound = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        assert!(UdpSocket::from_std(unbound.into(), &UdpOptions::default()).is_err());
    }

    #[test]
    fn an_icmp_error_of_a_connected_socket_is_counted_and_overcome() {
        let gone = socket_at(LOOPBACK, &UdpOptions::default());
        let to = gone.local_addr();
        drop(gone);
        let connected = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
        connected.connect(to).unwrap();
        let socket = UdpSocket::from_std(connected, &UdpOptions::default()).unwrap();
        if cfg!(target_os = "linux") {
            // Elsewhere a connected socket takes no destination.
            let item = SendItem { to, from: None, data: b"?", segment_size: 0 };
            while socket.counters().send.errors.refused == 0 {
                assert_eq!(socket.send(&item).unwrap().datagrams, 1);
            }
            while socket.counters().receive.errors.refused == 0 {
                assert_eq!(socket.send(&item).unwrap().datagrams, 1);
                let outcome = socket.recv_batch(&mut RecvBatch::new());
                assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::WouldBlock);
            }
        }
    }

    #[test]
    fn mapped_addresses_turn_into_ipv4_and_back() {
        let v4: SocketAddr = "192.0.2.7:9000".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:9000".parse().unwrap();
        assert_eq!(to_mapped(v4), mapped);
        assert_eq!(to_canonical(mapped), v4);
        assert_eq!((to_mapped(mapped), to_canonical(v4)), (mapped, v4));
        let scoped = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 1, 2, 3));
        assert_eq!((to_mapped(scoped), to_canonical(scoped)), (scoped, scoped));
    }

    #[test]
    fn a_dual_stack_socket_talks_to_ipv4_peers_under_either_name() {
        if loopbacks().len() > 1 {
            let options = UdpOptions { ipv6_only: Some(false), ..UdpOptions::default() };
            let both = socket_at(IpAddr::V6(Ipv6Addr::UNSPECIFIED), &options);
            let peer = socket_at(LOOPBACK, &UdpOptions::default());
            for to in [peer.local_addr(), to_mapped(peer.local_addr())] {
                let item = SendItem { to, from: None, data: &[1; 30], segment_size: 10 };
                assert_eq!(both.send(&item).unwrap().datagrams, 3);
                assert_eq!(receive(&peer, 3), [[1; 10]; 3]);
            }
            let to = SocketAddr::new(LOOPBACK, both.local_addr().port());
            peer.send(&SendItem { to, from: None, data: b"back", segment_size: 0 }).unwrap();
            let mut batch = RecvBatch::new();
            wait_readable(&both);
            both.recv_batch(&mut batch).unwrap();
            let item = batch.iter().next().unwrap();
            assert_eq!(item.from, to_mapped(peer.local_addr()));
            assert_eq!(to_canonical(item.from), peer.local_addr());
        }
    }

    #[test]
    fn an_ipv6_only_socket_leaves_the_port_to_ipv4() {
        if loopbacks().len() > 1 {
            let options = UdpOptions { ipv6_only: Some(true), ..UdpOptions::default() };
            let six = socket_at(IpAddr::V6(Ipv6Addr::UNSPECIFIED), &options);
            let four = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), six.local_addr().port());
            UdpSocket::bind(four, &UdpOptions::default()).unwrap();
        }
    }
}
