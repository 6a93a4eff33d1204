//! Fields and transformers in outputs, where nothing marks the end of a name.

use crate::condition::ast::Term;
use crate::condition::check::expression::UNKNOWN_MULTIVALUE;
use crate::condition::check::{Checker, Patterns};
use crate::condition::parse::parse_output_terms;
use crate::condition::suggest::closest;
use crate::condition::typed::Expression;
use crate::field::FieldCatalogue;

/// How deep transformers may nest in outputs.
const MAX_DEPTH: usize = 100;

/// Why no field starts at a place of an output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct OutputExpressionError {
    /// Stock's text.
    pub(crate) message: &'static str,
    /// How many bytes of the text were meant as a field; none if it starts with something else.
    pub(crate) length: usize,
    /// What may have been meant.
    pub(crate) help: Option<String>,
}

/// Reads the longest field or transformer that `text`, which follows a `%`, starts with, and says how
/// many bytes it takes.
///
/// As with stock, a misspelt field may start with another field's name, and is then read as that one.
///
/// # Errors
///
/// If no prefix of the text is an expression of existing fields.
pub(crate) fn output_expression(
    text: &str,
    catalogue: &FieldCatalogue,
) -> Result<(Expression, usize), OutputExpressionError> {
    let checker = Checker { catalogue, patterns: &Patterns::default(), start: 0 };
    let candidates = parse_output_terms(text, MAX_DEPTH);
    for (term, length) in &candidates {
        match checker.expression(term) {
            Ok(expression) => return Ok((expression, *length)),
            Err(error) if error.message == UNKNOWN_MULTIVALUE => {
                let message = UNKNOWN_MULTIVALUE;
                return Err(OutputExpressionError { message, length: *length, help: None });
            }
            Err(_) => {}
        }
    }
    let (name, length) = match candidates.last() {
        Some((Term::Field { name, .. }, length)) => (name.as_str(), *length),
        Some((_, length)) => ("", *length),
        None => ("", 0),
    };
    (1..name.len())
        .rev()
        .find_map(|end| Some((catalogue.resolve(&name[..end], None).ok()?, end)))
        .map(|(field, end)| (Expression::Field(field), end))
        .ok_or_else(|| OutputExpressionError {
            message: "unknown filter: unexpected token after '",
            length,
            help: closest(name, catalogue.names())
                .map(|similar| format!("a similar field exists: `{similar}`")),
        })
}
