//! What is probably wrong with rules that load without an error.

mod cost;
mod logic;
mod shadow;
#[cfg(test)]
mod tests;

use crate::anatomy::{Part, PartKind, Place, RuleAnatomy};
use crate::diagnostic::FileReport;
use crate::load::{EventSource, RuleMatching, Ruleset};
use crate::text::FileSpan;

use cost::{costly_order, is_unselective};
use logic::{Contradiction, Literal, Logic};

/// Something that the author of rules should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing it is, such as `shadowed-rule`.
    pub code: String,
    /// How much it matters.
    pub level: FindingLevel,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What can be done.
    pub help: Option<String>,
}

/// How much a [`Finding`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingLevel {
    /// Worth a thought.
    Note,
    /// Most likely a mistake.
    Warning,
    /// The rules do not load.
    Error,
}

impl FileReport {
    /// What loading said of the file.
    pub fn findings(&self) -> Vec<Finding> {
        self.errors
            .iter()
            .chain(&self.warnings)
            .map(|diagnostic| {
                let advice = &diagnostic.advice;
                let (file, span) = (diagnostic.context.file().clone(), diagnostic.context.span());
                let place = advice.place.clone().unwrap_or(FileSpan { file, span });
                let message = match &advice.title {
                    Some(title) => title.clone(),
                    None if diagnostic.message.is_empty() => {
                        diagnostic.code.short_text().to_owned()
                    }
                    None => diagnostic.message.clone(),
                };
                let is_error = diagnostic.code.is_error();
                Finding {
                    code: diagnostic.code.name().to_owned(),
                    level: if is_error { FindingLevel::Error } else { FindingLevel::Warning },
                    message,
                    place: Place::of(&place),
                    help: advice.help.clone(),
                }
            })
            .collect()
    }
}

impl Ruleset {
    /// Looks for what no error tells in the rules of a source. `matching` is how the rules will be run.
    pub fn lint(&self, source: &EventSource, matching: RuleMatching) -> Vec<Finding> {
        let anatomy = self.anatomy(source);
        let mut findings = Vec::new();
        let mut fitting = Vec::new();
        for rule in &anatomy.rules {
            let logic = Logic::new(&anatomy);
            let whole = Literal::of(&rule.condition);
            match logic.contradiction(whole) {
                Some(contradiction) => findings.push(never_true(rule, &contradiction)),
                None => fitting.push(rule),
            }
            self.check_output(rule, source, &mut findings);
            if let Some(part) = costly_order(&rule.condition, &anatomy) {
                findings.push(costly(rule, part));
            }
            if is_unselective(&rule.condition, &anatomy) {
                findings.push(unselective(rule));
            }
        }
        if matching == RuleMatching::First {
            let pairs = shadow::shadowed(&anatomy, &fitting).into_iter();
            findings.extend(pairs.map(|(rule, other)| shadowed(rule, other)));
        }
        findings.sort_by(|a, b| {
            (&a.place.file, a.place.line, a.place.column).cmp(&(
                &b.place.file,
                b.place.line,
                b.place.column,
            ))
        });
        findings
    }

    fn check_output(&self, rule: &RuleAnatomy, source: &EventSource, findings: &mut Vec<Finding>) {
        let defined = self.definitions.rules.get(&rule.rule.name);
        let output = defined.and_then(|defined| self.output(defined, &source.fields));
        let Some(output) = output else { return };
        let fields = output.template.fields();
        let finding = |code: &str, level, message: String, help: &str| Finding {
            code: code.to_owned(),
            level,
            message,
            place: rule.place.clone(),
            help: Some(help.to_owned()),
        };
        let name = &rule.rule.name;
        if fields.is_empty() {
            let message = format!("the output of rule `{name}` shows nothing of the event");
            let help = "add the fields that tell which event it was, such as who did what to what";
            findings.push(finding("output-without-fields", FindingLevel::Warning, message, help));
            return;
        }
        const USER: &str = "ka.user.name";
        let knows_users = source.fields.names().any(|field| field == USER);
        if knows_users
            && !fields
                .iter()
                .any(|field| field.text.starts_with("ka.user.") || field.text == "jevt.obj")
            && !is_given(&rule.condition, USER)
        {
            let message = format!("the output of rule `{name}` does not say who did it");
            let help = "add `user=%ka.user.name`: it is what a responder asks first";
            findings.push(finding("output-without-user", FindingLevel::Note, message, help));
        }
    }
}

/// Whether the condition pins the field to one value, so that the output need not show it.
fn is_given(part: &Part, field: &str) -> bool {
    match &part.kind {
        PartKind::And(parts) => parts.iter().any(|part| is_given(part, field)),
        PartKind::Macro(_, part) => is_given(part, field),
        PartKind::Comparison(_, text) => text.starts_with(&format!("{field} = ")),
        _ => false,
    }
}

fn never_true(rule: &RuleAnatomy, contradiction: &Contradiction<'_>) -> Finding {
    let name = &rule.rule.name;
    let place = |part: &Part| part.place.clone().unwrap_or_else(|| rule.place.clone());
    let (code, place, message, help) = match contradiction {
        Contradiction::Exception(exception, part) => (
            "exception-matches-everything",
            place(part),
            format!("exception `{exception}` matches everything that rule `{name}` does"),
            "the rule can never alert: narrow the exception",
        ),
        Contradiction::Empty(part) => (
            "never-true",
            place(part),
            format!(
                "rule `{name}` can never alert: `{}` is compared with nothing",
                part.short_text()
            ),
            "the list is empty: fill it, or switch the rule off until somebody does",
        ),
        Contradiction::Pair(one, other) => (
            "never-true",
            place(other.part),
            format!(
                "rule `{name}` can never alert: it asks for `{}` and `{}`",
                one.text(),
                other.text()
            ),
            "one of the two is a mistake, or `or` is meant",
        ),
    };
    let code = code.to_owned();
    Finding { code, level: FindingLevel::Warning, message, place, help: Some(help.to_owned()) }
}

fn costly(rule: &RuleAnatomy, part: &Part) -> Finding {
    Finding {
        code: "costly-order".to_owned(),
        level: FindingLevel::Note,
        message: format!(
            "in rule `{}`, `{}` costs more than what stands behind it",
            rule.rule.name,
            part.short_text()
        ),
        place: part.place.clone().unwrap_or_else(|| rule.place.clone()),
        help: Some(
            "move it to the end: parts are evaluated in order, up to the first that decides"
                .to_owned(),
        ),
    }
}

fn unselective(rule: &RuleAnatomy) -> Finding {
    Finding {
        code: "evaluated-for-every-event".to_owned(),
        level: FindingLevel::Note,
        message: format!("rule `{}` is evaluated for every event", rule.rule.name),
        place: rule.place.clone(),
        help: Some(
            "add a comparison that must hold of a field by `=` or `in`, such as the verb or the resource: \
             rules are found by these"
                .to_owned(),
        ),
    }
}

fn shadowed(rule: &RuleAnatomy, other: &RuleAnatomy) -> Finding {
    Finding {
        code: "shadowed-rule".to_owned(),
        level: FindingLevel::Warning,
        message: format!(
            "rule `{}` never alerts: whenever it matches, rule `{}` ({}:{}) does so first",
            rule.rule.name, other.rule.name, other.place.file, other.place.line
        ),
        place: rule.place.clone(),
        help: Some("put the narrower rule first, or run with `rule_matching: all`".to_owned()),
    }
}
