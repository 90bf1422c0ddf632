//! Control packets (draft §3.2): the header they share, and the table of their types.
//!
//! ```text
//! |1|         control type        |    subtype    |
//! |           type-specific information           |
//! |                   timestamp                   |
//! |             destination socket ID             |
//! ```

use super::{
    Ack, DropRequest, HEADER_SIZE, Handshake, LossReport, PacketError, PacketKind, header_bytes, header_words,
};
use crate::types::{SocketId, Timestamp};

/// A control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the packet, and it has no others")]
pub struct ControlPacket<'a> {
    /// The time it was sent.
    pub timestamp: Timestamp,
    /// Whom the packet is for; zero for a handshake to a listener.
    pub destination: SocketId,
    /// What it says.
    pub control: Control<'a>,
}

/// What a control packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control<'a> {
    /// A step of the handshake (draft §3.2.1).
    Handshake(Handshake<'a>),
    /// "I am still here" (§3.2.3). Comes with a pad, with nothing or with a word for groups; none of it tells
    /// anything.
    Keepalive,
    /// What has arrived (§3.2.4).
    Ack(Ack),
    /// What is missing (§3.2.5).
    Nak(LossReport<'a>),
    /// The delay grows (§3.2.6). libsrt never sends it; when it gets one it spaces its packets 1/8 further
    /// apart.
    CongestionWarning,
    /// The connection has ended (§3.2.7).
    Shutdown,
    /// The answer to an ACK, for the round-trip time (§3.2.8).
    AckAck {
        /// The number of that ACK.
        number: u32,
    },
    /// What will not come any more (§3.2.9).
    DropRequest(DropRequest),
    /// The receiving application has failed (§3.2.10): the code it gives. libsrt sends 4000 when it cannot
    /// write a file.
    PeerError(u32),
    /// A message of an extension (§3.2): key material once the connection stands, HSREQ and HSRSP of
    /// handshake version 4.
    UserDefined {
        /// What it is, by the numbers of the [handshake extensions](super::Extension::kind).
        subtype: u16,
        /// The type-specific information, which libsrt leaves zero.
        info: u32,
        /// What it says. An empty content is written, and then read, as four zero bytes.
        content: &'a [u8],
    },
}

impl<'a> ControlPacket<'a> {
    /// Reads a whole datagram.
    ///
    /// # Errors
    /// When the datagram is too short, says by its F bit that it is a data packet, is of an unknown type, or
    /// contradicts itself.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let Some((header, content)) = datagram.split_first_chunk::<HEADER_SIZE>() else {
            let (kind, need) = (PacketKind::Header, HEADER_SIZE);
            return Err(PacketError::Truncated { kind, need, got: datagram.len() });
        };
        let [flagged_type, info, timestamp, destination] = header_words(header);
        if flagged_type & CONTROL == 0 {
            return Err(PacketError::NotControl);
        }
        let [control_type, subtype] = halves(flagged_type & !CONTROL);
        let control = match control_type {
            HANDSHAKE => Control::Handshake(Handshake::parse(content)?),
            KEEPALIVE => Control::Keepalive,
            ACK => Control::Ack(Ack::parse(info, content)?),
            NAK => Control::Nak(LossReport::parse(content)?),
            CONGESTION_WARNING => Control::CongestionWarning,
            SHUTDOWN => Control::Shutdown,
            ACKACK => Control::AckAck { number: info },
            DROP_REQUEST => Control::DropRequest(DropRequest::parse(info, content)?),
            PEER_ERROR => Control::PeerError(info),
            USER_DEFINED => Control::UserDefined { subtype, info, content },
            unknown => return Err(PacketError::UnknownControlType(unknown)),
        };
        Ok(Self { timestamp: Timestamp::new(timestamp), destination: SocketId::new(destination), control })
    }

    /// Appends the packet to `out`. What has no content gets four zero bytes, as from libsrt.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (control_type, subtype, info) = match &self.control {
            Control::Handshake(_) => (HANDSHAKE, 0, 0),
            Control::Keepalive => (KEEPALIVE, 0, 0),
            Control::Ack(ack) => (ACK, 0, ack.number),
            Control::Nak(_) => (NAK, 0, 0),
            Control::CongestionWarning => (CONGESTION_WARNING, 0, 0),
            Control::Shutdown => (SHUTDOWN, 0, 0),
            Control::AckAck { number } => (ACKACK, 0, *number),
            Control::DropRequest(request) => (DROP_REQUEST, 0, request.msgno.value()),
            Control::PeerError(code) => (PEER_ERROR, 0, *code),
            Control::UserDefined { subtype, info, .. } => (USER_DEFINED, *subtype, *info),
        };
        let flagged_type = CONTROL | u32::from(control_type) << 16 | u32::from(subtype);
        out.extend_from_slice(&header_bytes([
            flagged_type,
            info,
            self.timestamp.value(),
            self.destination.value(),
        ]));
        match &self.control {
            Control::Handshake(handshake) => handshake.write(out),
            Control::Ack(ack) => ack.write(out),
            Control::Nak(report) => report.write(out),
            Control::DropRequest(request) => request.write(out),
            Control::UserDefined { content: content @ [_, ..], .. } => out.extend_from_slice(content),
            Control::Keepalive
            | Control::CongestionWarning
            | Control::Shutdown
            | Control::AckAck { .. }
            | Control::PeerError(_)
            | Control::UserDefined { content: [], .. } => out.extend_from_slice(&PAD),
        }
    }
}

/// The upper and the lower 16 bits of a word.
pub(super) const fn halves(word: u32) -> [u16; 2] {
    let [a, b, c, d] = word.to_be_bytes();
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

/// The F bit.
const CONTROL: u32 = 1 << 31;
/// What libsrt sends where there is nothing to send.
const PAD: [u8; 4] = [0; 4];

const HANDSHAKE: u16 = 0;
const KEEPALIVE: u16 = 1;
const ACK: u16 = 2;
const NAK: u16 = 3;
const CONGESTION_WARNING: u16 = 4;
const SHUTDOWN: u16 = 5;
const ACKACK: u16 = 6;
const DROP_REQUEST: u16 = 7;
const PEER_ERROR: u16 = 8;
const USER_DEFINED: u16 = 0x7FFF;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::AckDetail;
    use crate::types::{MsgNumber, SeqNumber};
    use proptest::prelude::*;

    fn packet(control: Control<'_>) -> ControlPacket<'_> {
        ControlPacket {
            timestamp: Timestamp::new(0x0102_0304),
            destination: SocketId::new(0x0A0B_0C0D),
            control,
        }
    }

    fn written(control: Control<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        packet(control).write(&mut out);
        out
    }

    /// The wire of a packet: its first two words, what follows the header, and between them time and
    /// destination.
    fn wire(front: [u8; 8], content: &[u8]) -> Vec<u8> {
        [&front[..], &[1, 2, 3, 4, 0x0A, 0x0B, 0x0C, 0x0D], content].concat()
    }

    #[test]
    fn every_type_has_the_draft_s_number_and_libsrt_s_pad() {
        let ack = Ack { number: 0, next: SeqNumber::new(7), detail: AckDetail::Light };
        let drop =
            DropRequest { msgno: MsgNumber::new(3), first: SeqNumber::new(1), last: SeqNumber::new(2) };
        let ranges = [(SeqNumber::new(1), SeqNumber::new(2))];
        let cases = [
            (Control::Keepalive, wire([0x80, 1, 0, 0, 0, 0, 0, 0], &[0; 4])),
            (Control::Ack(ack), wire([0x80, 2, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 7])),
            (
                Control::Nak(LossReport::Ranges(&ranges)),
                wire([0x80, 3, 0, 0, 0, 0, 0, 0], &[0x80, 0, 0, 1, 0, 0, 0, 2]),
            ),
            (Control::CongestionWarning, wire([0x80, 4, 0, 0, 0, 0, 0, 0], &[0; 4])),
            (Control::Shutdown, wire([0x80, 5, 0, 0, 0, 0, 0, 0], &[0; 4])),
            (Control::AckAck { number: 9 }, wire([0x80, 6, 0, 0, 0, 0, 0, 9], &[0; 4])),
            (Control::DropRequest(drop), wire([0x80, 7, 0, 0, 0, 0, 0, 3], &[0, 0, 0, 1, 0, 0, 0, 2])),
            (Control::PeerError(4000), wire([0x80, 8, 0, 0, 0, 0, 0x0F, 0xA0], &[0; 4])),
            (
                Control::UserDefined { subtype: 3, info: 0, content: b"key material" },
                wire([0xFF, 0xFF, 0, 3, 0, 0, 0, 0], b"key material"),
            ),
        ];
        for (control, bytes) in cases {
            assert_eq!(written(control), bytes, "{control:?}");
            assert_eq!(ControlPacket::parse(&bytes), Ok(packet(control)));
        }
    }

    #[test]
    fn a_user_defined_packet_without_content_is_padded() {
        let bytes = written(Control::UserDefined { subtype: 3, info: 0, content: &[] });
        assert_eq!(bytes, wire([0xFF, 0xFF, 0, 3, 0, 0, 0, 0], &[0; 4]));
    }

    #[test]
    fn packets_without_content_are_read_with_any_or_none() {
        for (number, control) in [
            (1, Control::Keepalive),
            (4, Control::CongestionWarning),
            (5, Control::Shutdown),
            (6, Control::AckAck { number: 0x77 }),
            (8, Control::PeerError(0x77)),
        ] {
            for content in [&[][..], &[0; 4], &[1, 2, 3, 4], &[0xFF; 3]] {
                let bytes = wire([0x80, number, 0, 0, 0, 0, 0, 0x77], content);
                assert_eq!(ControlPacket::parse(&bytes), Ok(packet(control)), "{content:?}");
            }
        }
    }

    #[test]
    fn an_unknown_type_is_an_error() {
        for control_type in [9_u16, 0x1234, 0x7FFE] {
            let [high, low] = control_type.to_be_bytes();
            let bytes = wire([0x80 | high, low, 0, 0, 0, 0, 0, 0], &[]);
            assert_eq!(ControlPacket::parse(&bytes), Err(PacketError::UnknownControlType(control_type)));
        }
    }

    #[test]
    fn a_data_packet_is_not_taken_for_control() {
        assert_eq!(ControlPacket::parse(&[0; 16]), Err(PacketError::NotControl));
    }

    #[test]
    fn fifteen_bytes_are_no_control_packet() {
        let error = PacketError::Truncated { kind: PacketKind::Header, need: 16, got: 15 };
        assert_eq!(ControlPacket::parse(&[0x80; 15]), Err(error));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn what_was_written_is_read(
            kind in 0..6,
            timestamp: u32,
            destination: u32,
            subtype: u16,
            info: u32,
            content in prop::collection::vec(any::<u8>(), 1..40),
        ) {
            let control = match kind {
                0 => Control::Keepalive,
                1 => Control::CongestionWarning,
                2 => Control::Shutdown,
                3 => Control::AckAck { number: info },
                4 => Control::PeerError(info),
                _ => Control::UserDefined { subtype, info, content: &content },
            };
            let packet = ControlPacket {
                timestamp: Timestamp::new(timestamp),
                destination: SocketId::new(destination),
                control,
            };
            let mut out = b"before".to_vec();
            packet.write(&mut out);
            prop_assert_eq!(ControlPacket::parse(&out[6..]), Ok(packet));
        }
    }
}
