//! Delivery of alerts: a bounded queue and a worker for each output.
//!
//! ```text
//! source thread --push--> queue of stdout --> worker --> stdout
//!               \-------> queue of file   --> worker --> file
//!               --commit: waits until every worker has written what was pushed
//! ```
//!
//! A slow output fills only its own queue. Full means wait, and a failed write is tried again until it works:
//! the source is not asked for more meanwhile, so the sender of the events keeps what we cannot take.
//!
//! A reload may replace all outputs. Whoever has pushed something commits it to the old ones first; these end when nobody
//! uses them any more, so everything is written, and once.

mod file;
mod http;
mod program;
mod stdout;
mod syslog;

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::alert::Alert;
use crate::config::OutputsConfig;
use crate::metrics::{Metrics, OutputCounters};

use file::FileOutput;
use http::{HttpOutput, HttpOutputError};
use program::ProgramOutput;
use stdout::StdoutOutput;
use syslog::SyslogOutput;

/// The first pause after a failed write; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Alerts that wait for one output, where the configuration does not say.
const DEFAULT_CAPACITY: usize = 1024;
/// What the configuration may ask for: a queue takes its room at once.
const LARGEST_CAPACITY: usize = 1 << 20;

/// How long a worker gets to notice that it shall give up.
const GIVE_UP: Duration = Duration::from_millis(100);

/// Somewhere that alerts go. Methods run on the output's own worker.
pub(crate) trait Output: Send {
    /// As in the configuration: `stdout`, `file`.
    fn name(&self) -> &'static str;
    /// Takes an alert, to be written at the latest by the next [`Output::flush`].
    fn push(&mut self, alert: &Alert);
    /// Writes everything that was pushed. After an error what is left is kept for the next call.
    fn flush(&mut self) -> io::Result<()>;
    /// Closes and opens again, for log rotation.
    fn reopen(&mut self);
}

enum Job {
    Alert(Arc<Alert>),
    /// Answered when everything before it is written.
    Commit(SyncSender<()>),
    /// Makes an idle worker look whether it shall reopen its output.
    Wake,
    Stop,
}

/// Why the outputs could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(
        "No output configured, please make sure at least one output is configured and enabled."
    )]
    NoOutput,
    #[error(transparent)]
    Http(#[from] HttpOutputError),
    #[error("cannot start the thread of an output")]
    Thread(#[source] io::Error),
}

/// All configured outputs, running.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// Where alerts go from now on.
    queues: Arc<ArcSwap<Queues>>,
    /// The workers of these queues come last; before them those that still write what they were given before a reload.
    workers: Mutex<Vec<Workers>>,
}

/// One for each output.
type Queues = Vec<SyncSender<Job>>;

/// Outputs that are set up, but get no alerts yet. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct PreparedOutputs {
    queues: Queues,
    workers: Workers,
}

/// The workers of one configuration.
#[derive(Debug, Default)]
struct Workers {
    threads: Vec<JoinHandle<()>>,
    /// One for each worker: it shall close its output and open it again.
    reopens: Vec<Arc<AtomicBool>>,
    abandon: Arc<AtomicBool>,
}

/// Hands alerts to every output.
#[derive(Debug)]
pub(crate) struct AlertSender {
    current: Arc<ArcSwap<Queues>>,
    /// The queues that something was pushed to since the last commit.
    used: Option<Arc<Queues>>,
}

/// An output's worker is gone, so an alert may not have been delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an output has ended, alerts cannot be delivered")]
pub(crate) struct OutputClosed;

impl Outputs {
    /// Starts a worker for each configured output. Alerts are JSON where `json` says so.
    ///
    /// # Errors
    ///
    /// [`StartError`] when there is none, or one cannot be set up.
    pub(crate) fn start(
        config: &OutputsConfig,
        json: bool,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        Ok(Outputs::new(Outputs::prepare(config, json, metrics)?))
    }

    fn new(PreparedOutputs { queues, workers }: PreparedOutputs) -> Self {
        let queues = Arc::new(ArcSwap::from_pointee(queues));
        Outputs { queues, workers: Mutex::new(vec![workers]) }
    }

    /// Starts workers like [`Outputs::start`], for [`Outputs::replace`].
    ///
    /// # Errors
    ///
    /// [`StartError`] when there is no output, or one cannot be set up.
    pub(crate) fn prepare(
        config: &OutputsConfig,
        json: bool,
        metrics: &Metrics,
    ) -> Result<PreparedOutputs, StartError> {
        let mut outputs: Vec<Box<dyn Output>> = Vec::new();
        if let Some(file) = &config.file {
            outputs.push(Box::new(FileOutput::new(file.filename.clone(), file.keep_alive)));
        }
        if config.stdout {
            outputs.push(Box::new(StdoutOutput::default()));
        }
        if let Some(program) = &config.program {
            outputs.push(Box::new(ProgramOutput::new(program.program.clone(), program.keep_alive)));
        }
        if let Some(http) = &config.http {
            outputs.push(Box::new(HttpOutput::new(http, json)?));
        }
        // Falco's packages enable it everywhere, and in a container there is no daemon: waiting for one would stop all
        // event sources.
        let has_daemon = Path::new(syslog::SOCKET).exists();
        if config.syslog && (has_daemon || outputs.is_empty()) {
            outputs.push(Box::new(SyslogOutput::new(syslog::SOCKET.into())));
        } else if config.syslog {
            tracing::error!(
                "Failed to init output: syslog: no daemon listens on {}, going on without it",
                syslog::SOCKET
            );
        }
        if outputs.is_empty() {
            return Err(StartError::NoOutput);
        }
        let capacity = config.queue_capacity.map_or(DEFAULT_CAPACITY, NonZeroUsize::get);
        Outputs::run(outputs, capacity.min(LARGEST_CAPACITY), metrics).map_err(StartError::Thread)
    }

    fn run(
        outputs: Vec<Box<dyn Output>>,
        capacity: usize,
        metrics: &Metrics,
    ) -> io::Result<PreparedOutputs> {
        let mut workers = Workers::default();
        let mut queues = Vec::new();
        for output in outputs {
            let (queue, jobs) = sync_channel(capacity);
            let counters = metrics.output(output.name());
            let (reopen, abandon) = (Arc::default(), Arc::clone(&workers.abandon));
            workers.reopens.push(Arc::clone(&reopen));
            let name = format!("output-{}", output.name());
            let worker = Worker { output, jobs, counters, reopen, abandon };
            let thread = std::thread::Builder::new().name(name).spawn(move || worker.run())?;
            workers.threads.push(thread);
            queues.push(queue);
        }
        Ok(PreparedOutputs { queues, workers })
    }

    /// A handle for one more thread.
    pub(crate) fn sender(&self) -> AlertSender {
        AlertSender { current: Arc::clone(&self.queues), used: None }
    }

    /// Lets all alerts that are not under way go to other outputs from now on.
    pub(crate) fn replace(&self, PreparedOutputs { queues, workers }: PreparedOutputs) {
        let mut all = self.workers();
        self.queues.store(Arc::new(queues));
        for worker in all
            .iter_mut()
            .flat_map(|workers| workers.threads.extract_if(.., |thread| thread.is_finished()))
        {
            join(worker);
        }
        all.retain(|workers| !workers.threads.is_empty());
        all.push(workers);
    }

    /// Asks every output to close and open again; does not wait until it has.
    pub(crate) fn reopen(&self) {
        let all = self.workers();
        let reopens = all.last().into_iter().flat_map(|workers| &workers.reopens);
        for (queue, reopen) in self.queues.load().iter().zip(reopens) {
            reopen.store(true, Ordering::Relaxed);
            // A worker whose queue is full is awake, and one that has ended has nothing to reopen.
            queue.try_send(Job::Wake).ok();
        }
    }

    /// Ends the workers once what is queued is written, or after `grace` with what could not be written by then.
    pub(crate) fn close(&self, grace: Duration) {
        let all = std::mem::take(&mut *self.workers());
        let deadline = Instant::now() + grace;
        let wait = || {
            std::thread::park_timeout(Duration::from_millis(5));
            Instant::now() < deadline
        };
        // Replaced workers end by themselves once nobody uses their queues any more.
        for queue in self.queues.load().iter() {
            while let Err(TrySendError::Full(_)) = queue.try_send(Job::Stop)
                && wait()
            {}
        }
        while !all.iter().flat_map(|workers| &workers.threads).all(JoinHandle::is_finished)
            && wait()
        {}
        for workers in &all {
            workers.abandon.store(true, Ordering::Relaxed);
            // A worker between two tries notices at once; one inside a write that never returns is left behind.
            workers.threads.iter().for_each(|worker| worker.thread().unpark());
        }
        let last = Instant::now() + GIVE_UP;
        for worker in all.into_iter().flat_map(|workers| workers.threads) {
            while !worker.is_finished() && Instant::now() < last {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            if worker.is_finished() {
                join(worker);
            } else {
                let name = worker.thread().name().unwrap_or_default().to_owned();
                tracing::error!("{name}: blocked in a write, discarding what it still had");
            }
        }
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Workers>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn join(worker: JoinHandle<()>) {
    if let Err(panic) = worker.join() {
        std::panic::resume_unwind(panic);
    }
}

impl AlertSender {
    /// Puts an alert into every queue; waits where a queue is full.
    ///
    /// # Errors
    ///
    /// [`OutputClosed`] when a worker is gone.
    pub(crate) fn push(&mut self, alert: Alert) -> Result<(), OutputClosed> {
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

    /// Waits until every output has written everything that was pushed here.
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
        self.used = None;
        Ok(())
    }
}

struct Worker {
    output: Box<dyn Output>,
    jobs: Receiver<Job>,
    counters: OutputCounters,
    reopen: Arc<AtomicBool>,
    abandon: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self) {
        let mut unwritten = 0;
        loop {
            if self.reopen.swap(false, Ordering::Relaxed) {
                if !self.flush(&mut unwritten) {
                    return;
                }
                self.output.reopen();
            }
            // Under load several alerts share a write; an idle queue writes at once.
            let job = match self.jobs.try_recv() {
                Ok(job) => job,
                Err(_) if !self.flush(&mut unwritten) => return,
                Err(_) => self.jobs.recv().unwrap_or(Job::Stop),
            };
            match job {
                Job::Alert(alert) => {
                    self.output.push(&alert);
                    unwritten += 1;
                }
                Job::Commit(done) => {
                    if !self.flush(&mut unwritten) {
                        return;
                    }
                    // The committing thread may have given up waiting.
                    done.send(()).ok();
                }
                Job::Wake => {}
                Job::Stop => {
                    self.flush(&mut unwritten);
                    return;
                }
            }
        }
    }

    /// Writes what was pushed, however long it takes. False when that was given up.
    fn flush(&mut self, unwritten: &mut u64) -> bool {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.output.flush() {
            self.counters.failures.inc();
            let name = self.output.name();
            let gone = error.kind() == io::ErrorKind::BrokenPipe;
            if gone || self.abandon.load(Ordering::Relaxed) {
                tracing::error!("{name}: {error}; {unwritten} alerts not delivered");
                self.counters.lost.inc_by(*unwritten);
                return false;
            }
            if pause == FIRST_PAUSE {
                tracing::error!("{name}: {error}; trying again until it works");
            }
            std::thread::park_timeout(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.counters.delivered.inc_by(std::mem::take(unwritten));
        true
    }
}

/// Lines on their way to a file descriptor; a partial write is continued, never repeated.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, line: &str) {
        self.0.extend_from_slice(line.as_bytes());
        self.0.push(b'\n');
    }

    fn write_to(&mut self, target: &mut impl io::Write) -> io::Result<()> {
        let mut written = 0;
        let result = loop {
            match target.write(&self.0[written..]) {
                _ if written == self.0.len() => break Ok(()),
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.0.drain(..written);
        result?;
        target.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rules_engine::Priority;

    use super::*;

    /// Collects lines; fails as often as told before it works.
    struct Flaky {
        failures: usize,
        pending: Vec<String>,
        written: Arc<Mutex<Vec<String>>>,
    }

    impl Output for Flaky {
        fn name(&self) -> &'static str {
            "flaky"
        }

        fn push(&mut self, alert: &Alert) {
            self.pending.push(alert.line.clone());
        }

        fn flush(&mut self) -> io::Result<()> {
            if !self.pending.is_empty() && self.failures > 0 {
                self.failures -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.lock().unwrap().append(&mut self.pending);
            Ok(())
        }

        fn reopen(&mut self) {
            self.pending.push("reopened".into());
        }
    }

    pub(super) fn alert(line: &str) -> Alert {
        Alert { line: line.into(), priority: Priority::Debug }
    }

    fn start(failures: usize) -> (Outputs, Arc<Mutex<Vec<String>>>) {
        let written = Arc::new(Mutex::new(Vec::new()));
        let output = Flaky { failures, pending: Vec::new(), written: Arc::clone(&written) };
        (Outputs::new(run(output)), written)
    }

    fn run(output: Flaky) -> PreparedOutputs {
        Outputs::run(vec![Box::new(output)], 2, &Metrics::new()).unwrap()
    }

    #[test]
    fn commit_returns_when_everything_is_written_even_after_failures() {
        let (outputs, written) = start(2);
        let mut sender = outputs.sender();
        for line in ["a", "b", "c"] {
            sender.push(alert(line)).unwrap();
        }
        sender.commit().unwrap();
        assert_eq!(*written.lock().unwrap(), ["a", "b", "c"]);
        drop(sender);
        outputs.close(Duration::from_secs(5));
    }

    #[test]
    fn close_writes_what_is_queued_and_gives_up_after_the_grace_period() {
        let (outputs, written) = start(0);
        let mut sender = outputs.sender();
        sender.push(alert("a")).unwrap();
        drop(sender);
        outputs.close(Duration::from_secs(5));
        assert_eq!(*written.lock().unwrap(), ["a"]);

        let (outputs, written) = start(usize::MAX);
        let mut sender = outputs.sender();
        sender.push(alert("a")).unwrap();
        drop(sender);
        outputs.close(Duration::ZERO);
        assert!(written.lock().unwrap().is_empty());
    }

    #[test]
    fn replaced_outputs_get_what_was_under_way_and_end() {
        let (outputs, old) = start(1);
        let mut busy = outputs.sender();
        let mut idle = outputs.sender();
        idle.push(alert("a")).unwrap();
        idle.commit().unwrap();
        busy.push(alert("b")).unwrap();
        let new = Arc::new(Mutex::new(Vec::new()));
        let output = Flaky { failures: 0, pending: Vec::new(), written: Arc::clone(&new) };
        outputs.replace(run(output));
        // A commit is for everything since the last one, so this goes where `b` went.
        busy.push(alert("c")).unwrap();
        idle.push(alert("d")).unwrap();
        idle.commit().unwrap();
        busy.commit().unwrap();
        busy.push(alert("e")).unwrap();
        busy.commit().unwrap();
        assert_eq!(*old.lock().unwrap(), ["a", "b", "c"]);
        assert_eq!(*new.lock().unwrap(), ["d", "e"]);
        // The worker of the old output has let go of it, though both senders are still there.
        let replaced = std::mem::take(&mut outputs.workers()[0].threads);
        replaced.into_iter().for_each(join);
        assert_eq!(Arc::strong_count(&old), 1);
        outputs.close(Duration::from_secs(5));
    }

    #[test]
    fn reopening_and_offering_do_not_wait_for_room_in_the_queue() {
        let (outputs, written) = start(usize::MAX);
        let mut sender = outputs.sender();
        // One is being written, two fill the queue.
        for line in ["a", "b", "c"] {
            sender.push(alert(line)).unwrap();
        }
        outputs.reopen();
        assert!(!sender.offer(alert("d")));
        outputs.close(Duration::ZERO);
        assert!(written.lock().unwrap().is_empty());

        let (outputs, written) = start(0);
        outputs.reopen();
        outputs.close(Duration::from_secs(5));
        assert_eq!(*written.lock().unwrap(), ["reopened"]);
    }

    #[test]
    fn a_partial_write_is_continued() {
        struct OneByte(Vec<u8>, bool);
        impl io::Write for OneByte {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.0.extend(bytes.first());
                Ok(bytes.len().min(1))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut lines = Lines::default();
        let mut target = OneByte(Vec::new(), false);
        lines.push("ab");
        while lines.write_to(&mut target).is_err() {}
        assert_eq!(target.0, b"ab\n");
    }
}
