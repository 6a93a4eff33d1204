//! `glob` and `iglob`: what C's `fnmatch` does without flags, in the C locale.

/// A pattern for a whole value. `*` and `?` match any byte, `/` and a leading dot included.
#[derive(Debug)]
pub(super) struct Glob {
    tokens: Vec<Token>,
    folds_case: bool,
    /// The pattern ends in a backslash or names an unknown character class: it matches nothing.
    is_broken: bool,
}

#[derive(Debug)]
enum Token {
    Byte(u8),
    AnyByte,
    AnyBytes,
    Class(Box<ByteSet>),
}

type ByteSet = [bool; 256];

impl Glob {
    pub(super) fn new(pattern: &[u8]) -> Glob {
        Glob::compile(pattern, false)
    }

    pub(super) fn ignoring_case(pattern: &[u8]) -> Glob {
        Glob::compile(pattern, true)
    }

    fn compile(pattern: &[u8], folds_case: bool) -> Glob {
        let mut glob = Glob { tokens: Vec::new(), folds_case, is_broken: false };
        let mut rest = pattern;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            let token = match byte {
                b'*' => Token::AnyBytes,
                b'?' => Token::AnyByte,
                b'[' => match parse_class(behind, folds_case) {
                    Class::Set(set, behind) => {
                        rest = behind;
                        Token::Class(set)
                    }
                    Class::Unclosed => Token::Byte(b'['),
                    Class::Unknown => return Glob { is_broken: true, ..glob },
                },
                b'\\' => match behind.split_first() {
                    Some((&escaped, behind)) => {
                        rest = behind;
                        Token::Byte(fold(escaped, folds_case))
                    }
                    None => return Glob { is_broken: true, ..glob },
                },
                _ => Token::Byte(fold(byte, folds_case)),
            };
            glob.tokens.push(token);
        }
        glob
    }

    /// Whether the pattern fits the whole value.
    ///
    /// Only the last `*` is ever tried anew: whatever an earlier one could take more, the last one
    /// can take as well. So the steps are at most tokens times bytes.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        if self.is_broken {
            return false;
        }
        let (mut token, mut at) = (0, 0);
        let mut last_star = None;
        loop {
            let fits = match (self.tokens.get(token), value.get(at)) {
                (None, None) => return true,
                (Some(Token::AnyBytes), _) => {
                    last_star = Some((token + 1, at));
                    token += 1;
                    continue;
                }
                (None, Some(_)) | (Some(_), None) => false,
                (Some(Token::AnyByte), Some(_)) => true,
                (Some(Token::Byte(expected)), Some(byte)) => {
                    *expected == fold(*byte, self.folds_case)
                }
                (Some(Token::Class(set)), Some(byte)) => set[usize::from(*byte)],
            };
            if fits {
                token += 1;
                at += 1;
                continue;
            }
            match &mut last_star {
                // The star takes one byte more.
                Some((behind_star, taken)) if *taken < value.len() => {
                    *taken += 1;
                    (token, at) = (*behind_star, *taken);
                }
                _ => return false,
            }
        }
    }
}

enum Class<'p> {
    /// The bytes that it matches, and the pattern behind it.
    Set(Box<ByteSet>, &'p [u8]),
    /// The bracket is an ordinary byte.
    Unclosed,
    /// It names a class such as `[:nothing:]`.
    Unknown,
}

/// Reads what follows `[`.
fn parse_class(pattern: &[u8], folds_case: bool) -> Class<'_> {
    let (is_negated, mut rest) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut set: Box<ByteSet> = Box::new([false; 256]);
    let mut is_first = true;
    loop {
        match rest {
            [] => return Class::Unclosed,
            [b']', behind @ ..] if !is_first => {
                rest = behind;
                break;
            }
            [b'[', b':', behind @ ..] if find(behind, b":]").is_some() => {
                let end = find(behind, b":]").unwrap_or_default();
                let Some(is_member) = named_class(&behind[..end]) else { return Class::Unknown };
                add(&mut set, |byte| is_member(&byte));
                rest = &behind[end + 2..];
            }
            _ => {
                let Some((low, behind)) = parse_member(rest) else { return Class::Unclosed };
                rest = behind;
                let mut high = low;
                if let [b'-', behind @ ..] = rest
                    && !behind.starts_with(b"]")
                {
                    let Some((end, behind)) = parse_member(behind) else { return Class::Unclosed };
                    (high, rest) = (end, behind);
                }
                let range = fold(low, folds_case)..=fold(high, folds_case);
                add(&mut set, |byte| range.contains(&fold(byte, folds_case)));
            }
        }
        is_first = false;
    }
    if is_negated {
        for is_member in set.iter_mut() {
            *is_member = !*is_member;
        }
    }
    Class::Set(set, rest)
}

/// One byte of a class: plain, escaped, or as in `[.-.]` and `[=a=]`.
fn parse_member(pattern: &[u8]) -> Option<(u8, &[u8])> {
    match pattern {
        [b'\\', byte, rest @ ..]
        | [b'[', b'.', byte, b'.', b']', rest @ ..]
        | [b'[', b'=', byte, b'=', b']', rest @ ..] => Some((*byte, rest)),
        [b'\\'] => None,
        [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

fn named_class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

fn add(set: &mut ByteSet, is_member: impl Fn(u8) -> bool) {
    for (byte, slot) in (0..=u8::MAX).zip(set) {
        *slot |= is_member(byte);
    }
}

fn find(pattern: &[u8], end: &[u8]) -> Option<usize> {
    memchr::memmem::find(pattern, end)
}

fn fold(byte: u8, folds_case: bool) -> u8 {
    if folds_case { byte.to_ascii_lowercase() } else { byte }
}
