//! Evaluates the events of one source, batch by batch, on one thread or several.
//!
//! ```text
//! batch --shares--> source's own thread --evaluate--\
//!              \--> helper, with states of its own ---> detections --by event--> in order
//! ```

use std::ffi::CString;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use plugin_host::{Event, Extractor, InitError, Plugin, StateTables};
use rayon_core::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use rules_engine::{Detection, Evaluator, EventInfo};

use crate::extraction::{Extraction, SourceProgram};
use crate::metrics::{SourceCosts, TIMED_EVERY};
use crate::plugins::PluginStates;

/// So many events are taken at once. They take some 50 µs and more, beside which waking a thread costs little.
const SHARE: usize = 32;

/// What events of one source are evaluated with, and what is known of those before.
#[derive(Debug)]
pub(crate) struct BatchEvaluator {
    source: SourceInfo,
    /// On the source's own thread, with the state that produced the events.
    own: Worker,
    helpers: Option<Helpers>,
    costs: Arc<SourceCosts>,
    /// Of the last event. Goes on when the source is opened again: plugins keep what they know of an event by its number.
    number: u64,
    first_timestamp_ns: Option<u64>,
}

/// The threads beside the source's own.
#[derive(Debug)]
struct Helpers {
    pool: ThreadPool,
    workers: Vec<Worker>,
}

/// What one thread evaluates with.
#[derive(Debug)]
struct Worker {
    /// States of the plugins that extract; of a helper also one of the plugin that produces the events.
    states: PluginStates,
    evaluator: Evaluator,
    /// By the index of the first event of a share.
    detections: Vec<(usize, Vec<Detection>)>,
}

#[derive(Debug)]
struct SourceInfo {
    name: String,
    c_name: CString,
    plugin_name: String,
    /// The plugin that produces the events, by its index among the loaded ones.
    input: usize,
    /// The plugins that parse the events, in load order.
    parsers: Vec<usize>,
}

/// A batch as all threads see it.
struct Shares<'x, 'batch> {
    source: &'x SourceInfo,
    program: &'x SourceProgram,
    events: &'x [Event<'batch>],
    /// The number of the event before the first one.
    number: u64,
    first_timestamp_ns: u64,
    utc_offset_s: i32,
    /// The event that nobody has taken yet.
    next: AtomicUsize,
}

impl BatchEvaluator {
    /// Makes one that has seen no event, with a thread for each of `helpers`. `plugin_name` and `input` are those of
    /// the plugin that produces the events.
    ///
    /// # Errors
    ///
    /// When the system cannot start so many threads.
    pub(crate) fn new(
        event_source: &str,
        plugin_name: &str,
        input: usize,
        extractors: PluginStates,
        helpers: Vec<PluginStates>,
        costs: Arc<SourceCosts>,
    ) -> Result<Self, ThreadPoolBuildError> {
        let source = SourceInfo {
            name: event_source.to_owned(),
            c_name: CString::new(event_source).expect("it came from a C string"),
            plugin_name: plugin_name.to_owned(),
            input,
            parsers: Vec::new(),
        };
        let own = Worker::new(extractors);
        let helpers = Helpers::start(event_source, helpers)?;
        Ok(BatchEvaluator { source, own, helpers, costs, number: 0, first_timestamp_ns: None })
    }

    /// Has plugins parse the events; that takes an evaluator without helpers.
    pub(crate) fn parsed_by(mut self, parsers: &[usize]) -> Self {
        assert!(parsers.is_empty() || self.helpers.is_none(), "events are parsed in order");
        self.source.parsers = parsers.to_vec();
        self
    }

    /// Appends the detections of all events, in order. `input` is the state of the plugin that produces them.
    pub(crate) fn evaluate(
        &mut self,
        program: &SourceProgram,
        events: &[Event<'_>],
        mut input: Extractor<'_>,
        utc_offset_s: i32,
        detections: &mut Vec<Detection>,
    ) {
        let Some(first) = events.first() else { return };
        let shares = Shares {
            source: &self.source,
            program,
            events,
            number: self.number,
            first_timestamp_ns: *self.first_timestamp_ns.get_or_insert(first.timestamp_ns()),
            utc_offset_s,
            next: AtomicUsize::new(0),
        };
        self.number += events.len() as u64;
        match &mut self.helpers {
            // Shared by all of them there would be less than one share each: then it is not worth waking any.
            Some(helpers) if events.len() > SHARE => {
                let workers = &mut helpers.workers[..];
                helpers.pool.in_place_scope(|scope| {
                    for worker in workers.iter_mut().take(events.len().div_ceil(SHARE) - 1) {
                        scope.spawn(|_| worker.take_shares(&shares, None));
                    }
                    self.own.take_shares(&shares, Some(input.reborrow()));
                });
                let all = workers.iter_mut().chain([&mut self.own]);
                let mut found: Vec<_> =
                    all.flat_map(|worker| worker.detections.drain(..)).collect();
                found.sort_unstable_by_key(|(index, _)| *index);
                detections.extend(found.into_iter().flat_map(|(_, detections)| detections));
            }
            _ => self.own.evaluate(&shares, 0..events.len(), &mut Some(input), detections),
        }
        let helpers = self.helpers.iter_mut().flat_map(|helpers| &mut helpers.workers);
        let evaluators = helpers.chain([&mut self.own]).map(|worker| &mut worker.evaluator);
        self.costs.take(&program.program, evaluators);
    }

    /// How many threads help.
    pub(crate) fn helpers(&self) -> usize {
        self.helpers.as_ref().map_or(0, |helpers| helpers.workers.len())
    }

    /// Puts new states of plugins in the place of theirs: on the source's own thread, and of each helper. Returns those that
    /// the helpers had.
    pub(crate) fn replace_states(
        &mut self,
        own: PluginStates,
        helpers: Vec<PluginStates>,
    ) -> Vec<PluginStates> {
        self.own.replace_states(own);
        let workers = self.helpers.iter_mut().flat_map(|helpers| &mut helpers.workers);
        workers.zip(helpers).map(|(worker, new)| worker.replace_states(new)).collect()
    }

    /// Takes back, of what [`BatchEvaluator::replace_states`] returned, the states of the plugin that produces the events.
    pub(crate) fn restore_input(&mut self, mut helpers: Vec<PluginStates>) {
        let input = self.source.input;
        helpers.iter_mut().for_each(|states| states.retain(|(index, _)| *index == input));
        self.replace_states(PluginStates::new(), helpers);
    }

    /// Whether plugins share state tables, so that a new state of one takes new states of all.
    pub(crate) fn shares_tables(&self) -> bool {
        self.own.states.iter().any(|(_, plugin)| plugin.shares_tables())
    }

    /// Makes new states of all plugins, in load order: of the one that produces the events, which is returned, with `input`.
    ///
    /// # Errors
    ///
    /// When one refuses to start. Then all is as before.
    pub(crate) fn renew(
        &mut self,
        input: impl FnOnce(&Arc<StateTables>) -> Result<Plugin, InitError>,
    ) -> Result<Plugin, InitError> {
        let tables = StateTables::new();
        let again = |(index, plugin): &(usize, Plugin)| -> Result<_, InitError> {
            Ok((*index, plugin.again(&tables)?))
        };
        let is_before = |(index, _): &(usize, Plugin)| *index < self.source.input;
        let (before, after): (Vec<_>, Vec<_>) = self.own.states.iter().partition(|s| is_before(s));
        let mut states = before.into_iter().map(again).collect::<Result<PluginStates, _>>()?;
        let input = input(&tables)?;
        for state in after {
            states.push(again(state)?);
        }
        self.own.states = states;
        Ok(input)
    }

    /// The states of the other plugins on the source's own thread.
    pub(crate) fn extractors(&mut self) -> impl Iterator<Item = &mut Plugin> {
        self.own.states.iter_mut().map(|(_, plugin)| plugin)
    }

    /// All states but the one that produces the events.
    pub(crate) fn states(&mut self) -> impl Iterator<Item = &mut Plugin> {
        let helpers = self.helpers.iter_mut().flat_map(|helpers| &mut helpers.workers);
        let workers = [&mut self.own].into_iter().chain(helpers);
        workers.flat_map(|worker| &mut worker.states).map(|(_, plugin)| plugin)
    }
}

impl Helpers {
    fn start(
        event_source: &str,
        states: Vec<PluginStates>,
    ) -> Result<Option<Self>, ThreadPoolBuildError> {
        if states.is_empty() {
            return Ok(None);
        }
        let name = format!("evaluate-{event_source}");
        let pool = ThreadPoolBuilder::new().num_threads(states.len());
        let pool = pool.thread_name(move |_| name.clone()).build()?;
        Ok(Some(Helpers { pool, workers: states.into_iter().map(Worker::new).collect() }))
    }
}

impl Worker {
    fn new(states: PluginStates) -> Self {
        Worker { states, evaluator: Evaluator::new(), detections: Vec::new() }
    }

    /// Returns those that it had.
    fn replace_states(&mut self, new: PluginStates) -> PluginStates {
        let replace = |(index, plugin)| {
            let old = self.states.iter_mut().find(|(old, _)| *old == index);
            let (_, old) = old.expect("every plugin in use has a state");
            (index, std::mem::replace(old, plugin))
        };
        new.into_iter().map(replace).collect()
    }

    /// Evaluates events of the batch until all are taken. Who has the input extracts with the state that produced them.
    fn take_shares(&mut self, shares: &Shares<'_, '_>, mut input: Option<Extractor<'_>>) {
        loop {
            let start = shares.next.fetch_add(SHARE, Ordering::Relaxed);
            if start >= shares.events.len() {
                return;
            }
            let end = shares.events.len().min(start + SHARE);
            let mut detections = Vec::new();
            self.evaluate(shares, start..end, &mut input, &mut detections);
            if !detections.is_empty() {
                self.detections.push((start, detections));
            }
        }
    }

    fn evaluate(
        &mut self,
        shares: &Shares<'_, '_>,
        range: Range<usize>,
        input: &mut Option<Extractor<'_>>,
        detections: &mut Vec<Detection>,
    ) {
        let Shares { source, program, .. } = shares;
        for index in range {
            let event = shares.events[index];
            let number = shares.number + 1 + index as u64;
            let async_name = event.async_name();
            let info = EventInfo {
                number,
                timestamp_ns: event.timestamp_ns(),
                first_timestamp_ns: shares.first_timestamp_ns,
                source: &source.name,
                // Of an event that a plugin has added it has no value, as in Falco.
                plugin_name: async_name.is_none().then_some(&*source.plugin_name),
                hostname: &program.format.hostname,
                async_name,
                utc_offset_s: shares.utc_offset_s,
            };
            let mut extraction = Extraction {
                program,
                event,
                number,
                source: &source.c_name,
                input: source.input,
                input_state: input.as_mut().map(Extractor::reborrow),
                states: &mut self.states,
            };
            for &parser in &source.parsers {
                extraction.extractor(parser).parse(&event, number, &source.c_name);
            }
            let detected = detections.len();
            let (evaluator, program) = (&mut self.evaluator, &program.program);
            if number.is_multiple_of(TIMED_EVERY) {
                let start = Instant::now();
                let clock = || start.elapsed();
                evaluator.evaluate_timed(program, &info, &mut extraction, &clock, detections);
            } else {
                evaluator.evaluate(program, &info, &mut extraction, detections);
            }
            // Its values were not what they are. The next batch tells why; this one stays unacknowledged.
            if input.as_ref().is_some_and(|input| input.plugin().crash().is_some()) {
                detections.truncate(detected);
                break;
            }
        }
    }
}
