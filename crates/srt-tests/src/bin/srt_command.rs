//! The `srt` command, whole, under a name of this crate: Cargo builds a package's own programs for its tests, and no others.

use std::process::ExitCode;

fn main() -> ExitCode {
    srt_cli::run(std::env::args_os())
}
