//! Chunks of bytes in, lines out.

/// Cuts a stream of chunks into lines, however the chunks fall.
///
/// A line that has not ended yet is kept for the next chunk. A line over the limit is not kept: its
/// bytes are counted and thrown away up to its line feed, and the next line is whole again.
#[derive(Debug)]
pub struct LineSplitter {
    limit: usize,
    unfinished: Vec<u8>,
    /// Bytes of the current line already thrown away; 0 while the line is within the limit.
    discarded: usize,
}

/// One line that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split<'a> {
    /// The line, without its line feed and a carriage return before that.
    Line(&'a [u8]),
    /// A line over the limit, of which only the length is known.
    TooLong {
        /// Length in bytes, without the line feed.
        length: usize,
    },
}

impl LineSplitter {
    /// Makes a splitter for lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, unfinished: Vec::new(), discarded: 0 }
    }

    /// Calls `each` for every line that ends in `chunk`.
    pub fn push(&mut self, mut chunk: &[u8], mut each: impl FnMut(Split<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            let (head, rest) = chunk.split_at(end);
            chunk = &rest[1..];
            if self.unfinished.is_empty() && self.discarded == 0 && head.len() <= self.limit {
                each(Split::Line(without_carriage_return(head)));
            } else {
                self.keep(head);
                self.end_line(&mut each);
            }
        }
        self.keep(chunk);
    }

    /// Ends the stream: what is left without a line feed is a line, too.
    pub fn finish(&mut self, mut each: impl FnMut(Split<'_>)) {
        if self.pending() > 0 {
            self.end_line(&mut each);
        }
    }

    /// Forgets the line that has not ended.
    pub fn reset(&mut self) {
        self.unfinished.clear();
        self.discarded = 0;
    }

    /// Bytes seen of the line that has not ended.
    pub fn pending(&self) -> usize {
        self.unfinished.len() + self.discarded
    }

    fn keep(&mut self, part: &[u8]) {
        if self.pending() + part.len() > self.limit {
            self.discarded = self.pending() + part.len();
            self.unfinished.clear();
        } else {
            self.unfinished.extend_from_slice(part);
        }
    }

    fn end_line(&mut self, each: &mut impl FnMut(Split<'_>)) {
        if self.discarded > 0 {
            each(Split::TooLong { length: self.discarded });
        } else {
            each(Split::Line(without_carriage_return(&self.unfinished)));
        }
        self.reset();
    }
}

fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` shows lines separated by `|`, a line over the limit of 5 as its length in `<>`.
    #[track_caller]
    fn check(chunks: &[&str], expected: &str) {
        let mut splitter = LineSplitter::new(5);
        let mut found = Vec::new();
        let mut each = |split: Split<'_>| {
            found.push(match split {
                Split::Line(text) => String::from_utf8_lossy(text).into_owned(),
                Split::TooLong { length } => format!("<{length}>"),
            });
        };
        for chunk in chunks {
            splitter.push(chunk.as_bytes(), &mut each);
        }
        splitter.finish(&mut each);
        assert_eq!(found.join("|"), expected);
    }

    #[test]
    fn lines_end_at_line_feeds_wherever_chunks_end() {
        check(&["a\nb\n"], "a|b");
        check(&["a", "b\nc", "\n"], "ab|c");
        check(&["a\r\nb\r", "\n"], "a|b");
        check(&["\n\n"], "|");
        check(&["", "a\n"], "a");
    }

    #[test]
    fn the_last_line_needs_no_line_feed_at_the_end_of_the_stream() {
        check(&["a\nb"], "a|b");
        check(&["a\n"], "a");
        check(&[], "");
    }

    #[test]
    fn a_long_line_costs_only_itself() {
        check(&["12345\nb\n"], "12345|b");
        check(&["123456\nb\n"], "<6>|b");
        check(&["123", "456", "789\nb\n"], "<9>|b");
        check(&["123", "45\n"], "12345");
        check(&["a\n1234567"], "a|<7>");
    }
}
