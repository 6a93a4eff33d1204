//! Output templates: text with fields of the event in it, as in `user %ka.user.name did it`.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::condition::output_expression;
use crate::condition::typed::{Expression, FieldRef};
use crate::field::{FieldCatalogue, Value};

/// Wider columns are cut to this; a message should not grow without bound for one number.
const WIDEST: usize = u16::MAX as usize;
/// What the columns of one output may take together, in bytes.
const WIDEST_TOGETHER: usize = 1 << 20;

/// The output of a rule, checked against the fields of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputTemplate {
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Literal(String),
    Expression {
        expression: Expression,
        /// In bytes: shorter text is padded, longer text cut. `None` prints it as it is.
        width: Option<usize>,
    },
}

/// Why a text is no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct OutputError {
    /// As stock Falco words it.
    pub(crate) message: String,
    /// Where in the text, in bytes.
    pub(crate) offset: usize,
    /// How many bytes from there were meant as a field; none if it starts with something else.
    pub(crate) length: usize,
    /// What may have been meant.
    pub(crate) help: Option<String>,
}

impl OutputError {
    fn new(message: impl Into<String>, offset: usize) -> Self {
        OutputError { message: message.into(), offset, length: 0, help: None }
    }
}

/// The value of an extra field of JSON output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExtraValue {
    /// A field of the event with its own type.
    Field(FieldRef),
    /// A transformer expression in place of a field, which stock Falco accepts and shows as `null`.
    Missing,
    /// The text of a template.
    Text(OutputTemplate),
}

impl OutputTemplate {
    /// Reads the output of a rule.
    ///
    /// A `*` in front asks for the output even if fields are missing. That is always done, so it
    /// is only left out. There is no way to write a per cent sign.
    pub(crate) fn parse(
        text: &str,
        catalogue: &FieldCatalogue,
    ) -> Result<OutputTemplate, OutputError> {
        if text.is_empty() {
            return Err(OutputError::new("empty formatting token", 0));
        }
        let mut pieces = Vec::new();
        let mut widths = 0;
        let mut rest = text.strip_prefix('*').unwrap_or(text);
        while let Some((literal, field)) = rest.split_once('%') {
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            let digits = field.bytes().take_while(u8::is_ascii_digit).count();
            let (width, field) = field.split_at(digits);
            let offset = text.len() - field.len();
            if field.is_empty() {
                let end = if width.is_empty() { "%" } else { "number" };
                let message =
                    format!("invalid formatting syntax: formatting cannot end with a {end}");
                return Err(OutputError::new(message, offset));
            }
            let (expression, length) =
                output_expression(field, catalogue).map_err(|error| OutputError {
                    length: error.length,
                    help: error.help,
                    ..OutputError::new(error.message, offset)
                })?;
            let width = read_width(width);
            widths += width.unwrap_or_default();
            if widths > WIDEST_TOGETHER {
                let message = format!(
                    "invalid formatting syntax: columns together have at most {WIDEST_TOGETHER} bytes"
                );
                return Err(OutputError { length, ..OutputError::new(message, offset) });
            }
            pieces.push(Piece::Expression { expression, width });
            rest = &field[length..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Ok(OutputTemplate { pieces })
    }

    /// The plain fields in it, also those inside transformers: JSON output shows their values.
    pub(crate) fn fields(&self) -> Vec<&FieldRef> {
        let mut fields = Vec::new();
        for piece in &self.pieces {
            if let Piece::Expression { expression, .. } = piece {
                collect_fields(expression, &mut fields);
            }
        }
        fields
    }
}

impl ExtraValue {
    /// Reads an extra field that is given by name alone.
    pub(crate) fn parse_field(
        name: &str,
        catalogue: &FieldCatalogue,
    ) -> Result<ExtraValue, OutputError> {
        let mut template = OutputTemplate::parse(&format!("%{name}"), catalogue)
            .map_err(|error| OutputError { offset: error.offset.saturating_sub(1), ..error })?;
        Ok(match (template.pieces.pop(), template.pieces.is_empty()) {
            (Some(Piece::Expression { expression: Expression::Field(field), .. }), true) => {
                ExtraValue::Field(field)
            }
            _ => ExtraValue::Missing,
        })
    }
}

fn read_width(digits: &str) -> Option<usize> {
    let width = digits.trim_start_matches('0');
    match width.is_empty() {
        true => None,
        // Only a number beyond every bound does not parse.
        false => Some(width.parse().unwrap_or(WIDEST).min(WIDEST)),
    }
}

fn collect_fields<'a>(expression: &'a Expression, fields: &mut Vec<&'a FieldRef>) {
    match expression {
        Expression::Field(field) => fields.push(field),
        Expression::Transformed(transformed) => {
            transformed.arguments.iter().for_each(|argument| collect_fields(argument, fields));
        }
        Expression::List(items) => items.iter().for_each(|item| collect_fields(item, fields)),
        Expression::Constant(_) => {}
    }
}

/// Appends the text of a value as messages show it.
pub(crate) fn write_value(value: Value<'_>, text: &mut Vec<u8>) {
    let written = match value {
        Value::String(string) => text.write_all(string),
        Value::Number(number) => write!(text, "{number}"),
        Value::Bool(truth) => write!(text, "{truth}"),
        Value::Address(address) => {
            match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
                (Ok(octets), _) => write!(text, "{}", Ipv4Addr::from(octets)),
                (_, Ok(octets)) => write!(text, "{}", Ipv6Addr::from(octets)),
                _ => Ok(()),
            }
        }
    };
    written.expect("writing to memory does not fail");
}
