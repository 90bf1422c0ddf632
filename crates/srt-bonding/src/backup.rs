//! Which links of a backup group carry the stream. Pure.
//!
//! The link of the highest weight does, of several such the one that came first; and beside it others for as long as it is not
//! beyond doubt. libsrt: `group_backup.cpp`, where silence alone is doubt, and a tie goes to the newest.

use srt_protocol::time::{Instant, Micros};

use crate::LinkId;

/// What is known of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: LinkId,
    pub(crate) weight: u16,
    pub(crate) carrying: bool,
    pub(crate) since: Instant,
    pub(crate) in_doubt: bool,
}

/// A link that has just begun to carry is proven by having done so for this long.
pub(crate) fn proven_after(min_timeout: Micros, latency: Micros) -> Micros {
    min_timeout.max(latency.min(Micros::from_secs(1))) + Micros::from_millis(50)
}

/// The main link, and whether each candidate is to carry.
pub(crate) fn choose(now: Instant, links: &[Candidate], proven_after: Micros) -> (Option<LinkId>, Vec<bool>) {
    let rank = |link: &&Candidate| (link.weight, std::cmp::Reverse(link.id));
    let sound = links.iter().filter(|link| !link.in_doubt).max_by_key(rank);
    let Some(main) = sound.or_else(|| links.iter().max_by_key(rank)) else { return (None, Vec::new()) };
    let proven = !main.in_doubt && main.carrying && now.saturating_since(main.since) >= proven_after;
    let none_sound = main.in_doubt;
    let carry = links.iter().map(|link| {
        link.id == main.id
            // Until the main link has proven itself, those that carried go on.
            || link.carrying && !proven
            // Where all are in doubt, all try.
            || none_sound
            // A better one that is in doubt shows by what it carries whether it recovers.
            || link.carrying && link.in_doubt && link.weight > main.weight
    });
    (Some(main.id), carry.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Micros = Micros::from_millis(300);

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    fn link(id: u32, weight: u16, carrying: Option<u64>, in_doubt: bool) -> Candidate {
        Candidate {
            id: LinkId(id),
            weight,
            carrying: carrying.is_some(),
            since: at(carrying.unwrap_or_default()),
            in_doubt,
        }
    }

    #[test]
    fn the_heaviest_link_carries_alone_and_the_first_of_equals() {
        let links = [link(1, 5, Some(0), false), link(2, 9, Some(0), false), link(3, 9, None, false)];
        assert_eq!(choose(at(1_000), &links, AFTER), (Some(LinkId(2)), vec![false, true, false]));
    }

    #[test]
    fn a_link_in_doubt_goes_on_beside_the_one_that_takes_over() {
        let links = [link(1, 9, Some(0), true), link(2, 5, None, false), link(3, 1, None, false)];
        assert_eq!(choose(at(1_000), &links, AFTER), (Some(LinkId(2)), vec![true, true, false]));
    }

    #[test]
    fn the_other_stops_only_when_the_better_one_has_proven_itself() {
        let links = [link(1, 9, Some(1_000), false), link(2, 5, Some(0), false)];
        assert_eq!(choose(at(1_200), &links, AFTER).1, [true, true]);
        assert_eq!(choose(at(1_300), &links, AFTER).1, [true, false]);
    }

    #[test]
    fn where_all_are_in_doubt_all_carry() {
        let links = [link(1, 9, Some(0), true), link(2, 5, None, true)];
        assert_eq!(choose(at(1_000), &links, AFTER), (Some(LinkId(1)), vec![true, true]));
        assert_eq!(choose(at(1_000), &[], AFTER), (None, vec![]));
    }
}
