//! Bonding for SRT (Secure Reliable Transport): one stream over several links, as sans-I/O state machines.
//!
//! A [`Group`] is to several links what a [`Connection`](srt_protocol::connection::Connection) is to one: bytes, commands and the
//! time go in; bytes, events and deadlines come out. It has one send buffer, one receive buffer and one play clock. A
//! [`Mode`] says which link carries what:
//!
//! - [`Broadcast`](Mode::Broadcast): every packet on every link; the first copy wins
//! - [`Backup`](Mode::Backup): every packet on the best link, and on another as soon as that one is in doubt
//! - [`Balancing`](Mode::Balancing): each packet on the link that will deliver it first, so that the links carry together what none
//!   could alone
//!
//! On the wire it is what libsrt 1.5 calls a group, also where it balances: to a libsrt that receives, a link is told what it does
//! not bring.
//!
//! | room | is |
//! |---|---|
//! | [`group`] | the stream and its links, and who is told what |
//! | `member` | one link: calling, up, or waiting for another try |
//! | `ledger` | which link carried which packet, and what became of it |
//! | `recovery` | what is sent again, when, and on which link |
//! | `backup` | which links of a backup group carry the stream |
//! | `health` | whether a link answers as it should |
//! | [`capacity`] | what a link may carry now |
//! | `transit` | how long what a link carries is overdue |
//! | `mask` | what a libsrt receiver is told that a link will not bring |
//! | `clock` | delay and clock drift over several links |
//! | `heal` | when to try again |
//! | [`event`], [`report`] | what happened, and how each link stands |
#![forbid(unsafe_code)]

mod backup;
pub mod capacity;
mod clock;
pub mod event;
pub mod group;
mod heal;
mod health;
mod ledger;
mod mask;
mod member;
mod recovery;
pub mod report;
mod transit;

pub use event::{Down, Event, Unstable};
pub use group::{Group, GroupSetup, LinkSetup};
pub use report::{LinkReport, LinkState};

/// Which link carries what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Every packet on every link.
    Broadcast,
    /// Every packet on the best link; the others wait.
    Backup,
    /// Every packet on one link.
    Balancing,
}

impl Mode {
    /// The type of the group on the wire (libsrt: `SRT_GTYPE_*`). There is none for balancing: it is a broadcast group.
    #[must_use]
    pub const fn group_type(self) -> u8 {
        match self {
            Self::Broadcast | Self::Balancing => srt_protocol::packet::GroupInfo::BROADCAST,
            Self::Backup => srt_protocol::packet::GroupInfo::BACKUP,
        }
    }
}

/// A link of a group, for as long as the group lives: it keeps its number when it is called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(u32);

impl LinkId {
    /// The number: links are counted from 1, in the order in which they were added or accepted.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for LinkId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

/// Links of a group at most.
pub const LINKS_MAX: usize = 16;
