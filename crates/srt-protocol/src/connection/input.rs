//! Packet kind → room.

use super::{Connection, ConnectionError, End, Established, Event, Phase};
use crate::{
    packet::{Control, ControlPacket, DataPacket, Packet},
    stream::Insertion,
    time::Instant,
};

pub(super) fn handle(connection: &mut Connection, now: Instant, datagram: &[u8]) {
    let packet = match Packet::parse(datagram) {
        Ok(packet) => packet,
        Err(error) => {
            tracing::trace!(%error, len = datagram.len(), "datagram ignored");
            if let Phase::Established(established) = &mut connection.phase {
                established.link.on_ignored();
            }
            return;
        }
    };
    match (&mut connection.phase, packet) {
        (Phase::Established(established), Packet::Data(data)) => established.on_data(now, &data),
        (Phase::Established(_), Packet::Control(control)) => on_control(connection, now, &control),
        (Phase::Connecting(_), Packet::Control(ControlPacket { timestamp, control, .. })) => match control {
            Control::Handshake(handshake) => connection.on_handshake(now, timestamp, &handshake),
            Control::Shutdown => connection.end(now, ConnectionError::PeerShutdown),
            _ => {}
        },
        (Phase::Connecting(_), Packet::Data(_)) | (Phase::Declining(..) | Phase::Closed(_), _) => {}
    }
}

fn on_control(connection: &mut Connection, now: Instant, packet: &ControlPacket<'_>) {
    let Phase::Established(established) = &mut connection.phase else { return };
    if matches!(established.end, End::Broken(_) | End::Goodbye { .. }) {
        return;
    }
    established.link.on_heard(now);
    established.receive.observe(packet.timestamp);
    match &packet.control {
        Control::Ack(ack) => {
            if let Some(next) = established.link.on_ack(ack) {
                established.send.release(next);
                established.last_progress_at = now;
                established.note_idle(now);
            }
        }
        Control::Nak(report) => established.link.on_nak(now, report, &established.send),
        Control::AckAck { number } => {
            let drift = established.link.on_ackack(now, *number, packet.timestamp, &established.receive);
            if let Some(drift) = drift {
                tracing::debug!(drift, "clock drift");
                established.receive.set_drift(drift);
            }
        }
        Control::DropRequest(request) => {
            let (first, last) = (request.first, request.last);
            if established.link.on_drop_request(now, first, last, &established.receive) {
                established.receive.abandon(first, last);
                established.link.on_played(now, &established.receive);
            }
        }
        Control::Shutdown => connection.peer_is_gone(now, ConnectionError::PeerShutdown),
        Control::PeerError(code) => connection.events.push(Event::PeerError(*code)),
        Control::UserDefined { subtype, content, .. } => {
            established.link.on_user_defined(now, *subtype, content);
        }
        // A repeated conclusion is answered by the endpoint, and a sign of life is one.
        Control::Handshake(_) | Control::Keepalive => {}
        _ => established.link.on_ignored(),
    }
}

impl Established {
    fn on_data(&mut self, now: Instant, data: &DataPacket<'_>) {
        if matches!(self.end, End::Broken(_) | End::Goodbye { .. }) {
            return;
        }
        self.link.on_heard(now);
        if data.payload.is_empty() {
            return; // nobody sends nothing; handed out, it would read as the end of the stream
        }
        let insertion = if self.link.takes_plain(&data.header) || !self.receive.wants(data.header.seq) {
            // What is there already, or will not be played any more, needs no decryption.
            Some(self.receive.insert(now, &data.header, data.payload))
        } else if self.receive.has_place(data.header.seq) {
            let open = |slot: &mut [u8]| self.link.open(&data.header, data.payload, slot);
            self.receive.insert_with(now, &data.header, data.payload.len(), open)
        } else {
            // It may move the buffer, so it has to prove first that it is what it seems.
            self.plain.resize(data.payload.len(), 0);
            let opened = self.link.open(&data.header, data.payload, &mut self.plain);
            opened
                .map(|len| self.receive.insert(now, &data.header, self.plain.get(..len).unwrap_or_default()))
        };
        let Some(insertion) = insertion else {
            let len = data.payload.len();
            if self.link.on_undecryptable(now, &data.header, len, &self.receive) {
                self.receive.pass_over(data.header.seq);
            }
            return;
        };
        self.sample_buffers(now);
        match insertion {
            Insertion::NoRoom => self.link.on_no_room(data.payload.len()),
            Insertion::Duplicate if data.header.seq.is_before(self.link.first_missing()) => {
                self.receive.on_acknowledged_duplicate(now, data.header.timestamp);
                self.link.on_data(now, &data.header, data.payload.len(), &self.receive);
            }
            _ => self.link.on_data(now, &data.header, data.payload.len(), &self.receive),
        }
    }
}
