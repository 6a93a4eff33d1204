//! The line of text that reports show, with a caret line below.

/// How many bytes are shown on each side of the place.
const SIDE: usize = 80;

/// The line that contains an offset, cut where it is long, and a caret below the offset.
///
/// Source: `context::snippet` in Falco's rule loader. An offset past the end moves back to the last
/// character that is no line end.
pub(crate) fn snippet(text: &str, offset: usize) -> String {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return "<No context available>\n".to_owned();
    }
    let mut at = offset;
    if at >= bytes.len() {
        at = bytes.len() - 1;
    }
    while at > 0 && bytes[at] == b'\n' {
        at -= 1;
    }
    let start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |newline| newline + 1);
    let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
    let from = floor_boundary(text, at.saturating_sub(SIDE).max(start));
    let to = floor_boundary(text, (at + SIDE + 1).min(end));
    let mut line = text[from..to].to_owned();
    if from > start {
        line.replace_range(..ceil_boundary(&line, 3), "...");
    }
    if to < end {
        line.replace_range(floor_boundary(&line, line.len().saturating_sub(3)).., "...");
    }
    format!("{line}\n{}^\n", " ".repeat(at - from))
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil_boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, offset: usize, expected: &str) {
        assert_eq!(snippet(text, offset), expected);
    }

    #[test]
    fn the_line_of_the_offset_is_shown() {
        check("one\ntwo\n", 5, "two\n ^\n");
        check("one\ntwo", 99, "two\n  ^\n");
        check("- a:\n\n\n", 7, "- a:\n   ^\n");
        check("", 0, "<No context available>\n");
        check("\n", 0, "\n^\n");
    }

    #[test]
    fn long_lines_are_cut_on_both_sides() {
        let text = "x".repeat(500);
        let expected = format!("...{}...\n{}^\n", "x".repeat(155), " ".repeat(80));
        check(&text, 200, &expected);
        let text = "é".repeat(200);
        let expected = format!("...{}...\n{}^\n", "é".repeat(76), " ".repeat(80));
        check(&text, 200, &expected);
    }
}
