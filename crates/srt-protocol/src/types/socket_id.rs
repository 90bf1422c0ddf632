//! Socket identifiers: whom a packet is for.

use core::fmt;

/// Number by which a peer tells apart the connections on one UDP port (draft §3, §4.1).
///
/// Each side chooses its own and puts the other's into every packet. Zero is no connection: a handshake for a
/// listener goes there, for the caller does not know an ID yet. libsrt keeps bit 30 for groups
/// (`SRTGROUP_MASK`), so a socket's own ID has that bit clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(u32);

impl SocketId {
    /// The destination of a handshake to a peer whose ID is not known yet.
    pub const HANDSHAKE: Self = Self(0);

    /// The ID of this number.
    #[inline]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The bare number.
    #[inline]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// Whether this is zero: no connection, but whoever listens on the port.
    #[inline]
    pub const fn is_handshake(self) -> bool {
        self.0 == 0
    }
}

/// `@` and the decimal number, as libsrt's logs write it.
impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_the_handshake_id() {
        assert!(SocketId::HANDSHAKE.is_handshake());
        assert!(!SocketId::new(1).is_handshake());
    }

    #[test]
    fn an_id_is_written_with_an_at_sign() {
        assert_eq!(SocketId::new(123).to_string(), "@123");
    }
}
