//! Groups in chaos, on virtual time: an hour of it in each run.

use srt_bonding::{Event, Mode};
use srt_protocol::time::Micros;
use srt_tests::{
    bonded::{EPOCH, Outcome, run},
    chaos::{Evidence, judge, plan},
    sim::{Replayable, seeds},
};

/// Seconds of a run.
const SECONDS: f64 = 240.0;

fn seconds(span: Micros) -> f64 {
    span.as_micros() as f64 / 1e6
}

fn survives(name: &str, mode: Mode) {
    let mut owed = 0;
    for seed in seeds(name, 5) {
        let _replayable = Replayable(seed);
        let plan = plan(seed, mode, SECONDS);
        let outcome = run(seed, plan.clone());
        let verdict = judge(&Evidence::of(&plan, &outcome));
        let (shortest, longest) = outcome.forth.delays();
        println!(
            "seed {seed:#018x} {} links {:.1} Mb/s latency {:?}: sent {} lost {} owed {} beyond {} delay {:.3} to {:.3} s memory {} kB",
            plan.paths.len(),
            plan.rate_bps as f64 / 1e6,
            plan.config.receiver_latency(),
            outcome.forth.sent.len(),
            outcome.forth.lost(),
            verdict.owed.len(),
            verdict.beyond,
            seconds(shortest),
            seconds(longest),
            outcome.memory / 1_000,
        );
        for line in &verdict.why {
            if line.starts_with("OWED") || std::env::var_os("SRT_WHY").is_some() {
                println!("  {line}");
            }
        }
        if std::env::var_os("SRT_EVENTS").is_some() {
            show_events(&outcome);
            for (link, path) in plan.paths.iter().enumerate() {
                println!("link {} weight {} {}", link + 1, path.weight, path.forth);
                for (at, change) in &path.later {
                    println!("  {at:8.3} {change:?}");
                }
            }
        }
        assert_eq!(outcome.forth.refused, 0);
        assert!(outcome.forth.in_order());
        assert!(outcome.memory < 2 * 30_000_000, "{} bytes held", outcome.memory);
        owed += verdict.owed.len();
    }
    assert_eq!(owed, 0);
}

fn show_events(outcome: &Outcome) {
    for (at, event) in &outcome.events {
        if !matches!(event, Event::SendDropped(_) | Event::SafeRate(_)) {
            println!("{:8.3} {event:?}", seconds(at.saturating_since(EPOCH)));
        }
    }
}

#[test]
fn broadcast_survives_chaos() {
    survives("chaos broadcast", Mode::Broadcast);
}

#[test]
fn backup_survives_chaos() {
    survives("chaos backup", Mode::Backup);
}

#[test]
fn balancing_survives_chaos() {
    survives("chaos balancing", Mode::Balancing);
}
