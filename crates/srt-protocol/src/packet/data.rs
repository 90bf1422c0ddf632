//! Data packets (draft §3.1).
//!
//! ```text
//! |0|               sequence number               |
//! |PP|O|KK|R|           message number            |
//! |                   timestamp                   |
//! |             destination socket ID             |
//! ```

use super::{HEADER_SIZE, PacketError, PacketKind, SEQUENCE_FLAG, header_bytes, header_words};
use crate::types::{MsgNumber, SeqNumber, SocketId, Timestamp};

/// Where a packet stands in its message: the PP bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "two bits have four values")]
pub enum Boundary {
    /// Neither the first nor the last packet of its message.
    Middle = 0,
    /// The last packet of its message.
    Last = 1,
    /// The first packet of its message.
    First = 2,
    /// The whole message.
    Solo = 3,
}

impl Boundary {
    /// Whether a message begins with this packet.
    #[inline]
    pub const fn is_first(self) -> bool {
        matches!(self, Self::First | Self::Solo)
    }

    /// Whether a message ends with this packet.
    #[inline]
    pub const fn is_last(self) -> bool {
        matches!(self, Self::Last | Self::Solo)
    }

    /// The boundary of the packet that stands at these ends of its message.
    #[inline]
    pub const fn at(first: bool, last: bool) -> Self {
        match (first, last) {
            (true, true) => Self::Solo,
            (true, false) => Self::First,
            (false, true) => Self::Last,
            (false, false) => Self::Middle,
        }
    }
}

/// Which key a payload is encrypted with: the KK bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "two bits have four values")]
pub enum KeyFlag {
    /// The payload is clear.
    None = 0,
    /// The even key.
    Even = 1,
    /// The odd key.
    Odd = 2,
    /// Both bits set: no data packet may have that. Nobody can decrypt it.
    Reserved = 3,
}

/// The header of a data packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the header, and it has no others")]
pub struct DataHeader {
    /// The packet's place in the stream.
    pub seq: SeqNumber,
    /// The packet's place in its message.
    pub boundary: Boundary,
    /// Whether the message must not overtake those before it. Always false in live mode.
    pub in_order: bool,
    /// The key of the payload.
    pub key: KeyFlag,
    /// Whether this is a resend. libsrt before 1.2.0 has an ordinary bit of the message number here.
    pub retransmitted: bool,
    /// The message that the packet is part of.
    pub msgno: MsgNumber,
    /// The origin time of the message.
    pub timestamp: Timestamp,
    /// Whom the packet is for.
    pub destination: SocketId,
}

impl DataHeader {
    /// Reads the header at the front of `datagram`.
    ///
    /// # Errors
    /// When there are fewer than 16 bytes, or the F bit says that this is a control packet.
    #[inline]
    pub const fn parse(datagram: &[u8]) -> Result<Self, PacketError> {
        match datagram.first_chunk() {
            Some(header) => Self::from_bytes(header),
            None => {
                let (kind, need) = (PacketKind::Header, HEADER_SIZE);
                Err(PacketError::Truncated { kind, need, got: datagram.len() })
            }
        }
    }

    /// Reads a header.
    #[inline]
    const fn from_bytes(header: &[u8; HEADER_SIZE]) -> Result<Self, PacketError> {
        let [seq, message, timestamp, destination] = header_words(header);
        if seq & SEQUENCE_FLAG != 0 {
            return Err(PacketError::NotData);
        }
        Ok(Self {
            seq: SeqNumber::new(seq),
            boundary: match message >> 30 {
                0 => Boundary::Middle,
                1 => Boundary::Last,
                2 => Boundary::First,
                _ => Boundary::Solo,
            },
            in_order: message & IN_ORDER != 0,
            key: match (message >> KEY_SHIFT) & 0b11 {
                0 => KeyFlag::None,
                1 => KeyFlag::Even,
                2 => KeyFlag::Odd,
                _ => KeyFlag::Reserved,
            },
            retransmitted: message & RETRANSMITTED != 0,
            msgno: MsgNumber::new(message),
            timestamp: Timestamp::new(timestamp),
            destination: SocketId::new(destination),
        })
    }

    /// The header as it stands on the wire.
    #[inline]
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let message = (self.boundary as u32) << 30
            | if self.in_order { IN_ORDER } else { 0 }
            | (self.key as u32) << KEY_SHIFT
            | if self.retransmitted { RETRANSMITTED } else { 0 }
            | self.msgno.value();
        header_bytes([self.seq.value(), message, self.timestamp.value(), self.destination.value()])
    }

    /// Appends the header to `out`.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }
}

/// A data packet: header and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a packet has a header and a payload, and nothing else")]
pub struct DataPacket<'a> {
    /// The header.
    pub header: DataHeader,
    /// A piece of the message, encrypted as [`DataHeader::key`] says.
    pub payload: &'a [u8],
}

impl<'a> DataPacket<'a> {
    /// Reads a whole datagram.
    ///
    /// # Errors
    /// When there are fewer than 16 bytes, or the F bit says that this is a control packet.
    #[inline]
    pub const fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let Some((header, payload)) = datagram.split_first_chunk() else {
            let (kind, need) = (PacketKind::Header, HEADER_SIZE);
            return Err(PacketError::Truncated { kind, need, got: datagram.len() });
        };
        match DataHeader::from_bytes(header) {
            Ok(header) => Ok(Self { header, payload }),
            Err(error) => Err(error),
        }
    }

    /// Appends the packet to `out`.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        self.header.write(out);
        out.extend_from_slice(self.payload);
    }
}

const IN_ORDER: u32 = 1 << 29;
const KEY_SHIFT: u32 = 27;
const RETRANSMITTED: u32 = 1 << 26;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_header() -> impl Strategy<Value = DataHeader> {
        let boundary =
            prop::sample::select(vec![Boundary::Middle, Boundary::Last, Boundary::First, Boundary::Solo]);
        let key = prop::sample::select(vec![KeyFlag::None, KeyFlag::Even, KeyFlag::Odd, KeyFlag::Reserved]);
        (any::<[u32; 4]>(), boundary, key, any::<bool>(), any::<bool>()).prop_map(
            |([seq, msgno, timestamp, destination], boundary, key, in_order, retransmitted)| DataHeader {
                seq: SeqNumber::new(seq),
                boundary,
                in_order,
                key,
                retransmitted,
                msgno: MsgNumber::new(msgno),
                timestamp: Timestamp::new(timestamp),
                destination: SocketId::new(destination),
            },
        )
    }

    /// Draft §3.1: PP = 11, O = 0, KK = 01, R = 1, message 5.
    const ENCRYPTED_RESEND: [u8; 19] = [
        0x01,
        0x02,
        0x03,
        0x04, // sequence number
        0b1100_1100,
        0,
        0,
        5, // PP O KK R, message number
        0x00,
        0x0F,
        0x42,
        0x40, // one second
        0x2A,
        0x00,
        0x00,
        0x01, // destination
        b'a',
        b'b',
        b'c',
    ];

    #[test]
    fn a_data_packet_reads_as_the_draft_lays_it_out() {
        let packet = DataPacket::parse(&ENCRYPTED_RESEND).unwrap();
        let header = DataHeader {
            seq: SeqNumber::new(0x0102_0304),
            boundary: Boundary::Solo,
            in_order: false,
            key: KeyFlag::Even,
            retransmitted: true,
            msgno: MsgNumber::new(5),
            timestamp: Timestamp::new(1_000_000),
            destination: SocketId::new(0x2A00_0001),
        };
        assert_eq!(packet, DataPacket { header, payload: b"abc" });
        let mut written = Vec::new();
        packet.write(&mut written);
        assert_eq!(written, ENCRYPTED_RESEND);
    }

    #[test]
    fn each_flag_has_its_own_bit() {
        let plain = DataHeader {
            seq: SeqNumber::new(0),
            boundary: Boundary::Middle,
            in_order: false,
            key: KeyFlag::None,
            retransmitted: false,
            msgno: MsgNumber::CONTROL,
            timestamp: Timestamp::new(0),
            destination: SocketId::HANDSHAKE,
        };
        let flags = |header: DataHeader| header.to_bytes()[4];
        assert_eq!(flags(plain), 0);
        assert_eq!(flags(DataHeader { boundary: Boundary::First, ..plain }), 0b1000_0000);
        assert_eq!(flags(DataHeader { boundary: Boundary::Last, ..plain }), 0b0100_0000);
        assert_eq!(flags(DataHeader { in_order: true, ..plain }), 0b0010_0000);
        assert_eq!(flags(DataHeader { key: KeyFlag::Odd, ..plain }), 0b0001_0000);
        assert_eq!(flags(DataHeader { key: KeyFlag::Even, ..plain }), 0b0000_1000);
        assert_eq!(flags(DataHeader { retransmitted: true, ..plain }), 0b0000_0100);
        assert_eq!(flags(DataHeader { msgno: MsgNumber::new(u32::MAX), ..plain }), 0b0000_0011);
    }

    #[test]
    fn fifteen_bytes_are_no_data_packet() {
        let error = PacketError::Truncated { kind: PacketKind::Header, need: 16, got: 15 };
        assert_eq!(DataPacket::parse(&ENCRYPTED_RESEND[..15]), Err(error));
        assert_eq!(DataHeader::parse(&ENCRYPTED_RESEND[..15]), Err(error));
    }

    #[test]
    fn a_control_packet_is_not_taken_for_data() {
        let mut datagram = ENCRYPTED_RESEND;
        datagram[0] |= 0x80;
        assert_eq!(DataPacket::parse(&datagram), Err(PacketError::NotData));
    }

    #[test]
    fn a_boundary_knows_both_ends_of_its_message() {
        for (first, last) in [(false, false), (false, true), (true, false), (true, true)] {
            let boundary = Boundary::at(first, last);
            assert_eq!((boundary.is_first(), boundary.is_last()), (first, last));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn what_was_written_is_read(
            header in any_header(),
            payload in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let packet = DataPacket { header, payload: &payload };
            let mut out = b"before".to_vec();
            packet.write(&mut out);
            prop_assert_eq!(DataPacket::parse(&out[6..]), Ok(packet));
            prop_assert_eq!(DataHeader::parse(&out[6..]), Ok(header));
        }

        #[test]
        fn what_was_read_is_written(bytes: [u8; 16]) {
            match DataHeader::parse(&bytes) {
                Ok(header) => prop_assert_eq!(header.to_bytes(), bytes),
                Err(error) => prop_assert_eq!((error, bytes[0] >> 7), (PacketError::NotData, 1)),
            }
        }
    }
}
