//! The host agent: arguments in, exit code out.
#![forbid(unsafe_code)]

mod alert;
mod app;
mod cli;
mod commands;
mod config;
mod evaluation;
mod explain;
mod extraction;
mod lint;
mod logging;
mod metrics;
mod outputs;
mod paint;
mod plugins;
mod progress;
mod readiness;
mod reload;
mod replay;
mod rule_tests;
mod rules;
mod rules_files;
mod services;
mod sha256;
mod shutdown;
mod source_thread;
mod statistics;
mod webserver;
mod workbench;

use std::process::ExitCode;

use app::AppError;
use cli::{Cli, UsageError};

#[expect(clippy::print_stderr, reason = "errors show even where the log does not go to stderr")]
fn main() -> ExitCode {
    plugin_host::return_large_blocks();
    let result = Cli::parse_arguments(std::env::args_os())
        .map_err(anyhow::Error::from)
        .and_then(|cli| app::run(&cli).map_err(anyhow::Error::from));
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if let Some(UsageError::Help(text)) = error.downcast_ref() {
        return match commands::print(text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    eprintln!("Error: {error:#}");
    match error.downcast_ref() {
        // As in stock, so that service managers can tell it.
        Some(AppError::PidFile { .. }) => ExitCode::from(255),
        Some(AppError::Unfit(_)) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}
