//! What every comparison operator means, in one place.
//!
//! Strings are bytes, compared as C compares them: no locale, one byte a character.

mod glob;
mod ip;
mod paths;
mod regex;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::net::IpAddr;

use memchr::memmem;
use rustc_hash::FxHashSet;

use crate::condition::ast::Operator;
use crate::condition::typed::Constant;
use crate::field::Value;
use crate::operator::glob::Glob;
use crate::operator::ip::{Network, read_address};
use crate::operator::paths::PathPrefixes;

pub(crate) use crate::operator::regex::Regex;

/// An operator with the constants right of it, in the form that is quickest to test.
#[derive(Debug)]
pub(crate) struct Matcher(Kind);

#[derive(Debug)]
enum Kind {
    /// `= != < <= > >=`
    TextOrder(Operator, Box<[u8]>),
    NumberOrder(Operator, u64),
    BoolEquality(Operator, bool),
    AddressEquality(Operator, IpAddr),
    NetworkEquality(Operator, Network),
    Contains(Box<memmem::Finder<'static>>),
    IContains(Box<[u8]>),
    StartsWith(Box<[u8]>),
    EndsWith(Box<[u8]>),
    Glob(Glob),
    Regex(Regex),
    Paths(PathPrefixes),
    TextSet(FxHashSet<Box<[u8]>>),
    NumberSet(FxHashSet<u64>),
    AddressSet(FxHashSet<IpAddr>),
    /// For booleans and networks: few, or of no common form.
    AnyOf(Vec<Matcher>),
}

impl Matcher {
    /// A single constant under an operator that suits it.
    pub(crate) fn new(operator: Operator, constant: &Constant) -> Matcher {
        Matcher(match constant {
            Constant::Text(text) => of_text(operator, text),
            Constant::Number(number) => Kind::NumberOrder(operator, *number),
            Constant::Bool(truth) => Kind::BoolEquality(operator, *truth),
            Constant::Address(address) => Kind::AddressEquality(operator, *address),
            Constant::Network { address, length } => {
                Kind::NetworkEquality(operator, Network::new(*address, *length))
            }
        })
    }

    /// The constants of `in`, `intersects` or `pmatch`: one of them must fit the value. All are of
    /// one type.
    pub(crate) fn set(operator: Operator, constants: &[Constant]) -> Matcher {
        if operator == Operator::Pmatch {
            return Matcher(Kind::Paths(constants.iter().filter_map(as_text).collect()));
        }
        Matcher(match constants.first() {
            None | Some(Constant::Text(_)) => {
                Kind::TextSet(constants.iter().filter_map(as_text).map(Box::from).collect())
            }
            Some(Constant::Number(_)) => {
                Kind::NumberSet(constants.iter().filter_map(as_number).collect())
            }
            Some(Constant::Address(_)) => {
                Kind::AddressSet(constants.iter().filter_map(as_address).collect())
            }
            Some(Constant::Bool(_) | Constant::Network { .. }) => {
                let equal = Operator::Equal { doubled: false };
                Kind::AnyOf(constants.iter().map(|one| Matcher::new(equal, one)).collect())
            }
        })
    }

    /// Whether the operator holds for a value of the type that the constants were checked against.
    pub(crate) fn matches(&self, value: Value<'_>) -> bool {
        match (&self.0, value) {
            (kind, Value::String(text)) => kind.matches_text(text),
            (Kind::NumberOrder(operator, constant), Value::Number(number)) => {
                holds(*operator, number.cmp(constant))
            }
            (Kind::NumberSet(numbers), Value::Number(number)) => numbers.contains(&number),
            (Kind::BoolEquality(operator, constant), Value::Bool(truth)) => {
                holds(*operator, truth.cmp(constant))
            }
            (Kind::AddressEquality(operator, constant), Value::Address(address)) => {
                (read_address(address) == Some(*constant)) == is_equality(*operator)
            }
            (Kind::NetworkEquality(operator, network), Value::Address(address)) => {
                network.contains(address) == is_equality(*operator)
            }
            (Kind::AddressSet(addresses), Value::Address(address)) => {
                read_address(address).is_some_and(|address| addresses.contains(&address))
            }
            (Kind::AnyOf(matchers), value) => matchers.iter().any(|one| one.matches(value)),
            _ => false,
        }
    }
}

impl Kind {
    fn matches_text(&self, text: &[u8]) -> bool {
        match self {
            Kind::TextOrder(operator, constant) => holds(*operator, text.cmp(constant)),
            Kind::Contains(finder) => finder.find(text).is_some(),
            Kind::IContains(constant) => contains_ignoring_case(text, constant),
            Kind::StartsWith(constant) => text.starts_with(constant),
            Kind::EndsWith(constant) => text.ends_with(constant),
            Kind::Glob(glob) => glob.matches(text),
            Kind::Regex(regex) => regex.matches(text),
            Kind::Paths(prefixes) => prefixes.matches(text),
            Kind::TextSet(texts) => texts.contains(text),
            _ => false,
        }
    }
}

fn of_text(operator: Operator, text: &[u8]) -> Kind {
    match operator {
        Operator::Contains => Kind::Contains(Box::new(memmem::Finder::new(text).into_owned())),
        Operator::IContains => Kind::IContains(text.into()),
        Operator::StartsWith => Kind::StartsWith(text.into()),
        Operator::EndsWith => Kind::EndsWith(text.into()),
        Operator::Glob => Kind::Glob(Glob::new(text)),
        Operator::IGlob => Kind::Glob(Glob::ignoring_case(text)),
        Operator::Regex => Kind::Regex(Regex::new(text).expect("`check` compiled the pattern")),
        _ => Kind::TextOrder(operator, text.into()),
    }
}

fn as_text(constant: &Constant) -> Option<&[u8]> {
    match constant {
        Constant::Text(text) => Some(text),
        _ => None,
    }
}

fn as_number(constant: &Constant) -> Option<u64> {
    match constant {
        Constant::Number(number) => Some(*number),
        _ => None,
    }
}

fn as_address(constant: &Constant) -> Option<IpAddr> {
    match constant {
        Constant::Address(address) => Some(*address),
        _ => None,
    }
}

/// Compares two values of one event. `check` refuses the operators that need constants.
pub(crate) fn compare(operator: Operator, left: Value<'_>, right: Value<'_>) -> bool {
    let (Value::String(text), Value::String(other)) = (left, right) else {
        return match (left, right) {
            (Value::Number(number), Value::Number(other)) => holds(operator, number.cmp(&other)),
            // Addresses of two families differ in length, so they are not equal either.
            _ => (left == right) == is_equality(operator),
        };
    };
    match operator {
        Operator::Contains => memmem::find(text, other).is_some(),
        Operator::IContains => contains_ignoring_case(text, other),
        Operator::StartsWith => text.starts_with(other),
        Operator::EndsWith => text.ends_with(other),
        Operator::Glob => Glob::new(other).matches(text),
        Operator::IGlob => Glob::ignoring_case(other).matches(text),
        _ => holds(operator, text.cmp(other)),
    }
}

fn is_equality(operator: Operator) -> bool {
    matches!(operator, Operator::Equal { .. })
}

/// Whether an operator of order or equality holds for sides that compare so.
fn holds(operator: Operator, ordering: Ordering) -> bool {
    match operator {
        Operator::Equal { .. } => ordering.is_eq(),
        Operator::NotEqual => ordering.is_ne(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        Operator::GreaterOrEqual => ordering.is_ge(),
        _ => false,
    }
}

fn contains_ignoring_case(text: &[u8], part: &[u8]) -> bool {
    let Some((first, _)) = part.split_first() else { return true };
    let Some(last_start) = text.len().checked_sub(part.len()) else { return false };
    memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), text)
        .take_while(|start| *start <= last_start)
        .any(|start| text[start..start + part.len()].eq_ignore_ascii_case(part))
}
