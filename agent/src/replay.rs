//! `shikra replay`: what rules would have said of audit logs, as fast as all cores can.
//!
//! ```text
//! files --reader threads: unpack, cut at line ends--> chunks --> pipe --> plugin: next_batch -> evaluate -> tally
//!                                                         \--> pipe --> plugin: …                  a core each
//! ```
//!
//! A plugin reads its pipe as it reads a file, so that events are found as in a run.

mod chunk;
mod input;
mod report;
mod tally;
mod worker;

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use plugin_host::NoBatch;
use rules_engine::{AppendOutput, ExtraField, Settings};

use crate::alert::AlertFormat;
use crate::app::AppError;
use crate::cli::{Cli, ReplayArguments};
use crate::commands;
use crate::extraction::SourceProgram;
use crate::plugins::Plugins;
use crate::rules::RulesLoader;
use crate::workbench;

use input::{Chunks, LogFile};
use tally::Tally;
use worker::Worker;

/// The source of audit events, whose plugin reads files to their end.
const SOURCE: &str = "k8s_audit";
/// The field that says who made a request.
const USER: &str = "ka.user.name";

const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Why logs cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(
        "replay reads audit logs, and no loaded plugin makes events of source '{SOURCE}'; \
         other logs have to be read by a run"
    )]
    NoPlugin,
    #[error(transparent)]
    Plugin(#[from] NoBatch),
}

/// How far the replay has come.
#[derive(Debug, Default)]
struct Progress {
    /// Of the files, as they lie on disk.
    bytes: AtomicU64,
    events: AtomicU64,
}

/// What a replay found.
struct Outcome {
    tally: Tally,
    files: usize,
    bytes: u64,
    events: u64,
    threads: usize,
    duration: Duration,
}

/// Evaluates all events of the files, and shows what became of them.
///
/// # Errors
///
/// When the configuration, the rules or a file cannot be used.
pub(crate) fn run(cli: &Cli, arguments: &ReplayArguments) -> Result<(), AppError> {
    let (config, plugins) = workbench::load(cli)?;
    let mut loader = RulesLoader::new(cli, &config, &plugins);
    loader.settings.append_output.push(AppendOutput {
        source: Some(SOURCE.to_owned()),
        extra_fields: vec![ExtraField::Field(USER.to_owned())],
        ..AppendOutput::default()
    });
    let format = Arc::new(AlertFormat::new(&config.alerts, true, String::new()));
    let mut programs = vec![program(&loader, &plugins, &format)?];
    if !arguments.against.is_empty() {
        let arguments = arguments.against.clone();
        let settings = Settings { ..loader.settings.clone() };
        let environment = loader.environment.clone();
        let other = RulesLoader { configured: Vec::new(), arguments, environment, settings };
        programs.push(program(&other, &plugins, &format)?);
    }
    let files = input::find(&arguments.paths)?;
    let outcome = replay(&plugins, &programs, files, threads(arguments))?;
    let text = if arguments.json {
        format!("{}\n", report::json(&outcome))
    } else {
        report::text(&outcome)
    };
    commands::print(&text)
}

fn threads(arguments: &ReplayArguments) -> usize {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    arguments.threads.map_or_else(cores, NonZero::get)
}

fn program(
    loader: &RulesLoader,
    plugins: &Plugins,
    format: &Arc<AlertFormat>,
) -> Result<SourceProgram, AppError> {
    if !plugins.sources.iter().any(|source| source.name == SOURCE && source.input.is_some()) {
        return Err(ReplayError::NoPlugin.into());
    }
    let rules = loader.load(&[])?;
    Ok(SourceProgram::new(&rules.ruleset, SOURCE, plugins, format))
}

fn replay(
    plugins: &Plugins,
    programs: &[SourceProgram],
    files: Vec<LogFile>,
    threads: usize,
) -> Result<Outcome, AppError> {
    let started = Instant::now();
    let progress = Progress::default();
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    let file_count = files.len();
    let workers = (0..threads).map(|_| Worker::open(plugins));
    let workers = workers.collect::<Result<Vec<_>, _>>()?;
    let readers = threads.min(file_count).max(1);
    let queue = Mutex::new(VecDeque::from(files));
    // Two for each worker: one that is written to its pipe, and one that waits.
    let (chunks, received) = sync_channel(2 * threads);
    let received = Arc::new(Chunks::new(received));
    let (done, finished) = sync_channel::<()>(0);
    let tally = thread::scope(|scope| {
        let readers: Vec<_> = (0..readers)
            .map(|_| {
                let (chunks, queue, bytes) = (chunks.clone(), &queue, &progress.bytes);
                scope.spawn(move || input::read_files(queue, &chunks, bytes))
            })
            .collect();
        drop(chunks);
        let workers: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                let done = done.clone();
                let (received, events) = (Arc::clone(&received), &progress.events);
                scope.spawn(move || {
                    let result = worker.run(programs, &received, events);
                    drop(done);
                    result
                })
            })
            .collect();
        // Without workers the readers end, which else would wait for somebody to take their chunks.
        drop((done, received));
        show_progress(&finished, &progress, total, started);
        let mut tally = Tally::new(programs);
        let mut result = Ok(());
        for worker in workers {
            match worker.join().expect("a worker that panics is a bug") {
                Ok(part) => tally.add(part),
                Err(error) => result = Err(error),
            }
        }
        for reader in readers {
            let read = reader.join().expect("a reader that panics is a bug");
            // A worker that failed is why nobody took the chunks.
            result = result.and(read);
        }
        result.map(|()| tally)
    })?;
    Ok(Outcome {
        tally,
        files: file_count,
        bytes: progress.bytes.load(Ordering::Relaxed),
        events: progress.events.load(Ordering::Relaxed),
        threads,
        duration: started.elapsed(),
    })
}

/// Shows on a terminal how far it has come, until nobody is left who works.
fn show_progress(finished: &Receiver<()>, progress: &Progress, total: u64, started: Instant) {
    let is_shown = std::io::stderr().is_terminal();
    while finished.recv_timeout(PROGRESS_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if is_shown {
            report::show_progress(progress, total, started.elapsed());
        }
    }
    if is_shown {
        report::clear_progress();
    }
}

/// A file that could not be read, for messages.
fn read_error(path: &std::path::Path, source: std::io::Error) -> AppError {
    AppError::Read { path: PathBuf::from(path), source }
}
