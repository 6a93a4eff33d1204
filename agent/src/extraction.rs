//! Field values of one event, asked of the plugins of its source.

use std::ffi::CStr;
use std::sync::Arc;

use plugin_host::{Batch, Event, Extracted, FieldRequest, Plugin};
use rules_engine::{Extract, FieldId, FieldUse, Program, Provider, Ruleset, Values};

use crate::alert::AlertFormat;
use crate::plugins::Plugins;

/// A program, how to ask plugins for the fields that it uses, and how its alerts look. A reload swaps them together.
#[derive(Debug)]
pub(crate) struct SourceProgram {
    pub(crate) program: Arc<Program>,
    /// Indexed by [`FieldId`].
    requests: Vec<Request>,
    pub(crate) format: Arc<AlertFormat>,
}

#[derive(Debug)]
struct Request {
    /// Counts in [`Plugins::loaded`].
    plugin: usize,
    field: FieldRequest,
}

impl SourceProgram {
    pub(crate) fn new(
        ruleset: &Ruleset,
        source: &str,
        plugins: &Plugins,
        format: &Arc<AlertFormat>,
    ) -> SourceProgram {
        let program = ruleset.program(source).expect("the engine was told of every source");
        let requests = program.fields().iter().map(|field| Request::new(field, plugins)).collect();
        SourceProgram { program, requests, format: Arc::clone(format) }
    }
}

impl Request {
    fn new(field: &FieldUse, plugins: &Plugins) -> Request {
        let Provider::Plugin(plugin) = field.provider else {
            unreachable!("the engine asks only for fields of plugins");
        };
        let library = &plugins.loaded[plugin].library;
        let request = FieldRequest::new(library, field.field, field.argument.as_deref());
        Request { plugin, field: request.expect("rules are checked against the catalogue") }
    }
}

/// The plugins of one source, at one of its events.
#[derive(Debug)]
pub(crate) struct Extraction<'x, 'batch> {
    pub(crate) program: &'x SourceProgram,
    pub(crate) event: Event<'batch>,
    pub(crate) number: u64,
    pub(crate) source: &'x CStr,
    /// The plugin that produced the event, by its index in [`Plugins::loaded`].
    pub(crate) input: usize,
    /// The state of that plugin.
    pub(crate) batch: &'x mut Batch<'batch>,
    /// The states of the other plugins.
    pub(crate) extractors: &'x mut [(usize, Plugin)],
}

impl Extract for Extraction<'_, '_> {
    fn extract(&mut self, field: FieldId, values: &mut Values<'_>) {
        let request = &self.program.requests[field.index()];
        let mut extractor = if request.plugin == self.input {
            self.batch.extractor()
        } else {
            let state = self.extractors.iter_mut().find(|(index, _)| *index == request.plugin);
            state.expect("every plugin in the catalogue has a state").1.extractor()
        };
        match extractor.extract(&self.event, self.number, self.source, &request.field) {
            None => {}
            Some(Extracted::Strings(strings)) => strings.for_each(|s| values.push_string(s)),
            Some(Extracted::Numbers(numbers)) => {
                numbers.iter().for_each(|&number| values.push_number(number));
            }
            Some(Extracted::Bools(bools)) => {
                bools.iter().for_each(|&truth| values.push_bool(truth != 0));
            }
            Some(Extracted::Addresses(addresses)) => {
                addresses.for_each(|address| values.push_address(address));
            }
        }
    }

    fn plugin_info(&mut self) -> Option<String> {
        Some(self.batch.extractor().event_to_string(&self.event, self.number))
    }
}
