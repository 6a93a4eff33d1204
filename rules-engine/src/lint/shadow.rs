//! Rules that cannot alert, because whenever they match, an earlier rule does.
//!
//! A rule that demands values of a field, as in `ka.verb in (get, list)`, can shadow only rules that name one of these
//! values for that field. Among thousands of rules few do, and only they are compared.

use rustc_hash::FxHashMap;

use crate::anatomy::{Anatomy, RuleAnatomy};

use super::logic::{FieldValue, Literal, Logic};

/// Pairs of a rule that is shadowed, and the first one that shadows it. Of no rule it may be known that it never matches.
pub(super) fn shadowed<'a>(
    anatomy: &'a Anatomy,
    rules: &[&'a RuleAnatomy],
) -> Vec<(&'a RuleAnatomy, &'a RuleAnatomy)> {
    let logic = Logic::new(anatomy);
    let literal = |position: usize| Literal::of(&rules[position].condition);
    let named: Vec<_> = (0..rules.len()).map(|at| logic.named_values(literal(at))).collect();
    let mut uses: FxHashMap<FieldValue<'_>, usize> = FxHashMap::default();
    for value in named.iter().flatten() {
        *uses.entry(*value).or_default() += 1;
    }
    // The rules so far: those that demand a value, each below the values of its rarest demand, and the others.
    let mut demanding: FxHashMap<FieldValue<'_>, Vec<usize>> = FxHashMap::default();
    let mut others: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    for (position, values) in named.iter().enumerate() {
        let whole = literal(position);
        let mut candidates: Vec<usize> =
            values.iter().filter_map(|value| demanding.get(value)).flatten().copied().collect();
        candidates.extend(&others);
        candidates.sort_unstable();
        candidates.dedup();
        let first = candidates.into_iter().find(|&other| logic.implies(whole, literal(other)));
        found.extend(first.map(|first| (rules[position], rules[first])));
        let demands = logic.demands(whole).into_iter();
        match demands.min_by_key(|values| values.iter().map(|value| uses[value]).sum::<usize>()) {
            Some(rarest) => {
                for value in rarest {
                    demanding.entry(value).or_default().push(position);
                }
            }
            None => others.push(position),
        }
    }
    found
}
