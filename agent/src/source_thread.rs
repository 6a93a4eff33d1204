//! One event source: next batch -> evaluate -> detections -> alerts.

mod capture;
mod life;

use std::collections::BTreeMap;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::ZonedDateTime;
use plugin_host::{
    AsyncEvent, Event, EventStream, Extractor, Library, Metric, NoBatch, OpenError, Plugin,
};
use rules_engine::Detection;
use tokio_util::sync::CancellationToken;

use crate::alert::AlertFormat;
use crate::config::OnFailure;
use crate::evaluation::BatchEvaluator;
use crate::extraction::SourceProgram;
use crate::logging::with_causes;
use crate::metrics::{Metrics, SourceCounters, add_metrics, now_ns};
use crate::outputs::{AlertSender, OutputClosed};
use crate::progress::ProgressLine;
use crate::readiness::Readiness;
use crate::shutdown::Request;
use crate::statistics::Statistics;

pub(crate) use self::capture::Capture;
pub(crate) use self::life::{Change, Changes, Input, SourceFailure};

/// How often plugins are asked for their metrics, at most.
const PLUGIN_METRICS_INTERVAL: Duration = Duration::from_secs(1);
/// After so many bytes of events, a source that has nothing more to do gives freed memory back.
const BURST_BYTES: usize = 32 << 20;

/// Why an event source ended before its stream did.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("cannot open event source '{event_source}'")]
    Open { event_source: String, source: OpenError },
    #[error("event source '{event_source}' failed")]
    Plugin { event_source: String, on_failure: OnFailure, source: SourceFailure },
    #[error("event source '{event_source}' ended, its last events stay unacknowledged")]
    Outputs { event_source: String, source: OutputClosed },
    #[error("event source '{event_source}' panicked: {message}")]
    Panic { event_source: String, message: String },
}

/// What one source thread works with, besides its stream of events.
pub(crate) struct SourceThread {
    pub(crate) event_source: String,
    pub(crate) input: Input,
    pub(crate) evaluator: BatchEvaluator,
    pub(crate) capture: Capture,
    pub(crate) progress: ProgressLine,
    pub(crate) program: Arc<ArcSwap<SourceProgram>>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) alerts: AlertSender,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether the plugins are asked for metrics of their own.
    pub(crate) asks_plugins_for_metrics: bool,
    /// Whether they are asked at least at the end of a stream, for the ledger.
    pub(crate) asks_plugins_at_end: bool,
    pub(crate) stop: CancellationToken,
    pub(crate) counters: SourceCounters,
    /// Of the events under evaluation; kept for its allocation.
    pub(crate) detections: Vec<Detection>,
    /// Whether a batch was dealt with since the source was opened last.
    pub(crate) has_delivered: bool,
}

/// Why a stream is not read any more.
enum End {
    /// It has ended, or the agent ends.
    Stream,
    Failure(SourceFailure),
    /// The source is to be opened anew.
    Change(Box<Change>),
}

/// A started source thread.
#[derive(Debug)]
pub(crate) struct RunningSource {
    event_source: String,
    thread: JoinHandle<Result<(), SourceError>>,
    opened: Receiver<()>,
}

/// What became of the opening of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Done,
    /// The thread has ended, and its result says why.
    Failed,
    /// It is still under way, and need not be waited for any more.
    GivenUp,
}

impl SourceThread {
    /// Starts the thread, which opens the source first: a plugin that never returns from that must not keep the agent from
    /// ending. When it ends, however that comes, it asks with [`Request::SourceEnded`] and its `index` to be joined.
    ///
    /// # Errors
    ///
    /// When the system cannot start one more thread.
    pub(crate) fn start(
        self,
        plugin: Plugin,
        index: usize,
        requests: SyncSender<Request>,
    ) -> io::Result<RunningSource> {
        let event_source = self.event_source.clone();
        let name = format!("source-{event_source}");
        let (has_opened, opened) = sync_channel(1);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let _notice = EndNotice { index, requests };
            self.run(plugin, &has_opened)
        })?;
        Ok(RunningSource { event_source, thread, opened })
    }

    /// Evaluates what a stream gives until it ends.
    ///
    /// # Errors
    ///
    /// When an output took no alert; what comes from the plugin is an end too.
    fn serve(&mut self, stream: EventStream) -> Result<End, SourceError> {
        // Closing a stream acknowledges its last batch. A panic, or an output that took no alert, must not do that:
        // then the stream stays open to the end of the process, and whoever sent the batch sends it again.
        let mut stream = ManuallyDrop::new(stream);
        let mut result = self.evaluate_all(&mut stream);
        if matches!(result, Err(SourceError::Outputs { .. })) {
            self.store_plugin_metrics(&mut stream);
            return result;
        }
        stream.close();
        self.capture.stop_adding(stream.extractor(), &mut self.evaluator);
        let added = self.capture.queue.take_until(u64::MAX);
        if let Err(error) = self.process(&in_order(Vec::new(), &added), stream.extractor(), 0) {
            result = Err(error);
        }
        self.capture.end(stream.extractor(), &mut self.evaluator);
        // Only now the plugin knows what nobody asked for.
        self.store_plugin_metrics(&mut stream);
        if self.asks_plugins_at_end {
            self.metrics.keep_account(&self.event_source, &stream.metrics(), true);
        }
        drop(ManuallyDrop::into_inner(stream));
        result
    }

    fn evaluate_all(&mut self, stream: &mut EventStream) -> Result<End, SourceError> {
        let mut progress = self.progress.of_source(&self.event_source, self.counters.events.get());
        let mut metrics_due = Instant::now();
        let mut burst_bytes = 0;
        // A batch that was asked for is waited for: it may be on its way.
        while stream.is_asked() || !self.stop.is_cancelled() {
            if !stream.is_asked()
                && let Some(change) = self.changes.take()
            {
                if change.input.is_some() {
                    return Ok(End::Change(Box::new(change)));
                }
                self.settings_changed(change);
                if let Err(error) = self.capture.begin(stream.extractor(), &mut self.evaluator) {
                    tracing::error!(
                        "A plugin does not begin with its new settings: {}",
                        with_causes(&error)
                    );
                }
            }
            if Instant::now() >= metrics_due {
                self.store_plugin_metrics(stream);
                metrics_due = Instant::now() + PLUGIN_METRICS_INTERVAL;
            }
            progress.show(stream, self.counters.events.get());
            let mut batch = match stream.next_batch() {
                Ok(batch) => batch,
                Err(NoBatch::Timeout) => {
                    let added = self.capture.queue.take_due();
                    self.process(&in_order(Vec::new(), &added), stream.extractor(), 0)?;
                    if burst_bytes >= BURST_BYTES {
                        plugin_host::release_free_memory();
                        burst_bytes = 0;
                    }
                    continue;
                }
                Err(NoBatch::Eof) => return Ok(End::Stream),
                Err(failure) => {
                    let crash = stream.plugin().crash().map(|message| SourceFailure::Crash {
                        plugin: stream.plugin().library().name().to_owned(),
                        message: message.to_owned(),
                    });
                    return Ok(End::Failure(crash.unwrap_or(failure.into())));
                }
            };
            let events: Vec<_> = batch.events().collect();
            let last_ns = events.iter().map(Event::timestamp_ns).max().unwrap_or_default();
            let added = self.capture.queue.take_until(last_ns);
            let of_batch = events.len() as u64;
            burst_bytes += events.iter().map(|event| event.payload().len()).sum::<usize>();
            self.process(&in_order(events, &added), batch.extractor(), of_batch)?;
        }
        Ok(End::Stream)
    }

    /// Evaluates events, of which `of_batch` are the plugin's own, and waits until every output has their alerts.
    fn process(
        &mut self,
        events: &[Event<'_>],
        mut input: Extractor<'_>,
        of_batch: u64,
    ) -> Result<(), SourceError> {
        if events.is_empty() {
            return Ok(());
        }
        // One load per batch: a reload takes effect between batches, never inside one.
        let program = self.program.load();
        let utc_offset_s = ZonedDateTime::now().offset().seconds();
        self.evaluator.evaluate(
            &program,
            events,
            input.reborrow(),
            utc_offset_s,
            &mut self.detections,
        );
        // Else the events come again, unless the plugin has no way to ask for them.
        let is_complete = input.plugin().crash().is_none();
        if is_complete {
            if self.counters.events.get() == 0 {
                tracing::info!("First events of source '{}'", self.event_source);
            }
            self.counters.events.inc_by(events.len() as u64);
            self.metrics.evaluated(&self.event_source, of_batch);
        }
        self.readiness.had_event(&self.event_source);
        // The next `next_batch` acknowledges this batch to its sender, so its alerts must be delivered or on
        // disk first. Full outputs make us wait, and the sender hears 429.
        let format = Arc::clone(&program.format);
        drop(program);
        self.deliver(&format, utc_offset_s).map_err(|source| SourceError::Outputs {
            event_source: self.event_source.clone(),
            source,
        })?;
        self.has_delivered |= is_complete;
        Ok(())
    }

    /// Asks all plugins of the source for their metrics, and notes what they did wrong: only this thread may call them. What
    /// several states of a plugin tell is added up.
    fn store_plugin_metrics(&mut self, stream: &mut EventStream) {
        let (metrics, event_source) = (&self.metrics, &self.event_source);
        let mut sums = BTreeMap::new();
        let mut store = |library: &Library, told: Vec<Metric>, protocol_errors| {
            add_metrics(sums.entry(library.name().to_owned()).or_default(), told);
            metrics.protocol_errors(library.name(), event_source).inc_by(protocol_errors);
        };
        self.counters.async_lost.inc_by(self.capture.queue.take_lost());
        let mut told = Vec::new();
        // A child process tells both at once.
        if self.asks_plugins_for_metrics || stream.plugin().library().is_isolated() {
            told = stream.metrics();
        }
        if self.asks_plugins_for_metrics {
            metrics.keep_account(event_source, &told, false);
        } else {
            told.clear();
        }
        let protocol_errors = stream.take_protocol_errors();
        store(stream.plugin().library(), told, protocol_errors);
        for plugin in self.evaluator.states() {
            let told = if self.asks_plugins_for_metrics { plugin.metrics() } else { Vec::new() };
            let protocol_errors = plugin.take_protocol_errors();
            store(plugin.library(), told, protocol_errors);
        }
        for (plugin, told) in sums {
            metrics.store_plugin(&plugin, event_source, told);
        }
    }

    /// Sends the alerts of one batch, and waits until every output has them.
    fn deliver(&mut self, format: &AlertFormat, utc_offset_s: i32) -> Result<(), OutputClosed> {
        self.statistics.record(&self.detections);
        let times_ns: Vec<u64> =
            self.detections.iter().map(|detection| detection.timestamp_ns).collect();
        for detection in self.detections.drain(..) {
            self.metrics.rule_matched(&detection.rule);
            self.alerts.push(format.alert(&detection, utc_offset_s))?;
        }
        self.alerts.commit()?;
        let now_ns = now_ns();
        for time_ns in times_ns {
            // The clock that stamped the event may be ahead of ours.
            self.counters
                .lag
                .observe(Duration::from_nanos(now_ns.saturating_sub(time_ns)).as_secs_f64());
        }
        Ok(())
    }
}

/// All events in the order of time: those that plugins have added come before the ones of the batch that are later.
fn in_order<'e>(of_batch: Vec<Event<'e>>, added: &'e [AsyncEvent]) -> Vec<Event<'e>> {
    if added.is_empty() {
        return of_batch;
    }
    let mut added = added.iter().map(AsyncEvent::as_event).peekable();
    let mut events = Vec::with_capacity(of_batch.len());
    for event in of_batch {
        while let Some(earlier) = added.next_if(|a| a.timestamp_ns() <= event.timestamp_ns()) {
            events.push(earlier);
        }
        events.push(event);
    }
    events.extend(added);
    events
}

impl RunningSource {
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    pub(crate) fn event_source(&self) -> &str {
        &self.event_source
    }

    /// Waits until the source is open, at most until `is_over`, which is asked now and then.
    pub(crate) fn wait_until_open(&self, mut is_over: impl FnMut() -> bool) -> Opening {
        const LOOK_EVERY: Duration = Duration::from_millis(50);
        loop {
            match self.opened.recv_timeout(LOOK_EVERY) {
                Ok(()) => return Opening::Done,
                Err(RecvTimeoutError::Disconnected) => return Opening::Failed,
                Err(RecvTimeoutError::Timeout) if is_over() => return Opening::GivenUp,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Waits for the thread's end.
    ///
    /// # Errors
    ///
    /// When the source did not end with its stream or by request, a panic included.
    pub(crate) fn join(self) -> Result<(), SourceError> {
        let event_source = self.event_source;
        self.thread.join().unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let message = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(SourceError::Panic { event_source, message: message.unwrap_or_default() })
        })
    }
}

/// Tells the main thread when it is dropped, so also when the thread panics.
struct EndNotice {
    index: usize,
    requests: SyncSender<Request>,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        // Nobody receives any more once the agent ends; then every thread is joined anyway.
        self.requests.send(Request::SourceEnded(self.index)).ok();
    }
}
