//! Which part of a condition decided, and what would have to differ.

use rules_engine::{OutputValue, Part, PartKind, Verdict};
use serde_json::{Value, json};

/// What would turn a condition's answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Need {
    All(Vec<Need>),
    OneOf(Vec<Need>),
    /// This comparison must hold, or must not; its number and text.
    Comparison {
        must_hold: bool,
        number: usize,
        text: String,
    },
    Nothing,
}

/// The least that makes `part` hold, or not hold: parts that are as they should be are left out.
pub(crate) fn needed(part: &Part, must_hold: bool, verdicts: &[Verdict]) -> Need {
    if part.holds(verdicts) == must_hold {
        return Need::Nothing;
    }
    let of_children = |parts: &[Part]| -> Vec<Need> {
        let needs = parts.iter().map(|child| needed(child, must_hold, verdicts));
        needs.filter(|need| *need != Need::Nothing).collect()
    };
    match &part.kind {
        PartKind::Not(inner) => needed(inner, !must_hold, verdicts),
        PartKind::Macro(_, inner) | PartKind::Exception(_, inner) => {
            needed(inner, must_hold, verdicts)
        }
        PartKind::Comparison(number, text) => {
            Need::Comparison { must_hold, number: *number, text: text.clone() }
        }
        PartKind::And(parts) if must_hold => joined(of_children(parts), Need::All),
        PartKind::Or(parts) if !must_hold => joined(of_children(parts), Need::All),
        PartKind::And(parts) | PartKind::Or(parts) => joined(of_children(parts), Need::OneOf),
    }
}

/// Several needs as one, without one of the same kind in another.
fn joined(needs: Vec<Need>, join: fn(Vec<Need>) -> Need) -> Need {
    let kind = std::mem::discriminant(&join(Vec::new()));
    let mut flat = Vec::with_capacity(needs.len());
    for need in needs {
        let is_same_kind = std::mem::discriminant(&need) == kind;
        match need {
            Need::All(inner) | Need::OneOf(inner) if is_same_kind => flat.extend(inner),
            need => flat.push(need),
        }
    }
    if flat.len() == 1 { flat.swap_remove(0) } else { join(flat) }
}

impl Need {
    pub(crate) fn json(&self, verdicts: &[Verdict]) -> Value {
        let all = |needs: &[Need]| -> Vec<Value> {
            needs.iter().map(|need| need.json(verdicts)).collect()
        };
        match self {
            Need::All(needs) => json!({ "all": all(needs) }),
            Need::OneOf(needs) => json!({ "one_of": all(needs) }),
            Need::Comparison { must_hold, number, text } => {
                json!({ "comparison": text, "must_hold": must_hold, "value": verdicts[*number].left })
            }
            Need::Nothing => Value::Null,
        }
    }

    /// Lines for people, indented by `depth` steps.
    pub(crate) fn lines(&self, verdicts: &[Verdict], depth: usize) -> Vec<String> {
        let indent = "  ".repeat(depth);
        match self {
            Need::All(needs) => needs.iter().flat_map(|need| need.lines(verdicts, depth)).collect(),
            Need::OneOf(needs) => {
                let mut lines = vec![format!("{indent}one of:")];
                for need in needs {
                    // What must come together keeps together.
                    match need {
                        Need::All(_) => {
                            lines.push(format!("{indent}  all of:"));
                            lines.extend(need.lines(verdicts, depth + 2));
                        }
                        _ => lines.extend(need.lines(verdicts, depth + 1)),
                    }
                }
                lines
            }
            Need::Comparison { must_hold, number, text } => {
                let not = if *must_hold { "" } else { "not " };
                vec![format!("{indent}{not}{text}   {}", values_text(text, &verdicts[*number]))]
            }
            Need::Nothing => Vec::new(),
        }
    }
}

/// The way to the part that decided: macros and exceptions by name, then the comparison.
///
/// Where several parts decided together, as when all parts of an `and` hold, there is no such way.
pub(super) fn decided_by(part: &Part, verdicts: &[Verdict]) -> Vec<String> {
    let mut path = Vec::new();
    let mut part = part;
    loop {
        let holds = part.holds(verdicts);
        part = match &part.kind {
            PartKind::Not(inner) => inner,
            PartKind::Macro(name, inner) => {
                path.push(format!("macro {name}"));
                inner
            }
            PartKind::Exception(name, inner) => {
                path.push(format!("exception {name}"));
                inner
            }
            PartKind::Comparison(_, text) => {
                path.push(text.clone());
                return path;
            }
            PartKind::And(parts) | PartKind::Or(parts) => {
                let one_decides = holds == matches!(part.kind, PartKind::Or(_));
                match parts.iter().find(|child| child.holds(verdicts) == holds) {
                    Some(child) if one_decides || parts.len() == 1 => child,
                    _ => return path,
                }
            }
        };
    }
}

/// `ka.verb is get`
pub(super) fn values_text(comparison: &str, verdict: &Verdict) -> String {
    let left = comparison.split(' ').next().unwrap_or_default();
    let mut text = match &verdict.left {
        OutputValue::Missing => format!("{left} is missing"),
        value => format!("{left} is {}", value_text(value)),
    };
    match &verdict.right {
        None => {}
        Some(OutputValue::Missing) => text += ", the right side is missing",
        Some(value) => text += &format!(", the right side is {}", value_text(value)),
    }
    text
}

/// A value, short enough for a line.
fn value_text(value: &OutputValue) -> String {
    const LONGEST: usize = 120;
    let text = match value {
        OutputValue::Missing => "missing".to_owned(),
        value => serde_json::to_string(value).expect("values have no error paths"),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
