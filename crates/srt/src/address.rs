//! Whom to call and where to listen: an address, or a name that has to be looked up first.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs},
};

use crate::Error;

/// What can be called or bound: a socket address, an IP address with a port, or a host name with a port, as
/// `"host:port"` or `("host", port)`. IPv6 addresses in text stand in brackets: `"[2001:db8::1]:9000"`.
///
/// ```
/// use srt::{Options, SrtListener};
///
/// let listener = SrtListener::bind("127.0.0.1:0", &Options::new())?;
/// let another = SrtListener::bind((std::net::Ipv4Addr::LOCALHOST, 0), &Options::new())?;
/// assert_ne!(listener.local_addr(), another.local_addr());
/// # Ok::<(), srt::Error>(())
/// ```
pub trait Address: sealed::ToTarget {}

impl<T: sealed::ToTarget> Address for T {}

pub(crate) mod sealed {
    use super::Target;

    #[expect(unnameable_types, reason = "the sealed half of a public trait: nobody else is to name it")]
    pub trait ToTarget {
        #[doc(hidden)]
        fn target(&self) -> Target;
    }
}

/// An address, or the name of one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(unnameable_types, reason = "seen in the sealed half of a public trait alone")]
pub enum Target {
    /// Known already.
    Known(SocketAddr),
    /// `host:port`, to be looked up.
    Named(String),
}

impl Target {
    fn of(host: &str, port: u16) -> Self {
        match host.parse::<IpAddr>() {
            Ok(ip) => Self::Known(SocketAddr::new(ip, port)),
            Err(_) => Self::Named(format!("{host}:{port}")),
        }
    }

    /// The addresses; at least one. Waits for the answer of the system's resolver.
    pub(crate) fn resolve(self) -> Result<Vec<SocketAddr>, Error> {
        let name = match self {
            Self::Known(addr) => return Ok(vec![addr]),
            Self::Named(name) => name,
        };
        let found = match name.rsplit_once(':') {
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "it has no port (write host:port)")),
            Some(_) => name.to_socket_addrs(),
        };
        let mut addrs = Vec::new();
        for addr in found.map_err(|source| Error::Resolve { name: name.clone(), source })? {
            if !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
        if addrs.is_empty() {
            let source = io::Error::new(io::ErrorKind::NotFound, "it has no address");
            return Err(Error::Resolve { name, source });
        }
        Ok(addrs)
    }
}

/// Tries one address after the other until one will do; the error is that of the last.
pub(crate) fn try_each<T>(
    addrs: Vec<SocketAddr>,
    mut attempt: impl FnMut(SocketAddr) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut last = Error::WouldBlock; // never seen: there is at least one address
    for addr in addrs {
        match attempt(addr) {
            Ok(done) => return Ok(done),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Address types that turn into a socket address as they are.
macro_rules! known {
    ($($type:ty),+) => {$(
        impl sealed::ToTarget for $type {
            fn target(&self) -> Target {
                Target::Known(SocketAddr::from(*self))
            }
        }
    )+};
}

known!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl sealed::ToTarget for str {
    fn target(&self) -> Target {
        self.parse().map_or_else(|_| Target::Named(self.to_owned()), Target::Known)
    }
}

impl sealed::ToTarget for String {
    fn target(&self) -> Target {
        self.as_str().target()
    }
}

impl sealed::ToTarget for (&str, u16) {
    fn target(&self) -> Target {
        Target::of(self.0, self.1)
    }
}

impl sealed::ToTarget for (String, u16) {
    fn target(&self) -> Target {
        Target::of(&self.0, self.1)
    }
}

impl<T: sealed::ToTarget + ?Sized> sealed::ToTarget for &T {
    fn target(&self) -> Target {
        (**self).target()
    }
}

#[cfg(test)]
mod tests {
    use super::{sealed::ToTarget, *};

    #[test]
    fn what_is_an_address_already_is_not_looked_up() {
        let v4 = Target::Known(SocketAddr::from(([192, 0, 2, 1], 9000)));
        assert_eq!("192.0.2.1:9000".target(), v4);
        assert_eq!(("192.0.2.1", 9000).target(), v4);
        assert_eq!((Ipv4Addr::new(192, 0, 2, 1), 9000).target(), v4);
        assert_eq!("192.0.2.1:9000".to_owned().target(), v4);
        let v6 = Target::Known(SocketAddr::from((Ipv6Addr::LOCALHOST, 9000)));
        assert_eq!("[::1]:9000".target(), v6);
        assert_eq!(("::1", 9000).target(), v6);
        assert_eq!("host:9000".target(), Target::Named("host:9000".to_owned()));
    }

    #[test]
    fn the_name_of_this_machine_is_found() {
        let addrs = "localhost:9000".target().resolve().expect("localhost has an address");
        assert!(addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 9000), "{addrs:?}");
    }

    #[test]
    fn a_name_without_a_port_is_told_so() {
        let text = "example".target().resolve().expect_err("no port").to_string();
        assert!(text.contains("example") && text.contains("host:port"), "{text}");
    }
}
