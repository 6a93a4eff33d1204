//! Falco plugin `json`: fields of events whose payload is JSON, whatever their source.
//!
//! It takes the place of Falco's plugin of this name: same name, fields and configuration.
#![forbid(unsafe_code)]

mod indent;
mod pointer;

use std::ffi::{CStr, CString};
use std::io::Write;

use anyhow::ensure;
use falco_plugin::base::{Json, Plugin};
use falco_plugin::event::PluginEvent;
use falco_plugin::event::events::Event;
use falco_plugin::extract::{EventInput, ExtractFieldInfo, ExtractPlugin, ExtractRequest, field};
use falco_plugin::schemars::JsonSchema;
use falco_plugin::tables::TablesInput;
use plugin_support::json::{Document, EventDocument, Kind, Unparsed};
use plugin_support::{c_string, guard};
use serde::Deserialize;

/// The plugin's `init_config`; keys that are not listed are ignored.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "falco_plugin::schemars", title = "json")]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// Accepted for the sake of existing configurations, without effect.
    pub use_async: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { use_async: true }
    }
}

/// The plugin's state.
#[derive(Debug)]
pub struct JsonPlugin {
    document: EventDocument,
}

impl Plugin for JsonPlugin {
    const NAME: &'static CStr = c"json";
    // Rules files ask for the plugin by version: this is the one whose fields and configuration we have.
    const PLUGIN_VERSION: &'static CStr = c"0.7.4";
    const DESCRIPTION: &'static CStr = c"Fields of events that are JSON";
    const CONTACT: &'static CStr = c"the Shikra authors";
    type ConfigType = Json<Config>;

    fn new(_input: Option<&TablesInput>, _config: Json<Config>) -> anyhow::Result<Self> {
        guard("init", || Ok(Self { document: EventDocument::default() }))
    }
}

impl ExtractPlugin for JsonPlugin {
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;
    // The SDK makes a context for every call, and hosts ask for one field a call: what is kept between fields of one
    // event is kept in the plugin's state.
    type ExtractContext = ();

    const EXTRACT_FIELDS: &'static [ExtractFieldInfo<Self>] = &[
        field("json.value", &value)
            .with_description("Value at a JSON pointer, as in json.value[/user/groups/0]"),
        field("json.obj", &object).with_description("The whole event, indented"),
        field("json.rawtime", &raw_time)
            .with_description("Time of the event, in nanoseconds since 1970"),
        field("jevt.value", &value).with_description("Older name of json.value"),
        field("jevt.obj", &object).with_description("Older name of json.obj"),
        field("jevt.rawtime", &raw_time).with_description("Older name of json.rawtime"),
    ];
}

fn value(
    plugin: &mut JsonPlugin,
    ExtractRequest { event, .. }: ExtractRequest<JsonPlugin>,
    pointer: &CStr,
) -> anyhow::Result<Option<CString>> {
    if let Some(found) = plugin.find(event, pointer.to_bytes())? {
        return Ok(found.map(c_string));
    }
    plugin.extract(event, |document, _| Ok(pointer::text_at(document, pointer.to_bytes())))
}

fn object(
    plugin: &mut JsonPlugin,
    ExtractRequest { event, .. }: ExtractRequest<JsonPlugin>,
) -> anyhow::Result<Option<CString>> {
    plugin.extract(event, |document, _| indent::indented(document).map(Some))
}

fn raw_time(
    plugin: &mut JsonPlugin,
    ExtractRequest { event, .. }: ExtractRequest<JsonPlugin>,
) -> anyhow::Result<Option<CString>> {
    let known = guard("extraction", || {
        let event = event.event()?;
        Ok(is_known_container(&event).then_some(event.metadata.ts))
    })?;
    match known {
        Some(timestamp_ns) => Ok(Some(c_string(time_text(timestamp_ns)))),
        None => plugin.extract(event, |_, timestamp_ns| Ok(Some(time_text(timestamp_ns)))),
    }
}

fn time_text(timestamp_ns: u64) -> Vec<u8> {
    // The digits of a time of today, and the NUL that the C interface adds.
    let mut text = Vec::with_capacity(20);
    write!(text, "{timestamp_ns}").expect("writing to memory does not fail");
    text
}

type Input<'a> = EventInput<'a, <JsonPlugin as ExtractPlugin>::Event<'a>>;

/// The plugin `k8saudit`, ours and stock's: it passes on only what a parser has accepted as JSON.
const K8SAUDIT: u32 = 1;

/// Whether the payload is an object or an array without a look at all of it.
fn is_known_container(event: &Event<PluginEvent<&[u8]>>) -> bool {
    let root = Unparsed::new(event.params.event_data);
    event.params.plugin_id == K8SAUDIT && (root.is_object() || root.is_array())
}

impl JsonPlugin {
    /// Looks for the first value that is asked of an event without parsing the event; `None` if that may be wrong. Rules
    /// for audit events ask every event for one value, and seldom for more.
    fn find(
        &mut self,
        input: &Input<'_>,
        pointer: &[u8],
    ) -> anyhow::Result<Option<Option<Vec<u8>>>> {
        guard("extraction", || {
            let event = input.event()?;
            let (number, payload) = (input.event_number() as u64, event.params.event_data);
            let may_look = is_known_container(&event)
                && self.document.is_new(number, event.metadata.ts, payload);
            Ok(may_look.then(|| pointer::text_in(payload, pointer)))
        })
    }

    /// What `text` makes of the event's document and time, if the event is JSON.
    fn extract(
        &mut self,
        input: &Input<'_>,
        text: impl FnOnce(&Document, u64) -> anyhow::Result<Option<Vec<u8>>>,
    ) -> anyhow::Result<Option<CString>> {
        guard("extraction", || {
            let event = input.event()?;
            let timestamp_ns = event.metadata.ts;
            let document = self.document.of(
                input.event_number() as u64,
                timestamp_ns,
                event.params.event_data,
            )?;
            ensure_container(document)?;
            Ok(text(document, timestamp_ns)?.map(c_string))
        })
    }
}

/// A text or a number alone is JSON too, but lines of plain text should not have fields because they happen to be that.
fn ensure_container(document: &Document) -> anyhow::Result<()> {
    let is_container = matches!(document.root().kind(), Kind::Object | Kind::Array);
    ensure!(is_container, "the payload is neither an object nor an array");
    Ok(())
}

/// The C functions of the plugin; a module of its own, since the SDK's macros use what this crate forbids.
mod exports {
    use falco_plugin::{extract_plugin, plugin};

    use crate::JsonPlugin;

    plugin!(JsonPlugin);
    extract_plugin!(JsonPlugin);
}

#[cfg(test)]
mod tests;
