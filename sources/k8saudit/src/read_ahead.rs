//! Files read on a thread of their own: it parses the next batch while the host evaluates the one before.
//!
//! With both on one thread a run over a file of old events takes about twice as long.

use std::{
    mem,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, anyhow};
use falco_plugin::FailureReason;
use plugin_support::events::Events;

use crate::read_once::{Progress, ReadOnce};

/// Batches that may wait for the host; with more the reader is not faster, it only holds more memory.
const AHEAD: usize = 1;

/// Batches of events, and the thread that reads them.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    batches: Receiver<Events>,
    /// Takes batches back for their allocations.
    used: SyncSender<Events>,
    /// Makes the reader end after the batch that it is at.
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    /// Gone once it was joined.
    reader: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Starts to read.
    pub(crate) fn start(mut files: ReadOnce) -> anyhow::Result<Self> {
        let (sender, batches) = sync_channel(AHEAD);
        let (used, returned) = sync_channel::<Events>(AHEAD + 1);
        let stop = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stop);
        let progress = Arc::clone(files.progress());
        let read = move || {
            while !is_stopped.load(Ordering::Relaxed) {
                let mut events = returned.try_recv().unwrap_or_default();
                events.truncate(0);
                if !files.read(&mut events) || sender.send(events).is_err() {
                    return;
                }
            }
        };
        let reader = thread::Builder::new().name("k8saudit-file".into()).spawn(read);
        let reader = reader.context("cannot start the thread that reads files")?;
        Ok(Self { batches, used, stop, progress, reader: Some(reader) })
    }

    /// How far the files have been read, a batch or two ahead of the host.
    pub(crate) fn percent(&self) -> f64 {
        self.progress.percent()
    }

    /// Replaces `events` by the next batch, waiting for it at most as long as `wait`.
    ///
    /// # Errors
    ///
    /// [`FailureReason::Timeout`] when there is none yet, [`FailureReason::Eof`] at the end of the last file.
    pub(crate) fn next(&mut self, wait: Duration, events: &mut Events) -> anyhow::Result<()> {
        match self.batches.recv_timeout(wait) {
            Ok(batch) => {
                // Full or gone: then the allocation is just dropped.
                self.used.try_send(mem::replace(events, batch)).ok();
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Err(FailureReason::Timeout.into()),
            Err(RecvTimeoutError::Disconnected) => match self.reader.take().map(JoinHandle::join) {
                Some(Err(_)) => Err(anyhow!("the thread that reads files panicked")),
                Some(Ok(())) | None => Err(FailureReason::Eof.into()),
            },
        }
    }

    /// Ends the reader, which notices once it has read the batch it is at. Returns how many events nobody asked for.
    pub(crate) fn close(self) -> anyhow::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let unread = self.batches.iter().map(|events| events.len()).sum();
        let joined = self.reader.map_or(Ok(()), JoinHandle::join);
        joined.map_err(|_| anyhow!("the thread that reads files panicked"))?;
        Ok(unread)
    }
}
