//! Reloads configuration and rules: notices changed files, compiles and starts aside, swaps without closing a source.

mod mounts;
mod plugins;
mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::ZonedDateTime;
use plugin_host::InitError;
use rules_engine::Priority;

use crate::alert::AlertFormat;
use crate::cli::Cli;
use crate::config::{self, Config, ConfigError};
use crate::extraction::SourceProgram;
use crate::logging::{Log, with_causes};
use crate::metrics::{Files, now_ns};
use crate::plugins::Plugins;
use crate::reload::watch::Watch;
use crate::rules::{RulesError, RulesLoader};
use crate::rules_files;
use crate::services::{Services, ServicesError, Settings};
use crate::source_thread::Changes;

/// A change counts when nothing further changed for this long: files are written piecemeal.
///
/// Source: `restart_handler` in Falco 0.44.
const QUIET: Duration = Duration::from_millis(100);
/// In a directory that is never quiet, such as one with logs, a change counts after this many times [`QUIET`].
const MAX_QUIET_WAITS: usize = 10;
/// How often files are looked at where the system does not notify.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

const FAILURE_RULE: &str = "Falco internal: hot restart failure";

/// The event sources that were opened, by name.
pub(crate) type OpenSources = BTreeMap<String, SourceHandle>;

/// What is shared with the thread of an event source.
#[derive(Debug)]
pub(crate) struct SourceHandle {
    pub(crate) program: Arc<ArcSwap<SourceProgram>>,
    /// Gone once the thread has ended.
    pub(crate) changes: Weak<Changes>,
    /// The plugin that produces its events, by its index in [`Plugins::loaded`].
    pub(crate) input: usize,
    /// How many threads help to evaluate.
    pub(crate) helpers: usize,
    /// Whether its plugins share state tables.
    pub(crate) shares_tables: bool,
}

/// What a reload works with.
pub(crate) struct Reload {
    pub(crate) cli: Cli,
    /// In force.
    pub(crate) config: Config,
    /// In force.
    pub(crate) format: Arc<AlertFormat>,
    /// Of the configuration that was read last, be it in force or not: its files are those to watch.
    pub(crate) loader: RulesLoader,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) log: Log,
    pub(crate) sources: OpenSources,
    pub(crate) services: Arc<Services>,
    /// The rules files in force.
    pub(crate) rules_files: Vec<PathBuf>,
    /// Of the contents of the rules files that were read last.
    pub(crate) fingerprint: u64,
}

/// Why all stays as it was.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Init(#[from] InitError),
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Services(#[from] ServicesError),
}

/// What the watched files say.
#[derive(Default)]
struct Seen {
    /// Where configuration files are, or may be.
    config_paths: Vec<PathBuf>,
    config: Vec<(PathBuf, Vec<u8>)>,
    /// Fingerprints.
    rules: u64,
    certificates: u64,
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
        // A pipe, as of `-c <(command)`, is empty by now.
        let can_read_config = self.config.files.iter().all(|file| file.path.is_file());
        let mut seen = self.seen_at_start(can_read_config);
        if watch.is_some() {
            mounts::report(self.watched(&seen));
        }
        // Why to look; nothing at first, and after each reload.
        let mut wake = None;
        while wake != Some(Wake::Stop) {
            let mut changed = None;
            if let Some(watch) = &mut watch {
                // First watch, then look: what changes in between is not missed.
                watch.arm(self.watched(&seen));
                changed = Some(self.look(can_read_config)).filter(|now| !now.is_same(&seen));
            }
            let is_requested = wake == Some(Wake::Requested);
            match (wake, &changed) {
                (None, Some(_)) => {
                    // Nobody has said so yet, and it has to settle too.
                    wake = Some(settle(wakes, Wake::FilesChanged));
                    continue;
                }
                (_, None) if !is_requested => {
                    let is_blind = watch.as_ref().is_some_and(Watch::is_blind);
                    wake = Some(wait(wakes, is_blind.then_some(POLL_INTERVAL)));
                    continue;
                }
                _ if is_requested => {}
                _ => tracing::info!("SIGHUP received, restarting..."),
            }
            let certificates = seen.certificates;
            seen = changed.unwrap_or(seen);
            self.fingerprint = seen.rules;
            let anew = is_requested || seen.certificates != certificates;
            if let Err(error) = self.reload(can_read_config, anew) {
                self.report(&error);
            }
            // The old rules are gone, and what loading the new ones took.
            plugin_host::release_free_memory();
            // Of what was read last, and of those that are in force now.
            (seen.rules, seen.certificates) = (self.fingerprint, self.certificates_fingerprint());
            wake = None;
        }
    }

    /// What the files said when the agent started.
    fn seen_at_start(&self, reads_config: bool) -> Seen {
        let mut seen = Seen {
            rules: self.fingerprint,
            certificates: self.certificates_fingerprint(),
            ..Seen::default()
        };
        if reads_config {
            let files = self.config.files.iter();
            let contents = files.map(|file| (file.path.clone(), file.text.clone().into_bytes()));
            seen.config = contents.collect();
            seen.config.dedup();
            seen.config_paths = config::inputs(&self.cli);
        }
        seen
    }

    /// What the files say now.
    fn look(&self, reads_config: bool) -> Seen {
        let config_paths = if reads_config { config::inputs(&self.cli) } else { Vec::new() };
        Seen {
            config: config::contents(&config_paths),
            config_paths,
            rules: self.rules_fingerprint(),
            certificates: self.certificates_fingerprint(),
        }
    }

    /// Puts into force what the files say now. With `anew`, certificates are read again too.
    fn reload(&mut self, reads_config: bool, anew: bool) -> Result<(), ReloadError> {
        let config = match reads_config {
            true => Config::load(&self.cli)?,
            false => self.config.clone(),
        };
        config.log();
        self.loader = RulesLoader::new(&self.cli, &config, &self.plugins);
        // Before they are loaded: a change in between is seen afterwards.
        self.fingerprint = self.rules_fingerprint();
        let loaded = self.loader.load(&self.rules_files)?;
        let hostname = self.format.hostname.clone();
        let format = AlertFormat::new(&config.alerts, config.time_format_iso_8601, hostname);
        let format = Arc::new(format);
        let old = Settings { config: &self.config, format: &self.format };
        let new = Settings { config: &config, format: &format };
        let changes = self.plugin_changes(&config)?;
        let prepared = self.services.prepare(Some(old), new, anew)?;

        for (name, source) in &self.sources {
            let new = SourceProgram::new(&loaded.ruleset, name, &self.plugins, &format);
            source.program.store(Arc::new(new));
        }
        changes.into_iter().for_each(|(changes, change)| changes.put(change));
        self.services.apply(prepared);
        if self.config.log != config.log {
            self.log.change(&config.log);
        }
        self.services.facts.set_files(Files::new(&loaded, &config));
        for setting in self.config.needs_restart(&config) {
            tracing::warn!("A change of '{setting}' needs a restart, all else is in force");
        }
        (self.rules_files, self.config, self.format) = (loaded.paths, config, format);
        self.services.metrics.reloads.inc();
        self.services.metrics.reload_timestamp_ns.set(now_ns());
        tracing::info!("Rules reloaded");
        Ok(())
    }

    /// Nothing has changed: says so in the log, by an alert, and in the metrics. An output that does not work must not
    /// keep what is mended from being loaded, so the alert waits for nothing.
    fn report(&self, error: &ReloadError) {
        let reason = with_causes(error);
        match error {
            ReloadError::Rules(_) => {
                tracing::error!("Rules not reloaded, the old ones stay in force: {reason}");
            }
            ReloadError::Config(_) | ReloadError::Init(_) | ReloadError::Services(_) => {
                tracing::error!("Configuration not reloaded, the old one stays in force: {reason}");
            }
        }
        self.services.metrics.reload_failures.inc();
        let alert = self.format.internal(
            FAILURE_RULE,
            Priority::Critical,
            &format!("{FAILURE_RULE}: {reason}"),
            // Falcosidekick refuses alerts without fields.
            &BTreeMap::from([("reason", reason.as_str().into())]),
            now_ns(),
            ZonedDateTime::now().offset().seconds(),
        );
        if !self.services.outputs.sender().offer(alert) {
            tracing::error!("An output has no room for an alert about it");
        }
    }

    fn watched<'a>(&'a self, seen: &'a Seen) -> impl Iterator<Item = &'a Path> {
        let rules = self.loader.configured.iter().chain(&self.loader.arguments);
        // Files in directories may be links into directories of their own.
        let files = seen.config.iter().map(|(path, _)| path);
        let files = rules.chain(&self.rules_files).chain(&seen.config_paths).chain(files);
        files.map(PathBuf::as_path).chain(self.config.certificates())
    }

    /// Of the contents of certificates and keys in force. A file that cannot be read is part of the state that can change.
    fn certificates_fingerprint(&self) -> u64 {
        let contents = |path: &Path| fs::read(path).map_err(|error| error.kind());
        hash(&self.config.certificates().into_iter().map(contents).collect::<Vec<_>>())
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

impl Seen {
    fn is_same(&self, other: &Seen) -> bool {
        self.config == other.config
            && self.rules == other.rules
            && self.certificates == other.certificates
    }
}

/// Waits for a reason to act, which the end of `poll_interval` is too. Changes of files have to settle first.
fn wait(wakes: &Receiver<Wake>, poll_interval: Option<Duration>) -> Wake {
    let first = match poll_interval.map(|interval| wakes.recv_timeout(interval)) {
        Some(Err(RecvTimeoutError::Timeout)) => Ok(Wake::FilesChanged),
        Some(other) => other.map_err(drop),
        None => wakes.recv().map_err(drop),
    };
    settle(wakes, first.unwrap_or(Wake::Stop))
}

/// Waits until files do not change any more, or there is a better reason to act.
fn settle(wakes: &Receiver<Wake>, mut wake: Wake) -> Wake {
    for _ in 0..MAX_QUIET_WAITS {
        // Whoever asks has written everything.
        if wake != Wake::FilesChanged {
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
