//! Groups against groups, on virtual time.

use srt_bonding::{Event, Mode};
use srt_protocol::time::Micros;
use srt_tests::{
    bonded::{Outcome, Path, Plan, Sender, run},
    sim::{Replayable, seeds},
};

fn show(outcome: &Outcome) {
    println!(
        "sent {} lost {} overhead {:.3} wire {:?} carried {:?} drop requests {:?} delays {:?}",
        outcome.forth.sent.len(),
        outcome.forth.lost(),
        outcome.overhead(),
        outcome.wire,
        outcome.carried,
        outcome.drop_requests,
        outcome.forth.delays(),
    );
    println!("missing {:?}", outcome.forth.missing());
    for (at, event) in outcome.events.iter().take(60) {
        println!("{:8.3} {event:?}", at.saturating_since(srt_tests::bonded::EPOCH).as_micros() as f64 / 1e6);
    }
}

#[test]
fn two_links_carry_everything_twice() {
    for seed in seeds("broadcast", 2) {
        let plan = Plan::new(
            Mode::Broadcast,
            300,
            vec![Path::new("delay=20ms,loss=2%"), Path::new("delay=40ms,loss=2%")],
        );
        let outcome = run(seed, plan);
        show(&outcome);
        assert_eq!(outcome.forth.lost(), 0);
    }
}
#[test]
fn backup_switches() {
    for seed in seeds("backup", 2) {
        let plan = Plan::new(
            Mode::Backup,
            300,
            vec![Path::new("delay=20ms,outage=3s+1500ms").weight(9), Path::new("delay=40ms").weight(1)],
        );
        let outcome = run(seed, plan);
        show(&outcome);
        assert_eq!(outcome.forth.lost(), 0);
    }
}
#[test]
fn balancing_adds_up() {
    for plain in [false, true] {
        for seed in seeds("balancing", 1) {
            let mut plan = Plan::new(
                Mode::Balancing,
                400,
                vec![
                    Path::new("delay=20ms,rate=4Mbps,queue=100"),
                    Path::new("delay=30ms,rate=6Mbps,queue=100"),
                    Path::new("delay=50ms,rate=2Mbps,queue=100"),
                ],
            )
            .offer(10_000_000, 20.0);
            plan.plain_peer = plain;
            let outcome = run(seed, plan);
            show(&outcome);
            for link in &outcome.links {
                println!("{link:?}");
            }
        }
    }
}
