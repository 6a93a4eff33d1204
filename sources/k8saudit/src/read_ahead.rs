//! Files read on a thread of their own: it parses the next batch while the host evaluates the one before.
//!
//! With both on one thread a run over a file of old events takes about twice as long.

use std::{
    mem,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, anyhow};
use falco_plugin::FailureReason;
use plugin_support::events::Events;

use crate::read_once::ReadOnce;

/// Batches that may wait for the host; with more the reader is not faster, it only holds more memory.
const AHEAD: usize = 1;

/// Batches of events, and the thread that reads them.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    batches: Receiver<Events>,
    /// Takes batches back for their allocations.
    used: SyncSender<Events>,
    /// Gone once it was joined.
    reader: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Starts to read.
    pub(crate) fn start(mut files: ReadOnce) -> anyhow::Result<Self> {
        let (sender, batches) = sync_channel(AHEAD);
        let (used, returned) = sync_channel::<Events>(AHEAD + 1);
        let read = move || {
            loop {
                let mut events = returned.try_recv().unwrap_or_default();
                events.truncate(0);
                if !files.read(&mut events) || sender.send(events).is_err() {
                    return;
                }
            }
        };
        let reader = thread::Builder::new().name("k8saudit-file".into()).spawn(read);
        let reader = reader.context("cannot start the thread that reads files")?;
        Ok(Self { batches, used, reader: Some(reader) })
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

    /// Ends the reader, which notices once it has read the batch it is at.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        drop(self.batches);
        let joined = self.reader.map_or(Ok(()), JoinHandle::join);
        joined.map_err(|_| anyhow!("the thread that reads files panicked"))
    }
}
