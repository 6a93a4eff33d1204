//! A YAML document as a tree that remembers where each part was written.
//!
//! Scalars stay text: a generic YAML value would turn `1.10`, `0777` or `yes` into something else
//! before the setting that they belong to is known. Hence the events of the YAML parser instead of
//! `serde`, which asks a type for what it wants.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::finding::Findings;
use super::source::{Position, Source};

/// Aliases repeat what they stand for, so a short text can describe a huge tree; this ends it.
const MAX_NODES: usize = 100_000;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) position: Position,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Quoted, a block scalar or tagged as a string: never a number, a boolean or null.
    pub(super) quoted: bool,
}

/// One key of a map with its value. Keys are unique within a map.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_position: Position,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What the node is, for messages.
    pub(super) fn description(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_string(),
            Value::Scalar(scalar) => format!("`{}`", scalar.text),
            Value::List(_) => "a list".to_string(),
            Value::Map(_) => "a map".to_string(),
        }
    }
}

/// Parses the first YAML document of `source`, from byte `start` on.
///
/// Stock Falco reads the first document only, and the first of two equal keys counts.
pub(super) fn parse(source: &Arc<Source>, start: usize, findings: &mut Findings) -> Option<Node> {
    let mut builder = Builder {
        source,
        start,
        events: Parser::new_from_str(&source.text[start..]),
        anchors: HashMap::new(),
        nodes: 0,
        findings,
    };
    match builder.document() {
        Ok(root) => Some(root),
        Err(ParseFailure { message, position }) => {
            findings.problem(message, Some(&position));
            None
        }
    }
}

struct ParseFailure {
    message: String,
    position: Position,
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    start: usize,
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    findings: &'a mut Findings,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Node, ParseFailure> {
        loop {
            let (event, span) = self.next_event()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd | Event::DocumentEnd => {
                    return Ok(Node { value: Value::Null, position: self.position(span) });
                }
                event => return self.node(event, span),
            }
        }
    }

    /// Builds the node that starts with `event`. The parser limits how deep they nest.
    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, ParseFailure> {
        let position = self.position(span);
        self.count(1, &position)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain
                    || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let is_null = !quoted && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let scalar = Scalar { text: text.into_owned(), quoted };
                (if is_null { Value::Null } else { Value::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (Value::List(self.items()?), anchor),
            Event::MappingStart(_, anchor, _) => (Value::Map(self.entries()?), anchor),
            Event::Alias(anchor) => {
                let Some(target) = self.anchors.get(&anchor).cloned() else {
                    return Err(ParseFailure {
                        message: "an alias stands inside of what it stands for".to_string(),
                        position,
                    });
                };
                self.count(size(&target), &position)?;
                return Ok(target);
            }
            event => {
                return Err(ParseFailure { message: format!("unexpected {event:?}"), position });
            }
        };
        let node = Node { value, position };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self) -> Result<Vec<Node>, ParseFailure> {
        let mut items = Vec::new();
        loop {
            match self.next_event()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<Entry>, ParseFailure> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next_event()?;
            let key_position = self.position(span);
            let key = match event {
                Event::MappingEnd => return Ok(entries),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => {
                    return Err(ParseFailure {
                        message: "a key must be a plain word".to_string(),
                        position: key_position,
                    });
                }
            };
            let (event, span) = self.next_event()?;
            let value = self.node(event, span)?;
            if entries.iter().any(|entry| entry.key == key) {
                self.findings.warning(format!(
                    "{key_position}: `{key}` stands here a second time; the first one counts"
                ));
                continue;
            }
            entries.push(Entry { key, key_position, value });
        }
    }

    fn next_event(&mut self) -> Result<(Event<'a>, Span), ParseFailure> {
        loop {
            match self.events.next() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(next)) => return Ok(next),
                Some(Err(error)) => return Err(self.failure(&error)),
                None => {
                    let end = self.source.text.len();
                    return Err(ParseFailure {
                        message: "the document ends too early".to_string(),
                        position: Position { source: self.source.clone(), span: end..end },
                    });
                }
            }
        }
    }

    fn count(&mut self, nodes: usize, position: &Position) -> Result<(), ParseFailure> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(ParseFailure {
                message: format!("more than {MAX_NODES} values, aliases counted in full"),
                position: position.clone(),
            });
        }
        Ok(())
    }

    fn position(&self, span: Span) -> Position {
        let range = span.byte_range().unwrap_or_default();
        let span = self.start + range.start..self.start + range.end;
        Position { source: self.source.clone(), span }
    }

    fn failure(&self, error: &ScanError) -> ParseFailure {
        let offset = self.start + error.marker().byte_offset().unwrap_or_default();
        let offset = offset.min(self.source.text.len());
        ParseFailure {
            message: format!("invalid YAML: {}", error.info()),
            position: Position { source: self.source.clone(), span: offset..offset },
        }
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.value)).sum::<usize>(),
    }
}
