//! What a link counts.

/// Counters of one link since it came up. Bytes are payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkCounters {
    /// Data packets sent, retransmissions included.
    pub sent_packets: u64,
    /// Payload bytes of those.
    pub sent_bytes: u64,
    /// Data packets sent again.
    pub retransmitted_packets: u64,
    /// Payload bytes of those.
    pub retransmitted_bytes: u64,
    /// Data packets the peer reported lost, each time that they are sent again for it.
    pub reported_lost_packets: u64,
    /// Data packets that came, duplicates and late ones included.
    pub received_packets: u64,
    /// Payload bytes of those.
    pub received_bytes: u64,
    /// Of those that came, packets with the R flag.
    pub received_retransmitted_packets: u64,
    /// Of those that came, packets that could not be decrypted.
    pub undecryptable_packets: u64,
    /// Payload bytes of those.
    pub undecryptable_bytes: u64,
    /// Packets of a kind unknown, or that were none.
    pub ignored: u64,
    /// Packets found missing.
    pub missing_packets: u64,
    /// Full ACK packets sent.
    pub acks_sent: u64,
    /// Full ACK packets that came and told something new.
    pub acks_received: u64,
    /// NAK packets sent.
    pub naks_sent: u64,
    /// NAK packets that came.
    pub naks_received: u64,
    /// The farthest a packet without R flag came after its place, in packets.
    pub reorder_distance: u32,
    /// Control packets that said what cannot be: an ACK or NAK of what was never sent, a DROPREQ far ahead.
    pub implausible: u64,
    /// Packets of the tail sent again because nothing was heard of them.
    pub tail_probes: u64,
}

impl LinkCounters {
    /// Adds what another link has counted.
    pub fn add(&mut self, other: &Self) {
        self.sent_packets += other.sent_packets;
        self.sent_bytes += other.sent_bytes;
        self.retransmitted_packets += other.retransmitted_packets;
        self.retransmitted_bytes += other.retransmitted_bytes;
        self.reported_lost_packets += other.reported_lost_packets;
        self.received_packets += other.received_packets;
        self.received_bytes += other.received_bytes;
        self.received_retransmitted_packets += other.received_retransmitted_packets;
        self.undecryptable_packets += other.undecryptable_packets;
        self.undecryptable_bytes += other.undecryptable_bytes;
        self.ignored += other.ignored;
        self.missing_packets += other.missing_packets;
        self.acks_sent += other.acks_sent;
        self.acks_received += other.acks_received;
        self.naks_sent += other.naks_sent;
        self.naks_received += other.naks_received;
        self.implausible += other.implausible;
        self.tail_probes += other.tail_probes;
        self.reorder_distance = self.reorder_distance.max(other.reorder_distance);
    }
}
