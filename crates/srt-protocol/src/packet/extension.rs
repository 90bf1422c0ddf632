//! The handshake's extension blocks (draft §3.2.1.1 to 3.2.1.4).
//!
//! ```text
//! |         kind          |    words of content   |
//! |                    content …                  |
//! ```

use core::fmt;
use core::ops::BitOr;
use core::slice;

use super::control::halves;
use super::key_material::{KMREQ, KMRSP};
use super::{PacketError, put_words};

/// The longest stream ID, in bytes. libsrt: `CSrtConfig::MAX_SID_LENGTH`.
pub const MAX_STREAM_ID_BYTES: usize = 512;
/// The longest name of a congestion control, in bytes. libsrt: `CSrtConfig::MAX_CONG_LENGTH`.
pub const MAX_CONGESTION_BYTES: usize = 16;
/// The longest packet filter configuration, in bytes. libsrt: `CSrtConfig::MAX_PFILTER_LENGTH`.
pub const MAX_FILTER_BYTES: usize = 64;

/// The extension blocks of a handshake, as [`iter`](Self::iter) tells them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Extensions<'a> {
    /// As read: everything after the handshake's fixed part, unchecked.
    Wire(&'a [u8]),
    /// To be written.
    List(&'a [Extension<'a>]),
}

impl<'a> Extensions<'a> {
    /// The blocks in their order. Each is checked when its turn comes; after one that runs past the end there
    /// are no more.
    pub fn iter(&self) -> ExtensionIter<'a> {
        ExtensionIter(match self {
            Self::Wire(bytes) => Source::Wire(bytes),
            Self::List(list) => Source::List(list.iter()),
        })
    }

    /// Whether there are no blocks and no bytes that could be some.
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::Wire(bytes) => bytes.is_empty(),
            Self::List(list) => list.is_empty(),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Wire(bytes) => out.extend_from_slice(bytes),
            Self::List(list) => list.iter().for_each(|extension| extension.write(out)),
        }
    }
}

/// Extensions are the same when they have the same blocks, read or to be written.
impl PartialEq for Extensions<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Extensions<'_> {}

impl<'a> IntoIterator for &Extensions<'a> {
    type Item = Result<Extension<'a>, PacketError>;
    type IntoIter = ExtensionIter<'a>;

    fn into_iter(self) -> ExtensionIter<'a> {
        self.iter()
    }
}

/// The blocks of an [`Extensions`], each with what is wrong with it, if something is.
#[derive(Clone, Debug)]
pub struct ExtensionIter<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Wire(&'a [u8]),
    List(slice::Iter<'a, Extension<'a>>),
}

impl<'a> Iterator for ExtensionIter<'a> {
    type Item = Result<Extension<'a>, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::List(list) => list.next().copied().map(Ok),
            Source::Wire([]) => None,
            Source::Wire(bytes) => {
                let (block, rest) = match split_block(bytes) {
                    Ok((kind, content, rest)) => (Extension::parse(kind, content), rest),
                    Err(error) => (Err(error), &[][..]),
                };
                *bytes = rest;
                Some(block)
            }
        }
    }
}

/// Splits `bytes` into the kind of the first block, its content, and what follows.
fn split_block(bytes: &[u8]) -> Result<(u16, &[u8], &[u8]), PacketError> {
    let Some((header, bytes)) = bytes.split_first_chunk() else {
        return Err(PacketError::BlockPastEnd { block: 0, need: 4, got: bytes.len() });
    };
    let [kind, words] = halves(u32::from_be_bytes(*header));
    let need = 4 * usize::from(words);
    let Some((content, rest)) = bytes.split_at_checked(need) else {
        return Err(PacketError::BlockPastEnd { block: kind, need, got: bytes.len() });
    };
    Ok((kind, content, rest))
}

/// One extension block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extension<'a> {
    /// HSREQ: what the initiator is and wants (§3.2.1.1).
    HandshakeRequest(SrtParameters),
    /// HSRSP: what the responder makes of it (§3.2.1.1).
    HandshakeResponse(SrtParameters),
    /// KMREQ: a key, wrapped (§3.2.2). The bytes as they stand on the wire.
    KeyMaterialRequest(&'a [u8]),
    /// KMRSP: the same key when it was understood, or one word that says why not. The bytes as they stand on
    /// the wire; the one word is little-endian, for libsrt swaps it once too often.
    KeyMaterialResponse(&'a [u8]),
    /// SID: which stream the caller wants (§3.2.1.3).
    StreamId(WireString<'a>),
    /// CONGESTION: the name of the congestion control; without the block it is "live".
    Congestion(WireString<'a>),
    /// FILTER: the packet filter's configuration.
    Filter(WireString<'a>),
    /// GROUP: the group that the sender's socket belongs to (§3.2.1.4).
    Group(GroupInfo),
    /// None of these. libsrt skips it.
    Unknown {
        /// The number of the kind.
        kind: u16,
        /// What it says. Written with zero bytes added up to a whole word.
        content: &'a [u8],
    },
}

impl<'a> Extension<'a> {
    /// The number of the block's kind. libsrt: `SRT_CMD_*` in handshake.h.
    pub const fn kind(&self) -> u16 {
        match self {
            Self::HandshakeRequest(_) => HSREQ,
            Self::HandshakeResponse(_) => HSRSP,
            Self::KeyMaterialRequest(_) => KMREQ,
            Self::KeyMaterialResponse(_) => KMRSP,
            Self::StreamId(_) => SID,
            Self::Congestion(_) => CONGESTION,
            Self::Filter(_) => FILTER,
            Self::Group(_) => GROUP,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    fn parse(kind: u16, content: &'a [u8]) -> Result<Self, PacketError> {
        let text = |max| {
            check_size(kind, content, 1, max)?;
            Ok(WireString(Text::Wire(content.as_chunks().0)))
        };
        Ok(match kind {
            HSREQ => Self::HandshakeRequest(SrtParameters::parse(kind, content)?),
            HSRSP => Self::HandshakeResponse(SrtParameters::parse(kind, content)?),
            KMREQ => Self::KeyMaterialRequest(content),
            KMRSP => Self::KeyMaterialResponse(content),
            SID => Self::StreamId(text(MAX_STREAM_ID_BYTES)?),
            CONGESTION => Self::Congestion(text(MAX_CONGESTION_BYTES)?),
            FILTER => Self::Filter(text(MAX_FILTER_BYTES)?),
            GROUP => Self::Group(GroupInfo::parse(kind, content)?),
            kind => Self::Unknown { kind, content },
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let header = out.len();
        out.extend_from_slice(&self.kind().to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        match self {
            Self::HandshakeRequest(parameters) | Self::HandshakeResponse(parameters) => parameters.write(out),
            Self::StreamId(text) | Self::Congestion(text) | Self::Filter(text) => text.write(out),
            Self::Group(group) => group.write(out),
            Self::KeyMaterialRequest(content)
            | Self::KeyMaterialResponse(content)
            | Self::Unknown { content, .. } => out.extend_from_slice(content),
        }
        let length = out.len() - header - 4;
        debug_assert!(length <= MAX_BLOCK_BYTES, "an extension block of {length} bytes");
        // A block longer than the wire can say is our own fault; cut, so that the blocks after it still stand
        // right.
        let words = u16::try_from(length.div_ceil(4)).unwrap_or(u16::MAX);
        out.resize(header + 4 + 4 * usize::from(words), 0);
        if let Some(field) = out.get_mut(header + 2..header + 4) {
            field.copy_from_slice(&words.to_be_bytes());
        }
    }
}

/// Whether the content of a block has a length that its kind can have.
const fn check_size(block: u16, content: &[u8], min: usize, max: usize) -> Result<(), PacketError> {
    if content.len() < min || content.len() > max {
        return Err(PacketError::BlockSize { block, min, max, got: content.len() });
    }
    Ok(())
}

/// The content of HSREQ and HSRSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the block, and it has no others")]
pub struct SrtParameters {
    /// The sender's SRT version: 1.5.5 is `0x010505`.
    pub version: u32,
    /// What the sender can do and wants.
    pub flags: SrtFlags,
    /// The latency at which the sender will receive, in ms.
    pub receiver_latency_ms: u16,
    /// The least latency that the sender asks of its peer, in ms; in a response, the latency its peer shall
    /// receive at.
    pub sender_latency_ms: u16,
}

impl SrtParameters {
    fn parse(kind: u16, content: &[u8]) -> Result<Self, PacketError> {
        // What goes beyond three words is ignored, as in libsrt.
        let [version, flags, latencies, ..] = content.as_chunks::<4>().0 else {
            return Err(PacketError::BlockSize {
                block: kind,
                min: 12,
                max: MAX_BLOCK_BYTES,
                got: content.len(),
            });
        };
        let [receiver_latency_ms, sender_latency_ms] = halves(u32::from_be_bytes(*latencies));
        Ok(Self {
            version: u32::from_be_bytes(*version),
            flags: SrtFlags::new(u32::from_be_bytes(*flags)),
            receiver_latency_ms,
            sender_latency_ms,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let latencies = u32::from(self.receiver_latency_ms) << 16 | u32::from(self.sender_latency_ms);
        put_words(out, &[self.version, self.flags.bits(), latencies]);
    }
}

/// A set of the flags of HSREQ and HSRSP (§3.2.1.1.1). Bits without a name are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct SrtFlags(u32);

impl SrtFlags {
    /// The sender stamps its data for TSBPD.
    pub const TSBPDSND: Self = Self(0x01);
    /// The sender delivers by TSBPD.
    pub const TSBPDRCV: Self = Self(0x02);
    /// The sender knows AES-CTR; always set.
    pub const CRYPT: Self = Self(0x04);
    /// The sender drops what is too late (TLPKTDROP).
    pub const TLPKTDROP: Self = Self(0x08);
    /// The sender repeats its loss reports.
    pub const PERIODICNAK: Self = Self(0x10);
    /// The sender knows the R flag of data packets.
    pub const REXMITFLG: Self = Self(0x20);
    /// The sender has a stream of bytes, not of messages.
    pub const STREAM: Self = Self(0x40);
    /// The sender knows packet filters; always set since 1.4.
    pub const FILTER: Self = Self(0x80);

    /// The set of these bits.
    pub const fn new(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits of the set.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `flags` are in the set.
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set with `flags` when `condition` holds, and as it was when not.
    #[must_use]
    pub const fn with_if(self, flags: Self, condition: bool) -> Self {
        if condition { self.union(flags) } else { self }
    }
}

/// Both sets together.
impl BitOr for SrtFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

/// The content of GROUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the block, and it has no others")]
pub struct GroupInfo {
    /// The ID of the sender's group. libsrt sets bit 30 in all of them (`SRTGROUP_MASK`).
    pub id: u32,
    /// What kind of group: 1 broadcast, 2 backup. libsrt refuses others.
    pub group_type: u8,
    /// Flags of the group. libsrt refuses bit 0 and ignores the others.
    pub flags: u8,
    /// The rank of this link in the group; in a backup group the highest is preferred.
    pub weight: u16,
}

impl GroupInfo {
    /// The type of a group that sends every packet on all of its links.
    pub const BROADCAST: u8 = 1;
    /// The type of a group that sends on the best of its links.
    pub const BACKUP: u8 = 2;
    /// The bit that is set in every group ID, and in no socket ID (libsrt: `SRTGROUP_MASK`).
    pub const ID_BIT: u32 = 1 << 30;
    /// Flag: the sender is one of us, and its receiver merges links before it asks for anything. libsrt ignores it, and answers
    /// with no flags.
    pub const FLAG_MERGES: u8 = 0x80;
    /// Flag: the sender, one of us, shares its packets over the links: what is missing on one does not come on another.
    pub const FLAG_SHARES: u8 = 0x40;
    /// Flag: links are synchronised by message number. Of an unreleased libsrt; 1.5 refuses it, and so do we.
    const FLAG_SYNC_BY_MESSAGE: u8 = 0x01;

    /// Whether it is what libsrt 1.5 takes: a group's ID, and a type and flags it knows (`core.cpp: interpretGroup`).
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.id & Self::ID_BIT != 0
            && matches!(self.group_type, Self::BROADCAST | Self::BACKUP)
            && self.flags & Self::FLAG_SYNC_BY_MESSAGE == 0
    }

    fn parse(kind: u16, content: &[u8]) -> Result<Self, PacketError> {
        // What goes beyond two words is ignored, as in libsrt.
        let [id, data, ..] = content.as_chunks::<4>().0 else {
            return Err(PacketError::BlockSize {
                block: kind,
                min: 8,
                max: MAX_BLOCK_BYTES,
                got: content.len(),
            });
        };
        let [group_type, flags, weight_high, weight_low] = *data;
        let weight = u16::from_be_bytes([weight_high, weight_low]);
        Ok(Self { id: u32::from_be_bytes(*id), group_type, flags, weight })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&[self.group_type, self.flags]);
        out.extend_from_slice(&self.weight.to_be_bytes());
    }
}

/// A text in a handshake: on the wire each word of four bytes stands backwards, and zero bytes fill the last.
///
/// Not necessarily UTF-8. Zero bytes at the end are no part of it: like libsrt, we cut them all, for nobody
/// can tell them from filling. (Of a text that is nothing but zero bytes libsrt keeps all; it is empty here.)
#[derive(Clone, Copy)]
pub struct WireString<'a>(Text<'a>);

#[derive(Clone, Copy)]
enum Text<'a> {
    Wire(&'a [[u8; 4]]),
    Plain(&'a [u8]),
}

impl<'a> WireString<'a> {
    /// A text to be written. How long it may be depends on the block it goes into.
    pub const fn new(text: &'a [u8]) -> Self {
        Self(Text::Plain(text))
    }

    /// The text itself.
    pub fn decode(&self) -> Vec<u8> {
        let mut text = match self.0 {
            Text::Wire(words) => words.iter().flat_map(|word| word.iter().rev()).copied().collect(),
            Text::Plain(text) => text.to_vec(),
        };
        let length = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        text.truncate(length);
        text
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self.0 {
            Text::Wire(words) => out.extend_from_slice(words.as_flattened()),
            Text::Plain(text) => {
                let (words, rest) = text.as_chunks();
                for word in words {
                    put_backwards(out, *word);
                }
                if !rest.is_empty() {
                    let mut last = [0; 4];
                    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                    put_backwards(out, last);
                }
            }
        }
    }
}

fn put_backwards(out: &mut Vec<u8>, [a, b, c, d]: [u8; 4]) {
    out.extend_from_slice(&[d, c, b, a]);
}

/// Texts are the same when they decode to the same.
impl PartialEq for WireString<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.decode() == other.decode()
    }
}

impl Eq for WireString<'_> {}

impl fmt::Debug for WireString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.decode().escape_ascii())
    }
}

/// Names a kind of block, for error messages.
pub(super) struct BlockKind(pub(super) u16);

impl fmt::Display for BlockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            HSREQ => "HSREQ",
            HSRSP => "HSRSP",
            KMREQ => "KMREQ",
            KMRSP => "KMRSP",
            SID => "SID",
            CONGESTION => "CONGESTION",
            FILTER => "FILTER",
            GROUP => "GROUP",
            other => return other.fmt(f),
        })
    }
}

/// What 16 bits can count in words.
const MAX_BLOCK_BYTES: usize = 4 * 0xFFFF;

const HSREQ: u16 = 1;
const HSRSP: u16 = 2;
const SID: u16 = 5;
const CONGESTION: u16 = 6;
const FILTER: u16 = 7;
const GROUP: u16 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(list: &[Extension<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        Extensions::List(list).write(&mut out);
        out
    }

    fn read(bytes: &[u8]) -> Vec<Result<Extension<'_>, PacketError>> {
        Extensions::Wire(bytes).iter().collect()
    }

    #[test]
    fn hsreq_has_three_words() {
        let parameters = SrtParameters {
            version: 0x01_0505,
            flags: SrtFlags::TSBPDSND | SrtFlags::TSBPDRCV | SrtFlags::CRYPT,
            receiver_latency_ms: 500,
            sender_latency_ms: 20,
        };
        let bytes = [0, 1, 0, 3, 0, 1, 5, 5, 0, 0, 0, 7, 0x01, 0xF4, 0, 20];
        assert_eq!(read(&bytes), [Ok(Extension::HandshakeRequest(parameters))]);
        assert_eq!(written(&[Extension::HandshakeRequest(parameters)]), bytes);
        let mut response = bytes;
        response[1] = 2;
        assert_eq!(read(&response), [Ok(Extension::HandshakeResponse(parameters))]);
    }

    #[test]
    fn hsreq_of_two_words_is_an_error() {
        let bytes = [0, 1, 0, 2, 0, 1, 5, 5, 0, 0, 0, 7];
        let error = PacketError::BlockSize { block: 1, min: 12, max: 262_140, got: 8 };
        assert_eq!(read(&bytes), [Err(error)]);
    }

    /// Draft §3.2.1.3: the text "STREAM" stands as "ERTS", "  MA" with filling.
    #[test]
    fn a_stream_id_stands_backwards_word_by_word() {
        let bytes = [0, 5, 0, 2, b'E', b'R', b'T', b'S', 0, 0, b'M', b'A'];
        let [Ok(Extension::StreamId(text))] = read(&bytes)[..] else { panic!("no stream ID") };
        assert_eq!(text.decode(), b"STREAM");
        assert_eq!(written(&[Extension::StreamId(WireString::new(b"STREAM"))]), bytes);
        assert_eq!(written(&[Extension::StreamId(text)]), bytes);
    }

    #[test]
    fn a_text_of_whole_words_has_no_filling() {
        let bytes = [0, 6, 0, 1, b'e', b'v', b'i', b'l'];
        assert_eq!(written(&[Extension::Congestion(WireString::new(b"live"))]), bytes);
        assert_eq!(read(&bytes), [Ok(Extension::Congestion(WireString::new(b"live")))]);
    }

    #[test]
    fn zero_bytes_within_a_text_stay_and_those_at_its_end_go() {
        let block = Extension::Filter(WireString::new(b"a\0b\0\0\0\0\0\0"));
        let bytes = written(&[block]);
        let [Ok(Extension::Filter(text))] = read(&bytes)[..] else { panic!("no filter") };
        assert_eq!(text.decode(), b"a\0b");
        assert_eq!(WireString::new(b"a\0b"), text);
    }

    #[test]
    fn an_empty_or_overlong_text_is_an_error() {
        for (block, max) in [(5, 512), (6, 16), (7, 64)] {
            assert_eq!(
                read(&[0, block, 0, 0]),
                [Err(PacketError::BlockSize { block: block.into(), min: 1, max, got: 0 })]
            );
            let mut longest = vec![0, block, 0, u8::try_from(max / 4).unwrap()];
            longest.resize(4 + max, b'x');
            assert!(read(&longest)[0].is_ok());
            longest[3] += 1;
            longest.resize(8 + max, b'x');
            let error = PacketError::BlockSize { block: block.into(), min: 1, max, got: max + 4 };
            assert_eq!(read(&longest), [Err(error)]);
        }
    }

    #[test]
    fn a_group_has_type_flags_and_weight_in_one_word() {
        let bytes = [0, 8, 0, 2, 0x40, 0, 0, 9, 2, 0, 0x01, 0x2C];
        let group = GroupInfo { id: 0x4000_0009, group_type: 2, flags: 0, weight: 300 };
        assert_eq!(read(&bytes), [Ok(Extension::Group(group))]);
        assert_eq!(written(&[Extension::Group(group)]), bytes);
        let error = PacketError::BlockSize { block: 8, min: 8, max: 262_140, got: 4 };
        assert_eq!(read(&[0, 8, 0, 1, 0x40, 0, 0, 9]), [Err(error)]);
    }

    #[test]
    fn key_material_and_unknown_kinds_keep_their_bytes() {
        let bytes = [0, 3, 0, 1, 1, 2, 3, 4, 0, 4, 0, 1, 3, 0, 0, 0, 0x12, 0x34, 0, 0];
        let list = [
            Extension::KeyMaterialRequest(&[1, 2, 3, 4]),
            Extension::KeyMaterialResponse(&[3, 0, 0, 0]),
            Extension::Unknown { kind: 0x1234, content: &[] },
        ];
        assert_eq!(read(&bytes), list.map(Ok));
        assert_eq!(written(&list), bytes);
    }

    #[test]
    fn content_is_filled_up_to_a_word() {
        assert_eq!(
            written(&[Extension::Unknown { kind: 99, content: b"12345" }]),
            b"\0\x63\0\x0212345\0\0\0"
        );
    }

    #[test]
    fn a_block_past_the_end_is_an_error_and_the_last() {
        let bytes = [0, 99, 0, 1, 1, 2, 3, 4, 0, 5, 0, 2, 1, 2, 3, 4, 5, 6, 7];
        let good = Extension::Unknown { kind: 99, content: &[1, 2, 3, 4] };
        assert_eq!(read(&bytes), [Ok(good), Err(PacketError::BlockPastEnd { block: 5, need: 8, got: 7 })]);
    }

    #[test]
    fn half_a_block_header_is_an_error() {
        assert_eq!(read(&[0, 5, 0]), [Err(PacketError::BlockPastEnd { block: 0, need: 4, got: 3 })]);
    }

    #[test]
    fn a_bad_block_does_not_hide_those_after_it() {
        let bytes = [0, 1, 0, 0, 0, 99, 0, 0];
        assert!(matches!(read(&bytes)[..], [Err(_), Ok(Extension::Unknown { kind: 99, content: &[] })]));
    }

    #[test]
    fn a_set_of_flags_contains_what_was_put_in() {
        let flags = SrtFlags::default().with_if(SrtFlags::STREAM, true).with_if(SrtFlags::FILTER, false);
        assert!(flags.contains(SrtFlags::STREAM));
        assert!(!flags.contains(SrtFlags::STREAM | SrtFlags::FILTER));
        assert_eq!(flags.bits(), 0x40);
    }

    /// The raw material of a block: a kind, numbers and bytes.
    fn any_block() -> impl Strategy<Value = (u16, [u32; 3], Vec<u8>)> {
        (prop_oneof![0_u16..12, any::<u16>()], any::<[u32; 3]>(), prop::collection::vec(any::<u8>(), 4..=16))
    }

    fn block(&(kind, [a, b, c], ref bytes): &(u16, [u32; 3], Vec<u8>)) -> Extension<'_> {
        let [high, low] = halves(c);
        let parameters = SrtParameters {
            version: a,
            flags: SrtFlags::new(b),
            receiver_latency_ms: high,
            sender_latency_ms: low,
        };
        // Whole words, for what is no text keeps the filling.
        let content = bytes.as_chunks::<4>().0.as_flattened();
        match kind {
            HSREQ => Extension::HandshakeRequest(parameters),
            HSRSP => Extension::HandshakeResponse(parameters),
            KMREQ => Extension::KeyMaterialRequest(content),
            KMRSP => Extension::KeyMaterialResponse(content),
            SID => Extension::StreamId(WireString::new(bytes)),
            CONGESTION => Extension::Congestion(WireString::new(bytes)),
            FILTER => Extension::Filter(WireString::new(bytes)),
            GROUP => {
                let [group_type, flags, ..] = b.to_be_bytes();
                Extension::Group(GroupInfo { id: a, group_type, flags, weight: low })
            }
            kind => Extension::Unknown { kind, content },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn what_was_written_is_read(raw in prop::collection::vec(any_block(), 0..6)) {
            let list: Vec<_> = raw.iter().map(block).collect();
            let bytes = written(&list);
            prop_assert_eq!(bytes.len() % 4, 0);
            prop_assert_eq!(read(&bytes), list.iter().copied().map(Ok).collect::<Vec<_>>());
            prop_assert_eq!(Extensions::Wire(&bytes), Extensions::List(&list));
            prop_assert_eq!(Extensions::Wire(&bytes).is_empty(), list.is_empty());
        }

        #[test]
        fn a_text_comes_back_without_the_zero_bytes_at_its_end(
            text in prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 1..=MAX_STREAM_ID_BYTES)
        ) {
            let bytes = written(&[Extension::StreamId(WireString::new(&text))]);
            let [Ok(Extension::StreamId(read))] = read(&bytes)[..] else { panic!("no stream ID") };
            let mut wanted = text.clone();
            while wanted.last() == Some(&0) {
                wanted.pop();
            }
            prop_assert_eq!(read.decode(), wanted);
        }
    }
}
