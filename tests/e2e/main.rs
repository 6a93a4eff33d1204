//! End to end: the real binary, real plugins, real HTTP, real files.
//!
//! C01 to C82 are the conformance cases of the agent.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod agent;
mod commands;
mod cooperation;
mod examples;
mod faults;
mod files;
mod from_falco;
mod http;
mod https;
mod isolation;
mod lifecycle;
mod matching;
mod metrics;
mod misbehaviour;
mod outputs;
mod plugins;
mod receiver;
mod reload;
mod reload_config;
mod rule_tools;
mod sources;
mod startup;
mod stock_plugins;
mod terminal;
mod threads;
mod webhook;
