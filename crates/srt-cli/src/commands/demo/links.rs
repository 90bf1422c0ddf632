//! The emulated links of the demo: what they are like, and copies of them for every stream that needs its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use srt_impair::{Direction, Emulator, Loss, Profile, Report, Setup};

use crate::args::{Bonding, DemoArgs};
use crate::error::Failure;

/// Links that differ as those of a van at an event do: a fixed line and two mobile networks. Queues as of cheap routers.
const LINKS: [&str; 3] = [
    "rate=6Mbps,delay=20ms,loss=0.5%,queue=100",
    "rate=5Mbps,delay=35ms,jitter=3ms,loss=1%,queue=100",
    "rate=4Mbps,delay=60ms,jitter=5ms,loss=2%,queue=100",
];

/// What is emulated.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Links {
    /// What each is like, both ways.
    pub(super) profiles: Vec<Profile>,
    /// The one that dies while the demo runs, from when for how long; `None` where the profiles have outages of their own.
    pub(super) cut: Option<Cut>,
}

/// A link that is dead for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Its place among the links.
    pub(super) link: usize,
    /// After the beginning of the stream.
    pub(super) at: Duration,
    /// How long.
    pub(super) length: Duration,
}

impl Links {
    /// What the command line asks for.
    ///
    /// # Errors
    /// A profile that cannot be, or more links than a group has.
    pub(super) fn of(args: &DemoArgs) -> Result<Self, Failure> {
        let mut profiles = args.links.clone();
        if profiles.is_empty() {
            profiles.extend(LINKS.iter().map(|link| link.parse::<Profile>().expect("constant and valid")));
        }
        if profiles.len() > MOST {
            return Err(Failure::Conflict("a group has at most 16 links; give --link less often"));
        }
        if let Some(share) = args.loss {
            let loss = if share > 0.0 { Loss::Independent(share) } else { Loss::None };
            profiles.iter_mut().for_each(|profile| profile.loss = loss);
        }
        for profile in &profiles {
            profile.check().map_err(|fault| Failure::Emulator(fault.to_string()))?;
        }
        let calm = profiles.iter().all(|profile| profile.outages.is_empty());
        let cut = (calm && profiles.len() > 1).then(|| Cut {
            link: best(&profiles),
            at: args.duration * 35 / 100,
            length: args.duration * 30 / 100,
        });
        Ok(Self { profiles, cut })
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.profiles.len()
    }

    /// The best of them by what it is like: where one would send the stream if there were only one connection.
    pub(super) fn best(&self) -> usize {
        best(&self.profiles)
    }

    /// Rank of a link for a backup group, the best highest.
    pub(super) fn weight(&self, link: usize) -> u16 {
        let better = |other: &usize| rank(&self.profiles[*other]) > rank(&self.profiles[link]);
        let above = (0..self.len()).filter(better).count();
        u16::try_from(self.len() - above).unwrap_or(1)
    }

    /// Whether the link is dead `since` the beginning of the stream.
    pub(super) fn is_cut(&self, link: usize, since: Duration) -> bool {
        self.cut.is_some_and(|cut| cut.link == link && since >= cut.at && since < cut.at + cut.length)
    }
}

/// The rate of the stream, where none is asked for.
pub(super) const fn usual_rate(group: Bonding) -> u64 {
    match group {
        Bonding::Broadcast | Bonding::Backup => 3_000_000,
        Bonding::Balancing => 6_500_000,
    }
}

fn best(profiles: &[Profile]) -> usize {
    let places = 0..profiles.len();
    // Of equals the first.
    places.rev().max_by_key(|link| rank(&profiles[*link])).unwrap_or(0)
}

/// Fast first, then near.
fn rank(profile: &Profile) -> (u64, std::cmp::Reverse<u64>) {
    (profile.rate_bps.unwrap_or(u64::MAX), std::cmp::Reverse(profile.delay_us))
}

/// One copy of a link, in front of a listener.
pub(super) struct Wire {
    emulator: Emulator,
}

impl Wire {
    /// The seed is that of the demo; copies of a link have the same luck, packet by packet.
    ///
    /// # Errors
    /// No socket or thread to be had.
    pub(super) fn lay(links: &Links, link: usize, target: SocketAddr, seed: u64) -> Result<Self, Failure> {
        let mut setup = Setup::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), target);
        setup.seed = seed.wrapping_mul(31).wrapping_add(link as u64);
        (setup.to_target, setup.to_client) = (links.profiles[link].clone(), links.profiles[link].clone());
        let emulator = Emulator::start(setup).map_err(|error| Failure::Emulator(error.to_string()))?;
        Ok(Self { emulator })
    }

    /// Where to send to.
    pub(super) fn entry(&self) -> SocketAddr {
        self.emulator.local_addr()
    }

    /// Dead from now on for so long, both ways.
    pub(super) fn cut(&self, length: Duration) {
        self.emulator.outage(Direction::ToTarget, length);
        self.emulator.outage(Direction::ToClient, length);
    }

    /// What it did, at the end.
    ///
    /// # Errors
    /// The emulator failed on the way.
    pub(super) fn take_down(self) -> Result<Report, Failure> {
        self.emulator.stop().map_err(|error| Failure::Emulator(error.to_string()))
    }
}

/// A profile in words for people.
pub(super) fn words_of(profile: &Profile) -> String {
    profile.to_string().replace(',', "  ")
}

/// Links of a group.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use srt_impair::Outage;

    use super::*;

    #[test]
    fn the_fastest_link_dies_from_35_to_65_percent() {
        let links = Links::of(&super::super::tests::args()).unwrap();
        assert_eq!(links.len(), 3);
        let cut = links.cut.unwrap();
        assert_eq!((cut.link, cut.at, cut.length), (0, Duration::from_secs(7), Duration::from_secs(6)));
        assert_eq!([0, 1, 2].map(|link| links.weight(link)), [3, 2, 1]);
        let at = |seconds| links.is_cut(0, Duration::from_secs(seconds));
        assert_eq!([at(6), at(7), at(12), at(13)], [false, true, true, false]);
        assert!(!links.is_cut(1, Duration::from_secs(8)));
    }

    #[test]
    fn own_links_have_their_own_outages_and_loss_is_for_all() {
        let mut args = super::super::tests::args();
        args.links =
            ["rate=2Mbps", "rate=9Mbps,loss=3%,outage=1s+1s"].map(|text| text.parse().unwrap()).into();
        args.loss = Some(0.07);
        let links = Links::of(&args).unwrap();
        assert_eq!((links.cut, links.best()), (None, 1));
        assert!(links.profiles.iter().all(|profile| profile.loss == Loss::Independent(0.07)));
        let outage = Outage { start_us: 1_000_000, length_us: 1_000_000, every_us: None };
        assert_eq!(links.profiles[1].outages, [outage]);
        args.links = vec![Profile::default(); 17];
        assert_eq!(Links::of(&args).unwrap_err().exit_code(), 2);
        args.links = vec![Profile::default()];
        assert_eq!(Links::of(&args).unwrap().cut, None, "the only link does not die");
    }
}
