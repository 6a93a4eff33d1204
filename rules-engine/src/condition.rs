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

pub(crate) use check::{
    CheckError, CheckErrorKind, Patterns, check, check_beside, output_expression,
};
pub(crate) use lint::{DEPRECATED_FIELDS, Lint, LintKind, lint};
use parse::class_for;
pub(crate) use parse::{SyntaxError, UNKNOWN_ESCAPE, parse};
pub(crate) use quote::encode;
pub(crate) use suggest::closest;
