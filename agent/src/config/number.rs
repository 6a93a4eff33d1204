//! Scalars as numbers and booleans, read as stock's YAML library reads them.

/// A whole number: decimal, `0x` hexadecimal or octal with a leading `0`.
pub(super) fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    // The sign was taken off; `from_str_radix` would accept a second one.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

/// A finite decimal number.
pub(super) fn float(text: &str) -> Option<f64> {
    // Rust would also read `inf` and `nan`, which are words here.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A boolean of YAML 1.1, in lower, UPPER or Capitalised form.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            Some(true)
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            Some(false)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_integer(text: &str, expected: Option<i128>) {
        assert_eq!(integer(text), expected);
    }

    #[track_caller]
    fn check_float(text: &str, expected: Option<f64>) {
        assert_eq!(float(text), expected);
    }

    #[track_caller]
    fn check_boolean(text: &str, expected: Option<bool>) {
        assert_eq!(boolean(text), expected);
    }

    #[test]
    fn integers_have_three_notations() {
        check_integer("8765", Some(8765));
        check_integer("-1", Some(-1));
        check_integer("+1", Some(1));
        check_integer("0", Some(0));
        check_integer("0123", Some(83));
        check_integer("0x1F", Some(31));
        check_integer("18446744073709551615", Some(u64::MAX.into()));
        check_integer("--1", None);
        check_integer("0x-1", None);
        check_integer("08", None);
        check_integer("1.0", None);
        check_integer("1_000", None);
        check_integer("", None);
    }

    #[test]
    fn floats_are_finite() {
        check_float(".1", Some(0.1));
        check_float("-1", Some(-1.0));
        check_float("1e3", Some(1000.0));
        check_float("1e999", None);
        check_float("inf", None);
        check_float("-inf", None);
        check_float("nan", None);
        check_float("", None);
    }

    #[test]
    fn booleans_have_four_pairs_of_names() {
        for text in ["true", "True", "TRUE", "yes", "on", "y", "Y"] {
            check_boolean(text, Some(true));
        }
        for text in ["false", "False", "FALSE", "no", "Off", "n"] {
            check_boolean(text, Some(false));
        }
        for text in ["tRUE", "maybe", "1", "0", "", "é"] {
            check_boolean(text, None);
        }
    }
}
