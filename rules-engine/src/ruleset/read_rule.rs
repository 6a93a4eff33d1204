//! Reads items that are a rule, in its four forms: override, append, enabled only, definition.

use std::sync::Arc;

use crate::condition::closest;
use crate::diagnostic::{Code, Context, Diagnostic, Subject};
use crate::document::Node;
use crate::load::SYSCALL;
use crate::priority::Priority;

use super::define::{RuleChange, sorted};
use super::fields::{Fields, NO_KEY};
use super::overrides::{Overridable, Overrides};
use super::read::Reader;
use super::read_exception::{WrittenException, read_exceptions};
use super::{Checked, Rule};

const RULE_KEYS: [&str; 15] = [
    "rule",
    "condition",
    "output",
    "desc",
    "priority",
    "source",
    "enabled",
    "capture",
    "capture_duration",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "tags",
    "exceptions",
    "override",
    "append",
];

const RULE_OVERRIDES: Overridable = Overridable {
    append: &["condition", "output", "desc", "tags", "exceptions"],
    replace: &[
        "condition",
        "output",
        "desc",
        "priority",
        "tags",
        "exceptions",
        "enabled",
        "capture",
        "capture_duration",
        "warn_evttypes",
        "skip-if-unknown-filter",
    ],
};

const ENABLED_IS_DEPRECATED: &str = "The standalone 'enabled' key usage is deprecated. The correct \
                                     approach requires also a 'replace' entry under the \
                                     'override' key (i.e. 'enabled: replace').";

const CHANGES_NEED_OVERRIDE: &str = "a rule of this name is defined above; to change parts of it, list \
                                     their keys under `override`, as in `priority: replace`";

/// A rule with one of these keys is a definition, if it is nothing else.
const DEFINITION_KEYS: [&str; 4] = ["condition", "output", "desc", "priority"];

impl Reader<'_> {
    pub(super) fn rule(&mut self, item: Node<'_>, file: &Context) -> Checked<()> {
        let unnamed = file.with(Subject::Rule, "", item.span());
        let name = Fields { node: item, context: &unnamed }.text("rule")?.as_str().to_owned();
        let context = file.with(Subject::Rule, &name, item.span());
        let fields = Fields { node: item, context: &context };
        let appends = self.appends(fields)?;
        let overrides = Overrides::read(fields, &RULE_OVERRIDES, appends)?;
        if !overrides.is_empty() {
            self.override_rule(&name, fields, &overrides)?;
        } else if appends {
            self.append_to_rule(&name, fields)?;
        } else if !DEFINITION_KEYS.iter().any(|key| fields.has(key)) {
            self.switch_rule(&name, fields)?;
        } else {
            let exists = self.definitions.rules.get(&name).is_some();
            let (rule, exceptions) = self.definition(name, fields).map_err(|error| {
                match exists && error.message.starts_with(NO_KEY) && error.advice.place.is_none() {
                    true => Box::new(error.help(Some(CHANGES_NEED_OVERRIDE.to_owned()))),
                    false => error,
                }
            })?;
            self.define_rule(rule, exceptions)?;
        }
        self.warn_of_unknown_keys(item, &RULE_KEYS, &context);
        Ok(())
    }

    /// Uses only `condition` and `exceptions`; Falco ignores every other key, even a wrong one.
    fn append_to_rule(&mut self, name: &str, fields: Fields<'_, '_>) -> Checked<()> {
        let mut change = RuleChange { source: source_of_change(fields), ..RuleChange::default() };
        if fields.has("condition") {
            change.condition = Some(fields.text("condition")?);
        }
        if fields.has("exceptions") {
            change.exceptions = Some(read_exceptions(fields, true, self.findings)?);
        }
        self.extend_rule(name, change, fields.context)
    }

    fn switch_rule(&mut self, name: &str, fields: Fields<'_, '_>) -> Checked<()> {
        fields.text("enabled")?;
        let is_enabled = fields.optional_bool("enabled")?.unwrap_or_default();
        self.findings.warning(Diagnostic::new(
            Code::DeprecatedItem,
            ENABLED_IS_DEPRECATED,
            fields.context,
        ));
        self.enable_rule(name, is_enabled, fields.context)
    }

    fn override_rule(
        &mut self,
        name: &str,
        fields: Fields<'_, '_>,
        overrides: &Overrides,
    ) -> Checked<()> {
        let mut change = RuleChange { source: source_of_change(fields), ..RuleChange::default() };
        if overrides.to_append("condition", fields)? {
            change.condition = Some(fields.text("condition")?);
        }
        if overrides.to_append("exceptions", fields)? {
            change.exceptions = Some(read_exceptions(fields, true, self.findings)?);
        }
        if overrides.to_append("output", fields)? {
            change.output = Some(fields.text("output")?);
        }
        if overrides.to_append("desc", fields)? {
            change.description = Some(fields.text("desc")?.as_str().to_owned());
        }
        if overrides.to_append("tags", fields)? {
            change.tags = Some(tags(fields)?);
        }
        if overrides.has_append() {
            self.extend_rule(name, change, fields.context)?;
        }
        if overrides.has_replace() {
            let change = self.replacement(fields, overrides)?;
            self.replace_in_rule(name, change, fields.context)?;
        }
        overrides.refuse_unlisted(fields, &RULE_OVERRIDES)
    }

    fn replacement(
        &mut self,
        fields: Fields<'_, '_>,
        overrides: &Overrides,
    ) -> Checked<RuleChange> {
        let mut change = RuleChange { source: source_of_change(fields), ..RuleChange::default() };
        if overrides.to_replace("condition", fields)? {
            change.condition = Some(fields.text("condition")?);
            change.condition_context =
                Some(value_context(fields, "condition", Subject::RuleCondition));
        }
        if overrides.to_replace("exceptions", fields)? {
            change.exceptions = Some(read_exceptions(fields, false, self.findings)?);
        }
        if overrides.to_replace("output", fields)? {
            change.output = Some(fields.text("output")?.trimmed());
            change.output_context = Some(value_context(fields, "output", Subject::RuleOutput));
        }
        if overrides.to_replace("desc", fields)? {
            change.description = Some(fields.text("desc")?.as_str().to_owned());
        }
        if overrides.to_replace("tags", fields)? {
            change.tags = Some(tags(fields)?);
        }
        if overrides.to_replace("priority", fields)? {
            change.priority = Some(priority(fields)?);
        }
        if overrides.to_replace("enabled", fields)? {
            change.is_enabled = fields.optional_bool("enabled")?;
        }
        if overrides.to_replace("capture", fields)? {
            change.capture = fields.optional_bool("capture")?;
        }
        if overrides.to_replace("capture_duration", fields)? {
            change.capture_duration = fields.optional_u32("capture_duration")?;
        }
        // System calls only, and there are none; still it must be a truth value.
        if overrides.to_replace("warn_evttypes", fields)? {
            fields.optional_bool("warn_evttypes")?;
        }
        if overrides.to_replace("skip-if-unknown-filter", fields)? {
            change.skip_if_unknown_filter = fields.optional_bool("skip-if-unknown-filter")?;
        }
        Ok(change)
    }

    fn definition(
        &mut self,
        name: String,
        fields: Fields<'_, '_>,
    ) -> Checked<(Rule, Vec<WrittenException>)> {
        let condition = fields.text("condition")?;
        let output = fields.text("output")?.trimmed();
        let description = fields.text("desc")?.as_str().to_owned();
        let priority = priority(fields)?;
        let source = match fields.has("source") {
            true => fields.text("source")?.as_str().to_owned(),
            false => SYSCALL.to_owned(),
        };
        let is_enabled = fields.optional_bool("enabled")?.unwrap_or(true);
        fields.optional_bool("warn_evttypes")?;
        let skip_if_unknown_filter =
            fields.optional_bool("skip-if-unknown-filter")?.unwrap_or(false);
        let capture = fields.optional_bool("capture")?.unwrap_or(false);
        let capture_duration = fields.optional_u32("capture_duration")?.unwrap_or(0);
        let tags = self.shared(tags(fields)?);
        let exceptions = read_exceptions(fields, false, self.findings)?;
        let rule = Rule {
            name,
            condition,
            output,
            description,
            priority,
            is_source_unknown: !self.is_known(&source),
            source,
            is_enabled,
            tags,
            exceptions: Vec::new(),
            skip_if_unknown_filter,
            capture,
            capture_duration,
            context: fields.context.clone(),
            condition_context: value_context(fields, "condition", Subject::RuleCondition),
            output_context: value_context(fields, "output", Subject::RuleOutput),
        };
        Ok((rule, exceptions))
    }

    /// The same tags as an earlier rule has, if one has them.
    fn shared(&mut self, tags: Arc<[String]>) -> Arc<[String]> {
        match self.tags.get(&tags) {
            Some(known) => Arc::clone(known),
            None => {
                self.tags.insert(Arc::clone(&tags));
                tags
            }
        }
    }
}

fn value_context(fields: Fields<'_, '_>, key: &str, item: Subject) -> Context {
    let span = fields.node.get(key).map(Node::span).unwrap_or_default();
    fields.context.with(item, "", span)
}

/// The source that a change to a rule names; null and empty say "as before".
fn source_of_change(fields: Fields<'_, '_>) -> Option<String> {
    let source = fields.node.get("source")?.scalar()?;
    (!source.is_empty()).then(|| source.to_owned())
}

fn tags(fields: Fields<'_, '_>) -> Checked<Arc<[String]>> {
    let tags = fields.optional_texts("tags")?.unwrap_or_default();
    Ok(sorted(tags.iter().map(|tag| tag.as_str().to_owned())))
}

fn priority(fields: Fields<'_, '_>) -> Checked<Priority> {
    let text = fields.text("priority")?;
    text.as_str().parse().map_err(|_| {
        let known = Priority::ALL.map(|priority| priority.name().to_uppercase());
        let written = text.as_str().trim().to_uppercase();
        let help = match closest(&written, known.iter().map(String::as_str)) {
            Some(other) => format!("a similar priority exists: `{other}`"),
            None => format!("priorities are {}", known.join(", ")),
        };
        let context = value_context(fields, "priority", Subject::RulePriority);
        Box::new(Diagnostic::new(Code::YamlValidate, "Invalid priority", &context).help(Some(help)))
    })
}
