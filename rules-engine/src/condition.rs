//! Conditions: text -> AST -> typed AST.

pub(crate) mod ast;
mod check;
mod lint;
mod parse;
mod print;
mod quote;
mod suggest;
#[cfg(test)]
mod tests;
pub(crate) mod typed;

pub(crate) use check::{CheckError, CheckErrorKind, check, output_expression};
pub(crate) use lint::{Lint, LintKind, lint};
pub(crate) use parse::{SyntaxError, parse};
pub(crate) use quote::encode;
pub(crate) use suggest::closest;
