//! What operators mean, from the condition's text to the verdict on one value.

use proptest::prelude::*;

use crate::condition::ast::Operator;
use crate::condition::typed::{Constant, Test, TypedAst};
use crate::condition::{check, parse};
use crate::field::Value;
use crate::field::tests::catalogue;
use crate::operator::regex::RegexError;
use crate::operator::{Matcher, Regex, compare};

fn matcher(condition: &str) -> Matcher {
    let ast = parse(condition, 1000).unwrap_or_else(|error| panic!("{condition}: {error:?}"));
    let Ok(TypedAst::Check(comparison)) = check(&ast, &catalogue()) else {
        panic!("{condition} does not compile");
    };
    match comparison.test {
        Test::Constant { operator, constant } => Matcher::new(operator, &constant),
        Test::Set { operator, constants } => Matcher::set(operator, &constants),
        other => panic!("{condition}: {other:?}"),
    }
}

#[track_caller]
fn text(value: &str, test: &str, expected: bool) {
    bytes(value.as_bytes(), test, expected);
}

#[track_caller]
fn bytes(value: &[u8], test: &str, expected: bool) {
    let found = matcher(&format!("t.s {test}")).matches(Value::String(value));
    assert_eq!(found, expected, "{} {test}", value.escape_ascii());
}

#[track_caller]
fn number(value: u64, test: &str, expected: bool) {
    assert_eq!(matcher(&format!("t.u {test}")).matches(Value::Number(value)), expected, "{test}");
}

#[track_caller]
fn address(field: &str, value: &[u8], test: &str, expected: bool) {
    let found = matcher(&format!("t.{field} {test}")).matches(Value::Address(value));
    assert_eq!(found, expected, "{value:?} {test}");
}

const V4: [u8; 4] = [192, 168, 1, 77];
/// 2001:db8::1
const V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Cases 38 and 50
#[test]
fn strings_compare_by_bytes() {
    text("get", "= get", true);
    text("get", "= GET", false);
    text("get", "!= get", false);
    text("get", "!= x", true);
    text("", "= ''", true);
    text("", "!= x", true);
    // As strings, not as numbers.
    text("100", "> 99", false);
    text("100", "< 99", true);
    text("10", "<= 10", true);
    text("10", ">= 10.", false);
    bytes(b"a\xff", "> 5", true);
    text("a", "in (b, a)", true);
    text("a", "intersects (b, a)", true);
    text("", "in ('')", true);
    text("a", "in (b)", false);
    text("", "in ()", false);
}

/// Case 39
#[test]
fn parts_of_strings() {
    text("Hello World", "contains 'lo W'", true);
    text("Hello World", "contains lo_w", false);
    text("Hello World", "contains ''", true);
    text("", "contains ''", true);
    text("Hello World", "icontains LO", true);
    text("Hello World", "icontains ORLD", true);
    text("Hello World", "icontains WORLDS", false);
    text("xxxab", "icontains XAB", true);
    text("ab", "icontains abc", false);
    text("ab", "icontains ''", true);
    text("Ärger", "icontains ärger", false);
    text("Hello", "startswith He", true);
    text("Hello", "startswith he", false);
    text("Hello", "startswith ''", true);
    text("Hello", "endswith lo", true);
    text("Hello", "endswith Hello!", false);
}

/// Case 51
#[test]
fn numbers_compare_unsigned() {
    number(42, "= 042", true);
    number(42, "!= 42", false);
    number(42, "> 41", true);
    number(42, ">= 43", false);
    number(u64::MAX, "= -1", true);
    number(u64::MAX, "> 1", true);
    number(42, "in (1, 42)", true);
    number(42, "in (1)", false);
    number(42, "in ()", false);
}

#[test]
fn booleans_are_equal_or_not() {
    for (test, expected) in [
        ("= true", true),
        ("!= true", false),
        ("= false", false),
        ("in (false)", false),
        ("in (false, true)", true),
        ("in ()", false),
    ] {
        assert_eq!(matcher(&format!("t.b {test}")).matches(Value::Bool(true)), expected, "{test}");
    }
}

/// Case 60
#[test]
fn addresses_are_equal_within_a_family() {
    address("ip", &V4, "= 192.168.1.77", true);
    address("ip", &V4, "!= 192.168.1.77", false);
    address("ip", &V6, "= 2001:db8::1", true);
    address("ip", &V4, "!= ::1", true);
    address("ip", &V4, "= ::ffff:c0a8:14d", false);
    address("ip", &V4, "in (::1, 192.168.1.77)", true);
    address("ip", &V4, "in (::1, 192.168.1.78)", false);
    address("ip", &V4, "in ()", false);
    address("ip", b"123", "!= ::1", true);
}

/// Cases 60 and 61
#[test]
fn networks_contain_addresses() {
    address("net", &V4, "= 192.168.1.99/24", true);
    address("net", &V4, "= 192.168.1.77/32", true);
    address("net", &V4, "= 192.168.1.76/32", false);
    address("net", &V4, "= 192.168.1.64/26", true);
    address("net", &V4, "= 192.168.1.128/25", false);
    address("net", &V4, "= 1.2.3.4/256", true);
    address("net", &V4, "!= 10.0.0.0/8", true);
    address("net", &V4, "!= 2001:db8::/32", true);
    address("net", &V6, "= 2001:db8::/32", true);
    address("net", &V6, "= 2001:db8::2/127", false);
    address("net", &V6, "= 2001:db8::1/128", true);
    address("net", &V6, "= 0.0.0.0/0", false);
    address("net", &V4, "in (10.0.0.0/8, 192.168.0.0/16)", true);
    address("net", &V4, "in (10.0.0.0/8)", false);
}

/// Cases 39 and 42 to 44
#[test]
fn globs_cross_slashes() {
    text("/var//log/app/x.log", "glob /var/*", true);
    text("/var//log/app/x.log", "glob \"/var/*.log\"", true);
    text("/var//log/app/x.log", "glob \"/var/?/log/*\"", false);
    text("/var//log/app/x.log", "glob \"/var//log/[!b]pp/x.log\"", true);
    text("Hello World", "glob Hello", false);
    text("", "glob ''", true);
    text("", "glob *", true);
    text("x", "glob ''", false);
    text(".hidden", "glob ?hidden", true);
    bytes(b"a\xffb", "glob a?b", true);
    text("é", "glob ?", false);
    text("aXbXc", "glob a*b*c", true);
    text("abcabd", "glob a*bd", true);
    text("a*c", r#"glob "a\\*c""#, true);
    text("abc", r#"glob "a\\*c""#, false);
    text("a", r"glob a\", false);
    text("a\\", r"glob a\", false);
}

#[test]
fn globs_know_classes() {
    text("b", "glob [a-c]", true);
    text("d", "glob [a-c]", false);
    text("d", "glob [^a-c]", true);
    text("]", "glob []a]", true);
    text("-", "glob [a-]", true);
    text("b", "glob [c-a]", false);
    text("a]", "glob [!]]]", true);
    text("5", "glob [[:digit:]x]", true);
    text("x", "glob [[:digit:]x]", true);
    text("y", "glob [[:digit:]x]", false);
    text("y", "glob [![:digit:]x]", true);
    text("a", "glob [[:nothing:]a]", false);
    text("[a", "glob [a", true);
    text("*", r#"glob "[\\*]""#, true);
    text("GET", "iglob g?t", true);
    text("GET", "iglob [a-h]*", true);
    text("GET", "glob [a-h]*", false);
}

#[test]
fn a_glob_with_many_stars_does_not_blow_up() {
    let value = "a".repeat(20_000);
    text(&value, &format!("glob {}b", "a*".repeat(100)), false);
}

/// Cases 39, 48 and 49
#[test]
fn paths_match_piece_by_piece() {
    let path = "/var//log/app/x.log";
    for test in
        ["(/var/log)", "(var)", "(/var/*/app)", "(//var//log//)", "(/)", "('')", "(/x, /v?r/[l]og)"]
    {
        text(path, &format!("pmatch {test}"), true);
    }
    for test in ["(/var/lo)", "(/var/./log)", "(/*/*/*/*/*)", "()", "(/var/*/log)", "(log)"] {
        text(path, &format!("pmatch {test}"), false);
    }
    text("", "pmatch (/)", true);
    text("", "pmatch (/a)", false);
    // Both globs fit the first piece; only the second leads on.
    text("/ab/y", "pmatch (/a*/x, /?b/y)", true);
    text("/ab/z", "pmatch (/a*/x, /?b/y)", false);
    text("/ab/y", "pmatch (/ab/x, /a*/y)", true);
}

/// Cases 39 and 45 to 47
#[test]
fn patterns_fit_the_whole_value() {
    text("Hello World", "regex Hello", false);
    text("Hello World", "regex \"Hello.*\"", true);
    text("Hello World", "regex \"^Hello World$\"", true);
    text("", "regex ''", true);
    text("a\nb", "regex a.b", false);
    text("a\nb", "regex \"a(.|\\n)b\"", true);
    text("a\nb", "regex \"a[^x]b\"", true);
    text("a\nb", "regex \"a$\\n^b\"", true);
    bytes(b"a\xffb", "regex a.b", true);
    bytes(b"a\xff\xffb", "regex a..b", true);
    text("日本語", "regex \"日..\"", true);
    text("aaa", "regex \"a*?\"", true);
    text("aaa", "regex \"a?+\"", true);
    text("", "regex \"a++\"", false);
    text("", "regex \"a?{2}*\"", true);
    text("ab", "regex \"(a|b)+\"", true);
    text("abab", "regex \"(ab){2}\"", true);
    text("a{x}", "regex \"a{x}\"", true);
    text("{,3}", "regex \"{,3}\"", true);
    text("5", "regex [[:digit:]]", true);
    text("x", "regex [^[:digit:]a-c]", true);
    text("-", "regex [a-]", true);
    text("]", "regex []a]", true);
    text("~&#", "regex [~&#-]+", true);
    text("a.b", r#"regex "a\\.b""#, true);
    text("axb", r#"regex "a\\.b""#, false);
    text("A\tB", r#"regex "\\x41\\t\\x{42}""#, true);
    text("A", r#"regex "\\101""#, true);
    text("a b", "regex 'a b'", true);
    text("a#b", "regex a#b", true);
}

#[track_caller]
fn refuse(pattern: &str, expected: &str) {
    assert_eq!(Regex::new(pattern.as_bytes()).unwrap_err().to_string(), expected);
}

/// Case 34
#[test]
fn patterns_are_posix() {
    refuse(r"\d+", r"invalid escape sequence: \d");
    refuse(r"a\b", r"invalid escape sequence: \b");
    refuse(r"[\w]", r"invalid escape sequence: \w");
    refuse(r"\pL", r"invalid escape sequence: \p");
    refuse(r"\1", r"invalid escape sequence: \1");
    refuse(r"\x4g", r"invalid escape sequence: \x4g");
    refuse(r"\x{110000}", r"invalid escape sequence: \x{110000}");
    refuse("a\\", "trailing \\");
    refuse("(?i)a", "no argument for repetition operator: ?");
    refuse("*a", "no argument for repetition operator: *");
    refuse("a|+", "no argument for repetition operator: +");
    refuse("({2})", "no argument for repetition operator: {2}");
    refuse("a{1,1001}", "invalid repetition size: {1,1001}");
    refuse("a{3,2}", "invalid repetition size: {3,2}");
    refuse("(a{100}){11}", "invalid repetition size: {11}");
    refuse("[z-a]", "invalid character class range: z-a");
    refuse("[a-c-e]", "invalid character class range: -e");
    refuse("[[:nope:]]", "invalid character class range: [:nope:]");
    refuse("x[]", "missing ]: []");
    refuse("(", "missing ): (");
    refuse("a)", "unexpected ): a)");
    assert_eq!(Regex::new(b"\xff").unwrap_err().to_string(), "invalid UTF-8");
    assert!(Regex::new(b"(a{100}){10}").is_ok());
    assert!(Regex::new("(".repeat(120).as_bytes()).is_err());
    assert!(Regex::new(format!("a{}", "*".repeat(254)).as_bytes()).is_ok());
    assert!(Regex::new(format!("{}a{}", "(".repeat(127), ")".repeat(127)).as_bytes()).is_ok());
    assert!(Regex::new(format!("{}a{}", "(".repeat(84), ")+".repeat(84)).as_bytes()).is_ok());
    assert!(Regex::new(format!("a{}", "{1}".repeat(84)).as_bytes()).is_ok());
}

#[test]
fn values_compare_with_values() {
    use Operator::{
        Contains, EndsWith, Equal, Glob, GreaterOrEqual, IContains, IGlob, Less, NotEqual,
        StartsWith,
    };
    let cases: [(Operator, Value<'_>, Value<'_>, bool); 12] = [
        (Equal { doubled: false }, Value::String(b"a"), Value::String(b"a"), true),
        (Less, Value::String(b"a"), Value::String(b"b"), true),
        (Contains, Value::String(b"abc"), Value::String(b"b"), true),
        (IContains, Value::String(b"ABC"), Value::String(b"b"), true),
        (StartsWith, Value::String(b"abc"), Value::String(b"b"), false),
        (EndsWith, Value::String(b"abc"), Value::String(b"bc"), true),
        (Glob, Value::String(b"abc"), Value::String(b"a*"), true),
        (IGlob, Value::String(b"ABC"), Value::String(b"a*"), true),
        (GreaterOrEqual, Value::Number(2), Value::Number(2), true),
        (NotEqual, Value::Bool(true), Value::Bool(false), true),
        (NotEqual, Value::Address(&V4), Value::Address(&V6), true),
        (Equal { doubled: false }, Value::Address(&V4), Value::Address(&V4), true),
    ];
    for (operator, left, right, expected) in cases {
        assert_eq!(compare(operator, left, right), expected, "{left:?} {operator:?} {right:?}");
    }
}

proptest! {
    /// What is accepted here is accepted by the crate, so its own errors never show.
    #[test]
    fn every_translated_pattern_compiles(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "é", " ", "#", "-", "&&", "~", ".", "^", "$", "|", "(", ")", "[", "[^", "]", "*", "+",
                "?", "{", "}", "{2}", "{0,1}", "{1,}", ",", "\\", "\\n", "\\x41", "\\.", "[:alpha:]", ":",
            ]),
            0..20,
        )
    ) {
        let pattern = tokens.concat();
        prop_assert_ne!(Regex::new(pattern.as_bytes()).err(), Some(RegexError::TooLarge), "{}", pattern);
    }

    #[test]
    fn no_pattern_or_value_makes_a_matcher_panic(pattern in "\\PC{0,20}", value in any::<Vec<u8>>()) {
        let constant = [Constant::Text(pattern.into_bytes())];
        for operator in [Operator::Contains, Operator::IContains, Operator::Glob, Operator::IGlob] {
            Matcher::new(operator, &constant[0]).matches(Value::String(&value));
        }
        for operator in [Operator::In, Operator::Pmatch] {
            Matcher::set(operator, &constant).matches(Value::String(&value));
        }
    }
}
