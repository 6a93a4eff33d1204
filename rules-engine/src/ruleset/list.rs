//! Lists: expanded into each other, and spliced into conditions as text before these are parsed.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::diagnostic::{Code, Context, Diagnostic};
use crate::text::TracedText;

use super::Definitions;

/// A condition with its lists spliced in is at most this long. Lists that name each other would
/// exhaust the memory.
const MAX_CONDITION_BYTES: usize = 8 << 20;
/// What splicing may write in all, or a large list in many rules would do the same.
const MAX_SPLICED_BYTES: usize = 32 << 20;

const BLANKS: &[char] = &[' ', '\t', '\n', '\r'];
const DELIMITERS: &[char] = &[' ', '\t', '\n', '\r', '(', ')', ',', '='];

/// All lists, ready to be spliced in.
#[derive(Debug)]
pub(crate) struct Lists {
    lists: Vec<ExpandedList>,
    positions: FxHashMap<String, usize>,
    /// Lists whose names are no single word, so that looking up words does not find them.
    unusual: Vec<usize>,
    spliced_bytes: usize,
}

/// A list without names of other lists in it.
#[derive(Debug)]
pub(crate) struct ExpandedList {
    name: String,
    /// With quotes where an item needs them.
    pub(crate) items: Vec<TracedText>,
    /// Lists that it names.
    pub(crate) names_lists: Vec<String>,
    pub(crate) is_used: bool,
}

/// A condition, or all together, became too long with a list.
#[derive(Debug)]
pub(crate) struct TooLong {
    list: String,
}

impl TooLong {
    /// `context` is that of the condition.
    pub(crate) fn diagnostic(&self, context: &Context) -> Diagnostic {
        let message = format!("condition is too long with list '{}' in it", self.list);
        Diagnostic::new(Code::CompileCondition, message, context)
    }
}

impl Lists {
    /// Expands the lists, one level deep: an item that names a list which was first defined before
    /// this one last changed becomes that list's items as they are written.
    pub(crate) fn new(definitions: &Definitions) -> Self {
        let mut lists: Vec<ExpandedList> = Vec::with_capacity(definitions.lists.len());
        let mut used = BTreeSet::new();
        for list in definitions.lists.iter() {
            let mut expanded = ExpandedList {
                name: list.name.clone(),
                items: Vec::with_capacity(list.items.len()),
                names_lists: Vec::new(),
                is_used: false,
            };
            for item in &list.items {
                let named = definitions.lists.position(item.as_str());
                match named.filter(|&at| definitions.lists[at].age.defined < list.age.changed) {
                    Some(position) => {
                        used.insert(position);
                        expanded.names_lists.push(item.as_str().to_owned());
                        expanded.items.extend(quoted(&definitions.lists[position].items));
                    }
                    None => expanded.items.extend(quoted(std::slice::from_ref(item))),
                }
            }
            lists.push(expanded);
        }
        for position in used {
            lists[position].is_used = true;
        }
        let positions: FxHashMap<String, usize> =
            lists.iter().enumerate().map(|(at, list)| (list.name.clone(), at)).collect();
        let unusual = (0..lists.len()).filter(|&at| lists[at].name.contains(DELIMITERS)).collect();
        Lists { lists, positions, unusual, spliced_bytes: 0 }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ExpandedList> {
        self.lists.iter()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&ExpandedList> {
        self.positions.get(name).map(|&position| &self.lists[position])
    }

    /// Splices lists into a text where their names stand as words, even between quotes. Returns
    /// the names of those that were spliced in, too.
    ///
    /// Each list is replaced everywhere, in order of definition, so text that a list brings in is
    /// searched only for later ones.
    ///
    /// # Errors
    ///
    /// The list with which the text became too long.
    pub(crate) fn substitute(
        &mut self,
        text: &TracedText,
    ) -> Result<(TracedText, Vec<String>), TooLong> {
        let mut text = text.clone();
        let mut spliced = Vec::new();
        let mut pending: BTreeSet<usize> = self.unusual.iter().copied().collect();
        pending.extend(self.named_in(&text));
        while let Some(position) = pending.pop_first() {
            let list = &self.lists[position];
            if self.spliced_bytes > MAX_SPLICED_BYTES {
                return Err(TooLong { list: list.name.clone() });
            }
            let Some(spliced_text) = splice(&text, list)? else { continue };
            text = spliced_text;
            self.spliced_bytes += text.as_str().len();
            for item in &self.lists[position].items {
                pending.extend(self.named_in(item).filter(|&later| later > position));
            }
            self.lists[position].is_used = true;
            spliced.push(self.lists[position].name.clone());
        }
        Ok((text, spliced))
    }

    fn named_in<'t>(&'t self, text: &'t TracedText) -> impl Iterator<Item = usize> + 't {
        text.as_str().split(DELIMITERS).filter_map(|word| self.positions.get(word).copied())
    }
}

/// Replaces every word of the text that is the list's name; `None` if there is none.
///
/// Source: `resolve_list` in Falco's rule loader.
fn splice(text: &TracedText, list: &ExpandedList) -> Result<Option<TracedText>, TooLong> {
    let source = text.as_str();
    let mut result = TracedText::default();
    let mut copied = 0;
    let mut from = 0;
    while let Some(found) = source[from..].find(&list.name).map(|at| from + at) {
        let (before, after) = (&source[..found], &source[found + list.name.len()..]);
        let is_word = (before.is_empty() || before.ends_with(DELIMITERS))
            && (after.is_empty() || after.starts_with(DELIMITERS));
        if !is_word {
            from = found + source[found..].chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let mut start = before.trim_end_matches(BLANKS).len();
        let mut end = source.len() - after.trim_start_matches(BLANKS).len();
        if list.items.is_empty() {
            // Without items there is a comma too many.
            if source[..start].ends_with(',') {
                start -= 1;
            } else if source[end..].starts_with(',') {
                end += 1;
            }
        }
        result.push_slice(text, copied, start.max(copied));
        if start > 0 {
            result.push_str(" ");
        }
        for (index, item) in list.items.iter().enumerate() {
            if index > 0 {
                result.push_str(", ");
            }
            result.push(item);
        }
        result.push_str(" ");
        if result.as_str().len() > MAX_CONDITION_BYTES {
            return Err(TooLong { list: list.name.clone() });
        }
        copied = end;
        from = end;
    }
    if copied == 0 {
        return Ok(None);
    }
    result.push_slice(text, copied, source.len());
    Ok(Some(result))
}

/// Items with quotes where needed; empty ones contribute nothing.
fn quoted(items: &[TracedText]) -> impl Iterator<Item = TracedText> {
    items.iter().filter(|item| !item.as_str().is_empty()).map(|item| {
        let mut text = TracedText::default();
        push_quoted(item, &mut text);
        text
    })
}

/// Appends a value, in quotes if it has a space and no quote in front. Nothing is escaped.
pub(super) fn push_quoted(value: &TracedText, text: &mut TracedText) {
    let needs_quotes = value.as_str().contains(' ') && !value.as_str().starts_with(['"', '\'']);
    if !needs_quotes {
        text.push(value);
        return;
    }
    text.push_str("\"");
    text.push(value);
    text.push_str("\"");
}
