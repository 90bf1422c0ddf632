//! The `srt` command: live streams over SRT, from and to files, pipes, UDP and RTP; a link emulator; a demo.
//!
//! [`run`] is the whole program; `main.rs` only calls it. Read in this order: `args` (what can be asked), `commands`
//! (what is done), `pump` and `media` (how messages move), `report` and `test_stream` (what is told). Called by the name
//! `srt-live-transmit` it is that tool: `live_transmit`.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::error::Failure;
use crate::live_transmit::Order;

mod args;
mod batch;
mod commands;
mod error;
mod files;
mod link_table;
mod live_transmit;
mod log;
mod media;
mod pacer;
mod pump;
mod report;
mod secret;
mod stats_format;
mod stop;
mod talk;
mod test_stream;
mod units;
mod usage;

/// Version of the SRT protocol that is spoken.
const SRT_VERSION: &str = "1.5.5";

/// Runs the command line, whose first word is the program's name.
///
/// 0: done. 1: failed. 2: wrong usage. Each failure is one line on stderr that names the thing at fault and the mend.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    let name = words
        .first()
        .map(Path::new)
        .and_then(Path::file_stem)
        .and_then(|stem| stem.to_str())
        .unwrap_or("srt");
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    match name {
        "srt-live-transmit" => {
            let args: Vec<String> = words.iter().skip(1).map(text).collect();
            end(name, tool(&args))
        }
        "srt-file-transmit" | "srt-tunnel" => end(
            "srt",
            Err(Failure::Conflict(
                "srt-file-transmit and srt-tunnel are not in this version; use srt or srt-live-transmit",
            )),
        ),
        _ => {
            let args: Vec<String> = words.iter().skip(2).map(text).collect();
            let transmit = words.get(1).is_some_and(|word| word == "transmit");
            if transmit && live_transmit::is_tool_line(args.iter().map(String::as_str)) {
                return end("srt", tool(&args));
            }
            match Cli::try_parse_from(words) {
                Ok(cli) => end("srt", command(cli.command)),
                Err(error) => {
                    match usage::one_line(&error) {
                        Some(fault) => eprintln!("srt: {fault}"),
                        // Help goes to stdout; where it is shown for want of a command, to stderr.
                        None => drop(error.print()),
                    }
                    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
                }
            }
        }
    }
}

fn command(command: Command) -> Result<(), Failure> {
    match command {
        Command::Send(args) => commands::send::run(args),
        Command::Receive(args) => commands::receive::run(args),
        Command::Transmit(args) => commands::transmit::run(args),
        Command::Impair(args) => commands::impair::run(&args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Options => {
            commands::options::run();
            Ok(())
        }
    }
}

/// srt-live-transmit.
fn tool(args: &[String]) -> Result<(), Failure> {
    match live_transmit::parse(args)? {
        Order::Transfer(transfer) => return transfer.run(),
        Order::Help => eprintln!("{}", live_transmit::HELP),
        Order::LoggingHelp => eprintln!("{}", live_transmit::logging_help()),
        Order::Version => {
            eprintln!(
                "srt-live-transmit of SRT-Rust {}, SRT version {SRT_VERSION}",
                env!("CARGO_PKG_VERSION")
            );
        }
    }
    Ok(())
}

fn end(name: &str, result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{name}: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
