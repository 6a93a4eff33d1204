//! Text that was put together from scalars and still knows where each part stands in its file.
//!
//! Conditions are edited as text before they are parsed: appended to, wrapped for exceptions, lists
//! spliced in. A diagnostic must still point at the word that somebody wrote.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::CharIndices;
use std::sync::Arc;

use super::{FileSpan, RulesText, ShortSpan, Span};

/// How a scalar is written in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarStyle {
    /// Plain or a block: the value's characters stand in the file, apart from white space.
    Verbatim,
    /// In single quotes: `''` is one quote.
    SingleQuoted,
    /// In double quotes: with escapes.
    DoubleQuoted,
}

/// A scalar's value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    /// `None` if the value is what stands there, as it mostly is.
    value: Option<Arc<String>>,
    /// The value as written, with quotes, without a block's header.
    span: ShortSpan,
    style: ScalarStyle,
}

/// A scalar of a certain file.
#[derive(Clone, Debug)]
pub(crate) struct ScalarOrigin {
    pub(crate) scalar: Scalar,
    pub(crate) file: Arc<RulesText>,
}

/// Text with the origins of its parts.
#[derive(Clone, Debug)]
pub(crate) enum TracedText {
    /// What one scalar says. Most texts stay that, and there are many.
    Scalar(ScalarOrigin),
    Composed(Composed),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Composed {
    text: String,
    /// In order; a piece reaches to the start of the next.
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
struct Piece {
    start: usize,
    /// The scalar and the offset in its value; `None` for text that no file contains.
    origin: Option<(ScalarOrigin, usize)>,
}

impl Default for TracedText {
    fn default() -> Self {
        TracedText::Composed(Composed::default())
    }
}

impl Composed {
    fn of(scalar: ScalarOrigin) -> Self {
        let text = scalar.value().to_owned();
        Composed { text, pieces: vec![Piece { start: 0, origin: Some((scalar, 0)) }] }
    }

    /// Appends a part of another text.
    fn push_slice(&mut self, other: &TracedText, start: usize, end: usize) {
        let base = self.text.len();
        match other {
            TracedText::Scalar(scalar) if start < end => {
                self.pieces.push(Piece { start: base, origin: Some((scalar.clone(), start)) });
            }
            TracedText::Scalar(_) => {}
            TracedText::Composed(Composed { pieces, .. }) => {
                let first = pieces.partition_point(|piece| piece.start <= start).saturating_sub(1);
                for piece in pieces[first..].iter().take_while(|piece| piece.start < end) {
                    let skipped = start.saturating_sub(piece.start);
                    let origin =
                        piece.origin.as_ref().map(|(scalar, at)| (scalar.clone(), at + skipped));
                    self.pieces
                        .push(Piece { start: base + piece.start.saturating_sub(start), origin });
                }
            }
        }
        self.text.push_str(&other.as_str()[start..end]);
    }

    fn locate(&self, span: Span) -> Option<FileSpan> {
        let index = self.pieces.partition_point(|piece| piece.start <= span.start);
        let index = self.pieces[..index].iter().rposition(|piece| piece.origin.is_some())?;
        let piece = &self.pieces[index];
        let piece_end = self.pieces.get(index + 1).map_or(self.text.len(), |next| next.start);
        let (scalar, at) = piece.origin.as_ref()?;
        let start = at + span.start.min(piece_end) - piece.start;
        let end = at + span.end.clamp(piece.start, piece_end) - piece.start;
        Some(scalar.locate(start, end))
    }
}

impl TracedText {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            TracedText::Scalar(scalar) => scalar.value(),
            TracedText::Composed(composed) => &composed.text,
        }
    }

    /// Appends text that stands in no file.
    pub(crate) fn push_str(&mut self, text: &str) {
        self.compose(|composed| {
            composed.pieces.push(Piece { start: composed.text.len(), origin: None });
            composed.text.push_str(text);
        });
    }

    pub(crate) fn push(&mut self, other: &TracedText) {
        match self.as_str() {
            "" => *self = other.clone(),
            _ => self.push_slice(other, 0, other.as_str().len()),
        }
    }

    /// Appends a part of another text; the offsets are character boundaries in it.
    pub(crate) fn push_slice(&mut self, other: &TracedText, start: usize, end: usize) {
        self.compose(|composed| composed.push_slice(other, start, end));
    }

    fn compose(&mut self, change: impl FnOnce(&mut Composed)) {
        let mut composed = match std::mem::take(self) {
            TracedText::Scalar(scalar) => Composed::of(scalar),
            TracedText::Composed(composed) => composed,
        };
        change(&mut composed);
        *self = TracedText::Composed(composed);
    }

    /// Without white space at both ends.
    pub(crate) fn trimmed(&self) -> TracedText {
        let start = self.as_str().len() - self.as_str().trim_start().len();
        let end = self.as_str().trim_end().len().max(start);
        if end - start == self.as_str().len() {
            return self.clone();
        }
        let mut trimmed = TracedText::default();
        trimmed.push_slice(self, start, end);
        trimmed
    }

    /// Where the whole text stands, or what of it comes from the first scalar.
    pub(crate) fn locate_all(&self) -> Option<FileSpan> {
        self.locate(Span { start: 0, end: self.as_str().len() })
    }

    /// Where a part of the text stands. For text that no file contains, what stands before it.
    pub(crate) fn locate(&self, span: Span) -> Option<FileSpan> {
        match self {
            TracedText::Scalar(scalar) => {
                let length = scalar.value().len();
                Some(scalar.locate(span.start.min(length), span.end.min(length)))
            }
            TracedText::Composed(composed) => composed.locate(span),
        }
    }
}

impl Scalar {
    /// `content` is that of the file.
    pub(crate) fn new(value: Cow<'_, str>, span: Span, style: ScalarStyle, content: &str) -> Self {
        let is_as_written = content.get(span.start..span.end) == Some(&*value);
        let value = (!is_as_written).then(|| Arc::new(value.into_owned()));
        Scalar { value, span: ShortSpan::new(span), style }
    }

    /// `content` is that of the file.
    pub(crate) fn value<'t>(&'t self, content: &'t str) -> &'t str {
        match &self.value {
            Some(value) => value,
            None => self.written(content),
        }
    }

    fn written<'t>(&self, content: &'t str) -> &'t str {
        let span = self.span.span();
        &content[span.start..span.end]
    }
}

impl ScalarOrigin {
    fn value(&self) -> &str {
        self.scalar.value(self.file.content())
    }

    /// The place of `value[start..end]` in the file.
    ///
    /// Value and source hold the same characters apart from white space, quotes and escapes, so
    /// walking both in step leads to the place.
    fn locate(&self, start: usize, end: usize) -> FileSpan {
        let value = self.value();
        let mut walk = Walk::new(self.scalar.written(self.file.content()), self.scalar.style);
        let mut from = 0;
        for (position, character) in value.char_indices() {
            if position <= start {
                from = walk.position_before(character);
            }
            if position >= end && position > start {
                break;
            }
            walk.step(character);
        }
        if start >= value.len() {
            from = walk.position();
        }
        let to = walk.position().max(from);
        let base = self.scalar.span.span().start;
        let span = Span { start: base + from, end: base + to };
        FileSpan { file: self.file.clone(), span }
    }
}

/// Follows a scalar's source while its value is read character by character.
struct Walk<'a> {
    source: &'a str,
    rest: Peekable<CharIndices<'a>>,
    style: ScalarStyle,
}

impl<'a> Walk<'a> {
    fn new(source: &'a str, style: ScalarStyle) -> Self {
        let mut rest = source.char_indices().peekable();
        if style != ScalarStyle::Verbatim {
            rest.next();
        }
        Walk { source, rest, style }
    }

    fn position(&mut self) -> usize {
        self.rest.peek().map_or(self.source.len(), |(position, _)| *position)
    }

    /// The position of the next value character, white space in front of it skipped.
    fn position_before(&mut self, character: char) -> usize {
        if !character.is_whitespace() {
            self.skip_space();
        }
        self.position()
    }

    fn skip_space(&mut self) {
        loop {
            while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
            // An escaped line end is white space that the value does not have.
            let mut ahead = self.rest.clone();
            let escaped_line_end = self.style == ScalarStyle::DoubleQuoted
                && ahead.next().is_some_and(|(_, c)| c == '\\')
                && ahead.next().is_some_and(|(_, c)| c == '\n' || c == '\r');
            if !escaped_line_end {
                return;
            }
            self.rest = ahead;
        }
    }

    fn step(&mut self, character: char) {
        if !character.is_whitespace() {
            self.skip_space();
            self.take_written();
            return;
        }
        // White space may be folded line ends, which are skipped later, or an escape.
        let before = self.rest.clone();
        self.skip_space();
        let escape = self.rest.peek().is_some_and(|(_, c)| *c == '\\')
            && self.style == ScalarStyle::DoubleQuoted
            && self.escaped_space() == Some(character);
        if escape { self.take_written() } else { self.rest = before }
    }

    fn escaped_space(&self) -> Option<char> {
        match self.rest.clone().nth(1)?.1 {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            ' ' => Some(' '),
            _ => None,
        }
    }

    /// Takes what one character of the value is written as.
    fn take_written(&mut self) {
        let Some((_, first)) = self.rest.next() else { return };
        match (self.style, first) {
            (ScalarStyle::SingleQuoted, '\'') => {
                self.rest.next();
            }
            (ScalarStyle::DoubleQuoted, '\\') => {
                let digits = match self.rest.next() {
                    Some((_, 'x')) => 2,
                    Some((_, 'u')) => 4,
                    Some((_, 'U')) => 8,
                    _ => 0,
                };
                for _ in 0..digits {
                    self.rest.next();
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::document::parse;

    use super::*;

    /// A mark on `word` in the value of key `k` is a mark on it in the file.
    #[track_caller]
    fn check(text: &str, word: &str) {
        let file = Arc::new(RulesText::new("r", text.as_bytes()));
        let documents = parse(&file).unwrap();
        let root = documents.roots().next().unwrap();
        let value = root.get("k").unwrap().traced().unwrap();
        let start = value.as_str().find(word).unwrap();
        let place = value.locate(Span { start, end: start + word.len() }).unwrap();
        assert_eq!(&text[place.span.start..place.span.end], word, "{text}");
    }

    #[test]
    fn words_are_found_in_every_style() {
        check("k: one two three", "two");
        check("k: one\n  two\n\n  three # four", "three");
        check("k: 'it''s one\n  two'", "two");
        check("k: 'it''s one\n  two'", "one");
        check(r#"k: "a \"b\" \n \x41\u0042 word""#, "word");
        check("k: \"one \\\n   two\"", "two");
        check("k: \"one\\n\\ttwo three\"", "two");
        check("k: |\n  one\n    two\n  three\n", "two");
        check("k: >-\n\n  one\n\n  two\n", "two");
        check("k: >2 # header\n    one\n  two\n", "two");
        check("k: >\r\n  one\r\n  two\r\n", "two");
        check("a: &x é 日本 word\nk: *x", "word");
    }

    #[test]
    fn parts_keep_their_places() {
        let text = "- one two\n- three\n";
        let file = Arc::new(RulesText::new("r", text.as_bytes()));
        let documents = parse(&file).unwrap();
        let root = documents.roots().next().unwrap();
        let items: Vec<TracedText> =
            root.elements().unwrap().filter_map(|item| item.traced()).collect();
        let mut joined = TracedText::default();
        joined.push_slice(&items[0], 4, 7);
        joined.push_str(" and ");
        joined.push(&items[1]);
        assert_eq!(joined.as_str(), "two and three");
        let place = |word: &str| {
            let start = joined.as_str().find(word).unwrap();
            let span = joined.locate(Span { start, end: start + word.len() }).unwrap().span;
            &text[span.start..span.end]
        };
        assert_eq!(place("two"), "two");
        assert_eq!(place("three"), "three");
        // What no file contains is marked behind what stands before it.
        assert_eq!(place("and"), "");
    }
}
