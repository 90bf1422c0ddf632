//! The stateless SYN cookie: proves that a caller receives what is sent to its address (draft §4.3.1.1).

use std::{hash::Hasher, net::SocketAddr};

use siphasher::sip::SipHasher24;

use crate::time::{Instant, Micros};

/// How long a cookie is the current one; it is taken for as long again.
const PERIOD: Micros = Micros::from_secs(60);

/// Bakes and checks cookies with a secret of its own.
pub(crate) struct CookieJar {
    secret: [u8; 16],
}

impl std::fmt::Debug for CookieJar {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("CookieJar")
    }
}

impl CookieJar {
    pub(crate) const fn new(secret: [u8; 16]) -> Self {
        Self { secret }
    }

    /// The cookie for `peer` at `now`; never 0, which callers send before they have one.
    pub(crate) fn bake(&self, now: Instant, peer: SocketAddr) -> u32 {
        self.bake_for(period(now), peer)
    }

    /// True where `cookie` was baked for `peer` in this period or the last.
    pub(crate) fn check(&self, now: Instant, peer: SocketAddr, cookie: u32) -> bool {
        let period = period(now);
        cookie == self.bake_for(period, peer)
            || period.checked_sub(1).is_some_and(|last| cookie == self.bake_for(last, peer))
    }

    fn bake_for(&self, period: u64, peer: SocketAddr) -> u32 {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        match peer.ip().to_canonical() {
            std::net::IpAddr::V4(ip) => hasher.write(&ip.octets()),
            std::net::IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.write_u16(peer.port());
        hasher.write_u64(period);
        let hash = hasher.finish();
        (low(hash) ^ low(hash >> 32)).max(1)
    }
}

const fn period(now: Instant) -> u64 {
    now.as_micros() / PERIOD.as_micros()
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
const fn low(hash: u64) -> u32 {
    hash as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_micros(secs * 1_000_000)
    }

    #[test]
    fn a_cookie_is_good_for_its_address_and_a_minute_or_two() {
        let jar = CookieJar::new([7; 16]);
        let peer: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        let cookie = jar.bake(at(59), peer);
        assert!(jar.check(at(59), peer, cookie));
        assert!(jar.check(at(119), peer, cookie));
        assert!(!jar.check(at(121), peer, cookie));
        assert!(!jar.check(at(59), "192.0.2.1:5001".parse().unwrap(), cookie));
        assert!(!jar.check(at(59), "192.0.2.2:5000".parse().unwrap(), cookie));
        assert!(!CookieJar::new([8; 16]).check(at(59), peer, cookie));
    }

    #[test]
    fn a_mapped_address_is_the_same_as_the_plain_one() {
        let jar = CookieJar::new([7; 16]);
        let cookie = jar.bake(at(1), "[::ffff:192.0.2.1]:5000".parse().unwrap());
        assert!(jar.check(at(1), "192.0.2.1:5000".parse().unwrap(), cookie));
    }
}
