//! How a scalar's text becomes a value.

/// Reads a truth value: all lower, all upper or capitalised, quoted or not.
///
/// Source: `convert<bool>` of yaml-cpp 0.8.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    const WORDS: [(&str, &str); 4] = [("y", "n"), ("yes", "no"), ("true", "false"), ("on", "off")];
    let lower = text.to_ascii_lowercase();
    let is_uniform = text == lower
        || text == text.to_ascii_uppercase()
        || text.get(1..).is_some_and(|rest| rest == rest.to_ascii_lowercase());
    WORDS.iter().filter(|_| is_uniform).find_map(|(yes, no)| match () {
        () if lower == *yes => Some(true),
        () if lower == *no => Some(false),
        () => None,
    })
}

/// Reads an unsigned number with the base of its prefix: `0x10` is 16, `010` is 8.
///
/// Source: a C++ stream without a fixed base, as yaml-cpp 0.8 uses it.
pub(crate) fn parse_u32(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text.strip_prefix('+').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    match (hex, digits.strip_prefix('0')) {
        (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
        (None, Some(octal)) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        _ => digits.parse().ok(),
    }
}

/// Reads `x.y.z` from the front; what follows does not count, so `0.50.0-rc1` is 0.50.0.
///
/// Source: `sinsp_version` in libs.
pub(crate) fn parse_version(text: &str) -> Option<[u32; 3]> {
    let mut rest = text;
    let mut parts = [0; 3];
    for (index, part) in parts.iter_mut().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('.')?;
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        *part = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_values() {
        for text in ["y", "Y", "yes", "Yes", "YES", "true", "On"] {
            assert_eq!(parse_bool(text), Some(true), "{text}");
        }
        for text in ["n", "No", "FALSE", "off"] {
            assert_eq!(parse_bool(text), Some(false), "{text}");
        }
        for text in ["", "0", "1", "yEs", "maybe", "é"] {
            assert_eq!(parse_bool(text), None, "{text}");
        }
    }

    #[test]
    fn numbers() {
        #[track_caller]
        fn check(text: &str, expected: Option<u32>) {
            assert_eq!(parse_u32(text), expected, "{text}");
        }
        check("0", Some(0));
        check("63", Some(63));
        check("0x10", Some(16));
        check("010", Some(8));
        check("4294967295", Some(u32::MAX));
        check("4294967296", None);
        check("-1", None);
        check("1 2", None);
        check("0.63.0", None);
        check("", None);
    }

    #[test]
    fn versions() {
        #[track_caller]
        fn check(text: &str, expected: Option<[u32; 3]>) {
            assert_eq!(parse_version(text), expected, "{text}");
        }
        check("0.63.0", Some([0, 63, 0]));
        check("0.50.0-rc1", Some([0, 50, 0]));
        check("0.50", None);
        check("abc", None);
        check("99999999999.0.0", None);
    }
}
