//! What `load` is given: files, what the agent offers, and settings that touch rules.

use crate::field::FieldCatalogue;
use crate::priority::Priority;

/// The version of the rules language; `required_engine_version` is compared with it.
pub const ENGINE_VERSION: &str = "0.63.0";

/// A rules file, read by the caller.
#[derive(Clone, Debug)]
pub struct RulesFile {
    /// As reports name it.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// An event source that rules can be written for.
#[derive(Clone, Debug)]
pub struct EventSource {
    /// As `source:` in a rule names it.
    pub name: String,
    /// The fields of its events.
    pub fields: FieldCatalogue,
}

/// A loaded plugin, for `required_plugin_versions`.
#[derive(Clone, Debug)]
pub struct PluginVersion {
    /// As the plugin names itself.
    pub name: String,
    /// Such as `0.18.0`.
    pub version: String,
}

/// What the agent offers to rules.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// All known event sources. Rules of another source are skipped with a warning.
    pub sources: Vec<EventSource>,
    /// All loaded plugins, whether their source is enabled or not.
    pub plugins: Vec<PluginVersion>,
}

/// Whether one event can raise several alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuleMatching {
    /// Only the first matching rule alerts.
    #[default]
    First,
    /// Every matching rule alerts.
    All,
}

/// One entry of the configuration's `rules`: enables or disables rules. Entries act in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Enables, else disables.
    pub enable: bool,
    /// A rule's name, in which `*` stands for any text.
    pub rule: Option<String>,
    /// A tag.
    pub tag: Option<String>,
}

/// One entry of the configuration's `append_output`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendOutput {
    /// Applies to rules of this source only.
    pub source: Option<String>,
    /// Applies to the rule of this name only.
    pub rule: Option<String>,
    /// Applies to rules that have all of these tags.
    pub tags: Vec<String>,
    /// Appended to the rule's output.
    pub extra_output: Option<String>,
    /// Added to the alert's fields.
    pub extra_fields: Vec<ExtraField>,
    /// Appends the fields that plugins suggest.
    pub suggested_output: bool,
}

/// A field that is added to alerts without a place in their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtraField {
    /// A field by name; its value keeps its type.
    Field(String),
    /// A text under a name of its own.
    Formatted {
        /// The name among the alert's fields.
        key: String,
        /// An output format.
        format: String,
    },
}

/// Settings that decide what becomes of the rules.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Less severe rules are checked and then dropped.
    pub priority: Priority,
    /// Whether one event can raise several alerts.
    pub rule_matching: RuleMatching,
    /// Enables and disables rules, in order.
    pub selections: Vec<Selection>,
    /// Extends outputs, in order.
    pub append_output: Vec<AppendOutput>,
    /// Leaves the files after a bad one unread, as at start; `false` is for validation, which
    /// reports on every file.
    pub stop_at_first_error: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            priority: Priority::Debug,
            rule_matching: RuleMatching::First,
            selections: Vec::new(),
            append_output: Vec::new(),
            stop_at_first_error: true,
        }
    }
}
