//! Lines handed out together, in one buffer.

use std::{path::Path, sync::Arc};

/// Lines of one call of [`Follower::next_lines`](crate::Follower::next_lines).
#[derive(Debug, Default)]
pub struct Batch {
    text: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    path: Arc<Path>,
    number: u64,
    end: usize,
}

/// One line of a followed file.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The file, by the name under which it was found.
    pub path: &'a Path,
    /// 1 for the first line of the file.
    pub number: u64,
    /// The line without its end of line.
    pub text: &'a [u8],
}

impl Batch {
    /// The lines, in the order of each file; files take turns.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let text = &self.text[start..entry.end];
            start = entry.end;
            Line { path: &entry.path, number: entry.number, text }
        })
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there was nothing to hand out.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn push(&mut self, path: &Arc<Path>, number: u64, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.entries.push(Entry { path: Arc::clone(path), number, end: self.text.len() });
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
    }
}
