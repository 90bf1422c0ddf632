//! One file for each command.

pub(crate) mod bench;
pub(crate) mod demo;
pub(crate) mod impair;
pub(crate) mod options;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod transfer;
pub(crate) mod transmit;
