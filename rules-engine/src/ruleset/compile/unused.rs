//! Macros and lists that nothing refers to, which often means that a name is misspelt elsewhere.

use rustc_hash::FxHashMap;

use crate::condition::closest;
use crate::diagnostic::{Code, Context, Diagnostic};
use crate::ruleset::{Definitions, Findings, Lists, Macros};

/// Words of conditions, each with the name of a rule or macro that has it.
type Words<'d> = FxHashMap<&'d str, &'d str>;

pub(super) fn warn(
    definitions: &Definitions,
    lists: &Lists,
    macros: &Macros,
    findings: &mut Findings,
) {
    let unused_macros = definitions.macros.iter().zip(macros.iter());
    let unused_macros = unused_macros.filter(|(_, resolved)| !resolved.is_used);
    let unused_macros = unused_macros.map(|(one, _)| (&one.name, &one.context));
    let unused_macros: Vec<(&String, &Context)> = unused_macros.collect();
    let unused_lists = definitions.lists.iter().zip(lists.iter());
    let unused_lists = unused_lists.filter(|(_, expanded)| !expanded.is_used);
    let unused_lists: Vec<(&String, &Context)> =
        unused_lists.map(|(one, _)| (&one.name, &one.context)).collect();
    if unused_macros.is_empty() && unused_lists.is_empty() {
        return;
    }
    let words = words(definitions);
    for (name, context) in unused_macros {
        let message = "Macro not referred to by any other rule/macro";
        let help = words.get(name.as_str()).map(|user| {
            format!("`{user}` compares with the text `{name}`; a macro stands alone, not behind an operator")
        });
        findings.warning(
            Diagnostic::new(Code::UnusedMacro, message, context)
                .title(format!("nothing refers to macro `{name}`"))
                .help(help),
        );
    }
    for (name, context) in unused_lists {
        let message = "List not referred to by any other rule/macro";
        let help = similar(name, &words, definitions).map(|(word, user)| {
            format!("`{user}` compares with the text `{word}`; is the list meant?")
        });
        findings.warning(
            Diagnostic::new(Code::UnusedList, message, context)
                .title(format!("nothing refers to list `{name}`"))
                .help(help),
        );
    }
}

/// The words of all conditions.
fn words(definitions: &Definitions) -> Words<'_> {
    let rules = definitions.rules.iter().map(|rule| (&rule.name, rule.condition.as_str()));
    let macros = definitions.macros.iter().map(|one| (&one.name, one.condition.as_str()));
    let mut words = Words::default();
    for (user, condition) in rules.chain(macros) {
        let separate = |c: char| c.is_whitespace() || "()=,\"'".contains(c);
        for word in condition.split(separate) {
            words.entry(word).or_insert(user.as_str());
        }
    }
    words
}

/// The word nearest to a list's name that is no name itself, and who has it.
fn similar<'d>(
    name: &str,
    words: &Words<'d>,
    definitions: &Definitions,
) -> Option<(&'d str, &'d str)> {
    let first = name.chars().next()?;
    let is_free = |word: &str| {
        // An underscore is what names of lists have and most other words have not.
        word.starts_with(first)
            && word.contains('_')
            && definitions.lists.get(word).is_none()
            && definitions.macros.get(word).is_none()
    };
    let word = closest(name, words.keys().copied().filter(|word| is_free(word)))?;
    Some((word, words[word]))
}
