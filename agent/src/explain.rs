//! `shikra explain`: why a rule matches an event, or why it does not.

mod reason;
mod text;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rules_engine::{Part, PartKind, RuleAnatomy, RuleMatching, Verdict};
use serde_json::{Value, json};

use crate::app::AppError;
use crate::cli::{Cli, ExplainArguments};
use crate::commands;
use crate::config::{EventsError, parse_events, read_events};
use crate::workbench::Workbench;

pub(crate) use reason::needed;

use reason::decided_by;

/// Why there is nothing to explain.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExplainError {
    #[error("no loaded plugin makes events of source '{0}'")]
    UnknownSource(String),
    #[error("cannot read standard input")]
    Stdin(#[source] io::Error),
    #[error(transparent)]
    Events(#[from] EventsError),
    #[error("{}: there is no event {number}, but {count} in all", path.display())]
    NoSuchEvent { path: PathBuf, number: usize, count: usize },
}

/// What there is to say of one rule and one event.
struct Explanation<'a> {
    rule: &'a RuleAnatomy,
    matches: bool,
    verdicts: &'a [Verdict],
    /// The rules before it, and whether each matches.
    earlier: Vec<(&'a RuleAnatomy, bool)>,
    matching: RuleMatching,
}

/// Explains the rule that is named, or else all that match.
///
/// # Errors
///
/// When the configuration, the rules or the event cannot be used, or there is no such rule.
pub(crate) fn run(cli: &Cli, arguments: &ExplainArguments) -> Result<(), AppError> {
    let mut workbench = Workbench::open(cli)?;
    let bench = workbench.load(&workbench.rules_files()?)?;
    let source = &arguments.source;
    if !workbench.knows(source) {
        return Err(ExplainError::UnknownSource(source.clone()).into());
    }
    let event = event(&arguments.event, arguments.number)?;
    let verdicts = workbench.verdicts(&bench, source, &event);
    let anatomy = bench.anatomy(source);
    let matches = |rule: &RuleAnatomy| rule.condition.holds(&verdicts);
    let wanted: Vec<&RuleAnatomy> = match &arguments.rule {
        Some(name) => {
            vec![anatomy.rule(name).ok_or_else(|| AppError::NoSuchRule(name.clone()))?]
        }
        None => anatomy.rules.iter().filter(|rule| matches(rule)).collect(),
    };
    let explanations: Vec<Explanation<'_>> = wanted
        .into_iter()
        .map(|rule| Explanation {
            rule,
            matches: matches(rule),
            verdicts: &verdicts,
            earlier: (anatomy.rules.iter())
                .take_while(|other| other.rule.position < rule.rule.position)
                .map(|other| (other, matches(other)))
                .collect(),
            matching: workbench.matching,
        })
        .collect();
    if arguments.json {
        let explained: Vec<Value> = explanations.iter().map(Explanation::json).collect();
        return commands::print(&format!("{}\n", json!({ "rules": explained })));
    }
    if explanations.is_empty() {
        return commands::print(
            "No rule matches this event. `--rule NAME` shows what keeps one from it.\n",
        );
    }
    let texts: Vec<String> = explanations.iter().map(Explanation::text).collect();
    commands::print(&texts.join("\n"))
}

/// The event with this number in a file, or on standard input.
fn event(path: &Path, number: usize) -> Result<Value, ExplainError> {
    let events = if path == Path::new("-") {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).map_err(ExplainError::Stdin)?;
        parse_events(&text, "standard input")
    } else {
        read_events(path)
    }?;
    let count = events.len();
    let chosen = number.checked_sub(1).and_then(|index| events.into_iter().nth(index));
    chosen.ok_or_else(|| ExplainError::NoSuchEvent { path: path.to_owned(), number, count })
}

impl Explanation<'_> {
    fn json(&self) -> Value {
        let earlier: Vec<Value> = self
            .earlier
            .iter()
            .map(|(rule, matches)| {
                json!({
                    "rule": rule.rule.name,
                    "matches": matches,
                    "decided_by": decided_by(&rule.condition, self.verdicts),
                })
            })
            .collect();
        json!({
            "rule": self.rule.rule.name,
            "file": self.rule.place.file,
            "line": self.rule.place.line,
            "matches": self.matches,
            "alerts": self.alerts(),
            "condition": part_json(&self.rule.condition, self.verdicts),
            "decided_by": decided_by(&self.rule.condition, self.verdicts),
            "would_differ": needed(&self.rule.condition, !self.matches, self.verdicts).json(self.verdicts),
            "earlier": earlier,
        })
    }

    /// Whether the match raises an alert: with `rule_matching: first` only that of the first rule does.
    fn alerts(&self) -> bool {
        let is_beaten = self.matching == RuleMatching::First
            && self.earlier.iter().any(|(_, matches)| *matches);
        self.matches && !is_beaten
    }
}

fn part_json(part: &Part, verdicts: &[Verdict]) -> Value {
    let children = || -> Vec<Value> {
        part.children().iter().map(|child| part_json(child, verdicts)).collect()
    };
    let holds = part.holds(verdicts);
    let mut value = match &part.kind {
        PartKind::And(_) => json!({ "and": children(), "holds": holds }),
        PartKind::Or(_) => json!({ "or": children(), "holds": holds }),
        PartKind::Not(inner) => json!({ "not": part_json(inner, verdicts), "holds": holds }),
        PartKind::Macro(name, inner) => {
            json!({ "macro": name, "is": part_json(inner, verdicts), "holds": holds })
        }
        PartKind::Exception(name, inner) => {
            json!({ "exception": name, "is": part_json(inner, verdicts), "holds": holds })
        }
        PartKind::Comparison(number, text) => {
            let verdict = &verdicts[*number];
            let mut value = json!({ "comparison": text, "value": verdict.left, "holds": holds });
            if let Some(right) = &verdict.right {
                value["other_value"] = json!(right);
            }
            value
        }
    };
    if let Some(place) = &part.place {
        value["place"] = json!(format!("{}:{}:{}", place.file, place.line, place.column));
    }
    value
}
