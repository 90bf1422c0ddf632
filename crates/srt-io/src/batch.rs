//! Many datagrams in one system call: what is handed in, what comes back, and the loops between.

use crate::socket::{UdpSocket, to_canonical, to_mapped};
use crate::{clock::Clock, sys};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;

/// Datagrams for one peer: one, or a train of equally long ones with a shorter last.
#[derive(Clone, Copy, Debug)]
pub struct SendItem<'a> {
    /// Where to. On an IPv6 socket an IPv4 address goes out as IPv4, if the socket is dual-stack.
    pub to: SocketAddr,
    /// The local address to send from; `None` or an unspecified address leaves it to the routing table. Ignored where
    /// [`Capabilities::source_address`](crate::Capabilities::source_address) is false.
    pub from: Option<IpAddr>,
    /// The payloads, one after the other. May be longer than one message can be: it is divided as needed.
    pub data: &'a [u8],
    /// Bytes of each datagram but the last, which may be shorter. 0, or not less than the data: one datagram.
    pub segment_size: usize,
}

/// What became of one item given to [`UdpSocket::send`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Leading bytes of the item that the kernel took. Fewer than the item has when the send buffer became full half
    /// way: wait until the socket is writable and go on from there.
    pub bytes: usize,
    /// Datagrams in these bytes.
    pub datagrams: usize,
}

/// What became of the items given to [`UdpSocket::send_batch`].
#[derive(Debug, Default)]
pub struct SendReport {
    /// So many of the first items are finished: sent, or named in `failures`.
    pub items: usize,
    /// Of the next item, if any, so many leading bytes are finished.
    pub offset: usize,
    /// True if the send buffer became full before the end: once the socket is writable, go on with `items[items..]`, the
    /// first of them from byte `offset`.
    pub blocked: bool,
    /// Datagrams the kernel took.
    pub datagrams: usize,
    /// Bytes the kernel took.
    pub bytes: usize,
    /// Items of which some or all datagrams could not be sent; at most one entry per item, in order.
    pub failures: Vec<SendFailure>,
}

/// An item of which some or all datagrams could not be sent.
#[derive(Debug)]
pub struct SendFailure {
    /// Its place among the items.
    pub item: usize,
    /// How many of its datagrams did not leave.
    pub datagrams: usize,
    /// The error of the first of them. `EMSGSIZE` concerns single datagrams; after any other the rest of the item is
    /// given up, because it goes the same way.
    pub error: io::Error,
}

impl UdpSocket {
    /// Sends one item.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the send buffer is full and nothing was sent, else the error of the
    /// first datagram that could not be sent; with `EMSGSIZE` the others of the item did leave.
    pub fn send(&self, item: &SendItem<'_>) -> io::Result<Sent> {
        let mut report = self.send_batch(std::slice::from_ref(item));
        match report.failures.pop() {
            Some(failure) => Err(failure.error),
            None if report.blocked && report.datagrams == 0 => Err(io::ErrorKind::WouldBlock.into()),
            None => Ok(Sent { bytes: report.bytes, datagrams: report.datagrams }),
        }
    }

    /// Sends all items, in order, in as few system calls as the kernel allows.
    ///
    /// A datagram that cannot be sent is counted and reported, and never keeps back what is for somebody else. Only a
    /// full send buffer ends the call early: see [`SendReport::blocked`].
    pub fn send_batch(&self, items: &[SendItem<'_>]) -> SendReport {
        self.send_through(items, |messages| sys::send_messages(&self.socket, messages))
    }

    /// `transmit` offers messages to the kernel: it gives how many were taken, at least one, or the error of the first.
    fn send_through<F>(&self, items: &[SendItem<'_>], transmit: F) -> SendReport
    where
        F: FnMut(&[Message<'_>]) -> io::Result<usize>,
    {
        let report = SendReport::default();
        let mut run = SendRun { socket: self, transmit, items, report, singly: None, retried: false };
        while run.report.items < items.len() && !run.report.blocked {
            run.step();
        }
        run.report
    }

    /// Receives what has arrived, up to the capacity of `batch`, in one system call; what the batch held is gone.
    ///
    /// Gives the number of messages, at least 1 unless all were thrown away as truncated. If
    /// [`RecvBatch::is_full`] afterwards, more may be waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived. Pending ICMP errors (on a socket that somebody
    /// connected before it was taken over) are counted and skipped. Anything else means that the socket is unusable.
    pub fn recv_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.clear();
        let mut pending_errors = 0;
        loop {
            let mut kernel_drops = None;
            let mut calls = 0;
            let outcome = sys::recv_messages(&self.socket, batch.storage(), &mut kernel_drops, &mut calls);
            self.counters.receive_calls.add(calls);
            if let Some(total) = kernel_drops {
                self.count_kernel_drops(total);
            }
            let error = match outcome {
                Ok(()) => return Ok(self.count_received(batch)),
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Err(error),
                _ => {
                    self.counters.receive_errors.count(&error, 1);
                    pending_errors += 1;
                    if !is_pending_icmp(&error) || pending_errors > MAX_PENDING_ERRORS {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn count_received(&self, batch: &RecvBatch) -> usize {
        let (mut messages, mut datagrams, mut bytes) = (0, 0, 0);
        for item in batch.iter() {
            messages += 1;
            datagrams += datagrams_in(item.data.len(), item.segment_size);
            bytes += item.data.len();
        }
        self.counters.messages.add(messages);
        self.counters.received_datagrams.add(datagrams);
        self.counters.received_bytes.add(bytes);
        self.counters.truncated.add(batch.slots.len() - messages);
        messages
    }

    /// `total` is the kernel's own counter for this socket: 32 bits, wrapping.
    fn count_kernel_drops(&self, total: u32) {
        let fresh = total.wrapping_sub(self.kernel_drops_seen.swap(total, Relaxed));
        self.counters.kernel_drops.add(fresh as usize);
        if fresh > 0 {
            self.grow_receive_buffer();
        }
    }

    /// Tells the operator, but at most once a minute per socket; the counters have the rest.
    fn warn_of_failure(&self, to: SocketAddr, error: &io::Error) {
        let now = Clock::new().now_micros();
        let last = self.last_warning.load(Relaxed);
        if last == 0 || now.saturating_sub(last) >= WARNING_INTERVAL_US {
            self.last_warning.store(now, Relaxed);
            let from = self.local_addr();
            tracing::warn!(%from, %to, %error, "UDP datagram not sent; the next minute's failures are only counted");
        }
    }

    /// The same addresses in the socket's own family, or an error if they cannot be written in it.
    fn in_own_family(
        &self,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> io::Result<(SocketAddr, Option<IpAddr>)> {
        let v6 = self.local_addr().is_ipv6();
        let (to, from) = if v6 {
            (to_mapped(to), from.map(|ip| to_mapped(SocketAddr::new(ip, 0)).ip()))
        } else {
            (to_canonical(to), from.map(|ip| ip.to_canonical()))
        };
        if to.is_ipv6() != v6 || from.is_some_and(|ip| ip.is_ipv6() != v6) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an IPv4 socket cannot send to or from IPv6",
            ));
        }
        Ok((to, from.filter(|ip| !ip.to_canonical().is_unspecified())))
    }
}

/// One call of `send_batch`, under way.
struct SendRun<'s, 'i, 'd, F> {
    socket: &'s UdpSocket,
    transmit: F,
    items: &'i [SendItem<'d>],
    report: SendReport,
    /// A train the kernel refused: its item and the offset of its end. Up to there datagrams are sent singly.
    singly: Option<(usize, usize)>,
    /// A pending ICMP error has just been taken from the socket; a second one is for the message itself.
    retried: bool,
}

impl<'d, F> SendRun<'_, '_, 'd, F>
where
    F: FnMut(&[Message<'_>]) -> io::Result<usize>,
{
    /// One system call, and what follows from its outcome.
    fn step(&mut self) {
        let mut messages = [Message::NONE; MAX_MESSAGES];
        let mut count = 0;
        let (mut item, mut offset) = (self.report.items, self.report.offset);
        while count < MAX_MESSAGES && item < self.items.len() {
            match self.message_at(item, offset) {
                Ok(message) => {
                    (item, offset) = self.after(item, offset, message.data.len());
                    messages[count] = message;
                    count += 1;
                }
                Err(error) if count == 0 => return self.give_up_item(error),
                Err(_) => break, // its turn comes when those before it have left
            }
        }
        let messages = &messages[..count];
        self.socket.counters.send_calls.add(1);
        match (self.transmit)(messages) {
            Ok(sent) => {
                self.retried = false;
                messages.iter().take(sent).for_each(|message| self.on_sent(message));
            }
            Err(error) => self.on_error(&messages[0], error),
        }
    }

    /// The message that starts at `offset` of `item`: a train if that is allowed and worth it, else one datagram.
    fn message_at(&self, item: usize, offset: usize) -> io::Result<Message<'d>> {
        let SendItem { to, from, data, segment_size } = self.items[item];
        let (to, from) = self.socket.in_own_family(to, from)?;
        let rest = &data[offset..];
        let one = if segment_size == 0 { data.len() } else { segment_size };
        let train = match u16::try_from(one) {
            Ok(segment) if one < rest.len() && self.may_send_trains(item, offset) => {
                let fitting = (MAX_TRAIN_BYTES / one).min(MAX_TRAIN_SEGMENTS);
                (fitting >= 2).then_some((segment, fitting * one))
            }
            _ => None,
        };
        let length = train.map_or(one, |(_, length)| length).min(rest.len());
        Ok(Message { to, from, data: &rest[..length], segment: train.map(|(segment, _)| segment) })
    }

    fn may_send_trains(&self, item: usize, offset: usize) -> bool {
        let refused = self.singly.is_some_and(|(refused, end)| refused == item && offset < end);
        !refused && self.socket.gso.load(Relaxed)
    }

    /// Where the byte after `length` bytes from `offset` of `item` stands.
    fn after(&self, item: usize, offset: usize, length: usize) -> (usize, usize) {
        let end = offset + length;
        if end >= self.items[item].data.len() { (item + 1, 0) } else { (item, end) }
    }

    fn advance(&mut self, length: usize) {
        (self.report.items, self.report.offset) = self.after(self.report.items, self.report.offset, length);
    }

    fn on_sent(&mut self, message: &Message<'_>) {
        let counters = &self.socket.counters;
        counters.sent_datagrams.add(message.datagrams());
        counters.sent_bytes.add(message.data.len());
        if message.segment.is_some() {
            counters.trains.add(1);
            self.socket.gso_proven.store(true, Relaxed);
        }
        self.report.datagrams += message.datagrams();
        self.report.bytes += message.data.len();
        self.advance(message.data.len());
    }

    /// The kernel refused `message`, the first of those offered.
    fn on_error(&mut self, message: &Message<'_>, error: io::Error) {
        let counters = &self.socket.counters;
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => {
                counters.blocked.add(1);
                self.report.blocked = true;
            }
            _ if message.segment.is_some() && sys::refuses_train(&error) => {
                counters.refused_trains.add(1);
                self.singly = Some((self.report.items, self.report.offset + message.data.len()));
                self.socket.on_train_refused(&error);
            }
            _ if is_pending_icmp(&error) && !self.retried => {
                counters.send_errors.count(&error, 1);
                self.retried = true;
            }
            _ if error.raw_os_error() == Some(sys::EMSGSIZE) => {
                self.fail(message.datagrams(), message.to, error);
                self.advance(message.data.len());
            }
            _ => self.give_up_item(error),
        }
    }

    /// Nothing more of the present item can be sent.
    fn give_up_item(&mut self, error: io::Error) {
        let SendItem { to, data, segment_size, .. } = self.items[self.report.items];
        let rest = data.len() - self.report.offset;
        self.fail(datagrams_in(rest, segment_size), to, error);
        self.advance(rest);
    }

    fn fail(&mut self, datagrams: usize, to: SocketAddr, error: io::Error) {
        self.retried = false;
        self.socket.counters.send_errors.count(&error, datagrams);
        self.socket.warn_of_failure(to, &error);
        let item = self.report.items;
        match self.report.failures.last_mut() {
            Some(failure) if failure.item == item => failure.datagrams += datagrams,
            _ => self.report.failures.push(SendFailure { item, datagrams, error }),
        }
    }
}

/// One message for the kernel: a datagram, or a train that it splits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) to: SocketAddr,
    #[allow(dead_code, reason = "not read on systems that cannot choose the source address")]
    pub(crate) from: Option<IpAddr>,
    pub(crate) data: &'a [u8],
    /// Bytes of each datagram of a train but the last; `None` for one datagram.
    pub(crate) segment: Option<u16>,
}

impl Message<'_> {
    const NONE: Self = Self {
        to: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
        from: None,
        data: &[],
        segment: None,
    };

    fn datagrams(&self) -> usize {
        datagrams_in(self.data.len(), self.segment.map_or(0, usize::from))
    }
}

/// Fixed buffers that [`UdpSocket::recv_batch`] fills, and the messages in them.
///
/// The memory, 64 KiB per message, is reserved at the first receipt and used again and again; the system commits only
/// what messages really fill. One batch serves any number of sockets in turn, so a thread needs only one.
pub struct RecvBatch {
    capacity: usize,
    memory: Vec<u8>,
    scratch: sys::Scratch,
    slots: Vec<Slot>,
}

impl RecvBatch {
    /// Room for 32 messages.
    pub const fn new() -> Self {
        Self { capacity: MAX_MESSAGES, memory: Vec::new(), scratch: sys::Scratch::new(), slots: Vec::new() }
    }

    /// Room for so many messages, taken as 1 or as 32 if outside that range.
    pub fn with_capacity(messages: usize) -> Self {
        Self { capacity: messages.clamp(1, MAX_MESSAGES), ..Self::new() }
    }

    /// Messages it can hold.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Messages it holds.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// True if it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if the last receipt filled every buffer, so that more may be waiting.
    pub fn is_full(&self) -> bool {
        self.slots.len() == self.capacity
    }

    /// Forgets the messages; the memory stays.
    pub fn clear(&mut self) {
        self.slots.clear();
    }

    /// The messages, in the order of their arrival.
    pub fn iter(&self) -> impl Iterator<Item = RecvItem<'_>> {
        let buffers = self.memory.chunks_exact(STRIDE);
        self.slots.iter().zip(buffers).filter(|(slot, _)| slot.intact).map(|(slot, buffer)| RecvItem {
            from: slot.from,
            to: slot.to,
            data: &buffer[..slot.length],
            segment_size: slot.segment_size,
        })
    }

    /// The buffers, for the system to fill.
    pub(crate) fn storage(&mut self) -> Storage<'_> {
        if self.memory.is_empty() {
            self.memory = vec![0; self.capacity * STRIDE];
            self.slots.reserve_exact(self.capacity);
        }
        Storage { memory: &mut self.memory, scratch: &mut self.scratch, slots: &mut self.slots }
    }
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvBatch")
            .field("capacity", &self.capacity)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

/// A received message: one datagram, or several of one sender that the kernel joined.
#[derive(Clone, Copy, Debug)]
pub struct RecvItem<'a> {
    /// The sender, as the kernel gives it: on a dual-stack socket an IPv4 sender is `::ffff:a.b.c.d`; see
    /// [`to_canonical`].
    pub from: SocketAddr,
    /// The local address it was sent to, in the socket's family as `from` is. `None` where the system does not tell.
    pub to: Option<IpAddr>,
    /// The payloads, one after the other.
    pub data: &'a [u8],
    /// Bytes of each datagram but the last, which may be shorter; never 0 unless the data are empty.
    pub segment_size: usize,
}

impl<'a> RecvItem<'a> {
    /// The datagrams, in order. An empty datagram gives one empty slice.
    pub const fn datagrams(&self) -> Datagrams<'a> {
        Datagrams { rest: Some(self.data), segment_size: self.segment_size }
    }
}

/// Iterator over the datagrams of a [`RecvItem`].
#[derive(Clone, Debug)]
pub struct Datagrams<'a> {
    rest: Option<&'a [u8]>,
    segment_size: usize,
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        if self.segment_size == 0 || rest.len() <= self.segment_size {
            return Some(rest);
        }
        let (datagram, rest) = rest.split_at(self.segment_size);
        self.rest = Some(rest);
        Some(datagram)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.rest.map_or(0, |rest| datagrams_in(rest.len(), self.segment_size));
        (count, Some(count))
    }
}

impl ExactSizeIterator for Datagrams<'_> {}

/// What is known of one received message; its bytes stand in the buffer of the same index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) from: SocketAddr,
    pub(crate) to: Option<IpAddr>,
    pub(crate) length: usize,
    pub(crate) segment_size: usize,
    /// False if the kernel cut the message, or if its sender is unknown.
    pub(crate) intact: bool,
}

impl Slot {
    /// A message of which nothing can be used.
    pub(crate) const BROKEN: Self =
        Self { from: Message::NONE.to, to: None, length: 0, segment_size: 0, intact: false };
}

/// The parts of a [`RecvBatch`] that the system fills: one slot for each buffer used, in order.
pub(crate) struct Storage<'a> {
    memory: &'a mut [u8],
    pub(crate) scratch: &'a mut sys::Scratch,
    pub(crate) slots: &'a mut Vec<Slot>,
}

impl<'a> Storage<'a> {
    /// The buffers, of [`BUFFER_SIZE`] bytes each, and what goes with them.
    pub(crate) fn split(
        self,
    ) -> (impl Iterator<Item = &'a mut [u8]>, &'a mut sys::Scratch, &'a mut Vec<Slot>) {
        let buffers = self.memory.chunks_exact_mut(STRIDE).map(|chunk| &mut chunk[..BUFFER_SIZE]);
        (buffers, self.scratch, self.slots)
    }
}

/// Datagrams in `length` bytes; empty data are one empty datagram.
const fn datagrams_in(length: usize, segment_size: usize) -> usize {
    if segment_size == 0 || length == 0 { 1 } else { length.div_ceil(segment_size) }
}

/// An error of an earlier datagram that the socket reports at the next chance: it says nothing of the present one.
fn is_pending_icmp(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

/// Messages in one system call. More gains nothing: at 32 the cost of the call itself has vanished.
pub(crate) const MAX_MESSAGES: usize = 32;
/// Room for the longest message: a UDP datagram or a joined train has less than 64 KiB.
pub(crate) const BUFFER_SIZE: usize = 1 << 16;
/// From one buffer to the next. Not a power of two, or the starts of all buffers, the only parts that small messages
/// touch, would compete for the same few lines of the processor's caches.
const STRIDE: usize = BUFFER_SIZE + 24 * 64;
/// `UDP_MAX_SEGMENTS` of Linux before 6.9, which allows 128; 64 have long since made the call cheap.
const MAX_TRAIN_SEGMENTS: usize = 64;
/// The payload of the largest IPv4 packet.
const MAX_TRAIN_BYTES: usize = 65_535 - 20 - 8;
/// Pending ICMP errors that one receipt skips.
const MAX_PENDING_ERRORS: usize = 16;
const WARNING_INTERVAL_US: u64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{loopbacks, numbered, pair, receive, socket_at, wait_readable};
    use crate::{UdpOptions, capabilities};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn plain() -> UdpOptions {
        UdpOptions { gso: false, gro: false, ..UdpOptions::default() }
    }

    #[test]
    fn a_train_arrives_as_its_datagrams_in_order_with_their_sizes() {
        for ip in loopbacks() {
            for (sending, receiving) in [
                (UdpOptions::default(), UdpOptions::default()),
                (UdpOptions::default(), plain()),
                (plain(), UdpOptions::default()),
                (plain(), plain()),
            ] {
                for (count, size, last) in
                    [(2, 1, 1), (10, 1456, 1456), (40, 1316, 17), (64, 100, 99), (3, 9000, 1)]
                {
                    let (sender, receiver) = pair(ip, &sending, &receiving);
                    let data = numbered((count - 1) * size + last, size);
                    let item =
                        SendItem { to: receiver.local_addr(), from: None, data: &data, segment_size: size };
                    let sent = sender.send(&item).unwrap();
                    assert_eq!(sent, Sent { bytes: data.len(), datagrams: count });
                    let got = receive(&receiver, count);
                    let expected: Vec<_> = data.chunks(size).collect();
                    assert_eq!(got, expected);
                    let trains = u64::from(sending.gso && capabilities().gso);
                    let counters = sender.counters().send;
                    assert_eq!(counters.trains + counters.refused_trains, trains); // refused if the path is narrow
                    assert_eq!(receiver.counters().receive.bytes, data.len() as u64);
                }
            }
        }
    }

    #[test]
    fn the_kernel_joins_the_datagrams_of_a_train_when_allowed() {
        for (options, joined) in
            [(UdpOptions::default(), capabilities().gro && capabilities().gso), (plain(), false)]
        {
            let (sender, receiver) = pair(loopbacks()[0], &UdpOptions::default(), &options);
            let data = numbered(10 * 1316 + 5, 1316);
            sender
                .send(&SendItem { to: receiver.local_addr(), from: None, data: &data, segment_size: 1316 })
                .unwrap();
            assert_eq!(receive(&receiver, 11).len(), 11);
            let counters = receiver.counters().receive;
            assert_eq!(counters.messages, if joined { 1 } else { 11 });
            assert_eq!(counters.datagrams, 11);
        }
    }

    #[test]
    fn a_train_longer_than_a_message_is_divided() {
        let roomy = UdpOptions { receive_buffer: Some(200_000), ..UdpOptions::default() };
        let (sender, receiver) = pair(loopbacks()[0], &UdpOptions::default(), &roomy);
        let data = numbered(100 * 1316 + 3, 1316);
        let item = SendItem { to: receiver.local_addr(), from: None, data: &data, segment_size: 1316 };
        assert_eq!(sender.send(&item).unwrap().datagrams, 101);
        assert_eq!(receive(&receiver, 101), data.chunks(1316).collect::<Vec<_>>());
        if capabilities().gso {
            assert_eq!(sender.counters().send.trains, 3); // 49 datagrams of 1316 bytes fit a message, then 49, then 3
        }
    }

    #[test]
    fn a_batch_serves_many_destinations_and_a_bad_one_harms_no_other() {
        for ip in loopbacks() {
            let options = UdpOptions { ipv6_only: Some(true), ..UdpOptions::default() };
            let sender = socket_at(ip, &options);
            let receivers: Vec<_> = (0..50).map(|_| socket_at(ip, &options)).collect();
            let payloads: Vec<_> = (0..50).map(|index| numbered(1_000 + 40 * index, 700)).collect();
            let too_large = vec![0; 70_000];
            let wrong_family = if ip.is_ipv4() { "[::1]:9" } else { "127.0.0.1:9" }.parse().unwrap();
            let mut items = Vec::new();
            for (receiver, data) in receivers.iter().zip(&payloads) {
                let to = receiver.local_addr();
                items.push(SendItem { to, from: None, data, segment_size: 700 });
                items.push(SendItem { to, from: None, data: &too_large, segment_size: 0 });
                items.push(SendItem { to: wrong_family, from: None, data, segment_size: 700 });
            }
            let report = sender.send_batch(&items);
            assert_eq!((report.items, report.offset, report.blocked), (items.len(), 0, false));
            let failed: Vec<_> = report.failures.iter().map(|failure| failure.item).collect();
            assert_eq!(failed, (0..items.len()).filter(|index| index % 3 != 0).collect::<Vec<_>>());
            for (receiver, data) in receivers.iter().zip(&payloads) {
                assert_eq!(receive(receiver, data.len().div_ceil(700)), data.chunks(700).collect::<Vec<_>>());
            }
            let counters = sender.counters().send;
            assert_eq!(counters.errors.too_large, 50);
            assert_eq!(counters.datagrams, report.datagrams as u64);
            assert_eq!(counters.bytes, payloads.iter().map(|data| data.len() as u64).sum::<u64>());
        }
    }

    #[test]
    fn an_empty_datagram_is_a_datagram() {
        let (sender, receiver) = pair(loopbacks()[0], &UdpOptions::default(), &UdpOptions::default());
        let item = SendItem { to: receiver.local_addr(), from: None, data: &[], segment_size: 1316 };
        assert_eq!(sender.send(&item).unwrap(), Sent { bytes: 0, datagrams: 1 });
        assert_eq!(receive(&receiver, 1), [b""]);
    }

    #[test]
    fn an_empty_socket_would_block_and_a_full_batch_says_so() {
        let (sender, receiver) = pair(loopbacks()[0], &UdpOptions::default(), &plain());
        let mut batch = RecvBatch::with_capacity(4);
        assert_eq!(receiver.recv_batch(&mut batch).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(batch.is_empty() && !batch.is_full());
        let data = numbered(600, 100);
        sender
            .send(&SendItem { to: receiver.local_addr(), from: None, data: &data, segment_size: 100 })
            .unwrap();
        let mut received = 0;
        while received < 6 {
            wait_readable(&receiver);
            let messages = receiver.recv_batch(&mut batch).unwrap();
            assert_eq!((batch.len(), batch.is_full()), (messages, messages == 4));
            assert!(batch.iter().all(|item| item.from == sender.local_addr() && item.data.len() == 100));
            received += messages;
        }
        assert_eq!(receiver.recv_batch(&mut batch).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(batch.is_empty());
    }

    #[test]
    fn capacities_stay_within_what_one_call_can_carry() {
        assert_eq!(RecvBatch::with_capacity(0).capacity(), 1);
        assert_eq!(RecvBatch::with_capacity(1_000).capacity(), RecvBatch::default().capacity());
    }

    #[test]
    fn a_joined_message_splits_into_datagrams_of_its_segment_size() {
        let item = |data, segment_size| RecvItem { from: Message::NONE.to, to: None, data, segment_size };
        let sizes = |item: RecvItem<'_>| {
            let datagrams = item.datagrams();
            assert_eq!(datagrams.len(), datagrams.clone().count());
            datagrams.map(<[u8]>::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(item(&[0; 25], 10)), [10, 10, 5]);
        assert_eq!(sizes(item(&[0; 20], 10)), [10, 10]);
        assert_eq!(sizes(item(&[0; 9], 10)), [9]);
        assert_eq!(sizes(item(&[0; 9], 0)), [9]);
        assert_eq!(sizes(item(&[], 0)), [0]);
    }

    /// A kernel that answers as it is told, then takes everything.
    struct Kernel {
        answers: VecDeque<Result<usize, i32>>,
        taken: Vec<(SocketAddr, Vec<u8>)>,
    }

    impl Kernel {
        fn new(answers: impl IntoIterator<Item = Result<usize, i32>>) -> Self {
            Self { answers: answers.into_iter().collect(), taken: Vec::new() }
        }

        fn transmit(&mut self, messages: &[Message<'_>]) -> io::Result<usize> {
            assert!(!messages.is_empty() && messages.len() <= MAX_MESSAGES);
            let answer = self.answers.pop_front().unwrap_or(Ok(messages.len()));
            let taken = answer.map_err(io::Error::from_raw_os_error)?.clamp(1, messages.len());
            for message in &messages[..taken] {
                let segment = message.segment.map_or_else(|| message.data.len().max(1), usize::from);
                assert!(message.datagrams() <= MAX_TRAIN_SEGMENTS);
                assert_eq!(message.segment.is_some(), message.datagrams() > 1);
                let datagrams = datagrams_in(message.data.len(), segment);
                assert_eq!(message.datagrams(), datagrams);
                self.taken.extend(
                    RecvItem { from: message.to, to: None, data: message.data, segment_size: segment }
                        .datagrams()
                        .map(|datagram| (message.to, datagram.to_vec())),
                );
            }
            Ok(taken)
        }
    }

    /// A socket that believes in trains, whatever the system can do.
    fn hopeful_socket() -> UdpSocket {
        let socket = socket_at(loopbacks()[0], &UdpOptions::default());
        socket.gso.store(true, Relaxed);
        socket
    }

    #[cfg(target_os = "linux")]
    mod scripted {
        use super::*;

        const WOULD_BLOCK: i32 = libc::EAGAIN;

        fn to(port: u16) -> SocketAddr {
            SocketAddr::from(([127, 0, 0, 1], port))
        }

        fn item(data: &[u8], segment_size: usize) -> SendItem<'_> {
            SendItem { to: to(9), from: None, data, segment_size }
        }

        fn datagrams_of(items: &[SendItem<'_>]) -> Vec<(SocketAddr, Vec<u8>)> {
            let all = items.iter().flat_map(|item| {
                let SendItem { to, data, segment_size, .. } = *item;
                let received = RecvItem { from: to, to: None, data, segment_size };
                received.datagrams().map(move |datagram| (to, datagram.to_vec()))
            });
            all.collect()
        }

        #[test]
        fn a_full_send_buffer_ends_the_call_and_says_where_to_go_on() {
            let socket = hopeful_socket();
            let data = numbered(200 * 100, 100);
            let items = [item(&data[..500], 100), item(&data, 100), item(&data[..50], 0)];
            let mut kernel = Kernel::new([Ok(2), Err(WOULD_BLOCK)]);
            let report = socket.send_through(&items, |messages| kernel.transmit(messages));
            assert_eq!((report.items, report.offset, report.blocked), (1, 6_400, true));
            assert_eq!((report.datagrams, report.bytes), (69, 6_900));
            assert!(report.failures.is_empty());
            let rest = [item(&data[6_400..], 100), items[2]];
            assert!(!socket.send_through(&rest, |messages| kernel.transmit(messages)).blocked);
            assert_eq!(kernel.taken, datagrams_of(&items));
            assert_eq!(socket.counters().send.blocked, 1);
        }

        #[test]
        fn a_refused_train_goes_out_singly_and_the_next_train_is_tried_again() {
            if !capabilities().gso {
                return; // no train leaves, so none is refused
            }
            for refusal in [libc::EINVAL, libc::EMSGSIZE] {
                let socket = hopeful_socket();
                let data = numbered(1_000, 100);
                let items = [item(&data, 100), item(&data, 100)];
                let mut kernel = Kernel::new([Err(refusal)]);
                let report = socket.send_through(&items, |messages| kernel.transmit(messages));
                assert_eq!((report.items, report.datagrams), (2, 20));
                assert_eq!(kernel.taken, datagrams_of(&items));
                let counters = socket.counters().send;
                assert_eq!((counters.refused_trains, counters.trains, counters.errors.total()), (1, 1, 0));
                assert!(socket.gso.load(Relaxed));
            }
        }

        #[test]
        fn a_card_without_trains_is_asked_once_only() {
            if !capabilities().gso {
                return; // no train leaves, so none is refused
            }
            let socket = hopeful_socket();
            let data = numbered(1_000, 100);
            let mut kernel = Kernel::new([Err(libc::EIO)]);
            socket.send_through(&[item(&data, 100)], |messages| kernel.transmit(messages));
            socket.send_through(&[item(&data, 100)], |messages| kernel.transmit(messages));
            assert_eq!(kernel.taken.len(), 20);
            let counters = socket.counters().send;
            assert_eq!((counters.refused_trains, counters.trains), (1, 0));
        }

        #[test]
        fn one_refusal_does_not_end_trains_that_have_worked() {
            if !capabilities().gso {
                return; // no train leaves, so none is refused
            }
            let socket = hopeful_socket();
            let data = numbered(1_000, 100);
            let mut kernel = Kernel::new([Ok(1), Err(libc::EIO)]);
            socket.send_through(&[item(&data, 100), item(&data, 100)], |messages| kernel.transmit(messages));
            socket.send_through(&[item(&data, 100)], |messages| kernel.transmit(messages));
            assert_eq!(kernel.taken.len(), 30);
            assert_eq!(socket.counters().send.trains, 2);
        }

        #[test]
        fn an_old_icmp_error_costs_nothing_a_repeated_one_costs_the_item() {
            let socket = hopeful_socket();
            let data = numbered(300, 100);
            let mut kernel = Kernel::new([Err(libc::ECONNREFUSED)]);
            let report = socket.send_through(&[item(&data, 100)], |messages| kernel.transmit(messages));
            assert_eq!((report.datagrams, report.failures.len()), (3, 0));
            assert_eq!(socket.counters().send.errors.refused, 1);
            let mut kernel = Kernel::new([Err(libc::ECONNREFUSED), Err(libc::ECONNREFUSED)]);
            let report = socket
                .send_through(&[item(&data, 100), item(&data, 0)], |messages| kernel.transmit(messages));
            assert_eq!((report.items, report.datagrams, report.failures.len()), (2, 1, 1));
            assert_eq!((report.failures[0].item, report.failures[0].datagrams), (0, 3));
            assert_eq!(report.failures[0].error.raw_os_error(), Some(libc::ECONNREFUSED));
        }

        #[test]
        fn a_lost_route_costs_the_item_a_too_large_datagram_only_itself() {
            let socket = hopeful_socket();
            socket.gso.store(false, Relaxed);
            let data = numbered(300, 100);
            let items = [item(&data, 100), item(&data, 100)];
            let mut kernel = Kernel::new([Ok(1), Err(libc::EMSGSIZE), Ok(2), Err(libc::ENETUNREACH)]);
            let report = socket.send_through(&items, |messages| kernel.transmit(messages));
            assert_eq!((report.items, report.datagrams, report.bytes), (2, 3, 300));
            let failures: Vec<_> =
                report.failures.iter().map(|failure| (failure.item, failure.datagrams)).collect();
            assert_eq!(failures, [(0, 1), (1, 2)]);
            let errors = socket.counters().send.errors;
            assert_eq!((errors.too_large, errors.unreachable, errors.total()), (1, 2, 3));
        }

        #[test]
        fn a_signal_is_no_error() {
            let socket = hopeful_socket();
            let data = numbered(300, 100);
            let mut kernel = Kernel::new([Err(libc::EINTR), Err(libc::EINTR)]);
            let report = socket.send_through(&[item(&data, 100)], |messages| kernel.transmit(messages));
            assert_eq!((report.datagrams, report.failures.len()), (3, 0));
        }

        proptest! {
            #[test]
            fn whatever_the_kernel_answers_each_datagram_is_sent_once_or_reported(
                shapes in prop::collection::vec((0..9_000_usize, 0..1_500_usize), 1..50),
                answers in prop::collection::vec(prop_oneof![
                    (1..MAX_MESSAGES).prop_map(Ok),
                    prop::sample::select(vec![
                        WOULD_BLOCK, libc::EINTR, libc::EIO, libc::EINVAL, libc::EMSGSIZE, libc::ENETUNREACH,
                        libc::EPERM, libc::ECONNREFUSED, libc::ENOBUFS,
                    ]).prop_map(Err),
                ], 0..60),
            ) {
                let socket = hopeful_socket();
                let memory = numbered(9_000, 7);
                let all: Vec<_> = shapes.iter().zip(1..).map(|(&(length, segment_size), port)|
                    SendItem { to: to(port), from: None, data: &memory[..length], segment_size }).collect();
                let mut kernel = Kernel::new(answers);
                let (mut items, mut sent, mut failed) = (all.clone(), 0, 0);
                while !items.is_empty() {
                    let report = socket.send_through(&items, |messages| kernel.transmit(messages));
                    sent += report.datagrams;
                    failed += report.failures.iter().map(|failure| failure.datagrams).sum::<usize>();
                    prop_assert_eq!(report.blocked, report.items < items.len());
                    items.drain(..report.items);
                    if let Some(first) = items.first_mut() {
                        first.data = &first.data[report.offset..];
                        // A rest that is one datagram of the same train stays so; an item of one datagram has no offset.
                    }
                }
                let expected = datagrams_of(&all);
                prop_assert_eq!(sent + failed, expected.len());
                prop_assert_eq!(kernel.taken.len(), sent);
                // What was taken is a subsequence of what was offered.
                let mut offered = expected.iter();
                prop_assert!(kernel.taken.iter().all(|datagram| offered.any(|other| other == datagram)));
            }
        }
    }
}
