//! Which rules files to read, and which of their rules to keep.

use std::path::PathBuf;

use rules_engine::{Priority, RuleMatching, Selection};

use super::schema::Shape;
use super::section::Section;

/// The rules part of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct RulesConfig {
    /// Files and directories, in order; `-r` replaces them.
    pub(crate) files: Vec<PathBuf>,
    /// Applied in order after loading, the last that fits a rule wins.
    pub(crate) selections: Vec<Selection>,
    /// Rules that are less severe are not loaded.
    pub(crate) priority: Priority,
    pub(crate) matching: RuleMatching,
}

impl RulesConfig {
    pub(super) fn read(root: &mut Section<'_, '_>) -> RulesConfig {
        let priorities = Shape::word_in_any_case(&[
            "emergency",
            "alert",
            "critical",
            "error",
            "warning",
            "notice",
            "info",
            "informational",
            "debug",
        ]);
        let strategies = Shape::word_in_any_case(&["first", "all"]);
        RulesConfig {
            files: read_files(root),
            selections: root.sections("rules", read_selection).into_iter().flatten().collect(),
            priority: root.parsed_as("priority", priorities, Priority::Debug, |text| {
                text.parse().map_err(|_| {
                    format!(
                        "Unknown priority \"{text}\"--must be one of emergency, alert, critical, \
                         error, warning, notice, informational, debug"
                    )
                })
            }),
            matching: root.parsed_as("rule_matching", strategies, RuleMatching::First, |text| {
                match text.to_ascii_lowercase().as_str() {
                    "first" => Ok(RuleMatching::First),
                    "all" => Ok(RuleMatching::All),
                    _ => Err(format!(
                        "Unknown rule matching strategy \"{text}\"--must be one of first, all"
                    )),
                }
            }),
        }
    }
}

fn read_files(root: &mut Section<'_, '_>) -> Vec<PathBuf> {
    let mut files = root.texts("rules_files");
    let old_files = root.texts("rules_file");
    if root.is_present("rules_file") {
        if root.is_present("rules_files") {
            root.problem("rules_file", "both 'rules_files' and 'rules_file' keys set");
        }
        root.findings().warning(
            "Using deprecated config key 'rules_file' (singular form). Please use new \
             'rules_files' config key (plural form).",
        );
        files.extend(old_files);
    }
    files.into_iter().map(PathBuf::from).collect()
}

fn read_selection(section: &mut Section<'_, '_>) -> Option<Selection> {
    let read = |section: &mut Section<'_, '_>, key, enable| {
        let (rule, tag) = section.section(key, |section| {
            let mut text = |key| section.optional_text(key).map(str::to_string);
            (text("rule"), text("tag"))
        });
        if section.is_present(key) && rule.is_none() && tag.is_none() {
            section.problem(key, "expected a `rule`, a `tag` or both");
        }
        (rule.is_some() || tag.is_some()).then_some(Selection { enable, rule, tag })
    };
    let enable = read(section, "enable", true);
    let disable = read(section, "disable", false);
    if section.is_present("enable") == section.is_present("disable") {
        section.problem("enable", "every item of `rules` needs either `enable` or `disable`");
    }
    enable.or(disable)
}
