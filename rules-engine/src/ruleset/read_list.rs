//! Reads items that are a list or a macro.

use crate::condition::closest;
use crate::diagnostic::{Code, Context, Diagnostic, Subject};
use crate::document::Node;

use super::fields::Fields;
use super::overrides::{Overridable, Overrides};
use super::read::Reader;
use super::{Checked, List, Macro};

const LIST_KEYS: [&str; 4] = ["list", "items", "append", "override"];
const MACRO_KEYS: [&str; 4] = ["macro", "condition", "append", "override"];

const LIST_OVERRIDES: Overridable = Overridable { append: &["items"], replace: &["items"] };
const MACRO_OVERRIDES: Overridable =
    Overridable { append: &["condition"], replace: &["condition"] };

const NO_LIST: &str = "List uses 'append' or 'override.items: append' but no list by that name \
                       already exists";
const NO_MACRO: &str = "Macro uses 'append' or 'override.condition: append' but no macro by that \
                        name already exists";

impl Reader<'_> {
    pub(super) fn list(&mut self, item: Node<'_>, file: &Context) -> Checked<()> {
        let unnamed = file.with(Subject::List, "", item.span());
        let name = Fields { node: item, context: &unnamed }.text("list")?.as_str().to_owned();
        let context = file.with(Subject::List, &name, item.span());
        if !is_list_name(&name) {
            let message = "List has an invalid name. List names should match a regular \
                           expression: ([^()\"'[:space:]=,]+)";
            self.findings.warning(Diagnostic::new(Code::InvalidListName, message, &context));
        }
        let fields = Fields { node: item, context: &context };
        let items = fields.texts("items")?;
        let appends = self.appends(fields)?;
        let overrides = Overrides::read(fields, &LIST_OVERRIDES, appends)?;
        if appends || overrides.appends("items") {
            let age = self.definitions.lists.get(&name).map(|list| list.age);
            let age = self.definitions.age(age);
            let known = self.definitions.lists.iter().map(|list| list.name.as_str());
            let error = missing(NO_LIST, &context, &name, known);
            let list = self.definitions.lists.get_mut(&name).ok_or(error)?;
            list.items.extend(items);
            list.age = age;
        } else {
            let age = self.definitions.lists.get(&name).map(|list| list.age);
            let age = self.definitions.age(age);
            let list = List { name: name.clone(), items, context: context.clone(), age };
            self.definitions.lists.insert(&name, list);
        }
        self.warn_of_unknown_keys(item, &LIST_KEYS, &context);
        Ok(())
    }

    pub(super) fn macro_item(&mut self, item: Node<'_>, file: &Context) -> Checked<()> {
        let unnamed = file.with(Subject::Macro, "", item.span());
        let name = Fields { node: item, context: &unnamed }.text("macro")?.as_str().to_owned();
        let context = file.with(Subject::Macro, &name, item.span());
        if !is_macro_name(&name) {
            let message = "Macro has an invalid name. Macro names should match a regular \
                           expression: ([a-zA-Z]+[a-zA-Z0-9_]*)";
            self.findings.warning(Diagnostic::new(Code::InvalidMacroName, message, &context));
        }
        let fields = Fields { node: item, context: &context };
        let condition = fields.text("condition")?;
        let span = item.get("condition").map(Node::span).unwrap_or_default();
        let condition_context = context.with(Subject::MacroCondition, "", span);
        let appends = self.appends(fields)?;
        let overrides = Overrides::read(fields, &MACRO_OVERRIDES, appends)?;
        if appends || overrides.appends("condition") {
            let age = self.definitions.macros.get(&name).map(|macro_| macro_.age);
            let age = self.definitions.age(age);
            let known = self.definitions.macros.iter().map(|macro_| macro_.name.as_str());
            let error = missing(NO_MACRO, &context, &name, known);
            let existing = self.definitions.macros.get_mut(&name).ok_or(error)?;
            existing.condition.push_str(" ");
            existing.condition.push(&condition);
            existing.age = age;
        } else {
            let age = self.definitions.macros.get(&name).map(|macro_| macro_.age);
            let age = self.definitions.age(age);
            let context = context.clone();
            let defined = Macro { name: name.clone(), condition, context, condition_context, age };
            self.definitions.macros.insert(&name, defined);
        }
        self.warn_of_unknown_keys(item, &MACRO_KEYS, &context);
        Ok(())
    }
}

/// The error of an item that extends something that does not exist.
pub(super) fn missing<'n>(
    message: &str,
    context: &Context,
    name: &str,
    known: impl Iterator<Item = &'n str>,
) -> Box<Diagnostic> {
    let help = closest(name, known).map(|other| format!("a similar name exists: `{other}`"));
    Box::new(Diagnostic::new(Code::Validate, message, context).help(help))
}

fn is_list_name(name: &str) -> bool {
    let is_forbidden = |c: char| "()\"'=,".contains(c) || c.is_ascii_whitespace() || c == '\x0B';
    !name.contains(is_forbidden)
}

fn is_macro_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
