//! What an event must have for a condition to be true.

use std::collections::{BTreeMap, BTreeSet};

use crate::condition::ast::{Modifier, Operator};
use crate::condition::typed::{Comparison, Constant, Expression, Test, TypedAst};
use crate::program::ExpressionId;

/// Larger sets would be copied into the index more often than they save evaluations.
const MOST_VALUES: usize = 64;

/// A value in the form in which the index looks it up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// A string, or an address in network order.
    Bytes(Vec<u8>),
    /// A number, a time, or a truth value.
    Number(u64),
}

/// What an event must have for a condition to be true: each expression has one of its values.
///
/// It follows from the condition but says less, so an event that meets it need not match. An
/// expression that is not listed may have any value or none. One with an empty set can never be
/// met, and neither can its condition.
///
/// Only what must hold counts: everything under an odd number of `not`s is left out, because a
/// missing value makes it true. Only single values count: a list may hold a demanded value among
/// others, and lists would need one look-up for each of their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requirement(pub(super) BTreeMap<ExpressionId, BTreeSet<Key>>);

impl Requirement {
    /// Derives the requirement of `condition`.
    pub(super) fn of(
        condition: &TypedAst,
        intern: &mut dyn FnMut(&Expression) -> ExpressionId,
    ) -> Requirement {
        Requirement::of_signed(condition, false, intern)
    }

    fn of_signed(
        condition: &TypedAst,
        is_negated: bool,
        intern: &mut dyn FnMut(&Expression) -> ExpressionId,
    ) -> Requirement {
        let (parts, all_must_hold) = match condition {
            TypedAst::Check(comparison) if !is_negated => {
                return Requirement::of_comparison(comparison, intern);
            }
            TypedAst::Check(_) => return Requirement::default(),
            TypedAst::Not(inner) => return Requirement::of_signed(inner, !is_negated, intern),
            TypedAst::And(parts) => (parts, !is_negated),
            TypedAst::Or(parts) => (parts, is_negated),
        };
        let parts = parts.iter().map(|part| Requirement::of_signed(part, is_negated, intern));
        let combine = if all_must_hold { Requirement::and } else { Requirement::or };
        parts.reduce(combine).unwrap_or_default()
    }

    fn of_comparison(
        comparison: &Comparison,
        intern: &mut dyn FnMut(&Expression) -> ExpressionId,
    ) -> Requirement {
        if comparison.left.is_list() {
            return Requirement::default();
        }
        let constants = match &comparison.test {
            Test::Constant { operator: Operator::Equal { .. }, constant } => {
                std::slice::from_ref(constant)
            }
            // Each modifier asks for a value that equals at least one of the constants.
            Test::Modified {
                operator: Operator::Equal { .. },
                modifier: Modifier::OneOf | Modifier::AnyOf | Modifier::AllOf,
                constants,
            } => constants,
            Test::Set { operator: Operator::In | Operator::Intersects, constants } => constants,
            _ => return Requirement::default(),
        };
        if constants.len() > MOST_VALUES {
            return Requirement::default();
        }
        match constants.iter().map(key_of).collect::<Option<BTreeSet<_>>>() {
            Some(keys) => Requirement(BTreeMap::from([(intern(&comparison.left), keys)])),
            None => Requirement::default(),
        }
    }

    fn and(mut self, other: Requirement) -> Requirement {
        for (expression, keys) in other.0 {
            self.0
                .entry(expression)
                .and_modify(|known| known.retain(|key| keys.contains(key)))
                .or_insert(keys);
        }
        self
    }

    fn or(mut self, mut other: Requirement) -> Requirement {
        if self.can_never_be_met() {
            return other;
        }
        if other.can_never_be_met() {
            return self;
        }
        self.0.retain(|expression, keys| match other.0.get_mut(expression) {
            Some(others) => {
                keys.append(others);
                keys.len() <= MOST_VALUES
            }
            None => false,
        });
        self
    }

    /// Whether no event can match.
    pub(super) fn can_never_be_met(&self) -> bool {
        self.0.values().any(BTreeSet::is_empty)
    }
}

/// `None` for a network, which many addresses match.
fn key_of(constant: &Constant) -> Option<Key> {
    match constant {
        Constant::Text(text) => Some(Key::Bytes(text.clone())),
        Constant::Number(number) => Some(Key::Number(*number)),
        Constant::Bool(truth) => Some(Key::Number(u64::from(*truth))),
        Constant::Address(std::net::IpAddr::V4(address)) => {
            Some(Key::Bytes(address.octets().to_vec()))
        }
        Constant::Address(std::net::IpAddr::V6(address)) => {
            Some(Key::Bytes(address.octets().to_vec()))
        }
        Constant::Network { .. } => None,
    }
}
