//! The agent's log: on standard error and to syslog, as text or JSON.

mod line;
mod repeats;
mod syslog;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use plugin_host::{LogSeverity, LogSink};
use rules_engine::Priority;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogConfig;
use crate::logging::line::Message;
use crate::logging::repeats::Repeats;
use crate::logging::syslog::Syslog;
use crate::progress::ProgressLine;

/// Where the daemon of a Linux system listens.
const SYSLOG_SOCKET: &str = "/dev/log";

/// Marks what plugins say, which `log_level` does not filter. `plugin` is the name of its field.
const PLUGINS: &str = "plugins";

/// The settings of the log, which may change while it is written.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    config: Arc<ArcSwap<LogConfig>>,
    progress: ProgressLine,
}

/// Writes what is logged.
struct Writer {
    config: Arc<ArcSwap<LogConfig>>,
    progress: ProgressLine,
    syslog: Syslog,
    /// Whether it was said that no daemon takes messages.
    misses_syslog: AtomicBool,
    repeats: Mutex<Repeats>,
}

impl Log {
    pub(crate) fn new(config: &LogConfig) -> Log {
        let config = Arc::new(ArcSwap::from_pointee(config.clone()));
        Log { config, progress: ProgressLine::new() }
    }

    /// What may stand below the log on a terminal.
    pub(crate) fn progress(&self) -> &ProgressLine {
        &self.progress
    }

    /// Starts logging.
    ///
    /// # Panics
    ///
    /// When called twice.
    pub(crate) fn start(&self) {
        let (config, progress) = (Arc::clone(&self.config), self.progress.clone());
        let writer = Writer::new(config, progress, SYSLOG_SOCKET.into());
        tracing_subscriber::registry().with(writer).init();
    }

    /// Logs by these settings from now on.
    pub(crate) fn change(&self, config: &LogConfig) {
        self.config.store(Arc::new(config.clone()));
        // Which levels are wanted is remembered where messages come from.
        tracing::callsite::rebuild_interest_cache();
    }

    /// Passes on what plugins log, as far as `libs_logger` wants it.
    pub(crate) fn of_plugins(&self) -> Arc<LogSink> {
        let config = Arc::clone(&self.config);
        Arc::new(move |severity, plugin, message| {
            if config.load().plugin_severity.is_none_or(|least| severity > least) {
                return;
            }
            let message = without_sdk_prefix(message);
            match severity {
                LogSeverity::Fatal | LogSeverity::Critical | LogSeverity::Error => {
                    tracing::error!(target: PLUGINS, plugin, "{message}");
                }
                LogSeverity::Warning => tracing::warn!(target: PLUGINS, plugin, "{message}"),
                LogSeverity::Notice | LogSeverity::Info => {
                    tracing::info!(target: PLUGINS, plugin, "{message}");
                }
                LogSeverity::Debug | LogSeverity::Trace => {
                    tracing::debug!(target: PLUGINS, plugin, "{message}");
                }
            }
        })
    }
}

impl Writer {
    fn new(config: Arc<ArcSwap<LogConfig>>, progress: ProgressLine, syslog: PathBuf) -> Writer {
        Writer {
            config,
            progress,
            syslog: Syslog::new(syslog),
            misses_syslog: AtomicBool::new(false),
            repeats: Mutex::default(),
        }
    }

    /// `stderr` takes whole lines.
    fn write(&self, message: &Message<'_>, stderr: &mut impl Write) -> io::Result<()> {
        let config = self.config.load();
        let mut is_to_show = config.stderr;
        if config.syslog {
            match self.syslog.send(message.level, &message.plain()) {
                Ok(()) => self.misses_syslog.store(false, Ordering::Relaxed),
                Err(error) => {
                    // It must be seen somewhere.
                    is_to_show = true;
                    if !self.misses_syslog.swap(true, Ordering::Relaxed) {
                        let text = format!(
                            "log_syslog: no daemon takes messages at {SYSLOG_SOCKET} ({error}), the \
                             log goes to standard error"
                        );
                        let notice = Message { level: Level::WARN, plugin: None, text: &text };
                        let line = notice.line(config.format, Timestamp::now());
                        stderr.write_all(line.as_bytes())?;
                    }
                }
            }
        }
        if is_to_show {
            stderr.write_all(message.line(config.format, Timestamp::now()).as_bytes())?;
        }
        Ok(())
    }
}

impl<S: Subscriber> Layer<S> for Writer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let config = self.config.load();
        is_wanted(metadata.target(), *metadata.level(), config.level)
            && (config.stderr || config.syslog)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let text = fields.message.trim_end_matches('\n');
        let level = *event.metadata().level();
        let plugin = fields.plugin.as_deref();
        // What tells the steps of a run has to come each time.
        let may_be_counted = level <= Level::WARN || plugin.is_some();
        let suffix = if may_be_counted {
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            repeats.suffix(text, Instant::now())
        } else {
            Some(String::new())
        };
        let Some(suffix) = suffix else { return };
        let message = Message { level, plugin, text: &format!("{text}{suffix}") };
        // Where would one say that nobody reads the log?
        self.progress.make_way(|| self.write(&message, &mut io::stderr().lock())).ok();
    }
}

/// Whether a message from this part of the program is wanted.
fn is_wanted(target: &str, level: Level, least: Priority) -> bool {
    match target {
        PLUGINS => true,
        _ if target.starts_with(env!("CARGO_CRATE_NAME")) => level <= lowest(least),
        // Libraries warn of what is nothing to them but daily life here, such as a watched file that goes.
        _ => level == Level::ERROR || lowest(least) >= Level::DEBUG && level <= Level::DEBUG,
    }
}

/// Levels of Falco that `tracing` lacks count as the next one.
fn lowest(level: Priority) -> Level {
    match level {
        Priority::Emergency | Priority::Alert | Priority::Critical | Priority::Error => {
            Level::ERROR
        }
        Priority::Warning => Level::WARN,
        Priority::Notice | Priority::Informational => Level::INFO,
        Priority::Debug => Level::DEBUG,
    }
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

#[derive(Default)]
struct Fields {
    message: String,
    plugin: Option<String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "plugin" {
            self.plugin = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
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

    #[test]
    fn messages_are_filtered_by_where_they_come_from() {
        for (target, level, least, expected) in [
            ("shikra::app", Level::INFO, Priority::Informational, true),
            ("shikra::app", Level::DEBUG, Priority::Informational, false),
            ("shikra::app", Level::WARN, Priority::Error, false),
            (PLUGINS, Level::DEBUG, Priority::Error, true),
            ("log", Level::WARN, Priority::Informational, false),
            ("log", Level::ERROR, Priority::Informational, true),
            ("h2", Level::DEBUG, Priority::Debug, true),
        ] {
            assert_eq!(is_wanted(target, level, least), expected, "{target} {level} {least:?}");
        }
    }

    #[test]
    fn without_a_daemon_the_log_goes_to_standard_error_which_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let config = crate::config::LogConfig {
            stderr: false,
            syslog: true,
            format: crate::config::LogFormat::Text { iso_8601: true },
            level: Priority::Debug,
            plugin_severity: None,
        };
        let path = folder.path().join("log");
        let config = Arc::new(ArcSwap::from_pointee(config));
        let writer = Writer::new(config, ProgressLine::default(), path.clone());
        let write = |text: &str| {
            let mut stderr = Vec::new();
            writer.write(&Message { level: Level::INFO, plugin: None, text }, &mut stderr).unwrap();
            String::from_utf8(stderr).unwrap()
        };
        let first = write("one");
        assert_eq!(first.lines().count(), 2, "{first}");
        assert!(
            first.contains("no daemon takes messages") && first.ends_with(": one\n"),
            "{first}"
        );
        assert_eq!(write("two").lines().count(), 1);
        let _daemon = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        assert_eq!(write("three"), "");
    }
}
