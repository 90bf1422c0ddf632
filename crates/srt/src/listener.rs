//! Taking callers.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    Address, ConnectRequest, Decision, Error, ListenerStats, Options, Readiness, Runtime, SrtSocket,
    address::try_each,
    driver::{
        handover::Handover,
        listening::{Hook, Listening},
    },
    poll::{Source, Watched, sealed::Watchable},
};

/// Takes callers on a UDP port.
///
/// Callers are answered by the workers, and their connections stand already when [`accept`](Self::accept) gives them out.
/// A [hook](Self::set_hook) can look at each caller first. Any number of connections share the listener's port, and they
/// live on when the listener is closed or its last copy is dropped.
///
/// Copies are cheap and mean the same listener; all calls take `&self`.
///
/// ```no_run
/// use srt::{Decision, Options, RejectReason, SrtListener};
///
/// let listener = SrtListener::bind_with_hook("0.0.0.0:9000", &Options::new(), |caller| {
///     match caller.stream_id_text().as_ref() {
///         "#!::r=camera1,m=publish" => Decision::Accept,
///         _ => Decision::Reject(RejectReason::NOT_FOUND),
///     }
/// })?;
/// loop {
///     let (socket, peer) = listener.accept()?;
///     println!("{peer} has connected");
///     # drop(socket);
/// }
/// # Ok::<(), srt::Error>(())
/// ```
#[derive(Clone)]
pub struct SrtListener {
    handle: Arc<Handle>,
}

/// What the copies of a listener share; the last one to go closes it.
struct Handle {
    listening: Arc<Listening>,
    runtime: Runtime,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.listening.abandon();
    }
}

impl SrtListener {
    /// Listens on a UDP port, with these options for every connection; port 0 lets the system choose one.
    ///
    /// # Errors
    /// [`Error::Bind`] if the port cannot be had, [`Error::PortShared`] if another socket of this program has it in a way
    /// that does not go with this; [`Error::Resolve`], [`Error::Config`], [`Error::Start`].
    pub fn bind(local: impl Address, options: &Options) -> Result<Self, Error> {
        Self::bind_any(&local, options, None)
    }

    /// The same with a hook from the first caller on: see [`set_hook`](Self::set_hook).
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_with_hook(
        local: impl Address,
        options: &Options,
        hook: impl FnMut(&ConnectRequest) -> Decision + Send + 'static,
    ) -> Result<Self, Error> {
        Self::bind_any(&local, options, Some(Box::new(hook)))
    }

    fn bind_any(local: &impl Address, options: &Options, mut hook: Option<Hook>) -> Result<Self, Error> {
        let runtime = options.chosen_runtime()?;
        let listening = try_each(local.target().resolve()?, |addr| runtime.listen(addr, options, &mut hook))?;
        Ok(Self { handle: Arc::new(Handle { listening, runtime }) })
    }

    /// Asks `hook` about every caller from now on.
    ///
    /// It is told who calls and what for, and says whether to take the caller, with which options, or why not. It runs on a
    /// thread of its own, one per [`Runtime`], so it may take its time and may use this crate; callers wait meanwhile, and
    /// give up after their connect timeout. If it panics, the caller is refused.
    pub fn set_hook(&self, hook: impl FnMut(&ConnectRequest) -> Decision + Send + 'static) {
        self.listening().set_hook(Some(Box::new(hook)));
    }

    /// Takes every caller from now on.
    pub fn clear_hook(&self) {
        self.listening().set_hook(None);
    }

    /// The next connection and its peer. Waits for one.
    ///
    /// # Errors
    /// [`Error::ListenerClosed`]; [`Error::Timeout`] after [`receive_timeout`](Options::receive_timeout);
    /// [`Error::WouldBlock`] with RCVSYN off.
    pub fn accept(&self) -> Result<(SrtSocket, SocketAddr), Error> {
        self.listening().accept(None).map(|handover| self.wrap(handover))
    }

    /// The next connection and its peer. Waits for one, `timeout` at most.
    ///
    /// # Errors
    /// [`Error::Timeout`] if nobody called meanwhile, [`Error::ListenerClosed`].
    pub fn accept_timeout(&self, timeout: Duration) -> Result<(SrtSocket, SocketAddr), Error> {
        self.listening().accept(Some(timeout)).map(|handover| self.wrap(handover))
    }

    /// The next connection and its peer, if there is one.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if there is none, [`Error::ListenerClosed`].
    pub fn try_accept(&self) -> Result<(SrtSocket, SocketAddr), Error> {
        self.listening().try_accept().map(|handover| self.wrap(handover))
    }

    /// The address it is bound to; the port is never 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.listening().local()
    }

    /// Readable: a connection waits to be accepted.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.listening().readiness()
    }

    /// What has come in so far.
    #[must_use]
    pub fn stats(&self) -> ListenerStats {
        self.listening().stats()
    }

    /// Takes no more callers, and ends connections that nobody has accepted. Calls of [`accept`](Self::accept) are
    /// interrupted. The port is free when this returns, unless connections that were accepted still use it.
    pub fn close(&self) {
        self.listening().close(true);
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.listening().is_closed()
    }

    pub(crate) fn listening(&self) -> &Arc<Listening> {
        &self.handle.listening
    }

    pub(crate) fn wrap(&self, handover: Arc<Handover>) -> (SrtSocket, SocketAddr) {
        let peer = handover.peer();
        (SrtSocket::new(handover, self.handle.runtime.clone()), peer)
    }
}

impl fmt::Debug for SrtListener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SrtListener")
            .field("local", &self.local_addr())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Source for SrtListener {}

impl Watchable for SrtListener {
    fn watched(&self) -> Arc<dyn Watched> {
        Arc::clone(self.listening()) as Arc<dyn Watched>
    }
}
