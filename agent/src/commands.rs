//! What the command line can ask for instead of a run; all of it ends on standard output.

mod events;
mod fields;
mod plugins;
mod support;
pub(crate) mod top;
pub(crate) mod version;

use std::fs;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use plugin_host::{LogSink, StateTables};
use rules_engine::{Environment, FileReport, Load, Ruleset, Settings};
use serde::Serialize;
use serde_json::Value;

use crate::app::AppError;
use crate::cli::{Cli, ListFormat};
use crate::commands::fields::Listing;
use crate::config::{self, Config};
use crate::plugins::Plugins;
use crate::rules::{self, LoadedRules, RulesError, RulesLoader};
use crate::rules_files;

/// `--version`.
pub(crate) fn version(config: &Config) -> Result<(), AppError> {
    if config.alerts.json { print_json(&version::json(None)) } else { print(&version::text()) }
}

/// `--config-schema` and `--rule-schema`. As in stock, the last line has no end.
pub(crate) fn schema(schema: &Value) -> Result<(), AppError> {
    print(&format!("{schema:#}"))
}

/// `--list-events`.
pub(crate) fn list_events(cli: &Cli) -> Result<(), AppError> {
    print(&events::listing(cli.list_format()))
}

/// `--support`.
pub(crate) fn support(cli: &Cli, plugins: &Plugins, rules: &LoadedRules) -> Result<(), AppError> {
    print_json(&support::report(cli, plugins, rules))
}

/// The command line that this process was started by, without secrets.
pub(crate) fn command_line() -> String {
    let words = std::env::args_os().map(|word| config::without_secret(&word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}

/// `--page-size`.
pub(crate) fn page_size() -> Result<(), AppError> {
    let path = "/proc/self/smaps";
    let maps = fs::read_to_string(path)
        .map_err(|source| AppError::PageSize { path: path.into(), source })?;
    let kilobytes = maps.lines().find_map(|line| {
        let size = line.strip_prefix("KernelPageSize:")?.trim().strip_suffix(" kB")?;
        size.parse::<u64>().ok()
    });
    let bytes = kilobytes.unwrap_or_default() * 1024;
    tracing::info!("Your system page size is: {bytes} bytes");
    Ok(())
}

/// `--list-plugins`.
pub(crate) fn list_plugins(plugins: &Plugins) -> Result<(), AppError> {
    print(&plugins::listing(plugins))
}

/// `--plugin-info`: what is known without the plugin's help, and then what it says once it is initialised.
pub(crate) fn plugin_info(
    name: &str,
    plugins: &Plugins,
    log: &Arc<LogSink>,
) -> Result<(), AppError> {
    let plugin = plugins
        .loaded
        .iter()
        .find(|plugin| plugin.settings.name == name || plugin.library.path() == name)
        .ok_or_else(|| AppError::NoSuchPlugin(name.to_owned()))?;
    print(&plugins::details(&plugin.library))?;
    let mut state = plugin.init(log, &StateTables::new())?;
    print(&plugins::suggested_open_params(&mut state))?;
    print(&format!("SHA-256: {}\n", plugin.sha256))
}

/// `--list`: the fields of one event source, or of all.
pub(crate) fn list_fields(
    cli: &Cli,
    environment: &Environment,
    source: Option<&str>,
) -> Result<(), AppError> {
    if cli.markdown {
        tracing::warn!("WARNING: --markdown is deprecated, use --format markdown instead.");
    }
    let format = match cli.list_format() {
        ListFormat::Json if cli.names_only => Listing::Names { json: true },
        _ if cli.names_only => Listing::Names { json: false },
        ListFormat::Json => Listing::Json,
        ListFormat::Text => Listing::Text { verbose: cli.verbose },
        ListFormat::Markdown => Listing::Markdown,
    };
    let sources: Vec<_> =
        environment.sources.iter().filter(|s| source.is_none_or(|name| s.name == name)).collect();
    if sources.is_empty() {
        return Err(AppError::NoSuchSource);
    }
    print(&fields::listing(sources.into_iter(), format))
}

/// `-V`: checks rules files. Standard output gets stock's report, the error what people read more easily.
pub(crate) fn validate(cli: &Cli, config: &Config, loader: &RulesLoader) -> Result<(), AppError> {
    let files = rules_files::read(&cli.validate)?;
    tracing::info!("Validating rules file(s):");
    files.iter().for_each(|file| tracing::info!("   {}", file.name));
    let settings = Settings {
        // The selection of rules is about running them, not about whether they are right.
        selections: Vec::new(),
        stop_at_first_error: false,
        ..loader.settings.clone()
    };
    let Load { reports, requirements, ruleset } =
        rules_engine::load(files, &loader.environment, &settings);
    requirements.map_err(RulesError::Requirements)?;
    if config.alerts.json {
        let is_described = cli.list_rules || cli.show_rule.is_some();
        let ruleset = ruleset.as_ref().filter(|_| is_described);
        print_json(&Validation {
            falco_describe_results: ruleset
                .map(|r| described(cli, r, &loader.environment))
                .transpose()?,
            falco_load_results: &reports,
        })?;
    } else {
        for report in &reports {
            if report.is_successful() && report.has_diagnostics() {
                tracing::warn!("{}", report.render(false));
            }
            if report.is_successful() && report.has_warnings() {
                print(&format!("{}\n", report.summary()))?;
            } else {
                print(&format!("{}\n", report.to_text().trim_end()))?;
            }
        }
    }
    match ruleset {
        Some(_) => Ok(()),
        None => Err(RulesError::Invalid(rules::diagnostics(&reports)).into()),
    }
}

/// What `-V` prints as JSON.
#[derive(Serialize)]
struct Validation<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    falco_describe_results: Option<Value>,
    falco_load_results: &'r [FileReport],
}

/// `-L` and `-l`: all rules, or one.
pub(crate) fn describe(
    cli: &Cli,
    config: &Config,
    ruleset: &Ruleset,
    environment: &Environment,
) -> Result<(), AppError> {
    if config.alerts.json {
        return print_json(&described(cli, ruleset, environment)?);
    }
    let rule = cli.show_rule.as_deref();
    let text = ruleset.describe_text(rule);
    print(&text.ok_or_else(|| AppError::NoSuchRule(rule.unwrap_or_default().to_owned()))?)
}

fn described(cli: &Cli, ruleset: &Ruleset, environment: &Environment) -> Result<Value, AppError> {
    let rule = cli.show_rule.as_deref();
    let description = ruleset.describe(rule, environment);
    description.ok_or_else(|| AppError::NoSuchRule(rule.unwrap_or_default().to_owned()))
}

fn print_json(value: &impl Serialize) -> Result<(), AppError> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    serde_json::to_writer(&mut stdout, value)
        .map_err(io::Error::from)
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush())
        .map_err(AppError::Stdout)
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), AppError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(AppError::Stdout)
}
