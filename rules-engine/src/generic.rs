//! The fields that the engine itself answers for every event source: `evt.*`.
//!
//! Source: `sinsp_filter_check_gen_event` in libs, as far as events of plugins have these fields.

use std::io::Write;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::field::{FieldClass, FieldDefinition, FieldType, Provider};
use crate::program::{EventInfo, Extract, Values};

const NANOSECONDS: u64 = 1_000_000_000;

/// A field of the class `evt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum GenericField {
    Number,
    Time,
    TimeSeconds,
    TimeIso8601,
    DateTime,
    DateTimeSeconds,
    RawTime,
    RawTimeSeconds,
    RawTimeNanoseconds,
    RelativeTime,
    RelativeTimeSeconds,
    RelativeTimeNanoseconds,
    PluginName,
    PluginInfo,
    Source,
    IsAsync,
    AsyncType,
    Hostname,
}

use GenericField as G;

/// Field, name, type and description, in the order of listings.
const FIELDS: [(GenericField, &str, FieldType, &str); 18] = [
    (G::Number, "evt.num", FieldType::Uint64, "number of the event, counted from 1 in each source"),
    (G::Time, "evt.time", FieldType::String, "local time of the event with nanoseconds"),
    (G::TimeSeconds, "evt.time.s", FieldType::String, "local time of the event in seconds"),
    (
        G::TimeIso8601,
        "evt.time.iso8601",
        FieldType::String,
        "date and time of the event in UTC, ISO 8601 with nanoseconds",
    ),
    (
        G::DateTime,
        "evt.datetime",
        FieldType::String,
        "local date and time of the event with nanoseconds",
    ),
    (
        G::DateTimeSeconds,
        "evt.datetime.s",
        FieldType::String,
        "local date and time of the event in seconds",
    ),
    (G::RawTime, "evt.rawtime", FieldType::AbsTime, "nanoseconds since the Unix epoch"),
    (G::RawTimeSeconds, "evt.rawtime.s", FieldType::AbsTime, "whole seconds since the Unix epoch"),
    (
        G::RawTimeNanoseconds,
        "evt.rawtime.ns",
        FieldType::AbsTime,
        "what the whole seconds leave of the time, in nanoseconds",
    ),
    (G::RelativeTime, "evt.reltime", FieldType::RelTime, "nanoseconds since the first event"),
    (
        G::RelativeTimeSeconds,
        "evt.reltime.s",
        FieldType::RelTime,
        "whole seconds since the first event",
    ),
    (
        G::RelativeTimeNanoseconds,
        "evt.reltime.ns",
        FieldType::RelTime,
        "what the whole seconds leave of the time since the first event, in nanoseconds",
    ),
    (
        G::PluginName,
        "evt.pluginname",
        FieldType::String,
        "name of the plugin that the event came from",
    ),
    (
        G::PluginInfo,
        "evt.plugininfo",
        FieldType::String,
        "the event as text, as its plugin puts it",
    ),
    (G::Source, "evt.source", FieldType::String, "event source, such as k8s_audit"),
    (G::IsAsync, "evt.is_async", FieldType::Bool, "whether the event tells about the agent itself"),
    (G::AsyncType, "evt.asynctype", FieldType::String, "name of an asynchronous event"),
    (G::Hostname, "evt.hostname", FieldType::String, "name of the host that the agent runs on"),
];

/// The class `evt`, which every event source has.
pub fn generic_class() -> FieldClass {
    FieldClass {
        name: "evt".to_owned(),
        description: "All event types".to_owned(),
        provider: Provider::Generic,
        fields: FIELDS
            .iter()
            .map(|(_, name, kind, description)| FieldDefinition {
                name: (*name).to_owned(),
                kind: *kind,
                is_list: false,
                argument: None,
                description: (*description).to_owned(),
                hidden: false,
                suggested: false,
            })
            .collect(),
    }
}

impl GenericField {
    /// The field at `index` of [`generic_class`].
    pub(crate) fn at(index: usize) -> GenericField {
        FIELDS[index].0
    }

    /// Puts the field's value into `values`, nothing if it has none.
    pub(crate) fn extract(
        self,
        event: &EventInfo<'_>,
        extract: &mut dyn Extract,
        values: &mut Values<'_>,
    ) {
        // As in stock Falco, the time of an event that is older than the first one wraps around.
        let relative_ns = event.timestamp_ns.wrapping_sub(event.first_timestamp_ns);
        match self {
            G::Number => values.push_number(event.number),
            G::RawTime => values.push_number(event.timestamp_ns),
            G::RawTimeSeconds => values.push_number(event.timestamp_ns / NANOSECONDS),
            G::RawTimeNanoseconds => values.push_number(event.timestamp_ns % NANOSECONDS),
            G::RelativeTime => values.push_number(relative_ns),
            G::RelativeTimeSeconds => values.push_number(relative_ns / NANOSECONDS),
            G::RelativeTimeNanoseconds => values.push_number(relative_ns % NANOSECONDS),
            G::Time | G::TimeSeconds | G::TimeIso8601 | G::DateTime | G::DateTimeSeconds => {
                values.push_string_with(|text| self.write_time(event, text));
            }
            G::PluginName => push_if_any(values, event.plugin_name),
            G::PluginInfo => push_if_any(values, extract.plugin_info().as_deref()),
            G::Source => values.push_string(event.source.as_bytes()),
            G::IsAsync => values.push_bool(event.async_name.is_some()),
            G::AsyncType => push_if_any(values, event.async_name),
            G::Hostname => values.push_string(event.hostname.as_bytes()),
        }
    }

    fn write_time(self, event: &EventInfo<'_>, text: &mut Vec<u8>) {
        let utc = Timestamp::from_nanosecond(i128::from(event.timestamp_ns))
            .expect("64 bits of nanoseconds end in the year 2554");
        let offset = Offset::from_seconds(event.utc_offset_s).unwrap_or(Offset::UTC);
        let local = offset.to_datetime(utc);
        match self {
            G::TimeIso8601 => {
                let utc = Offset::UTC.to_datetime(utc);
                write_date(text, utc, b'T');
                write_clock(text, utc);
                write_fraction(text, utc);
                text.extend_from_slice(b"+0000");
            }
            G::DateTime => {
                write_date(text, local, b' ');
                write_clock(text, local);
                write_fraction(text, local);
            }
            G::DateTimeSeconds => {
                write_date(text, local, b' ');
                write_clock(text, local);
            }
            G::TimeSeconds => write_clock(text, local),
            _ => {
                write_clock(text, local);
                write_fraction(text, local);
            }
        }
    }

    /// How many digits a message shows at least.
    pub(crate) fn least_digits(self) -> usize {
        match self {
            G::RawTimeNanoseconds | G::RelativeTime | G::RelativeTimeNanoseconds => 9,
            _ => 1,
        }
    }

    /// Whether JSON shows the event's time in nanoseconds in place of the text.
    pub(crate) fn is_time_text(self) -> bool {
        matches!(self, G::Time | G::TimeSeconds | G::TimeIso8601 | G::DateTime | G::DateTimeSeconds)
    }
}

fn push_if_any(values: &mut Values<'_>, text: Option<&str>) {
    if let Some(text) = text {
        values.push_string(text.as_bytes());
    }
}

fn write_date(text: &mut Vec<u8>, time: DateTime, separator: u8) {
    put(text, format_args!("{:04}-{:02}-{:02}", time.year(), time.month(), time.day()));
    text.push(separator);
}

fn write_clock(text: &mut Vec<u8>, time: DateTime) {
    put(text, format_args!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second()));
}

fn write_fraction(text: &mut Vec<u8>, time: DateTime) {
    put(text, format_args!(".{:09}", time.subsec_nanosecond()));
}

fn put(text: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to memory does not fail");
}
