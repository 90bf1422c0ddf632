//! The library's log: on stderr beside the live line, or in a file.

use std::io;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use crate::error::Failure;
use crate::files::create;
use crate::talk::Talk;

/// The variable that overrides the level: `SRT_LOG=debug`, `SRT_LOG=srt_protocol=trace,warn`.
const VARIABLE: &str = "SRT_LOG";

/// What is logged, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogPlan {
    /// As in `warn` or `srt_io=debug`; the environment's `SRT_LOG` goes first.
    pub(crate) level: String,
    /// Instead of stderr.
    pub(crate) file: Option<std::path::PathBuf>,
}

/// Starts the log of the process; only the first call does.
///
/// # Errors
/// When the file cannot be made.
pub(crate) fn start(plan: &LogPlan, talk: &Talk) -> Result<(), Failure> {
    let level = std::env::var(VARIABLE).unwrap_or_else(|_| plan.level.clone());
    let builder = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(level)).with_target(false);
    // A second start would fail; the first stands.
    let _ = match &plan.file {
        None => builder.with_writer(talk.clone()).without_time().try_init(),
        Some(path) => {
            let file = create(path)?;
            builder.with_writer(Mutex::new(io::LineWriter::new(file))).try_init()
        }
    };
    Ok(())
}
