//! Typed reading: a map of settings that is asked for its keys, one by one.

use std::path::PathBuf;

use super::finding::{Findings, Problem};
use super::number;
use super::schema::{KnownKey, Shape};
use super::source::Position;
use super::tree::{Entry, Node, Value};

/// A map in the configuration while it is read.
///
/// Every key that is asked for counts as known; what is left in the end is reported as unknown.
/// A missing key, or one without a value, gives the default; a wrong value is a problem.
pub(super) struct Section<'t, 'f> {
    /// Where the section is, for messages: empty, `webserver`, `plugins[0]`.
    path: String,
    entries: &'t [Entry],
    known: Vec<KnownKey>,
    findings: &'f mut Findings,
}

/// Reads the whole configuration.
pub(super) fn read_root<T>(
    root: &Node,
    findings: &mut Findings,
    read: impl FnOnce(&mut Section<'_, '_>) -> T,
) -> T {
    read_node(root, String::new(), findings, read).0
}

fn read_node<'t, T>(
    node: &'t Node,
    path: String,
    findings: &mut Findings,
    read: impl FnOnce(&mut Section<'t, '_>) -> T,
) -> (T, Vec<KnownKey>) {
    let entries: &[Entry] = match &node.value {
        Value::Map(entries) => entries,
        Value::Null => &[],
        Value::Scalar(_) | Value::List(_) => {
            let message =
                format!("{path}: expected settings (`{path}.…`), found {}", node.description());
            findings.problem(message, Some(&node.position));
            &[]
        }
    };
    let mut section = Section { path, entries, known: Vec::new(), findings };
    let value = read(&mut section);
    section.report_unknown_keys();
    (value, section.known)
}

impl<'t> Section<'t, '_> {
    pub(super) fn findings(&mut self) -> &mut Findings {
        self.findings
    }

    /// The keys that `read` asks a section for, if it is empty.
    pub(super) fn keys_of<T>(
        read: &mut impl FnMut(&mut Section<'t, '_>) -> T,
        findings: &mut Findings,
    ) -> Vec<KnownKey> {
        let mut section =
            Section { path: String::new(), entries: &[], known: Vec::new(), findings };
        read(&mut section);
        section.known
    }

    /// The entry of `key`, if it has a value. The caller checks that it has the shape which it tells.
    pub(super) fn entry(&mut self, key: &'static str, shape: Shape) -> Option<&'t Entry> {
        self.known.push(KnownKey { name: key, shape, is_required: false });
        self.entries.iter().find(|entry| entry.key == key && !entry.value.is_null())
    }

    /// Whether `key` is there, be it without a value.
    pub(super) fn is_present(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    pub(super) fn position(&self, key: &str) -> Option<&'t Position> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.value.position)
    }

    /// Reports what is wrong with the value of `key`.
    pub(super) fn problem(&mut self, key: &str, message: &str) {
        let position = self.position(key).or(self.entries.first().map(|first| &first.key_position));
        self.findings.problem(format!("{}: {message}", self.path_of(key)), position);
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_string(),
            path => format!("{path}.{key}"),
        }
    }

    /// The text of `key`, whatever it looks like.
    pub(super) fn optional_text(&mut self, key: &'static str) -> Option<&'t str> {
        self.scalar(key, Shape::Scalar)
    }

    /// The text of `key`, which is empty if it is missing. That is a problem, with this message.
    pub(super) fn required_text(&mut self, key: &'static str, message: &str) -> Option<&'t str> {
        let text = self.optional_text(key).filter(|text| !text.is_empty());
        self.known.iter_mut().filter(|known| known.name == key).for_each(|k| k.is_required = true);
        if text.is_none() {
            self.problem(key, message);
        }
        text
    }

    fn scalar(&mut self, key: &'static str, shape: Shape) -> Option<&'t str> {
        let node = &self.entry(key, shape)?.value;
        let Value::Scalar(scalar) = &node.value else {
            self.problem(key, &format!("expected a single value, found {}", node.description()));
            return None;
        };
        Some(&scalar.text)
    }

    pub(super) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.optional_text(key).unwrap_or(default).to_string()
    }

    pub(super) fn path(&mut self, key: &'static str, default: &str) -> PathBuf {
        self.text(key, default).into()
    }

    /// The value of `key` by a parser of the caller, whose error says what is wrong with it.
    ///
    /// Empty text counts as missing, which is what an unset `${VAR}` leaves.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.parsed_as(key, Shape::Scalar, default, parse)
    }

    /// Like [`Section::parsed`], where the schema can tell what the parser takes.
    pub(super) fn parsed_as<T>(
        &mut self,
        key: &'static str,
        shape: Shape,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let Some(text) = self.scalar(key, shape).filter(|text| !text.is_empty()) else {
            return default;
        };
        parse(text).unwrap_or_else(|message| {
            self.problem(key, &message);
            default
        })
    }

    /// What `key` names of `words`; `unknown` says that it is none of them.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        default: T,
        words: &[(&str, T)],
        unknown: impl FnOnce(&str) -> String,
    ) -> T {
        let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
        self.parsed_as(key, Shape::word(&names), default, |text| {
            let found = words.iter().find(|(name, _)| *name == text);
            found.map(|(_, value)| *value).ok_or_else(|| unknown(text))
        })
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.parsed_as(key, Shape::Flag, default, |text| {
            number::boolean(text).ok_or_else(|| format!("expected true or false, found `{text}`"))
        })
    }

    pub(super) fn number<T: TryFrom<i128>>(&mut self, key: &'static str, default: T) -> T {
        self.parsed_as(key, Shape::integer::<T>(), default, |text| {
            let number = number::integer(text)
                .ok_or_else(|| format!("expected a whole number, found `{text}`"))?;
            T::try_from(number).map_err(|_| format!("{number} is out of range"))
        })
    }

    /// A list of texts; a single one may stand without brackets.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let shape = Shape::OneOrMore(Box::new(Shape::Scalar));
        let Some(entry) = self.entry(key, shape) else { return Vec::new() };
        let mut texts = Vec::new();
        for item in list_items(&entry.value) {
            match &item.value {
                Value::Scalar(scalar) => texts.push(scalar.text.clone()),
                _ => {
                    let message = format!(
                        "{}: expected a list of texts, found {}",
                        self.path_of(key),
                        item.description()
                    );
                    self.findings.problem(message, Some(&item.position));
                }
            }
        }
        texts
    }

    /// The section under `key`; empty, so all defaults, if it is missing.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'t, '_>) -> T,
    ) -> T {
        let path = self.path_of(key);
        let (value, known) = match self.entry(key, Shape::Any) {
            Some(entry) => read_node(&entry.value, path, self.findings, read),
            None => {
                let findings = &mut *self.findings;
                let mut section = Section { path, entries: &[], known: Vec::new(), findings };
                (read(&mut section), section.known)
            }
        };
        self.has_shape(Shape::Section(known));
        value
    }

    /// Tells the shape of the key that was asked for last, where it is known only after reading it.
    fn has_shape(&mut self, shape: Shape) {
        if let Some(last) = self.known.last_mut() {
            last.shape = shape;
        }
    }

    /// A list of sections; a single one may stand without a list.
    pub(super) fn sections<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'t, '_>) -> T,
    ) -> Vec<T> {
        let keys = Section::keys_of(&mut read, &mut Findings::default());
        let shape = Shape::OneOrMore(Box::new(Shape::Section(keys)));
        let Some(entry) = self.entry(key, shape) else { return Vec::new() };
        let path = self.path_of(key);
        let items = list_items(&entry.value).iter().enumerate();
        let read =
            |(index, item)| read_node(item, format!("{path}[{index}]"), self.findings, &mut read).0;
        items.map(read).collect()
    }

    /// All texts of a map with keys of the user's choice.
    pub(super) fn map_of_texts(&mut self, key: &'static str) -> Vec<(String, String)> {
        let texts = self.section(key, |section| {
            let entries = std::mem::take(&mut section.entries);
            let mut texts = Vec::new();
            for entry in entries {
                match &entry.value.value {
                    Value::Scalar(scalar) => texts.push((entry.key.clone(), scalar.text.clone())),
                    Value::Null => texts.push((entry.key.clone(), String::new())),
                    Value::List(_) | Value::Map(_) => {
                        let message = format!(
                            "{}: expected a single value, found {}",
                            section.path_of(&entry.key),
                            entry.value.description()
                        );
                        section.findings.problem(message, Some(&entry.value.position));
                    }
                }
            }
            texts
        });
        self.has_shape(Shape::Map(Box::new(Shape::Scalar)));
        texts
    }

    /// Reports a problem that more than one place shows; the place to mend comes first.
    pub(super) fn problem_at(&mut self, message: String, places: Vec<(Position, &'static str)>) {
        self.findings.problems.push(Problem { message, places });
    }

    /// Warns of a key that Falco once had.
    pub(super) fn removed_key(&mut self, key: &'static str, reason: &str) {
        self.known.push(KnownKey { name: key, shape: Shape::Removed, is_required: false });
        let Some(entry) = self.entries.iter().find(|entry| entry.key == key) else { return };
        let path = self.path_of(key);
        let position = &entry.key_position;
        self.findings.warning(format!("{position}: `{path}` has no effect: {reason}"));
        self.violate_schema(key, position);
    }

    fn report_unknown_keys(&mut self) {
        let entries = self.entries;
        let known: Vec<_> = self.known.iter().map(|key| key.name).collect();
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let path = self.path_of(&entry.key);
            let position = &entry.key_position;
            let mut text = format!("{position}: unknown key `{path}` is ignored");
            if let Some(similar) = most_similar(&entry.key, &known) {
                text += &format!("; did you mean `{}`?", self.path_of(similar));
            }
            self.findings.warning(text);
            self.violate_schema(&entry.key, position);
        }
    }

    fn violate_schema(&mut self, key: &str, position: &Position) {
        let mut path = "<root>".to_string();
        for segment in self.path_of(key).split('.') {
            let (name, index) = segment.split_at(segment.find('[').unwrap_or(segment.len()));
            path += &format!("[{name}]{index}");
        }
        self.findings.schema_violations.push((position.source.clone(), path));
    }
}

/// The items of a list; anything else counts as a list of one.
fn list_items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// The candidate that `word` was most likely meant to be, if any is close.
fn most_similar<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len() / 3)
        .min()
        .map(|(_, candidate)| candidate)
}
