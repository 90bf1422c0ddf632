//! What an option does to a whole connection, and what a peer may do that only an option bounds.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests fail as the tests do")]

use srt_protocol::config::Config;
use srt_protocol::connection::ConnectionError;
use srt_protocol::handshake::RejectReason;
use srt_protocol::packet::{
    Ack, AckDetail, Control, ControlPacket, LossReport, Packet, UDP_IP_OVERHEAD, destination,
};
use srt_protocol::time::Micros;
use srt_protocol::types::SeqNumber;
use srt_tests::check;
use srt_tests::sim::{
    Kind, Link, Meddle, Party, Passing, Reader, Replayable, Run, Sim, Source, Way, caller, control, kbps,
    latency_ms, listener, mbps, ms, secs, seeds, with,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The number of a data packet on its way to the listener.
fn data_number(passing: &Passing<'_>) -> Option<SeqNumber> {
    match Packet::parse(passing.datagram) {
        Ok(Packet::Data(packet)) if passing.way == Way::ToListener => Some(packet.header.seq),
        _ => None,
    }
}

/// What must hold where nothing is given up, however late it is.
fn nothing_given_up(run: &Run) -> check::Verdict {
    check::no_faults(run)?;
    check::finished(run)?;
    check::in_order(run)?;
    check::payload_intact(run)?;
    check::memory_bounded(run)?;
    check::nothing_lost(run)
}

// ---------------------------------------------------------------------------- RETRANSMITALGO

/// One packet gets lost as often as it is sent for 300 ms, and is reported every 5 ms. Tells how often it was sent again.
fn resends_of_a_stubborn_hole(seed: u64, algo: &str) -> u64 {
    let mut hole = None;
    let run = Sim::new(
        seed,
        caller(with(latency_ms(600), "retransmitalgo", algo)),
        Link::rtt_ms(50),
        listener(latency_ms(600)),
    )
    .offer_live(mbps(2), secs(3))
    .meddle(move |passing, meddle| {
        let (Some(seq), Some(id)) = (data_number(passing), passing.sender_id) else { return };
        if hole.is_none() && passing.at_us > 1_000_000 {
            hole = Some((seq, passing.at_us + 300_000));
            for number in 0..50 {
                let report = control(id, Control::Nak(LossReport::Ranges(&[(seq, seq)])));
                meddle.inject(ms(30 + number * 5), passing.to, passing.from, report);
            }
        }
        if hole.is_some_and(|(hole, until)| hole == seq && passing.at_us < until) {
            meddle.drop();
        }
    })
    .run();
    run.assert(check::all).assert(check::nothing_lost).assert(check::closed_in_order);
    run.path().there.count(Kind::Retransmission)
}

#[test]
fn retransmitalgo_1_answers_a_hole_once_a_round_trip_and_0_as_often_as_it_is_reported() {
    for seed in seeds("retransmitalgo", 32) {
        let _told = Replayable(seed);
        // 350 ms until it gets through are seven round trips; where a try failed a second copy follows.
        let patient = resends_of_a_stubborn_hole(seed, "1");
        assert!((4..=2 * 8).contains(&patient), "{patient} resends with RETRANSMITALGO=1");
        let eager = resends_of_a_stubborn_hole(seed, "0");
        assert!(eager >= 50, "{eager} resends for 50 reports with RETRANSMITALGO=0");
    }
}

// ---------------------------------------------------------------------------- MAXREXMITBW

/// A stream of 8 Mb/s of which a tenth is lost; when resends left, and how many bytes on the wire each was.
fn resends_under(seed: u64, rate: &str) -> Vec<(u64, u64)> {
    let resends = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&resends);
    let run = Sim::new(
        seed,
        caller(with(latency_ms(400), "maxrexmitbw", rate)),
        Link::rtt_ms(40).loss_there(0.1),
        listener(latency_ms(400)),
    )
    .offer_live(mbps(8), secs(6))
    .sparing_handshakes()
    .meddle(move |passing, _| {
        if passing.kind == Kind::Retransmission {
            seen.borrow_mut().push((passing.at_us, (passing.datagram.len() + UDP_IP_OVERHEAD) as u64));
        }
    })
    .run();
    run.assert(check::all).assert(check::closed_in_order);
    resends.take()
}

#[test]
fn maxrexmitbw_bounds_what_is_sent_again_in_any_span_of_time() {
    const PACKET: u64 = 1_316 + 44;
    for seed in seeds("maxrexmitbw", 16) {
        let _told = Replayable(seed);
        // 100 kB a second would have to be sent again.
        for rate in [20_000, 60_000] {
            let resends = resends_under(seed, &rate.to_string());
            for (first, (from_us, _)) in resends.iter().enumerate() {
                let mut bytes = 0;
                for (at_us, len) in &resends[first..] {
                    bytes += len;
                    // Credit for a millisecond, and one packet on credit.
                    let allowed = rate * (at_us - from_us + 1_000) / 1_000_000 + PACKET;
                    assert!(
                        bytes <= allowed,
                        "{bytes} bytes from {from_us} to {at_us} µs at {rate} a second"
                    );
                }
            }
            let total: u64 = resends.iter().map(|(_, len)| len).sum();
            assert!(total >= rate * 6 * 9 / 10, "{total} bytes in 6 s: what is allowed is used");
        }
        let free: u64 = resends_under(seed, "-1").iter().map(|(_, len)| len).sum();
        assert!(free > 6 * 80_000, "{free} bytes in 6 s without a bound");
    }
}

// ---------------------------------------------------------------------------- SNDDROPDELAY

#[test]
fn the_sender_gives_up_when_snddropdelay_says_so_and_never_at_minus_one() {
    const OUTAGE_US: u64 = 2_000_000;
    const OUTAGE_ENDS_US: u64 = 6_000_000;
    for (latency, delay, after_ms) in [
        (120, "-1", None),
        (120, "0", Some(1_020)),
        (120, "500", Some(1_020)),
        (120, "1500", Some(1_640)),
        (1_400, "0", Some(1_420)),
        (1_400, "700", Some(2_120)),
    ] {
        for seed in seeds("snddropdelay", 32) {
            let config = with(with(latency_ms(latency), "snddropdelay", delay), "peeridletimeo", "20000");
            let link = Link::rtt_ms(40)
                .outage(Micros::from_micros(OUTAGE_US), Micros::from_micros(OUTAGE_ENDS_US - OUTAGE_US));
            let patient = with(latency_ms(latency), "peeridletimeo", "20000");
            let run = Sim::new(seed, caller(config), link, listener(patient))
                .offer_live(mbps(1), secs(8))
                .sparing_handshakes()
                .run();
            run.assert(check::all).assert(check::closed_in_order);
            let sender = run.caller();
            let first = sender.events.iter().find(|(_, event)| event.starts_with("SendDropped"));
            let what = format!("latency {latency}, SNDDROPDELAY {delay}");
            let Some(after_us) = after_ms.map(|after: u64| after * 1_000) else {
                assert_eq!((first, sender.send_dropped), (None, 0), "{what}");
                continue;
            };
            // The first to go is the first that was not acknowledged, exactly when its time is over. An ACK of so slow a stream
            // comes up to 50 ms and the way back later.
            let dropped_at = first.expect("something is given up").0;
            let oldest = sender.sent.iter().find(|message| {
                (after_us..=after_us + 2).contains(&dropped_at.saturating_sub(message.at_us))
            });
            let oldest = oldest.unwrap_or_else(|| panic!("{what}: given up at {dropped_at} µs")).at_us;
            assert!(
                (OUTAGE_US - 120_000..=OUTAGE_US).contains(&oldest),
                "{what}: the first is of {oldest} µs"
            );
            // Afterwards one after another, until what was said after the outage arrives.
            let expected = (OUTAGE_ENDS_US - after_us - oldest) * 95 / 1_000_000;
            let dropped = sender.send_dropped;
            assert!(dropped.abs_diff(expected) <= 25, "{what}: {dropped} given up, {expected} were too late");
        }
    }
}

// ---------------------------------------------------------------------------- LINGER

/// How long the caller's orderly end took, in µs.
fn closing_took(run: &Run) -> u64 {
    let (at_us, reason) = run.caller().closed.unwrap();
    assert_eq!(reason, ConnectionError::Closed);
    at_us - run.caller().close_called_us.unwrap()
}

#[test]
fn close_waits_until_the_last_packet_was_played_but_never_longer_than_linger() {
    // Played 2 s after it was sent, and half a round trip more.
    for (linger, span) in [("0", 2_015..2_120), ("1", 1_000..1_001), ("5", 2_015..2_120)] {
        for seed in seeds("linger", 32) {
            let run = Sim::new(
                seed,
                caller(with(latency_ms(2_000), "linger", linger)),
                Link::rtt_ms(40).jitter_ms(3),
                listener(latency_ms(2_000)),
            )
            .offer_live(mbps(1), secs(2))
            .sparing_handshakes()
            .run();
            run.assert(check::no_faults).assert(check::finished).assert(check::closed_in_order);
            let took = closing_took(&run);
            assert!(span.contains(&(took / 1_000)), "LINGER={linger}: {took} µs");
        }
    }
}

/// A listener with little room whose application never reads, and which gives nothing up.
fn stuffed(linger: &str) -> (Party, Party) {
    let keeping = |config: Config| with(config, "tlpktdrop", "0");
    let sender = with(keeping(latency_ms(500)), "linger", linger);
    let receiver = with(with(keeping(latency_ms(500)), "fc", "128"), "rcvbuf", "200000");
    let source = Source::live(mbps(2), secs(5)).skipping_when_full();
    (caller(sender).offers(source), listener(receiver).reads(Reader::Never))
}

#[test]
fn a_peer_that_takes_nothing_any_more_does_not_keep_close_waiting_for_ever() {
    // Without LINGER three seconds and the latency, after the last progress: that was long ago.
    for (linger, longest) in [("0", 3_501), ("1", 1_001), ("3", 3_001)] {
        for seed in seeds("stuffed", 32) {
            let (caller, listener) = stuffed(linger);
            let run =
                Sim::new(seed, caller, Link::rtt_ms(40).loss(0.02), listener).sparing_handshakes().run();
            run.assert(check::no_faults).assert(check::finished).assert(check::memory_bounded);
            // What was never confirmed counts as dropped.
            assert!(run.caller().stats.pkt_snd_drop_total > 300, "there was nothing to wait for");
            let took = closing_took(&run);
            assert!(took <= longest * 1_000, "LINGER={linger}: {took} µs");
        }
    }
}

// ---------------------------------------------------------------------------- a window that opens unheard

/// The full ACK in `datagram`, if it is one.
fn full_ack(datagram: &[u8]) -> Option<(Ack, u32)> {
    match Packet::parse(datagram) {
        Ok(Packet::Control(ControlPacket { control: Control::Ack(ack), .. })) => match ack.detail {
            AckDetail::Full { available_packets, .. } => Some((ack, available_packets)),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn a_lost_window_update_does_not_stop_the_stream() {
    // A reader that looks every two seconds only, with room for about one: each time the window shuts, and what says that it
    // opened is lost until the sender asks by sending something. (libsrt says it once.)
    for tells_zero in [false, true] {
        for seed in seeds("window update", 32) {
            let lost = Rc::new(Cell::new(0));
            let counted = Rc::clone(&lost);
            let (mut shut, mut unheard) = (false, false);
            let meddler = move |passing: &Passing<'_>, meddle: &mut Meddle<'_>| {
                if data_number(passing).is_some() && unheard {
                    (shut, unheard) = (false, false);
                }
                let Some((ack, room)) = full_ack(passing.datagram) else { return };
                if passing.way == Way::ToListener {
                    return;
                }
                if shut && room > 2 {
                    unheard = true;
                }
                if unheard {
                    counted.set(counted.get() + 1);
                    meddle.drop();
                    return;
                }
                shut = room <= 2;
                if shut && tells_zero {
                    // Nobody has to say "two" for "none", as libsrt and we do.
                    let Some(id) = destination(passing.datagram) else { return };
                    let AckDetail::Full { rtt_us, rtt_var_us, .. } = ack.detail else { return };
                    let detail = AckDetail::Small { rtt_us, rtt_var_us, available_packets: 0 };
                    let told = control(id, Control::Ack(Ack { detail, ..ack }));
                    meddle.drop();
                    meddle.inject(ms(20), passing.from, passing.to, told);
                }
            };
            let keeping = with(latency_ms(100), "tlpktdrop", "0");
            let small = with(with(keeping.clone(), "fc", "64"), "rcvbuf", "92000");
            let run = Sim::new(
                seed,
                caller(keeping).offers(Source::live(kbps(500), secs(8))),
                Link::rtt_ms(40),
                listener(small).reads(Reader::Slow { every: secs(2), at_most: usize::MAX }),
            )
            .sparing_handshakes()
            .meddle(meddler)
            .run();
            run.assert(nothing_given_up).assert(|run| check::delivered_at_least(run, 370));
            assert!(lost.get() >= 3, "{} window updates were lost", lost.get());
        }
    }
}

// ---------------------------------------------------------------------------- what a peer may say

#[test]
fn a_peer_error_is_told_and_the_connection_lives_on() {
    for seed in seeds("peer error", 32) {
        let run = Sim::new(
            seed,
            caller(latency_ms(300)).offers(Source::live(mbps(1), secs(3))),
            Link::rtt_ms(40).loss(0.02),
            listener(latency_ms(300)).offers(Source::live(mbps(1), secs(3))),
        )
        .sparing_handshakes()
        .meddle(|passing, meddle| {
            if passing.kind == Kind::Data && passing.number.is_multiple_of(7) {
                let Some(id) = destination(passing.datagram) else { return };
                let error = control(id, Control::PeerError(4_000));
                meddle.inject(ms(20), passing.from, passing.to, error);
            }
        })
        .run();
        run.assert(check::all)
            .assert(check::closed_in_order)
            .assert(|run| check::delivered_at_least(run, 280))
            .assert(|run| check::latency_constant(run, ms(1)));
        for record in run.records() {
            let told = record.events.iter().filter(|(_, event)| event == "PeerError(4000)").count();
            assert!(told >= 2, "{} was told {told} times", record.name);
        }
    }
}

#[test]
fn a_report_that_names_the_same_packets_180_times_is_answered_once() {
    for algo in ["0", "1"] {
        for seed in seeds("repetitive NAK", 32) {
            let mut told = false;
            let run = Sim::new(
                seed,
                caller(with(latency_ms(300), "retransmitalgo", algo)),
                Link::rtt_ms(50),
                listener(latency_ms(300)),
            )
            .offer_live(mbps(8), secs(2))
            .sparing_handshakes()
            .meddle(move |passing, meddle| {
                let (Some(seq), Some(id)) = (data_number(passing), passing.sender_id) else { return };
                if !told && passing.at_us > 1_000_000 {
                    told = true;
                    // All that was sent within the last 40 ms: none of it can be acknowledged yet.
                    let ranges = [(seq - 29, seq); 180];
                    let report = control(id, Control::Nak(LossReport::Ranges(&ranges)));
                    assert!(report.len() <= 1_472);
                    meddle.inject(Micros::from_micros(100), passing.to, passing.from, report);
                }
            })
            .run();
            run.assert(check::all).assert(check::nothing_lost).assert(check::closed_in_order);
            let wire = &run.path().there;
            assert_eq!(wire.count(Kind::Retransmission), 30, "RETRANSMITALGO={algo}");
            assert_eq!(run.caller().stats.pkt_snd_loss_total, 30, "packets looked at for one report");
            assert_eq!(wire.count(Kind::DropRequest), 0);
        }
    }
}

#[test]
fn a_listener_whose_version_the_caller_declines_is_told_at_once() {
    for seed in seeds("declined", 32) {
        let picky = with(latency_ms(120), "minversion", "0x020000");
        let run = Sim::new(seed, caller(picky), Link::rtt_ms(40), listener(latency_ms(120))).run();
        run.assert(check::no_faults).assert(check::finished);
        // The listener's answer is under way for 20 ms, and so is what the caller says to it.
        let declined = ConnectionError::Rejected(RejectReason::Version);
        assert_eq!(run.caller().closed, Some((80_000, declined)));
        assert_eq!(run.caller().connected_us, None);
        assert_eq!(run.listener().connected_us, Some(60_000));
        assert_eq!(run.listener().closed, Some((100_000, ConnectionError::PeerShutdown)));
    }
}

// ---------------------------------------------------------------------------- LOSSMAXTTL

/// When data packets left (for the first time), which one of them was lost, and when it was reported.
#[derive(Default)]
struct Reported {
    left: Vec<u64>,
    lost: usize,
    reports: Vec<u64>,
}

/// The `lost`-th packet is lost, once.
fn with_one_lost(seed: u64, loss_max_ttl: u32, bps: u64, lost: usize) -> Reported {
    let reported = Rc::new(RefCell::new(Reported { lost, ..Reported::default() }));
    let seen = Rc::clone(&reported);
    let run = Sim::new(
        seed,
        caller(latency_ms(300)),
        Link::rtt_ms(40),
        listener(with(latency_ms(300), "lossmaxttl", &loss_max_ttl.to_string())),
    )
    .offer_live(bps, secs(3))
    .meddle(move |passing, meddle| match passing.kind {
        Kind::Data => {
            let mut seen = seen.borrow_mut();
            if seen.left.len() == lost {
                meddle.drop();
            }
            seen.left.push(passing.at_us);
        }
        Kind::Nak => seen.borrow_mut().reports.push(passing.at_us),
        _ => {}
    })
    .run();
    run.assert(check::all).assert(check::nothing_lost).assert(check::closed_in_order);
    drop(run);
    reported.take()
}

#[test]
fn a_loss_is_reported_after_as_many_packets_as_lossmaxttl_says() {
    for ttl in [0, 1, 2, 5, 10, 14] {
        for seed in seeds("lossmaxttl", 16) {
            let _told = Replayable(seed);
            // Among the first 50: as long as all comes in order the tolerance shrinks by one in 50 packets.
            let lost = 10 + usize::try_from(seed % 20).unwrap();
            let Reported { left, lost, reports } = with_one_lost(seed, ttl, mbps(8), lost);
            // The next packet shows that it is missing; so many more must follow.
            let expected = left[lost + 1 + ttl as usize] + 20_000;
            assert!(
                reports.first().is_some_and(|at| (expected..=expected + 1).contains(at)),
                "LOSSMAXTTL={ttl}: reported at {reports:?}, and not at {expected} µs"
            );
        }
    }
}

#[test]
fn where_packets_are_rare_lossmaxttl_does_not_hold_a_report_back_for_long() {
    for seed in seeds("slow lossmaxttl", 32) {
        let _told = Replayable(seed);
        // 20 packets would take 200 ms.
        let Reported { left, lost, reports } = with_one_lost(seed, 20, mbps(1), 15);
        let found = left[lost + 1] + 20_000;
        let at = *reports.first().expect("it is reported");
        assert!((found + 20_000..=found + 20_001).contains(&at), "found at {found}, reported at {at} µs");
    }
}

#[test]
fn what_comes_within_lossmaxttl_is_not_reported() {
    for (ttl, reports) in [("0", 1), ("2", 1), ("4", 0)] {
        for seed in seeds("late within lossmaxttl", 32) {
            let mut data = 0;
            let run = Sim::new(
                seed,
                caller(latency_ms(300)),
                Link::rtt_ms(40),
                listener(with(latency_ms(300), "lossmaxttl", ttl)),
            )
            .offer_live(mbps(8), secs(2))
            .meddle(move |passing, meddle| {
                if passing.kind == Kind::Data {
                    data += 1;
                    if data == 20 {
                        // It comes after the four that follow it.
                        let late = Micros::from_micros(20_000 + 4 * 1_316 + 300);
                        meddle.inject(late, passing.from, passing.to, passing.datagram.to_vec());
                        meddle.drop();
                    }
                }
            })
            .run();
            run.assert(check::all).assert(check::nothing_lost);
            let path = run.path();
            let seen = (path.back.count(Kind::Nak), path.there.count(Kind::Retransmission));
            assert_eq!(seen, (reports, reports), "LOSSMAXTTL={ttl}: reports and resends");
        }
    }
}
