//! The commands that Falco has not: `shikra COMMAND`. Falco's own are flags, and stay what they are.
//!
//! A new one is a variant here and an arm in `app::run_command`. `-c`, `-o` and `-r` are understood after every command.

use clap::Subcommand;

/// What is done instead of a run.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Looks after configuration files.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// What is done with the configuration.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Checks the configuration with the plugins and rules that it names, and shows everything that is wrong.
    Check,
}
