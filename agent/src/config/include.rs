//! `config_files`: further files, merged into the main one root key by root key.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::expand::{Environment, expand_tree};
use super::finding::Findings;
use super::schema::{KnownKey, Shape};
use super::source::{Position, Source};
use super::tree::{self, Entry, Node, Value};

/// What happens to a root key that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Lists grow, anything else is replaced.
    Append,
    /// The new value replaces the old one.
    Override,
    /// The old value stays.
    AddOnly,
}

/// What `config_files` may be.
pub(super) fn shape() -> Shape {
    let key = |name, shape, is_required| KnownKey { name, shape, is_required };
    let item = Shape::Section(vec![
        key("path", Shape::Scalar, true),
        key("strategy", Shape::word(&["append", "override", "add-only"]), false),
    ]);
    Shape::OneOrMore(Box::new(Shape::Either(vec![Shape::Scalar, item])))
}

/// Reads a file and expands its variables; the root of the tree is a map.
pub(super) fn read_file(
    path: &Path,
    environment: Environment<'_>,
    findings: &mut Findings,
) -> Option<(Arc<Source>, Node)> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            findings.problem(format!("cannot read config file {}: {error}", path.display()), None);
            return None;
        }
    };
    let source = Arc::new(Source { name: path.display().to_string(), text });
    let mut root = tree::parse(&source, 0, findings)?;
    expand_tree(&mut root, environment, findings);
    if root.is_null() {
        root.value = Value::Map(Vec::new());
    }
    if !matches!(root.value, Value::Map(_)) {
        let message = format!("expected a map of settings, found {}", root.description());
        findings.problem(message, Some(&root.position));
        return None;
    }
    Some((source, root))
}

/// Merges every file that `config_files` of `root` names, in order; returns what was read.
///
/// Relative paths start at the working directory, not at the main file: so does stock.
pub(super) fn merge_config_files(
    root: &mut Node,
    main: &Path,
    environment: Environment<'_>,
    findings: &mut Findings,
) -> Vec<Arc<Source>> {
    let mut sources = Vec::new();
    for (path, (strategy, position)) in config_files(root, findings) {
        if path == main {
            let message = format!(
                "Config error: 'config_files' directive tried to recursively include main config \
                 file: {}.",
                path.display()
            );
            findings.problem(message, Some(&position));
            continue;
        }
        for file in files_at(&path) {
            let Some((source, included)) = read_file(&file, environment, findings) else {
                continue;
            };
            if let Some(nested) = entry(&included, "config_files") {
                let message = format!(
                    "Config error: 'config_files' directive in included config file {}.",
                    file.display()
                );
                findings.problem(message, Some(&nested.key_position));
            }
            merge(root, included, strategy);
            sources.push(source);
        }
    }
    sources
}

/// What `config_files` names, how to merge it, and where that is written.
pub(super) fn config_files(
    root: &Node,
    findings: &mut Findings,
) -> Vec<(PathBuf, (Strategy, Position))> {
    let Some(config_files) = entry(root, "config_files") else { return Vec::new() };
    let items = match &config_files.value.value {
        Value::Null => &[],
        Value::List(items) => items.as_slice(),
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(&config_files.value),
    };
    let read = |item: &Node| {
        let (path, strategy) = read_item(item, findings)?;
        Some((path, (strategy, item.position.clone())))
    };
    items.iter().filter_map(read).collect()
}

/// A path, or a map of `path` and `strategy`.
fn read_item(item: &Node, findings: &mut Findings) -> Option<(PathBuf, Strategy)> {
    let text = |node: &Node| match &node.value {
        Value::Scalar(scalar) => Some(scalar.text.clone()),
        _ => None,
    };
    if let Some(path) = text(item) {
        return Some((path.into(), Strategy::Append));
    }
    let Some(path) = entry(item, "path").and_then(|entry| text(&entry.value)) else {
        let message = "config_files: expected a path or a map with `path` and `strategy`";
        findings.problem(message, Some(&item.position));
        return None;
    };
    let strategy = match entry(item, "strategy") {
        None => Strategy::Append,
        Some(strategy) => match text(&strategy.value).as_deref() {
            Some("append") => Strategy::Append,
            Some("override") => Strategy::Override,
            Some("add-only") => Strategy::AddOnly,
            _ => {
                findings.warning(format!(
                    "{}: unknown strategy {}: must be one of append, override, add-only; \
                     append is used",
                    strategy.value.position,
                    strategy.value.description()
                ));
                Strategy::Append
            }
        },
    };
    Some((path.into(), strategy))
}

/// The file itself, or the files right in the directory, sorted; nothing if there is no such path.
pub(super) fn files_at(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return if path.exists() { vec![path.to_path_buf()] } else { Vec::new() };
    }
    let Ok(directory) = fs::read_dir(path) else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        directory.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn merge(root: &mut Node, included: Node, strategy: Strategy) {
    let (Value::Map(entries), Value::Map(included)) = (&mut root.value, included.value) else {
        return;
    };
    for new in included {
        let Some(old) = entries.iter_mut().find(|old| old.key == new.key) else {
            entries.push(new);
            continue;
        };
        match strategy {
            Strategy::AddOnly => {}
            Strategy::Override => *old = new,
            Strategy::Append => match (&mut old.value.value, new.value.value) {
                (Value::List(old), Value::List(new)) => old.extend(new),
                (_, value) => {
                    let value = Node { value, position: new.value.position };
                    *old = Entry { key: new.key, key_position: new.key_position, value };
                }
            },
        }
    }
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == key)
}
