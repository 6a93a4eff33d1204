//! Reads the items of a file into definitions.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::condition::closest;
use crate::diagnostic::{Code, Context, Diagnostic, Subject};
use crate::document::{Documents, Node, SyntaxError, parse, parse_u32, parse_version};
use crate::load::{ENGINE_VERSION, EventSource};
use crate::schema::SchemaStatus;
use crate::text::{FileSpan, RulesText, Span};

use super::fields::{Fields, invalid, place_of, place_of_word};
use super::{Checked, Definitions, Findings};

/// Messages about keys that still work and should no longer be used.
const APPEND_IS_DEPRECATED: &str = "'append' key is deprecated. Add an 'append' entry (e.g. \
                                    'condition: append') under 'override' instead.";

const ITEM_KEYS: [&str; 5] =
    ["required_engine_version", "required_plugin_versions", "list", "macro", "rule"];

/// What reading a file changes and reports to.
pub(super) struct Reader<'a> {
    pub(super) definitions: &'a mut Definitions,
    pub(super) sources: &'a [EventSource],
    pub(super) findings: &'a mut Findings,
    /// Of the rules of the file.
    pub(super) tags: FxHashSet<Arc<[String]>>,
}

/// Reads all items of a file.
///
/// Falco stops at the first error. All items are read for their errors, but what follows the first
/// error defines nothing, so that reports about later files are Falco's.
pub(crate) fn read(
    file: &Arc<RulesText>,
    definitions: &mut Definitions,
    sources: &[EventSource],
    findings: &mut Findings,
) -> SchemaStatus {
    let context = Context::of_file(file);
    let documents = match parse(file) {
        Ok(documents) => documents,
        Err(error) => {
            findings.error(syntax_diagnostic(&context, error));
            return SchemaStatus::default();
        }
    };
    let mut before_error = None;
    let mut reader =
        Reader { definitions: &mut *definitions, sources, findings, tags: FxHashSet::default() };
    for item in items(&documents, &context) {
        let result = item.and_then(|item| reader.item(item, &context));
        if let Err(error) = result {
            reader.findings.error(*error);
            before_error.get_or_insert_with(|| reader.definitions.clone());
        }
    }
    if let Some(kept) = before_error {
        *definitions = kept;
    }
    SchemaStatus::of(&documents)
}

/// The items of all documents in order, null ones left out; an error per document that has none.
fn items<'d>(
    documents: &'d Documents,
    context: &Context,
) -> impl Iterator<Item = Checked<Node<'d>>> {
    let mut items = Vec::new();
    for root in documents.roots().filter(|root| !root.is_null()) {
        match root.elements() {
            Some(elements) => items.extend(elements.filter(|item| !item.is_null()).map(Ok)),
            None => {
                let message = match root.scalar() {
                    Some(_) => "Rules content is not yaml",
                    None => "Rules content is not yaml array of objects",
                };
                let error = Diagnostic::new(Code::YamlValidate, message, context)
                    .at(place_of(root, context))
                    .help(Some("a rules file is a sequence of items: `- rule: …`".to_owned()));
                items.push(Err(Box::new(error)));
            }
        }
    }
    items.into_iter()
}

fn syntax_diagnostic(context: &Context, error: SyntaxError) -> Diagnostic {
    let (line, column) = context.file().line_column(error.offset);
    let message =
        format!("yaml-cpp: error at line {}, column {}: {}", line + 1, column + 1, error.message);
    let at = Span { start: error.offset, end: error.offset };
    let place = FileSpan { file: context.file().clone(), span: error.culprit };
    Diagnostic::new(Code::YamlParse, message, &context.with(Subject::ValueFor, "", at))
        .title(error.reason)
        .at(Some(place))
        .help(error.help)
}

impl Reader<'_> {
    fn item(&mut self, item: Node<'_>, file: &Context) -> Checked<()> {
        let context = file.with(Subject::RulesContentItem, "", item.span());
        if !item.is_mapping() {
            let message =
                "Unexpected element type. Each element should be a yaml associative array.";
            return Err(invalid(message, &context));
        }
        self.warn_of_duplicate_keys(item, &context);
        match ITEM_KEYS.into_iter().find(|key| item.get(key).is_some()) {
            Some("required_engine_version") => self.engine_version(item, file),
            Some("required_plugin_versions") => self.plugin_versions(item, file),
            Some("list") => self.list(item, file),
            Some("macro") => self.macro_item(item, file),
            Some(_) => self.rule(item, file),
            None => {
                let key = item.members().next().and_then(|(key, _)| key.scalar());
                let help = match key.and_then(|key| closest(key, ITEM_KEYS)) {
                    Some(kind) => format!("a similar kind of item exists: `{kind}`"),
                    None => format!("kinds of items are `{}`", ITEM_KEYS.join("`, `")),
                };
                let message = "Unknown top level item";
                self.findings.warning(
                    Diagnostic::new(Code::UnknownItem, message, &context).help(Some(help)),
                );
                Ok(())
            }
        }
    }

    fn engine_version(&mut self, item: Node<'_>, file: &Context) -> Checked<()> {
        let context = file.with(Subject::RequiredEngineVersion, "", item.span());
        let text = Fields { node: item, context: &context }.text("required_engine_version")?;
        let text = text.as_str();
        let required = parse_u32(text).map(|minor| [0, minor, 0]).or_else(|| parse_version(text));
        let Some(required) = required else {
            let message = format!(
                "Unable to parse engine version '{text}' as a semver string. Expected \"x.y.z\" \
                 semver format."
            );
            return Err(invalid(message, &context));
        };
        let offered = parse_version(ENGINE_VERSION).unwrap_or_default();
        if required[0] != offered[0] || required > offered {
            let [major, minor, patch] = required;
            let message = format!(
                "Rules require engine version {major}.{minor}.{patch}, but engine version is \
                 {ENGINE_VERSION}"
            );
            let help = "lower the number if the file uses nothing that is newer";
            let error = Diagnostic::new(Code::Validate, message, &context);
            return Err(Box::new(error.help(Some(help.to_owned()))));
        }
        let largest = &mut self.definitions.required_engine_version;
        *largest = required.max(*largest);
        self.warn_of_unknown_keys(item, &["required_engine_version"], &context);
        Ok(())
    }

    /// Warns of each key that does not belong to the item's kind.
    pub(super) fn warn_of_unknown_keys(
        &mut self,
        item: Node<'_>,
        known: &[&str],
        context: &Context,
    ) {
        for (node, _) in item.members() {
            let key = node.scalar().unwrap_or_default();
            if known.contains(&key) {
                continue;
            }
            let message = format!("Unknown key '{key}'. The key will be ignored.");
            let help = closest(key, known.iter().copied())
                .map(|other| format!("a similar key exists: `{other}`"));
            self.findings.warning(
                Diagnostic::new(Code::UnknownKey, message, context)
                    .at(place_of_word(node, context))
                    .help(help),
            );
        }
    }

    /// Warns of keys that occur again in an item.
    fn warn_of_duplicate_keys(&mut self, node: Node<'_>, context: &Context) {
        let mut seen = FxHashMap::default();
        for (key, _) in node.members() {
            let Some(name) = key.scalar() else { continue };
            let first = *seen.entry(name).or_insert(key.span().start);
            if first == key.span().start {
                continue;
            }
            let (line, _) = context.file().line_column(first);
            let message = format!("key `{name}` stands here again, and only the first counts");
            let help = format!(
                "the first is in line {}; if a new item was meant, start it with `- `",
                line + 1
            );
            self.findings.warning(
                Diagnostic::new(Code::DuplicateKey, message, context)
                    .at(place_of_word(key, context))
                    .help(Some(help)),
            );
        }
    }

    /// Reads the deprecated `append: true`.
    pub(super) fn appends(&mut self, fields: Fields<'_, '_>) -> Checked<bool> {
        let appends = fields.optional_bool("append")?.unwrap_or(false);
        if appends {
            let place = fields.node.get("append").and_then(|node| place_of(node, fields.context));
            self.findings.warning(
                Diagnostic::new(Code::DeprecatedItem, APPEND_IS_DEPRECATED, fields.context)
                    .at(place),
            );
        }
        Ok(appends)
    }
}
