//! All that is said to people goes to stderr, so that piped output stays clean; the live line makes room for it.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Volume {
    /// Only errors.
    Quiet,
    /// Connections made and lost, the final report, a live line on a terminal.
    Normal,
    /// Details as well.
    Verbose,
}

/// The voice of the program; clones share the live line.
#[derive(Clone)]
pub(crate) struct Talk {
    volume: Volume,
    line: Option<ProgressBar>,
    out: Arc<Mutex<Box<dyn Write + Send>>>,
}

impl fmt::Debug for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talk").field("volume", &self.volume).field("line", &self.line.is_some()).finish()
    }
}

impl Talk {
    /// On stderr, with a live line when that is a terminal and `live` allows it.
    pub(crate) fn stderr(volume: Volume, live: bool) -> Self {
        let line = (live && volume > Volume::Quiet && io::stderr().is_terminal()).then(|| {
            let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
            line.set_style(
                ProgressStyle::with_template("{msg}").expect("the template is constant and valid"),
            );
            line
        });
        Self { volume, line, out: Arc::new(Mutex::new(Box::new(io::stderr()))) }
    }

    /// Into a buffer, for tests.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self { volume: Volume::Normal, line: None, out: Arc::new(Mutex::new(Box::new(io::sink()))) }
    }

    /// Whether people watch: a live line is shown.
    pub(crate) fn is_live(&self) -> bool {
        self.line.is_some()
    }

    /// What everyone should know.
    pub(crate) fn say(&self, line: impl AsRef<str>) {
        if self.volume > Volume::Quiet {
            self.print(line.as_ref());
        }
    }

    /// What only those want to know who asked for more.
    pub(crate) fn detail(&self, line: impl AsRef<str>) {
        if self.volume > Volume::Normal {
            self.print(line.as_ref());
        }
    }

    /// What must be known even with `--quiet`.
    pub(crate) fn warn(&self, line: impl AsRef<str>) {
        self.print(&format!("warning: {}", line.as_ref()));
    }

    /// Shows a new live line in place of the last.
    pub(crate) fn live(&self, line: String) {
        if let Some(bar) = &self.line {
            bar.set_message(line);
        }
    }

    /// Takes the live line away.
    pub(crate) fn end_live(&self) {
        if let Some(bar) = &self.line {
            bar.finish_and_clear();
        }
    }

    fn print(&self, line: &str) {
        self.beside_line(|| {
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody to tell that stderr is gone.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        });
    }

    fn beside_line<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.line {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

/// For the library's log: the same stderr, beside the same live line.
impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Talk {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine { talk: self.clone(), text: Vec::new() }
    }
}

/// Collects one line of log and prints it whole.
#[derive(Debug)]
pub(crate) struct LogLine {
    talk: Talk,
    text: Vec<u8>,
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        let line = text.trim_end();
        if !line.is_empty() {
            self.talk.print(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(volume: Volume) -> String {
        let paper = Paper::default();
        let talk = Talk { volume, line: None, out: Arc::new(Mutex::new(Box::new(paper.clone()))) };
        talk.say("said");
        talk.detail("told in detail");
        talk.warn("heed this");
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn volume_decides_what_is_said_and_warnings_always_are() {
        assert_eq!(said(Volume::Quiet), "warning: heed this\n");
        assert_eq!(said(Volume::Normal), "said\nwarning: heed this\n");
        assert_eq!(said(Volume::Verbose), "said\ntold in detail\nwarning: heed this\n");
    }
}
