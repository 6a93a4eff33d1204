//! What compiles and what does not. The messages are stock's unless a test says otherwise.

use proptest::prelude::*;

use crate::condition::ast::Operator;
use crate::condition::typed::{Comparison, Constant, Expression, Test, TypedAst};
use crate::condition::{CheckError, CheckErrorKind, check, output_expression, parse};
use crate::field::FieldType;
use crate::field::tests::catalogue;

fn check_text(condition: &str) -> Result<TypedAst, Vec<CheckError>> {
    check(&parse(condition, 1000).unwrap(), &catalogue())
}

#[track_caller]
fn accept(condition: &str) -> Comparison {
    match check_text(condition) {
        Ok(TypedAst::Check(comparison)) => comparison,
        other => panic!("{condition}: {other:?}"),
    }
}

#[track_caller]
fn refuse(condition: &str, expected: &str) -> CheckError {
    match check_text(condition) {
        Ok(typed) => panic!("{condition} compiles to {typed:?}"),
        Err(errors) => {
            assert_eq!(errors[0].message, expected, "{condition}");
            errors[0].clone()
        }
    }
}

/// Operators right of which one constant stands, with one that each type takes.
const OPERATORS: [&str; 15] = [
    "=",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "contains",
    "icontains",
    "startswith",
    "endswith",
    "glob",
    "iglob",
    "regex",
    "bcontains",
];
const TYPES: [(&str, &str); 7] = [
    ("s", "5"),
    ("u", "5"),
    ("rel", "5"),
    ("abs", "5"),
    ("b", "true"),
    ("ip", "1.2.3.4"),
    ("net", "1.2.3.4/8"),
];

/// Cases 22 to 24
#[test]
fn operators_suit_types() {
    for (name, constant) in TYPES {
        for operator in OPERATORS {
            // What is right of an order must be a number already for the parser.
            let is_order = operator.starts_with(['<', '>']);
            let constant = if is_order { "5" } else { constant };
            let (suits, class) = match name {
                "s" => (operator != "bcontains", "string filters"),
                "u" | "rel" | "abs" => (is_order || operator.ends_with('='), "numeric filters"),
                "b" => (!is_order && operator.ends_with('='), "numeric filters"),
                _ => (!is_order && operator.ends_with('='), "ip address and network filters"),
            };
            let condition = format!("t.{name} {operator} {constant}");
            if suits {
                accept(&condition);
            } else {
                let message =
                    format!("filter error: '{operator}' operator not supported for {class}");
                refuse(&condition, &message);
            }
            let operator = operator.replace("==", "=");
            let message = format!("filter error: '{operator}' operator not supported list filters");
            refuse(&format!("t.l{name} {operator} {constant}"), &message);
        }
        for side in ["t.", "t.l"] {
            accept(&format!("{side}{name} exists"));
            accept(&format!("{side}{name} in ({constant})"));
            accept(&format!("{side}{name} intersects ({constant}, {constant})"));
            accept(&format!("{side}{name} in ()"));
        }
        accept(&format!("t.{name} != allof ({constant})"));
    }
    accept("t.s pmatch (/a, b)");
    refuse("t.ls pmatch (a)", "filter error: 'pmatch' operator not supported list filters");
    refuse("t.u pmatch (a)", "filter error: 'pmatch' operator not supported for numeric filters");
    refuse("t.ls = anyof (a)", "filter error: '=' operator not supported list filters");
    refuse(
        "t.ip contains oneof (1)",
        "'contains' with modifier not supported for ip address and network filters",
    );
}

#[test]
fn both_spellings_of_equality_are_one_predicate() {
    assert_eq!(accept("t.s == a"), accept("t.s = a"));
    assert_eq!(accept("t.s == oneof (a)"), accept("t.s = oneof (a)"));
    assert_eq!(accept("t.s == val(ka.verb)"), accept("t.s = val(ka.verb)"));
}

/// `expected` is the constant, or the message.
#[track_caller]
fn check_constant(kind: &str, text: &str, expected: Result<Constant, &str>) {
    let condition = format!("t.{kind} = \"{text}\"");
    match (expected, check_text(&condition)) {
        (Ok(expected), Ok(TypedAst::Check(Comparison { test, .. }))) => {
            let operator = Operator::Equal { doubled: false };
            assert_eq!(test, Test::Constant { operator, constant: expected }, "{condition}");
        }
        (Err(expected), Err(errors)) => assert_eq!(errors[0].message, expected, "{condition}"),
        (_, found) => panic!("{condition}: {found:?}"),
    }
}

/// Cases 11, 12 and 51
#[test]
fn numbers_are_read_as_scanf_does() {
    for (text, number) in [
        ("42", 42),
        ("042", 42),
        ("+42", 42),
        (" \\t42", 42),
        ("-1", u64::MAX),
        ("-18446744073709551615", 1),
        ("18446744073709551615", u64::MAX),
        ("99999999999999999999999", u64::MAX),
        ("-99999999999999999999999", u64::MAX),
    ] {
        check_constant("u", text, Ok(Constant::Number(number)));
    }
    for text in ["", "x", "0x1F", "5.5", "1e3", "1 ", "- 1", "--1", "+-1"] {
        check_constant("u", text, Err(&format!("{text} is not a valid number")));
    }
    refuse("t.u > 5.5", "5.5 is not a valid number");
    refuse("t.u = 0x1F", "0x1F is not a valid number");
    check_constant("rel", "7", Ok(Constant::Number(7)));
    check_constant("abs", "x", Err("x is not a valid number"));
}

/// Case 25
#[test]
fn booleans_are_two_words() {
    check_constant("b", "true", Ok(Constant::Bool(true)));
    check_constant("b", "false", Ok(Constant::Bool(false)));
    check_constant("b", "True", Err("filter error: unrecognized boolean value True"));
    check_constant("b", "1", Err("filter error: unrecognized boolean value 1"));
}

/// Cases 26 and 27
#[test]
fn addresses_with_a_dot_are_ipv4() {
    check_constant("ip", "192.168.1.77", Ok(Constant::Address([192, 168, 1, 77].into())));
    check_constant("ip", "::1", Ok(Constant::Address(std::net::Ipv6Addr::LOCALHOST.into())));
    for text in ["1.2.3", "01.2.3.4", "::ffff:1.2.3.4", "192.168.1.0/24"] {
        check_constant("ip", text, Err(&format!("unrecognized IPv4 address {text}")));
    }
    check_constant("ip", "localhost", Err("unrecognized IPv6 address localhost"));
    refuse("t.ip in (192.168.1.0/24)", "unrecognized IPv4 address 192.168.1.0/24");
}

/// Cases 27, 28 and 61
#[test]
fn networks_need_a_length() {
    let network = |address: [u8; 4], length| Constant::Network { address: address.into(), length };
    check_constant("net", "192.168.1.99/24", Ok(network([192, 168, 1, 99], 24)));
    check_constant("net", "1.2.3.4/256", Ok(network([1, 2, 3, 4], 0)));
    check_constant("net", "1.2.3.4/33", Err("invalid netmask 33"));
    check_constant("net", "1.2.3.4/x", Err("x is not a valid number"));
    check_constant("net", "192.168.1.77", Err("unrecognized IP network 192.168.1.77"));
    refuse("t.net in (192.168.1.77)", "unrecognized IP network 192.168.1.77");
    check_constant("net", "host/8", Err("unrecognized IP address host"));
    check_constant("net", "::/0", Err("invalid v6 netmask 0"));
    check_constant("net", "::/129", Err("invalid v6 netmask 129"));
    check_constant("net", "::/x", Err("invalid v6 netmask: x"));
    assert!(check_text("t.net = 2001:db8::/128").is_ok());
}

/// Cases 15 and 20
#[test]
fn strings_have_no_nul_and_at_most_255_bytes() {
    let too_long = "é".repeat(128);
    accept(&format!("t.s = {}", &"a".repeat(255)));
    refuse(
        &format!("t.s in (a, {too_long})"),
        &format!("filter parameter too long (used=257, available=256):{too_long}"),
    );
    let nul = r"filter error: filter value cannot contain a NUL byte (\x00)";
    refuse(r#"t.s = "a\x00""#, nul);
    refuse(r#"t.u = "\x00""#, nul);
    refuse(r#"concat(t.s, "\x00") exists"#, nul);
}

/// Case 34
#[test]
fn patterns_are_compiled() {
    accept(r#"t.s regex "a.*""#);
    refuse(r#"t.s regex "(?i)a""#, "invalid regex pattern: no argument for repetition operator: ?");
    refuse(r"t.s regex \d+", r"invalid regex pattern: invalid escape sequence: \d");
    refuse("t.s regex anyof ('^ge', '(bad')", "invalid regex pattern: missing ): (bad");
}

/// Cases 29 to 31
#[test]
fn the_right_side_is_of_the_same_type() {
    accept("t.s = val(ka.verb)");
    accept("t.ls in val(t.ls)");
    accept("t.s startswith tolower(ka.verb)");
    accept("t.u > len(t.ls)");
    accept("t.ip != val(t.ip)");
    let mismatch = |left: &str, left_type: &str, right: &str, right_type: &str| {
        format!(
            "field '{left}' has type '{left_type}' while the right-hand side field '{right}' has \
             incompatible type '{right_type}'"
        )
    };
    refuse("t.u = val(t.s)", &mismatch("t.u", "UINT64", "t.s", "CHARBUF"));
    refuse("t.u > val(t.rel)", &mismatch("t.u", "UINT64", "t.rel", "RELTIME"));
    refuse("t.s in val(t.ls)", &mismatch("t.s", "CHARBUF", "t.ls", "CHARBUF (list)"));
    refuse("t.ls in val(t.s)", &mismatch("t.ls", "CHARBUF (list)", "t.s", "CHARBUF"));
    refuse("len(t.s) = val(t.key[a])", &mismatch("t.s", "UINT64", "t.key", "CHARBUF"));
    refuse("t.s regex val(t.s)", "operator 'REGEX' doesn't support right-hand side fields");
    refuse("t.s pmatch val(t.s)", "operator 'PMATCH' doesn't support right-hand side fields");
    refuse("t.net = val(t.net)", "field type 'IPNET' doesn't support right-hand side fields");
    refuse("t.ls = val(t.ls)", "filter error: '=' operator not supported list filters");
    refuse("t.s = val(no.field)", "filter_check called with nonexistent field no.field");
}

#[track_caller]
fn check_type(expression: &str, kind: FieldType, is_list: bool) {
    let left = accept(&format!("{expression} exists")).left;
    assert_eq!((left.kind(), left.is_list()), (kind, is_list), "{expression}");
}

/// Case 32
#[test]
fn transformers_have_types() {
    for transformer in ["tolower", "toupper", "b64", "basename"] {
        check_type(&format!("{transformer}(t.s)"), FieldType::String, false);
        check_type(&format!("{transformer}(t.ls)"), FieldType::String, true);
        check_type(&format!("{transformer}(\"a\")"), FieldType::String, false);
        refuse(
            &format!("{transformer}(t.lu) exists"),
            &format!(
                "can't add field transformer: type 'UINT64' is not supported by '{transformer}' \
                 transformer applied on list field 't.lu'"
            ),
        );
        refuse(&format!("{transformer}(t.s, t.s) exists"), "unknown multivalue transformer");
        refuse(
            &format!("{transformer}(t.s)[0] exists"),
            &format!("filter error: transformer '{transformer}' does not support field arguments"),
        );
    }
    for (name, _) in TYPES {
        check_type(&format!("len(t.l{name})"), FieldType::Uint64, false);
    }
    check_type("len(t.s)", FieldType::Uint64, false);
    check_type("len(5)", FieldType::Uint64, false);
    check_type("len(getopt(t.ls, \"n\"))", FieldType::Uint64, false);
    refuse(
        "len(t.u) = 2",
        "can't add field transformer: type 'UINT64' is not supported by 'len' transformer applied on \
         field 't.u'",
    );
    refuse(
        "toupper(len(t.s)) = 2",
        "can't add field transformer: type 'UINT64' is not supported by 'toupper' transformer applied \
         on field 't.s'",
    );
}

/// Case 33
#[test]
fn join_concat_and_getopt_check_their_arguments() {
    check_type("join(\",\", t.ls)", FieldType::String, false);
    check_type("join(\",\", (t.s, t.u, \"x\", 5))", FieldType::String, false);
    check_type("join(ka.verb, ())", FieldType::String, false);
    check_type("join(\",\", tolower(t.ls))", FieldType::String, false);
    check_type("concat(t.s, \"-\", 5)", FieldType::String, false);
    check_type("concat(len(t.s), t.s)", FieldType::String, false);
    check_type("getopt(t.ls, \"nt:\")", FieldType::String, true);
    check_type("getopt((\"-n\"), t.s)[n]", FieldType::String, false);
    for name in ["join", "concat", "getopt"] {
        let message = format!("unknown field transfomer '{name}'");
        refuse(&format!("{name}(\"a\") = a"), &message);
    }
    refuse("join(\",\", t.s) = a", "join() second argument must be a list");
    refuse("join(\",\", getopt(t.ls, \"a\")) = a", "join() second argument must be a list");
    refuse(
        "join(t.ls, t.ls) = a",
        "join() first argument (separator) must be a single value, not a list",
    );
    refuse("join(\",\", t.ls, t.s) = a", "join() requires exactly 2 arguments: separator and list");
    refuse("concat(t.s, t.u) = a", "concat() arguments must be strings");
    refuse(
        "getopt(t.ls, t.ls) exists",
        "getopt() second argument (optstring) must be a single value",
    );
    refuse(
        "getopt(t.ls, \"n\")[nn] = n",
        "getopt() field argument must be a single option character",
    );
    // Stock would join the bytes of these, or compare them; we have no use for it.
    refuse("join(t.u, t.ls) = a", "join() first argument (separator) must be a string");
    refuse("join(\",\", (t.ls)) = a", "transformer list arguments must be single values");
    refuse("getopt(t.s, \"n\") exists", "getopt() first argument must be a list of strings");
}

/// Cases 17 and 21
#[test]
fn errors_say_where_and_what_was_meant() {
    let error = refuse(
        "t.s = a and tolower(ka.vreb) = b",
        "filter_check called with nonexistent field ka.vreb",
    );
    assert_eq!((error.span.start, error.span.end, error.stock_offset), (20, 27, 12));
    assert_eq!(error.help.as_deref(), Some("a similar field exists: `ka.verb`"));
    assert_eq!(error.kind, CheckErrorKind::UnknownField);
    let error = refuse("t.u in (1, x)", "x is not a valid number");
    assert_eq!((error.span.start, error.span.end, error.stock_offset), (11, 12, 0));
    let error = refuse("t.key = a", "filter 't.key': t.key requires an argument but none provided");
    assert_eq!(error.kind, CheckErrorKind::FieldArgument);
    assert_eq!(error.help.as_deref(), Some("the argument stands in brackets: `t.key[…]`"));
}

#[test]
fn all_errors_are_found() {
    let errors = check_text("no.a = 1 or not (t.u = x and t.s exists) and t.b > 1").unwrap_err();
    let kinds: Vec<_> = errors.iter().map(|error| error.kind).collect();
    assert_eq!(
        kinds,
        [CheckErrorKind::UnknownField, CheckErrorKind::Constant, CheckErrorKind::Operator]
    );
}

/// `expected` is what of the text is the field, or the message.
#[track_caller]
fn check_output(text: &str, expected: &str) {
    match output_expression(text, &catalogue()) {
        Ok((_, length)) => assert_eq!(&text[..length], expected),
        Err(error) => assert_eq!(error.message, expected),
    }
}

#[test]
fn an_output_takes_the_longest_field() {
    let unknown = "unknown filter: unexpected token after '";
    check_output("t.s) and more", "t.s");
    check_output("t.s.", "t.s");
    check_output("t.s.subway", "t.s.sub");
    check_output("t.sx", "t.s");
    check_output("t.s[0]", "t.s");
    check_output("t.s[%t.u", "t.s");
    check_output("t.key[a] b", "t.key[a]");
    check_output("t.key['a\"] b", unknown);
    check_output("t.idx[01]", "t.idx");
    check_output("tolower( t.s )[x", "tolower( t.s )");
    check_output("tolower(t.s)[%t.s]", "tolower(t.s)");
    check_output("getopt(t.ls, \"n:\")[n]!", "getopt(t.ls, \"n:\")[n]");
    check_output("join(\",\", t.ls)[n]", "join(\",\", t.ls)");
    for text in ["", "%", " t.s", "5", "t", "no.field", "val(t.s)", "tolower(no.field)", "len(t.u)"]
    {
        check_output(text, unknown);
    }
    check_output("tolower(t.s, t.s)", "unknown multivalue transformer");
    let error = output_expression("ka.vreb=", &catalogue()).unwrap_err();
    assert_eq!(error.length, "ka.vreb".len());
    assert_eq!(error.help.as_deref(), Some("a similar field exists: `ka.verb`"));
    let (expression, _) = output_expression("t.key[a]", &catalogue()).unwrap();
    assert!(matches!(expression, Expression::Field(field) if field.text == "t.key[a]"));
}

proptest! {
    #[test]
    fn errors_point_into_the_text_whatever_the_constant(text in "[^'\\\\\0]{0,20}") {
        for (name, _) in TYPES {
            let condition = format!("t.{name} = '{text}' or t.{name} in ('{text}', '1/{text}')");
            for error in check_text(&condition).err().into_iter().flatten() {
                prop_assert!(condition.get(error.span.start..error.span.end).is_some());
            }
        }
        if let Ok((_, length)) = output_expression(&text, &catalogue()) {
            prop_assert!(text.is_char_boundary(length));
        }
    }
}
