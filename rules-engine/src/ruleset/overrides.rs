//! The `override` key: which keys of an item extend or replace those of an earlier definition.

use crate::condition::closest;
use crate::diagnostic::{Code, Context, Diagnostic, Subject};
use crate::document::Node;

use super::Checked;
use super::fields::{Fields, invalid, place_of, place_of_word};

/// The keys that an item kind lets be overridden.
pub(super) struct Overridable {
    pub(super) append: &'static [&'static str],
    pub(super) replace: &'static [&'static str],
}

/// The keys of one `override` map.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    append: Vec<String>,
    replace: Vec<String>,
}

const WITH_APPEND: &str = "Keys 'override' and 'append: true' cannot be used together. Add an \
                           'append' entry (e.g. 'condition: append') under 'override' instead.";

impl Overrides {
    /// Reads and checks the map. Null and a scalar override nothing.
    pub(super) fn read(
        fields: Fields<'_, '_>,
        overridable: &Overridable,
        appends: bool,
    ) -> Checked<Self> {
        let mut overrides = Overrides::default();
        let Some(map) = fields.node.get("override") else { return Ok(overrides) };
        if map.elements().is_some() {
            let context = fields.context.file_only();
            let error = Diagnostic::new(Code::Validate, "'override' must be a mapping", &context);
            return Err(Box::new(error.at(place_of(map, &context))));
        }
        for (key, operation) in map.members() {
            overrides.entry(key, operation, fields, overridable)?;
        }
        if appends && !overrides.is_empty() {
            return Err(Box::new(
                Diagnostic::new(Code::YamlValidate, WITH_APPEND, fields.context)
                    .at(place_of(map, fields.context)),
            ));
        }
        Ok(overrides)
    }

    fn entry(
        &mut self,
        key: Node<'_>,
        operation: Node<'_>,
        fields: Fields<'_, '_>,
        overridable: &Overridable,
    ) -> Checked<()> {
        let name = word(key, fields.context)?;
        let overrides = fields.context.with(Subject::Overrides, "", fields.context.span());
        let context = overrides.with(Subject::Overrides, name, key.span());
        let refuse = |message: String| {
            let keys = overridable.append.iter().chain(overridable.replace).copied();
            let help = closest(name, keys)
                .filter(|other| *other != name)
                .map(|other| format!("a similar key exists: `{other}`"));
            Box::new(Diagnostic::new(Code::YamlValidate, message, &context).help(help))
        };
        let can_append = overridable.append.contains(&name);
        let can_replace = overridable.replace.contains(&name);
        match word(operation, fields.context)? {
            "append" if can_append => self.append.push(name.to_owned()),
            "append" => {
                let message = format!("Key '{name}' cannot be appended to, use 'replace' instead");
                return Err(refuse(message));
            }
            "replace" if can_replace => self.replace.push(name.to_owned()),
            "replace" => return Err(refuse(format!("Key '{name}' cannot be replaced"))),
            other => {
                let append = if can_append { "append " } else { "" };
                let replace = if can_replace { "replace " } else { "" };
                let message = format!(
                    "Invalid override operation for key '{name}': '{other}'. Allowed values are: \
                     {append}{replace}"
                );
                let context = overrides.with(Subject::ValueFor, name, operation.span());
                let title = message.trim_end().to_owned();
                return Err(Box::new(invalid(message, &context).title(title)));
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.append.is_empty() && self.replace.is_empty()
    }

    pub(super) fn has_append(&self) -> bool {
        !self.append.is_empty()
    }

    pub(super) fn has_replace(&self) -> bool {
        !self.replace.is_empty()
    }

    /// Whether a key is appended to.
    pub(super) fn appends(&self, key: &str) -> bool {
        self.append.iter().any(|name| name == key)
    }

    /// Whether the item has new content for a key that is appended to.
    ///
    /// # Errors
    ///
    /// The key is listed and the item lacks it.
    pub(super) fn to_append(&self, key: &str, fields: Fields<'_, '_>) -> Checked<bool> {
        wanted(&self.append, "append", key, fields)
    }

    /// As [`Self::to_append`], for a key that is replaced.
    pub(super) fn to_replace(&self, key: &str, fields: Fields<'_, '_>) -> Checked<bool> {
        wanted(&self.replace, "replace", key, fields)
    }

    /// Refuses overridable keys of the item that are not listed, the first by alphabet.
    pub(super) fn refuse_unlisted(
        &self,
        fields: Fields<'_, '_>,
        overridable: &Overridable,
    ) -> Checked<()> {
        let listed = |key: &str| self.append.iter().chain(&self.replace).any(|name| name == key);
        let unlisted = overridable
            .append
            .iter()
            .chain(overridable.replace)
            .filter(|key| fields.has(key) && !listed(key))
            .min();
        let Some(key) = unlisted else { return Ok(()) };
        let message =
            format!("Unexpected key '{key}': no corresponding entry under 'override' is defined.");
        let place = fields.node.member(key).and_then(|(key, _)| place_of_word(key, fields.context));
        let help = format!("add `{key}: replace` under `override`, or leave the key out");
        let error = Diagnostic::new(Code::YamlValidate, message, fields.context);
        Err(Box::new(error.at(place).help(Some(help))))
    }
}

fn wanted(listed: &[String], operation: &str, key: &str, fields: Fields<'_, '_>) -> Checked<bool> {
    if !listed.iter().any(|name| name == key) {
        return Ok(false);
    }
    if !fields.has(key) {
        let message =
            format!("An {operation} override for '{key}' was specified but '{key}' is not defined");
        let entry = fields.node.get("override").and_then(|map| map.member(key));
        let place = entry.and_then(|(key, _)| place_of(key, fields.context));
        let help = format!("add the key with its new value to the item: `{key}: …`");
        return Err(Box::new(invalid(message, fields.context).at(place).help(Some(help))));
    }
    Ok(true)
}

/// A key or an operation as text. Falco converts them without a check, so what is no scalar fails
/// with only the file for a place.
fn word<'n>(node: Node<'n>, context: &Context) -> Checked<&'n str> {
    if node.is_null() {
        return Ok("null");
    }
    node.scalar().ok_or_else(|| {
        let context = context.file_only();
        let error = Diagnostic::new(Code::Validate, "'override' maps keys to operations", &context);
        Box::new(error.at(place_of(node, &context)))
    })
}
