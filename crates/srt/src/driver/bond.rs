//! A group as its worker serves it, and as the application sees it beside the stream.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use srt_bonding::{Event, Group, LinkId, LinkReport, LinkSetup, Mode};
use srt_io::UdpOptions;
use srt_protocol::{config::Config, time::Instant, types::SocketId};

use super::{
    handover::Handover,
    inbox::{Command, Inbox},
    port::{Lease, Registry, Wanted},
    waiters::deadline,
};
use crate::{Error, address::Target, time_now};

/// How a link is to be opened.
#[derive(Clone, Debug)]
pub(crate) struct LinkPlan {
    pub(crate) target: Target,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) udp: UdpOptions,
    pub(crate) shareable: bool,
    pub(crate) weight: u16,
    pub(crate) config: Option<Config>,
}

/// A link's way out.
#[derive(Debug)]
pub(super) struct Way {
    link: LinkId,
    pub(super) socket: SocketId,
    /// Where the worker keeps its port.
    pub(super) port: u32,
    /// Its right to the port.
    pub(super) lease: Lease,
}

/// A group of a worker.
#[derive(Debug)]
pub(super) struct Bond {
    pub(super) group: Group,
    pub(super) ways: Vec<Way>,
    plans: Vec<(LinkId, LinkPlan, usize)>,
    face: Arc<GroupFace>,
}

impl Bond {
    pub(super) const fn new(group: Group, face: Arc<GroupFace>) -> Self {
        Self { group, ways: Vec::new(), plans: Vec::new(), face }
    }

    /// Adds a link to be called.
    pub(super) fn add(&mut self, now: Instant, plan: LinkPlan) -> Option<LinkId> {
        let link = self.group.add_link(now, plan.weight, plan.config.clone())?;
        self.plans.push((link, plan, 0));
        Some(link)
    }

    /// A link has a way out.
    pub(super) fn open(&mut self, link: LinkId, socket: SocketId, port: u32, lease: Lease) {
        self.ways.push(Way { link, socket, port, lease });
    }

    /// The way of a link that is no more.
    pub(super) fn close(&mut self, link: LinkId) -> Option<Way> {
        let index = self.ways.iter().position(|way| way.link == link)?;
        Some(self.ways.swap_remove(index))
    }

    /// How a link that is wanted is to be opened, and the how manieth try it is.
    pub(super) fn plan(&mut self, link: LinkId) -> Option<(LinkPlan, usize)> {
        let (_, plan, tries) = self.plans.iter_mut().find(|plan| plan.0 == link)?;
        *tries += 1;
        Some((plan.clone(), *tries - 1))
    }

    /// The worker's place of the port by which a socket ID sends.
    pub(super) fn port_of(&self, socket: SocketId) -> Option<u32> {
        self.ways.iter().find(|way| way.socket == socket).map(|way| way.port)
    }

    /// Calls a link whose port is open.
    pub(super) fn call(&mut self, now: Instant, link: LinkId, socket: SocketId, peer: SocketAddr) -> bool {
        self.group.call(now, link, LinkSetup { socket, peer, local_ip: None })
    }

    /// A link will not be called again.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.plans.retain(|plan| plan.0 != link);
    }

    /// Tells the application what has happened.
    pub(super) fn tell(&self, now: Instant, event: Event) {
        self.face.push(now, event);
    }

    /// Publishes how the links stand.
    pub(super) fn publish(&self) {
        self.face.lock().links = self.group.links();
    }
}

/// What the application sees of a group beside its stream.
#[derive(Debug)]
pub(crate) struct GroupFace {
    mode: Mode,
    id: u32,
    inner: Mutex<Seen>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    links: Vec<LinkReport>,
    events: VecDeque<(Instant, Event)>,
    /// Events that nobody took and that are forgotten.
    forgotten: u64,
    over: bool,
}

/// Events that wait for the application at most.
const EVENTS_MAX: usize = 4_096;

impl GroupFace {
    pub(super) fn new(mode: Mode, id: u32) -> Self {
        Self { mode, id, inner: Mutex::default(), news: Condvar::new() }
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) const fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn links(&self) -> Vec<LinkReport> {
        self.lock().links.clone()
    }

    pub(crate) fn try_event(&self) -> Option<(Instant, Event)> {
        self.lock().events.pop_front()
    }

    /// The next event; `None` where none comes in time, or none will come any more.
    pub(crate) fn event(&self, timeout: Duration) -> Option<(Instant, Event)> {
        let until = deadline(Some(timeout));
        let mut inner = self.lock();
        loop {
            if let Some(event) = inner.events.pop_front() {
                return Some(event);
            }
            let left = until.map_or(timeout, |until| Duration::from(until.saturating_since(time_now())));
            if inner.over || left.is_zero() {
                return None;
            }
            inner = self.news.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn end(&self) {
        self.lock().over = true;
        self.news.notify_all();
    }

    fn push(&self, now: Instant, event: Event) {
        let mut inner = self.lock();
        if inner.events.len() >= EVENTS_MAX {
            inner.events.pop_front();
            inner.forgotten += 1;
        }
        inner.events.push_back((now, event));
        drop(inner);
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks up where a link goes and opens a port for it on the group's worker, which is told; not on a worker's thread, for it may
/// take its time.
pub(super) fn open_link(
    registry: &Arc<Registry>,
    inbox: &Arc<Inbox>,
    handover: Arc<Handover>,
    link: LinkId,
    plan: LinkPlan,
    tries: usize,
) {
    let opened = open(registry, inbox, plan, tries);
    if let Err(error) = &opened {
        // The event of the link tells it; with each try it would be told again.
        tracing::debug!(%link, %error, "a link cannot be opened; it is tried again");
    }
    inbox.send(Command::CallLink { handover, link, opened: opened.ok().map(Box::new) }).ok();
}

fn open(
    registry: &Arc<Registry>,
    inbox: &Arc<Inbox>,
    plan: LinkPlan,
    tries: usize,
) -> Result<(Lease, SocketAddr), Error> {
    let found = plan.target.resolve()?;
    // Where a name has several addresses each gets its turn, of those that go with the local one.
    let fits = |to: &&SocketAddr| plan.local.is_none_or(|local| local.is_ipv4() == to.is_ipv4());
    let fitting: Vec<SocketAddr> = found.iter().filter(fits).copied().collect();
    let to = fitting.get(tries % fitting.len().max(1)).or_else(|| found.first()).copied();
    let to = super::runtime::callable(to.ok_or(Error::RuntimeDown)?)?;
    let local = plan.local.unwrap_or_else(|| super::runtime::any_like(to));
    let wanted = Wanted { local, options: plan.udp, shareable: plan.shareable, listening: false, workers: 1 };
    let lease = registry.open(&wanted, |_| Ok(vec![Arc::clone(inbox)]))?.pop().ok_or(Error::RuntimeDown)?;
    if !Arc::ptr_eq(lease.port().inbox(), inbox) {
        return Err(Error::PortShared {
            local,
            why: "with a socket that another worker serves; give the link a port of its own, or none",
        });
    }
    Ok((lease, to))
}
