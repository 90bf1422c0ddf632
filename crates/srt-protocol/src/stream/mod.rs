//! What is sent: one order of numbered packets, however many links carry it.
//!
//! A stream owns payloads and their times; it knows nothing of addresses, round trips or acknowledgements. A
//! [`Link`](crate::link::Link) carries it. A [`Connection`](crate::connection::Connection) is a stream over one link; a
//! bonded group is a stream over several.

mod drift;
mod ranges;
mod recv;
mod send;
mod slots;
mod tsbpd;

pub use drift::DriftTracer;
pub use ranges::SeqRanges;
pub(crate) use ranges::count;
pub use recv::{Insertion, ReceiveBuffer, ReceiveCounters, ReceiveParameters, Received, SeqRange, Skipped};
pub use send::{Message, Outgoing, PushError, SendBuffer, SendCounters, Sent};
pub use tsbpd::{PeerTime, Tsbpd};
