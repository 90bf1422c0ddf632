//! How a group ends, and what is given up as too late.

use srt_protocol::{
    connection::{ConnectionError, State},
    ending::{GOODBYES, OrderlyEnd, broken_until, last_way, too_late_after},
    time::{Instant, Micros},
};

use super::{End, Group};
use crate::{
    Event,
    member::{Member, Phase},
};

/// How long the last packet takes where no link is up that could tell.
const LAST_WAY: Micros = Micros::from_millis(10);

impl Group {
    /// Ends in order: what was taken for sending is delivered as far as time allows, then the peer is told on every link.
    pub fn close(&mut self, now: Instant) {
        match self.end {
            _ if self.closed.is_some() => {}
            End::NotYet if self.stream.is_none() => self.finish(now, ConnectionError::Closed),
            End::NotYet => {
                self.end = End::Closing(now);
                self.go_on_ending(now);
            }
            End::Broken(reason) => self.finish(now, reason),
            End::Closing(_) | End::Goodbye => {}
        }
    }

    /// Ends at once: the peer is told, and what was not delivered is lost.
    pub fn abort(&mut self, now: Instant) {
        match self.end {
            _ if self.closed.is_some() => {}
            End::Broken(reason) => self.finish(now, reason),
            End::NotYet | End::Closing(_) => self.goodbye(now),
            End::Goodbye => {}
        }
    }

    /// The peer will not be heard again: what it brought is still handed out.
    pub(super) fn peer_is_gone(&mut self, now: Instant, reason: ConnectionError) {
        match self.end {
            End::NotYet => {
                self.end = End::Broken(reason);
                self.events.push(Event::PeerGone(reason));
                self.go_on_ending(now);
            }
            End::Closing(_) | End::Goodbye => self.finish(now, reason),
            End::Broken(_) => {}
        }
    }

    /// Takes the end one step further where its time has come.
    pub(super) fn go_on_ending(&mut self, now: Instant) {
        match self.end {
            _ if self.closed.is_some() => {}
            End::Broken(reason) => {
                let longest = broken_until(now, self.negotiated());
                if self.next_delivery().is_none_or(|at| at > longest) {
                    self.finish(now, reason);
                }
            }
            End::Closing(_) if self.ends_at().is_some_and(|at| at <= now) => {
                self.give_up_rest();
                self.goodbye(now);
            }
            End::Goodbye if self.members.iter().all(|member| member.up().is_none()) => {
                self.finish(now, ConnectionError::Closed);
            }
            _ => {}
        }
    }

    pub(super) fn goodbye(&mut self, now: Instant) {
        self.end = End::Goodbye;
        for member in &mut self.members {
            match &mut member.phase {
                Phase::Up(up) => {
                    up.goodbyes.get_or_insert(GOODBYES);
                }
                _ => member.phase = Phase::Down(None),
            }
        }
        self.go_on_ending(now);
    }

    /// An orderly end waits no longer: what is not acknowledged counts as dropped.
    pub(super) fn give_up_rest(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        match self.end {
            End::Closing(_) => {
                let dropped = stream.ledger.open().count()
                    + usize::try_from(stream.send.next().distance_from(stream.next_new)).unwrap_or(0);
                stream.send.give_up(stream.send.next());
                self.on_dropped(dropped);
            }
            End::Broken(_) => self.unconfirmed += stream.send.len() as u64,
            End::NotYet | End::Goodbye => {}
        }
    }

    /// Packets that the peer does not have were given up.
    pub(super) fn on_dropped(&mut self, packets: usize) {
        if packets == 0 {
            return;
        }
        if self.state() == State::Closing {
            self.unconfirmed += packets as u64;
        }
        self.events.push(Event::SendDropped(packets));
    }

    pub(super) fn finish(&mut self, now: Instant, reason: ConnectionError) {
        self.give_up_rest();
        self.last = self.snapshot(now);
        self.closed = Some(reason);
        self.events.push(Event::Closed(reason));
    }

    /// Sender TLPKTDROP: gives up what can no more be played; tells how many packets nobody acknowledged.
    pub(super) fn give_up_late(&mut self, now: Instant) -> usize {
        let Some(threshold) = self.too_late_after() else { return 0 };
        let Some(stream) = &mut self.stream else { return 0 };
        let Some(next) = stream.send.older_than(now - threshold) else { return 0 };
        let mut dropped = 0;
        let mut seq = stream.send.first();
        while seq.is_before(next) {
            dropped += usize::from(stream.ledger.get(seq).is_none_or(|fate| !fate.done));
            seq = seq.next();
        }
        stream.send.give_up(next);
        if stream.next_new.is_before(next) {
            stream.next_new = next;
        }
        stream.ledger.release(next);
        self.on_released(now, next);
        dropped
    }

    /// How old a packet may get before the sender gives it up; `None` where it never does.
    pub(super) fn too_late_after(&self) -> Option<Micros> {
        too_late_after(&self.config, self.negotiated()?)
    }

    /// When an orderly end may say goodbye; `None` while that cannot be told yet.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        let End::Closing(asked) = self.end else { return None };
        let Some(stream) = &self.stream else { return Some(asked) };
        let ways = self.members.iter().filter_map(Member::up).map(|up| last_way(up.link.rtt()));
        let end = OrderlyEnd {
            asked,
            last_new_at: stream.last_new_at,
            last_progress_at: stream.last_progress_at,
            all_sent: !stream.next_new.is_before(stream.send.next()),
            // A libsrt whose links are masked acknowledges what it has played.
            confirmed: stream.send.is_empty(),
            way: ways.max().unwrap_or(LAST_WAY),
        };
        end.says_goodbye_at(&self.config, &stream.negotiated)
    }
}
