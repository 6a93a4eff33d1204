//! Conditions: text -> AST -> typed AST.

pub(crate) mod ast;
mod parse;
mod print;
mod quote;
mod suggest;
#[cfg(test)]
mod tests;
pub(crate) mod typed;

pub(crate) use parse::{SyntaxError, parse};
