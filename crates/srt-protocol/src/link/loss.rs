//! What the peer reported lost, and what of it to send again (draft §4.8.2).

use std::collections::VecDeque;

use super::{gaps::second_copy_after, rtt::Rtt, sent::SentLog};
use crate::{
    stream::{SendBuffer, SeqRanges},
    time::{Instant, Micros},
    types::SeqNumber,
};

/// Second copies planned at most.
const COPIES_MAX: usize = 4_096;
/// Overhead credit kept at most, in bytes.
const CREDIT_MAX: u64 = 1 << 18;

/// What is to be sent again on this link.
#[derive(Debug)]
pub(crate) struct ToResend {
    lost: SeqRanges,
    /// Second copies of what was missed before, or has one try left, by the time they leave.
    copies: VecDeque<(Instant, SeqNumber)>,
    /// Bytes that second copies may use: OHEADBW percent of what was sent.
    credit: u64,
}

/// How long a packet is worth sending again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worth {
    /// The peer's latency; `None` where it waits for what is missing.
    pub(crate) latency: Option<Micros>,
}

impl ToResend {
    pub(crate) fn new() -> Self {
        Self { lost: SeqRanges::new(), copies: VecDeque::new(), credit: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.copies.is_empty()
    }

    /// Packets reported lost and not yet sent again.
    pub(crate) const fn len(&self) -> usize {
        self.lost.len()
    }

    /// True where `seq` waits to be sent again.
    pub(crate) fn contains(&self, seq: SeqNumber) -> bool {
        self.lost.contains(seq)
    }

    pub(crate) fn add(&mut self, first: SeqNumber, last: SeqNumber) {
        self.lost.insert(first, last);
    }

    /// Everything before `next` was acknowledged or given up.
    pub(crate) fn release(&mut self, next: SeqNumber) {
        self.lost.remove_before(next);
        while self.copies.front().is_some_and(|copy| copy.1.is_before(next)) {
            self.copies.pop_front();
        }
    }

    /// A new packet left: what OHEADBW allows on top of it is credit.
    pub(crate) fn earn(&mut self, bytes: usize, overhead_percent: u32) {
        self.credit = (self.credit + bytes as u64 * u64::from(overhead_percent) / 100).min(CREDIT_MAX);
    }

    /// The next packet to send again; passes over what is acknowledged or would come too late.
    pub(crate) fn peek(
        &mut self,
        now: Instant,
        send: &SendBuffer,
        sent: &SentLog,
        rtt: &Rtt,
        worth: Worth,
    ) -> Option<SeqNumber> {
        while let Some(seq) = self.lost.first() {
            if is_worth(now, seq, send, sent, rtt, worth) {
                return Some(seq);
            }
            self.lost.pop_first();
        }
        while let Some(&(at, seq)) = self.copies.front() {
            if at > now {
                return None;
            }
            let just_left = sent.age(now, seq).is_some_and(|age| age < second_copy_after(rtt) / 2);
            if !just_left && is_worth(now, seq, send, sent, rtt, worth) {
                return Some(seq);
            }
            self.copies.pop_front();
        }
        None
    }

    /// What [`peek`](Self::peek) gave is sent now; `sent` does not know of that yet.
    ///
    /// A second copy is planned, as far as the overhead allows, where a try has failed already or this is the last one.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        seq: SeqNumber,
        send: &SendBuffer,
        sent: &SentLog,
        rtt: &Rtt,
        worth: Worth,
    ) {
        let Some((packet, payload)) = send.packet(seq) else { return };
        let len = payload.len() as u64;
        self.credit = self.credit.saturating_sub(len);
        if self.lost.first() != Some(seq) {
            self.copies.pop_front();
            return;
        }
        self.lost.pop_first();
        let Some(latency) = worth.latency else { return };
        let last_try = now + rtt.overdue() > packet.origin + latency;
        // A report that comes this late is not the first: that one was lost.
        let late = sent.age(now, seq).is_some_and(|age| age > rtt.overdue() + rtt.smoothed() / 2);
        let failed_before = sent.times(seq) > 1 || late;
        if (last_try || failed_before) && self.credit >= len && self.copies.len() < COPIES_MAX {
            self.copies.push_back((now + second_copy_after(rtt), seq));
        }
    }

    /// When the first second copy leaves.
    pub(crate) fn next_copy(&self) -> Option<Instant> {
        self.copies.front().map(|copy| copy.0)
    }

    /// True where something may leave as soon as the pacing lets it.
    pub(crate) fn waiting(&self) -> bool {
        !self.lost.is_empty()
    }
}

fn is_worth(
    now: Instant,
    seq: SeqNumber,
    send: &SendBuffer,
    sent: &SentLog,
    rtt: &Rtt,
    worth: Worth,
) -> bool {
    if seq.is_before(sent.first()) {
        return false;
    }
    let Some((packet, _)) = send.packet(seq) else { return false };
    let margin = rtt.longest_half() + rtt.variance() * 4;
    worth.latency.is_none_or(|latency| now <= packet.origin + latency + margin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Message;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    fn rtt() -> Rtt {
        let mut rtt = Rtt::default();
        for _ in 0..100 {
            rtt.sample(Micros::from_millis(40));
        }
        rtt
    }

    fn stream(packets: u64) -> (SendBuffer, SentLog, SeqNumber) {
        let isn = SeqNumber::new(100);
        let (mut send, mut sent) = (SendBuffer::new(isn, at(0), 1_000, 1_000), SentLog::new(isn));
        for n in 0..packets {
            let pushed = send.push(at(n), Message::new(&[0; 1_000])).unwrap();
            sent.record(at(n), pushed.seq);
        }
        (send, sent, isn)
    }

    fn drain(resend: &mut ToResend, now: Instant, send: &SendBuffer, sent: &SentLog) -> Vec<u32> {
        let worth = Worth { latency: Some(Micros::from_millis(120)) };
        let mut out = Vec::new();
        while let Some(seq) = resend.peek(now, send, sent, &rtt(), worth) {
            resend.take(now, seq, send, sent, &rtt(), worth);
            out.push(seq.value());
        }
        out
    }

    #[test]
    fn lost_packets_leave_oldest_first_and_once() {
        let (send, sent, isn) = stream(50);
        let mut resend = ToResend::new();
        resend.add(isn + 7, isn + 8);
        resend.add(isn + 2, isn + 2);
        assert_eq!(drain(&mut resend, at(45), &send, &sent), [102, 107, 108]);
        assert!(resend.is_empty());
    }

    #[test]
    fn what_comes_too_late_is_not_sent() {
        let (send, sent, isn) = stream(50);
        let mut resend = ToResend::new();
        resend.add(isn, isn + 3);
        assert_eq!(drain(&mut resend, at(120 + 20 + 3), &send, &sent), [103]);
    }

    #[test]
    fn the_last_try_leaves_twice_while_the_overhead_allows() {
        let (send, sent, isn) = stream(50);
        let mut resend = ToResend::new();
        resend.add(isn, isn);
        assert_eq!(drain(&mut resend, at(100), &send, &sent), [100]);
        assert_eq!(resend.next_copy(), None, "no credit, no second copy");
        resend.earn(10_000, 25);
        resend.add(isn, isn);
        assert_eq!(drain(&mut resend, at(100), &send, &sent), [100]);
        assert_eq!(resend.next_copy(), Some(at(105)));
        assert_eq!(drain(&mut resend, at(105), &send, &sent), [100]);
        assert!(resend.is_empty());
    }

    #[test]
    fn what_was_missed_before_leaves_twice() {
        let (send, mut sent, isn) = stream(50);
        let mut resend = ToResend::new();
        resend.earn(100_000, 25);
        resend.add(isn + 9, isn + 9);
        assert_eq!(drain(&mut resend, at(50), &send, &sent), [109]);
        assert_eq!(resend.next_copy(), None, "the first try, and a second one fits");
        sent.record(at(50), isn + 9);
        resend.add(isn + 9, isn + 9);
        assert_eq!(drain(&mut resend, at(91), &send, &sent), [109]);
        assert_eq!(resend.next_copy(), Some(at(96)));
        resend.release(isn + 10);
        resend.add(isn + 10, isn + 10);
        assert_eq!(drain(&mut resend, at(10 + 61), &send, &sent), [110]);
        assert_eq!(resend.next_copy(), Some(at(76)), "so late a report is a repeated one");
    }

    #[test]
    fn what_is_acknowledged_is_forgotten() {
        let (send, mut sent, isn) = stream(10);
        let mut resend = ToResend::new();
        resend.add(isn, isn + 9);
        sent.release(isn + 8);
        resend.release(isn + 8);
        assert_eq!(resend.len(), 2);
        assert_eq!(drain(&mut resend, at(20), &send, &sent), [108, 109]);
    }
}
