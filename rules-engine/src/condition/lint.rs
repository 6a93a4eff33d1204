//! Warnings about conditions that compile and hardly mean what they say.

use crate::condition::ast::{Ast, Check, Constant, Operator, Span, Term, Test, Transformer};
use crate::condition::parse::parse_output_terms;
use crate::field::FieldCatalogue;

/// Something in a condition that its author should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lint {
    pub(crate) kind: LintKind,
    /// Stock's text; empty for [`LintKind::UnsafeNaCheck`].
    pub(crate) message: String,
    pub(crate) span: Span,
    /// Where stock says it is; it does not say so for all kinds.
    pub(crate) stock_offset: Option<usize>,
    /// The field that is going away.
    pub(crate) deprecated_field: Option<String>,
    pub(crate) help: Option<String>,
}

/// What a [`Lint`] is about; each is a code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LintKind {
    /// A field is compared with the text that outputs show for a missing value.
    UnsafeNaCheck,
    Deprecated,
    /// A constant that looks like something else. Stock finds these while it compiles, so it reports
    /// none for a condition that fails to.
    Constant,
    /// A quote that word processors write, which is a character like any other here. Stock says
    /// nothing about it.
    TypographicQuote,
}

/// Fields of system calls that Falco has dropped or is about to drop.
pub(crate) const DEPRECATED_FIELDS: [&str; 6] = [
    "evt.dir",
    "evt.latency",
    "evt.latency.s",
    "evt.latency.ns",
    "evt.latency.human",
    "evt.wait_latency",
];

/// Finds everything suspicious, in the order of stock's report.
pub(crate) fn lint(ast: &Ast, catalogue: &FieldCatalogue) -> Vec<Lint> {
    let mut checks = Vec::new();
    collect_checks(ast, &mut checks);
    let mut lints = Vec::new();
    for check in &checks {
        lints.extend(lint_missing_value(check));
        lint_deprecated(&check.left, &mut lints);
    }
    for check in &checks {
        lint_constants(check, catalogue, &mut lints);
    }
    lints
}

fn collect_checks<'a>(ast: &'a Ast, checks: &mut Vec<&'a Check>) {
    match ast {
        Ast::And(children) | Ast::Or(children) => {
            children.iter().for_each(|child| collect_checks(child, checks));
        }
        Ast::Not(child) => collect_checks(child, checks),
        Ast::Macro { .. } => {}
        Ast::Check(check) => checks.push(check),
    }
}

fn lint_missing_value(check: &Check) -> Option<Lint> {
    let constants = match &check.test {
        Test::Constant { operator: Operator::Equal { .. } | Operator::NotEqual, constant } => {
            std::slice::from_ref(constant)
        }
        Test::Set { constants, .. } => constants,
        _ => return None,
    };
    let field = last_field(&check.left)?;
    if !field.starts_with("ka.") && !field.starts_with("jevt.") {
        return None;
    }
    let constant = constants.iter().find(|constant| constant.text == b"<NA>")?;
    Some(Lint {
        kind: LintKind::UnsafeNaCheck,
        message: String::new(),
        span: constant.span,
        stock_offset: None,
        deprecated_field: None,
        help: Some(
            "a comparison with a missing value is never true; write `not … exists`".to_owned(),
        ),
    })
}

/// The last plain field in a term.
fn last_field(term: &Term) -> Option<&str> {
    match term {
        Term::Field { name, .. } => Some(name),
        Term::Transformer { arguments: terms, .. } | Term::List { items: terms, .. } => {
            terms.iter().rev().find_map(last_field)
        }
        Term::Constant { .. } => None,
    }
}

fn lint_deprecated(term: &Term, lints: &mut Vec<Lint>) {
    match term {
        Term::Field { name, span, .. } if DEPRECATED_FIELDS.contains(&name.as_str()) => {
            let message = if name == "evt.dir" {
                "due to the drop of enter events, 'evt.dir = <' always evaluates to true, and \
                 'evt.dir = >' always evaluates to false. The rule expression can be simplified by \
                 removing the condition on 'evt.dir'"
            } else {
                "field is not available due to the drop of enter events."
            };
            lints.push(Lint {
                kind: LintKind::Deprecated,
                message: message.to_owned(),
                span: *span,
                stock_offset: None,
                deprecated_field: Some(name.clone()),
                help: None,
            });
        }
        Term::Transformer { arguments: terms, .. } | Term::List { items: terms, .. } => {
            terms.iter().for_each(|term| lint_deprecated(term, lints));
        }
        Term::Field { .. } | Term::Constant { .. } => {}
    }
}

fn lint_constants(check: &Check, catalogue: &FieldCatalogue, lints: &mut Vec<Lint>) {
    let (operator, constants, list) = match &check.test {
        Test::Constant { operator, constant } => {
            (*operator, std::slice::from_ref(constant), constant.span)
        }
        Test::Modified { operator, constants, list, .. }
        | Test::Set { operator, constants, list } => (*operator, constants.as_slice(), *list),
        Test::Exists | Test::Term { .. } => return,
    };
    for constant in constants {
        let lint = |kind, message, help| Lint {
            kind,
            message,
            span: constant.span,
            stock_offset: Some(list.start),
            deprecated_field: None,
            help,
        };
        let warnings = constant_warnings(operator, constant, catalogue);
        lints.extend(
            warnings.into_iter().map(|(message, help)| lint(LintKind::Constant, message, help)),
        );
        if String::from_utf8_lossy(&constant.text).contains(['“', '”', '„', '‘', '’']) {
            let message = "the quotes in this text are part of it".to_owned();
            let help = "quotes that enclose a text are `\"` or `'`".to_owned();
            lints.push(lint(LintKind::TypographicQuote, message, Some(help)));
        }
    }
}

/// Stock's texts, and what may have been meant.
fn constant_warnings(
    operator: Operator,
    constant: &Constant,
    catalogue: &FieldCatalogue,
) -> Vec<(String, Option<String>)> {
    let mut text = String::from_utf8_lossy(&constant.text).into_owned();
    text.retain(|c| !c.is_ascii_whitespace());
    let mut warnings = Vec::new();
    let misused = if is_field(&text, catalogue) {
        Some(("field", format!("to compare with its value, write `val({text})`")))
    } else if is_transformer(&text) {
        Some((
            "field transformer",
            format!("to compare with its value, write `{text}` without quotes"),
        ))
    } else {
        None
    };
    if let Some((what, help)) = misused {
        let message = format!("'{text}' may be a valid {what} misused as a const string value");
        warnings.push((message, Some(help)));
    }
    if operator == Operator::Regex && is_plain_pattern(&text) {
        let message = format!(
            "regex check with '{text}' may be optimized with simpler operators such as '=', \
             'contains', 'startswith', 'endswith'"
        );
        warnings.push((message, None));
    }
    warnings
}

fn is_field(text: &str, catalogue: &FieldCatalogue) -> bool {
    match parse_output_terms(text, 2).into_iter().next() {
        Some((Term::Field { name, argument, .. }, length)) => {
            length == text.len() && catalogue.resolve(&name, argument.as_deref()).is_ok()
        }
        _ => false,
    }
}

fn is_transformer(text: &str) -> bool {
    text.ends_with(')')
        && text.split_once('(').is_some_and(|(name, _)| {
            name == "val" || Transformer::ALL.iter().any(|transformer| transformer.name() == name)
        })
}

/// Whether a pattern does no more than `=`, `contains`, `startswith` or `endswith`.
fn is_plain_pattern(pattern: &str) -> bool {
    const REPEATED: [&str; 3] = [".*", ".+", ".?"];
    let inner = pattern.strip_prefix('^').unwrap_or(pattern);
    let inner = inner.strip_suffix('$').unwrap_or(inner);
    let inner = REPEATED.iter().find_map(|any| inner.strip_prefix(any)).unwrap_or(inner);
    let inner = REPEATED.iter().find_map(|any| inner.strip_suffix(any)).unwrap_or(inner);
    !inner.contains(['\\', '.', '^', '$', '*', '+', '?', '(', ')', '[', ']', '{', '}', '|'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::parse;
    use crate::field::tests::catalogue;

    /// `expected` holds each lint's kind, its message up to the first comma, and the text it points at.
    #[track_caller]
    fn check(condition: &str, expected: &[(LintKind, &str, &str)]) {
        let lints = lint(&parse(condition, 1000).unwrap(), &catalogue());
        let found: Vec<_> = lints
            .iter()
            .map(|lint| {
                let message = lint.message.split(',').next().unwrap_or_default();
                (lint.kind, message, &condition[lint.span.start..lint.span.end])
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn comparing_with_the_text_for_no_value_is_unsafe() {
        let found = [(LintKind::UnsafeNaCheck, "", "<NA>")];
        check("ka.verb = <NA>", &found);
        check("ka.verb != <NA>", &found);
        check("tolower(ka.verb) in (a, <NA>)", &found);
        check("concat(t.s, ka.verb) = <NA>", &found);
        check("concat(ka.verb, t.s) = <NA>", &[]);
        check("t.s = <NA>", &[]);
        check("ka.verb contains <NA>", &[]);
        check("ka.verb = <NA", &[]);
    }

    #[test]
    fn dropped_fields_are_deprecated() {
        check(
            "evt.dir = <",
            &[(LintKind::Deprecated, "due to the drop of enter events", "evt.dir")],
        );
        check(
            "len(evt.latency.ns) > 5",
            &[(
                LintKind::Deprecated,
                "field is not available due to the drop of enter events.",
                "evt.latency.ns",
            )],
        );
    }

    /// Case 64
    #[test]
    fn constants_that_look_like_something_else() {
        let misused = |what: &str, text: &str| {
            format!("'{text}' may be a valid {what} misused as a const string value")
        };
        check("t.s = t.s", &[(LintKind::Constant, &misused("field", "t.s"), "t.s")]);
        check(
            "t.s in (a, t.key[b])",
            &[(LintKind::Constant, &misused("field", "t.key[b]"), "t.key[b]")],
        );
        check(
            "t.s = \"tolower( t.s )\"",
            &[(
                LintKind::Constant,
                &misused("field transformer", "tolower(t.s)"),
                "\"tolower( t.s )\"",
            )],
        );
        check(
            "t.s = \"val(x)\"",
            &[(LintKind::Constant, &misused("field transformer", "val(x)"), "\"val(x)\"")],
        );
        check("t.s in (t.key, no.field, 'f(x)')", &[]);
    }

    #[test]
    fn patterns_that_need_no_regex() {
        let plain = |text: &str| {
            format!("regex check with '{text}' may be optimized with simpler operators such as '='")
        };
        for text in ["GET", "cluster-admin", "^a$", ".*B.*", "^.+a", "日本.*"] {
            check(&format!("t.s regex {text}"), &[(LintKind::Constant, &plain(text), text)]);
        }
        check("t.s regex oneof (a, b.c)", &[(LintKind::Constant, &plain("a"), "a")]);
        for text in ["registry.local", "a|b", "[a]", "a.*b"] {
            check(&format!("t.s regex \"{text}\""), &[]);
        }
    }

    #[test]
    fn stock_points_at_the_list() {
        let lints = lint(&parse("t.s in (a, t.s)", 1000).unwrap(), &catalogue());
        assert_eq!(lints[0].stock_offset, Some(7));
    }
}
