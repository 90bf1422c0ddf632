//! The same sockets for async programs: every call that may wait is a future.
//!
//! The futures need nothing but a waker, so they run on any executor; no part of this crate knows one. Any number of tasks
//! may wait for one socket. All futures may be dropped at any time: a send that was cancelled has sent nothing, a receive
//! that was cancelled has taken nothing.
//!
//! SNDTIMEO, RCVTIMEO, SNDSYN and RCVSYN mean nothing here; use the executor's own timeouts.
//!
//! ```no_run
//! use srt::{Options, aio::SrtListener};
//!
//! # async fn example() -> Result<(), srt::Error> {
//! let listener = SrtListener::bind("0.0.0.0:9000", &Options::new())?;
//! loop {
//!     let (socket, peer) = listener.accept().await?;
//!     let echo = async move {
//!         let mut buffer = [0; 1456];
//!         while let Ok(len) = socket.recv(&mut buffer).await {
//!             socket.send(&buffer[..len]).await?;
//!         }
//!         Ok::<(), srt::Error>(println!("{peer} is gone"))
//!     };
//!     # let _ = echo;
//!     // tokio::spawn(echo);
//! }
//! # }
//! ```

mod listener;
mod lookup;
mod socket;

use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
};

pub use listener::SrtListener;
pub use socket::SrtSocket;

use crate::Error;

/// Something tasks can wait for.
trait Waitable {
    /// The task under `key` waits no more.
    fn dismiss(&self, key: u64);
}

/// Tries again whenever it is worth it, until `attempt` says something else than "not yet".
struct Wait<'a, W: Waitable + ?Sized, F> {
    on: &'a W,
    attempt: F,
    key: u64,
    enlisted: bool,
}

impl<'a, W: Waitable + ?Sized, F> Wait<'a, W, F> {
    fn new<T>(on: &'a W, attempt: F) -> Self
    where
        F: FnMut(u64, &Waker) -> Poll<T> + Unpin,
    {
        Self { on, attempt, key: next_key(), enlisted: false }
    }
}

impl<T, W, F> Future for Wait<'_, W, F>
where
    W: Waitable + ?Sized,
    F: FnMut(u64, &Waker) -> Poll<T> + Unpin,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let key = self.key;
        let result = (self.attempt)(key, context.waker());
        self.enlisted |= result.is_pending();
        result
    }
}

impl<W: Waitable + ?Sized, F> Drop for Wait<'_, W, F> {
    fn drop(&mut self) {
        if self.enlisted {
            self.on.dismiss(self.key);
        }
    }
}

/// An answer that is not there yet, as a future says it.
fn pending_if_blocked<T>(result: Result<T, Error>) -> Poll<Result<T, Error>> {
    match result {
        Err(Error::WouldBlock) => Poll::Pending,
        other => Poll::Ready(other),
    }
}

/// A name for one waiting task, never given twice.
fn next_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
