//! Log lines on standard error, in Falco's form.

use std::error::Error;
use std::fmt;

use jiff::{Timestamp, ZonedDateTime};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Starts logging. Lines of a lower level than `level` are dropped.
///
/// # Panics
///
/// When called twice.
pub(crate) fn start(level: LevelFilter, iso_8601: bool) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .event_format(FalcoLine { iso_8601 })
        .init();
}

/// `Wed Jul 01 10:00:00 2026: message`, or with ISO times `2026-07-01T10:00:00+0000: message`. Like stock, a line
/// does not show its level.
///
/// Source: `falco_logger::log` in Falco 0.45-dev.
struct FalcoLine {
    iso_8601: bool,
}

impl<S, N> FormatEvent<S, N> for FalcoLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.iso_8601 {
            write!(writer, "{}: ", Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S+0000"))?;
        } else {
            write!(writer, "{}: ", ZonedDateTime::now().strftime("%a %b %d %H:%M:%S %Y"))?;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        for c in message.0.trim_end_matches('\n').chars() {
            // What a plugin or a file says must not steer the terminal. Our own reports have several lines.
            match c {
                '\n' => writer.write_char(c)?,
                c if c.is_control() => write!(writer, "{}", c.escape_default())?,
                c => writer.write_char(c)?,
            }
        }
        writer.write_char('\n')
    }
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
