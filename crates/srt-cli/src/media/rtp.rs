//! `rtp://`: the RTP header (RFC 3550 §5.1) taken off what is read, and put before what is written.

use super::MediaUri;
use crate::error::UriFault;
use crate::test_stream::wall_micros;

/// Bytes of an RTP header without CSRCs and extension.
pub(crate) const FIXED_HEADER: usize = 12;

/// What stands before the payload of a datagram and is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strip {
    /// Nothing: plain UDP.
    Nothing,
    /// An RTP header as long as it says it is, with its CSRCs, extension and padding.
    Rtp,
    /// So many bytes, whatever they are (`rtpheadersize`, as srt-live-transmit does it).
    Bytes(usize),
}

impl Strip {
    /// As the address says.
    ///
    /// # Errors
    /// `rtpheadersize` below 12 or beyond any datagram.
    pub(crate) fn of(uri: &MediaUri) -> Result<Self, UriFault> {
        let size =
            uri.number("rtpheadersize", (12, 1_472), "12 to 1472 bytes; leave it out to read the header")?;
        Ok(size.and_then(|size| usize::try_from(size).ok()).map_or(Self::Rtp, Self::Bytes))
    }

    /// The payload of `datagram`; `None` when it is none of this kind.
    pub(crate) fn payload(self, datagram: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Nothing => Some(datagram),
            Self::Bytes(size) => datagram.get(size..),
            Self::Rtp => rtp_payload(datagram),
        }
    }
}

fn rtp_payload(datagram: &[u8]) -> Option<&[u8]> {
    let (fixed, mut rest) = datagram.split_first_chunk::<FIXED_HEADER>()?;
    let flags = fixed[0];
    if flags >> 6 != 2 {
        return None;
    }
    let csrcs = usize::from(flags & 0x0F);
    rest = rest.get(csrcs * 4..)?;
    if flags & 0x10 != 0 {
        let (extension, after) = rest.split_first_chunk::<4>()?;
        let words = u16::from_be_bytes([extension[2], extension[3]]);
        rest = after.get(usize::from(words) * 4..)?;
    }
    if flags & 0x20 != 0 {
        let padding = usize::from(*rest.last()?);
        if padding == 0 {
            return None;
        }
        rest = rest.get(..rest.len().checked_sub(padding)?)?;
    }
    Some(rest)
}

/// Writes the headers of one RTP stream: MPEG-TS by RFC 2250, 90 kHz, unless told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    payload_type: u8,
    ssrc: u32,
    sequence: u16,
}

impl Header {
    /// `pt` (payload type, default 33 = MPEG-TS) and `ssrc` (default by the time of day) come from the address.
    ///
    /// # Errors
    /// A value out of range.
    pub(crate) fn of(uri: &MediaUri) -> Result<Self, UriFault> {
        let payload_type = uri.number("pt", (0, 127), "a payload type, 0 to 127")?.unwrap_or(33);
        let given = uri.number("ssrc", (0, u32::MAX), "0 to 4294967295")?;
        let low = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default();
        let ssrc = given.unwrap_or_else(|| low(wall_micros()));
        Ok(Self { payload_type: u8::try_from(payload_type).unwrap_or(33), ssrc, sequence: 0 })
    }

    /// The header of the next packet, sent `elapsed_us` after the first.
    pub(crate) fn next(&mut self, elapsed_us: u64) -> [u8; FIXED_HEADER] {
        let ticks = u128::from(elapsed_us) * 90 / 1_000;
        let timestamp = u32::try_from(ticks & u128::from(u32::MAX)).unwrap_or_default();
        let mut header = [0; FIXED_HEADER];
        header[0] = 2 << 6;
        header[1] = self.payload_type;
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(flags: u8, middle: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![flags, 33, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend_from_slice(middle);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn a_plain_header_is_twelve_bytes() {
        assert_eq!(Strip::Rtp.payload(&packet(0x80, &[], b"ts")), Some(&b"ts"[..]));
        assert_eq!(Strip::Rtp.payload(&packet(0x80, &[], b"")), Some(&b""[..]));
    }

    #[test]
    fn csrcs_extension_and_padding_are_taken_off_too() {
        assert_eq!(Strip::Rtp.payload(&packet(0x82, &[9; 8], b"ts")), Some(&b"ts"[..]));
        let extension = [0xBE, 0xDE, 0, 2, 1, 1, 1, 1, 2, 2, 2, 2];
        assert_eq!(Strip::Rtp.payload(&packet(0x90, &extension, b"ts")), Some(&b"ts"[..]));
        assert_eq!(Strip::Rtp.payload(&packet(0xA0, &[], b"ts\0\0\x03")), Some(&b"ts"[..]));
        let both = [&[9; 4], &extension[..]].concat();
        assert_eq!(Strip::Rtp.payload(&packet(0xB1, &both, b"ts\x01")), Some(&b"ts"[..]));
    }

    #[test]
    fn what_is_no_rtp_is_told_apart() {
        for wrong in [
            &b""[..],
            &[0x80; 11],
            &packet(0x40, &[], b"version 1"),
            &packet(0x8F, &[0; 8], b""),
            &packet(0x90, &[0, 0], b""),
            &packet(0x90, &[0, 0, 0, 9], b"short"),
            &packet(0xA0, &[], b""),
            &packet(0xA0, &[], b"a\x09"),
            &packet(0xA0, &[], b"a\x00"),
        ] {
            assert_eq!(Strip::Rtp.payload(wrong), None, "{wrong:02x?}");
        }
    }

    #[test]
    fn a_given_header_size_is_dropped_unread() {
        let uri = |text| MediaUri::parse(text).unwrap();
        assert_eq!(Strip::of(&uri("rtp://:1")), Ok(Strip::Rtp));
        assert_eq!(Strip::of(&uri("rtp://:1?rtpheadersize=16")), Ok(Strip::Bytes(16)));
        assert!(Strip::of(&uri("rtp://:1?rtpheadersize=11")).is_err());
        assert_eq!(Strip::Bytes(16).payload(&[1; 20]), Some(&[1; 4][..]));
        assert_eq!(Strip::Bytes(16).payload(&[1; 15]), None);
    }

    #[test]
    fn headers_written_are_headers_read() {
        let mut header = Header::of(&MediaUri::parse("rtp://host:1?ssrc=7&pt=96").unwrap()).unwrap();
        header.sequence = u16::MAX;
        let first = header.next(0);
        assert_eq!(first, [0x80, 96, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 7]);
        let second = header.next(1_000_000);
        assert_eq!(second[2..8], [0, 0, 0, 1, 0x5F, 0x90], "number 0, 90000 ticks");
        assert_eq!(Strip::Rtp.payload(&[&second[..], b"ts"].concat()), Some(&b"ts"[..]));
    }
}
