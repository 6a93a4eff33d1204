//! What keeps an event source alive: how it is opened again after a failure, and opened anew after a reload.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plugin_host::{
    EventStream, InitError, Library, LogSink, NoBatch, OpenError, Plugin, StateTables,
};

use super::{Capture, End, SourceError, SourceThread};
use crate::config::{OnFailure, PluginConfig};
use crate::evaluation::BatchEvaluator;
use crate::logging::with_causes;
use crate::plugins::PluginStates;
use crate::readiness::SourceState;

/// The pause before a source is opened again for the first time; it doubles from failure to failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause after a crash of a child process that gave events before: it is no more than a new process.
const LONGEST_AFTER_CRASH: Duration = Duration::from_millis(500);
/// A source that ran this many times longer than it paused before is well again.
const WELL_AFTER: u32 = 10;

/// Why an event source has no events any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceFailure {
    /// It failed while it ran.
    #[error(transparent)]
    NoBatch(#[from] NoBatch),
    /// The child process that it ran in has ended.
    #[error("plugin {plugin} crashed: {message}")]
    Crash { plugin: String, message: String },
    /// It could not be opened again.
    #[error(transparent)]
    Init(#[from] InitError),
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// The plugin that produces a source's events, and the settings to make it ready with.
pub(crate) struct Input {
    pub(crate) library: Arc<Library>,
    pub(crate) settings: PluginConfig,
    pub(crate) log: Arc<LogSink>,
}

impl Input {
    /// Opens the source with a new state of the plugin: who knows in what state a failure leaves the old one. If plugins share
    /// tables, the others get new states too.
    pub(crate) fn open(
        &self,
        capture: &Capture,
        evaluator: &mut BatchEvaluator,
    ) -> Result<EventStream, SourceFailure> {
        let init = |tables: &Arc<StateTables>| {
            self.library.init_among(&self.settings.init_config, Arc::clone(&self.log), tables)
        };
        let plugin = match evaluator.shares_tables() {
            true => evaluator.renew(init)?,
            false => init(&StateTables::new())?,
        };
        Ok(capture.open(plugin, &self.settings.open_params, evaluator)?)
    }
}

impl SourceThread {
    /// Opens the source, and keeps it going until its stream ends, it fails for good, or the agent ends.
    pub(super) fn run(
        mut self,
        plugin: Plugin,
        has_opened: &SyncSender<()>,
    ) -> Result<(), SourceError> {
        let params = &self.input.settings.open_params;
        let stream = self.capture.open(plugin, params, &mut self.evaluator).map_err(|source| {
            SourceError::Open { event_source: self.event_source.clone(), source }
        })?;
        self.readiness.set(&self.event_source, SourceState::Open);
        // Gone if it took so long that the agent ends; there is room for this one.
        has_opened.send(()).ok();
        let mut pauses = Pauses::new();
        let mut opened = Ok(stream);
        loop {
            let start = Instant::now();
            self.has_delivered = false;
            let end = match opened {
                Ok(stream) => self.serve(stream)?,
                Err(failure) => End::Failure(failure),
            };
            opened = match end {
                End::Stream => return Ok(()),
                End::Change(change) => self.open_changed(*change),
                End::Failure(failure) => {
                    self.metrics.source(&self.event_source).failures.inc();
                    let mut pause = pauses.after(start.elapsed());
                    if self.has_delivered && matches!(failure, SourceFailure::Crash { .. }) {
                        pause = pause.min(LONGEST_AFTER_CRASH);
                    }
                    match self.reopen(failure, pause)? {
                        Some(opened) => opened,
                        None => return Ok(()),
                    }
                }
            };
            if opened.is_ok() {
                self.changes.set_in_force(self.input.settings.clone());
                self.metrics.source(&self.event_source).reopenings.inc();
                self.readiness.set(&self.event_source, SourceState::Open);
                tracing::info!("Opened event source '{}' again", self.event_source);
            }
        }
    }

    /// Opens the source again after a pause, or when a reload asks for it. `None` if the agent ends meanwhile.
    fn reopen(
        &mut self,
        failure: SourceFailure,
        pause: Duration,
    ) -> Result<Option<Result<EventStream, SourceFailure>>, SourceError> {
        self.readiness.set(&self.event_source, SourceState::Reopening);
        if !self.is_over(&failure) {
            tracing::error!(
                "An error occurred in an event source, '{}' is opened again in {} s: {}",
                self.event_source,
                pause.as_secs_f64(),
                with_causes(&failure)
            );
        }
        let change = self.changes.wait(Instant::now() + pause, || self.is_over(&failure));
        if self.stop.is_cancelled() {
            return Ok(None);
        }
        let Some(change) = change else {
            if self.is_over(&failure) {
                let (event_source, on_failure) =
                    (self.event_source.clone(), self.input.settings.on_failure);
                return Err(SourceError::Plugin { event_source, on_failure, source: failure });
            }
            return Ok(Some(self.input.open(&self.capture, &mut self.evaluator)));
        };
        // The old settings did not work either.
        Ok(Some(match self.settings_changed(change) {
            Some(plugin) => self
                .capture
                .open(plugin, &self.input.settings.open_params, &mut self.evaluator)
                .map_err(SourceFailure::from),
            None => self.input.open(&self.capture, &mut self.evaluator),
        }))
    }

    /// Whether a source that has failed stays closed.
    fn is_over(&self, failure: &SourceFailure) -> bool {
        // Of a process of its own it can only be that the plugin itself says so.
        let may_be_for_good =
            matches!(failure, SourceFailure::NoBatch(_)) || !self.input.library.is_isolated();
        self.stop.is_cancelled()
            || match self.input.settings.on_failure {
                OnFailure::Reopen => false,
                OnFailure::ReopenBesideOthers => {
                    may_be_for_good && !self.readiness.is_any_open_beside(&self.event_source)
                }
                OnFailure::Stop | OnFailure::Exit => true,
            }
    }

    /// Opens the source with new settings, or with the old ones again if these do not work.
    fn open_changed(&mut self, change: Change) -> Result<EventStream, SourceFailure> {
        let Change { settings, input, extractors, helpers } = change;
        let plugin = input.expect("the source is to be opened anew");
        let of_helpers = self.evaluator.replace_states(extractors, helpers);
        let old = std::mem::replace(&mut self.input.settings, settings);
        let params = &self.input.settings.open_params;
        self.capture.open(plugin, params, &mut self.evaluator).or_else(|error| {
            tracing::error!(
                "Event source '{}' cannot be opened with its new settings, the old ones stay in force: {}",
                self.event_source,
                with_causes(&error)
            );
            self.input.settings = old;
            // The new settings of other plugins are in force.
            self.evaluator.restore_input(of_helpers);
            self.input.open(&self.capture, &mut self.evaluator)
        })
    }

    /// Takes over settings and states; returns the state that is to be opened, if there is one.
    pub(super) fn settings_changed(&mut self, change: Change) -> Option<Plugin> {
        self.evaluator.replace_states(change.extractors, change.helpers);
        self.input.settings = change.settings;
        change.input
    }
}

/// How long a source waits before it is opened again.
#[derive(Debug)]
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new() -> Pauses {
        Pauses(FIRST_PAUSE)
    }

    /// The pause after a source failed that had run for `run`.
    pub(crate) fn after(&mut self, run: Duration) -> Duration {
        let was_well = run >= (self.0 * WELL_AFTER).min(LONGEST_PAUSE);
        let pause = if was_well { FIRST_PAUSE } else { self.0 };
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// What a reload changes about the plugins of one source.
#[derive(Debug)]
pub(crate) struct Change {
    /// Of the plugin that produces the events.
    pub(crate) settings: PluginConfig,
    /// A new state of it, if it is to be opened anew.
    pub(crate) input: Option<Plugin>,
    /// New states of other plugins.
    pub(crate) extractors: PluginStates,
    /// For each helper new states too, of the plugin that produces the events as well.
    pub(crate) helpers: Vec<PluginStates>,
}

/// Where a reload leaves its changes until the source's thread is between two batches.
#[derive(Debug)]
pub(crate) struct Changes(Mutex<State>);

#[derive(Debug)]
struct State {
    /// What the source was last opened with.
    in_force: PluginConfig,
    waiting: Option<Change>,
}

impl Changes {
    pub(crate) fn new(in_force: PluginConfig) -> Changes {
        Changes(Mutex::new(State { in_force, waiting: None }))
    }

    /// The settings that the source was last opened with.
    pub(crate) fn in_force(&self) -> PluginConfig {
        self.lock().in_force.clone()
    }

    pub(crate) fn set_in_force(&self, settings: PluginConfig) {
        self.lock().in_force = settings;
    }

    pub(crate) fn take(&self) -> Option<Change> {
        self.lock().waiting.take()
    }

    /// Asks the thread to make `change`, and what else it was asked for and did not get to.
    pub(crate) fn put(&self, mut change: Change) {
        let waiting = &mut self.lock().waiting;
        if let Some(older) = waiting.take() {
            keep_older(&mut change.extractors, older.extractors);
            let helpers = change.helpers.iter_mut().zip(older.helpers);
            helpers.for_each(|(newer, older)| keep_older(newer, older));
        }
        *waiting = Some(change);
    }

    /// Waits for a change until `deadline`, or until `is_over`.
    pub(crate) fn wait(&self, deadline: Instant, is_over: impl Fn() -> bool) -> Option<Change> {
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let change = self.take();
            if change.is_some() || left.is_zero() || is_over() {
                return change;
            }
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds the older states of plugins that have no newer one.
fn keep_older(newer: &mut PluginStates, older: PluginStates) {
    let is_new = |index| newer.iter().all(|(new, _)| *new != index);
    let kept: Vec<_> = older.into_iter().filter(|(index, _)| is_new(*index)).collect();
    newer.extend(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_the_source_is_well() {
        let mut pauses = Pauses::new();
        let mut after = |run_s: f64| pauses.after(Duration::from_secs_f64(run_s)).as_secs_f64();
        assert_eq!([after(0.0), after(0.9), after(0.0)], [0.1, 0.2, 0.4]);
        assert_eq!([after(8.0), after(1.9), after(0.0)], [0.1, 0.2, 0.4]);
        let last = (0..20).map(|_| after(0.0)).last();
        assert_eq!(last, Some(60.0));
        assert_eq!([after(59.9), after(60.0), after(0.0)], [60.0, 0.1, 0.2]);
    }
}
