//! Taking callers, for tasks.

use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use super::{SrtSocket, Wait, Waitable, next_key, pending_if_blocked};
use crate::{
    Address, ConnectRequest, Decision, Error, Options,
    driver::listening::Listening,
    poll::{Source, Watched, sealed::Watchable},
};

/// A listener whose [`accept`](Self::accept) is a future. See [`crate::SrtListener`], and
/// [`as_blocking`](Self::as_blocking) for the calls that do not wait: hook, statistics.
///
/// Copies are cheap and mean the same listener. [`poll_accept`](Self::poll_accept) keeps one waker for each copy: the one
/// given last.
pub struct SrtListener {
    listener: crate::SrtListener,
    /// Under which `poll_accept` of this copy waits.
    key: u64,
}

impl SrtListener {
    /// Listens on a UDP port. It does not wait, unless for the name of the address to be looked up.
    ///
    /// # Errors
    /// As [`crate::SrtListener::bind`].
    pub fn bind(local: impl Address, options: &Options) -> Result<Self, Error> {
        crate::SrtListener::bind(local, options).map(Self::from)
    }

    /// The same with a hook from the first caller on: see [`crate::SrtListener::set_hook`].
    ///
    /// # Errors
    /// As [`crate::SrtListener::bind`].
    pub fn bind_with_hook(
        local: impl Address,
        options: &Options,
        hook: impl FnMut(&ConnectRequest) -> Decision + Send + 'static,
    ) -> Result<Self, Error> {
        crate::SrtListener::bind_with_hook(local, options, hook).map(Self::from)
    }

    /// The next connection and its peer.
    ///
    /// # Errors
    /// [`Error::ListenerClosed`].
    pub async fn accept(&self) -> Result<(SrtSocket, SocketAddr), Error> {
        let listening: &Listening = self.listener.listening();
        Wait::new(listening, |key, waker| {
            pending_if_blocked(listening.check_accept(key, waker).map(|handover| {
                let (socket, peer) = self.listener.wrap(handover);
                (SrtSocket::from(socket), peer)
            }))
        })
        .await
    }

    /// The next connection and its peer, if there is one; else the task is woken when there is.
    ///
    /// # Errors
    /// [`Error::ListenerClosed`].
    pub fn poll_accept(&self, context: &mut Context<'_>) -> Poll<Result<(SrtSocket, SocketAddr), Error>> {
        pending_if_blocked(self.listener.listening().check_accept(self.key, context.waker()).map(
            |handover| {
                let (socket, peer) = self.listener.wrap(handover);
                (SrtSocket::from(socket), peer)
            },
        ))
    }

    /// The address it is bound to; the port is never 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Takes no more callers: see [`crate::SrtListener::close`]. The port is freed in the background.
    pub fn close(&self) {
        self.listener.listening().close(false);
    }

    /// The same listener for blocking calls, and those that do not wait.
    #[must_use]
    pub const fn as_blocking(&self) -> &crate::SrtListener {
        &self.listener
    }
}

impl Waitable for Listening {
    fn dismiss(&self, key: u64) {
        Self::dismiss(self, key);
    }
}

impl From<crate::SrtListener> for SrtListener {
    fn from(listener: crate::SrtListener) -> Self {
        Self { listener, key: next_key() }
    }
}

impl Clone for SrtListener {
    fn clone(&self) -> Self {
        Self::from(self.listener.clone())
    }
}

impl Drop for SrtListener {
    /// A task that polled this copy is not to be woken for it any more.
    fn drop(&mut self) {
        self.listener.listening().dismiss(self.key);
    }
}

impl fmt::Debug for SrtListener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listener.fmt(out)
    }
}

impl Source for SrtListener {}

impl Watchable for SrtListener {
    fn watched(&self) -> Arc<dyn Watched> {
        self.listener.watched()
    }
}
