//! Rules files as text: spans, lines and columns.

mod trace;

pub(crate) use trace::{Scalar, ScalarOrigin, ScalarStyle, TracedText};

use std::sync::Arc;

/// A place in a text: byte offsets, end exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A [`Span`] in half the room; there are some for each word of a rules file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortSpan {
    start: u32,
    end: u32,
}

impl ShortSpan {
    /// # Panics
    ///
    /// If the text has 4 GiB or more; `document::parse` refuses it long before.
    pub(crate) fn new(span: Span) -> Self {
        let short = |at| u32::try_from(at).expect("a rules file is shorter");
        ShortSpan { start: short(span.start), end: short(span.end) }
    }

    pub(crate) fn span(self) -> Span {
        Span { start: self.start as usize, end: self.end as usize }
    }
}

/// A rules file's name and text.
#[derive(Debug)]
pub(crate) struct RulesText {
    name: String,
    content: String,
    /// Where each line starts.
    lines: Vec<u32>,
}

impl RulesText {
    /// Invalid UTF-8 is replaced and a byte-order mark dropped, as the YAML reader of Falco does.
    pub(crate) fn new(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        let mut content = String::from_utf8(content.into())
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        if content.starts_with('\u{FEFF}') {
            content.remove(0);
        }
        let line_ends = memchr::memchr_iter(b'\n', content.as_bytes());
        let starts = std::iter::once(0).chain(line_ends.map(|end| end + 1));
        // Of a text with more no line is asked for, since no rules file is so long.
        let lines = starts.map_while(|start| u32::try_from(start).ok()).collect();
        RulesText { name: name.into(), content, lines }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn content(&self) -> &str {
        &self.content
    }

    /// Line and column of an offset, both from 0, the column in bytes.
    pub(crate) fn line_column(&self, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        (line, offset - self.lines[line] as usize)
    }

    /// From an offset to the end of its line, without white space there.
    pub(crate) fn rest_of_line(&self, offset: usize) -> Span {
        let line = self.line(offset);
        let next = self.lines.get(line + 1).map_or(self.content.len(), |&next| next as usize);
        let line = &self.content[self.lines[line] as usize..next];
        let end = next - line.len() + line.trim_end().len();
        Span { start: offset, end: end.max(offset) }
    }

    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|&start| start as usize <= offset) - 1
    }
}

/// A place in a certain file.
#[derive(Clone, Debug)]
pub(crate) struct FileSpan {
    pub(crate) file: Arc<RulesText>,
    pub(crate) span: Span,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_zero() {
        let text = RulesText::new("r", b"\xEF\xBB\xBFab\ncd\n");
        assert_eq!(text.content(), "ab\ncd\n");
        assert_eq!(text.line_column(0), (0, 0));
        assert_eq!(text.line_column(2), (0, 2));
        assert_eq!(text.line_column(4), (1, 1));
        assert_eq!(text.line_column(6), (2, 0));
    }

    #[test]
    fn the_rest_of_a_line_has_no_blanks_at_its_end() {
        let text = RulesText::new("r", b"a b \r\nc");
        assert_eq!(text.rest_of_line(2), Span { start: 2, end: 3 });
        assert_eq!(text.rest_of_line(4), Span { start: 4, end: 4 });
        assert_eq!(text.rest_of_line(6), Span { start: 6, end: 7 });
        assert_eq!(text.rest_of_line(7), Span { start: 7, end: 7 });
    }
}
