//! The threads that bring sockets, protocol and application together.
//!
//! ```text
//!  application            │ worker: one of a few threads                    │ system
//!                         │                                                 │
//!  SrtSocket ─ Handover ──┼─ Carried (Connection) ─┐                        │
//!  SrtSocket ─ Handover ──┼─ Carried (Connection) ─┼─ Wire (Endpoint) ──────┼─ UDP port
//!  SrtListener ─ Listening┼────────────────────────┘                        │
//!                 └ Inbox ┼─ orders, and which hand-overs were touched       │
//! ```
//!
//! - [`runtime`]: the pool of workers, the default one, and how it ends
//! - [`worker`]: the loop of one thread; [`timers`] and [`slab`] are its tables, [`pace`] lets things gather
//! - [`wire`], [`carried`], [`bond`]: a UDP port, a connection and a group as their worker serves them
//! - [`handover`], [`listening`]: a connection and a listener as the application sees them, with the one lock of each;
//!   [`parcel`] is what passes through it, [`waiters`] who waits
//! - [`inbox`]: orders to a worker, and waking it
//! - [`port`]: who may use a UDP port, and for how long it stays open
//! - [`callbacks`]: the thread for hooks of the application
//!
//! A connection, its port and everything they need belong to one worker for good. Locks are taken in this order:
//! hand-over or listener, then inbox or poller; no two of a kind at once; a worker never holds one while it does protocol
//! work or a system call.

pub(crate) mod bond;
mod callbacks;
mod carried;
mod entropy;
pub(crate) mod handover;
pub(crate) mod inbox;
pub(crate) mod listening;
mod pace;
pub(crate) mod parcel;
mod port;
pub(crate) mod runtime;
mod slab;
mod timers;
mod waiters;
mod wire;
mod worker;
