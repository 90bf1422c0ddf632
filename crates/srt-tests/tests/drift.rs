//! Clocks that do not run alike (draft §4.7).

use srt_protocol::time::Micros;
use srt_tests::check;
use srt_tests::sim::{
    Link, Party, Run, Sim, Source, caller, kbps, latency_ms, listener, mbps, ms, secs, seeds, with,
};

/// A long two-way stream between a clock of `ours` ppm and one of `theirs`.
fn drifting(seed: u64, ours: i32, theirs: i32, link: Link, span: Micros) -> Run {
    let party = |party: Party, ppm| party.drifts_ppm(ppm).offers(Source::live(mbps(1), span));
    Sim::new(seed, party(caller(latency_ms(300)), ours), link, party(listener(latency_ms(300)), theirs))
        .sparing_handshakes()
        .run()
}

#[test]
fn drift_is_followed_in_steps_of_at_most_a_millisecond() {
    for (ours, theirs) in [(100, 0), (0, 100), (-100, 0), (50, -50)] {
        for seed in seeds("drift", 1) {
            let run = drifting(seed, ours, theirs, Link::rtt_ms(40), secs(600));
            // 100 ppm are 60 ms in 10 minutes, and 1 ms in a block of 1000 samples.
            run.assert(check::all)
                .assert(check::nothing_lost)
                .assert(check::closed_in_order)
                .assert(|run| check::drift_followed(run, ms(1), ms(3)));
        }
    }
}

#[test]
fn drift_is_followed_through_jitter_and_losses() {
    for (ours, theirs) in [(100, 0), (-100, 0)] {
        for seed in seeds("drift with jitter", 2) {
            let link = Link::rtt_ms(40).jitter_ms(8).loss(0.03);
            let run = drifting(seed, ours, theirs, link, secs(600));
            run.assert(check::all)
                .assert(check::closed_in_order)
                .assert(|run| check::drift_followed(run, ms(1) + Micros::from_micros(2), ms(5)));
            assert!(run.lost_to_the_viewer() < 0.001, "{}", run.lost_to_the_viewer());
        }
    }
}

#[test]
fn without_drift_jitter_does_not_make_the_clock_wander() {
    for seed in seeds("no drift", 3) {
        let link = Link::rtt_ms(60).reordering_jitter_ms(10).loss(0.02);
        let run = drifting(seed, 0, 0, link, secs(600));
        run.assert(check::all).assert(|run| check::latency_constant(run, ms(1)));
    }
}

#[test]
fn a_path_that_is_slow_in_one_direction_is_not_drift() {
    for seed in seeds("asymmetric", 3) {
        let run = drifting(seed, 0, 0, Link::one_way_ms(5, 120), secs(300));
        run.assert(check::all)
            .assert(check::nothing_lost)
            .assert(|run| check::latency_constant(run, Micros::from_micros(2)));
    }
}

#[test]
fn without_the_drift_tracer_the_clocks_part() {
    for seed in seeds("no tracer", 8) {
        let config = || with(latency_ms(300), "drifttracer", "0");
        let run = Sim::new(seed, caller(config()).drifts_ppm(100), Link::rtt_ms(40), listener(config()))
            .offer_live(kbps(300), secs(600))
            .sparing_handshakes()
            .run();
        // This is what the tracer is for, and shows that the checkers above see it.
        run.assert(check::all).assert(check::nothing_lost);
        assert!(check::drift_followed(&run, ms(1), ms(5)).is_err());
        assert!(check::drift_followed(&run, ms(1), ms(65)).is_ok());
    }
}

#[test]
fn drift_is_followed_at_a_low_rate_as_well() {
    for seed in seeds("slow drift", 3) {
        // 10 packets in a second: a block of 200 samples takes 20 s, in which 100 ppm are 2 ms.
        let run = Sim::new(
            seed,
            caller(latency_ms(300)).drifts_ppm(100),
            Link::rtt_ms(40),
            listener(latency_ms(300)),
        )
        .offer_live(kbps(100), secs(3_000))
        .sparing_handshakes()
        .run();
        run.assert(check::all)
            .assert(check::nothing_lost)
            .assert(|run| check::drift_followed(run, ms(1), ms(6)));
    }
}

#[test]
fn drift_is_followed_at_a_high_rate_as_well() {
    for seed in seeds("fast drift", 1) {
        let run = Sim::new(
            seed,
            caller(latency_ms(120)).drifts_ppm(-200),
            Link::rtt_ms(20).jitter_ms(2),
            listener(latency_ms(120)).drifts_ppm(100),
        )
        .offer_live(mbps(5), secs(300))
        .sparing_handshakes()
        .run();
        run.assert(check::all)
            .assert(check::nothing_lost)
            .assert(|run| check::drift_followed(run, ms(1) + Micros::from_micros(2), ms(8)));
    }
}
