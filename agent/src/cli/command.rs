//! The commands that Falco has not: `shikra COMMAND`. Falco's own are flags, and stay what they are.
//!
//! A new one is a variant here and an arm in `app::run_command`. `-c`, `-o` and `-r` are understood after every command.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::commands::top::DEFAULT_URL;

/// What is done instead of a run.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Looks after configuration files.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Runs tests of rules. Ends with 1 if one fails, with 2 if they cannot be run.
    Test(TestArguments),
    /// Shows why a rule matches an event, or why it does not.
    Explain(ExplainArguments),
    /// Evaluates the events of audit logs, and shows what the rules would have said.
    Replay(ReplayArguments),
    /// Looks for rules that load and hardly do what was meant. Ends with 1 if there is a warning.
    Lint(LintArguments),
    /// Gives rules files one layout, and keeps their comments.
    Fmt(FmtArguments),
    /// Shows which rules of a running agent cost most time.
    Top {
        /// Where its metrics are; `-` reads them from standard input.
        #[arg(value_name = "URL", default_value = DEFAULT_URL)]
        url: String,
        /// How many rules are shown.
        #[arg(short = 'n', value_name = "COUNT", default_value_t = 20)]
        count: usize,
    },
    /// Runs a plugin for an agent that has started this process.
    #[command(hide = true)]
    PluginChild {
        /// The plugin's library.
        library: PathBuf,
    },
}

/// What `shikra test` is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct TestArguments {
    /// Files with tests, or directories of such; if none is given, `tests` beside each rules file.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Runs only tests with this text in their name, or in that of their rule.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,

    /// Shows which rules, exceptions and comparisons no test made true and false.
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, default_missing_value = "text")]
    pub(crate) coverage: Option<CoverageFormat>,

    /// Fails if a rule lacks a test in which it alerts, or one in which it is silent.
    #[arg(long)]
    pub(crate) require_tests: bool,

    /// Writes the results as JSON to standard output.
    #[arg(long)]
    pub(crate) json: bool,

    /// Writes the results as JUnit XML to this file.
    #[arg(long, value_name = "PATH")]
    pub(crate) junit: Option<PathBuf>,

    /// Runs the tests again whenever one of the files changes.
    #[arg(long)]
    pub(crate) watch: bool,
}

/// What `shikra replay` is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReplayArguments {
    /// Audit logs, plain or packed by gzip or zstd, or directories of such.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// Rules file or directory to compare with: shows the alerts that it adds, and those that it lacks. Repeatable.
    #[arg(long, value_name = "RULES")]
    pub(crate) against: Vec<PathBuf>,

    /// How many threads evaluate; if not given, one for each core.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) threads: Option<NonZero<usize>>,

    /// Writes the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `shikra lint` is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct LintArguments {
    /// Rules files or directories, instead of those of -r or of the configuration.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// How the findings are written.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: LintFormat,

    /// Passes over findings with this code. Repeatable.
    #[arg(long, value_name = "CODE")]
    pub(crate) allow: Vec<String>,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintFormat {
    /// A line each, and one that helps.
    Text,
    /// A list.
    Json,
    /// For code hosts, version 2.1.0.
    Sarif,
}

/// What `shikra fmt` is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct FmtArguments {
    /// Rules files or directories; - formats standard input.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// Changes nothing, and fails if a file would change.
    #[arg(long)]
    pub(crate) check: bool,
}

/// How coverage is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CoverageFormat {
    /// What is missing.
    Text,
    /// A table of all rules.
    Markdown,
}

/// What `shikra explain` is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExplainArguments {
    /// A file with the event as JSON, or - for standard input.
    #[arg(value_name = "EVENT")]
    pub(crate) event: PathBuf,

    /// The rule to explain; if none is named, all that match.
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,

    /// Which event of the file, from 1.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) number: usize,

    /// The event source that the event is of.
    #[arg(long, value_name = "SOURCE", default_value = "k8s_audit")]
    pub(crate) source: String,

    /// Writes the explanation as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is done with the configuration.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Checks the configuration with the plugins and rules that it names, and shows everything that is wrong.
    Check,
}
