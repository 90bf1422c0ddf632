//! What a socket has carried, and what went wrong.
//!
//! The counters stand in the socket as relaxed atomics: each is exact, a snapshot taken while another thread sends
//! may be a few packets apart between two of them.

use crate::sys;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Everything one [`UdpSocket`](crate::UdpSocket) has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoCounters {
    /// Outgoing traffic.
    pub send: SendCounters,
    /// Incoming traffic.
    pub receive: ReceiveCounters,
}

/// Outgoing traffic of one socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendCounters {
    /// System calls made to send, whatever came of them.
    pub calls: u64,
    /// Datagrams the kernel took.
    pub datagrams: u64,
    /// Bytes of UDP payload the kernel took.
    pub bytes: u64,
    /// Calls that ended because the send buffer was full.
    pub blocked: u64,
    /// Messages the kernel took with `UDP_SEGMENT`: each carried at least two datagrams.
    pub trains: u64,
    /// Messages with `UDP_SEGMENT` that the kernel refused; their datagrams were then sent singly.
    pub refused_trains: u64,
    /// Datagrams that could not be sent, by cause. Pending ICMP errors of connected sockets are counted too.
    pub errors: ErrorCounters,
}

/// Incoming traffic of one socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveCounters {
    /// System calls made to receive, those that found nothing included.
    pub calls: u64,
    /// Messages received: with `UDP_GRO` one may hold many datagrams.
    pub messages: u64,
    /// Datagrams received.
    pub datagrams: u64,
    /// Bytes of UDP payload received.
    pub bytes: u64,
    /// Messages thrown away because the kernel had to cut them or what it says about them.
    pub truncated: u64,
    /// Datagrams the kernel dropped because the receive buffer was full (`SO_RXQ_OVFL`; Linux only). Told with the next
    /// datagram that does arrive.
    pub kernel_drops: u64,
    /// Errors the kernel reported instead of a datagram.
    pub errors: ErrorCounters,
}

/// Errors by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorCounters {
    /// Larger than UDP or the path allows (`EMSGSIZE`).
    pub too_large: u64,
    /// No route, or the network or host cannot be reached (`ENETUNREACH`, `EHOSTUNREACH`, `ENETDOWN`).
    pub unreachable: u64,
    /// The peer's machine said that nobody listens (`ECONNREFUSED`; on Windows also `WSAECONNRESET`).
    pub refused: u64,
    /// Forbidden, mostly by a firewall rule (`EPERM`, `EACCES`).
    pub not_permitted: u64,
    /// The kernel or the card was out of memory or queue space (`ENOBUFS`, `ENOMEM`).
    pub no_buffers: u64,
    /// Anything else.
    pub other: u64,
}

impl ErrorCounters {
    /// All errors together.
    pub const fn total(&self) -> u64 {
        self.too_large + self.unreachable + self.refused + self.not_permitted + self.no_buffers + self.other
    }
}

/// The same as [`IoCounters`], counting.
#[derive(Debug, Default)]
pub(crate) struct LiveCounters {
    pub(crate) send_calls: Counter,
    pub(crate) sent_datagrams: Counter,
    pub(crate) sent_bytes: Counter,
    pub(crate) blocked: Counter,
    pub(crate) trains: Counter,
    pub(crate) refused_trains: Counter,
    pub(crate) send_errors: LiveErrors,
    pub(crate) receive_calls: Counter,
    pub(crate) messages: Counter,
    pub(crate) received_datagrams: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) truncated: Counter,
    pub(crate) kernel_drops: Counter,
    pub(crate) receive_errors: LiveErrors,
}

impl LiveCounters {
    pub(crate) fn snapshot(&self) -> IoCounters {
        IoCounters {
            send: SendCounters {
                calls: self.send_calls.get(),
                datagrams: self.sent_datagrams.get(),
                bytes: self.sent_bytes.get(),
                blocked: self.blocked.get(),
                trains: self.trains.get(),
                refused_trains: self.refused_trains.get(),
                errors: self.send_errors.snapshot(),
            },
            receive: ReceiveCounters {
                calls: self.receive_calls.get(),
                messages: self.messages.get(),
                datagrams: self.received_datagrams.get(),
                bytes: self.received_bytes.get(),
                truncated: self.truncated.get(),
                kernel_drops: self.kernel_drops.get(),
                errors: self.receive_errors.snapshot(),
            },
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct LiveErrors {
    too_large: Counter,
    unreachable: Counter,
    refused: Counter,
    not_permitted: Counter,
    no_buffers: Counter,
    other: Counter,
}

impl LiveErrors {
    /// Counts `error`, which kept `datagrams` from the wire.
    pub(crate) fn count(&self, error: &io::Error, datagrams: usize) {
        use io::ErrorKind as Kind;
        let code = error.raw_os_error();
        let counter = match error.kind() {
            _ if code == Some(sys::EMSGSIZE) => &self.too_large,
            _ if code == Some(sys::ENOBUFS) => &self.no_buffers,
            Kind::OutOfMemory => &self.no_buffers,
            Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::NetworkDown => &self.unreachable,
            Kind::ConnectionRefused | Kind::ConnectionReset => &self.refused,
            Kind::PermissionDenied => &self.not_permitted,
            _ => &self.other,
        };
        counter.add(datagrams);
    }

    fn snapshot(&self) -> ErrorCounters {
        ErrorCounters {
            too_large: self.too_large.get(),
            unreachable: self.unreachable.get(),
            refused: self.refused.get(),
            not_permitted: self.not_permitted.get(),
            no_buffers: self.no_buffers.get(),
            other: self.other.get(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_under_their_cause() {
        let errors = LiveErrors::default();
        for (error, datagrams) in [
            (io::Error::from_raw_os_error(sys::EMSGSIZE), 1),
            (io::Error::from_raw_os_error(sys::ENOBUFS), 2),
            (io::ErrorKind::NetworkUnreachable.into(), 3),
            (io::ErrorKind::HostUnreachable.into(), 4),
            (io::ErrorKind::ConnectionRefused.into(), 5),
            (io::ErrorKind::PermissionDenied.into(), 6),
            (io::ErrorKind::InvalidInput.into(), 7),
        ] {
            errors.count(&error, datagrams);
        }
        let expected = ErrorCounters {
            too_large: 1,
            no_buffers: 2,
            unreachable: 7,
            refused: 5,
            not_permitted: 6,
            other: 7,
        };
        assert_eq!(errors.snapshot(), expected);
        assert_eq!(expected.total(), 28);
    }
}
