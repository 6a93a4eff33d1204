//! Lists, macros and exceptions in conditions.

use crate::{environment, rule, validated};

/// The condition of rule `r` with lists, macros and exceptions resolved; else the first error.
fn compiled(text: &str) -> String {
    let load = validated(&[text]);
    let Some(ruleset) = load.ruleset else {
        return serde_json::to_value(&load.reports[0]).unwrap()["errors"][0]["message"]
            .as_str()
            .unwrap()
            .to_owned();
    };
    let described = ruleset.describe(Some("r"), &environment()).unwrap();
    described["rules"][0]["details"]["condition_compiled"].as_str().unwrap().to_owned()
}

/// Items before the rule, its condition, and what that becomes.
#[track_caller]
fn check(items: &str, condition: &str, expected: &str) {
    let text = format!("{items}\n{}", rule("r", condition, ""));
    assert_eq!(compiled(&text), expected, "{text}");
}

#[track_caller]
fn check_exception(condition: &str, exception: &str, expected: &str) {
    let more = format!("  exceptions:\n    - {{name: e, {exception}}}\n");
    let text = rule("r", condition, &more);
    assert_eq!(compiled(&text), expected, "{text}");
}

const A_B: &str = "- {list: l, items: [a, b]}";

/// Cases 76 to 79 and 86
#[test]
fn lists_are_spliced_in_where_their_names_are_words() {
    check(A_B, "t.str in (l)", "t.str in (a, b)");
    check("- {list: l, items: [cat]}", "t.str=l", "t.str = cat");
    check("- {list: l, items: [cat]}", "'t.str = \"x l y\"'", "t.str = \"x cat y\"");
    check(A_B, "t.str in l", "unexpected token after 'a', expecting 'or', 'and'");
    check("- {list: l, items: [a]}", "t.str in (ll, l.x, l-x, xl)", "t.str in (ll, l.x, l-x, xl)");
    check("- {list: l, items: [l, x]}", "t.str in (l)", "t.str in (l, x)");
    check("- {list: é, items: [x]}", "t.str in (éa, é)", "t.str in (éa, x)");
    check("- {list: and, items: [or]}", "t.str=x and t.str=y", "(t.str = x or t.str = y)");
}

/// Cases 80 and 85
#[test]
fn empty_lists_take_a_comma_with_them() {
    let empty = "- {list: e, items: []}";
    check(empty, "t.str in (a, e, b)", "t.str in (a, b)");
    check(empty, "t.str in (e, a)", "t.str in (a)");
    check(empty, "t.str in (e)", "t.str in ()");
    check("- {list: l, items: ['', a]}", "t.empty in (l)", "t.empty in (a)");
    check("- {list: l, items: ['\"\"', a]}", "t.empty in (l)", "t.empty in (, a)");
}

/// Cases 81 and 82
#[test]
fn items_are_quoted_only_for_spaces() {
    check("- {list: l, items: ['a,b']}", "t.str in (l)", "t.str in (a, b)");
    check("- {list: l, items: [(x)]}", "t.str in (l)", "expected a ')' token");
    check("- {list: l, items: ['\"(x)\"']}", "t.str in (l)", "t.str in ((x))");
    check("- {list: l, items: [a b]}", "t.str in (l)", "t.str in (\"a b\")");
    check("- {list: l, items: [\"'a b'\"]}", "t.str in (l)", "t.str in (\"a b\")");
}

/// Cases 83 and 84
#[test]
fn lists_name_lists_one_level_deep() {
    let down = "- {list: A, items: [x]}\n- {list: B, items: [A, y]}\n- {list: C, items: [B, z]}";
    check(down, "t.str in (C)", "t.str in (A, y, z)");
    let up = "- {list: B, items: [A, y]}\n- {list: A, items: [x]}";
    check(up, "t.str in (B)", "t.str in (x, y)");
}

/// Cases 5, 6 and 87
#[test]
fn macros_keep_their_precedence() {
    let m = "- {macro: m, condition: t.u=1 or t.u=2}";
    check(m, "t.t=true and m", "(t.t = true and (t.u = 1 or t.u = 2))");
    check(m, "not m", "not (t.u = 1 or t.u = 2)");
    check("", "not", "Undefined macro 'not' used in filter.");
    check("- {macro: not, condition: t.t=true}", "not", "t.t = true");
}

/// Cases 88 and 89
#[test]
fn rules_use_later_macros_and_macros_do_not() {
    let text = format!("{}- {{macro: m, condition: t.u=1}}", rule("r", "m", ""));
    assert_eq!(compiled(&text), "t.u = 1");
    let m2 = "- {macro: m2, condition: t.u=2}";
    let m1 = "- {macro: m1, condition: m2}";
    check(&format!("{m1}\n{m2}"), "m1", "Undefined macro 'm2' used in filter.");
    check(&format!("{m2}\n{m1}"), "m1", "t.u = 2");
    check(&format!("{m1}\n{m2}\n{m1}"), "m1", "t.u = 2");
    let append = "- {macro: m1, condition: or t.u=3, override: {condition: append}}";
    check(&format!("{m1}\n{m2}\n{append}"), "m1", "(t.u = 2 or t.u = 3)");
}

/// Case 90
#[test]
fn a_macro_must_not_contain_itself() {
    let items = "- {macro: m, condition: t.u=1}\n- {macro: m, condition: m or t.u=2}";
    check(items, "m", "reference loop in macro 'm'");
}

/// Cases 92, 93, 96 and 97
#[test]
fn exceptions_are_folded_in_behind_parentheses() {
    check_exception(
        "t.u=1 or t.u=2",
        "fields: [t.up, t.str], values: [[a, b], [c, d e]]",
        "((t.u = 1 or t.u = 2) and not ((t.up = a and t.str = b) or (t.up = c and t.str = \"d e\")))",
    );
    check_exception(
        "t.u=1",
        "fields: t.up, values: [a, b c]",
        "(t.u = 1 and not t.up in (a, \"b c\"))",
    );
    check_exception("t.u=1", "fields: [t.up]", "t.u = 1");
    check_exception(
        "t.u=1",
        "fields: [t.up], comps: [\"!=\"], values: [[x]]",
        "(t.u = 1 and not t.up != x)",
    );
    check_exception("t.u=1", "fields: [t.up], values: []", "t.u = 1");
}

/// Case 94
#[test]
fn values_under_a_list_operator_get_parentheses() {
    let check = |values: &str, expected: &str| {
        check_exception(
            "t.u=1",
            &format!("fields: [t.up], comps: [in], values: {values}"),
            expected,
        );
    };
    check("[[a]]", "(t.u = 1 and not t.up in (a))");
    check("[['(a, b)']]", "(t.u = 1 and not t.up in (a, b))");
    check("[[[a, b c]]]", "(t.u = 1 and not t.up in (a, \"b c\"))");
    check("[[a b]]", "expected a ')' token");
}

/// Case 95
#[test]
fn values_are_text_of_the_condition() {
    check_exception(
        "t.u=1",
        "fields: [t.up], values: [[toupper(t.str)]]",
        "(t.u = 1 and not t.up = toupper(t.str))",
    );
    check_exception(
        "t.u=1",
        "fields: [t.up], values: [['toupper( t.str )']]",
        "(t.u = 1 and not t.up = \"toupper( t.str )\")",
    );
}

/// Case 98
#[test]
fn conditions_are_appended_to_before_exceptions_are_folded_in() {
    let exceptions = "  exceptions: [{name: e, fields: [t.up], values: [[a]]}]\n";
    let text = format!(
        "{}- {{rule: r, condition: or t.u=2, append: true}}\n",
        rule("r", "t.u=1", exceptions)
    );
    assert_eq!(compiled(&text), "((t.u = 1 or t.u = 2) and not t.up = a)");
}

#[test]
fn exceptions_can_be_extended_and_replaced() {
    let exceptions = "  exceptions: [{name: e, fields: [t.up], values: [[a]]}]\n";
    let base = rule("r", "t.u=1", exceptions);
    let check =
        |item: &str, expected: &str| assert_eq!(compiled(&format!("{base}{item}")), expected);
    check(
        "- {rule: r, exceptions: [{name: e, values: [[b]]}], append: true}",
        "(t.u = 1 and not (t.up = a or t.up = b))",
    );
    check(
        "- {rule: r, exceptions: [{name: f, fields: t.str, values: [c]}], override: {exceptions: append}}",
        "(t.u = 1 and not t.up = a and not t.str in (c))",
    );
    // Falco forgets the defaults here and crashes.
    check(
        "- {rule: r, exceptions: [{name: e, fields: [t.str], values: [[c]]}], override: {exceptions: replace}}",
        "(t.u = 1 and not t.str = c)",
    );
}

/// Definitions `x0` to `x39`, each made of its name and that of its predecessor.
fn chain(first: &str, next: impl Fn(&str, &str) -> String) -> String {
    let following = (1..40).map(|n| next(&format!("x{n}"), &format!("x{}", n - 1)));
    std::iter::once(first.to_owned()).chain(following).map(|item| item + "\n").collect()
}

#[test]
fn what_grows_without_bound_is_refused() {
    let doubling = chain("- {macro: x0, condition: t.u=1}", |name, previous| {
        format!("- {{macro: {name}, condition: {previous} and {previous}}}")
    });
    check(&doubling, "x39", "condition is too large with macro 'x15' in it");
    let nesting = "not (t.u=1 and ".repeat(20);
    let ends = ")".repeat(20);
    let deep = chain("- {macro: x0, condition: t.u=1}", |name, previous| {
        format!("- {{macro: {name}, condition: '{nesting}{previous}{ends}'}}")
    });
    check(&deep, "x39", "condition is too large with macro 'x12' in it");
    // Lists are spliced in by order of definition, so each brings in the next.
    let lists: String =
        (0..40).map(|n| format!("- {{list: y{n}, items: [y{0}, y{0}, y{0}]}}\n", n + 1)).collect();
    let error = compiled(&format!("{lists}{}", rule("r", "t.str in (y0)", "")));
    assert!(error.starts_with("condition is too long with list 'y1"), "{error}");
    // What is small once can be much in all.
    let macros = format!("- {{list: l, items: [{}]}}\n", "x,".repeat(100_000))
        + "- {macro: m, condition: t.str in (l)}\n";
    let uses = ["m"; 30].join(" or ");
    check(&macros, &uses, "condition is too large with macro 'm' in it");
    let small = |n| format!("- {{list: s{n}, items: [x]}}\n");
    let lists = format!("- {{list: big, items: [{}]}}\n", "x".repeat(1 << 18))
        + &(0..200).map(small).collect::<String>();
    let names: Vec<String> = (0..200).map(|n| format!("s{n}")).collect();
    let condition = format!("t.str in (big, {})", names.join(", "));
    let error = compiled(&format!("{lists}{}", rule("r", &condition, "")));
    assert!(error.starts_with("condition is too long with list 's1"), "{error}");
}

#[test]
fn patterns_are_limited_together() {
    // Each takes about a megabyte.
    let pattern = |n: usize| format!("t.str regex \"({n}|.{{10}}){{90}}\"");
    let all = |count: usize| (0..count).map(pattern).collect::<Vec<_>>().join(" or ");
    assert_eq!(compiled(&rule("r", &all(20), "")).matches("regex").count(), 20);
    let error = compiled(&rule("r", &all(400), ""));
    assert!(error.contains("the patterns up to this one take more than 256 MiB"), "{error}");
    // Equal ones count once.
    let same = vec![pattern(0); 400].join(" or ");
    assert_eq!(compiled(&rule("r", &same, "")).matches("regex").count(), 400);
}

#[test]
fn a_condition_reports_a_limited_number_of_mistakes() {
    let mistakes = ["t.nosuch = 1"; 200].join(" or ");
    let loaded = validated(&[&rule("r", &mistakes, "")]);
    let shown = loaded.reports[0].render(false);
    assert_eq!(shown.matches("unknown field `t.nosuch`").count(), 50);
}
