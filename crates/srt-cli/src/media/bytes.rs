//! Byte streams cut into messages: what files and pipes have in common.

use std::io::{self, ErrorKind};
use std::time::Instant;

use super::{Nature, Read, Setup, Source, WAIT};
use crate::batch::Batch;
use crate::error::Failure;
use crate::pacer::{Due, Pacer};

/// Messages read ahead in one go.
const READ_AHEAD: usize = 64;

/// Cuts what `R` reads into messages of `chunk` bytes.
///
/// A reader that has nothing for the moment says [`ErrorKind::WouldBlock`] after [`WAIT`]; a message begun is then sent
/// short rather than held back.
#[derive(Debug)]
pub(crate) struct ByteSource<R> {
    reader: R,
    name: String,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    chunk: usize,
    pacer: Option<Pacer>,
    began: Instant,
    ended: bool,
    stopping: bool,
    keeps_on_stop: bool,
}

impl<R: io::Read> ByteSource<R> {
    /// `keeps_on_stop`: whether what was read already cannot be read again and so must still be sent after a stop.
    pub(crate) fn new(reader: R, name: &str, setup: &Setup, keeps_on_stop: bool) -> Self {
        let chunk = setup.chunk.max(1);
        Self {
            reader,
            name: name.to_owned(),
            buffer: vec![0; chunk * READ_AHEAD],
            start: 0,
            end: 0,
            chunk,
            pacer: setup.rate.map(Pacer::new),
            began: Instant::now(),
            ended: false,
            stopping: false,
            keeps_on_stop,
        }
    }

    /// Reads once; `false` when nothing came for now.
    fn fill(&mut self) -> Result<bool, Failure> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(source) => {
                    let mend = "check the medium it is on; what was read before has been sent";
                    return Err(Failure::Transfer {
                        what: self.name.clone(),
                        doing: "reading",
                        source,
                        mend,
                    });
                }
            }
            return Ok(true);
        }
    }
}

impl<R: io::Read + Send> Source for ByteSource<R> {
    fn read(&mut self, batch: &mut Batch, room: usize) -> Result<Read, Failure> {
        let mut idle = false;
        if self.end - self.start < self.chunk && !self.ended {
            idle = !self.fill()?;
        }
        let held = self.end - self.start;
        let flush = self.ended || idle;
        let ready = if flush { held.div_ceil(self.chunk) } else { held / self.chunk };
        if ready == 0 {
            return Ok(if self.ended || (self.stopping && idle) { Read::End } else { Read::Nothing });
        }
        let mut count = ready.min(room.max(1));
        if let Some(pacer) = &mut self.pacer
            && !self.stopping
        {
            match pacer.due(self.began.elapsed(), self.chunk, count) {
                Due::Now(due) => count = due,
                Due::Wait(span) => {
                    std::thread::sleep(span.min(WAIT));
                    return Ok(Read::Nothing);
                }
            }
        }
        for _ in 0..count {
            let size = self.chunk.min(self.end - self.start);
            batch.push(&self.buffer[self.start..self.start + size], None);
            self.start += size;
            if let Some(pacer) = &mut self.pacer {
                pacer.sent(size);
            }
        }
        Ok(Read::Messages)
    }

    fn stop(&mut self) {
        self.stopping = true;
        if !self.keeps_on_stop {
            self.ended = true;
            self.start = self.end;
        }
    }

    fn nature(&self) -> Nature {
        Nature::Stored
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::*;
    use crate::stop::Stop;
    use crate::talk::Talk;

    pub(crate) fn setup(chunk: usize) -> Setup {
        let (stop, talk) = (Stop::default(), Talk::silent());
        Setup {
            chunk,
            rate: None,
            reconnect: false,
            passphrase: None,
            source_time: false,
            counters: Arc::default(),
            stop,
            talk,
        }
    }

    /// Gives its pieces one a read; an empty piece is a pause.
    struct Pieces(VecDeque<Vec<u8>>);

    impl io::Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Some(piece) = self.0.pop_front() else { return Ok(0) };
            if piece.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            into[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    fn source(pieces: &[usize], chunk: usize) -> ByteSource<Pieces> {
        let mut byte = 0_u8;
        let mut piece = |size: &usize| {
            (0..*size)
                .map(|_| {
                    byte = byte.wrapping_add(1);
                    byte
                })
                .collect()
        };
        let pieces = pieces.iter().map(&mut piece).collect();
        ByteSource::new(Pieces(pieces), "pieces", &setup(chunk), true)
    }

    fn all(source: &mut ByteSource<Pieces>) -> Vec<usize> {
        let mut batch = Batch::default();
        while source.read(&mut batch, 3).unwrap() != Read::End {}
        let expected: Vec<u8> = (0..=u8::MAX).cycle().take(batch.bytes().len()).collect();
        let got: Vec<u8> = batch.bytes().iter().map(|byte| byte.wrapping_sub(1)).collect();
        assert_eq!(got, expected, "no byte is lost, doubled or moved");
        batch.iter().map(|(message, _)| message.len()).collect()
    }

    #[test]
    fn short_reads_are_put_together_to_whole_messages() {
        assert_eq!(all(&mut source(&[5, 1, 4, 13, 7], 10)), [10, 10, 10]);
    }

    #[test]
    fn the_end_in_the_middle_of_a_message_sends_it_short() {
        assert_eq!(all(&mut source(&[25], 10)), [10, 10, 5]);
        assert_eq!(all(&mut source(&[3], 10)), [3]);
        assert_eq!(all(&mut source(&[], 10)), [0; 0]);
    }

    #[test]
    fn a_pause_sends_what_has_begun() {
        assert_eq!(all(&mut source(&[13, 0, 0, 20], 10)), [10, 3, 10, 10]);
    }

    #[test]
    fn a_stopped_pipe_still_gives_what_it_holds() {
        let mut source = source(&[25, 0, 10], 10);
        let mut batch = Batch::default();
        assert_eq!(source.read(&mut batch, 1).unwrap(), Read::Messages);
        source.stop();
        assert_eq!(source.read(&mut batch, 8).unwrap(), Read::Messages);
        assert_eq!(source.read(&mut batch, 8).unwrap(), Read::Messages);
        assert_eq!(batch.iter().map(|(message, _)| message.len()).collect::<Vec<_>>(), [10, 10, 5]);
    }

    #[test]
    fn a_stopped_file_ends_at_once() {
        let mut source = source(&[25, 10], 10);
        source.keeps_on_stop = false;
        let mut batch = Batch::default();
        assert_eq!(source.read(&mut batch, 1).unwrap(), Read::Messages);
        source.stop();
        assert_eq!(source.read(&mut batch, 8).unwrap(), Read::End);
    }

    #[test]
    fn a_rate_holds_messages_back() {
        let mut source = source(&[25], 10);
        source.pacer = Some(Pacer::new(8)); // a byte a second
        let mut batch = Batch::default();
        assert_eq!(source.read(&mut batch, 8).unwrap(), Read::Messages);
        assert_eq!(batch.len(), 1, "the first leaves at once");
        assert_eq!(source.read(&mut batch, 8).unwrap(), Read::Nothing, "the second in ten seconds");
    }

    #[test]
    fn an_error_names_the_medium() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(5))
            }
        }
        let mut source = ByteSource::new(Broken, "a.ts", &setup(10), false);
        let said = source.read(&mut Batch::default(), 1).unwrap_err().to_string();
        assert!(said.starts_with("a.ts: reading failed: "), "{said}");
    }
}
