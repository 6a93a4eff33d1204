//! Log lines on standard error, in Falco's form.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use jiff::{Timestamp, ZonedDateTime};
use plugin_host::{LogSeverity, LogSink};
use rules_engine::Priority;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogConfig;

/// Starts logging.
///
/// # Panics
///
/// When called twice.
pub(crate) fn start(config: &LogConfig, iso_8601: bool) {
    tracing_subscriber::fmt()
        .with_max_level(level(config))
        .with_writer(std::io::stderr)
        .event_format(FalcoLine { iso_8601 })
        .init();
}

fn level(config: &LogConfig) -> LevelFilter {
    if !config.enabled {
        return LevelFilter::OFF;
    }
    match config.level {
        Priority::Emergency | Priority::Alert | Priority::Critical | Priority::Error => {
            LevelFilter::ERROR
        }
        Priority::Warning => LevelFilter::WARN,
        Priority::Notice | Priority::Informational => LevelFilter::INFO,
        Priority::Debug => LevelFilter::DEBUG,
    }
}

/// Passes on what plugins log, as far as `libs_logger` wants it.
pub(crate) fn of_plugins(config: &LogConfig) -> Arc<LogSink> {
    let wanted = config.plugin_severity;
    Arc::new(move |severity, component, message| {
        if wanted.is_none_or(|least| severity > least) {
            return;
        }
        let message = without_sdk_prefix(message);
        match severity {
            LogSeverity::Fatal | LogSeverity::Critical | LogSeverity::Error => {
                tracing::error!("[libs]: {component}: {message}");
            }
            LogSeverity::Warning => tracing::warn!("[libs]: {component}: {message}"),
            LogSeverity::Notice | LogSeverity::Info => {
                tracing::info!("[libs]: {component}: {message}");
            }
            LogSeverity::Debug | LogSeverity::Trace => {
                tracing::debug!("[libs]: {component}: {message}");
            }
        }
    })
}

/// The message without what the plugin SDK for Rust puts before it: the level in brackets, and in debug builds the place
/// in the source. The severity comes beside the message anyway.
fn without_sdk_prefix(message: &str) -> &str {
    const LEVELS: [&str; 5] = ["[ERROR] ", "[WARN] ", "[INFO] ", "[DEBUG] ", "[TRACE] "];
    let is_place = |text: &str| {
        text.rsplit_once(".rs:").is_some_and(|(path, line)| {
            !path.contains(char::is_whitespace) && line.bytes().all(|b| b.is_ascii_digit())
        })
    };
    LEVELS
        .iter()
        .filter_map(|level| message.split_once(level))
        .find(|(place, _)| place.is_empty() || is_place(place))
        .map_or(message, |(_, text)| text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        assert_eq!(without_sdk_prefix(message), expected);
    }

    #[test]
    fn messages_of_plugins_lose_the_prefix_of_the_sdk() {
        check("[INFO] listening on 127.0.0.1:1", "listening on 127.0.0.1:1");
        check("sources/k8saudit/src/webhook.rs:102[WARN] a [INFO] b", "a [INFO] b");
        check("plain", "plain");
        check("peer[INFO] said", "peer[INFO] said");
        check("it said x.rs:1[INFO] y", "it said x.rs:1[INFO] y");
    }
}
