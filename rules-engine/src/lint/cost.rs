//! What conditions cost.

use crate::anatomy::{Anatomy, Part, PartKind};
use crate::condition::ast::Operator;
use crate::condition::typed::{Comparison, Expression, Test, TypedAst};

/// Fields that are the whole event as text.
const WHOLE_EVENT: [&str; 3] = ["jevt.obj", "json.obj", "evt.plugininfo"];

/// The first expensive part of an `and` behind which a cheap comparison stands.
pub(super) fn costly_order<'a>(part: &'a Part, anatomy: &Anatomy) -> Option<&'a Part> {
    if let PartKind::And(parts) = &part.kind {
        for (position, one) in parts.iter().enumerate() {
            let followed_by_cheap =
                || parts[position + 1..].iter().any(|other| is_cheap(other, anatomy));
            if is_costly(one, anatomy) && followed_by_cheap() {
                return Some(one);
            }
        }
    }
    part.children().iter().find_map(|child| costly_order(child, anatomy))
}

fn comparison<'a>(part: &Part, anatomy: &'a Anatomy) -> Option<&'a Comparison> {
    match &part.kind {
        PartKind::Comparison(number, _) => match &anatomy.comparisons[*number] {
            TypedAst::Check(comparison) => Some(comparison),
            _ => None,
        },
        PartKind::Not(inner) | PartKind::Macro(_, inner) => comparison(inner, anatomy),
        _ => None,
    }
}

/// A regular expression, or a search through the whole event.
fn is_costly(part: &Part, anatomy: &Anatomy) -> bool {
    let Some(Comparison { left, test }) = comparison(part, anatomy) else { return false };
    let is_regex = match test {
        Test::Constant { operator, .. } | Test::Modified { operator, .. } => {
            *operator == Operator::Regex
        }
        _ => false,
    };
    let is_whole_event =
        matches!(left, Expression::Field(field) if WHOLE_EVENT.contains(&field.text.as_str()));
    is_regex || is_whole_event
}

fn is_cheap(part: &Part, anatomy: &Anatomy) -> bool {
    comparison(part, anatomy).is_some_and(is_equality)
}

/// Whether nothing that must hold is an equality, by which the engine finds rules.
pub(super) fn is_unselective(condition: &Part, anatomy: &Anatomy) -> bool {
    !selects(condition, anatomy)
}

fn selects(part: &Part, anatomy: &Anatomy) -> bool {
    match &part.kind {
        PartKind::And(parts) => parts.iter().any(|part| selects(part, anatomy)),
        PartKind::Or(parts) => parts.iter().all(|part| selects(part, anatomy)),
        PartKind::Macro(_, inner) => selects(inner, anatomy),
        PartKind::Not(_) | PartKind::Exception(..) => false,
        PartKind::Comparison(..) => comparison(part, anatomy).is_some_and(is_equality),
    }
}

fn is_equality(comparison: &Comparison) -> bool {
    match &comparison.test {
        Test::Constant { operator: Operator::Equal { .. }, .. } => true,
        Test::Set { operator: Operator::In, .. } => !comparison.left.is_list(),
        _ => false,
    }
}
