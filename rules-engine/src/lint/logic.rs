//! What follows from a condition, as far as it can be told without an event.
//!
//! All answers are on the safe side: `implies` is true only if it is so for every event.

use crate::anatomy::{Anatomy, Part, PartKind};
use crate::condition::ast::{Modifier, Operator};
use crate::condition::typed::{Comparison, Constant, Expression, Test, TypedAst};
use crate::field::{FieldType, Value};
use crate::operator::Matcher;

/// A part of a condition, or its opposite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literal<'a> {
    pub(super) part: &'a Part,
    negated: bool,
}

/// Why a condition never holds.
pub(super) enum Contradiction<'a> {
    /// A comparison with an empty list.
    Empty(&'a Part),
    /// Two parts that exclude each other.
    Pair(Literal<'a>, Literal<'a>),
    /// An exception that holds whenever the rest does.
    Exception(&'a str, &'a Part),
}

/// A field and one value that it may have.
pub(super) type FieldValue<'a> = (&'a Expression, &'a Constant);

/// How a literal is made up.
enum Shape<'a> {
    All(Vec<Literal<'a>>),
    Any(Vec<Literal<'a>>),
    Comparison(usize),
}

pub(super) struct Logic<'a> {
    comparisons: &'a [TypedAst],
}

impl<'a> Literal<'a> {
    pub(super) fn of(part: &'a Part) -> Self {
        Literal { part, negated: false }
    }

    fn opposite(self) -> Self {
        Literal { negated: !self.negated, ..self }
    }

    pub(super) fn text(&self) -> String {
        let not = if self.negated { "not " } else { "" };
        format!("{not}{}", self.part.short_text())
    }

    fn shape(self) -> Shape<'a> {
        let all = |parts: &'a [Part]| {
            parts.iter().map(|part| Literal { part, negated: self.negated }).collect()
        };
        match &self.part.kind {
            PartKind::Not(inner) => Literal { part: inner, negated: !self.negated }.shape(),
            PartKind::Macro(_, inner) | PartKind::Exception(_, inner) => {
                Literal { part: inner, negated: self.negated }.shape()
            }
            PartKind::And(parts) if self.negated => Shape::Any(all(parts)),
            PartKind::Or(parts) if !self.negated => Shape::Any(all(parts)),
            PartKind::And(parts) | PartKind::Or(parts) => Shape::All(all(parts)),
            PartKind::Comparison(number, _) => Shape::Comparison(*number),
        }
    }

    /// Whether the comparison at its core is asked to fail.
    fn is_denied(self) -> bool {
        match &self.part.kind {
            PartKind::Not(inner) => Literal { part: inner, negated: !self.negated }.is_denied(),
            PartKind::Macro(_, inner) | PartKind::Exception(_, inner) => {
                Literal { part: inner, negated: self.negated }.is_denied()
            }
            _ => self.negated,
        }
    }

    /// Parts that must all hold, down to those that are none.
    fn conjuncts(self, found: &mut Vec<Literal<'a>>) {
        match self.shape() {
            Shape::All(parts) => parts.into_iter().for_each(|part| part.conjuncts(found)),
            _ => found.push(self),
        }
    }

    /// The name of the exception that it denies.
    fn exception(self) -> Option<(&'a str, &'a Part)> {
        match &self.part.kind {
            PartKind::Not(inner) => match &inner.kind {
                PartKind::Exception(name, _) if !self.negated => Some((name, inner)),
                _ => None,
            },
            _ => None,
        }
    }
}

impl<'a> Logic<'a> {
    pub(super) fn new(anatomy: &'a Anatomy) -> Self {
        Logic { comparisons: &anatomy.comparisons }
    }

    /// Whether `other` holds for every event for which `one` does.
    pub(super) fn implies(&self, one: Literal<'_>, other: Literal<'_>) -> bool {
        match (one.shape(), other.shape()) {
            (_, Shape::All(parts)) => parts.iter().all(|part| self.implies(one, *part)),
            (Shape::Any(parts), _) => parts.iter().all(|part| self.implies(*part, other)),
            (Shape::All(ones), Shape::Any(others)) => {
                ones.iter().any(|part| self.implies(*part, other))
                    || others.iter().any(|part| self.implies(one, *part))
            }
            (Shape::All(parts), _) => parts.iter().any(|part| self.implies(*part, other)),
            (_, Shape::Any(parts)) => parts.iter().any(|part| self.implies(one, *part)),
            (Shape::Comparison(first), Shape::Comparison(second)) => {
                let comparison = |number: usize| match &self.comparisons[number] {
                    TypedAst::Check(comparison) => Some(comparison),
                    _ => None,
                };
                let (Some(a), Some(b)) = (comparison(first), comparison(second)) else {
                    return first == second && one.is_denied() == other.is_denied();
                };
                match (one.is_denied(), other.is_denied()) {
                    (false, false) => first == second || check_implies(a, b),
                    (true, true) => first == second || check_implies(b, a),
                    (false, true) => first != second && are_disjoint(a, b),
                    (true, false) => false,
                }
            }
        }
    }

    /// The values of fields that are named anywhere in `whole`, where naming them makes it hold. If it implies a
    /// comparison with values and can hold at all, one of these is among them.
    pub(super) fn named_values(&self, whole: Literal<'a>) -> Vec<FieldValue<'a>> {
        match whole.shape() {
            Shape::All(parts) | Shape::Any(parts) => {
                parts.into_iter().flat_map(|part| self.named_values(part)).collect()
            }
            Shape::Comparison(_) => self.values_of(whole),
        }
    }

    /// For each comparison with values that must hold for `whole` to hold, its values.
    pub(super) fn demands(&self, whole: Literal<'a>) -> Vec<Vec<FieldValue<'a>>> {
        let mut parts = Vec::new();
        whole.conjuncts(&mut parts);
        let demands = parts.into_iter().map(|part| self.values_of(part));
        demands.filter(|values| !values.is_empty()).collect()
    }

    /// The values of a comparison that has some and must hold.
    fn values_of(&self, literal: Literal<'a>) -> Vec<FieldValue<'a>> {
        let Shape::Comparison(number) = literal.shape() else { return Vec::new() };
        match &self.comparisons[number] {
            TypedAst::Check(comparison) if !literal.is_denied() => {
                let values = values(comparison).unwrap_or_default().iter();
                values.map(|value| (&comparison.left, value)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Why `whole` never holds, if that can be told.
    pub(super) fn contradiction(&self, whole: Literal<'a>) -> Option<Contradiction<'a>> {
        let mut parts = Vec::new();
        whole.conjuncts(&mut parts);
        if let Some(part) = parts.iter().find_map(|part| self.empty(*part)) {
            return Some(Contradiction::Empty(part));
        }
        self.overlapping_exception(whole).or_else(|| self.pair(&parts))
    }

    fn pair(&self, parts: &[Literal<'a>]) -> Option<Contradiction<'a>> {
        for (position, other) in parts.iter().enumerate() {
            let one = parts[..position].iter().find(|one| self.implies(**one, other.opposite()));
            if let Some(one) = one {
                return Some(Contradiction::Pair(*one, *other));
            }
        }
        None
    }

    /// An exception of a rule that holds whenever all else does.
    fn overlapping_exception(&self, whole: Literal<'a>) -> Option<Contradiction<'a>> {
        let PartKind::And(parts) = &whole.part.kind else { return None };
        let (exceptions, rest): (Vec<_>, Vec<_>) =
            parts.iter().map(Literal::of).partition(|part| part.exception().is_some());
        exceptions.into_iter().find_map(|literal| {
            let (name, part) = literal.exception()?;
            let matches_all = rest.iter().any(|one| self.implies(*one, Literal::of(part)));
            matches_all.then_some(Contradiction::Exception(name, part))
        })
    }

    /// The comparison with nothing that makes a part fail.
    fn empty(&self, literal: Literal<'a>) -> Option<&'a Part> {
        match literal.shape() {
            Shape::All(parts) => parts.into_iter().find_map(|part| self.empty(part)),
            Shape::Any(parts) => {
                let empty: Vec<_> = parts.into_iter().map(|part| self.empty(part)).collect();
                if empty.iter().all(Option::is_some) { empty.into_iter().next()? } else { None }
            }
            Shape::Comparison(number) => {
                let is_empty = match &self.comparisons[number] {
                    TypedAst::Check(comparison) => match &comparison.test {
                        Test::Set { constants, .. } | Test::Modified { constants, .. } => {
                            constants.is_empty()
                        }
                        _ => false,
                    },
                    _ => false,
                };
                (is_empty && !literal.is_denied()).then_some(literal.part)
            }
        }
    }
}

/// The values to which a comparison of a single value holds the left side. Addresses are left out: networks contain
/// each other, and one address has two spellings.
fn values(comparison: &Comparison) -> Option<&[Constant]> {
    let is_address = matches!(comparison.left.kind(), FieldType::IpAddr | FieldType::IpNet);
    if comparison.left.is_list() || is_address {
        return None;
    }
    match &comparison.test {
        Test::Constant { operator: Operator::Equal { .. }, constant } => {
            Some(std::slice::from_ref(constant))
        }
        Test::Set { operator: Operator::In, constants } => Some(constants),
        Test::Modified {
            operator: Operator::Equal { .. },
            modifier: Modifier::AnyOf,
            constants,
        } => Some(constants),
        _ => None,
    }
}

fn check_implies(one: &Comparison, other: &Comparison) -> bool {
    if one.left != other.left {
        return false;
    }
    if holds_of_any_value(&other.test) {
        return true;
    }
    match (values(one), values(other)) {
        (Some(ones), Some(others)) => ones.iter().all(|value| others.contains(value)),
        (Some(ones), None) => ones.iter().all(|value| holds_of(other, value)),
        (None, _) => match (&one.test, &other.test) {
            (
                Test::Set { operator: a, constants: ones },
                Test::Set { operator: b, constants: others },
            ) => a == b && ones.iter().all(|value| others.contains(value)),
            (
                Test::Constant { operator: a, constant: Constant::Text(x) },
                Test::Constant { operator: b, constant: Constant::Text(y) },
            ) => match (a, b) {
                (Operator::StartsWith, Operator::StartsWith) => x.starts_with(y),
                (Operator::EndsWith, Operator::EndsWith) => x.ends_with(y),
                (
                    Operator::Contains | Operator::StartsWith | Operator::EndsWith,
                    Operator::Contains,
                ) => memchr::memmem::find(x, y).is_some(),
                _ => false,
            },
            _ => false,
        },
    }
}

/// Whether no value passes both.
fn are_disjoint(one: &Comparison, other: &Comparison) -> bool {
    if one.left != other.left || one.left.is_list() {
        return false;
    }
    match (values(one), values(other)) {
        (Some(ones), Some(others)) => ones.iter().all(|value| !others.contains(value)),
        (Some(ones), None) => is_plain(other) && ones.iter().all(|value| !holds_of(other, value)),
        (None, Some(others)) => is_plain(one) && others.iter().all(|value| !holds_of(one, value)),
        (None, None) => match (&one.test, &other.test) {
            (
                Test::Constant { operator: Operator::StartsWith, constant: Constant::Text(x) },
                Test::Constant { operator: Operator::StartsWith, constant: Constant::Text(y) },
            ) => !x.starts_with(y) && !y.starts_with(x),
            _ => false,
        },
    }
}

/// Whether [`holds_of`] can tell what it says of a value.
fn is_plain(comparison: &Comparison) -> bool {
    matches!(comparison.test, Test::Constant { .. })
}

fn holds_of(comparison: &Comparison, value: &Constant) -> bool {
    let Test::Constant { operator, constant } = &comparison.test else { return false };
    let value = match value {
        Constant::Text(text) => Value::String(text),
        Constant::Number(number) => Value::Number(*number),
        Constant::Bool(truth) => Value::Bool(*truth),
        Constant::Address(_) | Constant::Network { .. } => return false,
    };
    Matcher::new(*operator, constant).matches(value)
}

/// Whether every event that has the field at all passes.
fn holds_of_any_value(test: &Test) -> bool {
    match test {
        Test::Exists => true,
        Test::Constant { operator, constant: Constant::Text(text) } => match operator {
            Operator::StartsWith
            | Operator::EndsWith
            | Operator::Contains
            | Operator::IContains => text.is_empty(),
            Operator::Glob | Operator::IGlob => text == b"*",
            _ => false,
        },
        _ => false,
    }
}
