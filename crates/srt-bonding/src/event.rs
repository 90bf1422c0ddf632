//! What happens to a group by itself.

use srt_protocol::{connection::ConnectionError, handshake::RejectReason, stream::Skipped};

use crate::LinkId;

/// Something the owner of a group wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first link is up: the stream can begin.
    Connected,
    /// A link wants to be called: [`Group::call`](crate::Group::call), or [`Group::call_failed`](crate::Group::call_failed).
    Wanted(LinkId),
    /// A link is up.
    LinkUp(LinkId),
    /// A link carries the stream.
    LinkActive(LinkId),
    /// A link carries nothing, and waits to be needed.
    LinkIdle(LinkId),
    /// A link is in doubt.
    LinkUnstable(LinkId, Unstable),
    /// A link that was in doubt answers as it should again.
    LinkStable(LinkId),
    /// A link is no more, or did not come to be. Where it is one of ours, it is tried again.
    LinkDown(LinkId, Down),
    /// The main link of a backup group is another one now: the one before, and the new one.
    Switched(Option<LinkId>, LinkId),
    /// No link is left. What is sent waits.
    AllDown,
    /// There is a link again.
    Resumed,
    /// The peer does not know groups: one link at a time carries the stream.
    PeerWithoutGroups,
    /// What the group can carry, in bytes per second of payload, has changed by a tenth or more: what an encoder may send.
    SafeRate(u64),
    /// Packets that did not come in time were given up (receiver TLPKTDROP).
    Skipped(Skipped),
    /// Packets that could not be sent in time were given up (sender TLPKTDROP): this many.
    SendDropped(usize),
    /// The peer reports an error of its own.
    PeerError(u32),
    /// The peer is gone. What was received is still handed out.
    PeerGone(ConnectionError),
    /// The group has ended.
    Closed(ConnectionError),
}

impl Event {
    /// It may be forgotten where nobody asks for long: nothing has to be done for it.
    pub(crate) const fn informs(&self) -> bool {
        !matches!(
            self,
            Self::Connected | Self::Wanted(_) | Self::LinkDown(..) | Self::PeerGone(_) | Self::Closed(_)
        )
    }
}

/// Why a link is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unstable {
    /// What is sent is not answered.
    #[error("what is sent on it is not answered")]
    Silence,
    /// Its round trip is too long for the latency.
    #[error("its round trip has become too long")]
    Delay,
    /// It loses too much.
    #[error("it loses too much")]
    Loss,
}

/// Why a link is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Down {
    /// The peer did not answer within CONNTIMEO.
    #[error("the peer did not answer")]
    Timeout,
    /// The peer, or we, refused it.
    #[error("refused: {0}")]
    Refused(RejectReason),
    /// The other end of the link is not that of the others.
    #[error("another peer than that of the other links")]
    OtherPeer,
    /// The peer ended it.
    #[error("the peer closed it")]
    PeerShutdown,
    /// The peer fell silent.
    #[error("the peer fell silent")]
    PeerIdle,
    /// It could not be opened here: no such address, or no way there.
    #[error("it could not be opened")]
    Local,
    /// It was taken out.
    #[error("it was taken out of the group")]
    Removed,
    /// Its packets were stamped by another clock than those of the others.
    #[error("its clock is not that of the other links")]
    OtherClock,
}
