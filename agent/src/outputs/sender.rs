//! The way into the queues of all outputs.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use arc_swap::ArcSwap;

use crate::alert::Alert;

/// What one thread has pushed is committed at the latest when it is about this much, so that a batch with many matches does
/// not fill the memory.
const COMMIT_BYTES: usize = 4 << 20;

pub(super) enum Job {
    Alert(Arc<Alert>),
    /// Answered when everything before it is delivered, or in the output's spool.
    Commit(SyncSender<()>),
    /// Makes an idle worker look what is wanted of its output.
    Wake,
    Stop,
}

/// One for each output.
pub(super) type Queues = Vec<SyncSender<Job>>;

/// Hands alerts to every output.
#[derive(Debug)]
pub(crate) struct AlertSender {
    current: Arc<ArcSwap<Queues>>,
    /// The queues that something was pushed to since the last commit.
    used: Option<Arc<Queues>>,
    /// How much that was.
    bytes: usize,
}

/// An output's worker is gone, so an alert may not have been delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an output has ended, alerts cannot be delivered")]
pub(crate) struct OutputClosed;

impl AlertSender {
    pub(super) fn new(current: Arc<ArcSwap<Queues>>) -> Self {
        AlertSender { current, used: None, bytes: 0 }
    }

    /// Puts an alert into every queue; waits where a queue is full, and where too much was pushed since the last commit.
    ///
    /// # Errors
    ///
    /// [`OutputClosed`] when a worker is gone.
    pub(crate) fn push(&mut self, alert: Alert) -> Result<(), OutputClosed> {
        if self.bytes + alert.line.len() > COMMIT_BYTES {
            self.commit()?;
        }
        self.bytes += alert.line.len();
        let alert = Arc::new(alert);
        for queue in self.used.get_or_insert_with(|| self.current.load_full()).iter() {
            queue.send(Job::Alert(Arc::clone(&alert))).map_err(|_| OutputClosed)?;
        }
        Ok(())
    }

    /// Puts an alert into every queue that has room, without waiting; false if one had none.
    pub(crate) fn offer(&self, alert: Alert) -> bool {
        let alert = Arc::new(alert);
        let refuses =
            |queue: &&SyncSender<Job>| queue.try_send(Job::Alert(Arc::clone(&alert))).is_err();
        self.current.load().iter().filter(refuses).count() == 0
    }

    /// Waits until every output has delivered everything that was pushed here, or has it in its spool.
    ///
    /// # Errors
    ///
    /// [`OutputClosed`] when a worker ended before it had.
    pub(crate) fn commit(&mut self) -> Result<(), OutputClosed> {
        let Some(queues) = &self.used else {
            return Ok(());
        };
        let (done, wait) = sync_channel(queues.len());
        for queue in queues.iter() {
            queue.send(Job::Commit(done.clone())).map_err(|_| OutputClosed)?;
        }
        drop(done);
        for _ in queues.iter() {
            wait.recv().map_err(|_| OutputClosed)?;
        }
        (self.used, self.bytes) = (None, 0);
        Ok(())
    }
}
