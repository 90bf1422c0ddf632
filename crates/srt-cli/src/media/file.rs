//! `file://PATH` and bare paths. A FIFO or device is read and written like a pipe.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use super::bytes::ByteSource;
use super::stdio::{PipeReader, StdoutSink};
use super::{MediaUri, Setup, Sink, Source, WAIT, Wrote};
use crate::batch::Batch;
use crate::error::Failure;
use crate::files::is_stdout;

/// Opens a file for reading.
///
/// # Errors
/// When it is not there, may not be read or is a directory.
pub(crate) fn source(uri: &MediaUri, setup: &Setup) -> Result<Box<dyn Source>, Failure> {
    let path = Path::new(&uri.path);
    let open = |source: io::Error| {
        let mend = match source.kind() {
            ErrorKind::PermissionDenied => "check its permissions",
            ErrorKind::IsADirectory => "name a file in it",
            _ => "check the path",
        };
        Failure::Open { path: path.to_owned(), doing: "be read", source, mend }
    };
    let kind = path.metadata().map_err(open)?.file_type();
    if kind.is_dir() {
        return Err(open(ErrorKind::IsADirectory.into()));
    }
    if kind.is_file() {
        let file = File::open(path).map_err(open)?;
        return Ok(Box::new(ByteSource::new(file, &uri.path, setup, false)));
    }
    // Opening a FIFO waits for its writer, reading it for data: both on the thread of the pipe.
    let path = path.to_owned();
    let pipe = PipeReader::start(move || File::open(path));
    Ok(Box::new(ByteSource::new(pipe, &uri.path, setup, true)))
}

/// Opens a file, FIFO or device for writing. A file is looked at only: what it holds is lost with the first message, not
/// before.
///
/// # Errors
/// When it cannot be made or may not be written.
pub(crate) fn sink(uri: &MediaUri) -> Result<Box<dyn Sink>, Failure> {
    let path = PathBuf::from(&uri.path);
    if is_stdout(&path) {
        return Ok(Box::new(StdoutSink::new()));
    }
    match path.metadata() {
        Ok(found) if !found.is_file() && !found.is_dir() => Ok(Box::new(PipeSink::start(path)?)),
        _ => Ok(Box::new(FileSink::open(path)?)),
    }
}

/// Writes messages one after another into a file, made anew with the first.
#[derive(Debug)]
struct FileSink {
    path: PathBuf,
    /// Open, and as it was, or not there yet.
    before: Option<File>,
    /// With what was written.
    file: Option<File>,
}

impl FileSink {
    /// # Errors
    /// When the file cannot be made or may not be written.
    fn open(path: PathBuf) -> Result<Self, Failure> {
        let before = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                can_be_made(&path)?;
                None
            }
            Err(error) => return Err(unwritable(path, error)),
        };
        Ok(Self { path, before, file: None })
    }

    /// The file, emptied or made by the first call.
    fn emptied(&mut self) -> Result<&mut File, Failure> {
        let file = match (self.file.take(), self.before.take()) {
            (Some(file), _) => file,
            (None, Some(before)) => {
                before.set_len(0).map_err(|error| unwritable(self.path.clone(), error))?;
                before
            }
            (None, None) => File::create(&self.path).map_err(|error| unwritable(self.path.clone(), error))?,
        };
        Ok(self.file.insert(file))
    }
}

impl Sink for FileSink {
    fn write(&mut self, batch: &Batch) -> Result<Wrote, Failure> {
        write_all(self.emptied()?, batch).map_err(|error| failed(&self.path, error))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.flush().map_err(|error| failed(&self.path, error))
    }
}

/// Writes to a FIFO or device. Opening a FIFO waits for its reader, so that is done on a thread of its own, which is left
/// behind when the program ends.
#[derive(Debug)]
struct PipeSink {
    path: PathBuf,
    opening: Receiver<io::Result<File>>,
    pipe: Option<File>,
}

impl PipeSink {
    /// # Errors
    /// When there is no thread to be had.
    fn start(path: PathBuf) -> Result<Self, Failure> {
        let (opened, opening) = mpsc::channel();
        let name = path.clone();
        let open = move || {
            // Nobody waits for it any more when the program has ended meanwhile.
            let _ = opened.send(OpenOptions::new().write(true).open(name));
        };
        let thread = thread::Builder::new().name("pipe-opener".to_owned()).spawn(open);
        thread.map_err(|_| Failure::Thread("pipe-opener"))?;
        Ok(Self { path, opening, pipe: None })
    }
}

impl Sink for PipeSink {
    fn ready(&mut self) -> Result<bool, Failure> {
        if self.pipe.is_none() {
            match self.opening.recv_timeout(WAIT) {
                Ok(opened) => {
                    self.pipe = Some(opened.map_err(|error| unwritable(self.path.clone(), error))?);
                }
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::Thread("pipe-opener")),
            }
        }
        Ok(true)
    }

    fn write(&mut self, batch: &Batch) -> Result<Wrote, Failure> {
        let Some(pipe) = &mut self.pipe else { return Ok(Wrote::Messages(0)) };
        write_all(pipe, batch).map_err(|error| failed(&self.path, error))
    }
}

fn write_all(file: &mut File, batch: &Batch) -> io::Result<Wrote> {
    match file.write_all(batch.bytes()) {
        Ok(()) => Ok(Wrote::Messages(batch.len())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Wrote::Enough),
        Err(error) => Err(error),
    }
}

/// Only the system knows whether a file can be made, and tells by making it; it is taken away again.
fn can_be_made(path: &Path) -> Result<(), Failure> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => {
            // Whoever writes first makes it anew.
            let _ = fs::remove_file(path);
            Ok(())
        }
        // Another was quicker, or it is a symlink to what is not there.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unwritable(path.to_owned(), error)),
    }
}

fn unwritable(path: PathBuf, source: io::Error) -> Failure {
    let mend = match source.kind() {
        ErrorKind::NotFound => "make the directory first",
        ErrorKind::PermissionDenied => "choose a place you may write to",
        ErrorKind::IsADirectory => "name a file in it",
        _ => "choose another place",
    };
    Failure::Open { path, doing: "be written", source, mend }
}

fn failed(path: &Path, source: io::Error) -> Failure {
    let what = path.display().to_string();
    Failure::Transfer { what, doing: "writing", source, mend: "check that the disk has room" }
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::super::Read;
    use super::super::bytes::tests::setup;
    use super::*;

    fn uri(path: &Path) -> MediaUri {
        MediaUri::parse(path.to_str().unwrap()).unwrap()
    }

    fn fault<T>(result: Result<T, Failure>) -> String {
        result.err().map(|failure| failure.to_string()).unwrap()
    }

    #[test]
    fn a_file_comes_out_as_it_went_in() {
        let path = env::temp_dir().join(format!("srt-cli-file-{}", std::process::id()));
        let mut batch = Batch::default();
        batch.push(&[7; 1000], None);
        batch.push(&[8; 500], None);
        let mut sink = sink(&uri(&path)).unwrap();
        assert_eq!(sink.write(&batch).unwrap(), Wrote::Messages(2));
        sink.finish().unwrap();
        let mut read = Batch::default();
        let mut source = source(&uri(&path), &setup(400)).unwrap();
        while source.read(&mut read, 8).unwrap() != Read::End {}
        assert_eq!(read.bytes(), batch.bytes());
        assert_eq!(read.len(), 4);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_cannot_be_opened_is_named_with_the_mend() {
        let nowhere = env::temp_dir().join("srt-cli-no-such-dir").join("a.ts");
        assert!(
            fault(source(&uri(&nowhere), &setup(1))).ends_with("no such file or directory; check the path")
        );
        assert!(fault(sink(&uri(&nowhere))).ends_with("; make the directory first"));
        let directory = env::temp_dir();
        assert!(fault(source(&uri(&directory), &setup(1))).ends_with("is a directory; name a file in it"));
        assert!(fault(sink(&uri(&directory))).ends_with("; name a file in it"));
    }

    #[test]
    fn what_a_file_holds_is_lost_with_the_first_message_and_not_before() {
        let path = env::temp_dir().join(format!("srt-cli-keep-{}", std::process::id()));
        fs::write(&path, b"precious and long").unwrap();
        let mut sink = sink(&uri(&path)).unwrap();
        sink.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"precious and long");
        let mut batch = Batch::default();
        batch.push(b"new", None);
        sink.write(&batch).unwrap();
        sink.write(&batch).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"newnew");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_is_made_with_the_first_message_and_not_before() {
        let path = env::temp_dir().join(format!("srt-cli-make-{}", std::process::id()));
        let mut sink = sink(&uri(&path)).unwrap();
        assert!(!path.exists());
        let mut batch = Batch::default();
        batch.push(b"new", None);
        sink.write(&batch).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::remove_file(path).unwrap();
    }
}
