//! The `srt` command.

fn main() {}
