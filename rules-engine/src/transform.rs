//! What every transformer makes of the values it is applied to.
//!
//! Where stock Falco goes wrong (transformed lists, lists of numbers under `join`, the length of
//! several `getopt` results), these do what its documentation promises.

use crate::condition::ast::Transformer;
use crate::field::Value;
use crate::output::write_value;
use crate::program::ValueStore;

/// A transformer, as far as its result does not depend on its arguments' values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Transform {
    pub(crate) transformer: Transformer,
    /// The option letter of `getopt(…)[x]`.
    pub(crate) option: Option<u8>,
    /// Whether the first argument is a list, which `len` counts.
    pub(crate) takes_list: bool,
}

impl Transform {
    /// Puts the transformer's result into `output`; `None` is a missing value.
    ///
    /// `argument(i)` yields the values of the i-th of `count` arguments. None of them is missing.
    pub(crate) fn apply<'a, I>(
        self,
        count: usize,
        argument: impl Fn(usize) -> I,
        output: &mut ValueStore,
    ) -> Option<()>
    where
        I: ExactSizeIterator<Item = Value<'a>>,
    {
        let first = argument(0);
        match self.transformer {
            Transformer::ToLower => map_texts(first, output, |text, result| {
                result.extend(text.iter().map(u8::to_ascii_lowercase));
                Some(())
            }),
            Transformer::ToUpper => map_texts(first, output, |text, result| {
                result.extend(text.iter().map(u8::to_ascii_uppercase));
                Some(())
            }),
            Transformer::Basename => map_texts(first, output, |text, result| {
                let start = memchr::memrchr(b'/', text).map_or(0, |slash| slash + 1);
                result.extend_from_slice(&text[start..]);
                Some(())
            }),
            Transformer::B64 => map_texts(first, output, decode_base64),
            Transformer::Len => {
                let length = match self.takes_list {
                    true => first.len(),
                    false => first.map(text_of).map(<[u8]>::len).sum(),
                };
                output.push_number(length as u64);
                Some(())
            }
            Transformer::Concat => output.push_string_with(|result| {
                (0..count).flat_map(argument).for_each(|value| write_value(value, result));
                Some(())
            }),
            Transformer::Join => output.push_string_with(|result| {
                for (position, value) in argument(1).enumerate() {
                    if position > 0 {
                        argument(0).for_each(|separator| write_value(separator, result));
                    }
                    write_value(value, result);
                }
                Some(())
            }),
            Transformer::Getopt => {
                let known = argument(1).next().map_or(&b""[..], text_of);
                getopt(first.map(text_of), known, self.option, output)
            }
        }
    }
}

fn text_of(value: Value<'_>) -> &[u8] {
    match value {
        Value::String(text) => text,
        Value::Number(_) | Value::Bool(_) | Value::Address(_) => b"",
    }
}

/// Transforms value by value; one that fails makes the whole result missing.
fn map_texts<'a>(
    values: impl Iterator<Item = Value<'a>>,
    output: &mut ValueStore,
    transform: impl Fn(&[u8], &mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    for value in values {
        output.push_string_with(|result| transform(text_of(value), result))?;
    }
    Some(())
}

/// Decodes the standard alphabet, padded or not; the spare bits of a partial group must be zero.
fn decode_base64(text: &[u8], result: &mut Vec<u8>) -> Option<()> {
    let digits = match text {
        [digits @ .., b'=', b'='] if text.len().is_multiple_of(4) => digits,
        [digits @ .., b'='] if text.len().is_multiple_of(4) => digits,
        digits => digits,
    };
    for group in digits.chunks(4) {
        let mut bits = 0;
        for &digit in group {
            bits = bits << 6 | base64_digit(digit)?;
        }
        bits <<= 6 * (4 - group.len());
        let bytes = match group.len() {
            4 => 3,
            3 if bits & 0xFF == 0 => 2,
            2 if bits & 0xFFFF == 0 => 1,
            _ => return None,
        };
        result.extend_from_slice(&bits.to_be_bytes()[1..=bytes]);
    }
    Some(())
}

fn base64_digit(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// Walks command line options: all letters and values, or what belongs to the `wanted` letter.
fn getopt<'a>(
    mut tokens: impl Iterator<Item = &'a [u8]>,
    known: &[u8],
    wanted: Option<u8>,
    output: &mut ValueStore,
) -> Option<()> {
    let mut found = None;
    while let Some(token) = tokens.next() {
        if token.starts_with(b"--") && token.len() > 2 {
            continue;
        }
        let mut letters = match token {
            b"--" => break,
            [b'-', letters @ ..] if !letters.is_empty() => letters,
            _ => break,
        };
        while let [letter, rest @ ..] = letters {
            let (flag, value) = match option_kind(*letter, known) {
                OptionKind::Unknown => (Some(&b"?"[..]), None),
                OptionKind::Flag => (Some(&letters[..1]), None),
                OptionKind::Valued if !rest.is_empty() => (Some(&letters[..1]), Some(rest)),
                OptionKind::Valued => match tokens.next() {
                    Some(value) => (Some(&letters[..1]), Some(value)),
                    None => (None, Some(&b""[..])),
                },
            };
            match wanted {
                Some(wanted) if wanted == *letter => found = value.or(flag),
                Some(_) => {}
                None => flag.into_iter().chain(value).for_each(|text| output.push_string(text)),
            }
            letters = if value.is_some() { b"" } else { rest };
        }
    }
    if wanted.is_some() {
        output.push_string(found?);
    }
    Some(())
}

enum OptionKind {
    Unknown,
    Flag,
    Valued,
}

fn option_kind(letter: u8, known: &[u8]) -> OptionKind {
    match known.iter().position(|&option| option == letter && letter != b':') {
        None => OptionKind::Unknown,
        Some(position) if known.get(position + 1) == Some(&b':') => OptionKind::Valued,
        Some(_) => OptionKind::Flag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(
        transformer: Transformer,
        option: Option<u8>,
        arguments: &[&[Value<'_>]],
        takes_list: bool,
    ) -> Option<Vec<String>> {
        let mut output = ValueStore::default();
        let transform = Transform { transformer, option, takes_list };
        transform.apply(arguments.len(), |i| arguments[i].iter().copied(), &mut output)?;
        let shown = output.all().map(|value| {
            let mut text = Vec::new();
            write_value(value, &mut text);
            String::from_utf8(text).unwrap()
        });
        Some(shown.collect())
    }

    fn check_text(transformer: Transformer, text: &str, expected: Option<&str>) {
        let found = apply(transformer, None, &[&[Value::String(text.as_bytes())]], false);
        assert_eq!(found, expected.map(|text| vec![text.to_owned()]), "{transformer:?}({text:?})");
    }

    fn check_getopt(tokens: &str, known: &str, option: Option<char>, expected: Option<&str>) {
        let tokens: Vec<_> =
            tokens.split(' ').map(|token| Value::String(token.as_bytes())).collect();
        let arguments: [&[Value<'_>]; 2] = [&tokens, &[Value::String(known.as_bytes())]];
        let found = apply(Transformer::Getopt, option.map(|letter| letter as u8), &arguments, true);
        let found = found.map(|values| values.join(","));
        assert_eq!(found.as_deref(), expected, "getopt({tokens:?}, {known}) {option:?}");
    }

    #[test]
    fn texts_are_transformed_byte_by_byte() {
        check_text(Transformer::ToLower, "ABC Ü", Some("abc Ü"));
        check_text(Transformer::ToUpper, "abc ü", Some("ABC ü"));
        check_text(Transformer::Basename, "/var//log/x.log", Some("x.log"));
        check_text(Transformer::Basename, "/a/b/", Some(""));
        check_text(Transformer::Basename, "plain", Some("plain"));
        check_text(Transformer::Len, "Ü", Some("2"));
    }

    #[test]
    fn base64_is_padded_or_not_but_never_sloppy() {
        check_text(Transformer::B64, "aGVsbG8=", Some("hello"));
        check_text(Transformer::B64, "aGVsbG8", Some("hello"));
        check_text(Transformer::B64, "YQ==", Some("a"));
        check_text(Transformer::B64, "YWJj", Some("abc"));
        check_text(Transformer::B64, "", Some(""));
        check_text(Transformer::B64, "aGVsbG9=", None);
        check_text(Transformer::B64, "YQ=", None);
        check_text(Transformer::B64, "Y", None);
        check_text(Transformer::B64, "!!", None);
        check_text(Transformer::B64, "aGVs bG8=", None);
    }

    #[test]
    fn lists_are_counted_joined_and_mapped() {
        let words: &[Value<'_>] = &[Value::String(b"a"), Value::String(b"B")];
        let mixed: &[Value<'_>] = &[Value::String(b"x"), Value::Number(42), Value::Bool(true)];
        let dash: &[Value<'_>] = &[Value::String(b"-")];
        let texts = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(apply(Transformer::Len, None, &[words], true), texts(&["2"]));
        assert_eq!(apply(Transformer::ToUpper, None, &[words], true), texts(&["A", "B"]));
        assert_eq!(apply(Transformer::Join, None, &[dash, mixed], false), texts(&["x-42-true"]));
        assert_eq!(apply(Transformer::Join, None, &[dash, &[]], false), texts(&[""]));
        assert_eq!(apply(Transformer::Concat, None, &[dash, dash, dash], false), texts(&["---"]));
        assert_eq!(apply(Transformer::B64, None, &[words], true), None);
    }

    #[test]
    fn options_are_read_as_getopt_reads_them() {
        check_getopt("-n -t val", "nt:", None, Some("n,t,val"));
        check_getopt("-n -t val", "nt:", Some('t'), Some("val"));
        check_getopt("-n -t val", "nt:", Some('n'), Some("n"));
        check_getopt("-ntval", "nt:", None, Some("n,t,val"));
        check_getopt("-x -n", "n", None, Some("?,n"));
        check_getopt("-t", "t:", Some('t'), Some(""));
        check_getopt("-n -t", "nt:", None, Some("n,"));
        check_getopt("-t a -t b", "t:", Some('t'), Some("b"));
        check_getopt("--long -n", "n", None, Some("n"));
        check_getopt("-n -- -n", "n", None, Some("n"));
        check_getopt("arg -n", "n", None, Some(""));
        check_getopt("- -n", "n", Some('n'), None);
        check_getopt("-n", ":n", None, Some("n"));
        check_getopt("-:", "n:", None, Some("?"));
    }
}
