//! Evaluates a typed condition as its definition says: nothing shared, nothing kept, no index.

use super::{Fields, OwnedValue};
use crate::condition::ast::{Modifier, Operator, Transformer};
use crate::condition::typed::{Comparison, Constant, Expression, Test, TypedAst};
use crate::field::FieldType;

pub(super) fn holds(condition: &TypedAst, event: &Fields) -> bool {
    match condition {
        TypedAst::And(parts) => parts.iter().all(|part| holds(part, event)),
        TypedAst::Or(parts) => parts.iter().any(|part| holds(part, event)),
        TypedAst::Not(inner) => !holds(inner, event),
        TypedAst::Check(comparison) => {
            values(&comparison.left, event).is_some_and(|left| matches(comparison, &left, event))
        }
    }
}

fn matches(comparison: &Comparison, left: &[OwnedValue], event: &Fields) -> bool {
    match &comparison.test {
        Test::Exists => true,
        Test::Constant { operator, constant } => compare(*operator, &left[0], &owned(constant)),
        Test::Modified { operator, modifier, constants } => {
            let matching = constants
                .iter()
                .filter(|constant| compare(*operator, &left[0], &owned(constant)))
                .count();
            match modifier {
                Modifier::OneOf => matching == 1,
                Modifier::AnyOf => matching > 0,
                Modifier::AllOf => matching > 0 && matching == constants.len(),
            }
        }
        Test::Set { operator, constants } => {
            let constants: Vec<_> = constants.iter().map(owned).collect();
            matches_set(*operator, left, &constants)
        }
        Test::Expression { operator, right } => match values(right, event) {
            Some(right) if matches!(operator, Operator::In | Operator::Intersects) => {
                matches_set(*operator, left, &right)
            }
            Some(right) => compare(*operator, &left[0], &right[0]),
            None => false,
        },
    }
}

fn matches_set(operator: Operator, left: &[OwnedValue], right: &[OwnedValue]) -> bool {
    match operator {
        Operator::In => left.iter().all(|value| right.contains(value)),
        Operator::Intersects => left.iter().any(|value| right.contains(value)),
        _ => panic!("{operator:?} takes no set"),
    }
}

fn compare(operator: Operator, left: &OwnedValue, right: &OwnedValue) -> bool {
    match operator {
        Operator::Equal { .. } => left == right,
        Operator::NotEqual => left != right,
        Operator::Less => left < right,
        Operator::Contains => text(left).contains(text(right)),
        Operator::StartsWith => text(left).starts_with(text(right)),
        _ => panic!("the tests do not use {operator:?}"),
    }
}

fn text(value: &OwnedValue) -> &str {
    match value {
        OwnedValue::String(text) => std::str::from_utf8(text).unwrap(),
        _ => panic!("{value:?} is no text"),
    }
}

fn owned(constant: &Constant) -> OwnedValue {
    match constant {
        Constant::Text(text) => OwnedValue::String(text.clone()),
        Constant::Number(number) => OwnedValue::Number(*number),
        Constant::Bool(truth) => OwnedValue::Bool(*truth),
        Constant::Address(std::net::IpAddr::V4(address)) => {
            OwnedValue::Address(address.octets().to_vec())
        }
        Constant::Address(std::net::IpAddr::V6(address)) => {
            OwnedValue::Address(address.octets().to_vec())
        }
        Constant::Network { .. } => panic!("the tests do not use networks"),
    }
}

fn values(expression: &Expression, event: &Fields) -> Option<Vec<OwnedValue>> {
    match expression {
        Expression::Field(field) => event.get(&field.text).cloned(),
        Expression::Constant(text) => Some(vec![OwnedValue::String(text.clone())]),
        Expression::List(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| values(item, event)).collect();
            Some(items?.concat())
        }
        Expression::Transformed(transformed) => {
            let arguments: Option<Vec<_>> =
                transformed.arguments.iter().map(|argument| values(argument, event)).collect();
            let arguments = arguments?;
            let text_by_text = |change: fn(&str) -> String| {
                arguments[0].iter().map(|value| string(change(text(value)))).collect()
            };
            Some(match transformed.transformer {
                Transformer::ToLower => text_by_text(str::to_ascii_lowercase),
                Transformer::ToUpper => text_by_text(str::to_ascii_uppercase),
                Transformer::Len if transformed.arguments[0].is_list() => {
                    vec![OwnedValue::Number(arguments[0].len() as u64)]
                }
                Transformer::Len => vec![OwnedValue::Number(text(&arguments[0][0]).len() as u64)],
                Transformer::Concat => {
                    vec![string(arguments.iter().map(|argument| text(&argument[0])).collect())]
                }
                Transformer::Join => {
                    let items: Vec<_> = arguments[1].iter().map(text).collect();
                    vec![string(items.join(text(&arguments[0][0])))]
                }
                transformer => panic!("the tests do not use {transformer:?}"),
            })
        }
    }
}

fn string(text: String) -> OwnedValue {
    OwnedValue::String(text.into_bytes())
}

/// The type of what an expression yields, for whoever builds conditions at random.
pub(super) fn kind(expression: &Expression) -> FieldType {
    match expression {
        Expression::Field(field) => field.kind,
        Expression::Transformed(transformed) => transformed.kind,
        Expression::Constant(_) | Expression::List(_) => FieldType::String,
    }
}
