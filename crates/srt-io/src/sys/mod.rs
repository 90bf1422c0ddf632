//! The operating system: the only place with `unsafe`, and the only one that differs between systems.
#![allow(
    unexpected_cfgs,
    reason = "srt_io_portable is set by hand, to build and test the portable part on Linux"
)]

#[cfg(all(target_os = "linux", not(srt_io_portable)))]
mod control;
#[cfg(all(target_os = "linux", not(srt_io_portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(srt_io_portable)))]
pub(crate) use linux::*;

#[cfg(any(not(target_os = "linux"), srt_io_portable))]
mod portable;
#[cfg(any(not(target_os = "linux"), srt_io_portable))]
pub(crate) use portable::*;
