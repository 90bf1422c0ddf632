//! `file://PATH` and bare paths. A FIFO or device is read like a pipe.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::bytes::ByteSource;
use super::stdio::PipeReader;
use super::{MediaUri, Setup, Sink, Source, Wrote};
use crate::batch::Batch;
use crate::error::Failure;

/// Opens a file for reading.
///
/// # Errors
/// When it is not there, may not be read or is a directory.
pub(crate) fn source(uri: &MediaUri, setup: &Setup) -> Result<Box<dyn Source>, Failure> {
    let path = Path::new(&uri.path);
    let open = |source: std::io::Error| {
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

/// Writes messages one after another into a file, made anew.
#[derive(Debug)]
pub(crate) struct FileSink {
    file: File,
    path: PathBuf,
}

impl FileSink {
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn create(uri: &MediaUri) -> Result<Self, Failure> {
        let path = PathBuf::from(&uri.path);
        match File::create(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(source) => {
                let mend = match source.kind() {
                    ErrorKind::NotFound => "make the directory first",
                    ErrorKind::PermissionDenied => "choose a place you may write to",
                    ErrorKind::IsADirectory => "name a file in it",
                    _ => "choose another place",
                };
                Err(Failure::Open { path, doing: "be written", source, mend })
            }
        }
    }

    fn failed(&self, source: std::io::Error) -> Failure {
        let what = self.path.display().to_string();
        Failure::Transfer { what, doing: "writing", source, mend: "check that the disk has room" }
    }
}

impl Sink for FileSink {
    fn write(&mut self, batch: &Batch) -> Result<Wrote, Failure> {
        match self.file.write_all(batch.bytes()) {
            Ok(()) => Ok(Wrote::Messages(batch.len())),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Wrote::Enough),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| self.failed(error))
    }
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
        let mut sink = FileSink::create(&uri(&path)).unwrap();
        assert_eq!(sink.write(&batch).unwrap(), Wrote::Messages(2));
        sink.finish().unwrap();
        let mut read = Batch::default();
        let mut source = source(&uri(&path), &setup(400)).unwrap();
        while source.read(&mut read, 8).unwrap() != Read::End {}
        assert_eq!(read.bytes(), batch.bytes());
        assert_eq!(read.len(), 4);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_cannot_be_opened_is_named_with_the_mend() {
        let nowhere = env::temp_dir().join("srt-cli-no-such-dir").join("a.ts");
        assert!(
            fault(source(&uri(&nowhere), &setup(1))).ends_with("no such file or directory; check the path")
        );
        assert!(fault(FileSink::create(&uri(&nowhere))).ends_with("; make the directory first"));
        let directory = env::temp_dir();
        assert!(fault(source(&uri(&directory), &setup(1))).ends_with("is a directory; name a file in it"));
        assert!(fault(FileSink::create(&uri(&directory))).ends_with("; name a file in it"));
    }
}
