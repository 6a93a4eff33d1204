//! `--list-events`: the events that conditions may name. Without a kernel driver they come from plugins alone.

use serde_json::{Map, Value, json};

use crate::cli::ListFormat;
use crate::commands::version::DRIVER_SCHEMA_VERSION;

struct EventType {
    name: &'static str,
    /// Types and names.
    parameters: &'static [(&'static str, &'static str)],
}

/// Source: `event_table.c` of libs 0.25; the titles are those of Falco 0.44, in its order.
const CATEGORIES: [(&str, &[EventType]); 4] = [
    ("Syscall events", &[]),
    ("Tracepoint events", &[]),
    (
        "Plugin events",
        &[EventType {
            name: "pluginevent",
            parameters: &[("UINT32", "plugin_id"), ("BYTEBUF", "event_data")],
        }],
    ),
    (
        "Metaevents",
        &[EventType {
            name: "asyncevent",
            parameters: &[("UINT32", "plugin_id"), ("CHARBUF", "name"), ("BYTEBUF", "data")],
        }],
    ),
];

pub(crate) fn listing(format: ListFormat) -> String {
    match format {
        ListFormat::Json => format!("{:#}\n", json_listing()),
        ListFormat::Text => {
            text_listing("", |event, parameters| format!("> {event}({parameters})\n"))
        }
        ListFormat::Markdown => {
            let head = "Default | Dir | Name | Params \n:-------|:----|:-----|:-----\n";
            text_listing(head, |event, parameters| {
                format!("Yes | `>` | `{event}` | {parameters}\n")
            })
        }
    }
}

fn text_listing(head: &str, line: impl Fn(&str, &str) -> String) -> String {
    let mut text =
        format!("The events below are valid for Falco *Schema Version*: {DRIVER_SCHEMA_VERSION}\n");
    for (title, events) in CATEGORIES {
        text += &format!("## {title}\n\n{head}");
        for event in events {
            let parameters =
                event.parameters.iter().map(|(kind, name)| format!("{kind} **{name}**"));
            text += &line(event.name, &parameters.collect::<Vec<_>>().join(", "));
        }
        text.push('\n');
    }
    text
}

fn json_listing() -> Value {
    let event_json = |event: &EventType| {
        let parameters = event.parameters.iter();
        let parameters: Vec<_> =
            parameters.map(|(kind, name)| json!({ "type": kind, "name": name })).collect();
        json!({ "name": event.name, "dir": ">", "available": true, "params": parameters })
    };
    let categories = CATEGORIES.iter().map(|(title, events)| {
        ((*title).to_owned(), events.iter().map(event_json).collect::<Value>())
    });
    let mut listing: Map<_, _> = categories.collect();
    listing.insert("schema_version".to_owned(), DRIVER_SCHEMA_VERSION.into());
    listing.into()
}
