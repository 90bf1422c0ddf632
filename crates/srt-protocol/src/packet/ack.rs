//! Acknowledgements (draft §3.2.4).

use super::{PacketError, PacketKind, SEQUENCE_FLAG, put_words};
use crate::types::SeqNumber;

/// "I have everything before `next`", and in its longer forms how the receiver is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the packet, and it has no others")]
pub struct Ack {
    /// Number of this ACK, which its ACKACK repeats; 0 in a light ACK, which nobody answers.
    pub number: u32,
    /// The first packet that has not arrived.
    pub next: SeqNumber,
    /// What else the receiver tells.
    pub detail: AckDetail,
}

/// What an ACK tells besides the sequence number; its length on the wire says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AckDetail {
    /// Nothing: the short form sent every 64 packets.
    Light,
    /// Round trip and buffer: libsrt sends it when a full one was sent less than an ACK period ago.
    Small {
        /// Smoothed round-trip time as the receiver sees it, in µs.
        rtt_us: u32,
        /// Variance of the round-trip time, in µs.
        rtt_var_us: u32,
        /// Packets that the receiver's buffer still takes: the flow window.
        available_packets: u32,
    },
    /// Everything, sent every 10 ms.
    Full {
        /// Smoothed round-trip time as the receiver sees it, in µs.
        rtt_us: u32,
        /// Variance of the round-trip time, in µs.
        rtt_var_us: u32,
        /// Packets that the receiver's buffer still takes: the flow window.
        available_packets: u32,
        /// Rate at which packets arrive, in packets per second.
        receive_rate_pps: u32,
        /// What the link could carry by the receiver's estimate, in packets per second.
        link_capacity_pps: u32,
        /// Rate at which bytes arrive, in bytes per second; 0 from peers before 1.0.1, whose ACK lacks it.
        receive_rate_bps: u32,
    },
}

impl Ack {
    /// Reads what follows the header. The length tells the form; what is longer than any form is cut, as in
    /// libsrt.
    pub(super) fn parse(number: u32, content: &[u8]) -> Result<Self, PacketError> {
        let (words, _) = content.as_chunks::<4>();
        let word = |word: &[u8; 4]| u32::from_be_bytes(*word);
        let (next, detail) = match words {
            [] => {
                return Err(PacketError::Truncated { kind: PacketKind::Ack, need: 4, got: content.len() });
            }
            [next, rtt, rtt_var, available, receive_rate, capacity, bytes @ ..] => {
                let detail = AckDetail::Full {
                    rtt_us: word(rtt),
                    rtt_var_us: word(rtt_var),
                    available_packets: word(available),
                    receive_rate_pps: word(receive_rate),
                    link_capacity_pps: word(capacity),
                    receive_rate_bps: bytes.first().map_or(0, word),
                };
                (next, detail)
            }
            [next, rtt, rtt_var, available, ..] => {
                let detail = AckDetail::Small {
                    rtt_us: word(rtt),
                    rtt_var_us: word(rtt_var),
                    available_packets: word(available),
                };
                (next, detail)
            }
            // libsrt too takes the sequence number of an ACK too short to say more, and nothing else.
            [next, ..] => (next, AckDetail::Light),
        };
        let next = word(next);
        if next & SEQUENCE_FLAG != 0 {
            return Err(PacketError::SequenceNumber { kind: PacketKind::Ack, word: next });
        }
        Ok(Self { number, next: SeqNumber::new(next), detail })
    }

    /// Appends what follows the header.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let next = self.next.value();
        match self.detail {
            AckDetail::Light => put_words(out, &[next]),
            AckDetail::Small { rtt_us, rtt_var_us, available_packets } => {
                put_words(out, &[next, rtt_us, rtt_var_us, available_packets]);
            }
            AckDetail::Full {
                rtt_us,
                rtt_var_us,
                available_packets,
                receive_rate_pps,
                link_capacity_pps,
                receive_rate_bps,
            } => put_words(
                out,
                &[
                    next,
                    rtt_us,
                    rtt_var_us,
                    available_packets,
                    receive_rate_pps,
                    link_capacity_pps,
                    receive_rate_bps,
                ],
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The seven words of a full ACK.
    const FULL: [u8; 28] = [
        0x00, 0x00, 0x10, 0x00, // next: 4096
        0x00, 0x00, 0x9C, 0x40, // RTT: 40,000 µs
        0x00, 0x00, 0x27, 0x10, // variance: 10,000 µs
        0x00, 0x00, 0x1F, 0xFF, // buffer: 8191 packets
        0x00, 0x00, 0x03, 0xE8, // 1000 packets/s
        0x00, 0x00, 0x4E, 0x20, // 20,000 packets/s
        0x00, 0x14, 0x14, 0xA0, // 1,316,000 bytes/s
    ];

    const FULL_ACK: Ack = Ack {
        number: 7,
        next: SeqNumber::new(4096),
        detail: AckDetail::Full {
            rtt_us: 40_000,
            rtt_var_us: 10_000,
            available_packets: 8191,
            receive_rate_pps: 1000,
            link_capacity_pps: 20_000,
            receive_rate_bps: 1_316_000,
        },
    };

    #[test]
    fn a_full_ack_has_seven_words() {
        assert_eq!(Ack::parse(7, &FULL), Ok(FULL_ACK));
        let mut out = Vec::new();
        FULL_ACK.write(&mut out);
        assert_eq!(out, FULL);
    }

    #[test]
    fn an_ack_longer_than_any_form_is_cut() {
        let mut libsrt_1_0_2 = FULL.to_vec();
        libsrt_1_0_2.extend([1, 2, 3, 4, 5]);
        assert_eq!(Ack::parse(7, &libsrt_1_0_2), Ok(FULL_ACK));
    }

    #[test]
    fn a_full_ack_without_a_byte_rate_has_none() {
        let ack = Ack::parse(7, &FULL[..24]).unwrap();
        assert!(matches!(
            ack.detail,
            AckDetail::Full { receive_rate_pps: 1000, link_capacity_pps: 20_000, receive_rate_bps: 0, .. }
        ));
    }

    #[test]
    fn four_words_are_a_small_ack() {
        let small = AckDetail::Small { rtt_us: 40_000, rtt_var_us: 10_000, available_packets: 8191 };
        for length in [16, 20, 23] {
            assert_eq!(Ack::parse(7, &FULL[..length]).unwrap().detail, small, "{length} bytes");
        }
    }

    #[test]
    fn one_word_is_a_light_ack() {
        for length in [4, 5, 15] {
            let light = Ack { number: 0, next: SeqNumber::new(4096), detail: AckDetail::Light };
            assert_eq!(Ack::parse(0, &FULL[..length]), Ok(light), "{length} bytes");
        }
    }

    #[test]
    fn an_ack_of_nothing_is_an_error() {
        let error = PacketError::Truncated { kind: PacketKind::Ack, need: 4, got: 3 };
        assert_eq!(Ack::parse(0, &FULL[..3]), Err(error));
    }

    #[test]
    fn an_ack_of_32_bits_is_an_error() {
        let error = PacketError::SequenceNumber { kind: PacketKind::Ack, word: 0xFFFF_FFFF };
        assert_eq!(Ack::parse(0, &[0xFF; 4]), Err(error));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn what_was_written_is_read(number: u32, next: u32, words: [u32; 6], form in 0..3) {
            let [rtt_us, rtt_var_us, available_packets, rates @ ..] = words;
            let [receive_rate_pps, link_capacity_pps, receive_rate_bps] = rates;
            let detail = match form {
                0 => AckDetail::Light,
                1 => AckDetail::Small { rtt_us, rtt_var_us, available_packets },
                _ => AckDetail::Full {
                    rtt_us,
                    rtt_var_us,
                    available_packets,
                    receive_rate_pps,
                    link_capacity_pps,
                    receive_rate_bps,
                },
            };
            let ack = Ack { number, next: SeqNumber::new(next), detail };
            let mut out = Vec::new();
            ack.write(&mut out);
            prop_assert_eq!(Ack::parse(number, &out), Ok(ack));
        }
    }
}
