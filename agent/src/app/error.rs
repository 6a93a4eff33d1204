//! Why a run ended badly.

use std::io;
use std::path::PathBuf;

use plugin_host::{InitError, OpenError};

use crate::app::check::Problems;
use crate::app::select::SelectError;
use crate::commands::top::TopError;
use crate::config::{ConfigError, DEFAULT_PATH};
use crate::explain::ExplainError;
use crate::outputs::StartError;
use crate::plugins::PluginsErrors;
use crate::replay::ReplayError;
use crate::rule_tests::RuleTestError;
use crate::rules::RulesError;
use crate::rules_files::RulesFilesError;
use crate::services::ServicesError;
use crate::source_thread::SourceError;

/// Why the agent did not start, or ended by itself before its work was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("You must create a config file at {DEFAULT_PATH} or by passing -c")]
    NoConfig,
    #[error(transparent)]
    Top(#[from] TopError),
    #[error(transparent)]
    Plugins(#[from] PluginsErrors),
    #[error(transparent)]
    Init(#[from] InitError),
    #[error("can't find plugin and print its info: {0}")]
    NoSuchPlugin(String),
    #[error("Value for --list must be a valid source type")]
    NoSuchSource,
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error(transparent)]
    RulesFiles(#[from] RulesFilesError),
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error("Rule \"{0}\" is not loaded")]
    NoSuchRule(String),
    #[error(transparent)]
    Outputs(#[from] StartError),
    #[error("Could not write pid to pidfile {}", path.display())]
    PidFile { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Services(#[from] ServicesError),
    #[error("cannot open event source '{event_source}'")]
    Open { event_source: String, source: OpenError },
    #[error("cannot read {}", path.display())]
    PageSize { path: PathBuf, source: io::Error },
    #[error("cannot start {what}")]
    Start { what: &'static str, source: io::Error },
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Problems(#[from] Problems),
    /// What a command was to find out is not as it should be.
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    RuleTest(#[from] RuleTestError),
    #[error(transparent)]
    Explain(#[from] ExplainError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("{place}")]
    Format { place: String, source: rules_engine::FormatError },
    /// A command could not find out what it was to: its exit code differs from that of [`AppError::Failed`].
    #[error(transparent)]
    Unfit(Box<AppError>),
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read standard input")]
    Stdin(#[source] io::Error),
    #[error("this command is for the agent's own use")]
    PluginChild(#[source] io::Error),
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
}
