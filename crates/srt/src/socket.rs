//! A connection, for programs that call and wait.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use srt_protocol::{
    config::{OptionValue, SocketOption},
    connection::{ConnectionError, Negotiated, State},
    handshake::RejectReason,
    link::KeyReport,
    stats::Stats,
    stream::{Message, Received, Sent},
    types::SocketId,
};

use crate::{
    Address, Error, Options, Readiness, Runtime, SrtGroup,
    address::try_each,
    driver::{
        handover::{Handover, Patience},
        parcel::{Messages, Parcel},
    },
    poll::{Source, Watched, sealed::Watchable},
};

/// A connection.
///
/// Both sides can send and receive at the same time. All calls take `&self`, and copies are cheap and mean the same
/// connection, so one thread can send while another receives. [`close`](Self::close) on any copy interrupts the calls that
/// wait on others. When the last copy is dropped the connection is closed in order in the background; a program that is
/// about to end calls [`close`](Self::close), which waits for it.
///
/// Messages keep their boundaries. A send takes at most [`max_message_size`](Self::max_message_size) bytes; a receive
/// gives one message. For many messages at a time there are [`send_batch`](Self::send_batch) and
/// [`recv_batch`](Self::recv_batch).
///
/// ```no_run
/// use srt::{Options, SrtSocket};
/// use std::{thread, time::Duration};
///
/// let options = Options::new().latency(Duration::from_millis(200)).send_timeout(Some(Duration::from_secs(1)));
/// let socket = SrtSocket::connect("192.0.2.7:9000", &options)?;
///
/// let reader = socket.clone();
/// thread::spawn(move || {
///     let mut buffer = [0; 1456];
///     while let Ok(len) = reader.recv(&mut buffer) {
///         println!("{} bytes came back", len);
///     }
/// });
/// let sent = socket.send(b"hello")?;
/// println!("message {} as packet {}", sent.msgno.value(), sent.seq.value());
/// println!("round trip {} ms", socket.stats(false).ms_rtt);
/// socket.close()?;
/// # Ok::<(), srt::Error>(())
/// ```
#[derive(Clone)]
pub struct SrtSocket {
    handle: Arc<Handle>,
}

/// What the copies of a socket share; the last one to go closes the connection.
struct Handle {
    handover: Arc<Handover>,
    /// Keeps the workers running.
    _runtime: Runtime,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.handover.abandon();
    }
}

impl SrtSocket {
    pub(crate) fn new(handover: Arc<Handover>, runtime: Runtime) -> Self {
        Self { handle: Arc::new(Handle { handover, _runtime: runtime }) }
    }

    pub(crate) fn handover(&self) -> &Arc<Handover> {
        &self.handle.handover
    }

    // ---- connecting --------------------------------------------------------------------------------------------

    /// Calls a listener and waits for the connection, for each of its addresses at most
    /// [`connect_timeout`](Options::connect_timeout).
    ///
    /// Where a name has several addresses they are tried in turn.
    ///
    /// # Errors
    /// [`Error::Resolve`] if there is no such host; [`Error::Connect`] if nobody answers or the call is rejected (of the
    /// last address tried); [`Error::Bind`] or [`Error::Start`] if the system is out of something.
    pub fn connect(to: impl Address, options: &Options) -> Result<Self, Error> {
        connect_any(None, to, options)
    }

    /// Calls a listener from a certain local address: an IP address of this machine, or a port, or both.
    ///
    /// Port 0 is any. A port that this program has open already, with the same UDP options, is shared.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`Error::Bind`] or [`Error::PortShared`] if the local address cannot be had.
    pub fn connect_from(local: SocketAddr, to: impl Address, options: &Options) -> Result<Self, Error> {
        connect_any(Some(local), to, options)
    }

    /// Starts to call a listener, and returns at once.
    ///
    /// [`wait_connected`](Self::wait_connected) waits for the outcome; a [`Poll`](crate::Poll) tells the socket writable
    /// when it stands, and of an error when it will not.
    ///
    /// # Errors
    /// [`Error::Bind`] or [`Error::PortShared`] if the local address cannot be had, [`Error::Address`] if one of the two
    /// cannot be used.
    pub fn start_connect(
        local: Option<SocketAddr>,
        to: SocketAddr,
        options: &Options,
    ) -> Result<Self, Error> {
        let runtime = options.chosen_runtime()?;
        let handover = runtime.connect(local, to, options)?;
        Ok(Self::new(handover, runtime))
    }

    /// Waits until the connection stands, or is known not to; with `timeout` `None` as long as CONNTIMEO.
    ///
    /// # Errors
    /// [`Error::Connect`] if it does not come to be, [`Error::Timeout`] if that is still open after `timeout`,
    /// [`Error::Closed`] if it was closed.
    pub fn wait_connected(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.handover().wait_connected(timeout)
    }

    /// The group, where the stream has several links.
    #[must_use]
    pub fn group(&self) -> Option<SrtGroup> {
        SrtGroup::of(self)
    }

    // ---- sending -----------------------------------------------------------------------------------------------

    /// Sends one message, and tells its numbers and time. Waits while the send buffer is full.
    ///
    /// That it was taken does not mean that it has arrived: it has its numbers, and will be delivered if time allows.
    ///
    /// # Errors
    /// [`Error::Timeout`] after [`send_timeout`](Options::send_timeout), [`Error::WouldBlock`] with SNDSYN off;
    /// [`Error::TooLarge`], [`Error::Empty`]; [`Error::Closed`] once the connection is closed or broken.
    pub fn send(&self, data: &[u8]) -> Result<Sent, Error> {
        self.send_message(&Message::new(data))
    }

    /// Sends one message with a source time or a time to live. Waits while the send buffer is full.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_message(&self, message: &Message<'_>) -> Result<Sent, Error> {
        self.handover().send(message, Patience::AsConfigured)
    }

    /// Sends one message if there is room.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if there is none; else as [`send`](Self::send).
    pub fn try_send(&self, data: &[u8]) -> Result<Sent, Error> {
        self.try_send_message(&Message::new(data))
    }

    /// Sends one message with a source time or a time to live if there is room.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if there is none; else as [`send`](Self::send).
    pub fn try_send_message(&self, message: &Message<'_>) -> Result<Sent, Error> {
        self.handover().send(message, Patience::None)
    }

    /// Sends the first of these messages, and as many more as there is room for; tells how many that were. Waits while
    /// there is no room at all.
    ///
    /// Costs less than as many single sends. A message that cannot be sent ends the batch before it, and is the error of
    /// the next call.
    ///
    /// # Errors
    /// As [`send`](Self::send), for the first message; nothing was sent then.
    pub fn send_batch(&self, messages: &[&[u8]]) -> Result<usize, Error> {
        self.handover().send_batch(messages, Patience::AsConfigured)
    }

    /// Sends as many of these messages as there is room for, and tells how many that were.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if there is no room at all; else as [`send_batch`](Self::send_batch).
    pub fn try_send_batch(&self, messages: &[&[u8]]) -> Result<usize, Error> {
        self.handover().send_batch(messages, Patience::None)
    }

    // ---- receiving ---------------------------------------------------------------------------------------------

    /// Receives one message into `buffer`, and tells its length. Waits until one is due.
    ///
    /// # Errors
    /// [`Error::Timeout`] after [`receive_timeout`](Options::receive_timeout), [`Error::WouldBlock`] with RCVSYN off;
    /// [`Error::BufferTooSmall`] if the message does not fit, which stays then; [`Error::Closed`] once the connection is at
    /// its end and everything has been read ([`is_end_of_stream`](Error::is_end_of_stream) if the peer closed it in order).
    pub fn recv(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.recv_message(buffer).map(|received| received.len)
    }

    /// Receives one message into `buffer`, and tells its length, numbers and times. Waits until one is due.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_message(&self, buffer: &mut [u8]) -> Result<Received, Error> {
        self.handover().recv(buffer, Patience::AsConfigured)
    }

    /// Receives one message if one is due.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if none is; else as [`recv`](Self::recv).
    pub fn try_recv(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.try_recv_message(buffer).map(|received| received.len)
    }

    /// Receives one message with its numbers and times if one is due.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if none is; else as [`recv`](Self::recv).
    pub fn try_recv_message(&self, buffer: &mut [u8]) -> Result<Received, Error> {
        self.handover().recv(buffer, Patience::None)
    }

    /// Takes all messages that are due, and tells how many. What `batch` held before is gone. Waits until one is due.
    ///
    /// The messages are handed over without being copied.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_batch(&self, batch: &mut MessageBatch) -> Result<usize, Error> {
        self.handover().recv_batch(&mut batch.parcel, Patience::AsConfigured)
    }

    /// Takes all messages that are due, if any, and tells how many. What `batch` held before is gone.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if none is due; else as [`recv`](Self::recv).
    pub fn try_recv_batch(&self, batch: &mut MessageBatch) -> Result<usize, Error> {
        self.handover().recv_batch(&mut batch.parcel, Patience::None)
    }

    // ---- ending ------------------------------------------------------------------------------------------------

    /// Ends the connection in order, and waits for the end: what was sent is delivered as far as time allows, then the peer
    /// is told. What was received and not read is gone.
    ///
    /// Calls that wait in other threads are interrupted. It takes until the peer has confirmed and played everything, about its
    /// latency; where it confirms nothing any more, [`linger`](Options::linger), or without that the latency and 3 s. A second
    /// call waits as well, and does nothing else.
    ///
    /// # Errors
    /// [`Error::Unconfirmed`] if the peer does not have everything. Whatever happens, the connection is at its end.
    pub fn close(&self) -> Result<(), Error> {
        self.start_close();
        self.handover().wait_closed()
    }

    /// Starts to end the connection in order, and returns at once; the same as dropping the last copy.
    pub fn start_close(&self) {
        self.handover().close(false);
    }

    /// Ends the connection at once. The peer is told; what was not delivered is lost.
    pub fn abort(&self) {
        self.handover().close(true);
    }

    // ---- asking ------------------------------------------------------------------------------------------------

    /// Where the connection is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        self.handover().state()
    }

    /// Whether both directions are open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state() == State::Connected
    }

    /// Why the connection ended or did not come to be; `None` while it has not.
    #[must_use]
    pub fn close_reason(&self) -> Option<ConnectionError> {
        self.handover().close_reason()
    }

    /// Why the peer rejected the connection, if it did.
    #[must_use]
    pub fn reject_reason(&self) -> Option<RejectReason> {
        match self.close_reason() {
            Some(ConnectionError::Rejected(reason)) => Some(reason),
            _ => None,
        }
    }

    /// What it would not have to wait for now.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.handover().readiness()
    }

    /// The figures; with `clear` the intervals start anew, so that no packet is counted twice or not at all.
    ///
    /// They are those of at most 20 ms ago: nobody is asked for them, so that taking them disturbs no stream. After the end
    /// these are the last figures. The sizes of the buffers are averaged over about a second.
    #[must_use]
    pub fn stats(&self, clear: bool) -> Stats {
        self.handover().stats(clear, false)
    }

    /// The same with the sizes of the buffers as they are, not averaged.
    #[doc(alias = "srt_bistats")]
    #[must_use]
    pub fn stats_instantaneous(&self, clear: bool) -> Stats {
        self.handover().stats(clear, true)
    }

    /// How the exchange of keys stands: SNDKMSTATE, RCVKMSTATE, and what was counted of it. At most 50 ms old.
    #[must_use]
    pub fn keys(&self) -> KeyReport {
        self.handover().keys()
    }

    /// Our number of the connection, which stands in every packet the peer sends.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.handover().id()
    }

    /// The peer's address. An IPv4 peer is shown as such, on an IPv6 port as well.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.handover().peer()
    }

    /// Our address. Bound to all addresses, it is the one the peer uses, once connected.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.handover().local()
    }

    /// The stream ID that the caller gave, whichever side that was.
    #[must_use]
    pub fn stream_id(&self) -> Vec<u8> {
        self.handover().stream_id()
    }

    /// What both sides agreed on; `None` before they did.
    #[must_use]
    pub fn negotiated(&self) -> Option<Negotiated> {
        self.handover().negotiated().map(|negotiated| (*negotiated).clone())
    }

    /// Most bytes of one message.
    #[must_use]
    pub fn max_message_size(&self) -> usize {
        self.handover().message_max()
    }

    /// Reads an option, in libsrt's unit.
    ///
    /// # Errors
    /// [`Error::Config`] if the option cannot be read.
    pub fn option(&self, option: SocketOption) -> Result<OptionValue, Error> {
        Ok(self.handover().option(option)?)
    }

    /// Sets an option that may be set at any time, in libsrt's unit.
    ///
    /// # Errors
    /// [`Error::Config`] if the value is not allowed, or the option cannot be set any more.
    pub fn set_option(&self, option: SocketOption, value: impl Into<OptionValue>) -> Result<(), Error> {
        self.handover().set_option(option, value.into())
    }
}

impl fmt::Debug for SrtSocket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SrtSocket")
            .field("id", &self.id())
            .field("local", &self.local_addr())
            .field("peer", &self.peer_addr())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Source for SrtSocket {}

impl Watchable for SrtSocket {
    fn watched(&self) -> Arc<dyn Watched> {
        Arc::clone(self.handover()) as Arc<dyn Watched>
    }
}

/// Received messages, as [`SrtSocket::recv_batch`] takes them all at once. Use one for all calls: the memory is kept.
///
/// ```no_run
/// # let socket = srt::SrtSocket::connect("192.0.2.7:9000", &srt::Options::new())?;
/// let mut batch = srt::MessageBatch::new();
/// while socket.recv_batch(&mut batch).is_ok() {
///     for (received, data) in &batch {
///         println!("message {}: {} bytes", received.msgno.value(), data.len());
///     }
/// }
/// # Ok::<(), srt::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MessageBatch {
    pub(crate) parcel: Parcel,
}

impl MessageBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of messages.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.parcel.len()
    }

    /// Whether there is no message.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.parcel.is_empty()
    }

    /// Bytes of all messages.
    #[must_use]
    pub const fn byte_len(&self) -> usize {
        self.parcel.byte_len()
    }

    /// The messages in the order they were sent: what is known of each, and its data.
    pub fn iter(&self) -> Messages<'_> {
        self.parcel.iter()
    }

    /// Empties it; the memory stays.
    pub fn clear(&mut self) {
        self.parcel.clear();
    }
}

impl<'a> IntoIterator for &'a MessageBatch {
    type Item = (&'a Received, &'a [u8]);
    type IntoIter = Messages<'a>;

    fn into_iter(self) -> Messages<'a> {
        self.iter()
    }
}

fn connect_any(local: Option<SocketAddr>, to: impl Address, options: &Options) -> Result<SrtSocket, Error> {
    try_each(to.target().resolve()?, |addr| {
        let socket = SrtSocket::start_connect(local, addr, options)?;
        socket.wait_connected(None)?;
        Ok(socket)
    })
}
