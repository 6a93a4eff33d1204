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
    line_starts: Vec<usize>,
}

impl RulesText {
    /// Invalid UTF-8 is replaced and a byte-order mark dropped, as the YAML reader of Falco does.
    pub(crate) fn new(name: &str, content: &[u8]) -> Self {
        let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
        let content = String::from_utf8_lossy(content).into_owned();
        let newlines = memchr::memchr_iter(b'\n', content.as_bytes()).map(|at| at + 1);
        let line_starts = std::iter::once(0).chain(newlines).collect();
        RulesText { name: name.to_owned(), content, line_starts }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn content(&self) -> &str {
        &self.content
    }

    /// Line and column of an offset, both from 0, the column in bytes.
    pub(crate) fn line_column(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|&start| start <= offset) - 1;
        (line, offset - self.line_starts[line])
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
}
