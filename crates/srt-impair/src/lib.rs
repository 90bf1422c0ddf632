//! Seeded network impairment: a pure model of one link direction, and a UDP link emulator built on it.
//!
//! | part | is |
//! |---|---|
//! | [`Profile`] | what a link does: delay, jitter, loss, duplicates, reordering, rate, outages; with a text form |
//! | [`Model`] | a profile at work on virtual time: when does this packet arrive, or why not? No clock, no socket |
//! | [`Emulator`] | a real UDP port which forwards to a target, each direction through a model of its own |
//!
//! The same seed gives the same fates, on every platform and in every release: a failure found once can be replayed.
//!
//! ```
//! use srt_impair::{Cause, Fates, Model, Profile};
//!
//! let profile: Profile = "delay=20ms,loss=5%,burst=4".parse()?;
//! let mut link = Model::new(profile, 42);
//! for number in 0..1_000_u64 {
//!     let now_us = number * 1_000;
//!     match link.offer(now_us, 1_316) {
//!         Fates::Arrives { at_us, copy_at_us } => assert_eq!((at_us, copy_at_us), (now_us + 20_000, None)),
//!         Fates::Lost(cause) => assert_eq!(cause, Cause::Luck),
//!         _ => unreachable!("no other fate in this release"),
//!     }
//! }
//! assert_eq!(link.counters().offered_packets, 1_000);
//! # Ok::<(), srt_impair::ProfileError>(())
//! ```

#![forbid(unsafe_code)]

mod emulator;
mod model;
mod profile;

pub use emulator::{Direction, DirectionReport, Emulator, Report, RunError, Setup, StartError};
pub use model::{Cause, Counters, Fates, Model, UDP_IP_OVERHEAD, derive_seed};
pub use profile::{JitterShape, Loss, Outage, Profile, ProfileError};
