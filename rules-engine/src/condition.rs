//! Conditions: text -> AST -> typed AST.

pub(crate) mod ast;
pub(crate) mod typed;
