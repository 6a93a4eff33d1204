//! One comparison, shared by all rules that contain it.

use crate::condition::ast::{Modifier, Operator};
use crate::condition::typed::{Expression, Test};
use crate::field::Value;
use crate::operator::{Matcher, compare};
use crate::program::ExpressionId;
use crate::program::values::{ValueRange, ValueStore};

/// One comparison. It is false whenever a side has no value.
#[derive(Debug)]
pub(super) struct Predicate {
    pub(super) left: ExpressionId,
    pub(super) test: CompiledTest,
}

/// What is asked of the left side, with constants in the form that is quickest to test.
#[derive(Debug)]
pub(super) enum CompiledTest {
    Exists,
    /// There is a value that matches. All tests of single values are of this kind.
    Some(Matcher),
    /// All values of a list match.
    Every(Matcher),
    /// So many of the constants match a single value.
    Modified(Modifier, Box<[Matcher]>),
    /// Against the values of another expression.
    Expression(Operator, ExpressionId),
}

impl CompiledTest {
    pub(super) fn new(
        left_is_list: bool,
        test: &Test,
        mut intern: impl FnMut(&Expression) -> ExpressionId,
    ) -> CompiledTest {
        match test {
            Test::Exists => CompiledTest::Exists,
            Test::Constant { operator, constant } => {
                CompiledTest::Some(Matcher::new(*operator, constant))
            }
            Test::Modified { operator: Operator::Equal { .. }, modifier, constants }
                if *modifier == Modifier::AnyOf && !constants.is_empty() =>
            {
                CompiledTest::Some(Matcher::set(Operator::In, constants))
            }
            Test::Modified { operator, modifier, constants } => {
                let matchers = constants.iter().map(|constant| Matcher::new(*operator, constant));
                CompiledTest::Modified(*modifier, matchers.collect())
            }
            Test::Set { operator: Operator::In, constants } if left_is_list => {
                CompiledTest::Every(Matcher::set(Operator::In, constants))
            }
            Test::Set { operator, constants } => {
                CompiledTest::Some(Matcher::set(*operator, constants))
            }
            Test::Expression { operator, right } => {
                CompiledTest::Expression(*operator, intern(right))
            }
        }
    }
}

/// Whether so many of the matchers match the value; never if there are none.
pub(super) fn matches_modified(modifier: Modifier, matchers: &[Matcher], value: Value<'_>) -> bool {
    let mut matching = matchers.iter().filter(|matcher| matcher.matches(value));
    match modifier {
        Modifier::AnyOf => matching.next().is_some(),
        Modifier::OneOf => matching.next().is_some() && matching.next().is_none(),
        Modifier::AllOf => !matchers.is_empty() && matching.count() == matchers.len(),
    }
}

/// Compares the values of two expressions of the same type, single values or lists.
pub(super) fn matches_values(
    operator: Operator,
    store: &ValueStore,
    left: ValueRange,
    right: ValueRange,
) -> bool {
    let mut left = store.get(left);
    let mut right = store.get(right);
    let equal = Operator::Equal { doubled: false };
    let is_on_the_right = |value| right.clone().any(|other| compare(equal, value, other));
    match operator {
        Operator::In => left.all(is_on_the_right),
        Operator::Intersects => left.any(is_on_the_right),
        _ => match (left.next(), right.next()) {
            (Some(value), Some(other)) => compare(operator, value, other),
            _ => false,
        },
    }
}
