//! A profile at work on virtual time: no clock, no socket, no entropy but the seed.
//!
//! A packet meets, in this order: outage, queue and rate limit, random loss, delay and jitter, reordering,
//! duplication. Loss comes after the queue, as on a radio link: what is lost on the way has used up the rate.

mod loss;
mod queue;
mod random;

use loss::LossProcess;
use queue::Queue;
pub use queue::UDP_IP_OVERHEAD;
pub use random::derive_seed;
use random::{Chance, Luck};

use crate::profile::{JitterShape, Profile};

/// One direction of a link.
///
/// A packet's luck depends on the seed and on how many were offered before it, not on time or on what else befell
/// it, and every kind of impairment has a source of chance of its own: two runs that differ in one setting differ
/// in nothing else.
#[derive(Clone, Debug)]
pub struct Model {
    profile: Profile,
    queue: Queue,
    loss: LossProcess,
    jitter: Luck,
    reorder: Luck,
    duplicate: Luck,
    copy_jitter: Luck,
    /// The latest arrival so far of a packet that keeps its place.
    last_arrival_us: u64,
    /// End of an outage that was called for at run time.
    cut_until_us: u64,
    counters: Counters,
}

/// What becomes of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub enum Fates {
    /// It never arrives.
    Lost(Cause),
    /// It arrives.
    Arrives {
        /// When, in µs.
        at_us: u64,
        /// When a second copy arrives, if there is one: never before `at_us`.
        copy_at_us: Option<u64>,
    },
}

/// Why a packet does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The link was dead when it was offered.
    Outage,
    /// The queue in front of the rate limit was full.
    Queue,
    /// Random loss.
    Luck,
}

/// What happened to all packets so far.
///
/// Always: `offered_packets - lost() + duplicated == delivered_packets`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that entered the link.
    pub offered_packets: u64,
    /// Their payload bytes, as given (without headers).
    pub offered_bytes: u64,
    /// Packets lost as the link was dead.
    pub lost_outage: u64,
    /// Packets lost as the queue was full.
    pub lost_queue: u64,
    /// Packets lost by chance.
    pub lost_luck: u64,
    /// Packets held back so that others pass; jitter does not count here.
    pub reordered: u64,
    /// Second copies made.
    pub duplicated: u64,
    /// Packets that arrive, second copies included.
    pub delivered_packets: u64,
    /// Their payload bytes.
    pub delivered_bytes: u64,
}

impl Model {
    /// A link at time 0. Values out of their range (see [`Profile::check`]) count as the nearest in it; burst loss
    /// above what its length allows comes as near as it can.
    pub fn new(profile: Profile, seed: u64) -> Self {
        Self {
            queue: Queue::new(&profile),
            loss: LossProcess::new(profile.loss, Luck::new(seed, 0)),
            jitter: Luck::new(seed, 1),
            reorder: Luck::new(seed, 2),
            duplicate: Luck::new(seed, 3),
            copy_jitter: Luck::new(seed, 4),
            last_arrival_us: 0,
            cut_until_us: 0,
            counters: Counters::default(),
            profile,
        }
    }

    /// A packet with `size` bytes of payload enters the link: when does it arrive?
    ///
    /// `now_us` is virtual time since the link began, in µs, and must not run backwards (the queue would take what
    /// left later for still waiting; nothing else happens).
    pub fn offer(&mut self, now_us: u64, size: usize) -> Fates {
        // All chance is drawn first: a packet's luck must not depend on the fate of others.
        let unlucky = self.loss.next();
        let held_back = self.reorder.hits(Chance::new(self.profile.reorder));
        let doubled = self.duplicate.hits(Chance::new(self.profile.duplicate));
        let delay_us = random_delay(&self.profile, &mut self.jitter);
        let copy_delay_us = random_delay(&self.profile, &mut self.copy_jitter);

        let bytes = size as u64;
        self.counters.offered_packets += 1;
        self.counters.offered_bytes = self.counters.offered_bytes.saturating_add(bytes);

        if now_us < self.cut_until_us || self.profile.outages.iter().any(|outage| outage.covers(now_us)) {
            self.counters.lost_outage += 1;
            return Fates::Lost(Cause::Outage);
        }
        let Some(left_us) = self.queue.pass(now_us, size) else {
            self.counters.lost_queue += 1;
            return Fates::Lost(Cause::Queue);
        };
        if unlucky {
            self.counters.lost_luck += 1;
            return Fates::Lost(Cause::Luck);
        }

        let mut at_us = self.in_order(left_us.saturating_add(delay_us));
        let mut copy_at_us = doubled.then(|| self.in_order(left_us.saturating_add(copy_delay_us)));
        if held_back {
            // After the place in the order is taken: those behind do not wait for this one.
            at_us = at_us.saturating_add(self.profile.reorder_by_us);
            self.counters.reordered += 1;
        }
        if let Some(copy) = &mut copy_at_us
            && *copy < at_us
        {
            core::mem::swap(copy, &mut at_us);
        }
        let copies = if doubled { 2 } else { 1 };
        self.counters.duplicated += copies - 1;
        self.counters.delivered_packets += copies;
        self.counters.delivered_bytes =
            self.counters.delivered_bytes.saturating_add(bytes.saturating_mul(copies));
        Fates::Arrives { at_us, copy_at_us }
    }

    /// Goes on with another profile. What was offered before keeps its fate; order is kept across the change,
    /// unless the new jitter is free to break it.
    pub fn set_profile(&mut self, profile: Profile) {
        self.queue.set(&profile);
        if profile.loss != self.profile.loss {
            self.loss.set(profile.loss);
        }
        self.profile = profile;
    }

    /// Everything offered before this time is lost, besides the outages of the profile. An earlier end than one
    /// already set changes nothing.
    pub fn cut_until(&mut self, until_us: u64) {
        self.cut_until_us = self.cut_until_us.max(until_us);
    }

    /// The profile at work.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The arrival itself or, on a link that keeps order, not before the last one's.
    fn in_order(&mut self, at_us: u64) -> u64 {
        if self.profile.jitter_reorders {
            return at_us;
        }
        self.last_arrival_us = self.last_arrival_us.max(at_us);
        self.last_arrival_us
    }
}

/// Delay and jitter of one packet, in µs.
fn random_delay(profile: &Profile, luck: &mut Luck) -> u64 {
    let jitter_us = profile.jitter_us;
    if jitter_us == 0 {
        return profile.delay_us;
    }
    match profile.jitter_shape {
        JitterShape::Uniform => {
            let draw = luck.up_to(jitter_us.saturating_mul(2));
            profile.delay_us.saturating_add(draw).saturating_sub(jitter_us)
        }
        JitterShape::HalfNormal => profile.delay_us.saturating_add(luck.half_normal(jitter_us)),
    }
}

impl Fates {
    /// The times of arrival in order, in µs: none, one or two.
    pub fn arrivals(self) -> impl Iterator<Item = u64> {
        let (first, second) = match self {
            Self::Lost(_) => (None, None),
            Self::Arrives { at_us, copy_at_us } => (Some(at_us), copy_at_us),
        };
        first.into_iter().chain(second)
    }

    /// Why it is lost, if it is.
    pub fn cause(self) -> Option<Cause> {
        match self {
            Self::Lost(cause) => Some(cause),
            Self::Arrives { .. } => None,
        }
    }
}

impl Counters {
    /// Packets lost, for whatever reason.
    pub fn lost(&self) -> u64 {
        self.lost_outage + self.lost_queue + self.lost_luck
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::{Loss, Outage};

    fn model(text: &str, seed: u64) -> Model {
        Model::new(text.parse().unwrap(), seed)
    }

    /// Offers a packet of 1,316 bytes every `gap_us` µs.
    fn run(model: &mut Model, packets: u64, gap_us: u64) -> Vec<Fates> {
        (0..packets).map(|number| model.offer(number * gap_us, 1_316)).collect()
    }

    fn arrivals(fates: &[Fates]) -> Vec<u64> {
        fates.iter().flat_map(|fates| fates.arrivals()).collect()
    }

    const EVERYTHING: &str = "delay=20ms,jitter=5ms,jitter-shape=half-normal,jitter-order=free,loss=5%,burst=4,dup=1%,\
                              reorder=1%,rate=20Mbps,queue=20,outage=1s+100ms/2s";

    #[test]
    fn the_perfect_link_delivers_at_once() {
        let mut link = Model::new(Profile::default(), 1);
        assert_eq!(link.offer(7, 1_316), Fates::Arrives { at_us: 7, copy_at_us: None });
        let counters = link.counters();
        assert_eq!((counters.offered_packets, counters.delivered_packets, counters.lost()), (1, 1, 0));
        assert_eq!((counters.offered_bytes, counters.delivered_bytes), (1_316, 1_316));
    }

    #[test]
    fn the_same_seed_gives_the_same_fates_and_another_seed_others() {
        let one = run(&mut model(EVERYTHING, 1), 10_000, 400);
        assert_eq!(one, run(&mut model(EVERYTHING, 1), 10_000, 400));
        assert_ne!(one, run(&mut model(EVERYTHING, 2), 10_000, 400));
    }

    /// Seeds kept in other tests and in reports rely on it: a change here breaks every one of them.
    #[test]
    fn fates_never_change_from_release_to_release() {
        let mut link = model(EVERYTHING, 0x5254);
        let fates = run(&mut link, 20_000, 500);
        // FNV-1a over all arrivals; what is lost counts as its place.
        let mut hash = 0xCBF2_9CE4_8422_2325_u64;
        for (place, fates) in fates.iter().enumerate() {
            for value in fates.arrivals().chain(fates.cause().map(|_| place as u64)) {
                hash = (hash ^ value).wrapping_mul(0x0100_0000_01B3);
            }
        }
        assert_eq!((hash, link.counters()), (GOLDEN, GOLDEN_COUNTERS));
    }

    const GOLDEN: u64 = 11_078_928_078_170_079_236;
    const GOLDEN_COUNTERS: Counters = Counters {
        offered_packets: 20_000,
        offered_bytes: 26_320_000,
        lost_outage: 1_000,
        lost_queue: 1_216,
        lost_luck: 791,
        reordered: 179,
        duplicated: 174,
        delivered_packets: 17_167,
        delivered_bytes: 22_591_772,
    };

    #[test]
    fn one_setting_changed_leaves_the_chance_of_all_others_alone() {
        let plain = run(&mut model("delay=20ms,jitter=5ms,jitter-order=free", 9), 5_000, 1_000);
        let lossy = run(
            &mut model("delay=20ms,jitter=5ms,jitter-order=free,loss=30%,outage=2s+500ms", 9),
            5_000,
            1_000,
        );
        let mut kept = 0;
        for (plain, lossy) in plain.iter().zip(&lossy) {
            if lossy.cause().is_none() {
                assert_eq!(plain, lossy);
                kept += 1;
            }
        }
        assert!((3_000..3_300).contains(&kept), "{kept}");
    }

    #[test]
    fn order_is_kept_however_large_the_jitter() {
        for shape in ["uniform", "half-normal"] {
            let text = format!("delay=50ms,jitter=50ms,jitter-shape={shape},dup=5%,loss=5%");
            let times = arrivals(&run(&mut model(&text, 3), 50_000, 100));
            assert!(times.is_sorted(), "{shape}");
        }
    }

    #[test]
    fn free_jitter_is_uniform_within_its_bounds_and_breaks_the_order() {
        let fates = run(&mut model("delay=20ms,jitter=5ms,jitter-order=free", 4), 100_000, 1_000);
        let delays: Vec<u64> = fates
            .iter()
            .zip(0_u64..)
            .flat_map(|(fates, number)| fates.arrivals().map(move |at| at - number * 1_000))
            .collect();
        assert_eq!(delays.iter().min(), Some(&15_000));
        assert_eq!(delays.iter().max(), Some(&25_000));
        let mean = delays.iter().sum::<u64>() / 100_000;
        assert!((19_960..=20_040).contains(&mean), "{mean}");
        assert!(!arrivals(&fates).is_sorted());
    }

    #[test]
    fn jitter_larger_than_the_delay_never_arrives_before_it_left() {
        let fates = run(&mut model("delay=1ms,jitter=5ms,jitter-order=free", 4), 10_000, 1_000);
        let delays: Vec<u64> =
            arrivals(&fates).iter().zip(0_u64..).map(|(at, number)| at - number * 1_000).collect();
        assert_eq!(delays.iter().min(), Some(&0));
        assert_eq!(delays.iter().max(), Some(&6_000));
    }

    #[test]
    fn a_packet_picked_for_reordering_is_late_by_that_much_and_holds_nobody_up() {
        let mut link = model("delay=10ms,reorder=10%,reorder-by=3ms", 6);
        let fates = run(&mut link, 10_000, 1_000);
        let mut late = 0;
        for (at, number) in arrivals(&fates).into_iter().zip(0_u64..) {
            match at - number * 1_000 {
                10_000 => {}
                13_000 => late += 1,
                other => panic!("delay {other}"),
            }
        }
        assert_eq!(late, link.counters().reordered);
        // 1,000 expected, standard deviation 30.
        assert!((880..=1_120).contains(&late), "{late}");
    }

    #[test]
    fn duplicates_arrive_twice_and_are_counted() {
        let mut link = model("delay=10ms,dup=2%", 8);
        let fates = run(&mut link, 100_000, 100);
        let doubled =
            fates.iter().filter(|fates| matches!(fates, Fates::Arrives { copy_at_us: Some(_), .. })).count();
        assert_eq!(link.counters().duplicated, doubled as u64);
        assert_eq!(link.counters().delivered_packets, 100_000 + doubled as u64);
        // 2,000 expected, standard deviation 44.
        assert!((1_825..=2_175).contains(&doubled), "{doubled}");
    }

    #[test]
    fn the_rate_limit_counts_headers_and_delays_what_it_queues() {
        let mut link = model("delay=5ms,rate=1Mbps,queue=2", 1);
        assert_eq!(link.offer(0, 97), Fates::Arrives { at_us: 6_000, copy_at_us: None });
        assert_eq!(link.offer(0, 97), Fates::Arrives { at_us: 7_000, copy_at_us: None });
        assert_eq!(link.offer(0, 97), Fates::Lost(Cause::Queue));
        assert_eq!(link.counters().lost_queue, 1);
    }

    #[test]
    fn an_overloaded_link_delivers_its_rate_exactly() {
        // 40 Mb/s offered for 10 s to 20 Mb/s: 10,752 bits each, so 1,860.1 a second pass.
        let mut link = model("rate=20Mbps,queue=50", 1);
        let packets = 10_000_000_000_000 / 268_800_000; // every 268.8 us
        for number in 0..packets {
            let _ = link.offer(number * 2_688 / 10, 1_316);
        }
        let counters = link.counters();
        let passed = counters.delivered_packets - 50;
        assert!((18_600..=18_602).contains(&passed), "{passed}");
        assert_eq!(counters.lost_queue, packets - counters.delivered_packets);
    }

    #[test]
    fn outages_lose_exactly_what_is_offered_in_them() {
        let mut link = model("delay=20ms,outage=10ms+5ms/20ms,outage=51ms+1ms", 1);
        let dead: Vec<u64> =
            (0..80).filter(|ms| link.offer(ms * 1_000, 100) == Fates::Lost(Cause::Outage)).collect();
        assert_eq!(dead, [10, 11, 12, 13, 14, 30, 31, 32, 33, 34, 50, 51, 52, 53, 54, 70, 71, 72, 73, 74]);
        assert_eq!(link.counters().lost_outage, 20);
    }

    #[test]
    fn a_cut_ends_when_it_should_and_a_shorter_one_does_not_shorten_it() {
        let mut link = Model::new(Profile::default(), 1);
        link.cut_until(1_000);
        link.cut_until(500);
        assert_eq!(link.offer(999, 1), Fates::Lost(Cause::Outage));
        assert_eq!(link.offer(1_000, 1), Fates::Arrives { at_us: 1_000, copy_at_us: None });
    }

    #[test]
    fn a_profile_changed_on_the_way_keeps_the_order() {
        let mut link = model("delay=500ms", 1);
        assert_eq!(link.offer(0, 1), Fates::Arrives { at_us: 500_000, copy_at_us: None });
        link.set_profile("delay=20ms".parse().unwrap());
        assert_eq!(link.offer(1_000, 1), Fates::Arrives { at_us: 500_000, copy_at_us: None });
        assert_eq!(link.offer(490_000, 1), Fates::Arrives { at_us: 510_000, copy_at_us: None });
        link.set_profile("delay=0s,jitter-order=free".parse().unwrap());
        assert_eq!(link.offer(490_001, 1), Fates::Arrives { at_us: 490_001, copy_at_us: None });
        assert_eq!(link.profile().to_string(), "jitter-order=free");
    }

    fn any_profile() -> impl Strategy<Value = Profile> {
        let wild = (any::<f64>(), any::<f64>(), any::<f64>(), any::<f64>());
        let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<Option<u64>>(), any::<usize>());
        let outage = proptest::option::of((any::<u64>(), any::<u64>(), any::<Option<u64>>()));
        (wild, numbers, outage, 0..3, any::<bool>(), any::<bool>()).prop_map(
            |(wild, numbers, outage, loss, normal, jitter_reorders)| Profile {
                delay_us: numbers.0,
                jitter_us: numbers.1,
                jitter_shape: if normal { JitterShape::HalfNormal } else { JitterShape::Uniform },
                jitter_reorders,
                loss: match loss {
                    0 => Loss::None,
                    1 => Loss::Independent(wild.0),
                    _ => Loss::Burst { rate: wild.0, mean_length: wild.1 },
                },
                duplicate: wild.2,
                reorder: wild.3,
                reorder_by_us: numbers.2,
                rate_bps: numbers.3,
                queue_packets: numbers.4,
                outages: outage
                    .into_iter()
                    .map(|(start_us, length_us, every_us)| Outage { start_us, length_us, every_us })
                    .collect(),
            },
        )
    }

    proptest! {
        #[test]
        fn no_profile_and_no_time_panics_and_the_counters_always_add_up(
            profiles in proptest::collection::vec(any_profile(), 1..4),
            seed in any::<u64>(),
            offers in proptest::collection::vec((any::<u64>(), any::<usize>()), 1..100),
        ) {
            let mut link = Model::new(Profile::default(), seed);
            let mut arrived = 0;
            for profile in profiles {
                link.set_profile(profile);
                for &(now_us, size) in &offers {
                    let times: Vec<u64> = link.offer(now_us, size).arrivals().collect();
                    prop_assert!(times.iter().all(|&at| at >= now_us) && times.is_sorted());
                    arrived += times.len() as u64;
                }
            }
            let counters = link.counters();
            prop_assert_eq!(counters.delivered_packets, arrived);
            prop_assert_eq!(counters.offered_packets - counters.lost() + counters.duplicated, arrived);
        }
    }
}
