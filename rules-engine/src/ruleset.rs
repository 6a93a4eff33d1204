//! Rules, macros and lists as the rules files define them, all files together.

mod compile;
mod define;
mod exception;
mod fields;
mod list;
mod macros;
mod named;
mod overrides;
mod plugins;
mod read;
mod read_exception;
mod read_list;
mod read_rule;
mod walk;

pub(crate) use compile::{CheckedOutput, CheckedRule, check_output, compile};
pub(crate) use exception::{exception_condition, folded_condition};
pub(crate) use list::Lists;
pub(crate) use macros::{Macros, misused_list, syntax_diagnostic};
pub(crate) use named::Named;
pub(crate) use plugins::check_requirements;
pub(crate) use read::read;
pub(crate) use walk::{for_each_check, for_each_field, for_each_macro};

use std::sync::Arc;

use crate::diagnostic::{Context, Diagnostic};
use crate::priority::Priority;
use crate::text::TracedText;

/// How deep the productions of a condition may nest.
pub(crate) const MAX_CONDITION_DEPTH: usize = 1000;

/// Everything that the files read so far define.
#[derive(Clone, Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) lists: Named<List>,
    pub(crate) macros: Named<Macro>,
    pub(crate) rules: Named<Rule>,
    /// The largest that any file asks for.
    pub(crate) required_engine_version: [u32; 3],
    pub(crate) plugin_requirements: Vec<PluginRequirement>,
    /// Counts definitions and changes of any kind.
    clock: usize,
}

/// When something was defined. It decides what a macro or a list can refer to: only what was first
/// defined before its own last change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Age {
    /// When the name was first defined.
    pub(crate) defined: usize,
    /// When it was last defined or appended to.
    pub(crate) changed: usize,
}

/// A list.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) name: String,
    pub(crate) items: Vec<TracedText>,
    pub(crate) context: Context,
    pub(crate) age: Age,
}

/// A macro.
#[derive(Clone, Debug)]
pub(crate) struct Macro {
    pub(crate) name: String,
    pub(crate) condition: TracedText,
    pub(crate) context: Context,
    pub(crate) condition_context: Context,
    pub(crate) age: Age,
}

/// A rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) condition: TracedText,
    pub(crate) output: TracedText,
    pub(crate) description: String,
    pub(crate) priority: Priority,
    pub(crate) source: String,
    /// No loaded plugin offers the source; the rule is kept, for others to refer to, and not compiled.
    pub(crate) is_source_unknown: bool,
    pub(crate) is_enabled: bool,
    /// Sorted, without duplicates; many rules have the same.
    pub(crate) tags: Arc<[String]>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) skip_if_unknown_filter: bool,
    pub(crate) capture: bool,
    pub(crate) capture_duration: u32,
    pub(crate) context: Context,
    pub(crate) condition_context: Context,
    pub(crate) output_context: Context,
}

/// An exception of a rule, checked and with its defaults.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) name: String,
    pub(crate) shape: ExceptionShape,
    pub(crate) values: Vec<ExceptionValue>,
    pub(crate) context: Context,
}

/// What an exception compares.
#[derive(Clone, Debug)]
pub(crate) enum ExceptionShape {
    /// One field, with all values at once.
    Field { field: TracedText, operator: String },
    /// Several fields, with one tuple at a time: a field and its operator each.
    Fields(Vec<(TracedText, String)>),
}

/// An element of an exception's values, or of a tuple in it.
#[derive(Clone, Debug)]
pub(crate) enum ExceptionValue {
    One(TracedText),
    Many(Vec<ExceptionValue>),
}

/// An entry of `required_plugin_versions`: plugins of which one must be loaded.
#[derive(Clone, Debug)]
pub(crate) struct PluginRequirement {
    /// Name and version; the main one first, then its alternatives.
    pub(crate) alternatives: Vec<(String, String)>,
}

/// What was found wrong, in order.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) errors: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
    /// How many of the warnings come before the first error.
    pub(crate) warnings_before_error: usize,
}

impl Findings {
    pub(crate) fn error(&mut self, diagnostic: Diagnostic) {
        if self.errors.is_empty() {
            self.warnings_before_error = self.warnings.len();
        }
        self.errors.push(diagnostic);
    }

    pub(crate) fn warning(&mut self, diagnostic: Diagnostic) {
        self.warnings.push(diagnostic);
    }
}

/// Ends the work on one item. Boxed, since a diagnostic is large and rarely there.
pub(crate) type Checked<T> = Result<T, Box<Diagnostic>>;

impl Definitions {
    /// The age of what is defined or changed now; `existing` is that of an earlier definition.
    fn age(&mut self, existing: Option<Age>) -> Age {
        let changed = self.clock;
        self.clock += 1;
        Age { defined: existing.map_or(changed, |age| age.defined), changed }
    }
}
