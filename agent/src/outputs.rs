//! Delivery of alerts: a bounded queue and a worker for each output.
//!
//! ```text
//! source thread --push--> queue of stdout --> worker --> stdout
//!               \-------> queue of file   --> worker --> file, or the file's spool
//!               --commit: waits until every worker has delivered or stored what was pushed
//! ```
//!
//! A slow output fills only its own queue. Full means wait, and a failed write is tried again until it works:
//! the source is not asked for more meanwhile, so the sender of the events keeps what we cannot take. With a spool, what
//! an output cannot deliver goes to disk instead.
//!
//! A reload may replace outputs. The worker of one that stays takes the new settings over, together with what it could not
//! deliver so far; one that is not configured any more ends when nobody uses it.

mod delivery;
mod file;
mod http;
mod lines;
mod log_pause;
mod program;
mod sender;
mod spool;
mod spooled;
mod stdout;
mod syslog;
mod worker;

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::alert::Alert;
use crate::config::OutputsConfig;
use crate::metrics::Metrics;
use crate::progress::ProgressLine;

use file::FileOutput;
use http::{HttpOutput, HttpOutputError};
use program::ProgramOutput;
pub(crate) use sender::{AlertSender, OutputClosed};
use sender::{Job, Queues};
use stdout::StdoutOutput;
use syslog::SyslogOutput;
use worker::RunningOutput;

/// Alerts that wait for one output, where the configuration does not say.
const DEFAULT_CAPACITY: usize = 1024;
/// What the configuration may ask for: a queue takes its room at once.
const LARGEST_CAPACITY: usize = 1 << 20;

/// How long a worker gets to notice that it shall give up.
const GIVE_UP: Duration = Duration::from_millis(100);

/// Alerts that are to be delivered, oldest first.
type Pending = VecDeque<Arc<Alert>>;

/// Somewhere that alerts go. Methods run on one thread of the output's own.
trait Output: Debug + Send {
    /// As in the configuration: `stdout`, `file`.
    fn name(&self) -> &'static str;
    /// Delivers alerts from the front, and takes off each that is delivered. After an error it is called again.
    fn deliver(&mut self, alerts: &mut Pending) -> io::Result<()>;
    /// How many of the alerts that were taken off since the last call the receiver refused for good.
    fn take_refused(&mut self) -> u64 {
        0
    }
    /// Closes and opens again, for log rotation.
    fn reopen(&mut self);
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
    #[error("cannot use outputs_spool.directory {}", directory.display())]
    Spool { directory: PathBuf, source: io::Error },
    #[error("cannot start the thread of an output")]
    Thread(#[source] io::Error),
}

/// All configured outputs, running.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// Where alerts go from now on.
    queues: Arc<ArcSwap<Queues>>,
    /// Those that a reload took away too, until they have ended.
    running: Mutex<Vec<RunningOutput>>,
    progress: ProgressLine,
}

/// Outputs that are set up, but get no alerts yet. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct PreparedOutputs(Vec<Prepared>);

#[derive(Debug)]
enum Prepared {
    New(RunningOutput),
    /// New settings for an output that runs.
    Successor(Box<dyn Output>),
}

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
        progress: ProgressLine,
    ) -> Result<Self, StartError> {
        let outputs = Outputs { queues: Arc::default(), running: Mutex::default(), progress };
        outputs.replace(outputs.prepare(config, json, metrics)?);
        Ok(outputs)
    }

    /// Reads what the outputs need, and starts none of them.
    ///
    /// # Errors
    ///
    /// [`StartError`] when there is no output, or one cannot be set up. Spools are not looked at: an agent may be using them.
    pub(crate) fn check(config: &OutputsConfig, json: bool) -> Result<(), StartError> {
        configured(config, json, &ProgressLine::default()).map(drop)
    }

    /// Sets up outputs like [`Outputs::start`], for [`Outputs::replace`].
    ///
    /// Capacity and spool of an output that runs stay as they are.
    ///
    /// # Errors
    ///
    /// [`StartError`] when there is no output, or one cannot be set up.
    pub(crate) fn prepare(
        &self,
        config: &OutputsConfig,
        json: bool,
        metrics: &Metrics,
    ) -> Result<PreparedOutputs, StartError> {
        let outputs = configured(config, json, &self.progress)?;
        let capacity = config.queue_capacity.map_or(DEFAULT_CAPACITY, NonZeroUsize::get);
        let running = self.running();
        let prepare = |output: Box<dyn Output>| {
            let name = output.name();
            if running.iter().any(|running| running.name == name && running.takes_alerts()) {
                return Ok(Prepared::Successor(output));
            }
            // What is printed is for whoever looks now.
            let spool = config.spool.as_ref().filter(|_| name != StdoutOutput::NAME);
            let capacity = capacity.min(LARGEST_CAPACITY);
            RunningOutput::start(output, capacity, spool, metrics.output(name)).map(Prepared::New)
        };
        outputs.into_iter().map(prepare).collect::<Result<_, _>>().map(PreparedOutputs)
    }

    /// A handle for one more thread.
    pub(crate) fn sender(&self) -> AlertSender {
        AlertSender::new(Arc::clone(&self.queues))
    }

    /// Lets all alerts that are not under way go to these outputs from now on.
    pub(crate) fn replace(&self, PreparedOutputs(prepared): PreparedOutputs) {
        let mut running = self.running();
        let mut old = std::mem::take(&mut *running);
        let mut queues = Queues::new();
        for prepared in prepared {
            let output = match prepared {
                Prepared::New(output) => output,
                Prepared::Successor(successor) => {
                    let is_it = |running: &RunningOutput| {
                        running.name == successor.name() && running.queue.is_some()
                    };
                    let index = old.iter().position(is_it).expect("it ran when this was prepared");
                    let output = old.swap_remove(index);
                    output.control.replace(successor);
                    output.wake();
                    output
                }
            };
            queues.extend(output.queue.clone());
            running.push(output);
        }
        self.queues.store(Arc::new(queues));
        let (ended, ending): (Vec<_>, Vec<_>) =
            old.into_iter().partition(RunningOutput::is_finished);
        ended.into_iter().for_each(RunningOutput::join);
        for mut output in ending {
            output.queue = None;
            output.control.remove();
            output.wake();
            running.push(output);
        }
    }

    /// Asks every output to close and open again; does not wait until it has.
    pub(crate) fn reopen(&self) {
        for output in self.running().iter() {
            output.control.reopen();
            output.wake();
        }
    }

    /// Says of each output that it takes long, if it has been delivering for more than `limit`.
    pub(crate) fn report_slow(&self, limit: Duration) {
        for output in self.running().iter() {
            output.control.report_slow(output.name, limit);
        }
    }

    /// Ends the workers once what is queued is written, or after `grace` with what could not be written by then.
    pub(crate) fn close(&self, grace: Duration) {
        let running = std::mem::take(&mut *self.running());
        let deadline = Instant::now() + grace;
        let wait = || {
            std::thread::park_timeout(Duration::from_millis(5));
            Instant::now() < deadline
        };
        // Those that a reload took away end by themselves once nobody uses their queues any more.
        for queue in running.iter().filter_map(|output| output.queue.as_ref()) {
            while let Err(TrySendError::Full(_)) = queue.try_send(Job::Stop)
                && wait()
            {}
        }
        while !running.iter().all(RunningOutput::is_finished) && wait() {}
        for output in &running {
            output.control.abandon();
            // A worker between two tries notices at once; one inside a write that never returns is left behind.
            output.wake();
        }
        let last = Instant::now() + GIVE_UP;
        while !running.iter().all(RunningOutput::is_finished) && Instant::now() < last {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        running.into_iter().for_each(RunningOutput::join);
    }

    fn running(&self) -> MutexGuard<'_, Vec<RunningOutput>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outputs that are enabled, in stock's order.
fn configured(
    config: &OutputsConfig,
    json: bool,
    progress: &ProgressLine,
) -> Result<Vec<Box<dyn Output>>, StartError> {
    let mut outputs: Vec<Box<dyn Output>> = Vec::new();
    if let Some(file) = &config.file {
        outputs.push(Box::new(FileOutput::new(file.filename.clone(), file.keep_alive)));
    }
    if config.stdout {
        outputs.push(Box::new(StdoutOutput::new(progress)));
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
    Ok(outputs)
}

#[cfg(test)]
mod tests;
