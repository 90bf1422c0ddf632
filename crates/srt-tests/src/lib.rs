//! Simulator, checkers and interop tests of SRT-Rust.
//!
//! [`sim`] runs whole connections on virtual time, from one seed; [`check`] says what must hold of such a run. [`peers`]
//! runs other people's SRT programs, for `tests/interop_*.rs` and for `src/bin/viewer_loss.rs`, which counts what a viewer
//! loses between ours and theirs; [`streams`] is what these tests send, and [`tap`] listens in. `netns` (Linux) joins two
//! network namespaces by several links.
#![forbid(unsafe_code)]

pub mod bonded;
pub mod chaos;
pub mod check;
#[cfg(target_os = "linux")]
pub mod netns;
pub mod peers;
pub mod sim;
pub mod streams;
pub mod tap;

/// The examples of README.md, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
