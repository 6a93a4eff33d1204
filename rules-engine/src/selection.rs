//! Which rules are active, and in which order an event meets them.

use crate::load::Selection;
use crate::priority::Priority;
use crate::ruleset::Rule;

/// The ranks of the rules in order of evaluation; `None` for a rule that is not active.
///
/// Rules less severe than `priority` are out for good. Then the selections act one by one; enabling
/// a disabled rule puts it last.
///
/// Source: `falco_engine::enable_rule_by_name` and its kin, engine 0.63.
pub(crate) fn select(
    rules: &[Rule],
    priority: Priority,
    selections: &[Selection],
) -> Vec<Option<usize>> {
    let is_candidate = |rule: &Rule| rule.priority <= priority;
    let is_active = |rule: &Rule| is_candidate(rule) && rule.is_enabled;
    let mut ranks: Vec<_> =
        rules.iter().enumerate().map(|(at, rule)| is_active(rule).then_some(at)).collect();
    let mut last = rules.len();
    for selection in selections {
        let by_name = selection.rule.as_deref().map(Criterion::Name);
        let by_tag = selection.tag.as_deref().map(Criterion::Tag);
        for criterion in by_name.into_iter().chain(by_tag) {
            for (rule, rank) in rules.iter().zip(&mut ranks) {
                if !is_candidate(rule) || !criterion.applies_to(rule) {
                    continue;
                }
                if !selection.enable {
                    *rank = None;
                } else if rank.is_none() {
                    *rank = Some(last);
                    last += 1;
                }
            }
        }
    }
    ranks
}

enum Criterion<'a> {
    Name(&'a str),
    Tag(&'a str),
}

impl Criterion<'_> {
    fn applies_to(&self, rule: &Rule) -> bool {
        match *self {
            Criterion::Name(pattern) => matches_wildcard(pattern, &rule.name),
            Criterion::Tag(tag) => rule.tags.iter().any(|own| own == tag),
        }
    }
}

/// Whether a name matches a pattern in which `*` stands for any text.
///
/// After a `*` the first occurrence of what follows is taken and never reconsidered, as in Falco.
fn matches_wildcard(pattern: &str, name: &str) -> bool {
    let Some((start, mut pattern)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(start) else { return false };
    loop {
        pattern = pattern.trim_start_matches('*');
        if pattern.is_empty() {
            return true;
        }
        let (literal, following) = match pattern.split_once('*') {
            Some((literal, following)) => (literal, Some(following)),
            None => (pattern, None),
        };
        let Some(found) = rest.find(literal) else { return false };
        rest = &rest[found + literal.len()..];
        match following {
            Some(following) => pattern = following,
            None => return rest.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Case 140
    #[test]
    fn a_star_takes_the_first_occurrence_of_what_follows() {
        #[track_caller]
        fn check(pattern: &str, name: &str, expected: bool) {
            assert_eq!(matches_wildcard(pattern, name), expected, "{pattern} on {name}");
        }
        check("rule", "rule", true);
        check("rule", "my rule", false);
        check("*", "", true);
        check("*rule", "my rule", true);
        check("*rule", "rule", true);
        check("*rule", "rule my rule", false);
        check("my*", "my rule", true);
        check("m*r*e", "my rule", true);
        check("m**e", "my rule", true);
        check("*x*", "my rule", false);
        check("Mode*[0-9]", "Mode rule 1", false);
        check("", "", true);
    }
}
