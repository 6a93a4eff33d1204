//! Fields and transformers: names into catalogue entries, with the types of their values.

use crate::condition::ast::{Span, Term, Transformer};
use crate::condition::check::{CheckErrorKind, Checked, Checker};
use crate::condition::suggest::closest;
use crate::condition::typed::{Expression, FieldRef, Transformed};
use crate::field::{FieldError, FieldType};

/// Stock's text for a second argument of `tolower` and the like, on which it dies.
pub(super) const UNKNOWN_MULTIVALUE: &str = "unknown multivalue transformer";

impl Checker<'_> {
    pub(super) fn expression(&self, term: &Term) -> Checked<Expression> {
        match term {
            Term::Field { name, argument, span } => {
                self.field(name, argument.as_deref(), *span).map(Expression::Field)
            }
            Term::Transformer { name, arguments, argument, span } => {
                let arguments = self.expressions(arguments)?;
                self.transformed(*name, arguments, argument.as_deref(), *span)
                    .map(|transformed| Expression::Transformed(Box::new(transformed)))
            }
            Term::Constant { text, span, .. } => {
                self.no_nul(text, *span)?;
                Ok(Expression::Constant(text.clone()))
            }
            Term::List { items, span } => {
                let items = self.expressions(items)?;
                if items.iter().any(Expression::is_list) {
                    return self.refuse(*span, "transformer list arguments must be single values");
                }
                Ok(Expression::List(items))
            }
        }
    }

    fn expressions(&self, terms: &[Term]) -> Checked<Vec<Expression>> {
        terms.iter().map(|term| self.expression(term)).collect()
    }

    fn field(&self, name: &str, argument: Option<&[u8]>, span: Span) -> Checked<FieldRef> {
        self.catalogue.resolve(name, argument).or_else(|error| {
            let kind = match error {
                FieldError::Unknown(_) => CheckErrorKind::UnknownField,
                _ => CheckErrorKind::FieldArgument,
            };
            let help = match &error {
                FieldError::Unknown(_) => closest(name, self.catalogue.names())
                    .filter(|similar| *similar != name)
                    .map(|similar| format!("a similar field exists: `{similar}`")),
                FieldError::MissingArgument { .. } => {
                    Some(format!("the argument stands in brackets: `{name}[…]`"))
                }
                FieldError::UnwantedArgument { .. } => Some(format!("write `{name}`")),
                FieldError::InvalidIndex { .. } => {
                    Some(format!("elements are counted from 0: `{name}[0]`"))
                }
                FieldError::UnbalancedArgument { .. } => {
                    Some("an argument cannot contain a blank".to_owned())
                }
                FieldError::BinaryArgument { .. } => None,
            };
            self.error_with_help(kind, span, error.to_string(), help)
        })
    }

    fn transformed(
        &self,
        transformer: Transformer,
        arguments: Vec<Expression>,
        argument: Option<&[u8]>,
        span: Span,
    ) -> Checked<Transformed> {
        let is_single =
            !matches!(transformer, Transformer::Join | Transformer::Concat | Transformer::Getopt);
        match arguments.len() {
            1 if !is_single => {
                let message = format!("unknown field transfomer '{}'", transformer.name());
                return self.refuse(span, &message);
            }
            1 => {}
            _ if is_single => return self.refuse(span, UNKNOWN_MULTIVALUE),
            _ => {}
        }
        if argument.is_some() && transformer != Transformer::Getopt {
            let message = format!(
                "filter error: transformer '{}' does not support field arguments",
                transformer.name()
            );
            return self.refuse(span, &message);
        }
        let (kind, is_list) = match transformer {
            Transformer::Join => self.join(&arguments, span)?,
            Transformer::Concat => self.concat(&arguments, span)?,
            Transformer::Getopt => self.getopt(&arguments, argument, span)?,
            single => self.single(single, &arguments[0], span)?,
        };
        let option = argument.and_then(|option| option.first().copied());
        Ok(Transformed { transformer, arguments, option, kind, is_list })
    }

    /// The type of a transformer of one argument, and whether it yields a list.
    fn single(
        &self,
        transformer: Transformer,
        input: &Expression,
        span: Span,
    ) -> Checked<(FieldType, bool)> {
        match (transformer, input) {
            (_, Expression::List(_)) => {}
            (Transformer::Len, _) if input.is_list() || input.kind() == FieldType::String => {
                return Ok((FieldType::Uint64, false));
            }
            (Transformer::Len, _) => {}
            _ if input.kind() == FieldType::String => {
                return Ok((FieldType::String, input.is_list()));
            }
            _ => {}
        }
        let message = format!(
            "can't add field transformer: type '{}' is not supported by '{}' transformer applied on \
             {}field '{}'",
            input.kind(),
            transformer.name(),
            if input.is_list() { "list " } else { "" },
            self.field_name(input),
        );
        self.refuse(span, &message)
    }

    fn join(&self, arguments: &[Expression], span: Span) -> Checked<(FieldType, bool)> {
        let [separator, list] = arguments else {
            return self.refuse(span, "join() requires exactly 2 arguments: separator and list");
        };
        let message = if separator.is_list() {
            "join() first argument (separator) must be a single value, not a list"
        } else if separator.kind() != FieldType::String {
            "join() first argument (separator) must be a string"
        } else if !list.is_list() || is_getopt(list) {
            "join() second argument must be a list"
        } else {
            return Ok((FieldType::String, false));
        };
        self.refuse(span, message)
    }

    fn concat(&self, arguments: &[Expression], span: Span) -> Checked<(FieldType, bool)> {
        let is_text = |part: &Expression| match part {
            // Stock looks at fields only, so it takes what `len` yields.
            Expression::Transformed(part) => !part.is_list,
            _ => part.kind() == FieldType::String && !part.is_list(),
        };
        if arguments.iter().all(is_text) {
            return Ok((FieldType::String, false));
        }
        self.refuse(span, "concat() arguments must be strings")
    }

    fn getopt(
        &self,
        arguments: &[Expression],
        option: Option<&[u8]>,
        span: Span,
    ) -> Checked<(FieldType, bool)> {
        let [tokens, options] = arguments else {
            return self.refuse(span, "getopt() requires exactly 2 arguments: list and optstring");
        };
        let message = if !tokens.is_list() || tokens.kind() != FieldType::String {
            "getopt() first argument must be a list of strings"
        } else if options.is_list() {
            "getopt() second argument (optstring) must be a single value"
        } else if options.kind() != FieldType::String {
            "getopt() second argument (optstring) must be a string"
        } else if option.is_some_and(|option| option.len() != 1) {
            "getopt() field argument must be a single option character"
        } else {
            return Ok((FieldType::String, option.is_none()));
        };
        self.refuse(span, message)
    }

    fn refuse<T>(&self, span: Span, message: &str) -> Checked<T> {
        self.error(CheckErrorKind::Transformer, span, message.to_owned())
    }

    /// What stock calls the field of an expression: transformers of one argument are looked through.
    pub(super) fn field_name(&self, expression: &Expression) -> &str {
        match expression {
            Expression::Field(field) => {
                &self.catalogue.classes[field.class].fields[field.field].name
            }
            Expression::Transformed(transformed) => match transformed.arguments.as_slice() {
                [only] => self.field_name(only),
                _ => "NA",
            },
            Expression::Constant(_) | Expression::List(_) => "NA",
        }
    }
}

/// Whether it is `getopt`, also under transformers of one argument.
fn is_getopt(expression: &Expression) -> bool {
    match expression {
        Expression::Transformed(transformed) => match transformed.arguments.as_slice() {
            [only] => is_getopt(only),
            _ => transformed.transformer == Transformer::Getopt,
        },
        _ => false,
    }
}
