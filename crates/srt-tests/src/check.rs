//! What must hold of a run. Each checker names the first thing it finds wrong, precisely.
//!
//! Checkers are functions of a [`Run`]; [`Run::assert`] turns one into an assertion that prints how to replay the run.

use crate::sim::{Flow, Kind, ReceivedMessage, Run, Way};
use srt_protocol::connection::{ConnectionError, State};
use srt_protocol::time::Micros;
use srt_protocol::types::SeqNumber;
use std::collections::HashSet;
use std::fmt;

/// A rule, and how it was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The checker.
    pub rule: &'static str,
    /// Who, when and what.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.detail)
    }
}

impl std::error::Error for Violation {}

/// What a checker says.
pub type Verdict = Result<(), Violation>;

/// All that holds of every run with honest peers, whatever the network does.
///
/// # Errors
/// The first violation.
pub fn all(run: &Run) -> Verdict {
    no_faults(run)?;
    finished(run)?;
    in_order(run)?;
    no_duplicates(run)?;
    payload_intact(run)?;
    no_gap_without_drop(run)?;
    never_early(run)?;
    memory_bounded(run)
}

/// The core kept its promises towards the driver, and put nothing on the wire that a sender may not.
///
/// # Errors
/// The first fault the simulator noticed.
pub fn no_faults(run: &Run) -> Verdict {
    const RULE: &str = "no_faults";
    if let Some(fault) = run.faults.first() {
        return broken(RULE, fault);
    }
    if let Some((record, fault)) = run.records().find_map(|record| Some((record, record.faults.first()?))) {
        return broken(RULE, format!("{}: {fault}", record.name));
    }
    let wires =
        run.paths.iter().flat_map(|path| [("to the listener", &path.there), ("to the caller", &path.back)]);
    for (way, wire) in wires {
        if let Some(fault) = wire.faults.first() {
            return broken(RULE, format!("on the way {way}, {fault}"));
        }
    }
    Ok(())
}

/// Everything ended before the time limit.
///
/// # Errors
/// Who is still there.
pub fn finished(run: &Run) -> Verdict {
    let Some(left) = run.records().find(|record| record.state != Some(State::Closed)) else { return Ok(()) };
    broken("finished", format!("{} is still {:?} at {} µs", left.name, left.state, run.ended_us))
}

/// Messages come out in the order they were sent in.
///
/// # Errors
/// The first that does not.
pub fn in_order(run: &Run) -> Verdict {
    each_flow(run, |flow| {
        for pair in flow.receiver.received.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            if !after.seq.is_after(before.seq) {
                let text = format!("%{} came at {} µs after %{}", after.seq, after.at_us, before.seq);
                return broken("in_order", tell(flow, text));
            }
        }
        Ok(())
    })
}

/// No message comes out twice.
///
/// # Errors
/// The first that does.
pub fn no_duplicates(run: &Run) -> Verdict {
    each_flow(run, |flow| {
        let mut seen = HashSet::new();
        match flow.receiver.received.iter().find(|message| !seen.insert(message.seq)) {
            Some(twice) => broken("no_duplicates", tell(flow, format!("%{} came twice", twice.seq))),
            None => Ok(()),
        }
    })
}

/// What comes out is what was sent: content, length and message number.
///
/// # Errors
/// The first message that differs, or that was never sent.
pub fn payload_intact(run: &Run) -> Verdict {
    const RULE: &str = "payload_intact";
    each_flow(run, |flow| {
        for got in &flow.receiver.received {
            let Some(sent) = flow.sender.message(got.seq) else {
                return broken(RULE, tell(flow, format!("%{} was never sent", got.seq)));
            };
            if (sent.len, sent.msgno, sent.digest) != (got.len, got.msgno, got.digest) {
                return broken(RULE, tell(flow, format!("sent {sent:?}, got {got:?}")));
            }
        }
        Ok(())
    })
}

/// Every message is either handed out or given up, never both; and both ends count what they gave up.
///
/// What was lost at the very end of a stream only the sender can know of: it gave that up, or holds it unacknowledged when
/// the connection ends. A connection that broke takes with it what was under way.
///
/// # Errors
/// The first message that nobody accounts for, or a counter that is off.
pub fn no_gap_without_drop(run: &Run) -> Verdict {
    const RULE: &str = "no_gap_without_drop";
    each_flow(run, |flow| {
        let Flow { sender, receiver, .. } = *flow;
        let received: HashSet<_> = receiver.received.iter().map(|message| message.seq).collect();
        if let Some(both) = receiver.received.iter().find(|message| receiver.gave_up(message.seq)) {
            return broken(RULE, tell(flow, format!("%{} was handed out and given up", both.seq)));
        }
        let last_received = receiver.received.last().map(|message| message.seq);
        let last_dropped = receiver.dropped.last().map(|range| range.last);
        let reached = |seq| last_received.into_iter().chain(last_dropped).any(|last| !last.is_before(seq));
        let (mut missing, mut tail) = (0, 0);
        for message in sender.sent.iter().filter(|message| !received.contains(&message.seq)) {
            missing += 1;
            if !reached(message.seq) {
                tail += 1;
            } else if !receiver.gave_up(message.seq) {
                let text = format!("%{} (sent at {} µs) is nowhere", message.seq, message.at_us);
                return broken(RULE, tell(flow, text));
            }
        }
        let known = sender.send_dropped + sender.stats.pkt_snd_buf;
        if tail > known && ended_in_order(flow) {
            let text = format!("the last {tail} messages are nowhere, and the sender knows of {known} only");
            return broken(RULE, tell(flow, text));
        }
        let given_up = receiver.given_up();
        if given_up != missing - tail {
            let text = format!("{given_up} packets were given up, {} are missing", missing - tail);
            return broken(RULE, tell(flow, text));
        }
        for (what, counted, expected) in [
            ("pkt_rcv_drop_total", receiver.stats.pkt_rcv_drop_total, given_up),
            ("pkt_snd_drop_total", sender.stats.pkt_snd_drop_total, sender.send_dropped),
        ] {
            if counted != expected {
                return broken(RULE, tell(flow, format!("{what} is {counted}, events tell of {expected}")));
            }
        }
        Ok(())
    })
}

/// No message comes out before its play time.
///
/// # Errors
/// The first that does.
pub fn never_early(run: &Run) -> Verdict {
    each_flow(run, |flow| {
        match flow.receiver.received.iter().find(|message| message.at < message.play_time) {
            Some(early) => broken("never_early", tell(flow, format!("{early:?}"))),
            None => Ok(()),
        }
    })
}

/// A prompt reader gets each message at its play time, or at most so much later.
///
/// # Errors
/// The first message that comes later.
pub fn prompt(run: &Run, tolerance: Micros) -> Verdict {
    each_flow(run, |flow| {
        let late = |message: &&ReceivedMessage| message.at.saturating_since(message.play_time) > tolerance;
        match flow.receiver.received.iter().find(late) {
            Some(message) => {
                let by = message.at.saturating_since(message.play_time);
                broken(
                    "prompt",
                    tell(flow, format!("%{} came {by} late, at {} µs", message.seq, message.at_us)),
                )
            }
            None => Ok(()),
        }
    })
}

/// From `send` to play, every message takes as long as the first of its flow, within `tolerance`: world time.
///
/// # Errors
/// The first message that does not.
pub fn latency_constant(run: &Run, tolerance: Micros) -> Verdict {
    each_flow(run, |flow| {
        let mut travels = travels(flow);
        let Some((_, first)) = travels.next() else { return Ok(()) };
        match travels.find(|(_, travel)| travel.abs_diff(first) > tolerance.as_micros()) {
            Some((seq, travel)) => {
                let text =
                    format!("%{seq} is played {travel} µs after its origin, the first message {first} µs");
                broken("latency_constant", tell(flow, text))
            }
            None => Ok(()),
        }
    })
}

/// From `send` to play, every message takes `expected`, within `tolerance`: world time.
///
/// # Errors
/// The first message that does not.
pub fn latency_is(run: &Run, way: Way, expected: Micros, tolerance: Micros) -> Verdict {
    each_flow(run, |flow| {
        let off = |travel: i64| travel.abs_diff(signed(expected)) > tolerance.as_micros();
        match travels(flow).find(|(_, travel)| flow.way == way && off(*travel)) {
            Some((seq, travel)) => {
                let text = format!("%{seq} is played {travel} µs after its origin, not {expected}");
                broken("latency_is", tell(flow, text))
            }
            None => Ok(()),
        }
    })
}

/// With drifting clocks: from one message to the next the travel time changes by no more than `step`, and in the whole
/// run it stays within `bound` of the first message's.
///
/// # Errors
/// The first message that breaks either.
pub fn drift_followed(run: &Run, step: Micros, bound: Micros) -> Verdict {
    const RULE: &str = "drift_followed";
    each_flow(run, |flow| {
        let mut travels = travels(flow);
        let Some((_, first)) = travels.next() else { return Ok(()) };
        let mut before = first;
        for (seq, travel) in travels {
            if travel.abs_diff(before) > step.as_micros() {
                return broken(
                    RULE,
                    tell(flow, format!("at %{seq} the travel time went from {before} to {travel} µs")),
                );
            }
            if travel.abs_diff(first) > bound.as_micros() {
                return broken(
                    RULE,
                    tell(flow, format!("%{seq} travels {travel} µs, the first message {first} µs")),
                );
            }
            before = travel;
        }
        Ok(())
    })
}

/// Buffers stay within what the options allow, and payload memory within what the buffers need.
///
/// # Errors
/// Whose does not.
pub fn memory_bounded(run: &Run) -> Verdict {
    const RULE: &str = "memory_bounded";
    for record in run.records() {
        let send = u64::from(record.config.send_buffer_packets());
        let receive = u64::from(record.config.receive_buffer_packets());
        let peaks = record.peaks;
        for (what, seen, allowed) in [
            ("packets in the send buffer", peaks.send_packets, send),
            ("packets in the receive buffer", peaks.receive_packets, receive),
            ("packets in flight", peaks.flight_packets, u64::from(flow_window(run, record.peer))),
        ] {
            if seen > allowed {
                return broken(RULE, format!("{}: {seen} {what}, {allowed} are allowed", record.name));
            }
        }
        // Memory grows and shrinks in chunks: twice what is held, and a little to begin with.
        let allowed = (send + receive) * 1_536 + 65_536;
        if peaks.payload_memory as u64 > allowed {
            let text = format!(
                "{}: {} bytes of payload memory, {allowed} are allowed",
                record.name, peaks.payload_memory
            );
            return broken(RULE, text);
        }
    }
    Ok(())
}

/// Both ends ended in order: the one that closed says so, and the other was told.
///
/// A path that loses every SHUTDOWN is an excuse for the other to find out by silence.
///
/// # Errors
/// Who ended otherwise.
pub fn closed_in_order(run: &Run) -> Verdict {
    const RULE: &str = "closed_in_order";
    each_flow(run, |flow| {
        let Flow { sender, receiver, .. } = *flow;
        if sender.close_called_us.is_none() {
            return Ok(()); // the other direction's flow has the one that closed as its sender
        }
        if sender.closed.map(|(_, reason)| reason) != Some(ConnectionError::Closed) {
            return broken(RULE, tell(flow, format!("{} ended with {:?}", sender.name, sender.closed)));
        }
        let reason = receiver.closed.map(|(_, reason)| reason);
        let told = flow.wire.arrived(Kind::Shutdown) > 0;
        let expected = if told { ConnectionError::PeerShutdown } else { ConnectionError::PeerIdle };
        if reason != Some(expected) {
            return broken(
                RULE,
                tell(flow, format!("{} ended with {reason:?}, not {expected:?}", receiver.name)),
            );
        }
        let (closed, other) =
            (sender.closed.map_or(0, |(at, _)| at), receiver.closed.map_or(0, |(at, _)| at));
        if told && other < closed {
            return broken(RULE, tell(flow, format!("{} ended before {} did", receiver.name, sender.name)));
        }
        Ok(())
    })
}

/// All that was sent came out.
///
/// # Errors
/// The first message that did not.
pub fn nothing_lost(run: &Run) -> Verdict {
    each_flow(run, |flow| {
        let received: HashSet<_> = flow.receiver.received.iter().map(|message| message.seq).collect();
        let lost: Vec<_> =
            flow.sender.sent.iter().filter(|message| !received.contains(&message.seq)).collect();
        let Some(first) = lost.first() else { return Ok(()) };
        let text = format!(
            "{} of {} messages did not come out, first %{}, sent at {} µs",
            lost.len(),
            flow.sender.sent.len(),
            first.seq,
            first.at_us
        );
        broken("nothing_lost", tell(flow, text))
    })
}

/// All that was sent from this moment of the world on came out.
///
/// # Errors
/// The first message that did not.
pub fn nothing_lost_since(run: &Run, from_us: u64) -> Verdict {
    each_flow(run, |flow| {
        let received: HashSet<_> = flow.receiver.received.iter().map(|message| message.seq).collect();
        let mut late = flow.sender.sent.iter().filter(|message| message.at_us >= from_us);
        match late.find(|message| !received.contains(&message.seq)) {
            Some(lost) => {
                let text = format!("%{}, sent at {} µs, did not come out", lost.seq, lost.at_us);
                broken("nothing_lost_since", tell(flow, text))
            }
            None => Ok(()),
        }
    })
}

/// At the sender nothing is left behind, and at the receiver everything that arrived before the end was handed out: a
/// stream that was closed in order loses nothing from the buffers.
///
/// # Errors
/// What was left.
pub fn nothing_left_in_buffers(run: &Run) -> Verdict {
    const RULE: &str = "nothing_left_in_buffers";
    each_flow(run, |flow| {
        let Flow { sender, receiver, .. } = *flow;
        if !ended_in_order(flow) {
            return Ok(());
        }
        let Some(last) = sender.sent.last() else { return Ok(()) };
        let got = receiver.received.last().map(|message| message.seq);
        let gave_up = receiver.gave_up(last.seq) || sender.send_dropped > 0;
        if got != Some(last.seq) && !gave_up {
            return broken(
                RULE,
                tell(flow, format!("the last message was %{}, the last handed out {got:?}", last.seq)),
            );
        }
        let kept = receiver.stats.pkt_recv_unique_total;
        if kept != receiver.received.len() as u64 {
            let handed_out = receiver.received.len();
            return broken(
                RULE,
                tell(flow, format!("{kept} packets were kept, {handed_out} were handed out")),
            );
        }
        Ok(())
    })
}

/// At least so many messages came out of each flow that has a source, so that a run cannot pass by doing nothing.
///
/// # Errors
/// The flow with fewer.
pub fn delivered_at_least(run: &Run, count: usize) -> Verdict {
    const RULE: &str = "delivered_at_least";
    let flows = run.flows();
    if flows.is_empty() {
        return broken(RULE, "there is no connection");
    }
    for flow in flows.iter().filter(|flow| !flow.sender.sent.is_empty() || flow.way == Way::ToListener) {
        let got = flow.receiver.received.len();
        if got < count {
            return broken(RULE, tell(flow, format!("{got} messages came out, {count} should")));
        }
    }
    Ok(())
}

fn each_flow(run: &Run, check: impl Fn(&Flow<'_>) -> Verdict) -> Verdict {
    run.flows().iter().try_for_each(check)
}

/// How long after its origin each message is played, in µs of the world.
fn travels<'a>(flow: &Flow<'a>) -> impl Iterator<Item = (SeqNumber, i64)> + use<'a> {
    let (sender, receiver) = (flow.sender, flow.receiver);
    receiver.received.iter().filter_map(|got| {
        let sent = sender.message(got.seq)?;
        let origin = sender.clock.world(sent.source_time);
        Some((got.seq, i64::try_from(got.play_us).ok()? - i64::try_from(origin).ok()?))
    })
}

/// The sender closed (or its peer did), and nobody broke.
fn ended_in_order(flow: &Flow<'_>) -> bool {
    let ends = [flow.sender.closed, flow.receiver.closed].map(|closed| closed.map(|(_, reason)| reason));
    flow.sender.aborted_us.is_none()
        && flow.receiver.aborted_us.is_none()
        && matches!(ends, [Some(ConnectionError::Closed), Some(ConnectionError::PeerShutdown)])
}

fn flow_window(run: &Run, peer: std::net::SocketAddr) -> u32 {
    let other = run.records().find(|record| record.peer != peer);
    other.map_or(u32::MAX, |record| record.config.flow_window())
}

fn tell(flow: &Flow<'_>, text: impl fmt::Display) -> String {
    format!("{} → {}: {text}", flow.sender.name, flow.receiver.name)
}

fn broken(rule: &'static str, detail: impl fmt::Display) -> Verdict {
    Err(Violation { rule, detail: detail.to_string() })
}

fn signed(span: Micros) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{DroppedRange, Link, Sim, caller, latency_ms, listener, mbps, ms, secs};

    fn sound() -> Run {
        Sim::new(1, caller(latency_ms(120)), Link::rtt_ms(40), listener(latency_ms(120)))
            .offer_live(mbps(1), secs(1))
            .run()
    }

    /// What `check` finds in a sound run that was tampered with.
    fn found(tamper: impl FnOnce(&mut Run), check: impl Fn(&Run) -> Verdict) -> String {
        let mut run = sound();
        assert_eq!(check(&run), Ok(()));
        tamper(&mut run);
        check(&run).expect_err("the tampering is found").to_string()
    }

    #[test]
    fn a_sound_run_passes_everything() {
        let run = sound();
        run.assert(all)
            .assert(closed_in_order)
            .assert(nothing_lost)
            .assert(nothing_left_in_buffers)
            .assert(|run| nothing_lost_since(run, 0))
            .assert(|run| delivered_at_least(run, 95))
            .assert(|run| prompt(run, Micros::from_micros(1)))
            .assert(|run| latency_constant(run, Micros::from_micros(1)))
            .assert(|run| latency_is(run, Way::ToListener, ms(140), Micros::from_micros(1)))
            .assert(|run| drift_followed(run, Micros::from_micros(1), Micros::from_micros(1)));
    }

    #[test]
    fn two_messages_that_changed_places_are_found() {
        let text = found(|run| run.accepted[0].received.swap(10, 11), in_order);
        let run = sound();
        let seqs = [run.listener().received[11].seq, run.listener().received[10].seq];
        assert!(text.contains(&format!("%{}", seqs[0])) && text.contains(&format!("%{}", seqs[1])), "{text}");
    }

    #[test]
    fn a_message_that_came_twice_is_found() {
        let again = |run: &mut Run| {
            let message = run.accepted[0].received[10];
            run.accepted[0].received.insert(11, message);
        };
        found(again, no_duplicates);
        found(again, in_order);
    }

    #[test]
    fn a_changed_or_foreign_message_is_found() {
        found(|run| run.accepted[0].received[10].digest ^= 1, payload_intact);
        found(|run| run.accepted[0].received[10].len -= 1, payload_intact);
        found(|run| run.callers[0].sent.truncate(10), payload_intact);
    }

    #[test]
    fn a_message_that_vanished_is_found() {
        let vanish = |run: &mut Run| run.accepted[0].received.retain(|message| message.at_us / 100_000 != 5);
        assert!(found(vanish, no_gap_without_drop).contains("nowhere"));
        found(vanish, nothing_lost);
        found(vanish, |run| nothing_lost_since(run, 0));
        found(vanish, nothing_left_in_buffers);
    }

    #[test]
    fn a_tail_that_vanished_is_found() {
        let vanish = |run: &mut Run| run.accepted[0].received.truncate(90);
        assert!(found(vanish, no_gap_without_drop).contains("the last "));
        found(vanish, nothing_left_in_buffers);
    }

    #[test]
    fn giving_up_what_came_or_in_silence_is_found() {
        let give_up = |run: &mut Run| {
            let seq = run.accepted[0].received[10].seq;
            run.accepted[0].dropped.push(DroppedRange { first: seq, last: seq, at_us: 0 });
        };
        assert!(found(give_up, no_gap_without_drop).contains("handed out and given up"));
        found(|run| run.accepted[0].stats.pkt_rcv_drop_total = 1, no_gap_without_drop);
        found(|run| run.callers[0].stats.pkt_snd_drop_total = 1, no_gap_without_drop);
    }

    #[test]
    fn a_message_at_the_wrong_time_is_found() {
        let moved = |by: u64| move |run: &mut Run| run.accepted[0].received[10].play_us += by;
        found(moved(1_001), |run| latency_constant(run, ms(1)));
        found(moved(3), |run| latency_is(run, Way::ToListener, ms(140), Micros::from_micros(2)));
        found(moved(1_001), |run| drift_followed(run, ms(1), ms(5)));
        let late = |run: &mut Run| run.accepted[0].received[10].at += ms(2);
        found(late, |run| prompt(run, ms(1)));
        let early = |run: &mut Run| run.accepted[0].received[10].at -= Micros::from_micros(1);
        found(early, never_early);
    }

    #[test]
    fn a_drift_in_small_steps_is_found_when_it_has_gone_too_far() {
        let creep = |run: &mut Run| {
            for (place, message) in run.accepted[0].received.iter_mut().enumerate() {
                message.play_us += place as u64 * 100;
            }
        };
        found(creep, |run| drift_followed(run, ms(1), ms(5)));
    }

    #[test]
    fn too_much_memory_is_found() {
        found(|run| run.callers[0].peaks.send_packets = 1 << 20, memory_bounded);
        found(|run| run.accepted[0].peaks.receive_packets = 1 << 20, memory_bounded);
        found(|run| run.callers[0].peaks.flight_packets = 1 << 20, memory_bounded);
        found(|run| run.callers[0].peaks.payload_memory = 1 << 30, memory_bounded);
    }

    #[test]
    fn an_end_out_of_order_is_found() {
        let reason = |reason| move |run: &mut Run| run.accepted[0].closed = Some((u64::MAX, reason));
        found(reason(ConnectionError::PeerIdle), closed_in_order);
        found(|run| run.callers[0].closed = None, closed_in_order);
        found(|run| run.accepted[0].closed = Some((0, ConnectionError::PeerShutdown)), closed_in_order);
        found(|run| run.accepted[0].state = Some(State::Broken), finished);
    }

    #[test]
    fn faults_are_found_wherever_they_were_noticed() {
        let fault = || "something".to_owned();
        assert!(found(|run| run.faults.push(fault()), no_faults).contains("something"));
        found(|run| run.callers[0].faults.push(fault()), no_faults);
        found(|run| run.paths[0].back.faults.push(fault()), no_faults);
    }

    #[test]
    fn an_empty_run_does_not_pass_for_a_good_one() {
        found(|run| run.accepted.clear(), |run| delivered_at_least(run, 1));
        found(|run| run.accepted[0].received.clear(), |run| delivered_at_least(run, 1));
    }
}
