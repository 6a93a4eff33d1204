//! One thread that evaluates, with plugin states of its own.

use std::io::{self, PipeWriter};
use std::os::fd::AsRawFd;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use plugin_host::{EventStream, LogSink, MetricValue, NoBatch};
use rules_engine::Detection;

use super::input::Chunks;
use super::tally::Tally;
use super::{ReplayError, SOURCE};
use crate::app::AppError;
use crate::evaluation::BatchEvaluator;
use crate::extraction::SourceProgram;
use crate::plugins::Plugins;

/// What fits into a pipe: the most that Linux lets any user have.
const PIPE_BYTES: usize = 1 << 20;

/// How plugins name their counts of what they do not make events of.
const REJECTED: &str = "rejected_";

/// A plugin that reads a pipe.
pub(super) struct Worker {
    stream: EventStream,
    pipe: PipeWriter,
    evaluator: BatchEvaluator,
}

impl Worker {
    /// # Errors
    ///
    /// When a plugin refuses to start, or the system has no more pipes.
    pub(super) fn open(plugins: &Plugins) -> Result<Worker, AppError> {
        let source = plugins.sources.iter().find(|source| source.name == SOURCE);
        let source = source.expect("rules were loaded for it");
        let input = source.input.expect("rules were loaded for it");
        let start_error = |source| AppError::Start { what: "a thread that evaluates", source };
        // Each worker would say the same; what is left out is counted.
        let log: Arc<LogSink> = Arc::new(|_, _, _| {});
        let mut states = plugins.init(1, &log)?.into_iter().zip(&plugins.sources);
        let (states, _) = states.find(|(_, one)| one.name == SOURCE).expect("it was found above");
        let plugin = states.input.expect("it has an input");
        let name = plugin.library().name().to_owned();
        let costs = Arc::default();
        let evaluator =
            BatchEvaluator::new(SOURCE, &name, input, states.extractors, Vec::new(), costs)
                .map_err(|error| start_error(io::Error::other(error)))?
                .parsed_by(&source.parsers);
        let (reader, pipe) = io::pipe().map_err(start_error)?;
        // Refused where the user has many pipes: then the threads wait for each other more often.
        rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_BYTES).ok();
        // Not `self`: the plugin may live in a child process.
        let path = format!("/proc/{}/fd/{}", process::id(), reader.as_raw_fd());
        let stream = plugin.open(&path);
        let open_error = |source| AppError::Open { event_source: SOURCE.to_owned(), source };
        // The plugin has opened the pipe for itself: with ours closed, it ends where the writing end does.
        drop(reader);
        Ok(Worker { stream: stream.map_err(open_error)?, pipe, evaluator })
    }

    /// Evaluates chunks until there are no more.
    ///
    /// # Errors
    ///
    /// When the plugin fails.
    pub(super) fn run(
        self,
        programs: &[SourceProgram],
        chunks: &Chunks,
        events: &AtomicU64,
    ) -> Result<Tally, AppError> {
        let Worker { stream, pipe, evaluator } = self;
        thread::scope(|scope| {
            let feeder = scope.spawn(|| feed(pipe, chunks));
            let tally = evaluate(stream, evaluator, programs, events);
            let fed = feeder.join().expect("a feeder that panics is a bug");
            tally.and_then(|tally| fed.map(|()| tally))
        })
    }
}

/// Writes chunks to the plugin; ends with them, or when it reads no more.
fn feed(mut pipe: PipeWriter, chunks: &Chunks) -> Result<(), AppError> {
    while let Some(chunk) = chunks.next() {
        if chunk.write_to(&mut pipe)?.is_none() {
            break;
        }
    }
    Ok(())
}

fn evaluate(
    mut stream: EventStream,
    mut evaluator: BatchEvaluator,
    programs: &[SourceProgram],
    events: &AtomicU64,
) -> Result<Tally, AppError> {
    let mut tally = Tally::new(programs);
    let mut detections: Vec<Vec<Detection>> = programs.iter().map(|_| Vec::new()).collect();
    loop {
        let mut batch = match stream.next_batch() {
            Ok(batch) => batch,
            Err(NoBatch::Timeout) => continue,
            Err(NoBatch::Eof) => break,
            Err(failure) => return Err(ReplayError::Plugin(failure).into()),
        };
        let all: Vec<_> = batch.events().collect();
        for (program, detections) in programs.iter().zip(&mut detections) {
            detections.clear();
            evaluator.evaluate(program, &all, batch.extractor(), 0, detections);
        }
        all.iter().for_each(|event| tally.note_time(event.timestamp_ns()));
        tally.note(&detections);
        events.fetch_add(all.len() as u64, Ordering::Relaxed);
    }
    for metric in stream.metrics() {
        if let (Some(reason), MetricValue::Unsigned(count @ 1..)) =
            (metric.name.strip_prefix(REJECTED), metric.value)
        {
            tally.note_skipped(reason, count);
        }
    }
    Ok(tally)
}
