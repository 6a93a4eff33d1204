//! Loads rules: reads the files, compiles them, and logs what the user should know.

use std::path::PathBuf;

use rules_engine::{AppendOutput, Environment, FileReport, Load, Ruleset, Selection, Settings};

use crate::cli::Cli;
use crate::config::Config;
use crate::metrics::FileHash;
use crate::plugins::Plugins;
use crate::rules_files::{self, RulesFilesError};
use crate::sha256::Sha256;

/// Why rules could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RulesError {
    #[error(transparent)]
    Files(#[from] RulesFilesError),
    #[error("{0}")]
    Requirements(String),
    #[error("the rules cannot be used\n{0}")]
    Invalid(String),
}

/// What loading rules depends on besides the files' contents.
#[derive(Debug)]
pub(crate) struct RulesLoader {
    /// `rules_files` of the configuration.
    pub(crate) configured: Vec<PathBuf>,
    /// `-r` on the command line, instead of `configured`.
    pub(crate) arguments: Vec<PathBuf>,
    pub(crate) environment: Environment,
    pub(crate) settings: Settings,
}

/// Rules, and the files that they came from.
#[derive(Debug)]
pub(crate) struct LoadedRules {
    pub(crate) ruleset: Ruleset,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) hashes: Vec<FileHash>,
    /// Tells whether the files have changed since.
    pub(crate) fingerprint: u64,
}

impl RulesLoader {
    /// What the command line and the configuration ask for.
    pub(crate) fn new(cli: &Cli, config: &Config, plugins: &Plugins) -> RulesLoader {
        let mut append_output = config.alerts.append_output.clone();
        append_output.extend(print_option(cli));
        RulesLoader {
            configured: config.rules.files.clone(),
            arguments: cli.rules.clone(),
            environment: plugins.environment(&config.alerts.static_fields),
            settings: Settings {
                priority: config.rules.priority,
                rule_matching: config.rules.matching,
                selections: config.rules.selections.clone(),
                append_output,
                stop_at_first_error: true,
            },
        }
    }

    /// Reads and compiles all rules. `previous` are the files of the last load, if any, which must not be gone.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is wrong; then nothing has changed.
    pub(crate) fn load(&self, previous: &[PathBuf]) -> Result<LoadedRules, RulesError> {
        let found = rules_files::find(&self.configured, &self.arguments, previous)?;
        for path in &found.ignored {
            tracing::info!("No rules file at {}", path.display());
        }
        tracing::debug!("Configured rules filenames:");
        for path in if self.arguments.is_empty() { &self.configured } else { &self.arguments } {
            tracing::debug!("   {}", path.display());
        }
        let files = rules_files::read(&found.paths)?;
        let fingerprint = rules_files::fingerprint(&files);
        let hashes = files.iter().map(|file| Sha256::of(&file.content));
        let hashes = found.paths.iter().cloned().zip(hashes).collect();
        let Load { reports, requirements, ruleset } =
            rules_engine::load(files, &self.environment, &self.settings);
        log_reports(&reports);
        log_selections(&self.settings.selections);
        requirements.map_err(RulesError::Requirements)?;
        let ruleset = ruleset.ok_or_else(|| RulesError::Invalid(diagnostics(&reports)))?;
        Ok(LoadedRules { ruleset, paths: found.paths, hashes, fingerprint })
    }
}

/// What `-p` appends to every output.
fn print_option(cli: &Cli) -> Option<AppendOutput> {
    // These once stood for formats of system calls.
    const NAMES: [&str; 4] = ["c", "container", "k", "kubernetes"];
    let format = cli.print.clone().filter(|format| !NAMES.contains(&format.as_str()))?;
    Some(AppendOutput { extra_output: Some(format), ..AppendOutput::default() })
}

/// The diagnostics of all files that cannot be used, for people.
pub(crate) fn diagnostics(reports: &[FileReport]) -> String {
    let failed = reports.iter().filter(|report| !report.is_successful());
    failed.map(|report| report.render(false)).collect::<Vec<_>>().join("\n")
}

fn log_reports(reports: &[FileReport]) {
    tracing::info!("Loading rules from:");
    for report in reports {
        let (name, status) = (report.name(), report.schema_status());
        if report.is_schema_valid() {
            tracing::info!("   {name} | schema validation: {status}");
        } else {
            tracing::warn!("   {name} | schema validation: {status}");
        }
        if let Some(skipped) = report.skipped() {
            tracing::info!("   {name}: {skipped}");
        }
        if report.is_successful() && report.has_diagnostics() {
            tracing::warn!("{}", report.render(false));
        }
    }
}

fn log_selections(selections: &[Selection]) {
    for selection in selections {
        let verb = if selection.enable { "Enabling" } else { "Disabling" };
        for (kind, text) in [("name", &selection.rule), ("tag", &selection.tag)] {
            if let Some(text) = text {
                tracing::info!("{verb} rules with {kind}: {text}");
            }
        }
    }
}
