//! UDP with batches (GSO, GRO), the clock and precise waiting.
//!
//! This crate knows no SRT and depends on no other crate of this workspace. It is what a driver thread stands on:
//!
//! - [`Clock`]: the one place where time is read;
//! - [`Poller`] and [`Waker`]: sleep until a socket is ready, another thread calls, or a deadline in µs has come;
//! - [`UdpSocket`]: bound exclusively, with its options checked, its buffers read back and its traffic counted;
//! - [`SendItem`] and [`RecvBatch`]: many datagrams in one system call, with the local address of each;
//! - [`capabilities`]: what the kernel can do, probed once; what it cannot do is replaced quietly.
//!
//! On Linux all of it is in use: `sendmmsg`, `recvmmsg`, `UDP_SEGMENT`, `UDP_GRO`, `IP_PKTINFO`, `epoll_pwait2`.
//! Elsewhere the same calls work one datagram at a time, and the source address of a datagram is the system's choice.
//!
//! ```
//! use srt_io::{Clock, Events, Interest, Poller, RecvBatch, SendItem, UdpOptions, UdpSocket};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Clock::new();
//! let receiver = UdpSocket::bind("127.0.0.1:0".parse()?, &UdpOptions::default())?;
//! let sender = UdpSocket::bind("127.0.0.1:0".parse()?, &UdpOptions::default())?;
//! let poller = Poller::new()?;
//! poller.add(&receiver, 7, Interest::READABLE)?;
//!
//! // Three datagrams of 1000, 1000 and 500 bytes in one system call.
//! let train = [0; 2500];
//! let item = SendItem { to: receiver.local_addr(), from: None, data: &train, segment_size: 1000 };
//! assert_eq!(sender.send(&item)?.datagrams, 3);
//!
//! let (mut events, mut batch, mut sizes) = (Events::default(), RecvBatch::new(), Vec::new());
//! while sizes.len() < 3 {
//!     poller.wait(&mut events, Some(clock.now_micros() + 1_000_000))?;
//!     for event in events.iter().filter(|event| event.readable) {
//!         assert_eq!(event.token, 7);
//!         receiver.recv_batch(&mut batch)?;
//!         sizes.extend(batch.iter().flat_map(|item| item.datagrams()).map(<[u8]>::len));
//!     }
//! }
//! assert_eq!(sizes, [1000, 1000, 500]);
//! poller.remove(&receiver)?;
//! # Ok(())
//! # }
//! ```

mod batch;
mod capability;
mod clock;
mod counters;
mod socket;
mod sys;
#[cfg(test)]
mod testing;
mod wait;

pub use batch::{Datagrams, RecvBatch, RecvItem, SendFailure, SendItem, SendReport, Sent};
pub use capability::{Capabilities, capabilities};
pub use clock::{Clock, sleep_until};
pub use counters::{ErrorCounters, IoCounters, ReceiveCounters, SendCounters};
pub use socket::{BindError, GrantedBuffers, Steering, UdpOptions, UdpSocket, to_canonical, to_mapped};
pub use wait::{Event, Events, Interest, Poller, Waker, set_timer_slack_ns};
