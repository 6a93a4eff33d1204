//! Parsing and printing. What conditions mean is tested in `check` and `operator`.
//!
//! Case numbers, here and in the other tests of the engine, are those of the conformance cases of the rules
//! language, 1 to 144.

use proptest::prelude::*;
use regex::Regex;

use crate::condition::ast::{
    Ast, Check, Constant, Modifier, Operator, Span, Term, Test, Transformer,
};
use crate::condition::parse;

/// `expected` is the condition as printed.
#[track_caller]
fn check(condition: &str, expected: &str) {
    match parse(condition, 1000) {
        Ok(ast) => assert_eq!(ast.to_string(), expected),
        Err(error) => panic!("{condition}: {} at {}", error.message, error.offset),
    }
}

/// `expected` is how the message starts; `offset` is where stock says it is.
#[track_caller]
fn check_error(condition: &str, offset: usize, expected: &str) {
    match parse(condition, 1000) {
        Ok(ast) => panic!("{condition} parses as {ast}"),
        Err(error) => {
            let message =
                error.message.replace(STOCK_TRANSFORMERS, "T").replace(STOCK_OPERATORS, "O");
            assert_eq!((message.as_str(), error.offset), (expected, offset), "{condition}");
        }
    }
}

const STOCK_TRANSFORMERS: &str =
    "'val', 'tolower', 'toupper', 'b64', 'basename', 'len', 'join', 'concat', 'getopt'";
const STOCK_OPERATORS: &str = "'exists', '<=', '<', '>=', '>', '==', '=', '!=', 'glob', 'iglob', \
    'contains', 'icontains', 'bcontains', 'startswith', 'bstartswith', 'endswith', 'regex', \
    'intersects', 'in', 'pmatch'";

/// Cases 40 and 41
#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    check("a.a=1 or a.b=2 and a.c=3", "(a.a = 1 or (a.b = 2 and a.c = 3))");
    check("not a.a=1 or a.b=2", "(not a.a = 1 or a.b = 2)");
    check("not (a.a=1 or a.b=2)", "not (a.a = 1 or a.b = 2)");
    check("(a.a=1 or a.b=2) and a.c=3", "((a.a = 1 or a.b = 2) and a.c = 3)");
    check("a.a=1 and (a.b=2 and a.c=3)", "(a.a = 1 and (a.b = 2 and a.c = 3))");
    check(" \t\r\n\x08( ( a.a exists ) ) \n", "a.a exists");
}

/// Cases 1 to 3
#[test]
fn keywords_need_blanks_or_parentheses_only_behind_them() {
    check("t.t=true and(t.u=42)", "(t.t = true and t.u = 42)");
    check("t.t=true or(t.u=42)", "(t.t = true or t.u = 42)");
    check("not(t.f=true)", "not t.f = true");
    check("not not t.t=true", "t.t = true");
    check("not not not(t.t=true)", "not t.t = true");
    check("t.str existsand t.t=true", "(t.str exists and t.t = true)");
    check("t.u>5and t.t=true", "(t.u > 5 and t.t = true)");
    check("t.str=\"a\"and t.t=true", "(t.str = a and t.t = true)");
    check("a.b inside", "a.b in (side)");
    check_error("t.t=true andx", 12, "expected blank or '(' after 'and'");
    check_error("t.t=true and", 12, "expected blank or '(' after 'and'");
    check_error("t.t=true or", 11, "expected blank or '(' after 'or'");
}

/// Cases 5 and 6
#[test]
fn an_identifier_alone_is_a_macro_even_if_it_is_a_keyword() {
    check("not_mine and order", "(not_mine and order)");
    check("not", "not");
    check("and", "and");
    check("not not", "not not");
    check_error("k. = x", 1, "unexpected token after 'k', expecting 'or', 'and'");
}

/// Case 4
#[test]
fn what_is_left_over_is_unexpected() {
    check_error("t.t=true AND t.f=true", 9, "unexpected token after 'true', expecting 'or', 'and'");
    check_error("t.t=true # c", 9, "unexpected token after 'true', expecting 'or', 'and'");
    check_error("t.t=true)", 8, "unexpected token after 'true', expecting 'or', 'and'");
    check_error("k.v => get", 7, "unexpected token after '>', expecting 'or', 'and'");
    check_error(
        "k.v = get and or k.u exists",
        17,
        "unexpected token after 'or', expecting 'or', 'and'",
    );
    check_error("foo(k.v) = x", 3, "unexpected token after 'foo', expecting 'or', 'and'");
    check_error("k.v = a\"b", 7, "unexpected token after 'a', expecting 'or', 'and'");
    check_error("k.v exists=1", 10, "unexpected token after 'exists', expecting 'or', 'and'");
    check_error("a.b exists\0", 10, "unexpected token after 'exists', expecting 'or', 'and'");
}

#[test]
fn a_check_must_start_where_one_is_expected() {
    check_error("", 0, "filter input string is empty");
    for (condition, offset) in
        [(" ", 1), ("()", 1), ("1 = 1", 0), (".ka = x", 0), ("a.b=1 and \n", 11)]
    {
        check_error(condition, offset, "expected a '(' token, a field check, or an identifier");
    }
    check_error("(a.b = 1\n", 9, "expected a ')' token");
    for (condition, offset) in
        [("a.b", 3), ("a.b. = x", 3), ("a.b not in (x)", 4), ("a.b glob(x)", 4)]
    {
        check_error(condition, offset, "expected a valid check operator: one of O");
    }
}

#[test]
fn right_of_a_string_operator_a_word_is_a_constant() {
    check("t.s = not", "t.s = not");
    check("t.s = c.d", "t.s = c.d");
    check("t.s == x", "t.s == x");
    check("x.y=0a!@#456:/\\.;!$%^&*[]{}|", "x.y = \"0a!@#456:/\\\\.;!$%^&*[]{}|\"");
    check("evt.dir = <", "evt.dir = <");
    check("t.s = val", "t.s = val");
    check("t.s startswith \t a", "t.s startswith a");
    check_error("t.s = = get", 6, "expected a string value or a field with a valid transformer: T");
    check_error("t.s =(get)", 5, "expected a string value or a field with a valid transformer: T");
    check_error("t.s = \n", 7, "expected a string value or a field with a valid transformer: T");
    check_error("t.s = val (t.s)", 10, "unexpected token after 'val', expecting 'or', 'and'");
}

/// Cases 7 and 8
#[test]
fn a_modifier_needs_blanks_and_a_list() {
    check("t.s = oneof (a, b)", "t.s = oneof (a, b)");
    check("t.s = oneof a", "t.s = oneof (a)");
    check("t.s startswith allof ()", "t.s startswith allof ()");
    check("t.s != anyof\n(a)", "t.s != anyof (a)");
    check("t.s = oneof", "t.s = oneof");
    check("t.s = oneofx", "t.s = oneofx");
    check("t.s = anyof and t.t exists", "(t.s = anyof and t.t exists)");
    check("(t.s = anyof )", "t.s = anyof");
    check("t.s = anyof android", "t.s = anyof (android)");
    check_error("t.s =oneof (a)", 11, "unexpected token after 'oneof', expecting 'or', 'and'");
    check_error(
        "t.s startswith oneof(a)",
        20,
        "unexpected token after 'oneof', expecting 'or', 'and'",
    );
    check_error("t.s == oneof(cat)", 12, "unexpected token after 'oneof', expecting 'or', 'and'");
    check_error("t.s in oneof (a)", 13, "unexpected token after 'oneof', expecting 'or', 'and'");
}

/// Cases 9 and 10
#[test]
fn lists_hold_constants_only() {
    check("t.s in (a, 'b c',\"d\")", "t.s in (a, \"b c\", d)");
    check("t.s in()", "t.s in ()");
    check("t.s intersects( )", "t.s intersects ()");
    check("t.s pmatch (/var,/)", "t.s pmatch (/var, /)");
    check("t.s in a", "t.s in (a)");
    check_error("t.s in a.b", 8, "unexpected token after 'a', expecting 'or', 'and'");
    check_error(
        "t.s in \"a\"",
        7,
        "expected a list, an identifier, or a field with a valid transformer: T",
    );
    check_error("t.s in (a b)", 10, "expected a ')' token");
    check_error("t.s in (,a)", 8, "expected a ')' token");
    check_error("t.s in (a", 9, "expected a ')' token");
    check_error("t.s in (a,)", 10, "expected a string value");
    check_error("t.s in (a,", 10, "expected a string value");
    check_error("t.s in (val(t.s))", 11, "expected a ')' token");
    check_error("t.s in ((a, b))", 8, "expected a ')' token");
}

/// Cases 11 and 12
#[test]
fn right_of_a_number_operator_only_numbers_stand() {
    for number in ["42", "-1", "+42", "5.5", "5.", "0x1F", "1.5e+3", "1e-5"] {
        check(&format!("t.u >= {number}"), &format!("t.u >= {number}"));
    }
    for operand in ["\"42\"", "x", "", "-", ".5"] {
        check_error(
            &format!("t.u > {operand}"),
            6,
            "expected a number value or a field with a valid transformer: T",
        );
    }
    check_error("t.u > 1e5", 7, "unexpected token after '1', expecting 'or', 'and'");
    check_error("t.u > 0xg", 7, "unexpected token after '0', expecting 'or', 'and'");
}

/// Cases 13, 14 and 62
#[test]
fn strings_decode_their_escapes() {
    check(r#"t.s = "a\"b""#, r#"t.s = "a\"b""#);
    check(r#"t.s = 'it\'s'"#, r#"t.s = "it's""#);
    check(r#"t.s = "\b\f\n\r\t\/\\x""#, r#"t.s = "\b\f\n\r\t/\\x""#);
    check(r#"t.s = "\x41\x7a""#, "t.s = Az");
    check(r#"t.s = "back\ slash""#, r#"t.s = "back\\slash""#);
    check(r#"t.s = back\slash"#, r#"t.s = "back\\slash""#);
    check(r#"t.s = """#, "t.s = ");
    check_error(r#"t.s = "\q""#, 10, r"unsupported string escape sequence: \q");
    check_error(r#"t.s = "\'""#, 10, r#"invalid \' escape in "-quoted string"#);
    check_error(
        r#"t.s = '\"'"#,
        10,
        r"invalid \' escape in '-quoted string".replace("\\'", "\\\"").as_str(),
    );
    check_error(r#"t.s = "\x4""#, 11, "truncated hex char escape sequence");
    check_error(r#"t.s = "\xZZ""#, 12, "invalid hex char escape sequence: ZZ");
    check_error(r#"t.s = "\x+1""#, 12, "invalid hex char escape sequence: +1");
    check_error(r#"t.s in ("\q")"#, 12, r"unsupported string escape sequence: \q");
    // The scanner does not count backslashes: this string does not end.
    check_error(
        r#"t.s = "x\\""#,
        6,
        "expected a string value or a field with a valid transformer: T",
    );
}

/// Cases 16 and 17
#[test]
fn a_field_argument_is_quoted_or_bare() {
    check("t.key[\"a\"] = x", "t.key[a] = x");
    check("t.key['a b'] = x", "t.key[\"a b\"] = x");
    check("t.key[/a,b=c(d)] exists", "t.key[\"/a,b=c(d)\"] exists");
    check("x.y[\"\"] exists", "x.y[] exists");
    for (condition, offset) in [("x.y[ a ] exists", 4), ("x.y[] exists", 4), ("x.y[", 4)] {
        check_error(
            condition,
            offset,
            "expected a valid field argument: a quoted string or a bare string",
        );
    }
    check_error("x.y[\"a\" ] exists", 7, "expected a ']' token");
    check_error("x.y[a[0]] exists", 5, "expected a ']' token");
}

/// Case 19
#[test]
fn transformers_nest_and_take_constants() {
    check("tolower( t.s ) = x", "tolower(t.s) = x");
    check("len(toupper(t.k[a])) > 3", "len(toupper(t.k[a])) > 3");
    check("concat(a.b , \"x y\",5) = z", "concat(a.b,\"x y\",5) = z");
    check(
        "join(\"-\", (a.b, tolower(a.c), 'x', 0x10)) exists",
        "join(-,(a.b,tolower(a.c),x,0x10)) exists",
    );
    check("getopt(a.l, \"nt:\")[t] = val", "getopt(a.l,nt:)[t] = val");
    check("a.b = val( a.c )", "a.b = val(a.c)");
    check("a.b in toupper(a.c)", "a.b in toupper(a.c)");
    check_error("tolower (t.s) = x", 8, "unexpected token after 'tolower', expecting 'or', 'and'");
    check_error("tolower(t.s = x", 12, "expected a ')' token closing the transformer");
    check_error("val(t.s) = x", 3, "unexpected token after 'val', expecting 'or', 'and'");
    check_error("t.s = val(nope)", 10, "expected a field within 'val' transformer");
    check_error("t.s = val(a.b", 13, "expected a ')' token closing the transformer");
    check_error("join(\",\", (a.b", 14, "expected ')'");
    check_error(
        "tolower() = x",
        8,
        "expected field transformer argument: \
         field, transformer, quoted string, number, or transformer list",
    );
    check_error(
        "join(\",\", (a.b,)) = x",
        15,
        "expected transformer list argument: field, transformer, quoted string, or number",
    );
}

/// Case 18
#[test]
fn nesting_is_bounded_and_width_is_not() {
    let nested = |open: &str, close: &str, count: usize| {
        format!("{}a.b=c{}", open.repeat(count), close.repeat(count))
    };
    let too_deep = "exceeded max depth limit of 1000";
    check(&nested("(", ")", 198), "a.b = c");
    check_error(&nested("(", ")", 199), 202, too_deep);
    check_error(&nested("(", ")", 300), 200, too_deep);
    check(
        &nested("not(", ")", 248),
        "a.b = c".replace("a", &format!("{}a", "not ".repeat(248))).as_str(),
    );
    check_error(&nested("not(", ")", 249), 996, too_deep);
    let transformers =
        |count: usize| format!("{}a.b{} = c", "tolower(".repeat(count), ")".repeat(count));
    assert!(parse(&transformers(300), 1000).is_ok());
    assert!(parse(&transformers(500), 1000).is_err());
    check(&nested("not ", "", 20_000), "a.b = c");
    assert!(parse(&format!("a.b=c{}", " and a.b=c".repeat(20_000)), 1000).is_ok());
}

#[test]
fn mistakes_get_help() {
    let help = |condition: &str| parse(condition, 1000).unwrap_err().help.unwrap_or_default();
    assert_eq!(help("a.b conatins x"), "a similar operator exists: `contains`");
    assert_eq!(help("a.b exist"), "a similar operator exists: `exists`");
    assert_eq!(help("a.b not in (x)"), "`not` stands before the field: `not a.b in (…)`");
    assert_eq!(help("a.b=c AND a.c=d"), "keywords are written in lower case: `and`");
    assert_eq!(help("tolowr(a.b) = c"), "a similar transformer exists: `tolower`");
    assert_eq!(help("a.b like x"), "write `glob`");
    assert_eq!(help("a.b sort of x"), "");
}

/// Text that printing does not garble: not empty, no comma, no parenthesis, no backslash at its end.
fn constant() -> impl Strategy<Value = Constant> {
    "[a-zé0-9 =\"'\\\\\n\t./*<>\\[\\]-]{0,6}[a-z\"'\n]"
        .prop_map(|text| Constant { text: text.into(), span: Span::default() })
}

fn term() -> impl Strategy<Value = Term> {
    let span = Span::default();
    let field = ("[a-z]{1,3}(\\.[a-z_0-9]{1}[a-z]{0,2}){1,2}", proptest::option::of(constant()))
        .prop_filter("each part starts with a letter", |(name, _)| {
            name.split('.').all(|part| part.starts_with(|c: char| c.is_ascii_alphabetic()))
        })
        .prop_map(move |(name, argument)| Term::Field {
            name,
            argument: argument
                .map(|argument| {
                    argument.text.into_iter().filter(|b| !b"[]".contains(b)).collect::<Vec<u8>>()
                })
                .filter(|a| !a.is_empty()),
            span,
        });
    field.prop_recursive(3, 8, 3, move |inner| {
        let transformer = proptest::sample::select(Transformer::ALL.as_slice());
        (transformer, proptest::collection::vec(inner, 1..3)).prop_map(move |(name, arguments)| {
            Term::Transformer { name, arguments, argument: None, span }
        })
    })
}

fn comparison() -> impl Strategy<Value = Ast> {
    let string_operators = vec![
        Operator::Equal { doubled: true },
        Operator::Equal { doubled: false },
        Operator::NotEqual,
        Operator::Glob,
        Operator::Contains,
        Operator::BStartsWith,
        Operator::Regex,
    ];
    let list = Span::default();
    let list_operators = vec![Operator::In, Operator::Intersects, Operator::Pmatch];
    let strings = proptest::sample::select(string_operators);
    let lists = proptest::sample::select(list_operators);
    let constants = || proptest::collection::vec(constant(), 0..3);
    let test = prop_oneof![
        Just(Test::Exists),
        (strings.clone(), constant())
            .prop_map(|(operator, constant)| Test::Constant { operator, constant }),
        (strings, proptest::sample::select(Modifier::ALL.as_slice()), constants()).prop_map(
            move |(operator, modifier, constants)| Test::Modified {
                operator,
                modifier,
                constants,
                list
            }
        ),
        (lists.clone(), constants()).prop_map(move |(operator, constants)| Test::Set {
            operator,
            constants,
            list
        }),
        (lists, term()).prop_map(|(operator, right)| Test::Term { operator, right }),
    ];
    (term(), test)
        .prop_map(|(left, test)| Ast::Check(Box::new(Check { left, test, span: Span::default() })))
}

fn condition() -> impl Strategy<Value = Ast> {
    let name = "m_[a-z0-9_]{0,3}".prop_map(|name| Ast::Macro { name, span: Span::default() });
    prop_oneof![comparison(), name].prop_recursive(4, 16, 3, |inner| {
        let children = || proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            children().prop_map(Ast::And),
            children().prop_map(Ast::Or),
            // Two `not` in a row cancel out.
            inner.clone().prop_map(|child| match child {
                Ast::Not(_) => child,
                child => Ast::Not(Box::new(child)),
            }),
        ]
    })
}

/// The tree without the places where its parts stood.
fn shape(ast: &Ast) -> String {
    let span = Regex::new(r"Span \{ start: \d+, end: \d+ \}").unwrap();
    span.replace_all(&format!("{ast:?}"), "_").into_owned()
}

proptest! {
    #[test]
    fn printing_and_parsing_gives_the_tree_back(ast in condition()) {
        let text = ast.to_string();
        let parsed = parse(&text, 1000);
        prop_assert!(parsed.is_ok(), "{text}: {parsed:?}");
        prop_assert_eq!(shape(&parsed.unwrap()), shape(&ast), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let offset = parse(&text, 1000).err().map_or(0, |error| error.offset);
        prop_assert!(text.is_char_boundary(offset));
    }

    #[test]
    fn no_text_of_tokens_makes_the_parser_panic(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "a.b", "m", "and", "or", "not", "(", ")", ",", "=", "<", "in", "oneof", "glob", "exists",
                "val(", "tolower(", "join(", "[", "]", "\"", "'", "\\", " ", "\n", "0x1", "1", "é", "\0",
            ]),
            0..24,
        )
    ) {
        let text = tokens.concat();
        let offset = parse(&text, 1000).err().map_or(0, |error| error.offset);
        prop_assert!(text.is_char_boundary(offset));
    }
}
