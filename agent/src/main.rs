//! The host agent.
#![forbid(unsafe_code)]

#[expect(dead_code, unused_imports, reason = "the agent that uses it comes next")]
mod config;

fn main() {}
