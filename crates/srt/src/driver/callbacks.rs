//! The one thread on which the application's hooks run.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

/// Runs hooks one after the other, on a thread that starts with the first. A hook may take its time, and may call anything
/// in this crate.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Callbacks {
    /// Runs `job` after those that were given before.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_none() {
            *queue = Some(start()?);
        }
        if let Some(queue) = &*queue {
            // The thread ends only after we have let go of the queue.
            queue.send(Box::new(job)).ok();
        }
        Ok(())
    }

    /// Ends the thread once all jobs are done; a later job starts a new one.
    pub(super) fn finish(&self) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn start() -> io::Result<mpsc::Sender<Job>> {
    let (queue, jobs) = mpsc::channel::<Job>();
    thread::Builder::new().name("srt-callback".to_owned()).spawn(move || {
        for job in jobs {
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a hook of the application panicked; what it was asked counts as refused");
            }
        }
    })?;
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_in_order_on_one_thread_even_after_one_panicked() {
        let (callbacks, (tell, told)) = (Callbacks::default(), mpsc::channel());
        for number in 0..10 {
            let tell = tell.clone();
            let job = move || {
                tell.send((number, thread::current().id())).expect("the test listens");
                assert!(number != 4, "a faulty hook");
            };
            callbacks.run(job).expect("a thread");
        }
        let heard: Vec<_> = told.iter().take(10).collect();
        assert_eq!(heard.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert!(heard.iter().all(|(_, id)| *id == heard[0].1 && *id != thread::current().id()));
    }

    #[test]
    fn after_the_end_a_new_thread_is_started() {
        let (callbacks, (tell, told)) = (Callbacks::default(), mpsc::channel());
        for _ in 0..2 {
            let tell = tell.clone();
            callbacks.run(move || tell.send(()).expect("the test listens")).expect("a thread");
            callbacks.finish();
            told.recv().expect("the job ran");
        }
    }
}
