//! JSON text as a flat list of spans.
//!
//! The text is parsed once, nothing is decoded or converted: a value is a span of the source, so numbers keep their
//! text, members their order and strings their escapes. What is looked at is decoded when it is looked at.
//!
//! ```
//! use plugin_support::json::Document;
//!
//! let mut document = Document::default();
//! document.parse(br#"{"verb": "g\u0065t", "objectRef": {"name": 1.50}}"#)?;
//! let root = document.root();
//! assert_eq!(root.get(b"verb").and_then(|verb| verb.as_str()).as_deref(), Some(&b"get"[..]));
//! assert_eq!(root.get(b"objectRef").map(|object| object.raw()), Some(&br#"{"name": 1.50}"#[..]));
//! # Ok::<(), plugin_support::json::ParseError>(())
//! ```
//!
//! It accepts what the parser of Falco's plugins accepts, which is more than RFC 8259: any run of digits, signs, dots and
//! `e` as a number, `nan` and `inf`, any bytes inside strings, unknown escapes. It refuses trailing commas, comments and
//! more than [`MAX_DEPTH`] nested values.
//!
//! Source: fastjson 1.6.4, which the stock `k8saudit` and `json` are built with.

mod event_document;
mod parse;
mod string;
mod unparsed;

use std::borrow::Cow;

pub use event_document::EventDocument;
use parse::is_blank;
pub use parse::{MAX_DEPTH, Node, ParseError};
pub use unparsed::Unparsed;

/// A parsed JSON text.
///
/// A new document, and one whose last parse failed, holds `null`. Its buffers are kept from one parse to the next.
#[derive(Debug)]
pub struct Document {
    text: Vec<u8>,
    nodes: Vec<Node>,
    /// Containers that are open while parsing; kept for its allocation.
    open: Vec<u32>,
    /// There are no blanks inside the outermost value.
    is_compact: bool,
}

impl Default for Document {
    fn default() -> Self {
        let mut document =
            Self { text: Vec::new(), nodes: Vec::new(), open: Vec::new(), is_compact: true };
        document.set_null();
        document
    }
}

impl Document {
    /// Replaces the document by what `text` holds: one JSON value with blanks around it.
    ///
    /// # Errors
    ///
    /// When `text` is not one JSON value, or is 4 GiB or longer.
    pub fn parse(&mut self, text: &[u8]) -> Result<(), ParseError> {
        let end = self.parse_prefix(text)?;
        if end < text.len() {
            self.set_null();
            return Err(ParseError { offset: end, message: "unexpected text after the value" });
        }
        Ok(())
    }

    /// Replaces the document by the first JSON value in `text`, and returns how many bytes it takes with the blanks
    /// around it.
    ///
    /// # Errors
    ///
    /// When `text` does not start with a JSON value, or is 4 GiB or longer.
    pub fn parse_prefix(&mut self, text: &[u8]) -> Result<usize, ParseError> {
        match parse::parse(text, &mut self.nodes, &mut self.open) {
            Ok(parsed) => {
                self.text.clear();
                self.text.extend_from_slice(&text[..parsed.end]);
                self.is_compact = parsed.is_compact;
                Ok(parsed.end)
            }
            Err(error) => {
                self.set_null();
                Err(error)
            }
        }
    }

    /// Replaces the document by `text`, of which [`Value::write_parsed`] gave the nodes.
    ///
    /// Any other nodes make a document whose values are wrong, or panic when they are looked at.
    pub fn set(&mut self, text: &[u8], nodes: &[Node]) {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.nodes.clear();
        self.nodes.extend_from_slice(nodes);
        self.is_compact = true;
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { document: self, index: 0 }
    }

    /// The whole text, with the blanks around the outermost value.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    fn set_null(&mut self) {
        self.text.clear();
        self.text.extend_from_slice(b"null");
        self.is_compact = true;
        self.nodes.clear();
        self.nodes.push(Node { kind: Kind::Null, is_escaped: false, start: 0, end: 4, next: 1 });
    }
}

/// What a [`Value`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Null,
    True,
    False,
    Number,
    String,
    Array,
    Object,
}

/// One value of a [`Document`].
#[derive(Debug, Clone, Copy)]
pub struct Value<'d> {
    document: &'d Document,
    index: u32,
}

impl<'d> Value<'d> {
    /// What the value is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// The value's source text, blanks inside it included; strings with their quotes.
    pub fn raw(self) -> &'d [u8] {
        let node = self.node();
        &self.document.text[node.start as usize..node.end as usize]
    }

    /// Where [`raw`](Self::raw) starts in the document's text.
    pub fn offset(self) -> usize {
        self.node().start as usize
    }

    /// The value of the object's first member that is called `key`.
    ///
    /// A key that is written without escapes goes before one whose escapes decode to `key`.
    pub fn get(self, key: &[u8]) -> Option<Value<'d>> {
        let mut escaped = None;
        for (name, value) in self.members() {
            if !name.node().is_escaped {
                if name.content() == key {
                    return Some(value);
                }
            } else if escaped.is_none() && string::decode(name.content()) == key {
                escaped = Some(value);
            }
        }
        escaped
    }

    /// The array's element at `index`.
    pub fn at(self, index: usize) -> Option<Value<'d>> {
        self.elements().nth(index)
    }

    /// The elements of an array; of anything else none.
    pub fn elements(self) -> impl Iterator<Item = Value<'d>> {
        let mut children = self.children(Kind::Array);
        std::iter::from_fn(move || children.step())
    }

    /// The members of an object, key and value, in source order and with duplicates; of anything else none.
    pub fn members(self) -> impl Iterator<Item = (Value<'d>, Value<'d>)> {
        let mut children = self.children(Kind::Object);
        std::iter::from_fn(move || Some((children.step()?, children.step()?)))
    }

    /// A string's text, decoded; `None` for anything else. It need not be UTF-8.
    pub fn as_str(self) -> Option<Cow<'d, [u8]>> {
        (self.kind() == Kind::String).then(|| match self.node().is_escaped {
            false => Cow::Borrowed(self.content()),
            true => Cow::Owned(string::decode(self.content())),
        })
    }

    /// Whether the value is a string that reads `text`.
    pub fn is_str(self, text: &[u8]) -> bool {
        self.as_str().is_some_and(|own| *own == *text)
    }

    /// Appends the value's source text without the blanks between its tokens.
    pub fn write_compact(self, out: &mut Vec<u8>) {
        match self.document.is_compact {
            true => out.extend_from_slice(self.raw()),
            false => compact(self.raw(), out),
        }
    }

    /// As [`write_compact`](Self::write_compact), and appends what parsing that text would find; nothing where this is
    /// not known, because blanks were left out.
    pub fn write_parsed(self, text: &mut Vec<u8>, nodes: &mut Vec<Node>) {
        self.write_compact(text);
        if self.document.is_compact {
            let own = self.node();
            let inside = &self.document.nodes[self.index as usize..own.next as usize];
            nodes.extend(inside.iter().map(|node| Node {
                start: node.start - own.start,
                end: node.end - own.start,
                next: node.next - self.index,
                ..*node
            }));
        }
    }

    /// Appends the value as Falco's plugins print it: a string decoded, anything else compact.
    pub fn write_text(self, out: &mut Vec<u8>) {
        match self.as_str() {
            Some(text) => out.extend_from_slice(&text),
            None => self.write_compact(out),
        }
    }

    /// The text of [`write_text`](Self::write_text), with room for the NUL that the C interface ends it with: without that
    /// it would have to be moved, and with more too.
    pub fn to_text(self) -> Vec<u8> {
        let is_plain = self.kind() == Kind::String && !self.node().is_escaped;
        let length = if is_plain { self.content().len() } else { self.raw().len() };
        let mut text = Vec::with_capacity(length + 1);
        self.write_text(&mut text);
        text
    }

    fn node(self) -> Node {
        self.document.nodes[self.index as usize]
    }

    /// A string's source text without the quotes.
    fn content(self) -> &'d [u8] {
        let raw = self.raw();
        &raw[1..raw.len() - 1]
    }

    fn children(self, of: Kind) -> Children<'d> {
        let node = self.node();
        let next = self.index + 1;
        Children {
            document: self.document,
            next,
            end: if node.kind == of { node.next } else { next },
        }
    }
}

/// Appends JSON text without the blanks between its tokens.
fn compact(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = text.iter().position(|&byte| byte == b'"' || is_blank(byte)) {
        out.extend_from_slice(&text[..at]);
        text = &text[at..];
        // A blank is skipped, a string is copied as it stands.
        let (copied, skipped) = match string::end(text) {
            Some(string) => (string.end, string.end),
            None => (0, 1),
        };
        out.extend_from_slice(&text[..copied]);
        text = &text[skipped..];
    }
    out.extend_from_slice(text);
}

/// Walks the nodes directly below a container; an object's are keys and values in turn.
struct Children<'d> {
    document: &'d Document,
    next: u32,
    end: u32,
}

impl<'d> Children<'d> {
    fn step(&mut self) -> Option<Value<'d>> {
        let value = (self.next < self.end)
            .then_some(Value { document: self.document, index: self.next })?;
        self.next = value.node().next;
        Some(value)
    }
}
