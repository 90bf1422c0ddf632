//! A wiretap: passes UDP on, unchanged unless told otherwise, between callers' side and listener's side, and notes what of the encryption can be
//! seen from outside (draft §3.1, §3.2.2).

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Passes on what one caller and one listener say; dropping it ends that.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    seen: [Arc<Mutex<Seen>>; 2],
    loses_a_key: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What one end sent.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Seen {
    /// Data packets in clear, under the even key, under the odd key, and under both, which means nothing.
    pub packets: [u64; 4],
    /// How often the key changed from one new packet to the next.
    pub key_changes: u32,
    /// KMREQs after the handshake, each repetition counted.
    pub key_requests: u32,
    /// KMRSPs after the handshake.
    pub key_answers: u32,
    /// Key lengths in bytes of these messages.
    pub key_lengths: BTreeSet<usize>,
    /// Their ciphers: 2 is AES-CTR, 4 AES-GCM.
    pub ciphers: BTreeSet<u8>,
    key: usize,
}

impl Tap {
    /// Stands before this listener.
    ///
    /// # Errors
    /// When there are no sockets.
    pub fn before(target: SocketAddr) -> io::Result<Self> {
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = front.local_addr()?;
        let caller = Arc::new(Mutex::new(None));
        let (seen, over) = (<[Arc<Mutex<Seen>>; 2]>::default(), Arc::new(AtomicBool::new(false)));
        let loses_a_key = Arc::new(AtomicBool::new(false));
        for socket in [&front, &back] {
            socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        }
        let ways = [(front.try_clone()?, back.try_clone()?), (back, front)];
        let threads = ways.into_iter().zip(&seen).enumerate().map(|(way, ((from, to), seen))| {
            let (seen, over, caller) = (Arc::clone(seen), Arc::clone(&over), Arc::clone(&caller));
            let loses_a_key = Arc::clone(&loses_a_key);
            thread::spawn(move || {
                let mut datagram = [0; 2048];
                let mut lost = None;
                while !over.load(Ordering::Relaxed) {
                    let Ok((len, sender)) = from.recv_from(&mut datagram) else { continue };
                    let mut caller = lock(&caller);
                    if way == 0 {
                        *caller = Some(sender);
                    }
                    let next = if way == 0 { Some(target) } else { *caller };
                    drop(caller);
                    lock(&seen).look_at(&datagram[..len]);
                    if let [0xFF, 0xFF, 0, 3, _, _, _, _, _, _, _, _, _, _, _, _, key @ ..] = &datagram[..len]
                        && way == 0
                        && loses_a_key.load(Ordering::Relaxed)
                        && lost.get_or_insert_with(|| key.to_vec()) == key
                    {
                        continue;
                    }
                    if let Some(next) = next {
                        // What cannot be sent is lost, as datagrams are.
                        let _ = to.send_to(&datagram[..len], next);
                    }
                }
            })
        });
        let threads = threads.collect();
        Ok(Self { address, seen, loses_a_key, over, threads })
    }

    /// From now on the next key that the caller announces does not arrive, however often it tells; those after it do.
    pub fn lose_a_key(&self) {
        self.loses_a_key.store(true, Ordering::Relaxed);
    }

    /// Where to call.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What the caller has sent so far.
    #[must_use]
    pub fn from_caller(&self) -> Seen {
        lock(&self.seen[0]).clone()
    }

    /// What the listener has sent so far.
    #[must_use]
    pub fn from_listener(&self) -> Seen {
        lock(&self.seen[1]).clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic in it would show as a connection that never comes.
            let _ = thread.join();
        }
    }
}

impl Seen {
    fn look_at(&mut self, datagram: &[u8]) {
        let Some((header, content)) = datagram.split_at_checked(16) else { return };
        if header[0] & 0x80 == 0 {
            let key = usize::from(header[4] >> 3 & 3);
            self.packets[key] += 1;
            let again = header[4] & 4 != 0;
            if !again {
                self.key_changes += u32::from(self.key != 0 && self.key != key);
                self.key = key;
            }
            return;
        }
        match header[..4] {
            [0xFF, 0xFF, 0, 3] => self.key_requests += 1,
            [0xFF, 0xFF, 0, 4] => self.key_answers += 1,
            _ => return,
        }
        if let [_, _, _, _, _, _, _, _, cipher, _, _, _, _, _, _, words, _, ..] = *content {
            self.ciphers.insert(cipher);
            self.key_lengths.insert(usize::from(words) * 4);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_headers_and_messages() {
        let mut seen = Seen::default();
        let data = |flags: u8| [&[0, 0, 0, 1, flags][..], &[0; 20]].concat();
        // A packet that is sent again says nothing of the key in use.
        for flags in [0xC0, 0xC8, 0xC8, 0xD0, 0xCC, 0xD0] {
            seen.look_at(&data(flags));
        }
        assert_eq!((seen.packets, seen.key_changes), ([1, 3, 2, 0], 1));
        let mut request = [&[0xFF, 0xFF, 0, 3][..], &[0; 28 + 40]].concat();
        (request[16 + 8], request[16 + 15]) = (4, 8);
        seen.look_at(&request);
        assert_eq!((seen.key_requests, seen.key_answers), (1, 0));
        assert_eq!((seen.ciphers.first(), seen.key_lengths.first()), (Some(&4), Some(&32)));
    }

    #[test]
    fn datagrams_go_both_ways_until_it_is_dropped() {
        let [caller, listener] = [0, 1].map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let tap = Tap::before(listener.local_addr().unwrap()).unwrap();
        caller.send_to(b"there", tap.local_addr()).unwrap();
        let mut buffer = [0; 16];
        let (len, from) = listener.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"there");
        listener.send_to(b"back", from).unwrap();
        let (len, from) = caller.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&b"back"[..], tap.local_addr()));
    }
}
