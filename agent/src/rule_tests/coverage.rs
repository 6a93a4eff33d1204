//! Which rules, exceptions and comparisons the tests have made true and false.

use std::collections::BTreeMap;
use std::sync::Arc;

use rules_engine::{Part, PartKind, Place, Priority, Verdict};
use serde_json::{Value, json};

use crate::cli::CoverageFormat;
use crate::config::RuleTest;
use crate::workbench::{Bench, Workbench};

/// What the tests have shown so far, of the rules of all files.
#[derive(Default)]
pub(super) struct Coverage {
    /// By file and line, so in the order of the files.
    rules: BTreeMap<(String, usize), CoveredRule>,
}

struct CoveredRule {
    name: String,
    source: String,
    priority: Priority,
    tags: Arc<[String]>,
    place: Place,
    alerting_tests: usize,
    silent_tests: usize,
    branches: Vec<Branch>,
}

/// A comparison or an exception.
struct Branch {
    text: String,
    was_true: bool,
    was_false: bool,
}

impl Coverage {
    /// Makes rules known, so that those without a test are missed.
    pub(super) fn add_rules(&mut self, workbench: &Workbench, bench: &Bench) {
        for source in workbench.sources() {
            for rule in &bench.anatomy(source).rules {
                let key = (rule.place.file.clone(), rule.place.line);
                self.rules.entry(key).or_insert_with(|| CoveredRule {
                    name: rule.rule.name.clone(),
                    source: source.to_owned(),
                    priority: rule.rule.priority,
                    tags: rule.rule.tags.clone(),
                    place: rule.place.clone(),
                    alerting_tests: 0,
                    silent_tests: 0,
                    branches: branches(&rule.condition)
                        .map(|(text, _)| Branch { text, was_true: false, was_false: false })
                        .collect(),
                });
            }
        }
    }

    /// Notes what every branch said of an event.
    pub(super) fn add_event(&mut self, bench: &Bench, source: &str, verdicts: &[Verdict]) {
        for rule in &bench.anatomy(source).rules {
            let key = (rule.place.file.clone(), rule.place.line);
            let Some(covered) = self.rules.get_mut(&key) else { continue };
            for (branch, (_, part)) in covered.branches.iter_mut().zip(branches(&rule.condition)) {
                match part.holds(verdicts) {
                    true => branch.was_true = true,
                    false => branch.was_false = true,
                }
            }
        }
    }

    /// Notes a test that passed.
    pub(super) fn add_test(&mut self, test: &RuleTest) {
        for rule in self.rules.values_mut().filter(|rule| rule.source == test.source) {
            if test.expected.iter().any(|expected| expected.rule == rule.name) {
                rule.alerting_tests += 1;
            } else if test.rule.as_ref() == Some(&rule.name) {
                rule.silent_tests += 1;
            }
        }
    }

    /// A line for each rule that lacks a test.
    pub(super) fn rules_without_tests(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for rule in self.rules.values() {
            let missing = match (rule.alerting_tests, rule.silent_tests) {
                (0, 0) => "no test",
                (0, _) => "no test in which it alerts",
                (_, 0) => "no test in which it is silent",
                _ => continue,
            };
            let Place { file, line, .. } = &rule.place;
            lines.push(format!("{file}:{line}: rule '{}' has {missing}", rule.name));
        }
        lines
    }

    pub(super) fn shown(&self, format: CoverageFormat) -> String {
        match format {
            CoverageFormat::Text => self.text(),
            CoverageFormat::Markdown => self.markdown(),
        }
    }

    fn text(&self) -> String {
        let branches = || self.rules.values().flat_map(|rule| &rule.branches);
        let full = branches().filter(|branch| branch.was_true && branch.was_false).count();
        let tested = self.rules.len() - self.rules_without_tests().len();
        let mut text = format!(
            "\nCoverage: {tested} of {} rules have a test in which they alert and one in which they are silent; \
             {full} of {} comparisons and exceptions were true and false.\n",
            self.rules.len(),
            branches().count()
        );
        for line in self.rules_without_tests() {
            text += &format!("{line}\n");
        }
        for rule in self.rules.values() {
            for branch in &rule.branches {
                let never = match (branch.was_true, branch.was_false) {
                    (true, true) => continue,
                    (true, false) => "never false",
                    (false, true) => "never true",
                    (false, false) => "never evaluated",
                };
                let Place { file, line, .. } = &rule.place;
                text += &format!("{file}:{line}: {}: {never}: {}\n", rule.name, branch.text);
            }
        }
        text
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        let mut file = None;
        for rule in self.rules.values() {
            if file != Some(&rule.place.file) {
                file = Some(&rule.place.file);
                let name = rule.place.file.rsplit('/').next().unwrap_or_default();
                text += &format!("\n### {name}\n\n");
                text +=
                    "| rule | ATT&CK | priority | tests: alert | silent |\n|---|---|---|---|---|\n";
            }
            let CoveredRule { name, priority, alerting_tests, silent_tests, .. } = rule;
            let techniques = techniques(&rule.tags).join(", ");
            text += &format!(
                "| {name} | {techniques} | {} | {alerting_tests} | {silent_tests} |\n",
                priority.name()
            );
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let rules = self.rules.values().map(|rule| {
            let branches = rule.branches.iter().map(|branch| {
                json!({ "text": branch.text, "true": branch.was_true, "false": branch.was_false })
            });
            json!({
                "rule": rule.name,
                "file": rule.place.file,
                "line": rule.place.line,
                "alerting_tests": rule.alerting_tests,
                "silent_tests": rule.silent_tests,
                "branches": branches.collect::<Vec<_>>(),
            })
        });
        Value::Array(rules.collect())
    }
}

/// `T1611`, `T1098.006`, …
fn techniques(tags: &[String]) -> Vec<&str> {
    let is_technique = |tag: &&str| {
        let digits = tag.strip_prefix('T').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    tags.iter().map(String::as_str).filter(is_technique).collect()
}

/// The comparisons and exceptions of a condition, in order.
fn branches(part: &Part) -> Box<dyn Iterator<Item = (String, &Part)> + '_> {
    let own = match &part.kind {
        PartKind::Comparison(_, text) => Some((text.clone(), part)),
        PartKind::Exception(name, _) => Some((format!("exception {name}"), part)),
        _ => None,
    };
    Box::new(own.into_iter().chain(part.children().iter().flat_map(branches)))
}
