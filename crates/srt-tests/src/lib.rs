//! Simulator, checkers and interop tests of SRT-Rust.
//!
//! [`sim`] runs whole connections on virtual time, from one seed; [`check`] says what must hold of such a run.
#![forbid(unsafe_code)]

pub mod check;
pub mod sim;

/// The examples of README.md, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
