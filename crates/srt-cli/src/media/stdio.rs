//! `-`: stdin and stdout; and the thread that reads any pipe, for a read of a pipe cannot be called off.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use super::bytes::ByteSource;
use super::{Setup, Sink, WAIT, Wrote};
use crate::batch::Batch;
use crate::error::Failure;

/// Stdin as a source.
pub(crate) fn source(setup: &Setup) -> ByteSource<PipeReader> {
    ByteSource::new(PipeReader::start(|| Ok(io::stdin())), "stdin", setup, true)
}

/// What the thread may read ahead.
const READ_AHEAD: usize = 256 * 1024;
const READ_SIZE: usize = 64 * 1024;

/// Reads a pipe on a thread of its own, which is left behind when the program ends; a read here waits [`WAIT`] at most and
/// then says [`ErrorKind::WouldBlock`].
#[derive(Debug)]
pub(crate) struct PipeReader {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: Vec<u8>,
    ended: Option<io::Result<()>>,
    abandoned: bool,
}

impl PipeReader {
    /// Opens and reads on the new thread.
    pub(crate) fn start<R: Read>(open: impl FnOnce() -> io::Result<R> + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let run = move || {
            let result = open().and_then(|pipe| theirs.read_all(pipe));
            theirs.state.lock().unwrap_or_else(PoisonError::into_inner).ended = Some(result);
            theirs.changed.notify_all();
        };
        if let Err(error) = thread::Builder::new().name("pipe-reader".to_owned()).spawn(run) {
            shared.state.lock().unwrap_or_else(PoisonError::into_inner).ended = Some(Err(error));
        }
        Self { shared }
    }
}

impl Shared {
    fn read_all(&self, mut pipe: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; READ_SIZE];
        loop {
            let count = match pipe.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            while state.held.len() >= READ_AHEAD && !state.abandoned {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.abandoned {
                return Ok(());
            }
            state.held.extend_from_slice(&buffer[..count]);
            drop(state);
            self.changed.notify_all();
        }
    }
}

impl Read for PipeReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = |state: &mut State| state.held.is_empty() && state.ended.is_none();
        let wait = self.shared.changed.wait_timeout_while(state, WAIT, nothing);
        let mut state = wait.unwrap_or_else(PoisonError::into_inner).0;
        if state.held.is_empty() {
            return match state.ended.take() {
                None => Err(ErrorKind::WouldBlock.into()),
                Some(result) => {
                    state.ended = Some(Ok(()));
                    result.map(|()| 0)
                }
            };
        }
        let count = into.len().min(state.held.len());
        into[..count].copy_from_slice(&state.held[..count]);
        state.held.drain(..count);
        drop(state);
        self.shared.changed.notify_all();
        Ok(count)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).abandoned = true;
        self.shared.changed.notify_all();
    }
}

/// Stdout as a sink; each batch is one write, past the line buffer that std puts before it.
pub(crate) struct StdoutSink {
    out: Box<dyn Write + Send>,
}

impl StdoutSink {
    /// The process's stdout.
    pub(crate) fn new() -> Self {
        Self { out: unbuffered() }
    }
}

#[cfg(unix)]
fn unbuffered() -> Box<dyn Write + Send> {
    use std::os::fd::AsFd;
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(out) => Box::new(std::fs::File::from(out)),
        Err(_) => Box::new(io::stdout()),
    }
}

#[cfg(not(unix))]
fn unbuffered() -> Box<dyn Write + Send> {
    Box::new(io::stdout())
}

impl Sink for StdoutSink {
    fn write(&mut self, batch: &Batch) -> Result<Wrote, Failure> {
        match self.out.write_all(batch.bytes()).and_then(|()| self.out.flush()) {
            Ok(()) => Ok(Wrote::Messages(batch.len())),
            // As `| head` does: the reader has what it wanted.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Wrote::Enough),
            Err(source) => {
                let mend = "check where the output is sent";
                Err(Failure::Transfer { what: "stdout".to_owned(), doing: "writing", source, mend })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A pipe fed by the test.
    struct Fed(mpsc::Receiver<Vec<u8>>);

    impl Read for Fed {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Ok(piece) = self.0.recv() else { return Ok(0) };
            into[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn a_silent_pipe_blocks_nobody_and_loses_nothing() {
        let (feed, fed) = mpsc::channel();
        let mut pipe = PipeReader::start(move || Ok(Fed(fed)));
        let mut buffer = [0; 10];
        assert_eq!(pipe.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        feed.send(b"hello".to_vec()).unwrap();
        let mut got = Vec::new();
        drop(feed);
        loop {
            match pipe.read(&mut buffer[..2]) {
                Ok(0) => break,
                Ok(count) => got.extend_from_slice(&buffer[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert_eq!(got, b"hello");
    }

    #[test]
    fn what_cannot_be_opened_is_an_error_of_the_first_read() {
        let mut pipe =
            PipeReader::start(|| -> io::Result<io::Empty> { Err(ErrorKind::PermissionDenied.into()) });
        loop {
            match pipe.read(&mut [0]).map_err(|error| error.kind()) {
                Err(ErrorKind::WouldBlock) => {}
                other => {
                    assert_eq!(other, Err(ErrorKind::PermissionDenied));
                    break;
                }
            }
        }
    }
}
