//! Rules files as text: spans, lines and columns.

mod trace;

pub(crate) use trace::{ScalarOrigin, ScalarStyle, TracedText};

use std::sync::Arc;

/// A place in a text: byte offsets, end exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A rules file's name and text.
#[derive(Debug)]
pub(crate) struct RulesText {
    name: String,
    content: String,
    /// Without line ends and white space before these.
    lines: Vec<Span>,
}

impl RulesText {
    /// Invalid UTF-8 is replaced and a byte-order mark dropped, as the YAML reader of Falco does.
    pub(crate) fn new(name: &str, content: &[u8]) -> Self {
        let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
        let content = String::from_utf8_lossy(content).into_owned();
        let mut lines = Vec::new();
        let mut start = 0;
        for line in content.split('\n') {
            lines.push(Span { start, end: start + line.trim_end().len() });
            start += line.len() + 1;
        }
        RulesText { name: name.to_owned(), content, lines }
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
        (line, offset - self.lines[line].start)
    }

    /// From an offset to the end of its line, without white space there.
    pub(crate) fn rest_of_line(&self, offset: usize) -> Span {
        Span { start: offset, end: self.lines[self.line(offset)].end.max(offset) }
    }

    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|line| line.start <= offset) - 1
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
