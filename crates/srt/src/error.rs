//! What can go wrong in a call, each on one line that names the thing and the mend.

use std::{io, net::SocketAddr};

use srt_io::BindError;
use srt_protocol::{config::ConfigError, connection::ConnectionError, handshake::RejectReason};

use crate::uri::UriError;

/// Why a call failed.
///
/// Its text is one line that names what is at fault and, where there is one, the mend. [`is_timeout`](Self::is_timeout),
/// [`is_would_block`](Self::is_would_block) and [`is_end_of_stream`](Self::is_end_of_stream) ask the three questions that
/// a loop around a socket has. It turns into an [`io::Error`] of the fitting kind with `?`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A host name has no address.
    #[error("cannot find the host {name}: {source}; check the name, or give an IP address")]
    Resolve {
        /// The name and port as given.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The UDP port cannot be had.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// The port belongs to this program already, in a way that cannot be shared.
    #[error("UDP {local} is in use by this program: {why}")]
    PortShared {
        /// The address asked for.
        local: SocketAddr,
        /// What stands against sharing it, and the mend.
        why: &'static str,
    },
    /// An address that cannot be used for this.
    #[error("{addr}: {why}")]
    Address {
        /// The address.
        addr: SocketAddr,
        /// What is wrong with it, and the mend.
        why: &'static str,
    },
    /// There is no connection to the peer, and will be none.
    #[error("no connection to {peer}: {reason}")]
    Connect {
        /// Whom we called.
        peer: SocketAddr,
        /// Why not.
        reason: ConnectionError,
    },
    /// The handshake is not done yet.
    #[error("not connected yet: wait for the connection before using it")]
    NotConnected,
    /// The time for the call is over; nothing was sent or received, and the socket is as it was.
    #[error("{what} took longer than its timeout allows")]
    Timeout {
        /// The call: `send`, `receive`, `accept`, `connect`.
        what: &'static str,
    },
    /// The call would have to wait and may not.
    #[error("nothing to be done now without waiting")]
    WouldBlock,
    /// The socket is closed, or the connection has ended.
    #[error("{0}")]
    Closed(ConnectionError),
    /// The peer reported an error of its own with what it receives (PEERERROR). This message was not taken; the connection lives on.
    #[error("the peer reported error {code} with what it receives; the connection lives on")]
    Peer {
        /// libsrt's error code: 4000 is a failure to write to its file system.
        code: u32,
    },
    /// The connection was closed in order, and the peer never confirmed the last packets: they were lost, or too late.
    #[error("{packets} packets were never confirmed by the peer; they may be lost")]
    Unconfirmed {
        /// How many.
        packets: u64,
    },
    /// The listener is closed.
    #[error("the listener is closed")]
    ListenerClosed,
    /// The message is longer than one message may be.
    #[error("a message of {len} bytes is longer than the {max} that fit; send less, or raise payloadsize")]
    TooLarge {
        /// Bytes given.
        len: usize,
        /// Bytes that fit: PAYLOADSIZE.
        max: usize,
    },
    /// The message is empty, which SRT cannot send.
    #[error("a message needs at least one byte")]
    Empty,
    /// The message does not fit the buffer; it stays where it is.
    #[error("the message has {need} bytes and the buffer {have}: give a buffer of payloadsize bytes")]
    BufferTooSmall {
        /// Bytes of the message.
        need: usize,
        /// Bytes of the buffer.
        have: usize,
    },
    /// An option was refused.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// An `srt://` URI was refused.
    #[error("{0}")]
    Uri(#[from] UriError),
    /// The system would not give what a runtime needs.
    #[error("cannot start the SRT worker threads: {0}; threads and file descriptors may be used up")]
    Start(io::Error),
    /// The links given to a group cannot be.
    #[error("{why}")]
    Links {
        /// What is wrong with them, and the mend.
        why: &'static str,
    },
    /// The runtime of this socket was shut down.
    #[error("the SRT runtime was shut down")]
    RuntimeDown,
}

impl Error {
    /// The time for the call was over: try again, or give up.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// A call that may not wait would have had to: try again when the socket is ready.
    #[must_use]
    pub const fn is_would_block(&self) -> bool {
        matches!(self, Self::WouldBlock)
    }

    /// The peer ended the connection in order, and everything that was received has been read.
    #[must_use]
    pub const fn is_end_of_stream(&self) -> bool {
        matches!(self, Self::Closed(ConnectionError::PeerShutdown))
    }

    /// Why the connection ended or never came to be, if that is what the error tells.
    #[must_use]
    pub const fn connection_error(&self) -> Option<ConnectionError> {
        match self {
            Self::Connect { reason, .. } | Self::Closed(reason) => Some(*reason),
            _ => None,
        }
    }

    /// Why the peer rejected the connection, if it did.
    #[must_use]
    pub const fn reject_reason(&self) -> Option<RejectReason> {
        match self.connection_error() {
            Some(ConnectionError::Rejected(reason)) => Some(reason),
            _ => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Resolve { source, .. } | Error::Start(source) => source.kind(),
            Error::Bind(source) => source.io_kind(),
            Error::PortShared { .. } => io::ErrorKind::AddrInUse,
            Error::Connect { reason: ConnectionError::Timeout, .. } | Error::Timeout { .. } => {
                io::ErrorKind::TimedOut
            }
            Error::Connect { .. } => io::ErrorKind::ConnectionRefused,
            Error::WouldBlock => io::ErrorKind::WouldBlock,
            Error::Peer { .. } | Error::Unconfirmed { .. } => io::ErrorKind::Other,
            Error::Closed(ConnectionError::PeerShutdown) => io::ErrorKind::UnexpectedEof,
            Error::Closed(ConnectionError::PeerIdle) => io::ErrorKind::ConnectionReset,
            Error::NotConnected | Error::Closed(_) | Error::ListenerClosed | Error::RuntimeDown => {
                io::ErrorKind::NotConnected
            }
            Error::TooLarge { .. }
            | Error::Empty
            | Error::Address { .. }
            | Error::BufferTooSmall { .. }
            | Error::Config(_)
            | Error::Links { .. }
            | Error::Uri(_) => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_one_line() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 9000));
        let errors = [
            Error::Connect { peer, reason: ConnectionError::Timeout },
            Error::Resolve { name: "nowhere:1".into(), source: io::Error::other("no such host") },
            Error::PortShared { local: peer, why: "a listener has it" },
            Error::TooLarge { len: 2000, max: 1316 },
            Error::RuntimeDown,
        ];
        for error in errors {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn only_an_orderly_end_by_the_peer_is_an_end_of_stream() {
        assert!(Error::Closed(ConnectionError::PeerShutdown).is_end_of_stream());
        assert!(!Error::Closed(ConnectionError::PeerIdle).is_end_of_stream());
        assert!(!Error::Closed(ConnectionError::Closed).is_end_of_stream());
    }

    #[test]
    fn a_rejection_tells_its_reason() {
        let reason = RejectReason::from_code(1403);
        let peer = SocketAddr::from(([127, 0, 0, 1], 9000));
        let error = Error::Connect { peer, reason: ConnectionError::Rejected(reason) };
        assert_eq!(error.reject_reason(), Some(reason));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(Error::Closed(ConnectionError::PeerIdle).reject_reason(), None);
    }

    #[test]
    fn a_timeout_and_a_full_buffer_keep_their_kind_as_io_errors() {
        assert_eq!(io::Error::from(Error::Timeout { what: "send" }).kind(), io::ErrorKind::TimedOut);
        assert_eq!(io::Error::from(Error::WouldBlock).kind(), io::ErrorKind::WouldBlock);
    }
}
