//! Exceptions: checked when they are read, and turned into the text `and not …` of a condition.

use crate::condition::{CheckErrorKind, check, closest, parse};
use crate::diagnostic::{Code, Diagnostic};
use crate::field::FieldCatalogue;
use crate::text::{FileSpan, TracedText};

use super::list::push_quoted;
use super::read_exception::{OneOrMany, WrittenException};
use super::{Checked, Exception, ExceptionShape, ExceptionValue, Rule};

/// Against what the fields of exceptions are checked.
#[derive(Clone, Copy)]
pub(super) enum Validity<'a> {
    AnyField,
    Fields(&'a FieldCatalogue),
}

const TEXT_OPERATORS: [&str; 12] = [
    "=",
    "==",
    "!=",
    "glob",
    "iglob",
    "contains",
    "icontains",
    "bcontains",
    "startswith",
    "bstartswith",
    "endswith",
    "regex",
];
const OTHER_OPERATORS: [&str; 5] = ["<", "<=", ">", ">=", "exists"];
const LIST_OPERATORS: [&str; 3] = ["in", "intersects", "pmatch"];
const MODIFIERS: [&str; 3] = ["oneof", "anyof", "allof"];

const NEEDS_LIST_OPERATOR: &str = "When fields is a single value, comps must be one of (in, \
                                   pmatch, intersects) or a modifier operator (e.g. startswith \
                                   oneof)";

impl WrittenException {
    fn invalid(&self, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic::new(Code::Validate, message, &self.context))
    }

    /// The exception with its defaults, if it is valid.
    pub(super) fn checked(mut self, validity: Validity<'_>) -> Checked<Exception> {
        let values = std::mem::take(&mut self.values);
        Ok(Exception { values, ..self.checked_ref(validity)? })
    }

    /// As [`Self::checked`], without the values.
    pub(super) fn checked_ref(&self, validity: Validity<'_>) -> Checked<Exception> {
        let shape = match &self.fields {
            Some(OneOrMany::One(field)) => self.single(field)?,
            Some(OneOrMany::Many(fields)) if !fields.is_empty() => self.several(fields)?,
            _ => {
                return Err(self.invalid(
                    "Rule exception item must have fields property with a list of fields",
                ));
            }
        };
        if let Validity::Fields(catalogue) = validity {
            match &shape {
                ExceptionShape::Field { field, .. } => self.check_field(field, catalogue)?,
                ExceptionShape::Fields(fields) => {
                    fields.iter().try_for_each(|(field, _)| self.check_field(field, catalogue))?;
                }
            }
        }
        let (name, context) = (self.name.clone(), self.context.clone());
        Ok(Exception { name, shape, values: self.values.clone(), context })
    }

    fn single(&self, field: &TracedText) -> Checked<ExceptionShape> {
        let operator = match &self.comparisons {
            None => "in".to_owned(),
            Some(OneOrMany::One(operator)) => normalized(operator),
            Some(OneOrMany::Many(_)) => {
                return Err(self.invalid("Fields and comps must both be strings"));
            }
        };
        if !takes_list(&operator) {
            return Err(self.invalid(NEEDS_LIST_OPERATOR));
        }
        Ok(ExceptionShape::Field { field: field.clone(), operator })
    }

    fn several(&self, fields: &[TracedText]) -> Checked<ExceptionShape> {
        let operators = match &self.comparisons {
            None => vec!["=".to_owned(); fields.len()],
            Some(OneOrMany::Many(operators)) => operators.iter().map(normalized).collect(),
            Some(OneOrMany::One(_)) => Vec::new(),
        };
        if operators.len() != fields.len() {
            let error = self.invalid("Fields and comps lists must have equal length");
            let help =
                format!("`comps` needs {}, one for each field", counted(fields.len(), "operator"));
            return Err(Box::new(error.at(self.comparison_place(0)).help(Some(help))));
        }
        if let Some(wrong) = operators.iter().position(|operator| !is_operator(operator)) {
            let operator = &operators[wrong];
            let known = TEXT_OPERATORS.into_iter().chain(OTHER_OPERATORS).chain(LIST_OPERATORS);
            let help = match closest(operator, known.clone()) {
                Some(other) => format!("a similar operator exists: `{other}`"),
                None => format!("operators are `{}`", known.collect::<Vec<_>>().join("`, `")),
            };
            let error =
                self.invalid(format!("'{operator}' is not a supported comparison operator"));
            return Err(Box::new(error.at(self.comparison_place(wrong)).help(Some(help))));
        }
        Ok(ExceptionShape::Fields(fields.iter().cloned().zip(operators).collect()))
    }

    fn comparison_place(&self, index: usize) -> Option<FileSpan> {
        match self.comparisons.as_ref()? {
            OneOrMany::One(operator) => operator.locate_all(),
            OneOrMany::Many(operators) => operators.get(index)?.locate_all(),
        }
    }

    fn check_field(&self, field: &TracedText, catalogue: &FieldCatalogue) -> Checked<()> {
        let name = field.as_str();
        let errors = parse(&format!("{name} exists"), super::MAX_CONDITION_DEPTH)
            .map(|ast| check(&ast, catalogue).err().unwrap_or_default());
        let error = match errors.as_deref() {
            Ok([]) => return Ok(()),
            Ok([first, ..]) => Some(first),
            Err(_) => None,
        };
        match error.filter(|error| error.kind != CheckErrorKind::UnknownField) {
            // A field that exists and is used wrongly. Falco knows no more than the file here.
            Some(error) => Err(Box::new(
                Diagnostic::new(Code::Validate, &error.message, &self.context.file_only())
                    .at(field.locate_all()),
            )),
            None => {
                let message = format!("'{name}' is not a supported filter field");
                let help = error.and_then(|error| error.help.clone());
                let error = *self.invalid(message);
                Err(Box::new(error.at(field.locate_all()).help(help)))
            }
        }
    }

    /// An existing exception gets values and nothing else.
    pub(super) fn refuse_shape(&self) -> Checked<()> {
        for (what, given) in [("fields", &self.fields), ("comps", &self.comparisons)] {
            if given.as_ref().is_some_and(OneOrMany::is_given) {
                return Err(self.invalid(format!(
                    "Can not append exception {what} to existing exception, only values"
                )));
            }
        }
        Ok(())
    }

    /// An exception that is new needs its fields and values.
    pub(super) fn refuse_incomplete(&self) -> Checked<()> {
        if !self.fields.as_ref().is_some_and(OneOrMany::is_given) {
            return Err(
                self.invalid("Rule exception must have fields property with a list of fields")
            );
        }
        if self.values.is_empty() {
            return Err(
                self.invalid("Rule exception must have values property with a list of values")
            );
        }
        Ok(())
    }
}

impl OneOrMany {
    fn is_given(&self) -> bool {
        match self {
            OneOrMany::One(_) => true,
            OneOrMany::Many(texts) => !texts.is_empty(),
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn normalized(operator: &TracedText) -> String {
    operator.as_str().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_operator(operator: &str) -> bool {
    TEXT_OPERATORS.contains(&operator)
        || OTHER_OPERATORS.contains(&operator)
        || takes_list(operator)
}

/// Whether values in parentheses follow the operator.
fn takes_list(operator: &str) -> bool {
    let compound = operator
        .split_once(' ')
        .is_some_and(|(base, word)| TEXT_OPERATORS.contains(&base) && MODIFIERS.contains(&word));
    compound || LIST_OPERATORS.contains(&operator)
}

/// A rule's condition with its exceptions folded in: `(COND) and not … and not …`.
pub(crate) fn folded_condition(rule: &Rule) -> Checked<TracedText> {
    if rule.exceptions.is_empty() {
        return Ok(rule.condition.clone());
    }
    let mut text = TracedText::default();
    text.push_str("(");
    text.push(&rule.condition);
    text.push_str(")");
    for exception in rule.exceptions.iter().filter(|exception| !exception.values.is_empty()) {
        text.push_str(" and not ");
        fold(exception, &mut text)?;
    }
    Ok(text)
}

/// What an exception with values says, as a condition.
pub(crate) fn exception_condition(exception: &Exception) -> Checked<TracedText> {
    let mut text = TracedText::default();
    fold(exception, &mut text)?;
    Ok(text)
}

fn fold(exception: &Exception, text: &mut TracedText) -> Checked<()> {
    match &exception.shape {
        ExceptionShape::Field { field, operator } => fold_single(exception, field, operator, text),
        ExceptionShape::Fields(fields) => fold_several(exception, fields, text),
    }
}

/// `(FIELD OP (v1, v2))`
fn fold_single(
    exception: &Exception,
    field: &TracedText,
    operator: &str,
    text: &mut TracedText,
) -> Checked<()> {
    text.push_str("(");
    text.push(field);
    text.push_str(&format!(" {operator} ("));
    for (index, value) in exception.values.iter().enumerate() {
        let ExceptionValue::One(value) = value else {
            let message = "Expected values array to contain a list of strings";
            return Err(Box::new(Diagnostic::new(Code::Validate, message, &exception.context)));
        };
        if index > 0 {
            text.push_str(", ");
        }
        push_quoted(value, text);
    }
    text.push_str("))");
    Ok(())
}

/// `((F1 OP1 V1 and F2 OP2 V2) or (…))`, one parenthesis per tuple of values.
fn fold_several(
    exception: &Exception,
    fields: &[(TracedText, String)],
    text: &mut TracedText,
) -> Checked<()> {
    text.push_str("(");
    for (index, tuple) in exception.values.iter().enumerate() {
        let values = match tuple {
            ExceptionValue::Many(values) => values.as_slice(),
            ExceptionValue::One(_) => &[],
        };
        if values.len() != fields.len() {
            let message = "Fields and values lists must have equal length";
            let place = tuple.first_text().and_then(TracedText::locate_all);
            let names: Vec<&str> = fields.iter().map(|(field, _)| field.as_str()).collect();
            let help = format!(
                "each element of `values` is a sequence of {}: [{}]",
                counted(fields.len(), "value"),
                names.join(", ")
            );
            let error = Diagnostic::new(Code::Validate, message, &exception.context);
            return Err(Box::new(error.at(place).help(Some(help))));
        }
        text.push_str(if index == 0 { "(" } else { " or (" });
        for (position, ((field, operator), value)) in fields.iter().zip(values).enumerate() {
            text.push_str(if position == 0 { " " } else { " and  " });
            text.push(field);
            text.push_str(&format!(" {operator} "));
            push_value(value, takes_list(operator), text);
        }
        text.push_str(")");
    }
    text.push_str(")");
    Ok(())
}

fn push_value(value: &ExceptionValue, in_list: bool, text: &mut TracedText) {
    match value {
        ExceptionValue::One(value) if !in_list => push_quoted(value, text),
        ExceptionValue::One(value) if value.as_str().starts_with('(') => text.push(value),
        ExceptionValue::One(value) => {
            text.push_str("(");
            text.push(value);
            text.push_str(")");
        }
        ExceptionValue::Many(values) => {
            text.push_str("(");
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                // A sequence deeper down has no meaning and leaves nothing.
                if let ExceptionValue::One(value) = value {
                    push_quoted(value, text);
                }
            }
            text.push_str(")");
        }
    }
}

impl ExceptionValue {
    fn first_text(&self) -> Option<&TracedText> {
        match self {
            ExceptionValue::One(text) => Some(text),
            ExceptionValue::Many(values) => values.first()?.first_text(),
        }
    }
}
