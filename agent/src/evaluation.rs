//! Evaluates the events of one source, batch by batch.

use std::ffi::CString;

use plugin_host::{Batch, Plugin};
use rules_engine::{Detection, Evaluator, EventInfo};

use crate::extraction::{Extraction, SourceProgram};

/// What events of one source are evaluated with, and what is known of those before.
#[derive(Debug)]
pub(crate) struct BatchEvaluator {
    event_source: String,
    c_source: CString,
    plugin_name: String,
    /// The plugin that produces the events, by its index among the loaded ones.
    input: usize,
    /// The other plugins that extract from the events, by their indices.
    extractors: Vec<(usize, Plugin)>,
    evaluator: Evaluator,
    /// Of the last event. Goes on when the source is opened again: plugins keep what they know of an event by its number.
    number: u64,
    first_timestamp_ns: Option<u64>,
}

impl BatchEvaluator {
    /// Makes one that has seen no event. `plugin_name` and `input` are those of the plugin that produces the events.
    pub(crate) fn new(
        event_source: &str,
        plugin_name: &str,
        input: usize,
        extractors: Vec<(usize, Plugin)>,
    ) -> Self {
        BatchEvaluator {
            event_source: event_source.to_owned(),
            c_source: CString::new(event_source).expect("it came from a C string"),
            plugin_name: plugin_name.to_owned(),
            input,
            extractors,
            evaluator: Evaluator::new(),
            number: 0,
            first_timestamp_ns: None,
        }
    }

    /// Appends the detections of all events of `batch`, in order.
    pub(crate) fn evaluate(
        &mut self,
        program: &SourceProgram,
        batch: &mut Batch<'_>,
        utc_offset_s: i32,
        detections: &mut Vec<Detection>,
    ) {
        for event in batch.events() {
            self.number += 1;
            let timestamp_ns = event.timestamp_ns();
            let info = EventInfo {
                number: self.number,
                timestamp_ns,
                first_timestamp_ns: *self.first_timestamp_ns.get_or_insert(timestamp_ns),
                source: &self.event_source,
                plugin_name: Some(&self.plugin_name),
                hostname: &program.format.hostname,
                async_name: None,
                utc_offset_s,
            };
            let mut extraction = Extraction {
                program,
                event,
                number: self.number,
                source: &self.c_source,
                input: self.input,
                batch,
                extractors: &mut self.extractors,
            };
            self.evaluator.evaluate(&program.program, &info, &mut extraction, detections);
        }
    }

    /// Puts new states of other plugins in the place of theirs.
    pub(crate) fn replace_extractors(&mut self, new: Vec<(usize, Plugin)>) {
        for (index, plugin) in new {
            let old = self.extractors.iter_mut().find(|(old, _)| *old == index);
            old.expect("every extractor has a state").1 = plugin;
        }
    }

    /// The states of the other plugins.
    pub(crate) fn extractors(&mut self) -> impl Iterator<Item = &mut Plugin> {
        self.extractors.iter_mut().map(|(_, plugin)| plugin)
    }
}
