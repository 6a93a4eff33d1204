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
    /// Whether there is a log, on standard error.
    pub(crate) enabled: bool,
    /// Less severe messages are not logged. Levels have the names of priorities.
    pub(crate) level: Priority,
    /// The least severe messages of plugins that are logged; `None` if they are not at all.
    pub(crate) plugin_severity: Option<LogSeverity>,
}

impl LogConfig {
    pub(super) fn read(root: &mut Section<'_, '_>) -> LogConfig {
        LogConfig {
            // Service managers and container runtimes pass standard error on to wherever logs belong.
            enabled: root.flag("log_stderr", false) | root.flag("log_syslog", true),
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
