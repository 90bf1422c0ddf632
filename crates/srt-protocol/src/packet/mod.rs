//! Bytes to values and back: the packets of SRT (draft §3).
//!
//! No state and no clock. Parsing borrows from the datagram and allocates nothing; whatever a peer sends gives a value or a
//! [`PacketError`], never a panic. Writing appends to a buffer of the caller's. Everything on the wire is big-endian, but
//! for the texts of the handshake ([`WireString`]) and its peer address, which libsrt swaps word by word.
//!
//! ```
//! use srt_protocol::packet::{Control, ControlPacket, Packet};
//! use srt_protocol::types::{SocketId, Timestamp};
//!
//! let packet = ControlPacket {
//!     timestamp: Timestamp::new(1_000),
//!     destination: SocketId::new(7),
//!     control: Control::AckAck { number: 42 },
//! };
//! let mut datagram = Vec::new();
//! packet.write(&mut datagram);
//! assert_eq!(Packet::parse(&datagram), Ok(Packet::Control(packet)));
//! ```

mod ack;
mod control;
mod data;
mod drop_request;
mod error;
mod extension;
mod handshake;
mod loss_report;

pub use ack::{Ack, AckDetail};
pub use control::{Control, ControlPacket};
pub use data::{Boundary, DataHeader, DataPacket, KeyFlag};
pub use drop_request::DropRequest;
pub use error::{PacketError, PacketKind};
pub use extension::{
    Extension, ExtensionIter, Extensions, GroupInfo, MAX_CONGESTION_BYTES, MAX_FILTER_BYTES,
    MAX_STREAM_ID_BYTES, SrtFlags, SrtParameters, WireString,
};
pub use handshake::{EXT_CONFIG, EXT_HSREQ, EXT_KMREQ, HANDSHAKE_SIZE, Handshake, HandshakeKind, MAGIC};
pub use loss_report::{LossRanges, LossReport};

use crate::types::SocketId;

/// Bytes before the payload or the control information of every packet.
pub const HEADER_SIZE: usize = 16;

/// Bytes of the IPv4 and UDP headers, which SRT counts towards the MSS and the rates. IPv6 takes 20 bytes more.
pub const UDP_IP_OVERHEAD: usize = 28;

/// One datagram, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the F bit has two values")]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for as long as one packet is handled")]
pub enum Packet<'a> {
    /// A piece of the stream (draft §3.1).
    Data(DataPacket<'a>),
    /// Anything else (draft §3.2).
    Control(ControlPacket<'a>),
}

impl<'a> Packet<'a> {
    /// Reads one datagram.
    ///
    /// # Errors
    /// When the datagram is too short for what it claims to be, is of an unknown control type, or contradicts itself.
    #[inline]
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        if datagram.first().is_some_and(|byte| byte & 0x80 != 0) {
            ControlPacket::parse(datagram).map(Self::Control)
        } else {
            DataPacket::parse(datagram).map(Self::Data)
        }
    }
}

/// Whom a datagram is for, without a parse; `None` when it is shorter than a header.
#[inline]
pub fn destination(datagram: &[u8]) -> Option<SocketId> {
    let header: &[u8; HEADER_SIZE] = datagram.first_chunk()?;
    let [.., id] = header_words(header);
    Some(SocketId::new(id))
}

/// The four words of a header.
#[inline]
const fn header_words(header: &[u8; HEADER_SIZE]) -> [u32; 4] {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = *header;
    [
        u32::from_be_bytes([a0, a1, a2, a3]),
        u32::from_be_bytes([b0, b1, b2, b3]),
        u32::from_be_bytes([c0, c1, c2, c3]),
        u32::from_be_bytes([d0, d1, d2, d3]),
    ]
}

/// The header of four words.
#[inline]
fn header_bytes([a, b, c, d]: [u32; 4]) -> [u8; HEADER_SIZE] {
    (u128::from(a) << 96 | u128::from(b) << 64 | u128::from(c) << 32 | u128::from(d)).to_be_bytes()
}

/// Appends words in network order.
#[inline]
fn put_words(out: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// Bit 31 of a word that should be a sequence number: there it is always clear.
const SEQUENCE_FLAG: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_destination_is_the_fourth_word() {
        let datagram = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78];
        assert_eq!(destination(&datagram), Some(SocketId::new(0x1234_5678)));
        assert_eq!(destination(&datagram[..15]), None);
    }

    #[test]
    fn an_empty_datagram_is_an_error() {
        assert_eq!(
            Packet::parse(&[]),
            Err(PacketError::Truncated { kind: PacketKind::Header, need: 16, got: 0 })
        );
    }

    /// Bytes that begin like each kind of packet, so that every parser is reached and not only the data packet's.
    fn hostile_datagram() -> impl Strategy<Value = Vec<u8>> {
        let kind = prop_oneof![0_u16..10, Just(0x7FFF), any::<u16>()];
        let tail = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            // Small words make plausible lengths and kinds of extension blocks.
            prop::collection::vec(
                prop_oneof![0_u32..12, any::<u32>(), (1_u32..9).prop_map(|k| k << 16 | k)],
                0..50
            )
            .prop_map(|words| words.into_iter().flat_map(u32::to_be_bytes).collect()),
        ];
        (any::<bool>(), kind, tail).prop_map(|(control, kind, tail)| {
            let mut datagram = (kind | u16::from(control) << 15).to_be_bytes().to_vec();
            datagram.extend(tail);
            datagram
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn no_bytes_make_the_parser_panic(datagram in hostile_datagram()) {
            let _ = destination(&datagram);
            let Ok(packet) = Packet::parse(&datagram) else { return Ok(()) };
            if let Packet::Control(ControlPacket { control, .. }) = packet {
                match control {
                    Control::Handshake(handshake) => {
                        for extension in handshake.extensions.iter().flatten() {
                            if let Extension::StreamId(text) = extension {
                                prop_assert!(text.decode().len() <= MAX_STREAM_ID_BYTES);
                            }
                        }
                    }
                    Control::Nak(report) => {
                        for (first, last) in report.iter() {
                            prop_assert!(last.distance_from(first) >= 0);
                        }
                    }
                    _ => {}
                }
            }
            // What was understood can be said again, and means the same.
            let mut again = Vec::new();
            match packet {
                Packet::Data(data) => data.write(&mut again),
                Packet::Control(control) => control.write(&mut again),
            }
            prop_assert_eq!(Packet::parse(&again), Ok(padded(packet)));
        }
    }

    /// What a packet reads as after it was written: an empty user-defined content gains libsrt's pad.
    fn padded(packet: Packet<'_>) -> Packet<'_> {
        match packet {
            Packet::Control(ControlPacket {
                timestamp,
                destination,
                control: Control::UserDefined { subtype, info, content: [] },
            }) => Packet::Control(ControlPacket {
                timestamp,
                destination,
                control: Control::UserDefined { subtype, info, content: &[0; 4] },
            }),
            other => other,
        }
    }
}
