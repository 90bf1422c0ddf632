//! What leaves first, and why: goodbye, answers and reports, then packets sent again, then new ones.

use super::{Connection, ConnectionError, End, Established, Event, Phase, Transmit, TransmitBatch};
use crate::{
    packet::{Control, HEADER_SIZE},
    time::Instant,
    types::SeqNumber,
};

pub(super) fn poll(connection: &mut Connection, now: Instant, batch: &mut TransmitBatch) -> Option<Transmit> {
    batch.clear();
    let (to, from) = (connection.peer, connection.local_ip);
    match &mut connection.phase {
        Phase::Closed(_) => return None,
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
                if dropped > 0 {
                    connection.push_event(Event::SendDropped(dropped));
                }
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
        while self.link.may_send(now) {
            let Some((seq, len, new)) = self.next_packet(now) else { break };
            if !batch.takes(len + HEADER_SIZE) {
                break;
            }
            if !self.link.write_data(now, seq, &self.send, batch.buffer()) {
                break;
            }
            batch.end_datagram();
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
    fn next_packet(&mut self, now: Instant) -> Option<(SeqNumber, usize, bool)> {
        if let Some(seq) = self.link.peek_resend(now, &self.send) {
            return Some((seq, self.send.packet(seq)?.1.len(), false));
        }
        while self.link.window_left() > 0 {
            let seq = self.next_new;
            let (packet, payload) = self.send.packet(seq)?;
            if packet.expires.is_none_or(|at| at > now) {
                return Some((seq, payload.len(), true));
            }
            self.link.on_expired(seq, packet.msgno);
            self.send.count_expired(seq);
            self.next_new = seq.next();
        }
        None
    }
}
