//! The thread behind one output's queue.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::delivery::{Control, Delivery, GivenUp};
use super::sender::Job;
use super::spooled::{self, Intake};
use super::{Output, Pending, StartError};
use crate::config::SpoolConfig;
use crate::metrics::OutputCounters;

/// Alerts of about this size are delivered together at most; what waits behind them stays in the bounded queue.
const TOGETHER_BYTES: usize = 1 << 20;

/// An output with its queue and threads.
#[derive(Debug)]
pub(super) struct RunningOutput {
    pub(super) name: &'static str,
    /// Gone once a reload has taken the output away.
    pub(super) queue: Option<SyncSender<Job>>,
    pub(super) control: Arc<Control>,
    threads: Vec<JoinHandle<()>>,
}

impl RunningOutput {
    /// Starts to take alerts into a queue of this capacity.
    pub(super) fn start(
        output: Box<dyn Output>,
        capacity: usize,
        spool: Option<&SpoolConfig>,
        counters: OutputCounters,
    ) -> Result<Self, StartError> {
        let name = output.name();
        let (queue, jobs) = sync_channel(capacity);
        let delivery = Delivery::new(output, counters);
        let control = Arc::clone(&delivery.control);
        let mut threads = Vec::new();
        let sink = match spool {
            None => Sink::Direct(delivery),
            Some(config) => {
                let (intake, thread) = spooled::start(delivery, config)?;
                threads.push(thread);
                Sink::Spooled(intake)
            }
        };
        let worker = Worker { sink, jobs };
        threads.push(spawn(format!("output-{name}"), || worker.run())?);
        Ok(RunningOutput { name, queue: Some(queue), control, threads })
    }

    /// Not so where it was taken away, or has ended by itself.
    pub(super) fn takes_alerts(&self) -> bool {
        self.queue.is_some() && !self.threads.iter().any(JoinHandle::is_finished)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Makes the threads look what is wanted, as soon as they can.
    pub(super) fn wake(&self) {
        // A worker whose queue is full is awake, and one that has ended has nothing to look at.
        if let Some(queue) = &self.queue {
            queue.try_send(Job::Wake).ok();
        }
        self.threads.iter().for_each(|thread| thread.thread().unpark());
    }

    /// Joins what has ended, and leaves behind what has not.
    pub(super) fn join(self) {
        for thread in self.threads {
            if !thread.is_finished() {
                let name = thread.thread().name().unwrap_or_default().to_owned();
                tracing::error!("{name}: blocked in a write, leaving it behind");
            } else if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

pub(super) fn spawn(
    name: String,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(name).spawn(run).map_err(StartError::Thread)
}

struct Worker {
    sink: Sink,
    jobs: Receiver<Job>,
}

/// What becomes of alerts from the queue.
enum Sink {
    Direct(Delivery),
    Spooled(Intake),
}

impl Worker {
    fn run(mut self) {
        let mut pending = Pending::new();
        if self.take_all(&mut pending).is_err() {
            let queued = self.jobs.try_iter().filter(|job| matches!(job, Job::Alert(_))).count();
            self.sink.counters().lost.inc_by((pending.len() + queued) as u64);
        }
    }

    /// Ends by request.
    fn take_all(&mut self, pending: &mut Pending) -> Result<(), GivenUp> {
        let mut bytes = 0;
        loop {
            // Under load several alerts share a write; an idle queue writes at once.
            let job = match self.jobs.try_recv() {
                Ok(job) => job,
                Err(_) => {
                    self.sink.take(pending)?;
                    self.jobs.recv().unwrap_or(Job::Stop)
                }
            };
            match job {
                Job::Alert(alert) => {
                    bytes += alert.line.len();
                    pending.push_back(alert);
                    if bytes >= TOGETHER_BYTES {
                        self.sink.take(pending)?;
                        bytes = 0;
                    }
                }
                Job::Commit(done) => {
                    self.sink.take(pending)?;
                    bytes = 0;
                    // The committing thread may have given up waiting.
                    done.send(()).ok();
                }
                Job::Wake => {
                    self.sink.take(pending)?;
                    self.sink.wake();
                }
                Job::Stop => return self.sink.take(pending),
            }
        }
    }
}

impl Sink {
    /// Returns when the alerts are delivered or in the spool.
    fn take(&mut self, pending: &mut Pending) -> Result<(), GivenUp> {
        let result = match self {
            // Nothing to deliver is no reason to touch the output, which may be failing.
            _ if pending.is_empty() => Ok(()),
            Sink::Direct(delivery) => delivery.deliver(pending, || {}),
            Sink::Spooled(intake) => intake.take(pending),
        };
        match result {
            // Whoever waits for an output that is not configured any more may go on.
            Err(GivenUp::Removed) => {
                self.counters().lost.inc_by(pending.len() as u64);
                pending.clear();
                Ok(())
            }
            result => result,
        }
    }

    fn wake(&mut self) {
        match self {
            Sink::Direct(delivery) => delivery.apply_changes(),
            Sink::Spooled(intake) => intake.wake(),
        }
    }

    fn counters(&self) -> &OutputCounters {
        match self {
            Sink::Direct(delivery) => &delivery.counters,
            Sink::Spooled(intake) => &intake.counters,
        }
    }
}
