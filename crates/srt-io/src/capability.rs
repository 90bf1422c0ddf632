//! What the kernel can do, probed once.

use crate::sys;
use std::sync::OnceLock;

/// What the system underneath can do for UDP and for waiting.
///
/// Everything works without any of these, at a higher cost per packet; nobody needs to look. It is public for
/// reports ("why is this machine slow?") and for tests, which switch abilities off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Sending many datagrams as one message, split by the kernel or the network card (`UDP_SEGMENT`, Linux 4.18).
    pub gso: bool,
    /// Receiving many datagrams of one sender as one message (`UDP_GRO`, Linux 5.0).
    pub gro: bool,
    /// Waiting with nanosecond deadlines in one system call (`epoll_pwait2`, Linux 5.11). Without it two calls are needed.
    pub precise_wait: bool,
    /// Choosing and learning the local address of each datagram (`IP_PKTINFO`).
    pub source_address: bool,
}

/// What this system can do; probed at the first call, then remembered.
pub fn capabilities() -> Capabilities {
    static PROBED: OnceLock<Capabilities> = OnceLock::new();
    *PROBED.get_or_init(|| {
        let found = sys::probe();
        tracing::debug!(?found, "UDP and waiting abilities of this system");
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_always_gives_the_same_answer() {
        assert_eq!(capabilities(), capabilities());
        assert_eq!(capabilities(), sys::probe());
    }
}
