//! `shikra config check` and `--dry-run`: everything that would keep a run from starting, not only what comes first.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use plugin_host::{LogSink, StateTables};
use rules_engine::Settings;

use crate::app::{AppError, executable, select};
use crate::cli::Cli;
use crate::commands;
use crate::config::{Config, NoticeLevel};
use crate::logging::{Log, with_causes};
use crate::outputs::Outputs;
use crate::plugins::Plugins;
use crate::rules::{RulesError, RulesLoader};
use crate::webserver;

/// All that is wrong, in the order in which it was met.
#[derive(Debug, Default, thiserror::Error)]
pub(crate) struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Problems {
    pub(crate) fn note<T, E: Error>(&mut self, result: Result<T, E>) {
        // A plugin of several sources has the same problem several times.
        if let Err(error) = result.map_err(|error| with_causes(&error))
            && !self.0.contains(&error)
        {
            self.0.push(error);
        }
    }

    /// # Errors
    ///
    /// When there is a problem.
    pub(crate) fn check(self) -> Result<(), Problems> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// `shikra config check`: warnings and a line for each file go to standard output, problems are the error.
pub(super) fn run(cli: &Cli) -> Result<(), AppError> {
    let config = Config::load(cli)?;
    if config.files.is_empty() {
        return Err(AppError::NoConfig);
    }
    for notice in &config.notices {
        let kind = match notice.level {
            NoticeLevel::Info => "Note",
            NoticeLevel::Warning => "Warning",
        };
        commands::print(&format!("{kind}: {}\n", notice.text))?;
    }
    let plugins = Plugins::load(&config, &executable())?;
    check(cli, &config, &plugins, &Log::new(&config.log).of_plugins())?;
    for file in &config.files {
        commands::print(&format!("{}: Ok\n", file.path.display()))?;
    }
    Ok(())
}

/// Checks all that can be checked without opening an event source or a port, and without writing anything.
pub(super) fn check(
    cli: &Cli,
    config: &Config,
    plugins: &Plugins,
    log: &Arc<LogSink>,
) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for source in &plugins.sources {
        let tables = StateTables::new();
        let mut states = Vec::new();
        for index in plugins.members(source) {
            // Kept, since later ones may ask for the tables of earlier ones.
            let state = plugins.loaded[index].init(log, &tables);
            problems.note(state.map(|state| states.push(state)));
        }
    }
    let sources = plugins.sources.iter().map(|source| &*source.name).collect();
    problems.note(select::select(sources, &cli.enable_source, &cli.disable_source));
    problems.note(check_rules(RulesLoader::new(cli, config, plugins)));
    problems.note(Outputs::check(&config.outputs, config.alerts.json));
    problems.note(webserver::check(&config.webserver));
    problems.check()
}

fn check_rules(loader: RulesLoader) -> Result<(), RulesError> {
    let settings = Settings { stop_at_first_error: false, ..loader.settings };
    RulesLoader { settings, ..loader }.load(&[]).map(drop)
}
