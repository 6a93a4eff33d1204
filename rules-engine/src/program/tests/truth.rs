//! What stock Falco answered to conditions about one event, and where we answer better.

use super::*;
use crate::condition;
use crate::load::RuleMatching;

fn event() -> Fields {
    let texts = |texts: &[&str]| texts.iter().map(|word| text(word)).collect();
    let fields: [(&str, Vec<OwnedValue>); 19] = [
        ("t.str", texts(&["Hello World"])),
        ("t.up", texts(&["ABC"])),
        ("t.empty", texts(&[""])),
        ("t.path", texts(&["/var//log/app/x.log"])),
        ("t.numstr", texts(&["100"])),
        ("t.bad", vec![OwnedValue::String(b"a\xFFb".to_vec())]),
        ("t.ctl", texts(&["l1\nl2\t\"q\"\\z\u{1}\u{7f}"])),
        ("t.quote", texts(&[r"back\slash"])),
        ("t.b64", texts(&["aGVsbG8="])),
        ("t.b64bad", texts(&["!!"])),
        ("t.u", vec![OwnedValue::Number(42)]),
        ("t.big", vec![OwnedValue::Number(u64::MAX)]),
        ("t.t", vec![OwnedValue::Bool(true)]),
        ("t.f", vec![OwnedValue::Bool(false)]),
        ("t.ip4", vec![OwnedValue::Address(vec![192, 168, 1, 77])]),
        ("t.net4", vec![OwnedValue::Address(vec![192, 168, 1, 77])]),
        ("t.ls", texts(&["a", "b", "c d"])),
        ("t.ldup", texts(&["a", "a"])),
        ("t.argv", texts(&["-n", "-t", "val"])),
    ];
    let mut event: Fields =
        fields.map(|(name, values)| (name.to_owned(), values)).into_iter().collect();
    let lnet =
        vec![OwnedValue::Address(vec![192, 168, 1, 77]), OwnedValue::Address(vec![10, 0, 0, 9])];
    event.insert("t.lnet".to_owned(), lnet);
    event.insert("t.key[a]".to_owned(), texts(&["k<a>"]));
    event
}

fn check(expected: bool, conditions: &[&str]) {
    let catalogue = catalogue();
    for condition in conditions {
        let ast = condition::parse(condition, 1000).unwrap();
        let rule = RuleToCompile {
            info: info(0),
            condition: condition::check(&ast, &catalogue).unwrap(),
            output: OutputTemplate { pieces: Vec::new() },
            extra_fields: Vec::new(),
        };
        let program = Program::compile("test", vec![rule], RuleMatching::All, &catalogue);
        let found = evaluate(&mut Evaluator::new(), &program, &event());
        assert_eq!(!found.is_empty(), expected, "{condition}");
    }
}

/// Cases 35 to 38, 66 and 97
#[test]
fn every_check_of_a_missing_value_is_false() {
    let checks =
        ["t.miss != x", "t.miss = x", "t.miss exists", "t.lzero in ()", "t.up != val(t.miss)"];
    check(false, &checks);
    check(false, &["t.up = val(t.miss)", "len(t.lzero) = 0", "len(t.miss) = 0"]);
    check(false, &["t.miss != allof (x, y)", "t.miss < 5", "toupper(t.miss) != X"]);
    check(true, &["not t.miss != x", "not t.miss = x", "not t.lzero in (a)"]);
    check(true, &["t.empty exists", "t.empty = \"\"", "t.empty in (\"\")", "t.empty != x"]);
}

/// Cases 40 and 41
#[test]
fn combinations_bind_as_usual() {
    check(true, &["t.t = true or t.t = true and t.f = true", "not t.t = true or t.u = 42"]);
    check(false, &["not (t.t = true or t.u = 42)", "t.f = true or not t.up = ABC"]);
}

/// Cases 52 to 55
#[test]
fn modifiers_count_constants() {
    check(false, &["t.u = oneof (42,42)", "t.str startswith oneof (Hello, He)"]);
    check(true, &["t.u = anyof (42,42)", "t.str startswith anyof (Hello, He)"]);
    check(true, &["t.str startswith allof (Hello, He)", "t.u != anyof (42,41)"]);
    check(false, &["t.u != allof (42,41)", "t.str != allof ()", "t.str = anyof ()"]);
    check(false, &["t.str = oneof ()", "t.str != oneof ()"]);
}

/// Cases 56 to 59
#[test]
fn lists_are_compared_as_a_whole_or_in_part() {
    check(true, &["t.ls in (a, b, \"c d\", e)", "t.ls intersects (a)", "t.ls in val(t.ls)"]);
    check(true, &["t.ldup in val(t.ls)", "t.ls intersects val(t.ldup)"]);
    check(false, &["t.ls in (a, b)", "t.ls in ()", "t.ls intersects ()", "t.ls in val(t.ldup)"]);
    check(true, &["t.lnet in (192.168.0.0/16, 10.0.0.0/8)", "t.lnet intersects (10.0.0.0/8)"]);
    check(false, &["t.lnet in (192.168.0.0/16)"]);
}

/// Cases 16, 45, 46, 50, 51 and 60 to 65
#[test]
fn single_values_are_compared_by_type() {
    check(true, &["t.numstr < 99", "t.u = 042", "t.big = -1", "t.ip4 != ::1"]);
    check(false, &["t.numstr > 99", "t.up = t.up", "t.str regex Hello"]);
    check(false, &["t.ctl regex \".*\"", r#"t.str = "Hello\ World""#]);
    check(true, &[r#"t.ctl regex "(.|\n)*""#, "t.ctl regex \"l1[^x]*\""]);
    check(
        true,
        &[r#"t.quote = "back\\slash""#, r"t.quote = back\slash", r#"t.quote = "back\ slash""#],
    );
    check(true, &["t.net4 = 192.168.1.99/24", "t.net4 in (10.0.0.0/8, 192.168.0.0/16)"]);
    check(true, &["t.key[a] = \"k<a>\"", "t.path pmatch (/var/log)", "t.path glob /var/*"]);
    check(
        true,
        &["t.up = val(t.up)", "tolower(t.str) = tolower(t.str)", "t.up = toupper(\"abc\")"],
    );
}

/// Cases 66 to 72
#[test]
fn transformers_apply_before_the_comparison() {
    check(true, &["len(t.bad) = 3", "len(t.empty) = 0", "len(t.ls) = 3", "len(t.str) > 10"]);
    check(true, &["b64(t.b64) = hello", "b64(\"aGVsbG8\") = hello"]);
    check(false, &["b64(\"aGVsbG9=\") exists", "b64(t.b64bad) != x"]);
    check(true, &["basename(t.path) = x.log", "basename(\"/a/b/\") = \"\""]);
    check(
        true,
        &["join(\"-\", (t.str, t.u, \"x\")) = \"Hello World-42-x\"", "join(\"-\", ()) = \"\""],
    );
    check(true, &["join(\",\", t.ls) = \"a,b,c d\"", "join(\",\", (1.50, 0x10)) = \"1.50,0x10\""]);
    check(false, &["join(\"-\", (t.miss,\"a\")) exists", "concat(t.up, t.miss) exists"]);
    check(true, &["concat(t.up, \"-\", t.up) = ABC-ABC"]);
    check(true, &["getopt(t.argv, \"nt:\") in (n, t, val)", "getopt(t.argv, \"nt:\")[t] = val"]);
    check(true, &["getopt(t.argv, \"nt:\")[n] = n", "getopt((\"-t\"), \"t:\")[t] = \"\""]);
    check(true, &["getopt((\"-x\",\"-n\"),\"n\") intersects (\"?\")"]);
}

/// Case 73
#[test]
fn a_list_without_options_is_empty_and_yet_exists() {
    let none = "getopt((\"arg\",\"-n\"),\"n\")";
    check(true, &[&format!("{none} in (zzz)"), &format!("{none} in ()")]);
    check(true, &[&format!("{none} exists"), &format!("len({none}) = 0")]);
    check(false, &[&format!("{none} intersects (n)"), &format!("{none}[n] exists")]);
}

#[test]
fn where_stock_goes_wrong_the_documentation_counts() {
    check(true, &["toupper(t.ls) intersects (A)", "toupper(t.ls) in (A, B, \"C D\")"]);
    check(true, &["basename(t.ls) in (a, b, \"c d\")", "t.up in toupper(t.up)"]);
    check(true, &["len(getopt(t.argv, \"nt:\")) = 3", "join(\"-\", (t.up, t.t)) = ABC-true"]);
    check(true, &["concat(t.up, \"x\") = concat(t.up, \"x\")"]);
}

/// Cases 74 and 75
#[test]
fn the_engine_answers_for_its_own_fields() {
    check(false, &["evt.num = 0", "evt.asynctype exists"]);
    check(true, &["evt.num = 1", "evt.is_async = false", "evt.source = test"]);
    check(true, &["evt.rawtime.ns = 123456789", "evt.time.s = \"22:13:20\""]);
    check(true, &["evt.datetime = \"2023-11-14 22:13:20.123456789\""]);
    check(true, &["evt.pluginname = t and evt.plugininfo contains all", "evt.hostname = host"]);
    check(true, &["static.site = x"]);
}
