//! The host agent.
#![forbid(unsafe_code)]

#[cfg_attr(not(test), expect(dead_code, reason = "the agent that uses it comes next"))]
mod cli;
#[expect(dead_code, unused_imports, reason = "the agent that uses it comes next")]
mod config;

fn main() {}
