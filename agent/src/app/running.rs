//! The running agent: opens everything, serves requests until there is nothing left to do, closes everything.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::alert::AlertFormat;
use crate::app::AppError;
use crate::cli::Cli;
use crate::commands;
use crate::config::{Config, OnFailure};
use crate::evaluation::BatchEvaluator;
use crate::extraction::SourceProgram;
use crate::logging::{Log, with_causes};
use crate::metrics::{EnabledSource, Facts, Files, Metrics, now_ns};
use crate::outputs::Outputs;
use crate::plugins::{Plugins, SYSCALL, SourcePlugins};
use crate::progress::ProgressLine;
use crate::readiness::SourceState;
use crate::reload::{OpenSources, Reload, Reloader, SourceHandle};
use crate::rules::{LoadedRules, RulesLoader};
use crate::services::{Services, Settings};
use crate::shutdown::{self, Request};
use crate::source_thread::{Capture, Changes, Opening, RunningSource, SourceError, SourceThread};

/// How long sources get to finish their batch at the end, then outputs to write what they have, then a reload under way, and
/// at last the summary to be printed.
const GRACE: Duration = Duration::from_secs(5);
/// How long a source that waited for an output takes to end once there is none.
const FREED: Duration = Duration::from_millis(500);
/// How often is looked whether an output takes long.
const TICK: Duration = Duration::from_millis(200);

/// What a run starts from.
pub(super) struct Start<'a> {
    pub(super) cli: &'a Cli,
    pub(super) config: Config,
    pub(super) plugins: Plugins,
    /// Takes what plugins log.
    pub(super) log: Log,
    pub(super) loader: RulesLoader,
    pub(super) rules: LoadedRules,
}

/// Everything that runs, and has to be closed.
struct Running {
    runtime: Runtime,
    requests: Receiver<Request>,
    /// Those that came while the sources were opened.
    deferred: VecDeque<Request>,
    progress: ProgressLine,
    services: Arc<Services>,
    /// By index; gone once they have ended.
    sources: Vec<Option<RunningSource>>,
    reloader: Option<Reloader>,
    stop: CancellationToken,
}

impl Start<'_> {
    /// Runs until asked to stop, until all event sources have ended, or for as long as `-M` says.
    pub(super) fn run(
        self,
        states: Vec<SourcePlugins>,
        enabled: &[String],
    ) -> Result<(), AppError> {
        let cli = self.cli;
        if let Some(path) = &cli.pid_file {
            fs::write(path, std::process::id().to_string())
                .map_err(|source| AppError::PidFile { path: path.clone(), source })?;
        }
        // What no clock reaches is no limit.
        let deadline = self.cli.duration.and_then(|limit| Instant::now().checked_add(limit));
        let facts = Arc::new(self.facts(enabled));
        let metrics = Arc::new(Metrics::new().with_facts(Arc::clone(&facts)));
        metrics.reload_timestamp_ns.set(now_ns());
        let progress = self.log.progress().clone();
        let (outputs, json) = (&self.config.outputs, self.config.alerts.json);
        let outputs = Outputs::start(outputs, json, &metrics, progress.clone())?;
        let runtime = self.runtime()?;
        let (sender, requests) = shutdown::listen(runtime.handle())
            .map_err(|source| AppError::Start { what: "signal handlers", source })?;
        let services = Services {
            runtime: runtime.handle().clone(),
            outputs,
            metrics,
            facts,
            statistics: Arc::default(),
            readiness: Arc::default(),
            versions: commands::version::json(Some(&self.plugins)).to_string(),
            running: Mutex::default(),
            output_timeout: Mutex::default(),
        };
        let mut running = Running {
            runtime,
            requests,
            deferred: VecDeque::new(),
            progress,
            services: Arc::new(services),
            sources: Vec::new(),
            reloader: None,
            stop: CancellationToken::new(),
        };
        let result = self.open(states, enabled, &sender, &mut running, deadline).and_then(|()| {
            // Loading the rules took more than they do.
            plugin_host::release_free_memory();
            running.serve(deadline)
        });
        // Without this sender a source that ends late finds nobody to tell, instead of waiting.
        drop(sender);
        running.close(cli.verbose);
        result
    }

    /// The threads of the webserver and of the signal handlers.
    fn runtime(&self) -> Result<Runtime, AppError> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        match self.config.webserver.threads {
            0 => {}
            threads => drop(runtime.worker_threads(threads)),
        }
        let runtime = runtime.enable_all().thread_name("webserver").build();
        runtime.map_err(|source| AppError::Start { what: "the webserver's threads", source })
    }

    /// Opens the webserver and all event sources, in this order. Stops at the first that fails, or when the agent is to end.
    fn open(
        self,
        states: Vec<SourcePlugins>,
        enabled: &[String],
        requests: &SyncSender<Request>,
        running: &mut Running,
        deadline: Option<Instant>,
    ) -> Result<(), AppError> {
        let services = Arc::clone(&running.services);
        for event_source in enabled.iter().filter(|name| *name != SYSCALL) {
            services.readiness.set(event_source, SourceState::Opening);
        }
        let format = Arc::new(AlertFormat::new(
            &self.config.alerts,
            self.config.time_format_iso_8601,
            services.facts.hostname.clone(),
        ));
        let asks_plugins_for_metrics = self.config.metrics.asks_plugins();
        let settings = Settings { config: &self.config, format: &format };
        services.apply(services.prepare(None, settings, false)?);
        let plugins = Arc::new(self.plugins);
        let names: Vec<_> = plugins.sources.iter().map(|source| &*source.name).collect();
        tracing::info!("Loaded event sources: {}", names.join(", "));
        tracing::info!("Enabled event sources: {}", enabled.join(", "));
        let mut sources = OpenSources::new();
        let states = plugins.sources.iter().zip(states);
        for (source, states) in states.filter(|(source, _)| enabled.contains(&source.name)) {
            let (Some(input), Some(plugin)) = (source.input, states.input) else {
                tracing::warn!(
                    "Enabled event source '{SYSCALL}' will be opened with no driver, no event will be produced"
                );
                continue;
            };
            let program = SourceProgram::new(&self.rules.ruleset, &source.name, &plugins, &format);
            let program = Arc::new(ArcSwap::from_pointee(program));
            tracing::info!(
                "Opening '{}' source with plugin '{}'",
                source.name,
                plugin.library().name()
            );
            let evaluator = BatchEvaluator::new(
                &source.name,
                plugin.library().name(),
                input,
                states.extractors,
                states.helpers,
                services.metrics.rule_costs.source(&source.name),
            )
            .map_err(|error| AppError::Start {
                what: "the threads that evaluate events",
                source: io::Error::other(error),
            })?
            .parsed_by(&source.parsers);
            let loaded = &plugins.loaded[input];
            let changes = Arc::new(Changes::new(loaded.settings.clone()));
            let handle = SourceHandle {
                program: Arc::clone(&program),
                changes: Arc::downgrade(&changes),
                input,
                helpers: evaluator.helpers(),
                shares_tables: plugin.shares_tables(),
            };
            sources.insert(source.name.clone(), handle);
            let plugin_id = plugin.library().sourcing().map_or(0, |sourcing| sourcing.id);
            let thread = SourceThread {
                event_source: source.name.clone(),
                input: loaded.input(&self.log.of_plugins()),
                evaluator,
                capture: Capture::new(&source.name, plugin_id),
                progress: running.progress.clone(),
                program,
                changes,
                readiness: Arc::clone(&services.readiness),
                alerts: services.outputs.sender(),
                statistics: Arc::clone(&services.statistics),
                metrics: Arc::clone(&services.metrics),
                asks_plugins_for_metrics,
                asks_plugins_at_end: self.config.metrics.plugins_metrics,
                stop: running.stop.clone(),
                counters: services.metrics.source(&source.name),
                detections: Vec::new(),
                has_delivered: false,
            };
            let index = running.sources.len();
            let thread = thread.start(plugin, index, requests.clone()).map_err(|source| {
                AppError::Start { what: "the thread of an event source", source }
            })?;
            match thread.wait_until_open(|| running.is_to_end(deadline)) {
                Opening::Done => running.sources.push(Some(thread)),
                Opening::Failed => {
                    // Makes room for the thread's last word.
                    running.is_to_end(None);
                    return Ok(thread.join()?);
                }
                Opening::GivenUp => {
                    running.sources.push(Some(thread));
                    return Ok(());
                }
            }
        }
        // Unlike the pipe of `-r <(command)` or `-c <(command)`, which is empty by now.
        let can_read_again = self.rules.paths.iter().all(|path| path.is_file());
        let watches = self.config.watch_config_files && can_read_again;
        let reload = Reload {
            cli: self.cli.clone(),
            config: self.config,
            loader: self.loader,
            plugins,
            log: self.log,
            sources,
            format,
            services,
            rules_files: self.rules.paths,
            fingerprint: self.rules.fingerprint,
        };
        let reloader = Reloader::start(reload, watches)
            .map_err(|source| AppError::Start { what: "the reload thread", source })?;
        running.reloader = Some(reloader);
        Ok(())
    }

    fn facts(&self, enabled: &[String]) -> Facts {
        let source = |name: &String| EnabledSource {
            name: name.clone(),
            engine: if name == SYSCALL { "nodriver" } else { "source_plugin" },
        };
        let files = Files::new(&self.rules, &self.config);
        Facts::new(hostname(), enabled.iter().map(source).collect(), files)
    }
}

impl Running {
    /// Whether somebody asks the agent to end, or its time is over. What else is asked for can wait.
    fn is_to_end(&mut self, deadline: Option<Instant>) -> bool {
        self.deferred.extend(self.requests.try_iter());
        self.deferred.contains(&Request::Stop) || deadline.is_some_and(|at| Instant::now() >= at)
    }

    /// Acts on requests until the run is over.
    fn serve(&mut self, deadline: Option<Instant>) -> Result<(), AppError> {
        let mut failures = Vec::new();
        // With nothing but `syscall` enabled there is nothing that could end.
        let ends_by_itself = !self.sources.is_empty();
        while !ends_by_itself || self.sources.iter().any(Option::is_some) {
            match self.next_request(deadline) {
                Some(Request::Stop) => return Ok(()),
                Some(Request::Reload) => self.reloader.iter().for_each(Reloader::request),
                Some(Request::Reopen) => self.services.outputs.reopen(),
                Some(Request::SourceEnded(index)) => {
                    let Err(failure) = self.join(index) else { continue };
                    if matches!(failure, SourceError::Plugin { on_failure: OnFailure::Exit, .. }) {
                        return Err(failure.into());
                    }
                    failures.push(failure);
                }
                None => break,
            }
        }
        // A source that failed alone must not stop the others, but the run was no success.
        match failures.pop() {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }

    /// `None` at the deadline.
    fn next_request(&mut self, deadline: Option<Instant>) -> Option<Request> {
        if let Some(request) = self.deferred.pop_front() {
            return Some(request);
        }
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            match self.requests.recv_timeout(left.map_or(TICK, |left| left.min(TICK))) {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Timeout) if left.is_some_and(|left| left <= TICK) => {
                    return None;
                }
                Err(RecvTimeoutError::Timeout) => self.services.report_slow_outputs(),
                Err(RecvTimeoutError::Disconnected) => unreachable!("this thread keeps a sender"),
            }
        }
    }

    fn join(&mut self, index: usize) -> Result<(), SourceError> {
        let Some(source) = self.sources[index].take() else {
            return Ok(());
        };
        let name = source.event_source().to_owned();
        let result = source.join();
        let state = match &result {
            Ok(()) => {
                tracing::debug!("Stopping capture for event source '{name}'");
                SourceState::Ended
            }
            Err(error) => {
                let ends_agent =
                    matches!(error, SourceError::Plugin { on_failure: OnFailure::Exit, .. });
                tracing::error!(
                    "An error occurred in an event source{}: {}",
                    if ends_agent { ", forcing termination..." } else { "" },
                    with_causes(error)
                );
                SourceState::Failed
            }
        };
        self.services.readiness.set(&name, state);
        result
    }

    /// Closes in order: first the sources, so that no alert comes after the outputs are gone.
    fn close(self, verbose: bool) {
        self.stop.cancel();
        wait_for(&self.sources, &self.requests, GRACE);
        // Also frees sources that wait for an output.
        self.services.close(GRACE);
        wait_for(&self.sources, &self.requests, FREED);
        self.progress.end();
        drop(self.requests);
        for source in self.sources.into_iter().flatten() {
            if source.is_finished() {
                if let Err(error) = source.join() {
                    tracing::error!("{}", with_causes(&error));
                }
            } else {
                tracing::error!(
                    "event source '{}' does not return, leaving it behind",
                    source.event_source()
                );
            }
        }
        if let Some(reloader) = self.reloader {
            reloader.stop(GRACE);
        }
        for (event_source, account) in self.services.metrics.accounts() {
            tracing::info!("Event source '{event_source}': {account}");
        }
        print_summary(self.services.statistics.summary());
        if verbose {
            print_rates(&self.services);
            print_costs(&self.services);
        }
        // Last, since the webserver and the handlers of signals run on it.
        drop(self.runtime);
    }
}

/// Prints on standard error how many events each event source gave, and at which rate.
///
/// Source: `process_events` in Falco 0.44, where the time is that of the CPU.
#[expect(clippy::print_stderr, reason = "asked for by `-v`, whatever the log says")]
fn print_rates(services: &Services) {
    let elapsed = services.facts.elapsed().as_secs_f64();
    for source in services.facts.sources.iter().filter(|source| source.name != SYSCALL) {
        let events = services.metrics.source(&source.name).events.get();
        let rate = events as f64 / elapsed.max(0.001);
        eprintln!(
            "({}) Elapsed time: {elapsed:.3}, Captured Events: {events}, {rate:.2} eps",
            source.name
        );
    }
}

/// Prints on standard error which rules cost most.
#[expect(clippy::print_stderr, reason = "asked for by `-v`, whatever the log says")]
fn print_costs(services: &Services) {
    const SHOWN: usize = 20;
    let rows = services.metrics.rule_costs.rows();
    if !rows.is_empty() {
        eprint!("{}", commands::top::table(rows, SHOWN));
    }
}

/// Waits until all sources have ended, at most as long as `limit`.
fn wait_for(sources: &[Option<RunningSource>], requests: &Receiver<Request>, limit: Duration) {
    let deadline = Instant::now() + limit;
    while sources.iter().flatten().any(|source| !source.is_finished()) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // A notice comes just before the thread is finished, so look again soon.
        match requests.recv_timeout(left.min(Duration::from_millis(10))) {
            Ok(_) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

/// Prints the closing summary, unless standard output is a pipe that nobody reads: then writing to it never returns.
fn print_summary(summary: String) {
    let (done, wait) = sync_channel(1);
    std::thread::spawn(move || done.send(commands::print(&summary)).ok());
    match wait.recv_timeout(GRACE) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("{}", with_causes(&error)),
        Err(_) => tracing::error!("nobody reads standard output, no summary is printed"),
    }
}

/// The name of this machine in alerts.
fn hostname() -> String {
    if let Ok(name) = std::env::var("FALCO_HOSTNAME") {
        tracing::info!("Hostname value has been overridden via environment variable to: {name}");
        return name;
    }
    // Linux gives `gethostname` from the same place.
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim_end().to_owned()
}
