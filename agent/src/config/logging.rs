//! Where the agent's own messages go, and which of them.

use plugin_host::LogSeverity;
use rules_engine::Priority;

use super::section::Section;

/// Unlike a rule's priority, a level is written in lower case and `info` for short.
const LEVELS: [(&str, Priority); 8] = [
    ("emergency", Priority::Emergency),
    ("alert", Priority::Alert),
    ("critical", Priority::Critical),
    ("error", Priority::Error),
    ("warning", Priority::Warning),
    ("notice", Priority::Notice),
    ("info", Priority::Informational),
    ("debug", Priority::Debug),
];

const SEVERITIES: [(&str, LogSeverity); 8] = [
    ("fatal", LogSeverity::Fatal),
    ("critical", LogSeverity::Critical),
    ("error", LogSeverity::Error),
    ("warning", LogSeverity::Warning),
    ("notice", LogSeverity::Notice),
    ("info", LogSeverity::Info),
    ("debug", LogSeverity::Debug),
    ("trace", LogSeverity::Trace),
];

/// The settings of the agent's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// Whether messages go to standard error.
    pub(crate) stderr: bool,
    /// Whether messages go to the syslog daemon.
    pub(crate) syslog: bool,
    pub(crate) format: LogFormat,
    /// Less severe messages are not logged. Levels have the names of priorities.
    pub(crate) level: Priority,
    /// The least severe messages of plugins that are logged; `None` if they are not at all.
    pub(crate) plugin_severity: Option<LogSeverity>,
}

/// What a line on standard error looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Falco's, with local times, or with ISO 8601 in UTC.
    Text { iso_8601: bool },
    /// An object a line.
    Json,
}

impl LogConfig {
    pub(super) fn read(root: &mut Section<'_, '_>, iso_8601: bool) -> LogConfig {
        let text = LogFormat::Text { iso_8601 };
        let formats = [("text", text), ("json", LogFormat::Json)];
        LogConfig {
            stderr: root.flag("log_stderr", false),
            syslog: root.flag("log_syslog", true),
            format: root.word("log_format", text, &formats, |found| {
                format!("expected text or json, found `{found}`")
            }),
            level: root.word("log_level", Priority::Informational, &LEVELS, |text| {
                format!("Unknown log level {text}")
            }),
            plugin_severity: root.section("libs_logger", |section| {
                let enabled = section.flag("enabled", true);
                let unknown = |text: &str| format!("Unknown sinsp log severity {text}");
                let severity = section.word("severity", LogSeverity::Info, &SEVERITIES, unknown);
                enabled.then_some(severity)
            }),
        }
    }
}
