//! Why a call cannot be answered now, or ever.

use crate::handshake::RejectReason;

/// Why a connection ended, or never came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer did not answer within CONNTIMEO.
    #[error(
        "the peer did not answer; check address, port and that a listener runs there, or raise CONNTIMEO"
    )]
    Timeout,
    /// The peer, or we, refused the connection.
    #[error("connection rejected: {0}")]
    Rejected(RejectReason),
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    PeerShutdown,
    /// Nothing was heard of the peer for PEERIDLETIMEO.
    #[error("the peer fell silent for longer than PEERIDLETIMEO")]
    PeerIdle,
    /// We closed it.
    #[error("the connection was closed")]
    Closed,
}

/// Why a message was not taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The handshake is not done.
    #[error("not connected yet")]
    NotConnected,
    /// The send buffer is full; room comes with the next acknowledgement.
    #[error("the send buffer is full")]
    Full,
    /// The message is longer than a packet may be.
    #[error(
        "a message of {len} bytes is longer than the payload size of {max}; send less or raise PAYLOADSIZE"
    )]
    TooLarge {
        /// Bytes given.
        len: usize,
        /// Bytes taken.
        max: usize,
    },
    /// The message is empty.
    #[error("a message needs at least one byte")]
    Empty,
    /// The connection is closing or has ended.
    #[error("{0}")]
    Closed(ConnectionError),
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The handshake is not done.
    #[error("not connected yet")]
    NotConnected,
    /// Nothing is due now.
    #[error("no message is due")]
    Empty,
    /// The connection has ended, and all that was received was handed out.
    #[error("{0}")]
    Closed(ConnectionError),
}
