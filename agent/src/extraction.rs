//! Field values of one event, asked of the plugins of its source.

use std::ffi::CStr;
use std::sync::Arc;

use plugin_host::{Event, Extracted, Extractor, FieldRequest};
use rules_engine::{Extract, FieldId, FieldUse, Program, Provider, Ruleset, Values};

use crate::alert::AlertFormat;
use crate::plugins::{PluginStates, Plugins};

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
        SourceProgram::of(program, plugins, format)
    }

    /// For a program that was made with the fields of these plugins.
    pub(crate) fn of(
        program: Arc<Program>,
        plugins: &Plugins,
        format: &Arc<AlertFormat>,
    ) -> SourceProgram {
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
pub(crate) struct Extraction<'x, 'event> {
    pub(crate) program: &'x SourceProgram,
    pub(crate) event: Event<'event>,
    pub(crate) number: u64,
    pub(crate) source: &'x CStr,
    /// The plugin that produced the event, by its index in [`Plugins::loaded`].
    pub(crate) input: usize,
    /// The state that produced the event, on the one thread that may use it.
    pub(crate) input_state: Option<Extractor<'x>>,
    /// The states of all other plugins, without `input_state` of the producing one too.
    pub(crate) states: &'x mut PluginStates,
}

impl Extraction<'_, '_> {
    pub(crate) fn extractor(&mut self, plugin: usize) -> Extractor<'_> {
        match &mut self.input_state {
            Some(input) if plugin == self.input => input.reborrow(),
            _ => {
                let state = self.states.iter_mut().find(|(index, _)| *index == plugin);
                state.expect("every plugin in the catalogue has a state").1.extractor()
            }
        }
    }
}

impl Extract for Extraction<'_, '_> {
    fn extract(&mut self, field: FieldId, values: &mut Values<'_>) {
        let program = self.program;
        let (event, number, source) = (self.event, self.number, self.source);
        let request = &program.requests[field.index()];
        let mut extractor = self.extractor(request.plugin);
        match extractor.extract(&event, number, source, &request.field) {
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
        let (event, number) = (self.event, self.number);
        if event.async_name().is_some() {
            return None;
        }
        Some(self.extractor(self.input).event_to_string(&event, number))
    }
}
