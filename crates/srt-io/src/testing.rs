//! What the tests of this crate share.

use crate::{Clock, Events, Interest, Poller, RecvBatch, UdpOptions, UdpSocket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The loopback addresses of this machine, IPv4 first.
pub(crate) fn loopbacks() -> Vec<IpAddr> {
    let mut all = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    match std::net::UdpSocket::bind((v6, 0)) {
        Ok(_) => all.push(v6),
        Err(error) => eprintln!("this machine has no IPv6, which is not tested: {error}"),
    }
    all
}

/// A socket on a port of its own.
pub(crate) fn socket_at(ip: IpAddr, options: &UdpOptions) -> UdpSocket {
    UdpSocket::bind(SocketAddr::new(ip, 0), options).unwrap()
}

/// A sender and a receiver.
pub(crate) fn pair(ip: IpAddr, sending: &UdpOptions, receiving: &UdpOptions) -> (UdpSocket, UdpSocket) {
    (socket_at(ip, sending), socket_at(ip, receiving))
}

/// Bytes in which neighbouring datagrams of `size` bytes differ.
pub(crate) fn numbered(length: usize, size: usize) -> Vec<u8> {
    let byte =
        |index: usize| (index / size.max(1)).wrapping_mul(31).wrapping_add(index % 251).to_le_bytes()[0];
    (0..length).map(byte).collect()
}

/// Waits until there is something to receive; fails the test if nothing comes.
pub(crate) fn wait_readable(socket: &UdpSocket) {
    let poller = Poller::new().unwrap();
    poller.add(socket, 0, Interest::READABLE).unwrap();
    let mut events = Events::default();
    poller.wait(&mut events, Some(Clock::new().now_micros() + 30_000_000)).unwrap();
    poller.remove(socket).unwrap();
    assert!(!events.is_empty(), "nothing came");
}

/// Waits for `count` datagrams; fails the test if they do not come.
pub(crate) fn receive(socket: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    let (mut batch, mut all) = (RecvBatch::new(), Vec::new());
    while all.len() < count {
        wait_readable(socket);
        socket.recv_batch(&mut batch).unwrap();
        all.extend(batch.iter().flat_map(|item| item.datagrams()).map(<[u8]>::to_vec));
    }
    all
}
