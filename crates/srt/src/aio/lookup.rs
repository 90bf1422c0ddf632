//! Host names, looked up without keeping the executor's thread.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
    thread,
};

use crate::{Error, address::Target};

/// What the looking-up thread and the waiting task share.
#[derive(Default)]
struct Slot {
    found: Option<Result<Vec<SocketAddr>, Error>>,
    waiting: Option<Waker>,
}

/// The addresses of a host. An address is there at once; a name is looked up on a thread that ends with the answer, as the
/// system's resolver offers no other way.
pub(super) async fn lookup(target: Target) -> Result<Vec<SocketAddr>, Error> {
    if matches!(target, Target::Known(_)) {
        return target.resolve();
    }
    let slot = Arc::new(Mutex::new(Slot::default()));
    let answer = Arc::clone(&slot);
    let look = move || {
        let found = target.resolve();
        let waiting = {
            let mut slot = answer.lock().unwrap_or_else(PoisonError::into_inner);
            slot.found = Some(found);
            slot.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    };
    thread::Builder::new().name("srt-resolve".to_owned()).spawn(look).map_err(Error::Start)?;
    poll_fn(|context| {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.found.take() {
            Some(found) => Poll::Ready(found),
            None => {
                slot.waiting = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}
