//! The configuration: a `falco.yaml`, the files it includes, and `-o` options, as typed settings.
//!
//! ```text
//! file --tree--> Node --expand `${VAR}`--> Node --include `config_files`--> Node
//!                                                                         | command_option
//!                                                    Config <--section-- Node
//! ```
//!
//! Source: Falco 0.44, `userspace/falco/configuration.cpp`. Unlike there, a wrong value is an error
//! that shows the place, instead of a silent default.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

mod alerts;
mod command_option;
mod dump;
mod expand;
mod finding;
mod include;
mod init_config;
mod logging;
mod metrics;
mod number;
mod outputs;
mod plugins;
mod rules;
mod schema;
mod section;
mod source;
mod suite;
#[cfg(test)]
mod tests;
mod tree;
mod unsupported;
mod webserver;

pub(crate) use alerts::AlertsConfig;
pub(crate) use dump::{dump, without_secret};
pub(crate) use finding::{ConfigError, Notice, NoticeLevel};
pub(crate) use logging::{LogConfig, LogFormat};
pub(crate) use metrics::MetricsConfig;
pub(crate) use outputs::{
    CertificateAuthority, HttpOutputConfig, OutputsConfig, SpoolConfig, WhenFull,
};
pub(crate) use plugins::{LibraryNotFound, OnFailure, PluginConfig, PluginsConfig};
pub(crate) use rules::RulesConfig;
pub(crate) use schema::schema;
pub(crate) use suite::{EventsError, Expected, RuleTest, Suite, parse_events, read_events};
pub(crate) use webserver::WebserverConfig;

use self::finding::Findings;
use self::section::{Section, read_root};
use self::source::{Position, Source};
use self::tree::{Node, Value};
use crate::cli::Cli;

/// The file that is read if none is named, as in stock.
pub(crate) const DEFAULT_PATH: &str = "/etc/falco/falco.yaml";

/// All settings, checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) plugins: PluginsConfig,
    pub(crate) rules: RulesConfig,
    pub(crate) alerts: AlertsConfig,
    pub(crate) outputs: OutputsConfig,
    pub(crate) webserver: WebserverConfig,
    pub(crate) log: LogConfig,
    pub(crate) metrics: MetricsConfig,
    /// How many threads evaluate the events of each source.
    pub(crate) evaluation_threads: NonZero<usize>,
    /// Whether times in alerts and log lines are ISO 8601 in UTC, instead of local.
    pub(crate) time_format_iso_8601: bool,
    /// Whether changed configuration and rules files are noticed.
    pub(crate) watch_config_files: bool,
    /// The files that were read, sorted by path.
    pub(crate) files: Vec<LoadedFile>,
    /// What to log about the configuration.
    pub(crate) notices: Vec<Notice>,
}

/// A configuration file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadedFile {
    pub(crate) path: PathBuf,
    /// What Falco logs after `schema validation: `, which is `ok` if all is well.
    pub(crate) schema_status: String,
    /// What was read from it, so that a later change is noticed.
    pub(crate) text: String,
}

impl Config {
    /// Reads what the command line names, or the file at [`DEFAULT_PATH`] if it is there.
    ///
    /// # Errors
    ///
    /// Every wrong value that was found, each with its place.
    pub(crate) fn load(cli: &Cli) -> Result<Config, ConfigError> {
        Config::read_from(main_file(cli), &cli.options, &process_environment)
    }

    /// Logs what the user should know about it.
    pub(crate) fn log(&self) {
        for notice in &self.notices {
            match notice.level {
                NoticeLevel::Info => tracing::info!("{}", notice.text),
                NoticeLevel::Warning => tracing::warn!("{}", notice.text),
            }
        }
        if !self.files.is_empty() {
            tracing::info!("Falco initialized with configuration files:");
        }
        for file in &self.files {
            let (path, status) = (file.path.display(), &file.schema_status);
            if status == "ok" {
                tracing::info!("   {path} | schema validation: {status}");
            } else {
                tracing::warn!("   {path} | schema validation: {status}");
            }
        }
    }

    /// The files of certificates and keys that are read when outputs and the webserver start.
    pub(crate) fn certificates(&self) -> Vec<&Path> {
        let http = self.outputs.http.iter().filter(|http| http.url.starts_with("https:"));
        let of_http = http.flat_map(|http| {
            let (certificate, key) = http.client_identity.as_ref().map(|(a, b)| (a, b)).unzip();
            let authority = match &http.certificate_authority {
                CertificateAuthority::File(path) => Some(path),
                CertificateAuthority::Directory(_) => None,
            };
            [authority, certificate, key].into_iter().flatten()
        });
        let of_webserver = self.webserver.tls_certificate.iter();
        of_webserver
            .filter(|_| self.webserver.enabled)
            .chain(of_http)
            .map(PathBuf::as_path)
            .collect()
    }

    /// The groups of settings in which `new` differs, and which take effect at a start only.
    pub(crate) fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        [
            ("plugins", !self.plugins.are_same_libraries(&new.plugins)),
            ("evaluation_threads", self.evaluation_threads != new.evaluation_threads),
            (
                "metrics.plugins_metrics_enabled",
                self.metrics.asks_plugins() != new.metrics.asks_plugins(),
            ),
            ("outputs_queue.capacity", self.outputs.queue_capacity != new.outputs.queue_capacity),
            ("outputs_spool", self.outputs.spool != new.outputs.spool),
            ("watch_config_files", self.watch_config_files != new.watch_config_files),
            ("webserver.threadiness", self.webserver.threads != new.webserver.threads),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }

    /// Reads the file at `path`, or none for the defaults, and applies `-o` options over it.
    ///
    /// # Errors
    ///
    /// Every wrong value that was found, each with its place.
    fn read_from(
        path: Option<&Path>,
        options: &[String],
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let mut findings = Findings::default();
        let (root, sources) = read_tree(path, options, environment, &mut findings);
        // What cannot be read as YAML would only raise follow-up problems.
        findings.check()?;
        let mut config = read_root(&root, &mut findings, Config::read);
        findings.check()?;
        config.files = loaded_files(&sources, &findings);
        config.notices = findings.notices;
        Ok(config)
    }

    fn read(root: &mut Section<'_, '_>) -> Config {
        let plugins = PluginsConfig::read(root);
        let webserver = WebserverConfig::read(root);
        webserver::check_ports(root, &webserver, &plugins);
        unsupported::read(root);
        // It was acted upon when files were merged.
        root.entry("config_files", include::shape());
        let time_format_iso_8601 = root.flag("time_format_iso_8601", false);
        Config {
            plugins,
            rules: RulesConfig::read(root),
            alerts: AlertsConfig::read(root),
            outputs: OutputsConfig::read(root),
            log: LogConfig::read(root, time_format_iso_8601),
            metrics: MetricsConfig::read(root, webserver.enabled && webserver.serves_metrics),
            webserver,
            evaluation_threads: evaluation_threads(root),
            time_format_iso_8601,
            watch_config_files: root.flag("watch_config_files", true),
            files: Vec::new(),
            notices: Vec::new(),
        }
    }
}

/// With 0 as many as there are cores.
fn evaluation_threads(root: &mut Section<'_, '_>) -> NonZero<usize> {
    let one = NonZero::<usize>::MIN;
    match NonZero::new(root.number::<u8>("evaluation_threads", 1)) {
        Some(threads) => threads.into(),
        None => thread::available_parallelism().unwrap_or(one),
    }
}

/// The main file and what `config_files` names, whether it is there or not. Less if they cannot be read now.
pub(crate) fn inputs(cli: &Cli) -> Vec<PathBuf> {
    let mut findings = Findings::default();
    let Some(main) = main_file(cli) else { return Vec::new() };
    let mut root = match include::read_file(main, &process_environment, &mut findings) {
        Some((_, root)) => root,
        None => empty_tree(),
    };
    apply_includes(&mut root, &cli.options, &mut findings);
    let included = include::config_files(&root, &mut findings).into_iter().map(|(path, _)| path);
    [main.to_owned()].into_iter().chain(included).collect()
}

/// What is in these files, and in the files right in these directories.
pub(crate) fn contents(inputs: &[PathBuf]) -> Vec<(PathBuf, Vec<u8>)> {
    let files = inputs.iter().flat_map(|path| include::files_at(path));
    let mut contents: Vec<_> =
        files.filter_map(|path| fs::read(&path).ok().map(|content| (path, content))).collect();
    contents.sort();
    contents.dedup();
    contents
}

fn main_file(cli: &Cli) -> Option<&Path> {
    cli.config.as_deref().or_else(|| {
        let default = Path::new(DEFAULT_PATH);
        default.exists().then_some(default)
    })
}

fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Applies the options that decide which files are read.
fn apply_includes(root: &mut Node, options: &[String], findings: &mut Findings) {
    for option in options.iter().filter(|option| option.starts_with("config_files")) {
        command_option::apply(root, option, findings);
    }
}

/// The merged tree, and the files that it came from.
fn read_tree(
    path: Option<&Path>,
    options: &[String],
    environment: &dyn Fn(&str) -> Option<String>,
    findings: &mut Findings,
) -> (Node, Vec<Arc<Source>>) {
    let mut sources = Vec::new();
    let main = path.and_then(|path| include::read_file(path, environment, findings));
    let mut root = match main {
        Some((source, root)) => {
            sources.push(source);
            root
        }
        None => empty_tree(),
    };
    // These decide which files are read, so they come first.
    apply_includes(&mut root, options, findings);
    let main = path.unwrap_or(Path::new(""));
    sources.extend(include::merge_config_files(&mut root, main, environment, findings));
    for option in options.iter().filter(|option| !option.starts_with("config_files")) {
        command_option::apply(&mut root, option, findings);
    }
    (root, sources)
}

fn empty_tree() -> Node {
    let source = Arc::new(Source { name: String::new(), text: String::new() });
    Node { value: Value::Map(Vec::new()), position: Position { source, span: 0..0 } }
}

fn loaded_files(sources: &[Arc<Source>], findings: &Findings) -> Vec<LoadedFile> {
    let mut files: Vec<_> = sources
        .iter()
        .map(|source| {
            let violation =
                findings.schema_violations.iter().find(|(place, _)| Arc::ptr_eq(place, source));
            let schema_status = match violation {
                None => "ok".to_string(),
                Some((_, key)) => format!("failed for {key}: unknown key"),
            };
            let text = source.text.clone();
            LoadedFile { path: source.name.clone().into(), schema_status, text }
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}
