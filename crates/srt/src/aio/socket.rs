//! A connection, for tasks.

use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use srt_protocol::stream::{Message, Received, Sent};

use super::{Wait, Waitable, lookup::lookup, next_key, pending_if_blocked};
use crate::{
    Address, Error, MessageBatch, Options,
    driver::handover::{Handover, Patience},
    poll::{Source, Watched, sealed::Watchable},
};

/// A connection whose calls are futures. See [`crate::SrtSocket`] for what they do, and [`as_blocking`](Self::as_blocking)
/// for all that does not wait: statistics, state, options.
///
/// Copies are cheap and mean the same connection, so one task can send while another receives. The `poll_*` calls keep one
/// waker for each copy and direction: the one given last.
pub struct SrtSocket {
    socket: crate::SrtSocket,
    /// Under which the `poll_*` calls of this copy wait.
    key: u64,
}

impl SrtSocket {
    /// Calls a listener. Where a name has several addresses they are tried in turn.
    ///
    /// # Errors
    /// As [`crate::SrtSocket::connect`].
    pub async fn connect(to: impl Address, options: &Options) -> Result<Self, Error> {
        Self::connect_any(None, to, options).await
    }

    /// Calls a listener from a certain local address.
    ///
    /// # Errors
    /// As [`crate::SrtSocket::connect_from`].
    pub async fn connect_from(local: SocketAddr, to: impl Address, options: &Options) -> Result<Self, Error> {
        Self::connect_any(Some(local), to, options).await
    }

    async fn connect_any(
        local: Option<SocketAddr>,
        to: impl Address,
        options: &Options,
    ) -> Result<Self, Error> {
        let mut last = None;
        for addr in lookup(to.target()).await? {
            let started = crate::SrtSocket::start_connect(local, addr, options).map(Self::from);
            let connected = match started {
                Ok(socket) => socket.connected().await.map(|()| socket),
                Err(error) => Err(error),
            };
            match connected {
                Ok(socket) => return Ok(socket),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("a host that was found has an address"))
    }

    /// Waits until the connection stands, after [`crate::SrtSocket::start_connect`].
    ///
    /// # Errors
    /// [`Error::Connect`] if it does not come to be.
    pub async fn connected(&self) -> Result<(), Error> {
        Wait::new(self.waitable(), |key, waker| match self.handover().check_connected(key, waker) {
            Err(Error::NotConnected) => Poll::Pending,
            other => Poll::Ready(other),
        })
        .await
    }

    /// Sends one message once there is room, and tells its numbers and time.
    ///
    /// # Errors
    /// As [`crate::SrtSocket::send`].
    pub async fn send(&self, data: &[u8]) -> Result<Sent, Error> {
        self.send_message(&Message::new(data)).await
    }

    /// Sends one message with a source time or a time to live once there is room.
    ///
    /// # Errors
    /// As [`crate::SrtSocket::send`].
    pub async fn send_message(&self, message: &Message<'_>) -> Result<Sent, Error> {
        self.wait(|patience| self.handover().send(message, patience)).await
    }

    /// Sends the first of these messages once there is room, and as many more as there is room for; tells how many.
    ///
    /// # Errors
    /// As [`crate::SrtSocket::send_batch`].
    pub async fn send_batch(&self, messages: &[&[u8]]) -> Result<usize, Error> {
        self.wait(|patience| self.handover().send_batch(messages, patience)).await
    }

    /// Receives one message into `buffer` once it is due, and tells its length.
    ///
    /// # Errors
    /// As [`crate::SrtSocket::recv`].
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.recv_message(buffer).await.map(|received| received.len)
    }

    /// Receives one message into `buffer` once it is due, and tells its length, numbers and times.
    ///
    /// # Errors
    /// As [`crate::SrtSocket::recv`].
    pub async fn recv_message(&self, buffer: &mut [u8]) -> Result<Received, Error> {
        self.wait(|patience| self.handover().recv(buffer, patience)).await
    }

    /// Takes all messages that are due, at least one. What `batch` held before is gone.
    ///
    /// # Errors
    /// As [`crate::SrtSocket::recv_batch`].
    pub async fn recv_batch(&self, batch: &mut MessageBatch) -> Result<usize, Error> {
        self.wait(|patience| self.handover().recv_batch(&mut batch.parcel, patience)).await
    }

    /// Waits until a message is due.
    ///
    /// # Errors
    /// As [`crate::SrtSocket::recv`].
    pub async fn readable(&self) -> Result<(), Error> {
        self.wait(|patience| self.handover().readable(patience)).await
    }

    /// Waits until there is room to send.
    ///
    /// # Errors
    /// As [`crate::SrtSocket::send`].
    pub async fn writable(&self) -> Result<(), Error> {
        self.wait(|patience| self.handover().writable(patience)).await
    }

    /// Ends the connection in order, and waits for the end: see [`crate::SrtSocket::close`].
    ///
    /// Dropping this future does not stop the end.
    ///
    /// # Errors
    /// None at this time: whatever happens, the connection is at its end.
    pub async fn close(&self) -> Result<(), Error> {
        self.socket.start_close();
        Wait::new(self.waitable(), |key, waker| match self.handover().check_closed(key, waker) {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        })
        .await
    }

    /// Ends the connection at once.
    pub fn abort(&self) {
        self.socket.abort();
    }

    /// Whether the connection stands; the task is woken when that is known.
    ///
    /// # Errors
    /// As [`connected`](Self::connected).
    pub fn poll_connected(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.handover().check_connected(self.key, context.waker()) {
            Err(Error::NotConnected) => Poll::Pending,
            other => Poll::Ready(other),
        }
    }

    /// Sends one message if there is room; else the task is woken when there is.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn poll_send(&self, context: &mut Context<'_>, message: &Message<'_>) -> Poll<Result<Sent, Error>> {
        pending_if_blocked(self.handover().send(message, self.patience(context)))
    }

    /// Receives one message if one is due; else the task is woken when one is.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<Received, Error>> {
        pending_if_blocked(self.handover().recv(buffer, self.patience(context)))
    }

    /// Takes all messages that are due, if any; else the task is woken when one is.
    ///
    /// # Errors
    /// As [`recv_batch`](Self::recv_batch).
    pub fn poll_recv_batch(
        &self,
        context: &mut Context<'_>,
        batch: &mut MessageBatch,
    ) -> Poll<Result<usize, Error>> {
        pending_if_blocked(self.handover().recv_batch(&mut batch.parcel, self.patience(context)))
    }

    /// Whether the connection is at its end; else the task is woken when it is.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn poll_closed(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.handover().check_closed(self.key, context.waker()) {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        }
    }

    /// The same connection for calls that do not wait, or that may keep the thread.
    #[must_use]
    pub const fn as_blocking(&self) -> &crate::SrtSocket {
        &self.socket
    }

    /// Gives the connection back for blocking calls.
    #[must_use]
    pub fn into_blocking(self) -> crate::SrtSocket {
        self.socket.clone()
    }

    fn handover(&self) -> &Arc<Handover> {
        self.socket.handover()
    }

    fn waitable(&self) -> &Handover {
        self.socket.handover()
    }

    fn patience<'a>(&self, context: &'a Context<'_>) -> Patience<'a> {
        Patience::Task { key: self.key, waker: context.waker() }
    }

    async fn wait<T>(&self, mut attempt: impl FnMut(Patience<'_>) -> Result<T, Error>) -> Result<T, Error> {
        Wait::new(self.waitable(), |key, waker| pending_if_blocked(attempt(Patience::Task { key, waker })))
            .await
    }
}

impl Waitable for Handover {
    fn dismiss(&self, key: u64) {
        Self::dismiss(self, key);
    }
}

impl From<crate::SrtSocket> for SrtSocket {
    fn from(socket: crate::SrtSocket) -> Self {
        Self { socket, key: next_key() }
    }
}

impl Clone for SrtSocket {
    fn clone(&self) -> Self {
        Self::from(self.socket.clone())
    }
}

impl Drop for SrtSocket {
    /// A task that polled this copy is not to be woken for it any more.
    fn drop(&mut self) {
        self.waitable().dismiss(self.key);
    }
}

impl fmt::Debug for SrtSocket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(out)
    }
}

impl Source for SrtSocket {}

impl Watchable for SrtSocket {
    fn watched(&self) -> Arc<dyn Watched> {
        self.socket.watched()
    }
}
