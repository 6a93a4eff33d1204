//! One output and its failures: tried again until it works, replaced or taken away by a reload, given up at the end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Output, Pending};
use crate::metrics::OutputCounters;

/// The first pause after a failed write; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long an output that a reload took away may still try to write what it was given.
const REMOVAL_GRACE: Duration = Duration::from_secs(5);

/// Delivers alerts by an output.
#[derive(Debug)]
pub(super) struct Delivery {
    output: Box<dyn Output>,
    pub(super) counters: OutputCounters,
    pub(super) control: Arc<Control>,
    is_failing: bool,
}

/// What others want of a running output. Its thread has to be woken up after a change.
#[derive(Debug, Default)]
pub(super) struct Control {
    reopen: AtomicBool,
    abandon: AtomicBool,
    change: Mutex<Change>,
    busy: Mutex<Option<Busy>>,
}

/// Alerts are being delivered.
#[derive(Debug)]
struct Busy {
    since: Instant,
    /// Whether it was said that this takes long.
    is_reported: bool,
}

#[derive(Debug, Default)]
struct Change {
    successor: Option<Box<dyn Output>>,
    removed_at: Option<Instant>,
}

/// Why alerts are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// The agent ends, or nobody will ever read what the output writes.
    Ended,
    /// A reload took the output away.
    Removed,
}

impl Control {
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }

    /// From now on the first failure is the last.
    pub(super) fn abandon(&self) {
        self.abandon.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandon.load(Ordering::Relaxed)
    }

    /// Lets alerts go to `successor` from now on, those too that could not be delivered so far.
    pub(super) fn replace(&self, successor: Box<dyn Output>) {
        self.change().successor = Some(successor);
    }

    /// The output is not configured any more.
    pub(super) fn remove(&self) {
        self.change().removed_at.get_or_insert_with(Instant::now);
    }

    /// Says once of every delivery that takes longer than `limit` that it does.
    pub(super) fn report_slow(&self, name: &str, limit: Duration) {
        if let Some(busy) = self.busy().as_mut().filter(|busy| busy.since.elapsed() > limit)
            && !std::mem::replace(&mut busy.is_reported, true)
        {
            tracing::error!(
                "\"{name}\" output timeout: it has been delivering for more than {} ms",
                limit.as_millis()
            );
        }
    }

    fn busy(&self) -> MutexGuard<'_, Option<Busy>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_removed_for_long(&self) -> bool {
        self.change().removed_at.is_some_and(|at| at.elapsed() >= REMOVAL_GRACE)
    }

    fn change(&self) -> MutexGuard<'_, Change> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delivery {
    pub(super) fn new(output: Box<dyn Output>, counters: OutputCounters) -> Self {
        Delivery { output, counters, control: Arc::default(), is_failing: false }
    }

    pub(super) fn name(&self) -> &'static str {
        self.output.name()
    }

    /// Acts on what others want of the output.
    pub(super) fn apply_changes(&mut self) {
        let successor = self.control.change().successor.take();
        if let Some(output) = successor {
            self.output = output;
        }
        if self.control.reopen.swap(false, Ordering::Relaxed) {
            self.output.reopen();
        }
    }

    /// Delivers alerts and takes them off, however long that takes. After each failure calls `failed`.
    ///
    /// # Errors
    ///
    /// [`GivenUp`] when what is left of `alerts` will not be delivered.
    pub(super) fn deliver(
        &mut self,
        alerts: &mut Pending,
        failed: impl FnMut(),
    ) -> Result<(), GivenUp> {
        *self.control.busy() = Some(Busy { since: Instant::now(), is_reported: false });
        let result = self.deliver_all(alerts, failed);
        *self.control.busy() = None;
        result
    }

    fn deliver_all(
        &mut self,
        alerts: &mut Pending,
        mut failed: impl FnMut(),
    ) -> Result<(), GivenUp> {
        let mut pause = FIRST_PAUSE;
        loop {
            self.apply_changes();
            let before = alerts.len();
            let result = self.output.deliver(alerts);
            let refused = self.output.take_refused();
            self.counters.refused.inc_by(refused);
            self.counters.delivered.inc_by((before - alerts.len()) as u64 - refused);
            let Err(error) = result else {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("{}: works again", self.name());
                }
                return Ok(());
            };
            self.counters.failures.inc();
            if let Some(reason) = self.reason_to_give_up(&error) {
                tracing::error!("{}: {error}; {} alerts not delivered", self.name(), alerts.len());
                return Err(reason);
            }
            if !std::mem::replace(&mut self.is_failing, true) {
                tracing::error!("{}: {error}; trying again until it works", self.name());
            }
            failed();
            std::thread::park_timeout(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn reason_to_give_up(&self, error: &io::Error) -> Option<GivenUp> {
        if error.kind() == io::ErrorKind::BrokenPipe || self.control.is_abandoned() {
            Some(GivenUp::Ended)
        } else if self.control.is_removed_for_long() {
            Some(GivenUp::Removed)
        } else {
            None
        }
    }
}
