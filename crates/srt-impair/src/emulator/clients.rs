//! Who uses the link: a bounded table of client addresses, each with a socket of its own towards the target.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

/// Clients by address and by slot; a slot is reused once its client has expired.
#[derive(Debug)]
pub(super) struct Clients {
    slots: Vec<Option<Client>>,
    by_address: HashMap<SocketAddr, usize>,
    free: Vec<usize>,
    most: usize,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    /// Connected to the target.
    pub(super) upstream: UdpSocket,
    /// Whether the loop has it on its list of readable sockets.
    pub(super) is_listed: bool,
    /// Datagrams from or to it that are on their way; it stays at least as long as there are any.
    pub(super) pending: usize,
    pub(super) last_active_us: u64,
}

impl Clients {
    pub(super) fn new(most: usize) -> Self {
        Self { slots: Vec::new(), by_address: HashMap::new(), free: Vec::new(), most: most.max(1) }
    }

    pub(super) fn find(&self, address: SocketAddr) -> Option<usize> {
        self.by_address.get(&address).copied()
    }

    pub(super) fn get(&mut self, slot: usize) -> Option<&mut Client> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(super) fn is_full(&self) -> bool {
        self.by_address.len() >= self.most
    }

    /// The slot that the next client will have.
    pub(super) fn next_slot(&self) -> usize {
        self.free.last().copied().unwrap_or(self.slots.len())
    }

    /// Puts a client into [`next_slot`](Self::next_slot).
    pub(super) fn insert(&mut self, address: SocketAddr, upstream: UdpSocket, now_us: u64) {
        let slot = self.next_slot();
        if self.free.pop().is_none() {
            self.slots.push(None);
        }
        let client = Client { address, upstream, is_listed: false, pending: 0, last_active_us: now_us };
        self.slots[slot] = Some(client);
        self.by_address.insert(address, slot);
    }

    /// Takes out those that were last active before `since_us` and have nothing on its way.
    pub(super) fn expire(&mut self, since_us: u64) -> Vec<Client> {
        let mut expired = Vec::new();
        for (slot, entry) in self.slots.iter_mut().enumerate() {
            if let Some(client) =
                entry.take_if(|client| client.pending == 0 && client.last_active_us < since_us)
            {
                self.by_address.remove(&client.address);
                self.free.push(slot);
                expired.push(client);
            }
        }
        expired
    }

    /// Each with its slot.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Client)> {
        self.slots.iter_mut().enumerate().filter_map(|(slot, entry)| Some((slot, entry.as_mut()?)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Client> {
        self.slots.iter().flatten()
    }
}

/// A non-blocking UDP socket with large buffers, bound to `address`.
pub(super) fn listen(address: SocketAddr) -> io::Result<UdpSocket> {
    bind(address).map(|socket| UdpSocket::from_std(socket.into()))
}

/// The same, on a free port, connected to `target`.
pub(super) fn connect(target: SocketAddr, from: Option<IpAddr>) -> io::Result<UdpSocket> {
    let wildcard: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = bind(SocketAddr::new(from.unwrap_or(wildcard), 0))?;
    socket.connect(&target.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    enlarge_buffers(&socket);
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Asks for much and takes what is granted; whether it was enough is told by the report's kernel drops.
fn enlarge_buffers(socket: &Socket) {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt;
        // Beyond the system's limit, with the privilege for it (as inside a user's own network namespace).
        let receive = sockopt::set_socket_recv_buffer_size_force(socket, BUFFER_BYTES);
        let send = sockopt::set_socket_send_buffer_size_force(socket, BUFFER_BYTES);
        if receive.is_ok() && send.is_ok() {
            return;
        }
    }
    // Linux grants what it can; other systems refuse what is too much.
    let sizes = || (0..6).map(|halvings| BUFFER_BYTES >> halvings);
    sizes().find(|&size| socket.set_recv_buffer_size(size).is_ok());
    sizes().find(|&size| socket.set_send_buffer_size(size).is_ok());
}

const BUFFER_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn add(clients: &mut Clients, port: u16, now_us: u64) -> usize {
        let slot = clients.next_slot();
        let upstream = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        clients.insert((Ipv4Addr::LOCALHOST, port).into(), upstream, now_us);
        slot
    }

    #[test]
    fn slots_of_expired_clients_are_used_again() {
        let mut clients = Clients::new(2);
        assert_eq!((add(&mut clients, 1, 0), add(&mut clients, 2, 50)), (0, 1));
        assert!(clients.is_full());
        let gone: Vec<u16> = clients.expire(50).iter().map(|client| client.address.port()).collect();
        assert_eq!(gone, [1]);
        assert!(!clients.is_full());
        assert_eq!(clients.find((Ipv4Addr::LOCALHOST, 1).into()), None);
        assert_eq!(add(&mut clients, 3, 60), 0);
        assert_eq!(clients.find((Ipv4Addr::LOCALHOST, 3).into()), Some(0));
        assert_eq!(clients.iter().count(), 2);
    }

    #[test]
    fn a_client_with_datagrams_on_their_way_does_not_expire() {
        let mut clients = Clients::new(2);
        let slot = add(&mut clients, 1, 0);
        clients.get(slot).unwrap().pending = 1;
        assert!(clients.expire(u64::MAX).is_empty());
        clients.get(slot).unwrap().pending = 0;
        assert_eq!(clients.expire(u64::MAX).len(), 1);
    }
}
