//! Message drop requests (draft §3.2.9).

use super::{PacketError, PacketKind, SEQUENCE_FLAG, put_words};
use crate::types::{MsgNumber, SeqNumber};

/// "Do not wait for the packets `first` to `last`: I shall not send them any more."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the packet, and it has no others")]
pub struct DropRequest {
    /// The message that is dropped; [`MsgNumber::CONTROL`] when the sender cannot tell.
    pub msgno: MsgNumber,
    /// The first packet that will not come.
    pub first: SeqNumber,
    /// The last packet that will not come.
    pub last: SeqNumber,
}

impl DropRequest {
    /// The most packets that one request can name: a quarter of the circle, 9 minutes at 10 Gb/s.
    ///
    /// No honest sender has so many to drop, and whoever takes a longer jump can no longer tell before from
    /// after.
    pub const MAX_PACKETS: u32 = 1 << 29;

    /// The number of packets the request names, 1 to [`MAX_PACKETS`](Self::MAX_PACKETS) in what was parsed.
    pub const fn packets(&self) -> u32 {
        self.last.distance_from(self.first).cast_unsigned().wrapping_add(1)
    }

    /// Reads what follows the header; `info` is the header's second word.
    pub(super) const fn parse(info: u32, content: &[u8]) -> Result<Self, PacketError> {
        const KIND: PacketKind = PacketKind::DropRequest;
        let Some(&[a, b, c, d, e, f, g, h]) = content.first_chunk() else {
            return Err(PacketError::Truncated { kind: KIND, need: 8, got: content.len() });
        };
        let (first, last) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        if (first | last) & SEQUENCE_FLAG != 0 {
            let word = if first & SEQUENCE_FLAG != 0 { first } else { last };
            return Err(PacketError::SequenceNumber { kind: KIND, word });
        }
        let request =
            Self { msgno: MsgNumber::new(info), first: SeqNumber::new(first), last: SeqNumber::new(last) };
        let packets = request.packets();
        if packets == 0 || packets > Self::MAX_PACKETS {
            return Err(PacketError::Range { kind: KIND, first: request.first, last: request.last });
        }
        Ok(request)
    }

    /// Appends what follows the header.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(!self.last.is_before(self.first), "the request names {} to {}", self.first, self.last);
        put_words(out, &[self.first.value(), self.last.value()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(first: u32, last: u32) -> Vec<u8> {
        [first.to_be_bytes(), last.to_be_bytes()].concat()
    }

    #[test]
    fn a_request_names_a_message_and_a_range() {
        let request = DropRequest::parse(9, &[0, 0, 0, 5, 0, 0, 1, 4]).unwrap();
        let wanted =
            DropRequest { msgno: MsgNumber::new(9), first: SeqNumber::new(5), last: SeqNumber::new(260) };
        assert_eq!(request, wanted);
        assert_eq!(request.packets(), 256);
    }

    #[test]
    fn a_range_may_wrap() {
        let request = DropRequest::parse(0, &content(SeqNumber::MASK, 1)).unwrap();
        assert_eq!(request.packets(), 3);
    }

    #[test]
    fn a_reversed_range_is_an_error() {
        for (first, last) in [(6, 5), (500, 5), (0, SeqNumber::MASK)] {
            let error = PacketError::Range {
                kind: PacketKind::DropRequest,
                first: SeqNumber::new(first),
                last: SeqNumber::new(last),
            };
            assert_eq!(DropRequest::parse(0, &content(first, last)), Err(error));
        }
    }

    #[test]
    fn a_range_of_more_than_a_quarter_of_the_circle_is_an_error() {
        assert!(DropRequest::parse(0, &content(0, DropRequest::MAX_PACKETS - 1)).is_ok());
        assert!(DropRequest::parse(0, &content(0, DropRequest::MAX_PACKETS)).is_err());
    }

    #[test]
    fn a_number_of_32_bits_is_an_error() {
        let error = |word| PacketError::SequenceNumber { kind: PacketKind::DropRequest, word };
        assert_eq!(DropRequest::parse(0, &content(0x8000_0001, 5)), Err(error(0x8000_0001)));
        assert_eq!(DropRequest::parse(0, &content(1, 0x8000_0005)), Err(error(0x8000_0005)));
    }

    #[test]
    fn seven_bytes_are_no_range() {
        let error = PacketError::Truncated { kind: PacketKind::DropRequest, need: 8, got: 7 };
        assert_eq!(DropRequest::parse(0, &[0; 7]), Err(error));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn what_was_written_is_read(msgno: u32, first: u32, packets in 1..=DropRequest::MAX_PACKETS) {
            let (msgno, first) = (MsgNumber::new(msgno), SeqNumber::new(first));
            let request = DropRequest { msgno, first, last: first + (packets - 1) };
            let mut out = Vec::new();
            request.write(&mut out);
            prop_assert_eq!(DropRequest::parse(msgno.value(), &out), Ok(request));
            prop_assert_eq!(request.packets(), packets);
        }
    }
}
