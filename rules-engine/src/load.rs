//! Loads rules files: text in, programs and reports out.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::detection::RuleInfo;
use crate::diagnostic::{Code, Context, Diagnostic, FileReport};
use crate::field::FieldCatalogue;
use crate::priority::Priority;
use crate::program::{Program, ProgramBuilder, RuleToCompile};
use crate::ruleset::{
    CheckedOutput, CheckedRule, Definitions, Findings, Rule, check_output, check_requirements,
    compile, read,
};
use crate::schema::SchemaStatus;
use crate::selection::select;
use crate::text::RulesText;

/// The version of the rules language; `required_engine_version` is compared with it.
pub const ENGINE_VERSION: &str = "0.63.0";

/// The source of rules that see system calls. There are no system calls here, so its rules can
/// name fields that do not exist.
pub(crate) const SYSCALL: &str = "syscall";

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

/// The outcome of loading.
#[derive(Debug)]
pub struct Load {
    /// One for each file that was read.
    pub reports: Vec<FileReport>,
    /// Whether the loaded plugins are those that the files require; else why not.
    pub requirements: Result<(), String>,
    /// The rules, if no file has an error.
    pub ruleset: Option<Ruleset>,
}

/// All rules, compiled.
#[derive(Debug)]
pub struct Ruleset {
    programs: FxHashMap<String, Arc<Program>>,
    rules: Vec<Arc<RuleInfo>>,
    pub(crate) definitions: Definitions,
    append_output: Vec<AppendOutput>,
}

impl Ruleset {
    /// The program for an event source, without rules if no file has any; `None` if the source is unknown.
    pub fn program(&self, source: &str) -> Option<Arc<Program>> {
        self.programs.get(source).cloned()
    }

    /// All rules in load order, inactive ones included.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Arc<RuleInfo>> {
        self.rules.iter()
    }

    /// The output of a rule that is loaded.
    pub(crate) fn output(&self, rule: &Rule, catalogue: &FieldCatalogue) -> Option<CheckedOutput> {
        // What there is to report was reported.
        check_output(rule, &self.append_output, catalogue, &mut Findings::default()).ok()
    }
}

/// Loads rules files in order. Each sees what earlier ones define, and must be right together with
/// them alone. Takes the files, whose texts are kept.
pub fn load(files: Vec<RulesFile>, environment: &Environment, settings: &Settings) -> Load {
    let mut definitions = Definitions::default();
    let mut reports = Vec::with_capacity(files.len());
    let mut builder = RulesetBuilder::new(&definitions, environment, settings);
    let mut is_successful = true;
    let count = files.len();
    for (position, file) in files.into_iter().enumerate() {
        let text = Arc::new(RulesText::new(file.name, file.content));
        let mut findings = Findings::default();
        let schema = read(&text, &mut definitions, &environment.sources, &mut findings);
        let mut skipped = Vec::new();
        // What is missing because it could not be read would only cause more errors.
        if findings.errors.is_empty() {
            builder = RulesetBuilder::new(&definitions, environment, settings);
            // Only when all files are read is it known what a rule says.
            let is_last = position + 1 == count;
            let mut take = |at: usize, rule: &Rule, checked| {
                if is_last {
                    builder.add(at, rule, checked);
                }
            };
            skipped = compile(&definitions, environment, settings, &mut findings, &mut take);
        }
        let report = report(&text, schema, &skipped, settings, findings);
        is_successful &= report.is_successful();
        reports.push(report);
        if !is_successful && settings.stop_at_first_error {
            break;
        }
    }
    let requirements = check_requirements(&definitions.plugin_requirements, &environment.plugins);
    let ruleset = is_successful.then(|| builder.finish(definitions));
    Load { reports, requirements, ruleset }
}

/// Validation warns of each rule about system calls, a start says in one line how many there are.
fn report(
    file: &Arc<RulesText>,
    schema: SchemaStatus,
    skipped: &[Context],
    settings: &Settings,
    mut findings: Findings,
) -> FileReport {
    let is_validation = !settings.stop_at_first_error;
    let mut skipped_syscall_rules = 0;
    for rule in skipped {
        if is_validation {
            let message = format!("Unknown source {SYSCALL}, skipping");
            findings.warning(Diagnostic::new(Code::UnknownSource, message, rule));
        } else if Arc::ptr_eq(rule.file(), file) {
            skipped_syscall_rules += 1;
        }
    }
    FileReport {
        name: file.name().to_owned(),
        errors: findings.errors,
        warnings: findings.warnings,
        warnings_before_error: findings.warnings_before_error,
        schema,
        skipped_syscall_rules,
    }
}

/// Puts rules together that were checked.
struct RulesetBuilder<'a> {
    environment: &'a Environment,
    matching: RuleMatching,
    /// Of each rule that is defined, among those that are active.
    ranks: Vec<Option<usize>>,
    rules: Vec<Arc<RuleInfo>>,
    append_output: Vec<AppendOutput>,
    /// One for each source.
    programs: Vec<ProgramBuilder<'a>>,
}

impl<'a> RulesetBuilder<'a> {
    fn new(definitions: &Definitions, environment: &'a Environment, settings: &Settings) -> Self {
        let sources = environment.sources.iter();
        RulesetBuilder {
            environment,
            matching: settings.rule_matching,
            ranks: select(definitions.rules.as_slice(), settings.priority, &settings.selections),
            rules: Vec::new(),
            append_output: settings.append_output.clone(),
            programs: sources.map(|source| ProgramBuilder::new(&source.fields)).collect(),
        }
    }

    /// Adds the rule that is defined at a position.
    fn add(&mut self, position: usize, rule: &Rule, checked: CheckedRule) {
        let CheckedRule { condition, output } = checked;
        let info = Arc::new(RuleInfo {
            name: rule.name.clone(),
            priority: rule.priority,
            source: rule.source.clone(),
            tags: Arc::clone(&rule.tags),
            position: self.rules.len(),
        });
        self.rules.push(Arc::clone(&info));
        let mut sources = self.environment.sources.iter();
        let source = sources.position(|source| source.name == rule.source);
        if let (Some(source), Some(rank)) = (source, self.ranks[position]) {
            let (output, extra_fields) = (output.template, output.extra_fields);
            let rule = RuleToCompile { info, condition, output, extra_fields };
            self.programs[source].add(rank, rule);
        }
    }

    fn finish(self, definitions: Definitions) -> Ruleset {
        let sources = self.environment.sources.iter().map(|source| &source.name);
        let programs = sources.zip(self.programs).map(|(source, program)| {
            (source.clone(), Arc::new(program.finish(source, self.matching)))
        });
        Ruleset {
            programs: programs.collect(),
            rules: self.rules,
            definitions,
            append_output: self.append_output,
        }
    }
}
