//! Why a datagram was thrown away.

use core::fmt;

use super::extension::BlockKind;
use crate::types::SeqNumber;

/// What is wrong with a datagram, or with one block of a handshake. Never fatal by itself: the datagram is
/// dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Shorter than its kind of packet can be.
    #[error("{kind} needs {need} bytes, got {got}")]
    Truncated {
        /// What the datagram claims to be.
        kind: PacketKind,
        /// The least number of bytes: of the whole datagram for [`PacketKind::Header`] and
        /// [`PacketKind::Data`], of what follows the header for all others.
        need: usize,
        /// The number of bytes there are, counted alike.
        got: usize,
    },
    /// The length of a list of 32-bit words is not a multiple of four.
    #[error("{kind} consists of words of 4 bytes, got {got} bytes")]
    Ragged {
        /// What the datagram claims to be.
        kind: PacketKind,
        /// The number of bytes after the header.
        got: usize,
    },
    /// A data packet was expected, and the F bit says control.
    #[error("the F bit says control packet where a data packet is expected")]
    NotData,
    /// A control packet was expected, and the F bit says data.
    #[error("the F bit says data packet where a control packet is expected")]
    NotControl,
    /// A control packet of a type that nobody has defined.
    #[error("unknown control type {0:#06x}")]
    UnknownControlType(u16),
    /// A sequence number with bit 31 set.
    #[error("{kind} has {word:#010x} for a sequence number, which has 31 bits")]
    SequenceNumber {
        /// What the datagram claims to be.
        kind: PacketKind,
        /// The word that stands where a sequence number should.
        word: u32,
    },
    /// A range whose last number comes before the first, or lies so far ahead that it can only be nonsense.
    #[error("{kind} names the packets {first} to {last}, which is no range")]
    Range {
        /// What the datagram claims to be.
        kind: PacketKind,
        /// Where the range claims to begin.
        first: SeqNumber,
        /// Where the range claims to end.
        last: SeqNumber,
    },
    /// A NAK ends after the first number of a range.
    #[error("NAK ends within the range that begins at {first}")]
    UnpairedRange {
        /// Where the range begins.
        first: SeqNumber,
    },
    /// An extension block of a handshake ends beyond the datagram.
    #[error("extension {} claims {need} bytes of content, {got} are left", BlockKind(*block))]
    BlockPastEnd {
        /// The kind of the block; 0 when not even its header is whole.
        block: u16,
        /// The bytes of content it claims to have.
        need: usize,
        /// The bytes that are left.
        got: usize,
    },
    /// An extension block of a handshake has a length that its kind cannot have.
    #[error("extension {} takes {min} to {max} bytes, got {got}", BlockKind(*block))]
    BlockSize {
        /// The kind of the block.
        block: u16,
        /// The least number of bytes of content.
        min: usize,
        /// The largest number of bytes of content.
        max: usize,
        /// The number of bytes there are.
        got: usize,
    },
}

/// What a datagram claims to be; the subject of a [`PacketError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PacketKind {
    /// Any packet: the header that all have.
    Header,
    /// A data packet.
    Data,
    /// A handshake.
    Handshake,
    /// An acknowledgement.
    Ack,
    /// A loss report.
    Nak,
    /// A message drop request.
    DropRequest,
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "an SRT packet",
            Self::Data => "a data packet",
            Self::Handshake => "a handshake",
            Self::Ack => "an ACK",
            Self::Nak => "a NAK",
            Self::DropRequest => "a DROPREQ",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_wrong() {
        let truncated = PacketError::Truncated { kind: PacketKind::Handshake, need: 48, got: 40 };
        assert_eq!(truncated.to_string(), "a handshake needs 48 bytes, got 40");
        let block = PacketError::BlockSize { block: 1, min: 12, max: 12, got: 8 };
        assert_eq!(block.to_string(), "extension HSREQ takes 12 to 12 bytes, got 8");
        let past = PacketError::BlockPastEnd { block: 99, need: 40, got: 4 };
        assert_eq!(past.to_string(), "extension 99 claims 40 bytes of content, 4 are left");
    }
}
