//! What an event carries: the line, and behind it, invisible to JSON parsers, where it stands.
//!
//! Fields may be extracted by another plugin state than the one that read the line, even in another process that
//! replays a capture, so path and number must be in the event itself. The payload must also *be* the line: the `json`
//! plugin, ours or Falco's, parses it from its first byte to its last. What a JSON parser skips at the end is white
//! space, and JSON has four kinds of it: two bits each.
//!
//! ```text
//! line | trailer in white space: path, number (8 bytes), length of the path (2 bytes); 4 characters a byte
//! ```
//!
//! The trailer is read from its end, so the line may hold anything, white space too. It costs 40 bytes and four times
//! the path.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The digits of a byte in base four.
const BLANKS: [u8; 4] = *b" \t\r\n";
const PER_BYTE: usize = 4;
const NUMBER_BYTES: usize = 8;
const LENGTH_BYTES: usize = 2;

/// A line and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<'a> {
    pub(crate) line: &'a [u8],
    /// Path of the file and number of the line; `None` if the payload is not from this plugin.
    pub(crate) place: Option<(Vec<u8>, u64)>,
}

/// Replaces `payload` by that of a line.
pub(crate) fn encode(path: &Path, number: u64, line: &[u8], payload: &mut Vec<u8>) {
    let path = path.as_os_str().as_bytes();
    // No system has longer paths.
    let path = &path[..path.len().min(usize::from(u16::MAX))];
    let length = path.len() as u16;
    payload.clear();
    payload.extend_from_slice(line);
    for byte in path.iter().copied().chain(number.to_be_bytes()).chain(length.to_be_bytes()) {
        payload.extend([6, 4, 2, 0].map(|shift| BLANKS[usize::from(byte >> shift & 3)]));
    }
}

/// Takes a payload apart.
pub(crate) fn decode(payload: &[u8]) -> Located<'_> {
    take_place(payload).unwrap_or(Located { line: payload, place: None })
}

fn take_place(payload: &[u8]) -> Option<Located<'_>> {
    let (rest, length) = take(payload, LENGTH_BYTES)?;
    let length = u16::from_be_bytes(length.try_into().ok()?);
    let (rest, number) = take(rest, NUMBER_BYTES)?;
    let number = u64::from_be_bytes(number.try_into().ok()?);
    let (line, path) = take(rest, length.into())?;
    Some(Located { line, place: Some((path, number)) })
}

/// Splits the last `count` encoded bytes off.
fn take(payload: &[u8], count: usize) -> Option<(&[u8], Vec<u8>)> {
    let (rest, blanks) = payload.split_at_checked(payload.len().checked_sub(count * PER_BYTE)?)?;
    let byte = |digits: &[u8]| {
        digits.iter().try_fold(0, |byte, blank| {
            let digit = BLANKS.iter().position(|other| other == blank)?;
            Some(byte << 2 | digit as u8)
        })
    };
    let bytes = blanks.chunks_exact(PER_BYTE).map(byte).collect::<Option<_>>()?;
    Some((rest, bytes))
}

#[cfg(test)]
mod tests {
    use plugin_support::json::Document;

    use super::*;

    #[track_caller]
    fn check(path: &str, number: u64, line: &[u8]) -> Vec<u8> {
        let mut payload = b"of the line before".to_vec();
        encode(Path::new(path), number, line, &mut payload);
        let place = Some((path.as_bytes().to_vec(), number));
        assert_eq!(decode(&payload), Located { line, place });
        assert!(payload.starts_with(line));
        payload
    }

    #[test]
    fn line_and_place_come_back() {
        check("/var/log/app.log", 1, b"plain text");
        check("/var/log/app.log", u64::MAX, b"");
        check("", 0, b"ends with blanks \t\r\n ");
        check("/\u{4e00} \n", 255, b"\x00\xff\n");
        check(&"/long".repeat(1000), 7, b"x");
    }

    #[test]
    fn json_stays_json() {
        for line in ["{\"a\": [1, 2]}", " {} ", "[]"] {
            let payload = check("/var/log/app.log", 12, line.as_bytes());
            let mut document = Document::default();
            document.parse(&payload).unwrap();
            assert_eq!(document.root().raw(), line.trim().as_bytes());
            serde_json::from_slice::<serde_json::Value>(&payload).unwrap();
        }
    }

    #[test]
    fn other_payloads_are_lines_without_a_place() {
        for payload in ["", "{}", "{}\n", " \t", &" ".repeat(39), &"\n".repeat(60)] {
            assert_eq!(
                decode(payload.as_bytes()),
                Located { line: payload.as_bytes(), place: None }
            );
        }
    }
}
