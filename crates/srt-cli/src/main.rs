//! The `srt` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    srt_cli::run(std::env::args_os())
}
