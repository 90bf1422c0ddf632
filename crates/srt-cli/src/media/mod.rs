//! Media: where messages come from and where they go.
//!
//! A [`Source`] fills batches, a [`Sink`] empties them; the [pump](crate::pump) stands between. Neither blocks for longer
//! than about [`WAIT`], so that a wish to stop is heard at once.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::error::{Failure, UriProblem};
use crate::pump::Counters;
use crate::secret::Secret;
use crate::stop::Stop;
use crate::talk::Talk;

mod bytes;
mod file;
mod interface;
pub(crate) mod lenient;
pub(crate) mod links;
pub(crate) mod news;
mod null;
mod rtp;
pub(crate) mod srt;
mod stdio;
mod test;
mod udp;
pub(crate) mod uri;

pub(crate) use self::null::NullSink;
pub(crate) use self::test::{TestSource, TestSpec};
pub(crate) use self::uri::{MediaUri, Scheme};

/// The longest a medium waits for something to happen before it looks up.
pub(crate) const WAIT: Duration = Duration::from_millis(100);

/// Where messages come from.
pub(crate) trait Source: Send {
    /// Appends at least one and about `room` messages at most, waiting for the first no longer than [`WAIT`].
    ///
    /// # Errors
    /// Only what ends the transfer.
    fn read(&mut self, batch: &mut Batch, room: usize) -> Result<Read, Failure>;

    /// Asks for an end: what is already in hand is still read, then [`Read::End`] comes.
    fn stop(&mut self);

    /// How it behaves while nobody takes its messages.
    fn nature(&self) -> Nature;
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// At least one message.
    Messages,
    /// None yet.
    Nothing,
    /// None any more.
    End,
}

/// How a source behaves while the output is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Comes whether wanted or not; what nobody takes is thrown away, for old pictures are worth nothing.
    Live,
    /// Begins when the output is there, then goes on like [`Live`](Self::Live).
    Generated,
    /// Waits for the output at any time.
    Stored,
}

/// Where messages go.
pub(crate) trait Sink: Send {
    /// Whether it takes messages now; waits for that no longer than [`WAIT`]. Also called when there is nothing to write,
    /// so that a broken connection shows.
    ///
    /// # Errors
    /// Only what ends the transfer.
    fn ready(&mut self) -> Result<bool, Failure> {
        Ok(true)
    }

    /// Takes the messages in order.
    ///
    /// # Errors
    /// Only what ends the transfer.
    fn write(&mut self, batch: &Batch) -> Result<Wrote, Failure>;

    /// Ends in order: nothing taken is lost if the other side is there.
    ///
    /// # Errors
    /// When not everything could be handed over.
    fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// So many of its messages are taken; fewer than all when the rest must wait for [`Sink::ready`].
    Messages(usize),
    /// The reader behind the output has had enough, which is no fault.
    Enough,
}

/// What all media are opened with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Bytes per message, where the medium has no messages of its own.
    pub(crate) chunk: usize,
    /// Bits per second at which files and pipes are read; as fast as they go without.
    pub(crate) rate: Option<u64>,
    /// Whether SRT connections are made anew when they end.
    pub(crate) reconnect: bool,
    /// The passphrase of `srt://` addresses that say nothing about one.
    pub(crate) passphrase: Option<Secret>,
    /// Whether SRT outputs pass on the time of origin.
    pub(crate) source_time: bool,
    /// Where it is counted what a medium throws away.
    pub(crate) counters: Arc<Counters>,
    /// The wish to stop.
    pub(crate) stop: Stop,
    /// Where notes go.
    pub(crate) talk: Talk,
}

/// Opens an input. `limit` is the largest message that the output takes.
///
/// # Errors
/// A wrong parameter, or what the system refuses.
pub(crate) fn open_source(
    uri: &MediaUri,
    setup: &Setup,
    limit: Option<usize>,
    srt: Option<srt::Link>,
) -> Result<Box<dyn Source>, Failure> {
    Ok(match uri.scheme {
        Scheme::Srt => match srt {
            Some(link) => Box::new(srt::SrtSource::new(link)),
            None => return Err(uri.fault(UriProblem::NotSrt).into()),
        },
        Scheme::Udp => Box::new(udp::UdpSource::open(uri, setup, limit, rtp::Strip::Nothing)?),
        Scheme::Rtp => Box::new(udp::UdpSource::open(uri, setup, limit, rtp::Strip::of(uri)?)?),
        Scheme::File => file::source(uri, setup)?,
        Scheme::Stdio => Box::new(stdio::source(setup)),
        Scheme::Test => Box::new(TestSource::open(uri, limit)?),
        Scheme::Null => {
            return Err(uri.fault(UriProblem::NotAnInput("use test:// for a generated stream")).into());
        }
    })
}

/// Opens an output.
///
/// # Errors
/// A wrong parameter, or what the system refuses.
pub(crate) fn open_sink(
    uri: &MediaUri,
    setup: &Setup,
    srt: Option<srt::Link>,
) -> Result<Box<dyn Sink>, Failure> {
    Ok(match uri.scheme {
        Scheme::Srt => match srt {
            Some(link) => Box::new(srt::SrtSink::new(link, setup.source_time)),
            None => return Err(uri.fault(UriProblem::NotSrt).into()),
        },
        Scheme::Udp => Box::new(udp::UdpSink::open(uri, setup, None)?),
        Scheme::Rtp => Box::new(udp::UdpSink::open(uri, setup, Some(rtp::Header::of(uri)?))?),
        Scheme::File => file::sink(uri)?,
        Scheme::Stdio => Box::new(stdio::StdoutSink::new()),
        Scheme::Test | Scheme::Null => Box::new(NullSink::open(uri)?),
    })
}
