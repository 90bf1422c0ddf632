//! A stream over several links, for programs that call and wait.

use std::{fmt, net::SocketAddr, ops::Deref, sync::mpsc, time::Duration};

use srt_bonding::{Event, LinkId, LinkReport, Mode};
use srt_protocol::time::Instant;

use crate::{
    Address, Error, Options, SrtSocket,
    driver::{
        bond::{GroupFace, LinkPlan},
        inbox::Command,
    },
};

/// One link of a group: where it goes, from where, and what it weighs.
///
/// ```
/// use srt::GroupLink;
///
/// let link = GroupLink::to("media.example.com:9000").from("192.0.2.7:0".parse()?).weight(10);
/// # let _ = link;
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GroupLink {
    target: crate::address::Target,
    local: Option<SocketAddr>,
    weight: u16,
    options: Option<Options>,
}

impl GroupLink {
    /// A link to a listener. A name is looked up again with each try, and of several addresses each gets its turn.
    pub fn to(address: impl Address) -> Self {
        Self { target: address.target(), local: None, weight: 0, options: None }
    }

    /// From this local address: so it leaves by the interface that has it. Port 0 is any.
    #[must_use]
    pub const fn from(mut self, local: SocketAddr) -> Self {
        self.local = Some(local);
        self
    }

    /// Its weight: in a backup group the highest is preferred. 0 to 32,767; default 0.
    #[must_use]
    pub const fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }

    /// Options of its own instead of the group's, such as a passphrase or an interface (BINDTODEVICE).
    #[must_use]
    pub fn options(mut self, options: &Options) -> Self {
        self.options = Some(options.clone());
        self
    }

    fn plan(self, group: &Options) -> Result<LinkPlan, Error> {
        let options = self.options.as_ref().unwrap_or(group);
        options.check()?;
        Ok(LinkPlan {
            target: self.target,
            local: self.local,
            udp: options.udp(),
            shareable: options.config().reuse_addr(),
            weight: self.weight,
            config: self.options.as_ref().map(|options| options.config().clone()),
        })
    }
}

/// One stream over several links (bonding).
///
/// It is used as an [`SrtSocket`], which it derefs to: whatever a socket does, it does. Beside that it has its links: they are
/// called again when they fail, for as long as the group lives, and can be added and taken out while the stream runs.
///
/// On the listener's side groups come from [`SrtListener::accept`](crate::SrtListener::accept), where
/// [`group_connect`](Options::group_connect) is on: [`SrtSocket::group`] tells.
///
/// Copies are cheap and mean the same group.
///
/// ```no_run
/// use srt::{GroupLink, GroupMode, Options, SrtGroup};
///
/// let links = [
///     GroupLink::to("media.example.com:9000").from("192.0.2.7:0".parse().unwrap()),
///     GroupLink::to("media.example.com:9000").from("198.51.100.7:0".parse().unwrap()),
/// ];
/// let group = SrtGroup::connect(GroupMode::Broadcast, links, &Options::new())?;
/// group.send(b"hello")?;
/// for link in group.links() {
///     println!("{}: {} {}", link.id, link.state.name(), link.rtt.as_millis());
/// }
/// group.close()?;
/// # Ok::<(), srt::Error>(())
/// ```
#[derive(Clone)]
pub struct SrtGroup {
    socket: SrtSocket,
}

impl SrtGroup {
    /// Calls on all links, and waits for the first that comes to be. The others follow in the background.
    ///
    /// A peer that does not know groups is served all the same, over one link at a time: [`GroupEvent::PeerWithoutGroups`](crate::GroupEvent::PeerWithoutGroups) tells.
    ///
    /// # Errors
    /// [`Error::Connect`] with the reason of the first link if none comes to be; [`Error::Config`], [`Error::Start`];
    /// [`Error::Links`] if there is no link, there are more than 16, or one is there twice.
    pub fn connect(
        mode: Mode,
        links: impl IntoIterator<Item = GroupLink>,
        options: &Options,
    ) -> Result<Self, Error> {
        let group = Self::start_connect(mode, links, options)?;
        group.wait_connected(None)?;
        Ok(group)
    }

    /// Starts to call on all links, and returns at once.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), but for [`Error::Connect`].
    pub fn start_connect(
        mode: Mode,
        links: impl IntoIterator<Item = GroupLink>,
        options: &Options,
    ) -> Result<Self, Error> {
        let links: Vec<GroupLink> = links.into_iter().collect();
        Self::check(&links)?;
        let plans = links.into_iter().map(|link| link.plan(options)).collect::<Result<Vec<_>, _>>()?;
        let runtime = options.chosen_runtime()?;
        let handover = runtime.group(mode, plans, options)?;
        Ok(Self { socket: SrtSocket::new(handover, runtime) })
    }

    /// Tells whether these links can be those of one group, without calling anybody. The first so many of them can be where the
    /// last of those is not at fault: so a program finds the one that is.
    ///
    /// # Errors
    /// [`Error::Links`] if there is no link, there are more than 16, or one is there twice.
    pub fn check(links: &[GroupLink]) -> Result<(), Error> {
        if links.is_empty() {
            return Err(Error::Links { why: "a group needs at least one link" });
        }
        if links.len() > srt_bonding::LINKS_MAX {
            return Err(Error::Links { why: "a group has at most 16 links" });
        }
        let same = |one: &GroupLink, other: &GroupLink| {
            other.target == one.target && other.local == one.local && other.interface() == one.interface()
        };
        if links.iter().enumerate().any(|(at, link)| links.iter().skip(at + 1).any(|other| same(link, other)))
        {
            return Err(Error::Links {
                why: "two links go to the same place the same way; give them different local addresses or interfaces",
            });
        }
        Ok(())
    }

    pub(crate) fn of(socket: &SrtSocket) -> Option<Self> {
        socket.handover().group().map(|_| Self { socket: socket.clone() })
    }

    /// The stream, as a socket.
    #[must_use]
    pub const fn socket(&self) -> &SrtSocket {
        &self.socket
    }

    fn face(&self) -> &GroupFace {
        self.socket.handover().group().expect("it was made of a socket that has one")
    }

    /// Which link carries what.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.face().mode()
    }

    /// Our number of the group, bit 30 set, as libsrt has it.
    #[must_use]
    pub fn group_id(&self) -> u32 {
        self.face().id()
    }

    /// How each link stands, as of at most 50 ms ago.
    #[must_use]
    pub fn links(&self) -> Vec<LinkReport> {
        self.face().links()
    }

    /// What has happened, and when, oldest first; `None` where nothing has. Every event is told once, whoever asks. Of events that
    /// nobody takes the newest 4,096 are kept.
    #[must_use]
    pub fn try_event(&self) -> Option<(Instant, Event)> {
        self.face().try_event()
    }

    /// The same; waits for something to happen, `timeout` at most. `None` also where the group has ended.
    #[must_use]
    pub fn wait_event(&self, timeout: Duration) -> Option<(Instant, Event)> {
        self.face().event(timeout)
    }

    /// Adds a link, which is called in the background.
    ///
    /// # Errors
    /// [`Error::Links`] if the group has 16 already, or was called itself; [`Error::Config`], [`Error::RuntimeDown`].
    pub fn add_link(&self, link: GroupLink, options: &Options) -> Result<LinkId, Error> {
        let handover = self.socket.handover().clone();
        let (told, answer) = mpsc::channel();
        let plan = Box::new(link.plan(options)?);
        let inbox = handover.inbox().clone();
        inbox.send(Command::AddLink { handover, plan, told }).map_err(|_| Error::RuntimeDown)?;
        // An error is the end of the worker.
        let link = answer.recv().map_err(|_| Error::RuntimeDown)?;
        link.ok_or(Error::Links { why: "the group has as many links as it can have, or has ended" })
    }

    /// Takes a link out: its peer is told, and what it carried alone goes by the others.
    ///
    /// # Errors
    /// [`Error::RuntimeDown`].
    pub fn remove_link(&self, link: LinkId) -> Result<(), Error> {
        let handover = self.socket.handover().clone();
        let inbox = handover.inbox().clone();
        inbox.send(Command::RemoveLink { handover, link }).map_err(|_| Error::RuntimeDown)
    }
}

impl GroupLink {
    fn interface(&self) -> Option<Vec<u8>> {
        self.options.as_ref().map(|options| format!("{:?}", options.udp()).into_bytes())
    }
}

impl Deref for SrtGroup {
    type Target = SrtSocket;

    fn deref(&self) -> &SrtSocket {
        &self.socket
    }
}

impl fmt::Debug for SrtGroup {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SrtGroup")
            .field("id", &self.group_id())
            .field("mode", &self.mode())
            .field("links", &self.links().len())
            .finish_non_exhaustive()
    }
}
