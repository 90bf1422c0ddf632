//! Bytes to values and back: the packets of SRT (draft §3).
//!
//! No state and no clock. Parsing borrows from the datagram and allocates nothing; whatever a peer sends
//! gives a value or a [`PacketError`], never a panic. Writing appends to a buffer of the caller's. Everything
//! on the wire is big-endian, but for the texts of the handshake ([`WireString`]) and its peer address, which
//! libsrt swaps word by word.
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
mod key_material;
mod loss_report;
mod stream_report;

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
pub use key_material::{
    CarriedKeys, KEY_MATERIAL_MAX, KMREQ, KMRSP, KeyMaterial, KeyMaterialAnswer, KeyMaterialError, KmState,
    Parity,
};
pub use loss_report::{LossRanges, LossReport};
pub use stream_report::{STREAM_REPORT, STREAM_REPORT_RUNS, StreamReport};

use crate::types::SocketId;

/// Bytes before the payload or the control information of every packet.
pub const HEADER_SIZE: usize = 16;

/// Bytes of the IPv4 and UDP headers, which SRT counts towards the MSS and the rates. IPv6 takes 20 bytes
/// more.
pub const UDP_IP_OVERHEAD: usize = 28;

/// One datagram, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the F bit has two values")]
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
    /// When the datagram is too short for what it claims to be, is of an unknown control type, or contradicts
    /// itself.
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

    /// What srt-live-transmit 1.5.1 and a listener of the same version said to each other: a stream ID, a
    /// passphrase, losses.
    const CONVERSATION: [&str; 10] = [
        // Induction, caller
        "8000000000000000000000c100000000000000040000000270af0e21000005dc000020000000000108794d36 \
         000000000100007f000000000000000000000000",
        // Induction, listener
        "80000000000000000006ffc608794d360000000500004a1770af0e21000005dc000020000000000108794d36 \
         740ce7bd0100007f000000000000000000000000",
        // Conclusion, caller
        "80000000000000000000083100000000000000050000000770af0e21000005dc00002000ffffffff08794d36 \
         740ce7bd0100007f0000000000000000000000000001000300010501000000bf00780000000500063a3a2123 \
         696c3d722c31657675703d6d73696c62000000680003000e1220290100000000020002000000040494c1cd3e \
         c3fd67dd6b46c1976e4a5cce6220aea038f0a3cb6d994e67d26b2669372c85d9b117cb37",
        // Conclusion, listener
        "8000000000000000000003e408794d36000000050000000370af0e21000005dc00002000ffffffff1b2a0013 \
         740ce7bd0100007f0000000000000000000000000002000300010501000000bf007800780004000e12202901 \
         00000000020002000000040494c1cd3ec3fd67dd6b46c1976e4a5cce6220aea038f0a3cb6d994e67d26b2669 \
         372c85d9b117cb37",
        // KEEPALIVE
        "8001000000000000004ef11f1b2a001300000000",
        // ACK
        "80020000000000010003490708794d3670af0e2b000186a00000c35000001ff500000000000003e800000000",
        // NAK of a range
        "8003000000000000000315b208794d36f0af0e2770af0e29",
        // NAK of one packet
        "80030000000000000004cbf608794d3670af0e31",
        // ACKACK
        "8006000000000001000352a71b2a001300000000",
        // SHUTDOWN
        "8005000000000000005cd8241b2a001300000000",
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn what_libsrt_sent_is_read_and_written_again_byte_for_byte() {
        for hex in CONVERSATION {
            let datagram = bytes(hex);
            let Ok(Packet::Control(packet)) = Packet::parse(&datagram) else { panic!("{hex}") };
            let mut again = Vec::new();
            packet.write(&mut again);
            assert_eq!(again, datagram, "{packet:?}");
            // A handshake's blocks once more, from the values that were read.
            if let Control::Handshake(handshake) = packet.control {
                let blocks: Result<Vec<_>, _> = handshake.extensions.iter().collect();
                let blocks = blocks.unwrap();
                let rewritten = Handshake { extensions: Extensions::List(&blocks), ..handshake };
                again.clear();
                ControlPacket { control: Control::Handshake(rewritten), ..packet }.write(&mut again);
                assert_eq!(again, datagram, "{blocks:?}");
            }
        }
    }

    #[test]
    fn the_conclusion_of_libsrt_means_what_it_was_told_to_say() {
        let datagram = bytes(CONVERSATION[2]);
        let Ok(Packet::Control(ControlPacket { control: Control::Handshake(conclusion), .. })) =
            Packet::parse(&datagram)
        else {
            panic!("no handshake")
        };
        assert_eq!((conclusion.version, conclusion.kind), (5, HandshakeKind::Conclusion));
        assert_eq!(conclusion.extension_field, EXT_HSREQ | EXT_KMREQ | EXT_CONFIG);
        assert_eq!((conclusion.mtu, conclusion.flow_window), (1500, 8192));
        assert_eq!(conclusion.peer_ip, std::net::IpAddr::from([127, 0, 0, 1]));
        let blocks: Vec<_> = conclusion.extensions.iter().map(Result::unwrap).collect();
        let [
            Extension::HandshakeRequest(SrtParameters {
                version: 0x01_0501,
                flags,
                receiver_latency_ms: 120,
                sender_latency_ms: 0,
            }),
            Extension::StreamId(stream_id),
            Extension::KeyMaterialRequest(key_material),
        ] = blocks[..]
        else {
            panic!("{blocks:?}")
        };
        assert_eq!(flags.bits(), 0xBF);
        assert_eq!(stream_id.decode(), b"#!::r=live1,m=publish");
        assert_eq!(key_material.len(), 56);
    }

    /// Bytes that begin like each kind of packet, so that every parser is reached and not only the data
    /// packet's.
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
