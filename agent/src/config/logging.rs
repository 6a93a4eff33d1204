//! Where the agent's own messages go, and which of them.

use plugin_host::LogSeverity;
use rules_engine::Priority;

use super::section::Section;

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
            level: root.parsed("log_level", Priority::Informational, |text| {
                log_level(text).ok_or_else(|| format!("Unknown log level {text}"))
            }),
            plugin_severity: root.section("libs_logger", |section| {
                let enabled = section.flag("enabled", true);
                let severity = section.parsed("severity", LogSeverity::Info, |text| {
                    plugin_severity(text)
                        .ok_or_else(|| format!("Unknown sinsp log severity {text}"))
                });
                enabled.then_some(severity)
            }),
        }
    }
}

/// Unlike a rule's priority, a level is written in lower case and `info` for short.
fn log_level(text: &str) -> Option<Priority> {
    match text {
        "info" => Some(Priority::Informational),
        "informational" => None,
        _ if text.contains(|c: char| c.is_ascii_uppercase()) => None,
        _ => text.parse().ok(),
    }
}

fn plugin_severity(text: &str) -> Option<LogSeverity> {
    Some(match text {
        "fatal" => LogSeverity::Fatal,
        "critical" => LogSeverity::Critical,
        "error" => LogSeverity::Error,
        "warning" => LogSeverity::Warning,
        "notice" => LogSeverity::Notice,
        "info" => LogSeverity::Info,
        "debug" => LogSeverity::Debug,
        "trace" => LogSeverity::Trace,
        _ => return None,
    })
}
