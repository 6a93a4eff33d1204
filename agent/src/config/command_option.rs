//! `-o key=value`: one setting from the command line.

use std::sync::Arc;

use super::finding::Findings;
use super::source::{Position, Source};
use super::tree::{self, Entry, Node, Scalar, Value};

/// Name under which options appear in messages.
const SOURCE_NAME: &str = "-o";

/// Writes one option into the tree. `root` is a map.
pub(super) fn apply(root: &mut Node, option: &str, findings: &mut Findings) {
    let source = Arc::new(Source { name: SOURCE_NAME.to_string(), text: option.to_string() });
    let Some((key, text)) = option.split_once('=') else {
        let message = format!(
            "Error parsing config option \"{option}\". Must be of the form key=val or key.subkey=val"
        );
        findings.problem(message, None);
        return;
    };
    let key_position = Position { source: source.clone(), span: 0..key.len() };
    let steps = match parse_key(key) {
        Ok(steps) => steps,
        Err(reason) => {
            let message = format!("Config error at key \"{key}\": Parsing error: {reason}");
            return findings.problem(message, Some(&key_position));
        }
    };
    let Some(value) = parse_value(&source, key.len() + 1, text, findings) else { return };
    let target = steps.into_iter().try_fold(root, |node, step| descend(node, step, &key_position));
    match target {
        Ok(target) => *target = value,
        Err(reason) => {
            let message = format!("Config error at key \"{key}\": {reason}");
            findings.problem(message, Some(&key_position));
        }
    }
}

/// One step on the way from the root to the setting.
#[derive(Debug, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
    Append,
}

/// Names joined by `.`, each optionally followed by `[N]` or `[]`; `\` before `.`, `[`, `]` or `\`
/// takes its meaning away.
fn parse_key(key: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut name = String::new();
    let mut characters = key.chars().peekable();
    loop {
        match characters.next() {
            Some('\\') => match characters.next() {
                Some(escaped @ ('.' | '[' | ']' | '\\')) => name.push(escaped),
                Some(other) => return Err(format!("`\\{other}` is no escape")),
                None => return Err("a backslash at the end".to_string()),
            },
            Some(']') => return Err("`]` without `[`".to_string()),
            next @ (None | Some('.' | '[')) => {
                if name.is_empty() {
                    return Err("a name is empty".to_string());
                }
                steps.push(Step::Name(std::mem::take(&mut name)));
                let mut next = next;
                while next == Some('[') {
                    steps.push(parse_index(&mut characters)?);
                    next = characters.next();
                }
                match next {
                    None => return Ok(steps),
                    Some('.') => {}
                    Some(_) => return Err("expected `.` or `[` after `]`".to_string()),
                }
            }
            Some(other) => name.push(other),
        }
    }
}

/// Reads `N]` or `]`.
fn parse_index(characters: &mut impl Iterator<Item = char>) -> Result<Step, String> {
    let mut digits = String::new();
    loop {
        match characters.next() {
            Some(']') if digits.is_empty() => return Ok(Step::Append),
            Some(']') => {
                let index = digits.parse().map_err(|_| format!("`{digits}` is no index"))?;
                return Ok(Step::Index(index));
            }
            Some(character) => digits.push(character),
            None => return Err("`[` without `]`".to_string()),
        }
    }
}

/// `{..}` is a map, `[..]` a list, anything else a scalar.
fn parse_value(
    source: &Arc<Source>,
    start: usize,
    text: &str,
    findings: &mut Findings,
) -> Option<Node> {
    let is_map = text.starts_with('{') && text.ends_with('}');
    let is_list = text.starts_with('[') && text.ends_with(']');
    if is_map || is_list {
        return tree::parse(source, start, findings);
    }
    let scalar = Scalar { text: text.to_string(), quoted: false };
    let position = Position { source: source.clone(), span: start..start + text.len() };
    Some(Node { value: Value::Scalar(scalar), position })
}

/// Goes one step down and creates what is missing.
fn descend<'n>(
    node: &'n mut Node,
    step: Step,
    position: &Position,
) -> Result<&'n mut Node, String> {
    let new_node = || Node { value: Value::Null, position: position.clone() };
    match step {
        Step::Name(key) => {
            // A list gives way to a map: `append_output.suggested_output=false` is in wide use.
            if matches!(node.value, Value::Null | Value::List(_)) {
                *node = Node { value: Value::Map(Vec::new()), position: position.clone() };
            }
            let description = node.description();
            let Value::Map(entries) = &mut node.value else {
                return Err(format!("`{key}` is looked for in the single value {description}"));
            };
            let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
                let key_position = position.clone();
                entries.push(Entry { key, key_position, value: new_node() });
                entries.len() - 1
            });
            Ok(&mut entries[index].value)
        }
        Step::Index(_) | Step::Append => {
            match node.value {
                Value::Null => node.value = Value::List(Vec::new()),
                // A list of one item may be written without brackets.
                Value::Scalar(_) => node.value = Value::List(vec![node.clone()]),
                Value::List(_) | Value::Map(_) => {}
            }
            let Value::List(items) = &mut node.value else {
                return Err("the value is a map, not a list".to_string());
            };
            let index = match step {
                Step::Index(index) if index > items.len() => {
                    return Err(format!(
                        "the list has {} items, so the next one is [{0}]",
                        items.len()
                    ));
                }
                Step::Index(index) => index,
                _ => items.len(),
            };
            if index == items.len() {
                items.push(new_node());
            }
            Ok(&mut items[index])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, expected: &[Step]) {
        assert_eq!(parse_key(key).as_deref(), Ok(expected));
    }

    #[track_caller]
    fn check_error(key: &str, expected: &str) {
        assert_eq!(parse_key(key), Err(expected.to_string()));
    }

    fn name(text: &str) -> Step {
        Step::Name(text.to_string())
    }

    /// C19
    #[test]
    fn keys_are_names_and_indices() {
        check("json_output", &[name("json_output")]);
        check("engine.kind", &[name("engine"), name("kind")]);
        check("load_plugins[0]", &[name("load_plugins"), Step::Index(0)]);
        check("rules[].disable.tag", &[name("rules"), Step::Append, name("disable"), name("tag")]);
        check("a[1][].b", &[name("a"), Step::Index(1), Step::Append, name("b")]);
        check(r"a.kubernetes\.io/role", &[name("a"), name("kubernetes.io/role")]);
        check(r"a\[0\]\\", &[name(r"a[0]\")]);
        check("a b.ü", &[name("a b"), name("ü")]);
    }

    /// C20
    #[test]
    fn malformed_keys_are_refused() {
        check_error("", "a name is empty");
        check_error("a..b", "a name is empty");
        check_error("a.", "a name is empty");
        check_error("[0]", "a name is empty");
        check_error("a\\", "a backslash at the end");
        check_error(r"a\x", r"`\x` is no escape");
        check_error("a[x]", "`x` is no index");
        check_error("a[1", "`[` without `]`");
        check_error("a]", "`]` without `[`");
        check_error("a[0]b", "expected `.` or `[` after `]`");
    }
}
