//! Reads the exceptions of a rule as they are written.

use crate::diagnostic::{Code, Context, Diagnostic, Subject};
use crate::document::Node;
use crate::text::TracedText;

use super::fields::{Fields, NO_KEY, invalid, text_value};
use super::{Checked, ExceptionValue, Findings};

/// An exception as written; what may be absent depends on what it is used for.
#[derive(Debug)]
pub(super) struct WrittenException {
    pub(super) name: String,
    pub(super) fields: Option<OneOrMany>,
    pub(super) comparisons: Option<OneOrMany>,
    pub(super) values: Vec<ExceptionValue>,
    pub(super) context: Context,
}

/// A text, or a sequence of texts.
#[derive(Debug)]
pub(super) enum OneOrMany {
    One(TracedText),
    Many(Vec<TracedText>),
}

/// Reads `exceptions`; none if the key is absent or null. `fields` may be absent in an exception
/// that is appended, since it may add values to an existing one.
pub(super) fn read_exceptions(
    rule: Fields<'_, '_>,
    is_appended: bool,
    findings: &mut Findings,
) -> Checked<Vec<WrittenException>> {
    let Some(exceptions) = rule.node.get("exceptions").filter(|node| !node.is_null()) else {
        return Ok(Vec::new());
    };
    let context = rule.context.with(Subject::Exceptions, "", exceptions.span());
    let Some(elements) = exceptions.elements() else {
        return Err(invalid("Rule exceptions must be a sequence", &context));
    };
    let mut read: Vec<WrittenException> = Vec::with_capacity(elements.len());
    for element in elements {
        let unnamed = context.with(Subject::Exception, "", element.span());
        if !element.is_mapping() {
            return Err(invalid("Rule exception must be a mapping", &unnamed));
        }
        let name = Fields { node: element, context: &unnamed }.text("name")?.as_str().to_owned();
        let context = rule.context.with(Subject::Exception, &name, element.span());
        if read.iter().any(|other| other.name == name) {
            let message = format!("Multiple definitions of exception '{name}' in the same rule");
            findings.warning(Diagnostic::new(Code::ExceptionNameNotUnique, message, &context));
        }
        let fields = Fields { node: element, context: &context };
        if !is_appended && !fields.has("fields") {
            let error = *invalid(format!("{NO_KEY} 'fields'"), &context);
            let help = "say what the values are compared with: `fields: [a.b, a.c]`";
            return Err(Box::new(error.help(Some(help.to_owned()))));
        }
        read.push(WrittenException {
            name,
            fields: one_or_many(fields, "fields")?,
            comparisons: one_or_many(fields, "comps")?,
            values: values(element, &context)?,
            context,
        });
    }
    Ok(read)
}

/// Neither a scalar nor a sequence counts as an empty sequence.
fn one_or_many(fields: Fields<'_, '_>, key: &str) -> Checked<Option<OneOrMany>> {
    let Some(node) = fields.node.get(key) else { return Ok(None) };
    let context = fields.context.with(Subject::ValueFor, key, node.span());
    let Some(elements) = node.elements() else {
        if node.scalar().is_none() {
            return Ok(Some(OneOrMany::Many(Vec::new())));
        }
        return text_value(node, &context).map(|text| Some(OneOrMany::One(text)));
    };
    let texts = elements.map(|element| {
        let context = context.with(Subject::Exception, "", element.span());
        text_value(element, &context.with(Subject::ValueFor, "", element.span()))
    });
    texts.collect::<Checked<Vec<_>>>().map(|texts| Some(OneOrMany::Many(texts)))
}

fn values(exception: Node<'_>, context: &Context) -> Checked<Vec<ExceptionValue>> {
    let Some(values) = exception.get("values") else { return Ok(Vec::new()) };
    let context = context.with(Subject::ExceptionValues, "", values.span());
    let Some(elements) = values.elements() else {
        return Err(invalid("Rule exception values must be a sequence", &context));
    };
    elements.map(|element| value(element, &context, 0)).collect()
}

/// A value is a scalar, a tuple, or a sequence in a tuple. Anything else counts as an empty text,
/// which fails later.
fn value(node: Node<'_>, parent: &Context, depth: usize) -> Checked<ExceptionValue> {
    /// Deeper sequences have no meaning; the limit also ends a cycle of aliases.
    const MAX_DEPTH: usize = 3;
    let context = parent.with(Subject::ExceptionValue, "", node.span());
    if let Some(elements) = node.elements()
        && depth < MAX_DEPTH
    {
        let values = elements.map(|element| value(element, &context, depth + 1));
        return values.collect::<Checked<Vec<_>>>().map(ExceptionValue::Many);
    }
    if node.scalar().is_none() {
        return Ok(ExceptionValue::One(TracedText::default()));
    }
    text_value(node, &context.with(Subject::ValueFor, "", node.span())).map(ExceptionValue::One)
}
