//! Bytes that Linux exchanges with programs beside the payload: socket addresses and control messages.
//!
//! Written and read as plain bytes in the layout of the kernel's interface, which never changes; so nothing here needs
//! `unsafe`, and a length that lies is only a message that is not found.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A socket address: `struct sockaddr_in` or `sockaddr_in6`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(4))]
pub(super) struct Name([u8; NAME_SIZE]);

impl Name {
    pub(super) const EMPTY: Self = Self([0; NAME_SIZE]);

    /// Writes `addr`; gives the length to tell the kernel.
    pub(super) fn encode(&mut self, addr: &SocketAddr) -> usize {
        match addr {
            SocketAddr::V4(addr) => {
                put(&mut self.0, 0, &AF_INET.to_ne_bytes());
                put(&mut self.0, 2, &addr.port().to_be_bytes());
                put(&mut self.0, 4, &addr.ip().octets());
                put(&mut self.0, 8, &[0; 8]);
                16
            }
            SocketAddr::V6(addr) => {
                put(&mut self.0, 0, &AF_INET6.to_ne_bytes());
                put(&mut self.0, 2, &addr.port().to_be_bytes());
                put(&mut self.0, 4, &addr.flowinfo().to_ne_bytes());
                put(&mut self.0, 8, &addr.ip().octets());
                put(&mut self.0, 24, &addr.scope_id().to_ne_bytes());
                28
            }
        }
    }

    /// Reads what the kernel wrote: `length` bytes.
    pub(super) fn decode(&self, length: usize) -> Option<SocketAddr> {
        let bytes = self.0.get(..length)?;
        let port = u16::from_be_bytes(take(bytes, 2)?);
        match u16::from_ne_bytes(take(bytes, 0)?) {
            AF_INET => Some(SocketAddrV4::new(Ipv4Addr::from(take::<4>(bytes, 4)?), port).into()),
            AF_INET6 => {
                let flowinfo = u32::from_ne_bytes(take(bytes, 4)?);
                let ip = Ipv6Addr::from(take::<16>(bytes, 8)?);
                Some(SocketAddrV6::new(ip, port, flowinfo, u32::from_ne_bytes(take(bytes, 24)?)).into())
            }
            _ => None,
        }
    }

    pub(super) const fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }
}

/// A buffer of `N` bytes for control messages: `struct cmsghdr` and data, again and again.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Control<const N: usize>([u8; N]);

impl<const N: usize> Control<N> {
    pub(super) const EMPTY: Self = Self([0; N]);

    /// Writes one control message at `at`; gives the place of the next, which is also the length so far.
    ///
    /// # Panics
    /// If the buffer is too small: its size is a constant chosen for what is put in.
    pub(super) fn push(&mut self, at: usize, level: i32, kind: i32, data: &[u8]) -> usize {
        put(&mut self.0, at, &(HEADER + data.len()).to_ne_bytes());
        put(&mut self.0, at + WORD, &level.to_ne_bytes());
        put(&mut self.0, at + WORD + 4, &kind.to_ne_bytes());
        put(&mut self.0, at + HEADER, data);
        at + aligned(HEADER + data.len())
    }

    /// The control messages in the first `length` bytes: level, kind, data.
    pub(super) fn messages(&self, length: usize) -> impl Iterator<Item = (i32, i32, &[u8])> {
        let mut rest = self.0.get(..length).unwrap_or_default();
        std::iter::from_fn(move || {
            let size = usize::from_ne_bytes(take(rest, 0)?);
            let level = i32::from_ne_bytes(take(rest, WORD)?);
            let kind = i32::from_ne_bytes(take(rest, WORD + 4)?);
            let data = rest.get(HEADER..size)?;
            rest = rest.get(aligned(size)..).unwrap_or_default();
            Some((level, kind, data))
        })
    }

    pub(super) const fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }
}

/// `struct in_pktinfo` that asks for `source` as the local address.
pub(super) fn in_pktinfo(source: Ipv4Addr) -> [u8; 12] {
    let mut bytes = [0; 12];
    put(&mut bytes, 4, &source.octets());
    bytes
}

/// `struct in6_pktinfo` that asks for `source` as the local address; a link-local one also needs its interface.
pub(super) fn in6_pktinfo(source: Ipv6Addr, interface: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    put(&mut bytes, 0, &source.octets());
    if source.is_unicast_link_local() {
        put(&mut bytes, 16, &interface.to_ne_bytes());
    }
    bytes
}

/// The local address in a received `struct in_pktinfo`: the one to answer from, which for a broadcast is not the one that
/// was called.
pub(super) fn from_in_pktinfo(data: &[u8]) -> Option<IpAddr> {
    let local = Ipv4Addr::from(take::<4>(data, 4)?);
    let called = Ipv4Addr::from(take::<4>(data, 8)?);
    Some(IpAddr::V4(if local.is_unspecified() { called } else { local }))
}

/// The local address in a received `struct in6_pktinfo`.
pub(super) fn from_in6_pktinfo(data: &[u8]) -> Option<IpAddr> {
    take::<16>(data, 0).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
}

/// `N` bytes at `at`, if there are so many.
pub(super) fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn put(bytes: &mut [u8], at: usize, data: &[u8]) {
    bytes[at..at + data.len()].copy_from_slice(data);
}

const fn aligned(length: usize) -> usize {
    length.saturating_add(WORD - 1) & !(WORD - 1)
}

const WORD: usize = size_of::<usize>();
/// `struct cmsghdr`: length as a word, level, kind. It needs no padding on 32 and 64 bits.
const HEADER: usize = WORD + 8;
pub(super) const NAME_SIZE: usize = 28;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_to_the_kernel_and_back() {
        for text in ["192.0.2.7:9000", "0.0.0.0:0", "[2001:db8::1]:65535", "[::ffff:10.0.0.1]:1"] {
            let addr: SocketAddr = text.parse().unwrap();
            let mut name = Name::EMPTY;
            let length = name.encode(&addr);
            assert_eq!(name.decode(length), Some(addr));
            assert_eq!(name.decode(length - 1).is_some(), addr.is_ipv4()); // sin_zero is not needed
        }
        let scoped = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 5, 6, 7));
        let mut name = Name::EMPTY;
        let length = name.encode(&scoped);
        assert_eq!(name.decode(length), Some(scoped));
        assert_eq!(Name::EMPTY.decode(28), None);
    }

    #[test]
    fn control_messages_are_found_in_their_order() {
        let mut control = Control::<64>::EMPTY;
        let next = control.push(0, 41, 50, &[7; 20]);
        let end = control.push(next, 17, 103, &1316_u16.to_ne_bytes());
        assert!(end <= 64);
        let found: Vec<_> = control.messages(end).collect();
        assert_eq!(found, [(41, 50, &[7; 20][..]), (17, 103, &1316_u16.to_ne_bytes()[..])]);
    }

    #[test]
    fn the_layout_is_that_of_the_c_library() {
        assert_eq!(HEADER, size_of::<libc::cmsghdr>());
        assert_eq!(size_of_val(&in_pktinfo(Ipv4Addr::LOCALHOST)), size_of::<libc::in_pktinfo>());
        assert_eq!(size_of_val(&in6_pktinfo(Ipv6Addr::LOCALHOST, 0)), size_of::<libc::in6_pktinfo>());
        assert_eq!(NAME_SIZE, size_of::<libc::sockaddr_in6>());
        assert_eq!(i32::from(AF_INET), libc::AF_INET);
        assert_eq!(i32::from(AF_INET6), libc::AF_INET6);
    }

    #[test]
    fn lengths_that_lie_end_the_search() {
        let mut control = Control::<64>::EMPTY;
        let end = control.push(0, 1, 2, &[9; 4]);
        for (size, messages) in [(0, 0), (HEADER - 1, 0), (HEADER + 4, 1), (65, 0), (usize::MAX, 0)] {
            put(&mut control.0, 0, &size.to_ne_bytes());
            assert_eq!(control.messages(end).count(), messages, "{size}");
        }
        assert_eq!(control.messages(1_000).count(), 0);
        assert_eq!(control.messages(3).count(), 0);
    }
}
