//! Reads the keys of an item, with Falco's messages for what is missing or mistyped.

use crate::condition::closest;
use crate::diagnostic::{Code, Context, Diagnostic, Subject};
use crate::document::{Node, parse_bool, parse_u32};
use crate::text::{FileSpan, Span, TracedText};

use super::Checked;

/// How Falco's message about a missing key begins.
pub(super) const NO_KEY: &str = "Item has no mapping for key";

/// A mapping whose keys are read, and the context for what is wrong with them.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n, 'c> {
    pub(super) node: Node<'n>,
    pub(super) context: &'c Context,
}

pub(super) fn invalid(message: impl Into<String>, context: &Context) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(Code::YamlValidate, message, context))
}

/// Where a node stands, for the mark that people see.
pub(super) fn place_of(node: Node<'_>, context: &Context) -> Option<FileSpan> {
    Some(FileSpan { file: context.file().clone(), span: node.span() })
}

/// As [`place_of`], for a scalar on a line with more: only the scalar.
pub(super) fn place_of_word(node: Node<'_>, context: &Context) -> Option<FileSpan> {
    let length = node.scalar().map_or(0, str::len);
    let span = node.span();
    let end = span.end.min(span.start + length);
    Some(FileSpan { file: context.file().clone(), span: Span { start: span.start, end } })
}

impl<'n> Fields<'n, '_> {
    pub(super) fn has(&self, key: &str) -> bool {
        self.node.get(key).is_some()
    }

    /// A text that must be there.
    pub(super) fn text(&self, key: &str) -> Checked<TracedText> {
        let Some((key_node, value)) = self.node.member(key) else {
            return Err(self.missing(key));
        };
        if value.is_null() {
            let message = format!("Mapping for key '{key}' is empty");
            let error = Diagnostic::new(Code::YamlValidate, message, self.context);
            let help = format!("write a value behind `{key}:`");
            return Err(Box::new(error.at(place_of(key_node, self.context)).help(Some(help))));
        }
        let context = self.context.with(Subject::ValueFor, key, value.span());
        text_value(value, &context).map_err(|error| {
            let is_collection = value.is_mapping() || value.elements().is_some();
            match is_collection {
                true => Box::new(
                    error
                        .title(format!("`{key}` must be a text"))
                        .help(Some(format!("a text over several lines stands below `{key}: >`"))),
                ),
                false => error,
            }
        })
    }

    /// The error of a key that must be there; the mark is on a key that may be meant.
    fn missing(&self, key: &str) -> Box<Diagnostic> {
        let message = format!("{NO_KEY} '{key}'");
        let error = Diagnostic::new(Code::YamlValidate, message, self.context);
        let keys = self.node.members().filter_map(|(key, _)| key.scalar());
        let Some(similar) = closest(key, keys) else {
            return Box::new(error.help(Some(format!("add the key: `{key}: …`"))));
        };
        let place = self.node.member(similar).and_then(|(key, _)| place_of_word(key, self.context));
        let help = format!("is `{similar}` meant to be `{key}`?");
        Box::new(error.at(place).help(Some(help)))
    }

    pub(super) fn optional_bool(&self, key: &str) -> Checked<Option<bool>> {
        self.optional(key, parse_bool, "a truth value is `true` or `false`")
    }

    pub(super) fn optional_u32(&self, key: &str) -> Checked<Option<u32>> {
        self.optional(key, parse_u32, "a number from 0 to 4294967295 is expected")
    }

    fn optional<T>(
        &self,
        key: &str,
        decode: fn(&str) -> Option<T>,
        help: &str,
    ) -> Checked<Option<T>> {
        if !self.has(key) {
            return Ok(None);
        }
        let text = self.text(key)?;
        if let Some(value) = decode(text.as_str()) {
            return Ok(Some(value));
        }
        let span = self.node.get(key).map(Node::span).unwrap_or_default();
        let context = self.context.with(Subject::ValueFor, key, span);
        let error = Diagnostic::new(Code::YamlValidate, "Can't decode YAML scalar value", &context);
        Err(Box::new(error.help(Some(help.to_owned()))))
    }

    /// A sequence of scalars, which may be empty texts; `None` if the key is absent.
    pub(super) fn optional_texts(&self, key: &str) -> Checked<Option<Vec<TracedText>>> {
        let Some(value) = self.node.get(key) else { return Ok(None) };
        let context = self.context.with(Subject::ValueFor, key, value.span());
        let Some(elements) = value.elements() else {
            let text = value.scalar().unwrap_or("…").trim();
            let error = Diagnostic::new(Code::YamlValidate, "Value is not a sequence", &context)
                .title(format!("`{key}` must be a sequence"))
                .help(Some(format!("write `{key}: [{text}]`")));
            return Err(Box::new(error));
        };
        let texts = elements.map(|element| {
            element.traced().ok_or_else(|| {
                let context = context.with(Subject::ListItem, "", element.span());
                invalid("sequence value is not scalar", &context)
            })
        });
        texts.collect::<Checked<Vec<_>>>().map(Some)
    }

    /// A sequence of scalars that must be there.
    pub(super) fn texts(&self, key: &str) -> Checked<Vec<TracedText>> {
        match self.optional_texts(key)? {
            Some(texts) => Ok(texts),
            None => self.text(key).map(|_| Vec::new()),
        }
    }
}

/// A scalar that is not empty; `context` is that of the value.
pub(super) fn text_value(value: Node<'_>, context: &Context) -> Checked<TracedText> {
    let text = value.traced().ok_or_else(|| invalid("Value is not a scalar value", context))?;
    if text.as_str().is_empty() {
        return Err(invalid("Value must be non-empty", context));
    }
    Ok(text)
}
