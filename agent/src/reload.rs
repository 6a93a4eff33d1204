//! Reloads rules: notices changed files, compiles aside, swaps the programs of all sources.

mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::ZonedDateTime;
use rules_engine::Priority;

use crate::alert::AlertFormat;
use crate::extraction::SourceProgram;
use crate::logging::with_causes;
use crate::metrics::{Facts, Files, Metrics, now_ns};
use crate::outputs::AlertSender;
use crate::plugins::Plugins;
use crate::reload::watch::Watch;
use crate::rules::{RulesError, RulesLoader};
use crate::rules_files;

/// A change counts when nothing further changed for this long: files are written piecemeal.
///
/// Source: `restart_handler` in Falco 0.44.
const QUIET: Duration = Duration::from_millis(100);
/// In a directory that is never quiet, such as one with logs, a change counts after this many times [`QUIET`].
const MAX_QUIET_WAITS: usize = 10;
/// How often files are looked at where the system does not notify.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

const FAILURE_RULE: &str = "Falco internal: hot restart failure";

/// The programs of the event sources, shared with their threads.
pub(crate) type Programs = BTreeMap<String, Arc<ArcSwap<SourceProgram>>>;

/// What a reload works with.
pub(crate) struct Reload {
    pub(crate) loader: RulesLoader,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) programs: Programs,
    pub(crate) format: Arc<AlertFormat>,
    pub(crate) alerts: AlertSender,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) facts: Arc<Facts>,
    /// The rules files in force.
    pub(crate) rules_files: Vec<PathBuf>,
    /// Of their contents.
    pub(crate) fingerprint: u64,
    pub(crate) config_files: Vec<PathBuf>,
    /// Of the configuration files, as they were read last; `None` where one is gone.
    pub(crate) config_contents: Vec<Option<Vec<u8>>>,
}

/// The running reload thread.
#[derive(Debug)]
pub(crate) struct Reloader {
    wakes: SyncSender<Wake>,
    thread: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    FilesChanged,
    Requested,
    Stop,
}

impl Reloader {
    /// Starts the thread, which reloads on request, and if `watches`, whenever files change.
    ///
    /// # Errors
    ///
    /// When the system cannot start one more thread.
    pub(crate) fn start(reload: Reload, watches: bool) -> io::Result<Reloader> {
        reload.metrics.reload_timestamp_ns.set(now_ns());
        let (wakes, received) = sync_channel(4);
        let watch = watches.then(|| {
            let wakes = wakes.clone();
            Watch::new(move || {
                // A full channel means that the thread is about to look anyway.
                wakes.try_send(Wake::FilesChanged).ok();
            })
        });
        let thread = std::thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || reload.run(watch, &received))?;
        Ok(Reloader { wakes, thread })
    }

    /// Asks for a reload, whether files changed or not.
    pub(crate) fn request(&self) {
        // Full of what makes the thread reload, or at least look; or it has ended, which its join will tell.
        self.wakes.try_send(Wake::Requested).ok();
    }

    /// Ends the thread. A reload under way is finished first, within `grace`.
    pub(crate) fn stop(self, grace: Duration) {
        let deadline = Instant::now() + grace;
        let wait = || {
            std::thread::park_timeout(Duration::from_millis(5));
            Instant::now() < deadline
        };
        while let Err(TrySendError::Full(_)) = self.wakes.try_send(Wake::Stop)
            && wait()
        {}
        while !self.thread.is_finished() && wait() {}
        if !self.thread.is_finished() {
            tracing::error!("the reload thread does not return, leaving it behind");
        } else if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Reload {
    fn run(mut self, mut watch: Option<Watch>, wakes: &Receiver<Wake>) {
        loop {
            let mut has_changed = false;
            if let Some(watch) = &mut watch {
                // First watch, then look: what changes in between is not missed.
                watch.arm(self.watched());
                let rules = self.rules_fingerprint();
                let config: Vec<_> =
                    self.config_files.iter().map(|path| fs::read(path).ok()).collect();
                let has_config_changed = config != self.config_contents;
                if has_config_changed {
                    tracing::warn!(
                        "The configuration has changed: only rules are reloaded, all else needs a restart"
                    );
                }
                has_changed = has_config_changed || rules != self.fingerprint;
                (self.fingerprint, self.config_contents) = (rules, config);
            }
            if has_changed {
                tracing::info!("SIGHUP received, restarting...");
                self.reload();
            }
            let is_blind = watch.as_ref().is_some_and(Watch::is_blind);
            match wait(wakes, is_blind.then_some(POLL_INTERVAL)) {
                Wake::FilesChanged => {}
                Wake::Requested => self.reload(),
                Wake::Stop => return,
            }
        }
    }

    fn reload(&mut self) {
        match self.loader.load(&self.rules_files) {
            Ok(loaded) => {
                for (source, program) in &self.programs {
                    let new = SourceProgram::new(&loaded.ruleset, source, &self.plugins);
                    program.store(Arc::new(new));
                }
                self.rules_files = loaded.paths;
                self.fingerprint = loaded.fingerprint;
                self.facts.set_files(Files { rules: loaded.hashes, ..self.facts.files() });
                self.metrics.reloads.inc();
                self.metrics.reload_timestamp_ns.set(now_ns());
                tracing::info!("Rules reloaded");
            }
            Err(error) => self.report(&error),
        }
    }

    /// The old rules stay: says so in the log, by an alert, and in the metrics. An output that does not work must not
    /// keep mended rules from being loaded, so the alert waits for nothing.
    fn report(&self, error: &RulesError) {
        let reason = with_causes(error);
        tracing::error!("Rules not reloaded, the old ones stay in force: {reason}");
        self.metrics.reload_failures.inc();
        let alert = self.format.internal(
            FAILURE_RULE,
            Priority::Critical,
            &format!("{FAILURE_RULE}: {reason}"),
            // Falcosidekick refuses alerts without fields.
            &BTreeMap::from([("reason", reason.as_str().into())]),
            now_ns(),
            ZonedDateTime::now().offset().seconds(),
        );
        if !self.alerts.offer(alert) {
            tracing::error!("An output has no room for an alert about it");
        }
    }

    fn watched(&self) -> impl Iterator<Item = &Path> {
        let rules = self.loader.configured.iter().chain(&self.loader.arguments);
        // Files in directories may be links into directories of their own.
        rules.chain(&self.rules_files).chain(&self.config_files).map(PathBuf::as_path)
    }

    /// Of all rules files that would be loaded now. An error is part of the state that can change.
    fn rules_fingerprint(&self) -> u64 {
        let RulesLoader { configured, arguments, .. } = &self.loader;
        let files = rules_files::find(configured, arguments, &self.rules_files)
            .and_then(|found| rules_files::read(&found.paths));
        files.map_or_else(
            |error| hash(&with_causes(&error)),
            |files| rules_files::fingerprint(&files),
        )
    }
}

/// Waits for a reason to act, which the end of `poll_interval` is too. Changes of files have to settle first.
fn wait(wakes: &Receiver<Wake>, poll_interval: Option<Duration>) -> Wake {
    let first = match poll_interval.map(|interval| wakes.recv_timeout(interval)) {
        Some(Err(RecvTimeoutError::Timeout)) => Ok(Wake::FilesChanged),
        Some(other) => other.map_err(drop),
        None => wakes.recv().map_err(drop),
    };
    let mut wake = first.unwrap_or(Wake::Stop);
    for _ in 0..MAX_QUIET_WAITS {
        if wake == Wake::Stop {
            break;
        }
        match wakes.recv_timeout(QUIET) {
            Ok(Wake::FilesChanged) => {}
            Ok(other) => wake = other,
            Err(_) => break,
        }
    }
    wake
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_notifications_time_is_a_reason_to_look() {
        let (wakes, received) = sync_channel(4);
        assert_eq!(wait(&received, Some(Duration::ZERO)), Wake::FilesChanged);
        wakes.send(Wake::Requested).unwrap();
        assert_eq!(wait(&received, Some(Duration::from_secs(60))), Wake::Requested);
        wakes.send(Wake::FilesChanged).unwrap();
        wakes.send(Wake::Stop).unwrap();
        assert_eq!(wait(&received, None), Wake::Stop);
        drop(wakes);
        assert_eq!(wait(&received, None), Wake::Stop);
    }
}
