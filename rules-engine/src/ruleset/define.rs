//! What an item does to the rules that are there: define, extend, replace parts, switch.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::condition::closest;
use crate::diagnostic::{Code, Context, Diagnostic};
use crate::load::SYSCALL;
use crate::priority::Priority;
use crate::text::TracedText;

use super::exception::Validity;
use super::read::Reader;
use super::read_exception::WrittenException;
use super::read_list::missing;
use super::{Checked, Exception, Rule};

const NO_RULE_TO_APPEND: &str = "Rule uses 'append' or 'override.<key>: append' but no rule by \
                                 that name already exists";
const NO_RULE_TO_REPLACE: &str = "An 'override.<key>: replace' to a rule was requested but no rule \
                                  by that name already exists";
const NO_RULE_TO_SWITCH: &str = "Rule has 'enabled' key but no rule by that name already exists";
const OTHER_SOURCE: &str = "Rule has been re-defined with a different source";

/// What an item changes about an existing rule; `None` leaves it as it is.
#[derive(Debug, Default)]
pub(super) struct RuleChange {
    /// Must be that of the existing rule.
    pub(super) source: Option<String>,
    pub(super) condition: Option<TracedText>,
    pub(super) condition_context: Option<Context>,
    pub(super) output: Option<TracedText>,
    pub(super) output_context: Option<Context>,
    pub(super) description: Option<String>,
    pub(super) tags: Option<Arc<[String]>>,
    pub(super) exceptions: Option<Vec<WrittenException>>,
    pub(super) priority: Option<Priority>,
    pub(super) is_enabled: Option<bool>,
    pub(super) skip_if_unknown_filter: Option<bool>,
    pub(super) capture: Option<bool>,
    pub(super) capture_duration: Option<u32>,
}

impl Reader<'_> {
    pub(super) fn is_known(&self, source: &str) -> bool {
        self.sources.iter().any(|known| known.name == source)
    }

    /// A rule of the same name is replaced as a whole, in its place.
    pub(super) fn define_rule(
        &mut self,
        mut rule: Rule,
        exceptions: Vec<WrittenException>,
    ) -> Checked<()> {
        if rule.is_source_unknown {
            let message = format!("Unknown source {}, skipping", rule.source);
            let known = self.sources.iter().map(|source| source.name.as_str());
            let help = closest(&rule.source, known)
                .map(|other| format!("a similar source exists: `{other}`"));
            self.findings
                .warning(Diagnostic::new(Code::UnknownSource, message, &rule.context).help(help));
        }
        let existing = self.definitions.rules.get(&rule.name);
        if existing.is_some_and(|existing| existing.source != rule.source) {
            return Err(Box::new(Diagnostic::new(Code::Validate, OTHER_SOURCE, &rule.context)));
        }
        rule.exceptions = self.checked(exceptions, &rule.source)?;
        let name = rule.name.clone();
        self.definitions.rules.insert(&name, rule);
        Ok(())
    }

    fn checked(&self, exceptions: Vec<WrittenException>, source: &str) -> Checked<Vec<Exception>> {
        exceptions.into_iter().map(|exception| exception.checked(self.validity(source))).collect()
    }

    /// Against which fields the exceptions of a rule are checked. The fields of system calls do
    /// not exist here, and those of unknown sources neither.
    fn validity(&self, source: &str) -> Validity<'_> {
        let source = self.sources.iter().find(|known| known.name == source);
        match source.filter(|source| source.name != SYSCALL) {
            Some(source) => Validity::Fields(&source.fields),
            None => Validity::AnyField,
        }
    }

    fn existing(&mut self, name: &str, absent: &str, context: &Context) -> Checked<&mut Rule> {
        let known = self.definitions.rules.iter().map(|rule| rule.name.as_str());
        let error = missing(absent, context, name, known);
        self.definitions.rules.get_mut(name).ok_or(error)
    }

    /// Appends to texts, tags and exceptions of an existing rule.
    pub(super) fn extend_rule(
        &mut self,
        name: &str,
        change: RuleChange,
        context: &Context,
    ) -> Checked<()> {
        let rule = self.existing(name, NO_RULE_TO_APPEND, context)?;
        let changes_nothing = change.condition.is_none()
            && change.output.is_none()
            && change.description.is_none()
            && change.tags.is_none()
            && change.exceptions.is_none();
        if changes_nothing {
            let message = "Appended rule must have exceptions or condition property";
            return Err(Box::new(Diagnostic::new(Code::Validate, message, context)));
        }
        refuse_other_source(rule, change.source.as_deref(), context)?;
        if let Some(condition) = change.condition {
            rule.condition.push_str(" ");
            rule.condition.push(&condition);
        }
        if let Some(output) = change.output {
            rule.output.push_str(" ");
            rule.output.push(&output);
        }
        if let Some(description) = change.description {
            rule.description.push(' ');
            rule.description += &description;
        }
        if let Some(tags) = change.tags {
            rule.tags = sorted(rule.tags.iter().chain(tags.iter()).cloned());
        }
        let source = rule.source.clone();
        for exception in change.exceptions.unwrap_or_default() {
            self.extend_exceptions(name, &source, exception)?;
        }
        Ok(())
    }

    /// Adds values to the exception of the same name, or the exception if there is none.
    fn extend_exceptions(
        &mut self,
        rule: &str,
        source: &str,
        exception: WrittenException,
    ) -> Checked<()> {
        if exception.values.is_empty() {
            let message = "Overriding/appending exception with no values";
            self.findings.warning(Diagnostic::new(
                Code::AppendNoValues,
                message,
                &exception.context,
            ));
        }
        let exceptions = self.definitions.rules.get(rule).map(|rule| rule.exceptions.as_slice());
        let position = exceptions
            .unwrap_or_default()
            .iter()
            .position(|existing| existing.name == exception.name);
        let added = match position {
            Some(_) => {
                exception.refuse_shape()?;
                None
            }
            None => {
                exception.refuse_incomplete()?;
                Some(exception.checked_ref(self.validity(source))?)
            }
        };
        let Some(rule) = self.definitions.rules.get_mut(rule) else { return Ok(()) };
        match (position, added) {
            (Some(position), _) => rule.exceptions[position].values.extend(exception.values),
            (None, added) => rule.exceptions.extend(added),
        }
        Ok(())
    }

    /// Replaces parts of an existing rule.
    pub(super) fn replace_in_rule(
        &mut self,
        name: &str,
        change: RuleChange,
        context: &Context,
    ) -> Checked<()> {
        let rule = self.existing(name, NO_RULE_TO_REPLACE, context)?;
        refuse_other_source(rule, change.source.as_deref(), context)?;
        let source = rule.source.clone();
        let exceptions = match change.exceptions {
            Some(exceptions) => Some(self.checked(exceptions, &source)?),
            None => None,
        };
        let Some(rule) = self.definitions.rules.get_mut(name) else { return Ok(()) };
        replace(&mut rule.condition, change.condition);
        replace(&mut rule.condition_context, change.condition_context);
        replace(&mut rule.output, change.output);
        replace(&mut rule.output_context, change.output_context);
        replace(&mut rule.description, change.description);
        replace(&mut rule.tags, change.tags);
        replace(&mut rule.exceptions, exceptions);
        replace(&mut rule.priority, change.priority);
        replace(&mut rule.is_enabled, change.is_enabled);
        replace(&mut rule.skip_if_unknown_filter, change.skip_if_unknown_filter);
        replace(&mut rule.capture, change.capture);
        replace(&mut rule.capture_duration, change.capture_duration);
        Ok(())
    }

    pub(super) fn enable_rule(
        &mut self,
        name: &str,
        is_enabled: bool,
        context: &Context,
    ) -> Checked<()> {
        self.existing(name, NO_RULE_TO_SWITCH, context)?.is_enabled = is_enabled;
        Ok(())
    }
}

fn refuse_other_source(rule: &Rule, source: Option<&str>, context: &Context) -> Checked<()> {
    if source.is_some_and(|source| source != rule.source) {
        return Err(Box::new(Diagnostic::new(Code::Validate, OTHER_SOURCE, context)));
    }
    Ok(())
}

/// Tags as a rule has them.
pub(super) fn sorted(tags: impl Iterator<Item = String>) -> Arc<[String]> {
    tags.collect::<BTreeSet<_>>().into_iter().collect()
}

fn replace<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}
