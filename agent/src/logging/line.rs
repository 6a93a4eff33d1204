//! One message as a line of text in Falco's form, or as a line of JSON.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use tracing::Level;

use crate::config::LogFormat;

/// What is to be logged.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) level: Level,
    /// The plugin that says it; none if the agent itself does.
    pub(super) plugin: Option<&'a str>,
    pub(super) text: &'a str,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    time: String,
    level: &'static str,
    source: &'a str,
    msg: &'a str,
}

impl Message<'_> {
    /// The text with stock's mark of what plugins say.
    pub(super) fn plain(&self) -> String {
        let prefix = self.plugin.map(|name| format!("[libs]: {name}: ")).unwrap_or_default();
        let mut plain = String::new();
        for c in prefix.chars().chain(self.text.chars()) {
            // What a plugin or a file says must not steer the terminal. Our own reports have several lines.
            match c {
                '\n' => plain.push(c),
                c if c.is_control() => plain.extend(c.escape_default()),
                c => plain.push(c),
            }
        }
        plain
    }

    /// `Wed Jul 01 10:00:00 2026: message`, or with ISO times `2026-07-01T10:00:00+0000: message`. Like stock, a line of
    /// text does not show its level.
    ///
    /// Source: `falco_logger::log` in Falco 0.45-dev.
    pub(super) fn line(&self, format: LogFormat, now: Timestamp) -> String {
        let mut line = String::new();
        let written = match format {
            LogFormat::Text { iso_8601: true } => {
                write!(line, "{}: {}", now.strftime("%Y-%m-%dT%H:%M:%S+0000"), self.plain())
            }
            LogFormat::Text { iso_8601: false } => {
                let now = now.to_zoned_datetime(TimeZone::system());
                write!(line, "{}: {}", now.strftime("%a %b %d %H:%M:%S %Y"), self.plain())
            }
            LogFormat::Json => {
                let json = JsonLine {
                    time: now.to_string(),
                    level: name(self.level),
                    source: self.plugin.unwrap_or("shikra"),
                    msg: self.text,
                };
                write!(line, "{}", serde_json::to_string(&json).expect("texts are always JSON"))
            }
        };
        written.expect("writing to a string");
        line.push('\n');
        line
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(plugin: Option<&str>, text: &str, format: LogFormat, expected: &str) {
        let message = Message { level: Level::WARN, plugin, text };
        let now = "2026-07-01T10:00:00.5Z".parse().unwrap();
        assert_eq!(message.line(format, now), expected);
    }

    #[test]
    fn lines_of_text_are_those_of_falco() {
        let iso = LogFormat::Text { iso_8601: true };
        check(None, "a\nb\x1b", iso, "2026-07-01T10:00:00+0000: a\nb\\u{1b}\n");
        check(Some("k8saudit"), "a", iso, "2026-07-01T10:00:00+0000: [libs]: k8saudit: a\n");
    }

    #[test]
    fn lines_of_json_have_the_level_and_who_says_it() {
        check(
            Some("json"),
            "a\nb",
            LogFormat::Json,
            "{\"time\":\"2026-07-01T10:00:00.5Z\",\"level\":\"warning\",\"source\":\"json\",\"msg\":\"a\\nb\"}\n",
        );
        check(
            None,
            "\"",
            LogFormat::Json,
            "{\"time\":\"2026-07-01T10:00:00.5Z\",\"level\":\"warning\",\"source\":\"shikra\",\"msg\":\"\\\"\"}\n",
        );
    }
}
