//! From a matching rule to a detection. Values that conditions looked at are used again.

use std::io::Write;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::detection::{Detection, OutputValue};
use crate::field::{FieldType, Value};
use crate::output::{ExtraValue, OutputTemplate, Piece, write_value};
use crate::program::evaluate::Evaluation;
use crate::program::expression::{CompiledExpression, Expressions, Origin};
use crate::program::{CompiledRule, ExpressionId, json_text};

/// Longer texts of lists are cut.
///
/// Source: `sinsp_filter_check::tostring` in libs, a buffer of 1024 bytes with a NUL.
const LONGEST_LIST: usize = 1023;

/// What a rule's detections show.
#[derive(Debug)]
pub(super) struct CompiledOutput {
    message: CompiledTemplate,
    /// Sorted by name, each name once.
    fields: Box<[(Arc<str>, FieldOutput)]>,
}

#[derive(Debug)]
struct CompiledTemplate(Box<[CompiledPiece]>);

#[derive(Debug)]
enum CompiledPiece {
    Literal(Box<str>),
    Expression { expression: ExpressionId, width: Option<usize> },
}

#[derive(Debug)]
enum FieldOutput {
    Value(ExpressionId),
    Text(CompiledTemplate),
    Missing,
}

/// Compiles the outputs of all rules; names of fields are kept once.
#[derive(Debug, Default)]
pub(super) struct OutputCompiler {
    names: FxHashSet<Arc<str>>,
}

impl OutputCompiler {
    pub(super) fn compile(
        &mut self,
        output: &OutputTemplate,
        extra_fields: &[(String, ExtraValue)],
        expressions: &mut Expressions<'_>,
    ) -> CompiledOutput {
        let mut fields = std::collections::BTreeMap::new();
        for field in output.fields() {
            let value = FieldOutput::Value(expressions.intern_field(field));
            fields.insert(self.name(&field.text), value);
        }
        for (name, value) in extra_fields {
            let value = match value {
                ExtraValue::Field(field) => FieldOutput::Value(expressions.intern_field(field)),
                ExtraValue::Text(template) => {
                    FieldOutput::Text(compile_template(template, expressions))
                }
                ExtraValue::Missing => FieldOutput::Missing,
            };
            fields.insert(self.name(name), value);
        }
        CompiledOutput {
            message: compile_template(output, expressions),
            fields: fields.into_iter().collect(),
        }
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        match self.names.get(name) {
            Some(known) => Arc::clone(known),
            None => {
                let name = Arc::from(name);
                self.names.insert(Arc::clone(&name));
                name
            }
        }
    }
}

fn compile_template(
    template: &OutputTemplate,
    expressions: &mut Expressions<'_>,
) -> CompiledTemplate {
    let pieces = template.pieces.iter().map(|piece| match piece {
        Piece::Literal(text) => CompiledPiece::Literal(text.as_str().into()),
        Piece::Expression { expression, width } => {
            CompiledPiece::Expression { expression: expressions.intern(expression), width: *width }
        }
    });
    CompiledTemplate(pieces.collect())
}

impl Evaluation<'_> {
    /// What `rule`, which matches, yields.
    pub(super) fn detection(&mut self, rule: &CompiledRule) -> Detection {
        let message = self.render(&rule.output.message);
        let fields = rule.output.fields.iter();
        let fields = fields.map(|(name, output)| {
            let value = match output {
                FieldOutput::Value(expression) => self.output_value(*expression),
                FieldOutput::Text(template) => OutputValue::Text(self.render(template)),
                FieldOutput::Missing => OutputValue::Missing,
            };
            (Arc::clone(name), value)
        });
        let fields = fields.collect();
        Detection {
            rule: Arc::clone(&rule.info),
            timestamp_ns: self.event.timestamp_ns,
            message,
            fields,
        }
    }

    fn render(&mut self, template: &CompiledTemplate) -> String {
        let mut text = std::mem::take(&mut self.state.text);
        text.clear();
        for piece in &template.0 {
            match piece {
                CompiledPiece::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                CompiledPiece::Expression { expression, width } => {
                    let start = text.len();
                    self.write_text(*expression, &mut text);
                    if let Some(width) = width {
                        text.resize(start + width, b' ');
                    }
                }
            }
        }
        let message = String::from_utf8_lossy(&text).into_owned();
        self.state.text = text;
        message
    }

    fn write_text(&mut self, id: ExpressionId, text: &mut Vec<u8>) {
        let Some(range) = self.values(id) else {
            text.extend_from_slice(b"<NA>");
            return;
        };
        let expression = self.program.expression(id);
        let mut values = self.state.store.get(range);
        if expression.is_list {
            let start = text.len();
            text.push(b'(');
            for value in values {
                // As in stock, empty values at the start leave no comma.
                if text.len() > start + 1 {
                    text.push(b',');
                }
                write_typed(expression, value, text);
            }
            text.push(b')');
            text.truncate(start + LONGEST_LIST);
        } else if let Some(value) = values.next() {
            write_typed(expression, value, text);
        }
    }

    fn output_value(&mut self, id: ExpressionId) -> OutputValue {
        let Some(range) = self.values(id) else { return OutputValue::Missing };
        let expression = self.program.expression(id);
        if let Origin::Generic(field) = &expression.origin
            && field.is_time_text()
        {
            return OutputValue::Time(self.event.timestamp_ns.cast_signed());
        }
        let mut values = self.state.store.get(range).map(|value| json_value(expression, value));
        match expression.is_list {
            true => OutputValue::List(values.collect()),
            false => values.next().unwrap_or(OutputValue::Missing),
        }
    }
}

fn json_value(expression: &CompiledExpression, value: Value<'_>) -> OutputValue {
    match value {
        Value::String(text) => OutputValue::Text(json_text::decode(text)),
        Value::Number(number) => match (&expression.origin, expression.kind) {
            (Origin::Generic(_), FieldType::AbsTime | FieldType::RelTime) => {
                OutputValue::Time(number.cast_signed())
            }
            _ => OutputValue::Number(number),
        },
        Value::Bool(truth) => OutputValue::Bool(truth),
        Value::Address(_) => {
            let mut text = Vec::new();
            write_typed(expression, value, &mut text);
            OutputValue::Text(String::from_utf8_lossy(&text).into_owned())
        }
    }
}

fn write_typed(expression: &CompiledExpression, value: Value<'_>, text: &mut Vec<u8>) {
    match (&expression.origin, value) {
        (Origin::Generic(field), Value::Number(number)) => {
            write!(text, "{number:0digits$}", digits = field.least_digits())
                .expect("writing to memory does not fail");
        }
        // Stock Falco has no text for these.
        (_, Value::Address(_)) if expression.kind == FieldType::IpNet => {
            text.extend_from_slice(b"<IPNET>");
        }
        _ => write_value(value, text),
    }
}
