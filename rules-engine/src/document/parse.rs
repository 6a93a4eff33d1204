//! From YAML events to nodes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{
    ErrorKind, Event, Parser, ScalarStyle as YamlStyle, ScanError, StructureStyle,
};

use super::explain::{Explanation, explain};
use super::{Children, Documents, NodeEntry, NodeId, NodeKind};
use crate::text::{RulesText, Scalar, ScalarStyle, ShortSpan, Span};

/// Limits that keep a hostile file from taking the agent down. Nesting is limited by the event
/// parser (255).
const MAX_BYTES: usize = 16 << 20;
const MAX_NODES: usize = 1 << 20;
/// How much aliases may stand for. Each costs no more than a node, but whoever reads it sees all of
/// what it refers to.
const MAX_ALIASED_BYTES: usize = 16 << 20;
/// What a node counts besides its text, so that many small ones are no cheap way to fill the memory.
const NODE_BYTES: usize = 16;

/// Why a file is no YAML.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    /// As yaml-cpp words it, where it has a word for it.
    pub(crate) message: String,
    pub(crate) offset: usize,
    /// For people: where what goes wrong at `offset` began, and what it is.
    pub(crate) culprit: Span,
    pub(crate) reason: String,
    pub(crate) help: Option<String>,
}

/// Reads all documents of a file.
///
/// # Errors
///
/// The first violation of YAML's syntax, or of a limit.
pub(crate) fn parse(file: &Arc<RulesText>) -> Result<Documents, SyntaxError> {
    let content = file.content();
    if content.len() > MAX_BYTES {
        return Err(limit(0, format!("a rules file has at most {MAX_BYTES} bytes")));
    }
    if let Some(offset) = memchr::memchr(0, content.as_bytes()) {
        return Err(limit(offset, "unknown token: NUL".to_owned()));
    }
    let options = granit_parser::options! { emit_anchor_events: true, emit_comments: false };
    let mut builder = Builder {
        content,
        documents: Documents {
            file: file.clone(),
            nodes: Vec::new(),
            children: Vec::new(),
            roots: Vec::new(),
        },
        open: Vec::new(),
        waiting: Vec::new(),
        anchors: HashMap::new(),
        sizes: Vec::new(),
        aliased_bytes: 0,
        last_end: 0,
        last: None,
    };
    for event in Parser::new_from_str_with_options(content, options) {
        let (event, span) =
            event.map_err(|error| syntax_error(content, &error, builder.open_bracket()))?;
        let range = span.byte_range().unwrap_or_default();
        let tag = span.tag_span().and_then(|tag| tag.byte_range());
        let mark = tag.map_or(range.start, |tag| tag.start);
        builder.event(event, Span { start: range.start, end: range.end }, mark);
        if builder.documents.nodes.len() > MAX_NODES {
            return Err(limit(range.start, format!("a rules file has at most {MAX_NODES} nodes")));
        }
        if builder.aliased_bytes > MAX_ALIASED_BYTES {
            return Err(limit(range.start, "aliases stand for too much of the file".to_owned()));
        }
    }
    Ok(builder.documents)
}

fn limit(offset: usize, message: String) -> SyntaxError {
    let culprit = Span { start: offset, end: offset };
    SyntaxError { reason: message.clone(), message, offset, culprit, help: None }
}

/// Puts an error of the event parser into the words and to the place of yaml-cpp.
fn syntax_error(content: &str, error: &ScanError, open_bracket: Option<usize>) -> SyntaxError {
    let start = error.marker().byte_offset().unwrap_or(content.len()).min(content.len());
    let end_of_file = content.len();
    let (offset, message) = match error.kind() {
        ErrorKind::UnclosedFlowCollection { open: '[' }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::ExpectedFlowSequenceSeparator => {
            (end_of_file, "end of sequence flow not found".to_owned())
        }
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator => {
            (end_of_file, "end of map flow not found".to_owned())
        }
        ErrorKind::UnexpectedCharacter { .. } => (start, "unknown token".to_owned()),
        ErrorKind::UnknownAnchor => {
            let rest = content[start..].trim_start_matches('*');
            let end = rest.find(|c: char| c.is_whitespace() || ",]}".contains(c));
            let name = &rest[..end.unwrap_or(rest.len())];
            (start, format!("the referenced anchor is not defined: {name}"))
        }
        ErrorKind::UnsupportedYamlMajorVersion => {
            (start, "YAML major version too large".to_owned())
        }
        ErrorKind::MappingValueNotAllowed => (start, "illegal map value".to_owned()),
        ErrorKind::MappingKeyNotAllowed => (start, "illegal map key".to_owned()),
        ErrorKind::BlockSequenceEntryNotAllowed => (start, "illegal block entry".to_owned()),
        ErrorKind::SimpleKeyExpected | ErrorKind::ExpectedBlockMappingKey => {
            (start, "end of map not found".to_owned())
        }
        ErrorKind::ExpectedBlockSequenceEntry => (start, "end of sequence not found".to_owned()),
        ErrorKind::MisplacedFlowCollectionEnd => (start, "illegal flow end".to_owned()),
        _ => (start, error.info()),
    };
    let Explanation { title, culprit, help } = explain(content, error, start, open_bracket);
    SyntaxError { message, offset, culprit, reason: title, help }
}

/// Builds nodes bottom-up from events.
struct Builder<'t> {
    content: &'t str,
    documents: Documents,
    /// Collections that have begun and not ended, each with the number of nodes that wait for others.
    open: Vec<(NodeId, usize)>,
    /// What is in these collections as far as it is read, outermost first.
    waiting: Vec<NodeId>,
    anchors: HashMap<usize, NodeId>,
    /// Of each node, with all that is in it as far as it is read, aliases included.
    sizes: Vec<usize>,
    aliased_bytes: usize,
    /// Where the previous event ends.
    last_end: usize,
    /// The node that an anchor event refers to.
    last: Option<NodeId>,
}

impl Builder<'_> {
    /// Where the innermost collection starts that has begun and not ended, if a bracket starts it.
    fn open_bracket(&self) -> Option<usize> {
        let (id, _) = self.open.last()?;
        let start = self.documents.nodes[id.index()].span.span().start;
        self.content[start..].starts_with(['[', '{']).then_some(start)
    }

    fn event(&mut self, event: Event<'_>, span: Span, mark: usize) {
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                let (kind, node_span) = self.scalar(value, style, tag.is_some(), span, mark);
                let id = self.add(kind, node_span, anchor);
                self.grow_open(self.sizes[id.index()]);
            }
            Event::SequenceStart(style, anchor, _) => {
                // One that is not indented further than its key is reported after its dash.
                let is_value = self.has_key();
                let start = match style {
                    StructureStyle::Block if is_value => mark.min(self.value_start()),
                    _ => mark,
                };
                self.open(NodeKind::Sequence(Children::default()), start, anchor);
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(NodeKind::Mapping(Children::default()), mark, anchor);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                if let Some(&id) = self.anchors.get(&anchor) {
                    self.aliased_bytes += self.sizes[id.index()];
                    self.grow_open(self.sizes[id.index()]);
                    self.attach(id);
                }
            }
            // A node's place is that of its anchor. The event follows its node.
            Event::Anchor(..) => {
                if let Some(id) = self.last {
                    let node = &mut self.documents.nodes[id.index()];
                    let own = node.span.span();
                    node.span = ShortSpan::new(Span { start: own.start.min(span.start), ..own });
                }
                return;
            }
            _ => {}
        }
        self.last_end = self.last_end.max(span.end);
    }

    fn scalar(
        &self,
        value: Cow<'_, str>,
        style: YamlStyle,
        is_tagged: bool,
        span: Span,
        mark: usize,
    ) -> (NodeKind, Span) {
        if style == YamlStyle::Plain && !is_tagged && is_null(&value) {
            // yaml-cpp places an absent value at the next token, granit-parser at the colon.
            let start = match span.start == span.end {
                true => self.next_token(span.start + self.colon_length(span.start)),
                false => mark,
            };
            return (NodeKind::Null, self.documents.file.rest_of_line(start));
        }
        let (start, style) = match style {
            YamlStyle::SingleQuoted => (mark, ScalarStyle::SingleQuoted),
            YamlStyle::DoubleQuoted => (mark, ScalarStyle::DoubleQuoted),
            YamlStyle::Literal | YamlStyle::Folded => {
                (mark.min(self.block_header(span.start)), ScalarStyle::Verbatim)
            }
            _ => (mark, ScalarStyle::Verbatim),
        };
        let kind = NodeKind::Scalar(Scalar::new(value, span, style, self.content));
        (kind, self.documents.file.rest_of_line(start))
    }

    fn add(&mut self, kind: NodeKind, span: Span, anchor: usize) -> NodeId {
        let id = NodeId(short(self.documents.nodes.len()));
        let size = match &kind {
            NodeKind::Scalar(scalar) => NODE_BYTES + scalar.value(self.content).len(),
            NodeKind::Null | NodeKind::Sequence(_) | NodeKind::Mapping(_) => NODE_BYTES,
        };
        self.sizes.push(size);
        self.documents.nodes.push(NodeEntry { kind, span: ShortSpan::new(span) });
        self.last = Some(id);
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        self.attach(id);
        id
    }

    fn grow_open(&mut self, by: usize) {
        if let Some((open, _)) = self.open.last() {
            self.sizes[open.index()] += by;
        }
    }

    fn attach(&mut self, id: NodeId) {
        match self.open.is_empty() {
            true => self.documents.roots.push(id),
            false => self.waiting.push(id),
        }
    }

    /// Whether what comes next is a value in a mapping.
    fn has_key(&self) -> bool {
        self.open.last().is_some_and(|(id, first)| {
            let is_mapping = matches!(self.documents.nodes[id.index()].kind, NodeKind::Mapping(_));
            is_mapping && (self.waiting.len() - first) % 2 == 1
        })
    }

    fn open(&mut self, kind: NodeKind, start: usize, anchor: usize) {
        let id = self.add(kind, self.documents.file.rest_of_line(start), anchor);
        self.open.push((id, self.waiting.len()));
    }

    fn close(&mut self) {
        let Some((id, first)) = self.open.pop() else { return };
        let all = &mut self.documents.children;
        let start = short(all.len());
        all.extend(self.waiting.drain(first..));
        let end = short(all.len());
        let (NodeKind::Sequence(children) | NodeKind::Mapping(children)) =
            &mut self.documents.nodes[id.index()].kind
        else {
            return;
        };
        *children = Children { start, end };
        self.grow_open(self.sizes[id.index()]);
    }

    /// Where the value after the colon that follows the previous event begins.
    fn value_start(&self) -> usize {
        let colon = self.next_token(self.last_end);
        self.next_token(colon + self.colon_length(colon))
    }

    fn colon_length(&self, offset: usize) -> usize {
        usize::from(self.content[offset..].starts_with(':'))
    }

    /// The next offset with neither white space nor a comment.
    fn next_token(&self, mut offset: usize) -> usize {
        loop {
            let rest = &self.content[offset..];
            let blank = rest.len() - rest.trim_start().len();
            offset += blank;
            if !self.content[offset..].starts_with('#') {
                return offset;
            }
            offset += self.content[offset..].find('\n').unwrap_or(rest.len() - blank);
        }
    }

    /// Where the `|` or `>` of the block scalar stands whose text begins at `content_start`.
    fn block_header(&self, content_start: usize) -> usize {
        let mut offset = self.last_end.min(content_start);
        loop {
            offset = self.next_token(offset);
            let rest = &self.content[offset..content_start.max(offset)];
            match rest.chars().next() {
                Some('|' | '>') => return offset,
                Some('&' | '!') => {
                    offset += rest.find(char::is_whitespace).unwrap_or(rest.len());
                }
                Some(':' | '-' | '?') => offset += 1,
                _ => return content_start,
            }
        }
    }
}

fn short(count: usize) -> u32 {
    u32::try_from(count).expect("a file has more bytes than nodes")
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str) -> Result<Documents, SyntaxError> {
        parse(&Arc::new(RulesText::new("r", text.as_bytes())))
    }

    /// The offset at which the value of key `k` begins.
    #[track_caller]
    fn check_start(text: &str, expected: usize) {
        let documents = documents(text).unwrap();
        let root = documents.roots().next().unwrap();
        assert_eq!(root.get("k").unwrap().span().start, expected, "{text}");
    }

    #[test]
    fn nodes_begin_where_yaml_cpp_says() {
        check_start("k: v", 3);
        check_start("k:   'v'", 5);
        check_start("k: >\n  text\n", 3);
        check_start("k: &a |\n  text\n", 3);
        check_start("k: !!str v", 3);
        check_start("k: [a]", 3);
        check_start("k:\n  - a", 5);
        check_start("k:\n- a", 3);
        check_start("k:\n- - a", 3);
        check_start("k:\nz: 1", 3);
        check_start("k: # none\n\nz: 1", 11);
        check_start("a: &x [1]\nk: *x", 3);
    }

    #[test]
    fn of_equal_keys_the_first_counts_and_merge_keys_are_keys() {
        let documents = documents("a: &a {y: 1}\nk: 1\nk: 2\n<<: *a\n").unwrap();
        let root = documents.roots().next().unwrap();
        assert_eq!(root.get("k").unwrap().scalar(), Some("1"));
        assert!(root.get("y").is_none());
        assert!(root.get("<<").unwrap().is_mapping());
        assert_eq!(root.members().len(), 4);
    }

    #[test]
    fn empty_is_null_unless_quoted_or_tagged() {
        let documents = documents("- \n- ~\n- null\n- ''\n- 'null'\n- !!str null\n").unwrap();
        let root = documents.roots().next().unwrap();
        let nulls: Vec<bool> = root.elements().unwrap().map(|node| node.is_null()).collect();
        assert_eq!(nulls, [true, true, true, false, false, false]);
    }

    #[test]
    fn what_is_no_yaml_is_an_error() {
        #[track_caller]
        fn check(text: &str, message: &str, offset: usize) {
            let error = documents(text).unwrap_err();
            assert_eq!((error.message.as_str(), error.offset), (message, offset));
        }
        check("a: b: c", "illegal map value", 4);
        check("- [a\n", "end of sequence flow not found", 5);
        check("- *x\n", "the referenced anchor is not defined: x", 2);
        check("- @a\n", "unknown token", 2);
        check("- a\0\n", "unknown token: NUL", 3);
        check("- \"a\n", "unclosed quote", 2);
    }

    #[test]
    fn aliases_stand_for_a_limited_part() {
        let list = format!("- &a [{}]\n", "x,".repeat(1000));
        assert!(documents(&(list.clone() + &"- *a\n".repeat(900))).is_ok());
        let error = documents(&(list + &"- *a\n".repeat(1000))).unwrap_err();
        assert_eq!(error.message, "aliases stand for too much of the file");
        let nested = (1..30).map(|n| format!("- &a{n} [*a{m}, *a{m}]\n", m = n - 1));
        assert!(documents(&("- &a0 [x]\n".to_owned() + &nested.collect::<String>())).is_err());
    }

    #[test]
    fn what_is_too_large_is_refused() {
        #[track_caller]
        fn check(text: &str, message: &str) {
            assert_eq!(documents(text).unwrap_err().message, message);
        }
        check(&"#".repeat(MAX_BYTES + 1), "a rules file has at most 16777216 bytes");
        check(&"- \n".repeat(MAX_NODES + 1), "a rules file has at most 1048576 nodes");
        check(&"[".repeat(300), "recursion limit exceeded");
        assert!(documents(&format!("{}{}", "[".repeat(200), "]".repeat(200))).is_ok());
    }

    #[test]
    fn a_cycle_of_aliases_ends() {
        let documents = documents("&a [*a]").unwrap();
        let root = documents.roots().next().unwrap();
        assert_eq!(root.elements().unwrap().len(), 1);
    }
}
