//! Whether a test's events raise the alerts that it expects.

use rules_engine::{Detection, RuleMatching};
use serde_json::Value;

use super::RuleTestError;
use super::coverage::Coverage;
use crate::config::{Expected, RuleTest};
use crate::explain::needed;
use crate::workbench::{Bench, Workbench};

/// A line about what is not as expected.
#[derive(Debug)]
pub(super) enum Line {
    /// Expected and not found.
    Missing(String),
    /// Found and not expected.
    Unexpected(String),
    /// Something that is the same on both sides, or a hint.
    Note(String),
}

/// Why a rule did not match is shown for so many events of a test.
const EXPLAINED_EVENTS: usize = 3;

/// Runs one test; what is returned is what is wrong.
///
/// # Errors
///
/// When the test names a source or a rule that does not exist.
pub(super) fn judge(
    test: &RuleTest,
    workbench: &mut Workbench,
    bench: &Bench,
    coverage: &mut Coverage,
) -> Result<Vec<Line>, RuleTestError> {
    let (place, event_source) = (test.place.clone(), test.source.clone());
    if !workbench.knows(&test.source) {
        return Err(RuleTestError::UnknownSource { place, event_source });
    }
    let names = test.expected.iter().map(|expected| &expected.rule).chain(&test.rule);
    for name in names {
        if bench.anatomy(&test.source).rule(name).is_none() {
            return Err(RuleTestError::UnknownRule { place, event_source, rule: name.clone() });
        }
    }
    let mut found = Vec::new();
    let mut all_verdicts = Vec::new();
    for event in &test.events {
        let mut detections = workbench.detections(bench, &test.source, event);
        match &test.rule {
            Some(rule) => detections.retain(|detection| detection.rule.name == *rule),
            None if workbench.matching == RuleMatching::First => detections.truncate(1),
            None => {}
        }
        found.append(&mut detections);
        let verdicts = workbench.verdicts(bench, &test.source, event);
        coverage.add_event(bench, &test.source, &verdicts);
        all_verdicts.push(verdicts);
    }
    let mut problems = differences(&test.expected, &found);
    for name in missing_rules(&test.expected, &found) {
        let Some(rule) = bench.anatomy(&test.source).rule(&name) else { continue };
        for (number, verdicts) in all_verdicts.iter().enumerate().take(EXPLAINED_EVENTS) {
            let lines = needed(&rule.condition, true, verdicts).lines(verdicts, 1);
            if !lines.is_empty() {
                problems.push(Line::Note(format!("{name} would match event {} with:", number + 1)));
                problems.extend(lines.into_iter().map(Line::Note));
            }
        }
    }
    if problems.is_empty() {
        coverage.add_test(test);
    }
    Ok(problems)
}

/// The names of rules that should have alerted more often than they did, each once.
fn missing_rules(expected: &[Expected], found: &[Detection]) -> Vec<String> {
    let mut names: Vec<String> = expected.iter().map(|one| one.rule.clone()).collect();
    names.sort();
    names.dedup();
    let wanted = |name: &str| expected.iter().filter(|one| one.rule == name).count();
    let raised = |name: &str| found.iter().filter(|one| one.rule.name == name).count();
    names.retain(|name| raised(name) < wanted(name));
    names
}

fn differences(expected: &[Expected], found: &[Detection]) -> Vec<Line> {
    let same_rules = expected.len() == found.len()
        && expected.iter().zip(found).all(|(one, detection)| one.rule == detection.rule.name);
    if same_rules {
        return expected.iter().zip(found).flat_map(|(one, found)| details(one, found)).collect();
    }
    let mut lines = Vec::new();
    let mut rest: Vec<&Detection> = found.iter().collect();
    for one in expected {
        match rest.iter().position(|detection| detection.rule.name == one.rule) {
            Some(position) => {
                rest.remove(position);
                lines.push(Line::Note(one.rule.clone()));
            }
            None => lines.push(Line::Missing(one.rule.clone())),
        }
    }
    for detection in &rest {
        let text = format!("{}: {}", detection.rule.name, detection.message.trim());
        lines.push(Line::Unexpected(text));
    }
    if expected.is_empty() {
        lines.insert(0, Line::Missing("no alert".to_owned()));
    } else if found.is_empty() {
        lines.push(Line::Unexpected("no alert".to_owned()));
    } else if expected.len() == found.len() && rest.is_empty() {
        let order: Vec<&str> = found.iter().map(|found| &*found.rule.name).collect();
        lines.push(Line::Unexpected(format!("in this order: {}", order.join(", "))));
    }
    lines
}

fn details(expected: &Expected, found: &Detection) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut compare = |key: &str, expected: String, found: String, is_same: bool| {
        if !is_same {
            lines.push(Line::Missing(format!("{key}: {expected}")));
            lines.push(Line::Unexpected(format!("{key}: {found}")));
        }
    };
    let message = found.message.trim();
    if let Some(output) = &expected.output {
        compare("output", output.clone(), message.to_owned(), output.trim() == message);
    }
    for part in &expected.output_contains {
        compare(
            "output",
            format!("… {part} …"),
            message.to_owned(),
            message.contains(part.as_str()),
        );
    }
    if let Some(priority) = &expected.priority {
        let is_same = priority.parse().is_ok_and(|priority| found.rule.priority == priority);
        compare("priority", priority.clone(), found.rule.priority.name().to_owned(), is_same);
    }
    for (name, value) in &expected.fields {
        let actual = found.fields.iter().find(|(known, _)| **known == **name);
        let actual = actual.map(|(_, value)| serde_json::json!(value));
        let (key, wanted) = (format!("fields.{name}"), plain(value));
        match actual {
            Some(actual) => compare(&key, wanted, plain(&actual), is_same_value(value, &actual)),
            None => compare(&key, wanted, "not among the fields of the output".to_owned(), false),
        }
    }
    if !lines.is_empty() {
        lines.insert(0, Line::Note(expected.rule.clone()));
    }
    lines
}

/// Fields are mostly text where YAML has numbers, so `201` and `"201"` are the same.
fn is_same_value(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Array(expected), Value::Array(actual)) => {
            let mut pairs = expected.iter().zip(actual);
            expected.len() == actual.len() && pairs.all(|(one, other)| is_same_value(one, other))
        }
        _ => plain(expected) == plain(actual),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
