//! Which rules are active, and in which order an event meets them.

use crate::load::Selection;
use crate::priority::Priority;
use crate::ruleset::CompiledRule;

/// The positions of the active rules in order of evaluation.
///
/// Rules less severe than `priority` are out for good. Then the selections act one by one; enabling
/// a disabled rule puts it last.
///
/// Source: `falco_engine::enable_rule_by_name` and its kin, engine 0.63.
pub(crate) fn select(
    rules: &[CompiledRule],
    priority: Priority,
    selections: &[Selection],
) -> Vec<usize> {
    let is_candidate = |position: &usize| rules[*position].rule.info.priority <= priority;
    let candidates: Vec<usize> = (0..rules.len()).filter(is_candidate).collect();
    let mut active: Vec<usize> =
        candidates.iter().copied().filter(|&position| rules[position].is_enabled).collect();
    for selection in selections {
        let by_name = selection.rule.as_deref().map(Criterion::Name);
        let by_tag = selection.tag.as_deref().map(Criterion::Tag);
        for criterion in by_name.into_iter().chain(by_tag) {
            let is_meant = |position: &usize| criterion.applies_to(&rules[*position]);
            if selection.enable {
                let added = candidates.iter().filter(|at| is_meant(at) && !active.contains(at));
                let added: Vec<usize> = added.copied().collect();
                active.extend(added);
            } else {
                active.retain(|position| !is_meant(position));
            }
        }
    }
    active
}

enum Criterion<'a> {
    Name(&'a str),
    Tag(&'a str),
}

impl Criterion<'_> {
    fn applies_to(&self, rule: &CompiledRule) -> bool {
        let info = &rule.rule.info;
        match self {
            Criterion::Name(pattern) => matches_wildcard(pattern, &info.name),
            Criterion::Tag(tag) => info.tags.iter().any(|own| own == tag),
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
