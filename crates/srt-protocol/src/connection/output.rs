//! What leaves first, and why: goodbye, answers and reports, then packets sent again, then new ones.

use super::{Connection, ConnectionError, End, Established, Phase, Transmit, TransmitBatch};
use crate::{
    packet::{Control, ControlPacket, HEADER_SIZE},
    time::{Instant, Micros},
    types::{SeqNumber, Timestamp},
};

pub(super) fn poll(connection: &mut Connection, now: Instant, batch: &mut TransmitBatch) -> Option<Transmit> {
    batch.clear();
    let (to, from) = (connection.peer, connection.local_ip);
    match &mut connection.phase {
        Phase::Closed(_) => return None,
        Phase::Declining(peer_id, reason) => {
            let (destination, reason) = (*peer_id, *reason);
            ControlPacket { timestamp: Timestamp::default(), destination, control: Control::Shutdown }
                .write(batch.buffer());
            batch.end_datagram();
            connection.end(now, ConnectionError::Rejected(reason));
        }
        Phase::Connecting(caller) => {
            if caller.poll(now, &connection.config, batch.buffer()) {
                batch.end_datagram();
            }
        }
        Phase::Established(established) => match established.end {
            End::Broken(_) => return None,
            End::Goodbye { left } => {
                established.link.write(now, Control::Shutdown, batch.buffer());
                batch.end_datagram();
                established.end = End::Goodbye { left: left.saturating_sub(1) };
                if left <= 1 {
                    connection.end(now, ConnectionError::Closed);
                }
            }
            End::NotYet | End::Closing(_) => {
                let dropped = established.give_up_late(now, &connection.config);
                established.fill(now, batch);
                connection.on_dropped(dropped);
            }
        },
    }
    batch.transmit(to, from)
}

impl Established {
    fn fill(&mut self, now: Instant, batch: &mut TransmitBatch) {
        if self.link.poll_control(now, &self.receive, batch.buffer()) {
            batch.end_datagram();
            return;
        }
        self.link.probe_tail(now, self.next_new);
        let mut pair = false;
        while self.link.may_send(now) || pair {
            let Some((seq, len, new)) = self.next_packet(now) else { break };
            if pair && !new {
                break;
            }
            if !batch.takes(len + self.link.tag_len() + HEADER_SIZE) {
                break;
            }
            if !self.link.write_data(now, seq, &self.send, batch.buffer()) {
                break;
            }
            batch.end_datagram();
            // Two packets that leave back to back are what the peer measures the path by (draft §5.2.1.3).
            pair = new && seq.value().is_multiple_of(PROBE_PAIR);
            if new {
                self.next_new = seq.next();
                self.last_new_at = now;
            }
        }
        if batch.segments() == 0 && self.link.poll_control(now, &self.receive, batch.buffer()) {
            batch.end_datagram(); // what came up meanwhile: a DROPREQ for an expired message
        }
    }

    /// The packet to send next, its payload's length, and whether it is a new one.
    ///
    /// What is to be sent again is due earlier, and goes first: but where the rate does not suffice for both, new packets
    /// must not wait for it until they are all too late.
    fn next_packet(&mut self, now: Instant) -> Option<(SeqNumber, usize, bool)> {
        let new = self.next_new_packet(now);
        let waited = new.and_then(|new| Some(now.saturating_since(self.send.packet(new.0)?.0.origin)));
        // Where nothing is ever too late nothing is lost by waiting.
        let patience = self.negotiated.peer_latency.map(|latency| (latency / 4).max(NEW_MAY_WAIT));
        let has_waited = waited.zip(patience).is_some_and(|(waited, patience)| waited >= patience);
        if !has_waited && let Some(seq) = self.link.peek_resend(now, &self.send) {
            return Some((seq, self.send.packet(seq)?.1.len(), false));
        }
        new
    }

    fn next_new_packet(&mut self, now: Instant) -> Option<(SeqNumber, usize, bool)> {
        if !self.next_new.is_before(self.send.next()) || !self.link.may_carry_new(now) {
            return None;
        }
        while self.link.window_left() > 0 || self.link.may_knock_at().is_some_and(|at| at <= now) {
            let seq = self.next_new;
            let (packet, payload) = self.send.packet(seq)?;
            if packet.expires.is_none_or(|at| at > now) {
                return Some((seq, payload.len(), true));
            }
            self.link.on_expired(seq, packet.msgno);
            self.next_new = seq.next();
        }
        None
    }
}

/// The second packet of a pair follows the first, whose number is a multiple of this, without a pause.
const PROBE_PAIR: u32 = 16;
/// New packets that have waited longer than this, or than a quarter of the latency, go before those that are sent again.
const NEW_MAY_WAIT: Micros = Micros::from_millis(10);
