//! What happens to a group by itself: as lines for people, and as records for the file of statistics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use srt::{ConnectionError, GroupEvent, LinkDown, LinkId, SrtGroup};

use super::links::GroupPlan;
use super::srt::Role;
use crate::units::show_rate;

/// Something that has happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    /// For people.
    pub(crate) line: Option<String>,
    /// For those alone who want to know more.
    pub(crate) detail: bool,
    /// For the file of statistics.
    pub(crate) record: Option<Occurrence>,
}

/// What has happened, and when.
#[derive(Clone, Debug)]
pub(crate) struct Occurrence {
    /// When.
    pub(crate) time: SystemTime,
    /// In one word.
    pub(crate) event: &'static str,
    /// To which link.
    pub(crate) link: Option<u32>,
    /// Where the peer of that link is.
    pub(crate) peer: Option<SocketAddr>,
    /// Why.
    pub(crate) reason: Option<String>,
    /// What else there is to it.
    pub(crate) figure: Option<(&'static str, u64)>,
}

/// Collects what happens to one group.
#[derive(Debug)]
pub(crate) struct Watch {
    group: SrtGroup,
    /// Of a group that calls.
    plan: Option<Arc<GroupPlan>>,
    role: Role,
    peers: Vec<(LinkId, SocketAddr)>,
    /// Links that were said to be down, and why: it is said once, however often it is tried.
    said_down: Vec<(LinkId, LinkDown)>,
    connected: bool,
    all_down: bool,
    ending: bool,
    /// Said when the first link is up.
    early: Vec<String>,
    /// That the peer has closed links: no news where that is the end of the stream.
    held: Vec<String>,
    held_since: Option<Instant>,
}

/// A peer that closes the stream closes all its links within this time.
const CLOSES_WITHIN: Duration = Duration::from_secs(2);

impl Watch {
    /// Nothing has happened yet.
    pub(crate) fn new(group: &SrtGroup, plan: Option<Arc<GroupPlan>>, role: Role) -> Self {
        Self {
            group: group.clone(),
            plan,
            role,
            peers: Vec::new(),
            said_down: Vec::new(),
            connected: false,
            all_down: false,
            ending: false,
            early: Vec::new(),
            held: Vec::new(),
            held_since: None,
        }
    }

    /// What a link is called.
    pub(crate) fn label(&self, link: LinkId) -> Option<&str> {
        self.plan.as_ref().and_then(|plan| plan.label(link))
    }

    /// From now on there is nothing to be said to people.
    pub(crate) fn is_ending(&mut self) {
        self.ending = true;
    }

    /// Appends what has happened since the last time; how many packets were given up while no link was there.
    pub(crate) fn collect(&mut self, into: &mut Vec<News>) -> u64 {
        for link in self.group.links() {
            match self.peers.iter_mut().find(|(id, _)| *id == link.id) {
                Some((_, peer)) => *peer = link.peer,
                None => self.peers.push((link.id, link.peer)),
            }
        }
        let mut lost = 0;
        let (now, wall) = (srt::time_now(), SystemTime::now());
        while let Some((at, event)) = self.group.try_event() {
            if let GroupEvent::SendDropped(packets) = event
                && self.all_down
            {
                lost += packets as u64;
            }
            let ago = Duration::from(now.saturating_since(at));
            let record = self.record(wall.checked_sub(ago).unwrap_or(wall), &event);
            let mut lines = Vec::new();
            let detail = self.lines(&event, &mut lines);
            let lines = if self.ending { Vec::new() } else { lines };
            let mut lines = lines.into_iter();
            into.push(News { line: lines.next(), detail, record });
            into.extend(lines.map(|line| News { line: Some(line), ..News::default() }));
        }
        if self.held_since.is_some_and(|since| since.elapsed() >= CLOSES_WITHIN) {
            let ending = self.ending;
            let held = self.release().into_iter().filter(|_| !ending);
            into.extend(held.map(|line| News { line: Some(line), ..News::default() }));
        }
        lost
    }

    fn release(&mut self) -> Vec<String> {
        self.held_since = None;
        std::mem::take(&mut self.held)
    }

    fn hold(&mut self, line: String) {
        self.held.push(line);
        self.held_since.get_or_insert_with(Instant::now);
    }

    fn peer(&self, link: LinkId) -> Option<SocketAddr> {
        let peer = self.peers.iter().find(|(id, _)| *id == link).map(|(_, peer)| *peer);
        peer.filter(|peer| !peer.ip().is_unspecified())
    }

    /// `link 1 (host:9000 via eth0)`.
    fn name(&self, link: LinkId) -> String {
        let place =
            self.label(link).map(str::to_owned).or_else(|| self.peer(link).map(|peer| peer.to_string()));
        place.map_or_else(|| format!("link {link}"), |place| format!("link {link} ({place})"))
    }

    /// What is to be said of an event, and whether to those alone who want to know more.
    fn lines(&mut self, event: &GroupEvent, lines: &mut Vec<String>) -> bool {
        match event {
            GroupEvent::Connected => {
                self.connected = true;
                lines.append(&mut self.early);
            }
            GroupEvent::LinkUp(link) => {
                self.said_down.retain(|(down, _)| down != link);
                lines.append(&mut self.release());
                lines.push(format!("{} is up", self.name(*link)));
            }
            GroupEvent::LinkUnstable(link, why) => {
                lines.push(format!("{} is unstable: {why}", self.name(*link)))
            }
            GroupEvent::LinkStable(link) => lines.push(format!("{} is stable again", self.name(*link))),
            GroupEvent::LinkDown(link, why) => {
                let said = self.said_down.iter().find(|(down, _)| down == link).map(|(_, why)| *why);
                // That one more try was in vain is no news.
                if said == Some(*why) || said.is_some() && *why == LinkDown::Timeout {
                    return false;
                }
                self.said_down.retain(|(down, _)| down != link);
                self.said_down.push((*link, *why));
                let line = match &self.plan {
                    Some(plan) => {
                        format!("{} is down: {}; trying again", self.name(*link), plan.reason(*link, *why))
                    }
                    None => format!("{} is down: {why}", self.name(*link)),
                };
                match why {
                    _ if !self.connected => self.early.push(line),
                    LinkDown::PeerShutdown => self.hold(line),
                    _ => lines.push(line),
                }
            }
            GroupEvent::Switched(Some(from), to) => {
                lines.push(format!("switched from link {from} to {}", self.name(*to)));
            }
            GroupEvent::AllDown => {
                self.all_down = true;
                let line = match self.role {
                    Role::Source => "all links are down; waiting for one to come back",
                    Role::Target => {
                        "all links are down; what is sent waits, and is given up when it is too late"
                    }
                };
                if self.held_since.is_some() {
                    self.hold(line.to_owned())
                } else {
                    lines.push(line.to_owned())
                }
            }
            GroupEvent::Resumed => {
                self.all_down = false;
                lines.push("resumed: there is a link again".to_owned());
            }
            GroupEvent::PeerWithoutGroups => {
                lines.push("the peer takes no groups: one link at a time carries the stream".to_owned());
            }
            GroupEvent::PeerGone(ConnectionError::PeerShutdown) => drop(self.release()),
            GroupEvent::LinkActive(link) => {
                lines.push(format!("{} carries the stream", self.name(*link)));
                return true;
            }
            GroupEvent::LinkIdle(link) => {
                lines.push(format!("{} waits to be needed", self.name(*link)));
                return true;
            }
            GroupEvent::SafeRate(bytes) => {
                lines.push(format!("the links carry {} safely", show_rate(bytes.saturating_mul(8))));
                return true;
            }
            _ => {}
        }
        false
    }

    fn record(&self, time: SystemTime, event: &GroupEvent) -> Option<Occurrence> {
        let (name, link) = match event {
            GroupEvent::Connected => ("connected", None),
            GroupEvent::LinkUp(link) => ("link_up", Some(*link)),
            GroupEvent::LinkActive(link) => ("link_active", Some(*link)),
            GroupEvent::LinkIdle(link) => ("link_idle", Some(*link)),
            GroupEvent::LinkUnstable(link, _) => ("link_unstable", Some(*link)),
            GroupEvent::LinkStable(link) => ("link_stable", Some(*link)),
            GroupEvent::LinkDown(link, _) => ("link_down", Some(*link)),
            GroupEvent::Switched(_, link) => ("switched", Some(*link)),
            GroupEvent::AllDown => ("all_down", None),
            GroupEvent::Resumed => ("resumed", None),
            GroupEvent::PeerWithoutGroups => ("peer_without_groups", None),
            GroupEvent::SafeRate(_) => ("safe_rate", None),
            GroupEvent::Skipped(_) => ("skipped", None),
            GroupEvent::SendDropped(_) => ("send_dropped", None),
            GroupEvent::PeerError(_) => ("peer_error", None),
            GroupEvent::PeerGone(_) => ("peer_gone", None),
            GroupEvent::Closed(_) => ("closed", None),
            // How a link is opened is no news, and of others we know nothing.
            _ => return None,
        };
        let reason = match event {
            GroupEvent::LinkUnstable(_, why) => Some(why.to_string()),
            GroupEvent::LinkDown(_, why) => Some(why.to_string()),
            GroupEvent::PeerGone(why) | GroupEvent::Closed(why) => Some(why.to_string()),
            _ => None,
        };
        let figure = match event {
            GroupEvent::Switched(Some(from), _) => Some(("from", u64::from(from.value()))),
            GroupEvent::SafeRate(bytes) => Some(("safe_rate_bps", bytes.saturating_mul(8))),
            GroupEvent::Skipped(skipped) => Some(("packets", u64::from(skipped.missing))),
            GroupEvent::SendDropped(packets) => Some(("packets", *packets as u64)),
            GroupEvent::PeerError(code) => Some(("code", u64::from(*code))),
            _ => None,
        };
        let peer = link.and_then(|link| self.peer(link));
        Some(Occurrence { time, event: name, link: link.map(LinkId::value), peer, reason, figure })
    }
}
