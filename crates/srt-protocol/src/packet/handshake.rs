//! The handshake's fixed part (draft §3.2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::control::halves;
use super::{Extensions, PacketError, PacketKind, SEQUENCE_FLAG, put_words};
use crate::handshake::RejectReason;
use crate::types::{SeqNumber, SocketId};

/// Bytes of a handshake after the packet header and before the first extension block.
pub const HANDSHAKE_SIZE: usize = 48;

/// What a listener of version 5 puts into the extension field of its induction: "I speak SRT".
pub const MAGIC: u16 = 0x4A17;

/// Bit of the extension field of a conclusion: there is an HSREQ or HSRSP block.
pub const EXT_HSREQ: u16 = 1;
/// Bit of the extension field of a conclusion: there is a KMREQ or KMRSP block.
pub const EXT_KMREQ: u16 = 2;
/// Bit of the extension field of a conclusion: there are blocks of other kinds (stream ID, congestion,
/// filter, group).
pub const EXT_CONFIG: u16 = 4;

/// One step of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the packet, and it has no others")]
pub struct Handshake<'a> {
    /// Handshake version: 4 in a caller's induction, 5 everywhere else.
    pub version: u32,
    /// Length of the key the sender wants, in units of 8 bytes: 2, 3 or 4; 0 says nothing.
    pub encryption: u16,
    /// [`MAGIC`] in a listener's induction; [`EXT_HSREQ`], [`EXT_KMREQ`], [`EXT_CONFIG`] in a conclusion; 2
    /// (datagrams) in version 4.
    pub extension_field: u16,
    /// The number of the first packet the sender will send.
    pub isn: SeqNumber,
    /// The MSS: the largest datagram the sender takes, in bytes with IP and UDP headers. Not checked here.
    pub mtu: u32,
    /// The most packets that may be under way to the sender. Not checked here.
    pub flow_window: u32,
    /// Which step this is.
    pub kind: HandshakeKind,
    /// The ID of the socket that sends this.
    pub socket_id: SocketId,
    /// The listener's cookie, which the caller repeats; in a rendezvous each side's own.
    pub cookie: u32,
    /// The receiver's address as the sender sees it.
    ///
    /// The wire does not say of which family it is: an IPv6 address that ends in 96 zero bits reads as IPv4,
    /// and one that is mapped from IPv4 is written and read as IPv4.
    pub peer_ip: IpAddr,
    /// The extension blocks. Unchecked until they are iterated over; they mean something in a conclusion of
    /// version 5.
    pub extensions: Extensions<'a>,
}

/// Which step of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeKind {
    /// The first step of a rendezvous.
    WaveAHand,
    /// The first step between caller and listener.
    Induction,
    /// The second step: here the parameters are agreed on.
    Conclusion,
    /// The last step of a rendezvous.
    Agreement,
    /// No connection, and why.
    Rejection(RejectReason),
    /// None of these. libsrt treats it as invalid.
    Other(i32),
}

impl HandshakeKind {
    /// The kind of a number from the wire.
    pub const fn from_wire(number: i32) -> Self {
        match number {
            0 => Self::WaveAHand,
            1 => Self::Induction,
            -1 => Self::Conclusion,
            -2 => Self::Agreement,
            _ => match RejectReason::from_wire(number) {
                Some(reason) => Self::Rejection(reason),
                None => Self::Other(number),
            },
        }
    }

    /// The number on the wire; a rejection is 1000 + its code.
    pub const fn to_wire(self) -> i32 {
        match self {
            Self::WaveAHand => 0,
            Self::Induction => 1,
            Self::Conclusion => -1,
            Self::Agreement => -2,
            Self::Rejection(reason) => reason.to_wire(),
            Self::Other(number) => number,
        }
    }
}

impl<'a> Handshake<'a> {
    /// Reads what follows the header.
    pub(super) fn parse(content: &'a [u8]) -> Result<Self, PacketError> {
        const KIND: PacketKind = PacketKind::Handshake;
        let truncated = PacketError::Truncated { kind: KIND, need: HANDSHAKE_SIZE, got: content.len() };
        let (fixed, extensions) = content.split_at_checked(HANDSHAKE_SIZE).ok_or(truncated)?;
        let &[version, fields, isn, mtu, flow_window, kind, socket_id, cookie, ip0, ip1, ip2, ip3] =
            fixed.as_chunks().0
        else {
            return Err(truncated);
        };
        let [encryption, extension_field] = halves(u32::from_be_bytes(fields));
        let isn = u32::from_be_bytes(isn);
        if isn & SEQUENCE_FLAG != 0 {
            return Err(PacketError::SequenceNumber { kind: KIND, word: isn });
        }
        Ok(Self {
            version: u32::from_be_bytes(version),
            encryption,
            extension_field,
            isn: SeqNumber::new(isn),
            mtu: u32::from_be_bytes(mtu),
            flow_window: u32::from_be_bytes(flow_window),
            kind: HandshakeKind::from_wire(i32::from_be_bytes(kind)),
            socket_id: SocketId::new(u32::from_be_bytes(socket_id)),
            cookie: u32::from_be_bytes(cookie),
            peer_ip: ip_from_words([ip0, ip1, ip2, ip3]),
            extensions: Extensions::Wire(extensions),
        })
    }

    /// Appends what follows the header.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let [ip0, ip1, ip2, ip3] = ip_to_words(self.peer_ip);
        put_words(
            out,
            &[
                self.version,
                u32::from(self.encryption) << 16 | u32::from(self.extension_field),
                self.isn.value(),
                self.mtu,
                self.flow_window,
                self.kind.to_wire().cast_unsigned(),
                self.socket_id.value(),
                self.cookie,
                ip0,
                ip1,
                ip2,
                ip3,
            ],
        );
        self.extensions.write(out);
    }
}

/// libsrt lays the address out in memory in network order, IPv4 in the first word, then swaps each word on
/// its way to the wire (`CIPAddress::ntop` in common.cpp, `CPacket::toNetworkByteOrder`): on the wire each
/// word stands backwards.
fn ip_to_words(ip: IpAddr) -> [u32; 4] {
    match ip.to_canonical() {
        IpAddr::V4(ip) => [ip.to_bits().swap_bytes(), 0, 0, 0],
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h] = ip.segments();
            let word = |high, low| (u32::from(high) << 16 | u32::from(low)).swap_bytes();
            [word(a, b), word(c, d), word(e, f), word(g, h)]
        }
    }
}

/// Undoes [`ip_to_words`]. Where the last three words are zero the first is taken for IPv4, as libsrt does.
fn ip_from_words(words: [[u8; 4]; 4]) -> IpAddr {
    match words.map(u32::from_le_bytes) {
        [ip, 0, 0, 0] => IpAddr::V4(Ipv4Addr::from_bits(ip)),
        [a, b, c, d] => {
            let bits = u128::from(a) << 96 | u128::from(b) << 64 | u128::from(c) << 32 | u128::from(d);
            IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Extension, GroupInfo, SrtFlags, SrtParameters, WireString};
    use proptest::prelude::*;

    /// A caller's induction as libsrt sends it to 127.0.0.1: version 4, type 2 (datagrams).
    const INDUCTION: [u8; 48] = [
        0, 0, 0, 4, // version
        0, 0, 0, 2, // encryption, extension field
        0x12, 0x34, 0x56, 0x78, // ISN
        0, 0, 0x05, 0xDC, // MSS 1500
        0, 0, 0x64, 0, // flow window 25600
        0, 0, 0, 1, // induction
        0x2B, 0, 0, 1, // socket ID
        0, 0, 0, 0, // cookie
        1, 0, 0, 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // address, each word backwards
    ];

    fn induction() -> Handshake<'static> {
        Handshake {
            version: 4,
            encryption: 0,
            extension_field: 2,
            isn: SeqNumber::new(0x1234_5678),
            mtu: 1500,
            flow_window: 25_600,
            kind: HandshakeKind::Induction,
            socket_id: SocketId::new(0x2B00_0001),
            cookie: 0,
            peer_ip: IpAddr::from([127, 0, 0, 1]),
            extensions: Extensions::List(&[]),
        }
    }

    fn written(handshake: &Handshake<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        handshake.write(&mut out);
        out
    }

    #[test]
    fn a_caller_s_induction_is_that_of_libsrt() {
        assert_eq!(written(&induction()), INDUCTION);
        assert_eq!(Handshake::parse(&INDUCTION), Ok(induction()));
    }

    #[test]
    fn an_ipv6_address_stands_word_by_word_backwards() {
        let peer_ip: IpAddr = "2001:db8:102:304:506:708:90a:b0c".parse().unwrap();
        let bytes = written(&Handshake { peer_ip, ..induction() });
        let address = [0xB8, 0x0D, 0x01, 0x20, 4, 3, 2, 1, 8, 7, 6, 5, 0x0C, 0x0B, 0x0A, 0x09];
        assert_eq!(bytes[32..], address);
        assert_eq!(Handshake::parse(&bytes).unwrap().peer_ip, peer_ip);
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        assert_eq!(written(&Handshake { peer_ip: mapped, ..induction() }), INDUCTION);
        // A libsrt socket bound to `::` writes the mapped form itself.
        let mut bytes = INDUCTION;
        bytes[32..].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 1, 0, 0, 127]);
        assert_eq!(Handshake::parse(&bytes), Ok(induction()));
    }

    #[test]
    fn a_rejection_is_a_thousand_and_its_code() {
        let kind = HandshakeKind::Rejection(RejectReason::BadSecret);
        let bytes = written(&Handshake { kind, ..induction() });
        assert_eq!(bytes[20..24], [0, 0, 0x03, 0xF2]);
        assert_eq!(Handshake::parse(&bytes).unwrap().kind, kind);
    }

    #[test]
    fn every_step_has_libsrt_s_number() {
        let steps = [
            (HandshakeKind::WaveAHand, [0, 0, 0, 0]),
            (HandshakeKind::Induction, [0, 0, 0, 1]),
            (HandshakeKind::Conclusion, [0xFF, 0xFF, 0xFF, 0xFF]),
            (HandshakeKind::Agreement, [0xFF, 0xFF, 0xFF, 0xFE]),
            (HandshakeKind::Other(-3), [0xFF, 0xFF, 0xFF, 0xFD]),
            (HandshakeKind::Other(999), [0, 0, 0x03, 0xE7]),
        ];
        for (kind, bytes) in steps {
            assert_eq!(kind.to_wire().to_be_bytes(), bytes);
            assert_eq!(HandshakeKind::from_wire(i32::from_be_bytes(bytes)), kind);
        }
    }

    #[test]
    fn a_handshake_of_47_bytes_is_an_error() {
        let error = PacketError::Truncated { kind: PacketKind::Handshake, need: 48, got: 47 };
        assert_eq!(Handshake::parse(&INDUCTION[..47]), Err(error));
    }

    #[test]
    fn an_isn_of_32_bits_is_an_error() {
        let mut bytes = INDUCTION;
        bytes[8] = 0x80;
        let error = PacketError::SequenceNumber { kind: PacketKind::Handshake, word: 0x8034_5678 };
        assert_eq!(Handshake::parse(&bytes), Err(error));
    }

    /// A conclusion of libsrt 1.5.5 with a stream ID, in the order in which libsrt writes the blocks.
    #[test]
    fn a_conclusion_carries_its_blocks_after_the_fixed_part() {
        let parameters = SrtParameters {
            version: 0x01_0505,
            flags: SrtFlags::new(0xBF),
            receiver_latency_ms: 120,
            sender_latency_ms: 0,
        };
        let blocks =
            [Extension::HandshakeRequest(parameters), Extension::StreamId(WireString::new(b"live1"))];
        let conclusion = Handshake {
            version: 5,
            extension_field: EXT_HSREQ | EXT_CONFIG,
            kind: HandshakeKind::Conclusion,
            cookie: 0xDEAD_BEEF,
            extensions: Extensions::List(&blocks),
            ..induction()
        };
        let bytes = written(&conclusion);
        let tail = [
            0, 1, 0, 3, 0, 1, 5, 5, 0, 0, 0, 0xBF, 0, 120, 0, 0, // HSREQ
            0, 5, 0, 2, b'e', b'v', b'i', b'l', 0, 0, 0, b'1', // SID
        ];
        assert_eq!(bytes[48..], tail);
        assert_eq!(bytes[4..8], [0, 0, 0, 5]);
        assert_eq!(Handshake::parse(&bytes), Ok(conclusion));
    }

    fn any_kind() -> impl Strategy<Value = HandshakeKind> {
        prop_oneof![-4..3, 990..1030, 1990..4100, any::<i32>()].prop_map(HandshakeKind::from_wire)
    }

    fn any_ip() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            // The last word set: otherwise the wire could mean IPv4 as well.
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits | 1)).to_canonical()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn what_was_written_is_read(
            words: [u32; 6],
            halves: [u16; 2],
            kind in any_kind(),
            peer_ip in any_ip(),
            group: Option<(u32, u8, u8, u16)>,
        ) {
            let [version, isn, mtu, flow_window, socket_id, cookie] = words;
            let [encryption, extension_field] = halves;
            let blocks: Vec<_> = group
                .map(|(id, group_type, flags, weight)| GroupInfo { id, group_type, flags, weight })
                .map(Extension::Group)
                .into_iter()
                .collect();
            let handshake = Handshake {
                version,
                encryption,
                extension_field,
                isn: SeqNumber::new(isn),
                mtu,
                flow_window,
                kind,
                socket_id: SocketId::new(socket_id),
                cookie,
                peer_ip,
                extensions: Extensions::List(&blocks),
            };
            let bytes = written(&handshake);
            prop_assert_eq!(Handshake::parse(&bytes), Ok(handshake));
        }

        #[test]
        fn every_number_is_one_kind(number: i32) {
            prop_assert_eq!(HandshakeKind::from_wire(number).to_wire(), number);
        }
    }
}
