//! From the first packet to a stream: whatever is lost, repeated, delayed or refused on the way.

use srt_protocol::connection::ConnectionError;
use srt_protocol::handshake::RejectReason;
use srt_protocol::time::Micros;
use srt_tests::check;
use srt_tests::sim::{
    Admission, Kind, Leave, Link, Meddle, Passing, Reader, Run, Sim, Source, Way, caller, caller_address,
    kbps, latency_ms, listener, listener_address, mbps, ms, secs, seeds, with,
};

/// Both ends send for two seconds. The latency leaves time for what is sent while the answer is lost twice.
fn two_way(seed: u64, link: Link) -> Sim {
    Sim::new(
        seed,
        caller(latency_ms(1_000)).offers(Source::live(mbps(1), secs(2))),
        link,
        listener(latency_ms(1_000)).offers(Source::live(mbps(1), secs(2))),
    )
}

/// Drops the handshake packets of these places: (way, how many went that way before).
fn losing(lost: Vec<(Way, u64)>) -> impl FnMut(&Passing<'_>, &mut Meddle<'_>) + 'static {
    let mut seen = [0, 0];
    move |passing, meddle| {
        if passing.kind == Kind::Handshake {
            let seen = &mut seen[usize::from(passing.way == Way::ToCaller)];
            if lost.contains(&(passing.way, *seen)) {
                meddle.drop();
            }
            *seen += 1;
        }
    }
}

/// The stream runs, and is played as if nothing had happened.
#[track_caller]
fn assert_sound(run: &Run) {
    let exactly = Micros::from_micros(2);
    run.assert(check::all)
        .assert(check::nothing_lost)
        .assert(check::closed_in_order)
        .assert(|run| check::delivered_at_least(run, 180))
        .assert(|run| check::latency_is(run, Way::ToListener, ms(1_020), exactly))
        .assert(|run| check::latency_is(run, Way::ToCaller, ms(1_020), exactly));
    assert_eq!((run.accepted.len(), run.incoming), (1, 1));
}

#[test]
fn a_handshake_takes_two_round_trips() {
    for seed in seeds("plain", 32) {
        let run = two_way(seed, Link::rtt_ms(40)).run();
        assert_sound(&run);
        assert_eq!((run.listener().connected_us, run.caller().connected_us), (Some(60_000), Some(80_000)));
        let path = run.path();
        assert_eq!((path.there.count(Kind::Handshake), path.back.count(Kind::Handshake)), (2, 2));
    }
}

#[test]
fn each_packet_of_the_handshake_may_be_lost_once_or_twice() {
    for way in [Way::ToListener, Way::ToCaller] {
        for place in 0..3 {
            for seed in seeds("one lost", 32) {
                let run = two_way(seed, Link::rtt_ms(40)).meddle(losing(vec![(way, place)])).run();
                assert_sound(&run);
                let connected = run.caller().connected_us.unwrap();
                assert!(connected <= 80_000 + 250_000, "connected at {connected} µs");

                let run = two_way(seed, Link::rtt_ms(40))
                    .meddle(losing(vec![(way, place), (way, place + 1)]))
                    .run();
                assert_sound(&run);
                let connected = run.caller().connected_us.unwrap();
                assert!(connected <= 80_000 + 500_000, "connected at {connected} µs");
            }
        }
    }
}

#[test]
fn any_two_packets_of_the_handshake_may_be_lost() {
    let places: Vec<_> =
        (0..3).flat_map(|place| [(Way::ToListener, place), (Way::ToCaller, place)]).collect();
    for (index, one) in places.iter().enumerate() {
        for other in &places[index + 1..] {
            for seed in seeds("two lost", 32) {
                let run = two_way(seed, Link::rtt_ms(40)).meddle(losing(vec![*one, *other])).run();
                assert_sound(&run);
            }
        }
    }
}

#[test]
fn a_handshake_that_arrives_twice_makes_one_connection() {
    for seed in seeds("all twice", 32) {
        let run = two_way(seed, Link::rtt_ms(40).duplicates(1.0)).run();
        assert_sound(&run);
    }
}

#[test]
fn a_handshake_out_of_order_makes_one_connection() {
    for seed in seeds("out of order", 32) {
        let link = Link::rtt_ms(300).reordering_jitter_ms(140).duplicates(0.5);
        let run = Sim::new(
            seed,
            caller(latency_ms(1_000)).offers(Source::live(mbps(1), secs(2))),
            link,
            listener(latency_ms(1_000)).offers(Source::live(mbps(1), secs(2))),
        )
        .run();
        run.assert(check::all).assert(check::nothing_lost).assert(check::closed_in_order);
        assert_eq!((run.accepted.len(), run.incoming), (1, 1));
    }
}

#[test]
fn with_half_of_everything_lost_a_handshake_ends_well_or_in_time() {
    let mut connected = 0;
    let seeds = seeds("half lost", 60);
    for seed in &seeds {
        let run = Sim::new(
            *seed,
            caller(latency_ms(2_000)),
            Link::rtt_ms(40).loss(0.5),
            listener(latency_ms(2_000)),
        )
        .offer_live(kbps(200), secs(2))
        .run();
        run.assert(check::no_faults)
            .assert(check::finished)
            .assert(check::in_order)
            .assert(check::payload_intact);
        let (at_us, reason) = run.caller().closed.unwrap();
        if run.caller().connected_us.is_some() {
            connected += 1;
        } else {
            assert_eq!((reason, at_us), (ConnectionError::Timeout, 3_000_000));
        }
        assert!(run.accepted.len() <= 1);
    }
    assert!(connected * 2 > seeds.len(), "{connected} of {} connected", seeds.len());
}

#[test]
fn a_conclusion_replayed_later_starts_nothing() {
    for seed in seeds("replay", 32) {
        let run = Sim::new(seed, caller(latency_ms(200)), Link::rtt_ms(40), listener(latency_ms(200)))
            .offer_live(mbps(1), secs(4))
            .meddle(|passing, meddle| {
                if passing.kind == Kind::Handshake {
                    for after in [20, 50, 120, 999, 2_000, 2_600, 8_000, 70_000] {
                        meddle.inject(ms(after), passing.from, passing.to, passing.datagram.to_vec());
                    }
                }
            })
            .run();
        run.assert(check::all)
            .assert(check::nothing_lost)
            .assert(|run| check::latency_is(run, Way::ToListener, ms(220), Micros::from_micros(2)));
        let (caller, accepted) = (run.caller().closed.unwrap(), run.listener().closed.unwrap());
        assert_eq!((caller.1, accepted.1), (ConnectionError::Closed, ConnectionError::PeerShutdown));
        // A conclusion that comes after its connection has ended, with a cookie that is still good, asks once more: a
        // listener keeps nothing of those that are gone. Nobody answers, and soon nothing is left of it.
        assert!(run.incoming <= 3, "{} times incoming", run.incoming);
    }
}

#[test]
fn a_handshake_replayed_from_elsewhere_is_for_nothing() {
    for seed in seeds("replay from elsewhere", 32) {
        let stranger = "203.0.113.77:5555".parse().unwrap();
        let run = two_way(seed, Link::rtt_ms(40))
            .meddle(move |passing, meddle| {
                if passing.kind == Kind::Handshake {
                    for after in [0, 1, 500, 1_500] {
                        meddle.inject(ms(after), stranger, passing.to, passing.datagram.to_vec());
                    }
                }
            })
            .run();
        assert_sound(&run);
        assert!(run.listener_stats.wrong_cookie >= 4);
    }
}

#[test]
fn a_rejected_caller_is_told_why() {
    for reason in [RejectReason::FORBIDDEN, RejectReason::Peer, RejectReason::User(2_345)] {
        for lost in [vec![], vec![(Way::ToCaller, 1)], vec![(Way::ToCaller, 1), (Way::ToCaller, 2)]] {
            for seed in seeds("rejected", 32) {
                let run = Sim::new(
                    seed,
                    caller(latency_ms(120)),
                    Link::rtt_ms(40),
                    listener(latency_ms(120)).admits(Admission::Reject(reason)),
                )
                .meddle(losing(lost.clone()))
                .run();
                run.assert(check::no_faults).assert(check::finished);
                let (at_us, why) = run.caller().closed.unwrap();
                assert_eq!(why, ConnectionError::Rejected(reason));
                assert!(at_us <= 80_000 + 250_000 * lost.len() as u64, "told at {at_us} µs");
                assert_eq!((run.accepted.len(), run.incoming), (0, 1));
            }
        }
    }
}

#[test]
fn a_caller_that_is_too_old_is_rejected_for_its_version() {
    for seed in seeds("version", 32) {
        let picky = with(latency_ms(120), "minversion", "0x020000");
        let run = Sim::new(seed, caller(latency_ms(120)), Link::rtt_ms(40), listener(picky)).run();
        run.assert(check::no_faults).assert(check::finished);
        assert_eq!(run.caller().closed.unwrap().1, ConnectionError::Rejected(RejectReason::Version));
        assert_eq!(run.incoming, 0);
    }
}

#[test]
fn where_nobody_answers_the_caller_gives_up_in_time() {
    for seed in seeds("nobody", 32) {
        for timeout in [3_000_u64, 700] {
            let impatient = with(latency_ms(120), "conntimeo", &timeout.to_string());
            let dead = Link::rtt_ms(40).outage(ms(0), secs(100));
            let run = Sim::new(seed, caller(impatient), dead, listener(latency_ms(120)))
                .offer_live(mbps(1), secs(5))
                .run();
            run.assert(check::no_faults).assert(check::finished);
            assert_eq!(run.caller().closed, Some((timeout * 1_000, ConnectionError::Timeout)));
            assert_eq!(run.path().there.count(Kind::Handshake), timeout.div_ceil(250));
            assert!(run.caller().sent.is_empty());
        }
    }
}

#[test]
fn an_accept_that_takes_a_second_does_not_move_the_play_time() {
    for seed in seeds("slow hook", 32) {
        for lost in [vec![], vec![(Way::ToListener, 1)], vec![(Way::ToCaller, 1)]] {
            let run = Sim::new(
                seed,
                caller(latency_ms(1_000)).offers(Source::live(mbps(1), secs(2))),
                Link::rtt_ms(40),
                listener(latency_ms(1_000))
                    .offers(Source::live(mbps(1), secs(2)))
                    .admits(Admission::AcceptAfter(secs(1))),
            )
            .meddle(losing(lost))
            .run();
            assert_sound(&run);
            assert!(run.caller().connected_us.unwrap() >= 1_080_000);
        }
    }
}

#[test]
fn an_accept_that_comes_too_late_leaves_nothing_behind() {
    for seed in seeds("hook too slow", 32) {
        for delay in [secs(5), secs(20)] {
            let run = Sim::new(
                seed,
                caller(latency_ms(120)),
                Link::rtt_ms(40),
                listener(latency_ms(120)).admits(Admission::AcceptAfter(delay)),
            )
            .offer_live(mbps(1), secs(5))
            .run();
            run.assert(check::no_faults).assert(check::finished);
            assert_eq!(run.caller().closed, Some((3_000_000, ConnectionError::Timeout)));
            assert!(run.accepted.len() <= 1);
            for record in &run.accepted {
                assert_eq!(record.closed.unwrap().1, ConnectionError::PeerIdle);
            }
        }
    }
}

#[test]
fn a_listener_that_never_decides_keeps_nobody_for_long() {
    for seed in seeds("no decision", 32) {
        let run = Sim::new(
            seed,
            caller(latency_ms(120)),
            Link::rtt_ms(40),
            listener(latency_ms(120)).admits(Admission::Ignore),
        )
        .run();
        run.assert(check::no_faults).assert(check::finished);
        assert_eq!(run.caller().closed, Some((3_000_000, ConnectionError::Timeout)));
        assert_eq!((run.incoming, run.accepted.len()), (1, 0));
    }
}

#[test]
fn a_full_backlog_is_said_so() {
    for seed in seeds("backlog", 32) {
        let run = Sim::new(
            seed,
            caller(latency_ms(120)),
            Link::rtt_ms(40).jitter_ms(5),
            listener(latency_ms(120)).backlog(3).admits(Admission::AcceptAfter(ms(500))),
        )
        .callers(10)
        .offer_live(kbps(200), secs(1))
        .run();
        run.assert(check::all).assert(check::closed_in_order);
        let rejected =
            |reason| run.callers.iter().filter(|caller| caller.closed.unwrap().1 == reason).count();
        assert_eq!(run.accepted.len(), 3);
        assert_eq!(rejected(ConnectionError::Rejected(RejectReason::Backlog)), 7);
        assert_eq!(run.listener_stats.backlog_full, 7);
    }
}

#[test]
fn options_of_the_accept_win_over_those_of_the_listener() {
    for seed in seeds("accept with", 32) {
        let run = Sim::new(
            seed,
            caller(latency_ms(120)).offers(Source::live(mbps(1), secs(2))),
            Link::rtt_ms(40),
            listener(latency_ms(120)).admits(Admission::AcceptWith(Box::new(latency_ms(700)))),
        )
        .run();
        run.assert(check::all)
            .assert(check::nothing_lost)
            .assert(|run| check::latency_is(run, Way::ToListener, ms(720), Micros::from_micros(2)));
        assert_eq!(run.caller().negotiated.as_ref().unwrap().peer_latency, Some(ms(700)));
    }
}

#[test]
fn both_ends_know_the_same_numbers() {
    for seed in seeds("negotiated", 32) {
        let run = Sim::new(
            seed,
            caller(with(with(with(latency_ms(120), "streamid", "#!::r=live"), "fc", "1000"), "mss", "1400")),
            Link::rtt_ms(40),
            listener(with(latency_ms(90), "fc", "700")),
        )
        .offer_live(mbps(1), secs(1))
        .run();
        run.assert(check::all).assert(check::nothing_lost);
        let (ours, theirs) =
            (run.caller().negotiated.as_ref().unwrap(), run.listener().negotiated.as_ref().unwrap());
        assert_eq!((ours.send_isn, ours.receive_isn), (theirs.receive_isn, theirs.send_isn));
        assert_eq!((ours.mss, theirs.mss), (1_400, 1_400));
        assert_eq!((ours.flow_window, theirs.flow_window), (700, 1_000));
        assert_eq!((ours.receiver_latency, ours.peer_latency), (Some(ms(120)), Some(ms(120))));
        assert_eq!((theirs.receiver_latency, theirs.peer_latency), (Some(ms(120)), Some(ms(120))));
        assert_eq!((ours.peer_version, theirs.peer_version), (0x01_0505, 0x01_0505));
        assert_eq!(theirs.stream_id, b"#!::r=live");
        assert_eq!(run.path().there.largest, 1_316 + 16);
    }
}

#[test]
fn what_the_listener_sends_before_its_answer_arrives_is_not_lost() {
    for seed in seeds("early data", 32) {
        // The answer is lost twice; the listener's application sends from the moment of its accept.
        let run = Sim::new(
            seed,
            caller(latency_ms(1_200)),
            Link::rtt_ms(40),
            listener(latency_ms(1_200)).offers(Source::live(mbps(2), secs(2))),
        )
        .meddle(losing(vec![(Way::ToCaller, 1), (Way::ToCaller, 2)]))
        .run();
        run.assert(check::all)
            .assert(check::nothing_lost)
            .assert(check::closed_in_order)
            .assert(|run| check::latency_is(run, Way::ToCaller, ms(1_220), Micros::from_micros(2)));
        assert!(run.caller().connected_us.unwrap() > run.listener().connected_us.unwrap() + 500_000);
        assert!(run.caller().received.len() > 350);
    }
}

#[test]
fn a_caller_that_leaves_while_calling_leaves_nothing_behind() {
    for seed in seeds("gone", 32) {
        // It connects and is gone at once, before anything was sent.
        let run = Sim::new(
            seed,
            caller(latency_ms(120)).leaves(Leave::CloseAfter(Micros::ZERO)),
            Link::rtt_ms(40),
            listener(latency_ms(120)).reads(Reader::Never),
        )
        .run();
        run.assert(check::all).assert(check::closed_in_order);
        assert_eq!(run.callers[0].peer, listener_address());
        assert_eq!(run.listener().peer, caller_address(0));
    }
}
