//! Numbers that run over: sequence numbers, timestamps, clocks that start anywhere.

use srt_protocol::time::{Instant, Micros};
use srt_protocol::types::SeqNumber;
use srt_tests::check;
use srt_tests::sim::{
    Kind, Link, Run, Sim, Source, Way, caller, kbps, latency_ms, listener, mbps, ms, secs, seeds,
};

/// Both ends send across the end of the sequence numbers.
fn over_the_end(seed: u64, before: u32, link: Link) -> Run {
    Sim::new(
        seed,
        caller(latency_ms(400)).offers(Source::live(mbps(4), secs(8))),
        link,
        listener(latency_ms(400)).offers(Source::live(mbps(2), secs(8))),
    )
    .isn(SeqNumber::new(SeqNumber::MASK) - before)
    .sparing_handshakes()
    .run()
}

#[test]
fn sequence_numbers_run_over_without_a_trace() {
    for before in [0, 1, 2, 63, 64, 500, 760] {
        for seed in seeds("wrap", 8) {
            let run = over_the_end(seed, before, Link::rtt_ms(40));
            run.assert(check::all)
                .assert(check::nothing_lost)
                .assert(check::closed_in_order)
                .assert(|run| check::latency_constant(run, Micros::from_micros(2)));
            assert!(run.listener().received.iter().any(|message| message.seq == SeqNumber::new(0)));
            assert!(run.caller().received.iter().any(|message| message.seq == SeqNumber::new(0)));
            assert_eq!(run.path().there.count(Kind::Retransmission), 0);
        }
    }
}

#[test]
fn losses_across_the_end_of_the_sequence_numbers_are_repaired() {
    for seed in seeds("wrap with losses", 32) {
        let before = 300 + u32::try_from(seed % 400).unwrap();
        let link =
            Link::rtt_ms(40).loss_back(0.02).bursts_there(0.1, 6.0).reordering_jitter_ms(5).duplicates(0.02);
        let run = over_the_end(seed, before, link);
        run.assert(check::all)
            .assert(check::closed_in_order)
            .assert(check::nothing_left_in_buffers)
            .assert(|run| check::latency_constant(run, ms(1)));
        assert!(run.lost_to_the_viewer() < 0.002, "{}", run.lost_to_the_viewer());
    }
}

#[test]
fn an_outage_across_the_end_of_the_sequence_numbers_is_got_over() {
    for seed in seeds("wrap in an outage", 32) {
        // 380 packets in a second: number 0 leaves after 2 s, in the middle of the outage.
        let run = over_the_end(seed, 760, Link::rtt_ms(40).outage(ms(1_500), ms(1_200)));
        run.assert(check::all)
            .assert(check::closed_in_order)
            .assert(|run| check::nothing_lost_since(run, 2_700_000))
            .assert(|run| check::latency_constant(run, ms(1)));
        assert!(run.listener().gave_up(SeqNumber::new(0)));
    }
}

#[test]
fn timestamps_run_over_after_71_minutes_without_a_trace() {
    for seed in seeds("timestamp wrap", 2) {
        // 4295 s; with losses right there, so that packets from before the end arrive after it.
        let run = Sim::new(
            seed,
            caller(latency_ms(300)).offers(Source::live(kbps(100), secs(4_330))),
            Link::rtt_ms(40).loss(0.05).reordering_jitter_ms(5),
            listener(latency_ms(300)).offers(Source::live(kbps(50), secs(4_330))),
        )
        .sparing_handshakes()
        .run();
        run.assert(check::all)
            .assert(check::closed_in_order)
            .assert(|run| check::delivered_at_least(run, 20_000))
            .assert(|run| check::latency_constant(run, ms(1)));
        assert!(run.lost_to_the_viewer() < 0.001, "{}", run.lost_to_the_viewer());
    }
}

#[test]
fn a_silence_across_the_end_of_the_timestamps_moves_nothing() {
    for seed in seeds("silent wrap", 32) {
        // Nothing but keepalives for 80 minutes, then a stream.
        let late = Source::live(mbps(1), secs(3)).after(secs(4_800));
        let run = Sim::new(
            seed,
            caller(latency_ms(200)).offers(late.clone()),
            Link::rtt_ms(40),
            listener(latency_ms(200)).offers(late),
        )
        .sparing_handshakes()
        .run();
        let exactly = Micros::from_micros(2);
        run.assert(check::all)
            .assert(check::nothing_lost)
            .assert(check::closed_in_order)
            .assert(|run| check::latency_is(run, Way::ToListener, ms(220), exactly))
            .assert(|run| check::latency_is(run, Way::ToCaller, ms(220), exactly));
    }
}

#[test]
fn a_clock_may_start_anywhere() {
    let starts =
        [0, 1, 1_000, u64::from(u32::MAX) - 2_000_000, u64::from(u32::MAX), 1 << 52, (1 << 62) - 3_000_000];
    for ours in starts {
        for theirs in [0, u64::from(u32::MAX) - 1_000_000, 1 << 62] {
            for seed in seeds("clock start", 12) {
                let run = Sim::new(
                    seed,
                    caller(latency_ms(200))
                        .offers(Source::live(mbps(1), secs(4)))
                        .clock_starts_at(Instant::from_micros(ours)),
                    Link::rtt_ms(40).loss(0.03),
                    listener(latency_ms(200))
                        .offers(Source::live(mbps(1), secs(4)))
                        .clock_starts_at(Instant::from_micros(theirs)),
                )
                .sparing_handshakes()
                .run();
                run.assert(check::all)
                    .assert(check::closed_in_order)
                    .assert(|run| check::delivered_at_least(run, 350))
                    .assert(|run| check::latency_constant(run, Micros::from_micros(2)));
            }
        }
    }
}
