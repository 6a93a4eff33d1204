//! What the JSON document accepts, finds and prints.

use plugin_support::events::Events;
use plugin_support::json::{Document, EventDocument, Kind, Value};

#[track_caller]
fn parse(text: &str) -> Document {
    let mut document = Document::default();
    document.parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    document
}

fn compact(value: Value<'_>) -> String {
    let mut out = Vec::new();
    value.write_compact(&mut out);
    String::from_utf8(out).expect("the source is UTF-8")
}

#[track_caller]
fn check_accepted(text: &str, kind: Kind, printed: &str) {
    let document = parse(text);
    assert_eq!(
        (document.root().kind(), compact(document.root()).as_str()),
        (kind, printed),
        "{text:?}"
    );
}

#[track_caller]
fn check_refused(text: &str, offset: usize, message: &str) {
    let mut document = parse("[1]");
    let error = document.parse(text.as_bytes()).expect_err(text);
    assert_eq!((error.offset, error.message), (offset, message), "{text:?}");
    assert_eq!(document.root().kind(), Kind::Null, "a failed parse leaves null");
}

#[test]
fn accepts_what_the_stock_parser_accepts() {
    check_accepted("null", Kind::Null, "null");
    check_accepted(" true\r\n", Kind::True, "true");
    check_accepted("\tfalse", Kind::False, "false");
    check_accepted("{}", Kind::Object, "{}");
    check_accepted("{ }", Kind::Object, "{}");
    check_accepted("[ ]", Kind::Array, "[]");
    check_accepted(
        r#" { "b" : [ 1 , { } , "a b" ] , "a" : null , "b" : 2 } "#,
        Kind::Object,
        r#"{"b":[1,{},"a b"],"a":null,"b":2}"#,
    );
    for number in [
        "0",
        "-1.50e+3",
        "12345678901234567890",
        "01",
        "1.2.3",
        "+5",
        ".5",
        "e",
        "nan",
        "NaN",
        "-inf",
        "+Inf",
    ] {
        check_accepted(number, Kind::Number, number);
    }
    check_accepted("-", Kind::Number, "-");
    check_accepted("\"raw\ttab\"", Kind::String, "\"raw\ttab\"");
    check_accepted(r#""\q \u00 \" \\""#, Kind::String, r#""\q \u00 \" \\""#);
}

#[test]
fn refuses_the_rest() {
    check_refused("", 0, "a value is missing");
    check_refused("  ", 2, "a value is missing");
    check_refused("[1,]", 3, "expected a value");
    check_refused(r#"{"a":1,}"#, 7, "an object's key is missing");
    check_refused("{a:1}", 1, "an object's key is missing");
    check_refused("{'a':1}", 1, "an object's key is missing");
    check_refused(r#"{"a" 1}"#, 5, "expected a colon after an object's key");
    check_refused(r#"{"a"#, 1, "an object's key has no closing quote");
    check_refused(r#"{"a":1"#, 6, "an object has no end");
    check_refused("[1", 2, "an array has no end");
    check_refused("[1}", 2, "expected a comma or the end of the container");
    check_refused("[1 2]", 3, "expected a comma or the end of the container");
    check_refused("[-]", 1, "expected a value");
    check_refused("[True]", 1, "expected a value");
    check_refused("// no", 0, "expected a value");
    check_refused(r#""a\""#, 0, "a string has no closing quote");
    check_refused("{} {}", 3, "unexpected text after the value");
}

#[test]
fn nesting_is_limited_to_300_values() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    check_accepted(&nested(300), Kind::Array, &nested(300));
    check_refused(&nested(301), 300, "values nest too deep");
    check_refused(&"[".repeat(1_000_000), 300, "values nest too deep");
    check_refused(&format!("{}1{}", "[".repeat(300), "]".repeat(300)), 300, "values nest too deep");
    check_refused(&r#"{"a":"#.repeat(301), 1500, "values nest too deep");
}

#[test]
fn no_cut_and_no_changed_byte_breaks_it() {
    let text = br#" {"a":[1,{"b\u0041":"x\"y"},nan,true],"c":{"d":null}} "#;
    let mut document = Document::default();
    for length in 0..text.len() - 1 {
        document.parse(&text[..length]).expect_err("a cut document");
    }
    for at in 0..text.len() {
        for byte in [b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', b'u', b' ', 0, 0xff] {
            let mut changed = text.to_vec();
            changed[at] = byte;
            if document.parse(&changed).is_ok() {
                for (_, value) in document.root().members() {
                    value.write_text(&mut Vec::new());
                }
            }
        }
    }
}

#[track_caller]
fn check_decoded(literal: &str, expected: &str) {
    let document = parse(literal);
    assert_eq!(String::from_utf8_lossy(&document.root().as_str().expect(literal)), expected);
}

#[test]
fn escapes_are_decoded_and_bad_ones_kept() {
    check_decoded(r#""plain""#, "plain");
    check_decoded(r#""a\u0041\/\n\"q\b\f\r\t\\""#, "aA/\n\"q\u{8}\u{c}\r\t\\");
    check_decoded(r#""\u00e9\u20AC""#, "é€");
    check_decoded(r#""\ud83d\ude00!""#, "😀!");
    check_decoded(r#""\ud800z""#, r"\ud800z");
    check_decoded(r#""\ud800\n""#, "\\ud800\n");
    check_decoded(r#""\ud800\u0041""#, "\u{fffd}");
    check_decoded(r#""\udc00\udc00""#, "\u{fffd}");
    check_decoded(r#""\u00""#, r"\u00");
    check_decoded(r#""\u+123 \u12g4""#, r"\u+123 \u12g4");
    check_decoded(r#""\q""#, r"\q");
    check_decoded(r#""x\u0000y""#, "x\0y");
}

#[track_caller]
fn check_member(text: &str, key: &str, expected: Option<&str>) {
    let document = parse(text);
    assert_eq!(
        document.root().get(key.as_bytes()).map(compact).as_deref(),
        expected,
        "{key:?} of {text}"
    );
}

#[test]
fn members_are_found_by_their_decoded_key() {
    check_member(r#"{"a":{"a":0},"b":1}"#, "b", Some("1"));
    check_member(r#"{"a":1,"a":2}"#, "a", Some("1"));
    check_member(r#"{"A":1}"#, "a", None);
    check_member(r#"{"":1}"#, "", Some("1"));
    check_member(r#"{"\u0061":1}"#, "a", Some("1"));
    check_member(r#"{"\u0061":1,"a":2}"#, "a", Some("2"));
    check_member(r#"{"a\\b":1}"#, r"a\b", Some("1"));
    check_member(r#"["a",1]"#, "a", None);
    check_member("7", "a", None);
}

#[test]
fn elements_and_members_are_walked_in_order() {
    let document = parse(r#"[{"x":[1,2]},"s",[],null]"#);
    let root = document.root();
    assert_eq!(
        root.elements().map(compact).collect::<Vec<_>>(),
        [r#"{"x":[1,2]}"#, r#""s""#, "[]", "null"]
    );
    assert_eq!(root.at(3).map(Value::kind), Some(Kind::Null));
    assert!(root.at(4).is_none());
    assert_eq!(root.members().count(), 0);
    let object = root.at(0).unwrap();
    assert_eq!(object.elements().count(), 0);
    assert_eq!(
        object.members().map(|(key, value)| compact(key) + &compact(value)).collect::<Vec<_>>(),
        [r#""x"[1,2]"#]
    );
    assert_eq!((object.offset(), object.raw()), (1, &br#"{"x":[1,2]}"#[..]));
}

#[test]
fn strings_print_decoded_alone_and_as_received_inside_others() {
    let document = parse(r#"{ "o" : { "k" : "v\u003c\/" } }"#);
    let object = document.root().get(b"o").unwrap();
    let mut out = b"text: ".to_vec();
    object.write_text(&mut out);
    object.get(b"k").unwrap().write_text(&mut out);
    assert_eq!(out, br#"text: {"k":"v\u003c\/"}v</"#);
    assert!(object.get(b"k").unwrap().is_str(b"v</"));
    assert!(!object.is_str(b"v</"));
}

#[test]
fn several_texts_are_read_one_after_the_other() {
    let mut rest = &b" {\"n\":1}\n[2]\r\n3 \"4\""[..];
    let mut document = Document::default();
    let mut printed = Vec::new();
    while !rest.is_empty() {
        let length = document.parse_prefix(rest).unwrap();
        printed.push(compact(document.root()));
        rest = &rest[length..];
    }
    assert_eq!(printed, [r#"{"n":1}"#, "[2]", "3", r#""4""#]);
}

#[test]
fn an_event_is_parsed_again_only_when_it_changes() {
    let mut event = EventDocument::default();
    let [first, second] = ["[1]", "[2]"];
    assert_eq!(compact(event.of(1, 10, first.as_bytes()).unwrap().root()), "[1]");
    assert_eq!(compact(event.of(1, 10, second.as_bytes()).unwrap().root()), "[2]");
    assert!(event.of(2, 10, b"[").is_err());
    assert!(event.of(2, 10, b"[").is_err());
    let mut buffer = *b"[3]";
    assert_eq!(compact(event.of(3, 10, &buffer).unwrap().root()), "[3]");
    buffer[1] = b'4';
    assert_eq!(
        compact(event.of(3, 10, &buffer).unwrap().root()),
        "[3]",
        "same event, not parsed again"
    );
    assert_eq!(compact(event.of(3, 11, &buffer).unwrap().root()), "[4]");
}

/// Reads the elements of `text` as events, and finds in each what parsing its payload finds.
#[track_caller]
fn check_read_events(text: &str) {
    let list = parse(text);
    let mut fields = EventDocument::default();
    let batch = fields.batch();
    for element in list.root().elements() {
        batch.push_json(7, element, usize::MAX).expect("nothing is too long");
    }
    let payloads: Vec<_> = batch.iter().map(|event| event.payload.to_vec()).collect();
    let foreign = b"{\"not\":\"in the batch\"}".to_vec();
    for (number, payload) in [foreign].iter().chain(&payloads).enumerate() {
        let document = fields.of(number as u64, 7, payload).expect("payloads are JSON");
        let expected = parse(std::str::from_utf8(payload).expect("the source is UTF-8"));
        assert_eq!(outline(document.root()), outline(expected.root()), "{text}");
    }
}

/// Everything that can be seen of a value.
fn outline(value: Value<'_>) -> Vec<(Kind, usize, String)> {
    let mut seen = vec![(value.kind(), value.offset(), compact(value))];
    seen.extend(value.elements().flat_map(outline));
    seen.extend(value.members().flat_map(|(key, value)| [outline(key), outline(value)].concat()));
    seen
}

#[test]
fn what_the_reader_found_is_what_parsing_finds() {
    check_read_events(
        r#"[{"a":[1,{"b":"\u0041\"x"},[]],"c":{}},{"a":1.50,"a":null},[],"s",[[true]]]"#,
    );
    check_read_events(r#"[ {"a" : [1, 2]},{"b":"c d"} ]"#);
    check_read_events(r#"[{"same":1},{"same":1},{"same":2}]"#);
}

#[test]
fn an_event_over_the_limit_leaves_nothing_behind() {
    let document = parse(r#"[{"a":1},[1,2],{"b":2}]"#);
    let elements: Vec<_> = document.root().elements().collect();
    let mut events = Events::default();
    events.push_json(1, elements[0], 7).unwrap();
    assert_eq!(events.push_json(2, elements[1], 4), Err(5));
    events.push_json(3, elements[2], 7).unwrap();
    let payloads: Vec<_> = events.iter().map(|event| event.payload).collect();
    assert_eq!(payloads, [br#"{"a":1}"#, br#"{"b":2}"#]);
}
