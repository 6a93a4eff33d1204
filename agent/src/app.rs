//! The phases of a run, in stock's order: configuration, plugins, event sources, rules, then the work itself.

mod check;
mod error;
mod running;
mod select;

use std::path::PathBuf;

use crate::cli::{Cli, Command, ConfigCommand};
use crate::commands;
use crate::config::{self, Config};
use crate::explain;
use crate::lint;
use crate::logging::Log;
use crate::outputs::StartError;
use crate::plugins::Plugins;
use crate::replay;
use crate::rule_tests;
use crate::rules::RulesLoader;

pub(crate) use check::Problems;
pub(crate) use error::AppError;

/// Does what the command line asks for; returns when that is done.
///
/// # Errors
///
/// Whatever keeps the agent from starting, and the failure of the last event source.
pub(crate) fn run(cli: &Cli) -> Result<(), AppError> {
    if cli.help {
        return commands::print(&Cli::help_text());
    }
    if cli.config_schema {
        return commands::schema(&config::schema());
    }
    if cli.rule_schema {
        return commands::schema(&rules_engine::json_schema());
    }
    if cli.ignored_syscalls {
        return commands::print("Ignored syscall(s):\n\n");
    }
    if cli.list_events {
        return commands::list_events(cli);
    }
    if let Some(command) = &cli.command {
        return run_command(command, cli);
    }
    let (config, log) = load_config(cli)?;
    if cli.version {
        return commands::version(&config);
    }
    if cli.page_size {
        return commands::page_size();
    }
    if config.files.is_empty() {
        return Err(AppError::NoConfig);
    }
    let plugins = Plugins::load(&config, &executable())?;
    let plugins_log = log.of_plugins();
    if let Some(name) = &cli.plugin_info {
        return commands::plugin_info(name, &plugins, &plugins_log);
    }
    if cli.list_plugins {
        return commands::list_plugins(&plugins);
    }
    if cli.dry_run && cli.is_run() {
        return check::check(cli, &config, &plugins, &plugins_log).map_err(AppError::Problems);
    }
    let states = plugins.init(config.evaluation_threads.get(), &plugins_log)?;
    if let Some(source) = cli.list() {
        return commands::list_fields(
            cli,
            &plugins.environment(&config.alerts.static_fields),
            source,
        );
    }
    let sources = plugins.sources.iter().map(|source| &*source.name).collect();
    let enabled = select::select(sources, &cli.enable_source, &cli.disable_source)?;
    let loader = RulesLoader::new(cli, &config, &plugins);
    if !cli.validate.is_empty() {
        return commands::validate(cli, &config, &loader);
    }
    let rules = loader.load(&[])?;
    if cli.list_rules || cli.show_rule.is_some() {
        return commands::describe(cli, &config, &rules.ruleset, &loader.environment);
    }
    if cli.support {
        return commands::support(cli, &plugins, &rules);
    }
    if !config.outputs.is_any_enabled() {
        return Err(StartError::NoOutput.into());
    }
    running::Start { cli, config, plugins, log, loader, rules }.run(states, &enabled)
}

/// Does what Falco has no flag for.
fn run_command(command: &Command, cli: &Cli) -> Result<(), AppError> {
    match command {
        Command::Config(ConfigCommand::Check) => check::run(cli),
        Command::Test(arguments) => tool(rule_tests::run(cli, arguments)),
        Command::Explain(arguments) => tool(explain::run(cli, arguments)),
        Command::Replay(arguments) => tool(replay::run(cli, arguments)),
        Command::Lint(arguments) => tool(lint::lint(cli, arguments)),
        Command::Fmt(arguments) => tool(lint::format(arguments)),
        Command::Top { url, count } => commands::top::run(url, *count),
        Command::PluginChild { library } => {
            plugin_host::serve_child(library).map_err(AppError::PluginChild)
        }
    }
}

/// Tells a tool's finding that something is wrong from its own failure.
fn tool(result: Result<(), AppError>) -> Result<(), AppError> {
    result.map_err(|error| match error {
        AppError::Failed(_) => error,
        error => AppError::Unfit(Box::new(error)),
    })
}

/// Reads the configuration, starts the log, and writes to it what is known so far.
fn load_config(cli: &Cli) -> Result<(Config, Log), AppError> {
    let config = Config::load(cli)?;
    let log = Log::new(&config.log);
    log.start();
    tracing::info!(
        "Shikra version: {} ({})",
        commands::version::SHIKRA_VERSION,
        std::env::consts::ARCH
    );
    tracing::debug!("CLI args: {}", commands::command_line());
    config.log();
    if cli.print.is_some() {
        tracing::warn!(
            "The -p/--print option is deprecated and will be removed. Use -o append_output=... instead."
        );
    }
    Ok((config, log))
}

/// This program's own path, beside which plugins may lie.
pub(crate) fn executable() -> PathBuf {
    // Unknown only where `/proc` is missing; then the plugins are looked for in the other places.
    std::env::current_exe().unwrap_or_default()
}
