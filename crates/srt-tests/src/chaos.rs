//! Seeded chaos for the links of a group, and a judge that tells which losses had to be.
//!
//! [`plan`] makes up links, and what becomes of them: outages, flapping, rates that fall and return, longer ways, jitter, loss,
//! duplicates, other addresses, links taken out and added, one direction dead alone. The same plan runs on virtual time
//! ([`bonded::run`](crate::bonded::run)) and, by the emulator, on sockets (the binary `chaos`).
//!
//! [`judge`] compares what was lost with a *reference sender*, which has no magic but patience: it uses a link only while that is up
//! at both ends and has been undisturbed for as long as a sender needs to notice what happens, and leaves it as long
//! before it is disturbed; it fills four fifths of what a link carries, and of a link whose rate it does not know twice as much each
//! second; where links are shared it sends a packet once, oldest first, and gives up what comes too late. A packet that this sender
//! would have brought in time, with a round trip to spare, is *owed*. So is every packet of which a copy came in time. All others
//! are excused: no copy could have come.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    num::NonZeroU64,
};

use srt_bonding::Mode;
use srt_impair::{Cause, Loss, Profile};

use crate::{
    bonded::{Change, Copy, EPOCH, Outcome, PAYLOAD, Path, Plan},
    sim::Random,
};

/// A packet on the wire, in bits.
const PACKET_BITS: f64 = (PAYLOAD + 16 + 28) as f64 * 8.0;
/// The reference sender looks this often, in seconds.
const SLOT: f64 = 0.005;
/// A second, in slots.
const LATELY: usize = 200;
/// What waits so long for the reference sender waits in a backlog.
const CONGESTED: f64 = 0.15;
/// The reference sender fills so much of a link.
const FILLS: f64 = 0.8;
/// After so long without a word from the other end a link is no more.
const PEER_IDLE: f64 = 4.9;
/// Nothing happens before: the links come up and are found out.
const QUIET: f64 = 6.0;

struct Chance(Random);

impl Chance {
    fn between(&mut self, least: f64, most: f64) -> f64 {
        let steps = NonZeroU64::new(1 << 24).expect("not zero");
        least + (most - least) * self.0.below(steps) as f64 / (1 << 24) as f64
    }

    /// As often between 0.1 and 1 as between 1 and 10.
    fn log_between(&mut self, least: f64, most: f64) -> f64 {
        self.between(least.ln(), most.ln()).exp()
    }

    fn micros(&mut self, least_ms: f64, most_ms: f64) -> u64 {
        micros(self.between(least_ms, most_ms) / 1e3)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.0.one_in(NonZeroU64::new(count).expect("not zero"))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a test")]
fn micros(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e6).round() as u64
}

/// Links in a chaos of this seed, for so many seconds.
///
/// # Panics
/// Never: the latency is one.
#[must_use]
pub fn plan(seed: u64, mode: Mode, seconds: f64) -> Plan {
    let mut chance = Chance(Random::new(seed, "chaos"));
    let count = 2 + chance.0.index(3);
    let mut bases = Vec::new();
    for _ in 0..count {
        let rate = match mode {
            Mode::Balancing => chance.between(1.5e6, 4.5e6),
            _ => chance.between(4e6, 9e6),
        };
        let queue = chance.between(0.1, 0.3) * rate / PACKET_BITS;
        bases.push(Profile {
            delay_us: chance.micros(8.0, 70.0),
            jitter_us: if chance.one_in(2) { chance.micros(0.0, 3.0) } else { 0 },
            loss: if chance.one_in(2) { Loss::Independent(chance.between(0.0, 0.01)) } else { Loss::None },
            rate_bps: Some(micros(rate / 1e6)),
            queue_packets: usize::try_from(micros(queue / 1e6)).unwrap_or(20).max(20),
            ..Profile::default()
        });
    }
    // What goes dark for all at once.
    let mut nights = Vec::new();
    let mut at = chance.between(20.0, 90.0);
    while at < seconds - 15.0 {
        nights.push((at, chance.log_between(0.1, 3.0)));
        at += chance.between(40.0, 120.0);
    }
    let weights = bases.iter().map(|_| chance.0.word() % 3);
    let weights: Vec<u32> = weights.collect();
    let mut paths = Vec::new();
    for (base, weight) in bases.iter().zip(weights) {
        let mut path = Path::new("none").weight(u16::try_from(weight).unwrap_or(0));
        (path.forth, path.back) = (base.clone(), base.clone());
        let mut at = QUIET + chance.between(0.0, 12.0);
        while at < seconds - 8.0 {
            let end = disturb(&mut chance, base, at, &mut path.later);
            at = end + chance.log_between(2.0, 40.0);
        }
        for &(at, length) in &nights {
            path.later.push((at, Change::Cut(length, length)));
        }
        path.later.sort_by(|one, other| one.0.total_cmp(&other.0));
        paths.push(path);
    }
    let sum: f64 = bases.iter().filter_map(|base| base.rate_bps).map(|rate| rate as f64).sum();
    let rate = match mode {
        Mode::Balancing => sum * chance.between(0.3, 0.6),
        _ => chance.between(1.5e6, 2.5e6),
    };
    let slowest = bases.iter().map(|base| base.delay_us).max().unwrap_or(0) as f64 / 500.0;
    let latency_ms = chance.between(slowest * 4.0 + 400.0, slowest * 4.0 + 1_200.0);
    let latency_ms = i32::try_from(micros(latency_ms / 1e6)).unwrap_or(1_000);
    let mut plan = Plan::new(mode, latency_ms, paths).offer(micros(rate / 1e6), seconds);
    plan.config.set_text("sndbuf", "30000000").expect("an option");
    plan
}

/// Something befalls a link at `at`; when it is over.
fn disturb(chance: &mut Chance, base: &Profile, at: f64, later: &mut Vec<(f64, Change)>) -> f64 {
    let mut changed = base.clone();
    let lasts = chance.log_between(1.5, 15.0);
    match chance.0.index(13) {
        0 | 1 => {
            let length = chance.log_between(0.1, 10.0);
            later.push((at, Change::Cut(length, length)));
            return at + length;
        }
        2 => {
            let mut at = at;
            for _ in 0..3 + chance.0.index(6) {
                let length = chance.between(0.1, 0.7);
                later.push((at, Change::Cut(length, length)));
                at += length + chance.between(0.2, 1.2);
            }
            return at;
        }
        3 | 4 => {
            changed.rate_bps = base.rate_bps.map(|rate| micros(rate as f64 * chance.between(0.1, 0.9) / 1e6))
        }
        5 => changed.delay_us += chance.micros(20.0, 150.0),
        6 => {
            changed.jitter_us = chance.micros(5.0, 40.0);
            changed.jitter_reorders = true;
            changed.delay_us = changed.delay_us.max(changed.jitter_us);
        }
        7 => changed.loss = Loss::Independent(chance.between(0.01, 0.2)),
        8 => {
            changed.loss =
                Loss::Burst { rate: chance.between(0.02, 0.2), mean_length: chance.between(3.0, 20.0) };
        }
        9 => {
            changed.duplicate = chance.between(0.01, 0.3);
            changed.reorder = chance.between(0.0, 0.1);
            changed.reorder_by_us = chance.micros(2.0, 30.0);
        }
        10 => {
            later.push((at, Change::Address));
            return at;
        }
        11 => {
            later.push((at, Change::Remove));
            let back = at + chance.log_between(0.5, 8.0);
            later.push((back, Change::Add));
            return back;
        }
        _ => {
            let length = chance.log_between(0.2, 6.0);
            let forth = chance.one_in(2);
            later.push((at, if forth { Change::Cut(length, 0.0) } else { Change::Cut(0.0, length) }));
            return at + length;
        }
    }
    later.push((at, Change::Both(changed)));
    later.push((at + lasts, Change::Both(base.clone())));
    at + lasts
}

/// What is known of a run.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "who has run a plan builds it")]
pub struct Evidence<'a> {
    /// What was to happen.
    pub plan: &'a Plan,
    /// When each message was sent, in seconds from the start.
    pub sent: Vec<f64>,
    /// The messages that were not played.
    pub missing: Vec<u32>,
    /// From sending to playing, in seconds.
    pub delay: f64,
    /// When each link was up at both ends: from, and until, in seconds from the start.
    pub ups: Vec<Vec<(f64, f64)>>,
    /// What became of each packet on each link, where that is known.
    pub copies: &'a [Copy],
}

impl<'a> Evidence<'a> {
    /// What a run on virtual time shows, from the caller to the listener.
    #[must_use]
    pub fn of(plan: &'a Plan, outcome: &'a Outcome) -> Self {
        let seconds = |at| seconds_of(at);
        let span = |up: &(_, _)| (seconds(up.0), seconds(up.1));
        Self {
            plan,
            sent: outcome.forth.sent.iter().map(|at| seconds(*at)).collect(),
            missing: outcome.forth.missing(),
            delay: outcome.forth.delays().0.as_micros() as f64 / 1e6,
            ups: outcome.ups.iter().map(|ups| ups.iter().map(span).collect()).collect(),
            copies: &outcome.copies,
        }
    }
}

fn seconds_of(at: srt_protocol::time::Instant) -> f64 {
    at.saturating_since(EPOCH).as_micros() as f64 / 1e6
}

/// What the judge says of a run.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Verdict {
    /// Messages lost that should not have been.
    pub owed: Vec<u32>,
    /// Messages lost that no sender could have brought.
    pub excused: Vec<u32>,
    /// Messages that the reference sender would not have brought, and that came all the same.
    pub beyond: usize,
    /// Why, a line for each run of losses.
    pub why: Vec<String>,
}

/// How long a sender needs to notice what becomes of a link, in seconds.
///
/// What is sent is answered after a round trip; another passes before the sender can know that an answer is overdue. On top of that
/// comes what a peer may take to answer, and what round trips vary.
#[derive(Clone, Copy, Debug)]
struct Reaction(f64);

impl Reaction {
    fn to(longest_rtt: f64) -> Self {
        Self(2.0 * longest_rtt + 0.2)
    }
}

/// One link in one slot.
#[derive(Clone, Copy, Debug, Default)]
struct Stand {
    up: bool,
    dead: bool,
    /// Something changed.
    changed: bool,
    /// Bits per second that it carries, and the share that it loses.
    rate: f64,
    loss: f64,
    /// From the caller to the listener at most, without queues; and there and back.
    way: f64,
    rtt: f64,
    /// How long a full queue takes to drain.
    drain: f64,
    /// The reference sender may use it; how fast.
    uses: f64,
}

/// Says of each message lost whether it had to be.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let plan = evidence.plan;
    let mut stands: Vec<Vec<Stand>> = (0..plan.paths.len()).map(|link| stand(evidence, link)).collect();
    let slots = stands.first().map_or(0, Vec::len);
    // The longest round trip of any link, of late.
    let longest: Vec<f64> = (0..slots)
        .map(|slot| {
            let of_late = slot.saturating_sub(LATELY)..=slot;
            stands.iter().flat_map(|link| &link[of_late.clone()]).map(|stand| stand.rtt).fold(0.0, f64::max)
        })
        .collect();
    for link in &mut stands {
        use_link(link, &longest, plan);
    }
    let lossy = longest.iter().copied().fold(0.0, f64::max);
    let mut brought = vec![false; evidence.sent.len()];
    let mut overloads = Vec::new();
    if plan.mode == Mode::Balancing {
        let each: Vec<&[Stand]> = stands.iter().map(Vec::as_slice).collect();
        let lags = refer(evidence, &each, lossy, &mut brought);
        overloads = find_overloads(evidence, &lags, &brought);
    } else {
        for link in &stands {
            refer(evidence, &[link], lossy, &mut brought);
        }
    }
    let mut copies: BTreeMap<u32, Vec<&Copy>> = BTreeMap::new();
    for copy in evidence.copies.iter().filter(|copy| evidence.missing.binary_search(&copy.place).is_ok()) {
        copies.entry(copy.place).or_default().push(copy);
    }
    let mut verdict = Verdict::default();
    // Of more than the links carry it is a matter of taste what is lost, and only how much counts.
    let mut spared = vec![false; evidence.sent.len()];
    for &(first, end) in &overloads {
        let missing = evidence.missing.iter().filter(|&&place| (first..end).contains(&(place as usize)));
        let missing: Vec<u32> = missing.copied().collect();
        let least = brought[first..end].iter().filter(|brought| !**brought).count();
        spared[first..end].fill(true);
        let more = missing.len().saturating_sub(least);
        verdict.owed.extend(missing.iter().rev().take(more));
        verdict.excused.extend(missing.iter().rev().skip(more));
        if let Some(&place) = missing.first() {
            let own = copies.get(&place).map_or(&[][..], Vec::as_slice);
            verdict.why.push(format!(
                "{} overload from {:.3} to {:.3}: lost {} of {}, the reference {least}; the first: {}",
                if more > 0 { "OWED" } else { "excused" },
                evidence.sent[first],
                evidence.sent[end - 1],
                missing.len(),
                end - first,
                explain(evidence, &stands, place, more > 0, own),
            ));
        }
    }
    let mut said: Option<(u32, bool)> = None;
    for &place in &evidence.missing {
        let own = copies.get(&place).map_or(&[][..], Vec::as_slice);
        let due = evidence.sent[place as usize] + evidence.delay;
        let came = own.iter().filter_map(|copy| copy.came).any(|at| seconds_of(at) < due - 0.002);
        // Three times a link that was good lost it, without a fault but its loss.
        let unlucky = own.iter().filter(|copy| copy.lost == Some(Cause::Luck)).count() >= 3;
        if spared[place as usize] && !came {
            continue;
        }
        let owed = came || brought[place as usize] && !unlucky;
        if owed {
            verdict.owed.push(place);
        } else {
            verdict.excused.push(place);
        }
        // One line for losses of one kind in a row.
        match &mut said {
            Some((last, kind)) if *last + 1 == place && *kind == owed => *last = place,
            _ => {
                verdict.why.push(explain(evidence, &stands, place, owed, own));
                said = Some((place, owed));
            }
        }
    }
    let lost: BTreeSet<u32> = evidence.missing.iter().copied().collect();
    verdict.beyond =
        (0_u32..).zip(&brought).filter(|(place, brought)| !**brought && !lost.contains(place)).count();
    verdict
}

/// What becomes of a link, slot by slot.
fn stand(evidence: &Evidence<'_>, link: usize) -> Vec<Stand> {
    let path = &evidence.plan.paths[link];
    let slots = usize::try_from(micros((evidence.plan.seconds + 5.0) / SLOT / 1e6)).unwrap_or(0);
    let mut later = path.later.iter().peekable();
    let (mut forth, mut back) = (path.forth.clone(), path.back.clone());
    let (mut cut_forth, mut cut_back) = (0.0_f64, 0.0_f64);
    let (mut was_dead, mut moved_at) = (false, None);
    let mut dead_from: Option<f64> = None;
    let mut stands = Vec::with_capacity(slots);
    for slot in 0..slots {
        let at = slot as f64 * SLOT;
        let mut changed = false;
        while let Some((when, change)) = later.next_if(|(when, _)| *when < at + SLOT) {
            changed = true;
            match change {
                Change::Both(profile) => (forth, back) = (profile.clone(), profile.clone()),
                Change::Forth(profile) => forth = profile.clone(),
                Change::Back(profile) => back = profile.clone(),
                Change::Cut(there, here) => {
                    cut_forth = cut_forth.max(at + there);
                    cut_back = cut_back.max(at + here);
                }
                // The listener takes nothing from there, until the link is called again.
                Change::Address => moved_at = Some(*when),
                // That it is no more shows in when it is up.
                Change::Remove | Change::Add => {}
            }
        }
        let up = evidence.ups[link].iter().find(|up| up.0 <= at && at + SLOT < up.1);
        let moved = up.zip(moved_at).is_some_and(|(up, moved_at)| moved_at >= up.0);
        let cut = at < cut_forth.max(cut_back);
        dead_from = if cut { dead_from.or(Some(at)) } else { None };
        if dead_from.is_some_and(|from| at - from > PEER_IDLE) {
            moved_at = Some(at); // one of both ends has given it up
        }
        let dead = moved || cut;
        let up = up.is_some();
        changed |= dead != was_dead;
        was_dead = dead;
        let s = |us: u64| us as f64 / 1e6;
        let extra = |profile: &Profile| {
            s(profile.jitter_us) + if profile.reorder > 0.0 { s(profile.reorder_by_us) } else { 0.0 }
        };
        let way = s(forth.delay_us) + extra(&forth);
        let rate = forth.rate_bps.map_or(1e9, |rate| rate as f64);
        stands.push(Stand {
            up,
            dead,
            changed,
            rate,
            loss: loss_of(&forth),
            way,
            rtt: way + s(back.delay_us) + extra(&back),
            drain: forth.queue_packets as f64 * PACKET_BITS / rate,
            uses: 0.0,
        });
    }
    stands
}

fn loss_of(profile: &Profile) -> f64 {
    match profile.loss {
        Loss::Independent(rate) | Loss::Burst { rate, .. } => rate,
        _ => 0.0,
    }
}

/// When the reference sender uses a link, and how much of it.
fn use_link(link: &mut [Stand], longest: &[f64], plan: &Plan) {
    let balances = plan.mode == Mode::Balancing;
    let slots_of = |seconds: f64| usize::try_from(micros(seconds / SLOT / 1e6)).unwrap_or(0);
    let first = plan.rate_bps as f64 / 4.0;
    let whole = plan.rate_bps as f64 * PACKET_BITS / (PAYLOAD as f64 * 8.0);
    let (mut good_from, mut known) = (0_usize, first);
    for slot in 0..link.len() {
        let reaction = slots_of(Reaction::to(longest[slot]).0);
        let before = slot.checked_sub(1).map(|before| link[before]);
        let now = link[slot];
        let came_up = now.up && before.is_none_or(|before| !before.up);
        if now.dead || !now.up || came_up || now.changed {
            // What went in shortly before has to go elsewhere.
            if before.is_some_and(|before| before.up && !before.dead) {
                let from = slot.saturating_sub(reaction);
                link[from..slot].iter_mut().for_each(|stand| stand.uses = 0.0);
            }
            // A queue that is full of a faster time has to drain.
            let slower = before.is_some_and(|before| now.rate < before.rate);
            let drains = if slower { slots_of(now.drain) } else { 0 };
            good_from = good_from.max(slot + reaction + drains);
        }
        if came_up {
            known = first;
        }
        known = known.min(now.rate);
        if slot >= good_from {
            // It doubles each second.
            known *= 2.0_f64.powf(SLOT);
            let rate = if balances { known.min(now.rate) } else { now.rate };
            let uses = rate * FILLS * (1.0 - 2.0 * now.loss).max(0.0);
            // One link alone has to carry all of it.
            link[slot].uses = if balances || uses > whole { uses } else { 0.0 };
        }
    }
}

/// Where the reference sender has more than it can send: from, and until before.
fn find_overloads(evidence: &Evidence<'_>, lags: &[f64], brought: &[bool]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize, bool)> = Vec::new();
    for (place, (&lag, &brought)) in lags.iter().zip(brought).enumerate() {
        if lag < CONGESTED && brought {
            continue;
        }
        match found.last_mut() {
            Some((_, end, lost)) if evidence.sent[place] - evidence.sent[*end - 1] < evidence.delay => {
                (*end, *lost) = (place + 1, *lost || !brought);
            }
            _ => found.push((place, place + 1, !brought)),
        }
    }
    // What was sent shortly before and after waits with the rest.
    let padded = found.into_iter().filter(|found| found.2).map(|(first, end, _)| {
        let (from, until) = (evidence.sent[first] - evidence.delay, evidence.sent[end - 1] + evidence.delay);
        let first = evidence.sent.partition_point(|at| *at < from);
        (first, evidence.sent.partition_point(|at| *at <= until))
    });
    let mut overloads: Vec<(usize, usize)> = Vec::new();
    for (first, end) in padded {
        match overloads.last_mut() {
            Some(last) if first <= last.1 => last.1 = last.1.max(end),
            _ => overloads.push((first, end)),
        }
    }
    overloads
}

/// What the reference sender brings over these links together; and how long each message waited for it.
fn refer(evidence: &Evidence<'_>, links: &[&[Stand]], lossy: f64, brought: &mut [bool]) -> Vec<f64> {
    let mut lags = vec![f64::MAX; evidence.sent.len()];
    let slots = links.first().map_or(0, |link| link.len());
    let mut next = 0;
    for slot in 0..slots {
        let at = slot as f64 * SLOT;
        let used = || links.iter().map(|link| &link[slot]).filter(|stand| stand.uses > 0.0);
        let mut budget: f64 = used().map(|stand| stand.uses * SLOT).sum();
        if slot > 0 && links.len() == 1 && links[0][slot].uses == 0.0 {
            budget = 0.0;
        }
        let way = used().map(|stand| stand.way).fold(0.0, f64::max);
        // A packet that is lost by chance needs another try.
        let spare = 0.06 + if used().any(|stand| stand.loss > 0.0) { lossy } else { 0.0 };
        while next < evidence.sent.len() && evidence.sent[next] <= at {
            let due = evidence.sent[next] + evidence.delay;
            lags[next] = at - evidence.sent[next];
            if at + way + spare > due {
                next += 1;
                continue;
            }
            if budget < PACKET_BITS / 2.0 {
                break;
            }
            budget -= PACKET_BITS;
            brought[next] = true;
            next += 1;
        }
    }
    lags
}

/// One line: what became of a message.
fn explain(
    evidence: &Evidence<'_>,
    stands: &[Vec<Stand>],
    place: u32,
    owed: bool,
    copies: &[&Copy],
) -> String {
    let sent = evidence.sent[place as usize];
    let due = sent + evidence.delay;
    let missing = &evidence.missing;
    let begin = missing.binary_search(&place).unwrap_or(0);
    let run = missing[begin..].iter().zip(place..).take_while(|(have, want)| **have == *want).count();
    let mut line =
        format!("{} {place}+{run} sent {sent:.3} due {due:.3}:", if owed { "OWED" } else { "excused" });
    for (link, stands) in stands.iter().enumerate() {
        let slot = |at: f64| usize::try_from(micros(at / SLOT / 1e6)).unwrap_or(0).min(stands.len() - 1);
        let life = &stands[slot(sent)..=slot(due)];
        let share =
            |what: fn(&Stand) -> bool| life.iter().filter(|stand| what(stand)).count() * 100 / life.len();
        let rate = life.iter().map(|stand| stand.rate).fold(f64::MAX, f64::min) / 1e6;
        let _ = write!(
            line,
            " | link {} up {}% dead {}% usable {}% {rate:.1} Mb/s:",
            link + 1,
            share(|stand| stand.up),
            share(|stand| stand.dead),
            share(|stand| stand.uses > 0.0),
        );
        let mut any = false;
        for copy in copies.iter().filter(|copy| copy.link == link) {
            any = true;
            let _ = write!(line, " sent {:.3}", seconds_of(copy.at));
            let _ = match (copy.lost, copy.came) {
                (Some(cause), _) => write!(line, " lost ({cause:?})"),
                (None, Some(at)) => write!(line, " came {:.3}", seconds_of(at)),
                (None, None) => write!(line, " came to nobody"),
            };
        }
        if !any {
            line.push_str(" nothing sent");
        }
    }
    line
}
