//! What the kernel threw away before we could read it: without this figure an overloaded emulator would pass its own
//! loss off as the link's.

use mio::net::UdpSocket;

/// Datagrams dropped for want of receive buffer, per socket, at one moment.
#[derive(Debug, Default)]
pub(super) struct KernelDrops {
    #[cfg(target_os = "linux")]
    by_inode: std::collections::HashMap<u64, u64>,
}

#[cfg(target_os = "linux")]
impl KernelDrops {
    /// Reads the kernel's tables of this thread's network namespace.
    pub(super) fn look() -> Self {
        let tables = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];
        let texts = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
        let mut by_inode = std::collections::HashMap::new();
        for text in texts {
            // The first line names the columns: inode is the tenth, drops the last.
            by_inode.extend(text.lines().skip(1).filter_map(|line| -> Option<(u64, u64)> {
                let inode = line.split_whitespace().nth(9)?;
                let drops = line.split_whitespace().last()?;
                inode.parse().ok().zip(drops.parse().ok())
            }));
        }
        Self { by_inode }
    }

    /// The figure of one socket; `None` where the system does not tell.
    pub(super) fn of(&self, socket: &UdpSocket) -> Option<u64> {
        use std::os::fd::AsRawFd as _;

        let link = std::fs::read_link(format!("/proc/thread-self/fd/{}", socket.as_raw_fd())).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        self.by_inode.get(&inode).copied()
    }
}

#[cfg(not(target_os = "linux"))]
impl KernelDrops {
    pub(super) fn look() -> Self {
        Self::default()
    }

    pub(super) fn of(&self, _: &UdpSocket) -> Option<u64> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn drops_of_a_full_socket_are_counted_exactly() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(receiver) = std::net::UdpSocket::bind(address) else {
                continue; // A machine without IPv6.
            };
            receiver.set_nonblocking(true).unwrap();
            let sender = std::net::UdpSocket::bind(address).unwrap();
            let to = receiver.local_addr().unwrap();
            let sent = 10_000;
            for _ in 0..sent {
                sender.send_to(&[0; 1_316], to).unwrap();
            }
            let receiver = UdpSocket::from_std(receiver);
            let mut received = 0;
            while receiver.recv(&mut [0; 2_000]).is_ok() {
                received += 1;
            }
            assert!(received < sent, "the receive buffer holds {received} datagrams");
            assert_eq!(KernelDrops::look().of(&receiver), Some(sent - received));
        }
    }
}
