//! Event parsing: shows a plugin each event in its turn, before fields are extracted from it.

use std::ffi::CStr;

use serde::{Deserialize, Serialize};

use crate::abi::{EventInput, ParseInput};
use crate::event::Event;
use crate::extract::Extractor;
use crate::owner;
use crate::tables;

/// Which events a plugin parses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parsing {
    /// The event sources it understands, its own among them; empty when it takes any.
    pub sources: Vec<String>,
}

impl Parsing {
    /// Are the events of `source` parsed?
    pub fn is_compatible_with(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|own| own == source)
    }
}

impl Extractor<'_> {
    /// Has the plugin parse an event, if it does that and the event is of a type that it wants.
    ///
    /// Events come in order, each once. `number` and `source` are as in [`Extractor::extract`]. What the plugin answers has no
    /// effect, in Falco too.
    pub fn parse(&mut self, event: &Event<'_>, number: u64, source: &CStr) {
        let plugin = &mut *self.plugin;
        let Some(local) = plugin.local() else { return };
        let Some(parse) = local.functions.parse else { return };
        if !plugin.parsed_types.contains(event.event_type()) {
            return;
        }
        let event = EventInput { evt: event.header(), evtnum: number, evtsrc: source.as_ptr() };
        let input = ParseInput {
            owner: plugin.owner.handle(),
            get_owner_last_error: Some(owner::last_error),
            table_reader: tables::READER,
            table_writer: tables::WRITER,
            table_reader_ext: tables::reader_ext(),
            table_writer_ext: tables::writer_ext(),
        };
        // SAFETY: the state lives until the plugin drops, `&mut` keeps other calls out, the inputs
        // outlive the call, and the event stays as long as its own lifetime.
        unsafe { (parse.parse_event)(local.handle, &raw const event, &raw const input) };
        plugin.owner.tables().reclaim();
    }
}
