//! Where a setting was written: a file or a command-line option, and the place in it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One text that settings came from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The path of a file as it was given, or `-o` for an option of the command line.
    pub(crate) name: String,
    /// The text before `${VAR}` was expanded.
    pub(crate) text: String,
}

/// A stretch of a [`Source`], in bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) source: Arc<Source>,
    pub(crate) span: Range<usize>,
}

impl fmt::Display for Position {
    /// Prints `name:line:column`, both counted from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = &self.source.text[..self.span.start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
