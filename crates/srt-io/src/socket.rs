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
            device: None,
            gso: true,
            gro: true,
        }
    }
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
    granted: GrantedBuffers,
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
        let at = |error| BindError::at(addr, error);
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP)).map_err(at)?;
        if let (Some(only), true) = (options.ipv6_only, addr.is_ipv6()) {
            socket.set_only_v6(only).map_err(|error| BindError::option("IPV6_V6ONLY", only, error))?;
        }
        configure(&SockRef::from(&socket), addr.is_ipv6(), options)?;
        socket.bind(&addr.into()).map_err(at)?;
        Self::assemble(socket.into(), addr, options)
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
            granted,
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

    /// Sizes of the kernel's buffers, as granted when the socket was made, in the unit of
    /// [`UdpOptions::receive_buffer`]. When less was granted than asked for, the log has said so.
    pub const fn granted_buffers(&self) -> GrantedBuffers {
        self.granted
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
    pub fn kind(&self) -> io::ErrorKind {
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
