//! End to end: the real binary, real plugins, real HTTP, real files.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod agent;
mod commands;
mod files;
mod http;
mod outputs;
mod reload;
mod sources;
mod startup;
mod webhook;
