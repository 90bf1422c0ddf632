//! Messages packed one behind the other: what passes between application and worker in one piece.

use srt_protocol::{
    stream::{Message, Received, Sent},
    time::Micros,
};

/// Received messages, the oldest first: one run of bytes, and what is known of each.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    bytes: Vec<u8>,
    messages: Vec<Received>,
    /// How many of `messages` are gone, and how many bytes they had.
    taken: usize,
    taken_bytes: usize,
    waste: Waste,
}

impl Parcel {
    pub(crate) const fn len(&self) -> usize {
        self.messages.len() - self.taken
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all messages.
    pub(crate) const fn byte_len(&self) -> usize {
        self.bytes.len() - self.taken_bytes
    }

    /// The buffer to append the bytes of a message to; [`note`](Self::note) follows.
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What is known of the message whose bytes were appended last.
    pub(super) fn note(&mut self, message: Received) {
        self.messages.push(message);
    }

    /// The oldest message.
    pub(crate) fn first(&self) -> Option<(&Received, &[u8])> {
        let message = self.messages.get(self.taken)?;
        Some((message, &self.bytes[self.taken_bytes..][..message.len]))
    }

    /// Drops the oldest message.
    pub(crate) fn drop_first(&mut self) {
        if let Some(message) = self.messages.get(self.taken) {
            self.taken_bytes += message.len;
            self.taken += 1;
        }
        if self.taken == self.messages.len() {
            self.clear();
        }
    }

    /// Every message, the oldest first.
    pub(crate) fn iter(&self) -> Messages<'_> {
        Messages { messages: self.messages[self.taken..].iter(), bytes: &self.bytes[self.taken_bytes..] }
    }

    /// Empties it. The memory stays, unless there was far more of it than needed for long.
    pub(crate) fn clear(&mut self) {
        self.waste.empty(&mut self.bytes, &mut self.messages);
        (self.taken, self.taken_bytes) = (0, 0);
    }

    /// Moves all messages of `newer` behind our own, without a copy if we have none.
    pub(super) fn append(&mut self, newer: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, newer);
        } else {
            self.forget_taken();
            self.bytes.extend_from_slice(&newer.bytes[newer.taken_bytes..]);
            self.messages.extend_from_slice(&newer.messages[newer.taken..]);
        }
        newer.clear();
    }

    /// Gives the room of taken messages back, once they are at least half of all, so that each byte moves once at most.
    fn forget_taken(&mut self) {
        if self.taken_bytes >= self.bytes.len() / 2 {
            self.bytes.drain(..self.taken_bytes);
            self.messages.drain(..self.taken);
            (self.taken, self.taken_bytes) = (0, 0);
        }
    }
}

/// The messages of a [`MessageBatch`](crate::MessageBatch), the oldest first: what is known of each, and its data.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    messages: std::slice::Iter<'a, Received>,
    bytes: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = (&'a Received, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.messages.next()?;
        let (data, rest) = self.bytes.split_at(message.len);
        self.bytes = rest;
        Some((message, data))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.messages.size_hint()
    }
}

impl ExactSizeIterator for Messages<'_> {}

/// Messages on their way to be sent, numbered already.
#[derive(Debug, Default)]
pub(super) struct Feed {
    bytes: Vec<u8>,
    messages: Vec<Numbered>,
    taken: usize,
    taken_bytes: usize,
    waste: Waste,
}

/// What is known of a message in a [`Feed`].
#[derive(Clone, Copy, Debug)]
struct Numbered {
    len: usize,
    sent: Sent,
    ttl: Option<Micros>,
    in_order: bool,
}

impl Feed {
    pub(super) const fn len(&self) -> usize {
        self.messages.len() - self.taken
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a message with the numbers it was given.
    pub(super) fn push(&mut self, message: &Message<'_>, sent: Sent) {
        self.bytes.extend_from_slice(message.data);
        self.messages.push(Numbered {
            len: message.data.len(),
            sent,
            ttl: message.ttl,
            in_order: message.in_order,
        });
    }

    /// The oldest message, and the numbers it was given.
    pub(super) fn first(&self) -> Option<(Message<'_>, Sent)> {
        let numbered = self.messages.get(self.taken)?;
        let mut message =
            Message::new(&self.bytes[self.taken_bytes..][..numbered.len]).at(numbered.sent.source_time);
        message.ttl = numbered.ttl;
        message.in_order = numbered.in_order;
        Some((message, numbered.sent))
    }

    /// Drops the oldest message.
    pub(super) fn drop_first(&mut self) {
        if let Some(message) = self.messages.get(self.taken) {
            self.taken_bytes += message.len;
            self.taken += 1;
        }
        if self.taken == self.messages.len() {
            self.clear();
        }
    }

    /// Empties it. The memory stays, unless there was far more of it than needed for long.
    pub(super) fn clear(&mut self) {
        self.waste.empty(&mut self.bytes, &mut self.messages);
        (self.taken, self.taken_bytes) = (0, 0);
    }

    /// When the oldest message came into being.
    #[cfg(test)]
    fn first_time(&self) -> Option<srt_protocol::time::Instant> {
        self.first().map(|(_, sent)| sent.source_time)
    }
}

/// How often in a row there was far more memory than needed.
#[derive(Debug, Default)]
struct Waste(u32);

impl Waste {
    /// Empties both lists. A stream that has calmed down gives back the memory of its busiest moment, and one that comes in
    /// bursts keeps it.
    fn empty<T>(&mut self, bytes: &mut Vec<u8>, messages: &mut Vec<T>) {
        let (used, used_messages) = (bytes.len(), messages.len());
        bytes.clear();
        messages.clear();
        if used == 0 {
            return;
        }
        let far_more = bytes.capacity() > SMALL && used < bytes.capacity() / 8;
        self.0 = if far_more { self.0 + 1 } else { 0 };
        if self.0 >= PATIENCE {
            self.0 = 0;
            bytes.shrink_to(used * 2);
            messages.shrink_to(used_messages * 2);
        }
    }
}

/// Bytes that are not worth giving back.
const SMALL: usize = 32 * 1024;
/// How often far more than needed is kept.
const PATIENCE: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use srt_protocol::{
        stream::{ReceiveBuffer, ReceiveParameters},
        time::Instant,
        types::{MsgNumber, SeqNumber},
    };

    fn sent(number: u32) -> Sent {
        Sent::new(SeqNumber::new(number), MsgNumber::new(number + 1), Instant::from_micros(u64::from(number)))
    }

    #[test]
    fn a_feed_gives_messages_back_as_they_were_put_in() {
        let mut feed = Feed::default();
        for number in 0..5_u32 {
            let data = vec![u8::try_from(number).expect("small"); number as usize + 1];
            feed.push(&Message::new(&data).with_ttl(Micros::from_millis(7)), sent(number));
        }
        assert_eq!(feed.len(), 5);
        assert_eq!(feed.first_time(), Some(Instant::from_micros(0)));
        for number in 0..5_u32 {
            let (message, numbers) = feed.first().expect("five messages");
            assert_eq!(message.data, vec![u8::try_from(number).expect("small"); number as usize + 1]);
            assert_eq!((message.ttl, numbers), (Some(Micros::from_millis(7)), sent(number)));
            assert_eq!(message.source_time, Some(numbers.source_time));
            feed.drop_first();
        }
        assert!(feed.is_empty() && feed.first().is_none());
    }

    #[test]
    fn memory_of_a_burst_is_given_back_when_it_is_over_and_not_between_two() {
        let mut feed = Feed::default();
        let mut send = |len: usize| {
            feed.push(&Message::new(&vec![0; len]), sent(1));
            feed.drop_first();
            feed.bytes.capacity()
        };
        assert!(send(4_000_000) >= 4_000_000);
        for _ in 0..10 {
            assert!((1..PATIENCE).map(|_| send(1_000)).all(|kept| kept >= 4_000_000), "another may come");
            assert!(send(4_000_000) >= 4_000_000);
        }
        let kept = (0..=PATIENCE).map(|_| send(1_000)).last();
        assert!(kept.is_some_and(|kept| kept <= 10_000), "{kept:?}");
    }

    #[test]
    fn messages_stay_in_order_through_appending_and_taking() {
        let (mut parcel, mut expected) = (Parcel::default(), Vec::new());
        let mut next = 0_u8;
        let mut source = Source::new();
        for round in 0..40_usize {
            let mut newer = Parcel::default();
            for _ in 0..round % 5 {
                source.receive(next, &mut newer);
                expected.push(next);
                next += 1;
            }
            parcel.append(&mut newer);
            assert!(newer.is_empty());
            for _ in 0..round % 4 {
                if let Some((message, bytes)) = parcel.first() {
                    assert_eq!(message.len, bytes.len());
                    assert_eq!(bytes[0], expected.remove(0));
                    parcel.drop_first();
                }
            }
            assert_eq!(parcel.iter().map(|(_, bytes)| bytes[0]).collect::<Vec<_>>(), expected);
            assert_eq!(parcel.byte_len(), parcel.iter().map(|(_, bytes)| bytes.len()).sum::<usize>());
            assert_eq!(parcel.len(), expected.len());
        }
        assert!(next > 50);
    }

    /// Makes what a connection would hand out.
    struct Source(ReceiveBuffer, SeqNumber);

    impl Source {
        fn new() -> Self {
            let isn = SeqNumber::new(1);
            Self(ReceiveBuffer::new(ReceiveParameters::new(isn, 100, 1_500, None, false)), isn)
        }

        fn receive(&mut self, byte: u8, into: &mut Parcel) {
            let mut header =
                srt_protocol::packet::DataHeader::parse(&[0; 16]).expect("a data packet of zeros");
            header.seq = self.1;
            header.msgno = MsgNumber::FIRST;
            header.boundary = srt_protocol::packet::Boundary::Solo;
            self.1 = self.1.next();
            self.0.insert(Instant::from_micros(1), &header, &vec![byte; usize::from(byte) + 1]);
            let received = self.0.pop(Instant::from_micros(1), into.buffer()).expect("what was put in");
            into.note(received);
        }
    }
}
