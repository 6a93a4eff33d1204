//! One layout for rules files. Comments stay, and so does what the file says.
//!
//! It works on lines, because what a YAML writer would make of a parsed file has no comments any more. To be sure,
//! both texts are parsed in the end and must say the same.

use std::fmt::Write;
use std::sync::Arc;

use crate::document::{Node, parse};
use crate::text::RulesText;

/// The order of an item's keys; others keep theirs, behind these.
const KEY_ORDER: [&str; 18] = [
    "rule",
    "macro",
    "list",
    "required_engine_version",
    "required_plugin_versions",
    "desc",
    "condition",
    "items",
    "exceptions",
    "output",
    "priority",
    "source",
    "tags",
    "enabled",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "append",
    "override",
];

/// Why a file is not formatted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum FormatError {
    #[error("line {line}: {message}")]
    Syntax { line: usize, message: String },
    #[error("its layout is not understood, so it is left as it is")]
    NotUnderstood,
}

/// Lays out a rules file: items at the left edge with an empty line between them, keys in one order and two blanks in,
/// lists in brackets with one blank after each comma, no blanks at the ends of lines.
///
/// # Errors
///
/// When the text is no YAML, or laid out so unusually that its meaning might change.
pub fn format(text: &str) -> Result<String, FormatError> {
    let before = meaning(text)?;
    let lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    let mut formatted = String::new();
    for section in sections(&lines) {
        if !formatted.is_empty() {
            formatted.push('\n');
        }
        for line in section {
            formatted += &line;
            formatted.push('\n');
        }
    }
    match meaning(&formatted) {
        Ok(after) if after == before => Ok(formatted),
        _ => Err(FormatError::NotUnderstood),
    }
}

/// Everything that a file says, in a form that layout does not change.
fn meaning(text: &str) -> Result<String, FormatError> {
    let file = Arc::new(RulesText::new("", text.as_bytes()));
    let documents = parse(&file).map_err(|error| FormatError::Syntax {
        line: file.line_column(error.offset.min(file.content().len())).0 + 1,
        message: error.message,
    })?;
    let mut meaning = String::new();
    for root in documents.roots() {
        write_meaning(root, &mut meaning);
        meaning.push('\n');
    }
    Ok(meaning)
}

fn write_meaning(node: Node<'_>, meaning: &mut String) {
    if let Some(text) = node.scalar() {
        // Where a folded text is broken does not count.
        let words: Vec<&str> = text.split_whitespace().collect();
        write!(meaning, "{:?}", words.join(" ")).expect("writing to memory does not fail");
    } else if let Some(elements) = node.elements() {
        meaning.push('[');
        elements.for_each(|element| {
            write_meaning(element, meaning);
            meaning.push(',');
        });
        meaning.push(']');
    } else if node.is_mapping() {
        let mut members: Vec<(&str, String)> = node
            .members()
            .map(|(key, value)| {
                let mut text = String::new();
                write_meaning(value, &mut text);
                (key.scalar().unwrap_or_default(), text)
            })
            .collect();
        // Of equal keys the first counts, so their order is kept.
        members.sort_by_key(|(key, _)| *key);
        write!(meaning, "{members:?}").expect("writing to memory does not fail");
    } else {
        meaning.push('~');
    }
}

/// Comments that stand alone, and items with the comments above them; an empty line goes between two of these.
fn sections(lines: &[String]) -> Vec<Vec<String>> {
    let mut sections = Vec::new();
    let mut comments: Vec<String> = Vec::new();
    let mut position = 0;
    while position < lines.len() {
        let line = &lines[position];
        if line.is_empty() {
            if !comments.is_empty() {
                sections.push(std::mem::take(&mut comments));
            }
            position += 1;
        } else if is_item(line) {
            let end = item_end(lines, position);
            let mut section = std::mem::take(&mut comments);
            section.extend(item(&lines[position..end]));
            sections.push(section);
            position = end;
        } else {
            let is_comment = line.trim_start().starts_with('#');
            comments.push(if is_comment { line.trim_start().to_owned() } else { line.clone() });
            position += 1;
        }
    }
    if !comments.is_empty() {
        sections.push(comments);
    }
    sections
}

fn is_item(line: &str) -> bool {
    line.trim_start().starts_with("- ")
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Where the item that begins at `start` ends: before comments and empty lines that do not belong to it.
///
/// A comment at the edge belongs to the item if more of the item follows.
fn item_end(lines: &[String], start: usize) -> usize {
    let edge = indent(&lines[start]);
    let mut end = start + 1;
    let mut is_left = false;
    for (position, line) in lines.iter().enumerate().skip(start + 1) {
        let is_comment = line.trim_start().starts_with('#');
        if line.is_empty() || is_left && is_comment {
            continue;
        }
        if indent(line) > edge {
            end = position + 1;
            is_left = false;
        } else if is_comment {
            is_left = true;
        } else {
            break;
        }
    }
    end
}

/// An item with its keys in order.
fn item(lines: &[String]) -> Vec<String> {
    let edge = indent(&lines[0]);
    let keys_at = edge + 1 + indent(&lines[0][edge + 1..]);
    // The dash becomes a blank: then the first key is like any other.
    let mut all = lines.to_vec();
    all[0] = format!("{}{}", " ".repeat(keys_at), &lines[0][keys_at..]);
    let is_key = |line: &String| indent(line) == keys_at && !line.is_empty() && key(line).is_some();
    let mut blocks: Vec<(usize, Vec<String>)> = Vec::new();
    let mut comments = Vec::new();
    for line in &all {
        if is_key(line) {
            let name = key(line).unwrap_or_default();
            let order = KEY_ORDER.iter().position(|known| *known == name);
            let mut block = std::mem::take(&mut comments);
            block.push(line.clone());
            blocks.push((order.unwrap_or(KEY_ORDER.len()), block));
        } else if indent(line) <= keys_at && line.trim_start().starts_with('#') {
            comments.push(line.clone());
        } else {
            // What comments came before belongs to the text they stand in.
            match blocks.last_mut() {
                Some((_, block)) => {
                    block.append(&mut comments);
                    block.push(line.clone());
                }
                None => comments.push(line.clone()),
            }
        }
    }
    if let Some((_, block)) = blocks.last_mut() {
        block.append(&mut comments);
    }
    blocks.sort_by_key(|(order, _)| *order);
    let ordered = blocks.into_iter().flat_map(|(_, block)| block);
    let mut formatted: Vec<String> = ordered.map(|line| moved(&line, keys_at)).collect();
    if formatted.iter().any(|line| line.starts_with('#'))
        && formatted[0].trim_start().starts_with('#')
    {
        // A comment stands above the item, not behind its dash.
        let comments =
            formatted.iter().take_while(|line| line.trim_start().starts_with('#')).count();
        formatted[..comments].iter_mut().for_each(|line| *line = line.trim_start().to_owned());
        formatted[comments].replace_range(..1, "-");
    } else if let Some(first) = formatted.first_mut() {
        let is_comment = first.trim_start().starts_with('#');
        if !is_comment && first.len() > 1 {
            first.replace_range(..1, "-");
        }
    }
    formatted
}

/// The key at the start of a line.
fn key(line: &str) -> Option<&str> {
    let (name, rest) = line.trim_start().split_once(':')?;
    let is_name =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    (is_name && (rest.is_empty() || rest.starts_with(' '))).then_some(name)
}

/// A line of an item, moved so that the item's keys are two blanks in.
fn moved(line: &str, keys_at: usize) -> String {
    let text = line.trim_start_matches(' ');
    if text.is_empty() {
        return String::new();
    }
    let depth = indent(line).saturating_sub(keys_at) + 2;
    let text = match key(text) {
        Some(name) if indent(line) == keys_at => {
            let value = text[name.len() + 1..].trim_start();
            match value {
                "" => format!("{name}:"),
                value => format!("{name}: {}", spaced(value)),
            }
        }
        _ => text.to_owned(),
    };
    format!("{}{text}", " ".repeat(depth))
}

/// A list in brackets with one blank after each comma; anything else as it is.
fn spaced(value: &str) -> String {
    let is_list = value.starts_with('[') && value.ends_with(']');
    let inner = value.get(1..value.len().saturating_sub(1)).unwrap_or_default();
    if !is_list || inner.contains(['"', '\'', '[', ']', '{', '}', '#']) {
        return value.to_owned();
    }
    let items: Vec<&str> = inner.split(',').map(str::trim).collect();
    format!("[{}]", items.join(", "))
}
