//! Bytes of a field as text of `output_fields`.

/// Reads bytes as UTF-8. Where they are not, the answer is stock's, so that alerts stay comparable: a byte that
/// begins a sequence takes as many further bytes as it says, whatever they are, and too few or a number that is no
/// character give U+FFFD.
///
/// Source: `utf8ToCodepoint` of jsoncpp 1.9.5, through which stock Falco passes these texts.
pub(super) fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => decode_broken(bytes),
    }
}

fn decode_broken(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    while let Some((&first, rest)) = bytes.split_first() {
        let (more, lowest) = match first {
            0..0x80 => (0, 0),
            0x80..0xE0 => (1, 0x80),
            0xE0..0xF0 => (2, 0x800),
            0xF0..0xF8 => (3, 0x1_0000),
            _ => (0, u32::MAX),
        };
        let Some((sequence, after)) = rest.split_at_checked(more) else {
            text.push(char::REPLACEMENT_CHARACTER);
            bytes = rest;
            continue;
        };
        let head = if more == 0 { first } else { first & (0x3F >> more) };
        let code =
            sequence.iter().fold(u32::from(head), |code, byte| code << 6 | u32::from(byte & 0x3F));
        let character = char::from_u32(code).filter(|_| code >= lowest);
        text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
        bytes = after;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(decode(bytes), expected);
    }

    #[test]
    fn utf_8_stays_as_it_is() {
        check("aé\u{FFFF}😀".as_bytes(), "aé\u{FFFF}😀");
    }

    #[test]
    fn broken_utf_8_reads_as_in_stock() {
        check(b"\xC3(", "\u{E8}");
        check(b"a\xFFb", "a\u{FFFD}b");
        check(b"\xC3", "\u{FFFD}");
        check(b"\xE2\x82", "\u{FFFD}\u{FFFD}");
        check(b"\xC0\xAFx", "\u{FFFD}x");
        check(b"\xED\xA0\x80", "\u{FFFD}");
        check(b"\xF8\x88", "\u{FFFD}\u{FFFD}");
    }
}
