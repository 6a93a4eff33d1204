//! The cases of `tests/fields.jsonl`, J01 to J67, one a line: a field, its pointer, a payload, and the value we give.
//!
//! A case without a payload is about `tests/document.json`; `want` is null where a rule sees no value.

use plugin_support::json::{Document, Value};

use super::{ensure_container, indent, pointer};

const TIMESTAMP_NS: u64 = 1_700_000_000_123_456_789;

/// The value of the field whose name ends in `suffix`.
fn value(suffix: &str, pointer: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let mut document = Document::default();
    document.parse(payload).ok()?;
    ensure_container(&document).ok()?;
    match suffix {
        "value" => {
            let text = pointer::text_at(&document, pointer);
            assert_eq!(pointer::text_in(payload, pointer), text, "found without parsing");
            text
        }
        "obj" => indent::indented(&document).ok(),
        "rawtime" => Some(TIMESTAMP_NS.to_string().into_bytes()),
        _ => panic!("no field ends in {suffix}"),
    }
}

#[track_caller]
fn check(suffix: &str, pointer: &str, payload: &str, expected: Option<&str>) {
    let value = value(suffix, pointer.as_bytes(), payload.as_bytes());
    let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
    assert_eq!(value.as_deref(), expected, "{suffix}[{pointer}] of {payload}");
}

#[test]
fn conformance_cases() {
    let string =
        |value: Value<'_>| value.as_str().map(|text| String::from_utf8_lossy(&text).into_owned());
    for line in include_str!("../tests/fields.jsonl").lines() {
        let mut document = Document::default();
        document.parse(line.as_bytes()).expect(line);
        let case = document.root();
        let text = |key: &str| case.get(key.as_bytes()).and_then(string);
        let field = text("field").expect(line);
        let (_, suffix) = field.split_once('.').expect(line);
        let payload = text("payload");
        let payload = payload.as_deref().unwrap_or(include_str!("../tests/document.json"));
        check(suffix, &text("argument").unwrap_or_default(), payload, text("want").as_deref());
    }
}

#[test]
fn tildes_are_unescaped_once() {
    let document = r#"{"~":1,"/":2,"~2":3,"a~":4,"~1":5,"~/":6}"#;
    for (pointer, expected) in
        [("/~0", "1"), ("/~1", "2"), ("/~2", "3"), ("/a~", "4"), ("/~01", "5"), ("/~0~1", "6")]
    {
        check("value", pointer, document, Some(expected));
    }
}

#[test]
fn members_are_found_by_their_first_key_and_plain_before_escaped_ones() {
    let document = r#" { "\u0061" : {"x":"}"} , "a\"b":[ 1, "],[" ,{"a":[]} ] ,"a": -1.5e3 ,"a":2,"c":"\\","\u0063":3, "d":{ "\u0065" : "\u0041" } } "#;
    for (pointer, expected) in [
        ("/a", "-1.5e3"),
        ("/a\"b/1", "],["),
        ("/a\"b/2", r#"{"a":[]}"#),
        ("/a\"b", r#"[1,"],[",{"a":[]}]"#),
        ("/c", "\\"),
        ("/d/e", "A"),
    ] {
        check("value", pointer, document, Some(expected));
    }
    for pointer in ["/a\"b/3", "/d/f", "/a/0", "/c/0", "/x"] {
        check("value", pointer, document, None);
    }
}

#[test]
fn what_is_known_to_be_json_is_not_looked_at_further_than_needed() {
    let broken = br#"{"a":1,"b":"#;
    assert_eq!(value("value", b"/a", broken), None);
    assert_eq!(pointer::text_in(broken, b"/a").as_deref(), Some(&b"1"[..]));
    for pointer in [&b"/b"[..], b"/c", b""] {
        assert_eq!(pointer::text_in(broken, pointer), None);
    }
}

#[test]
fn indices_are_what_go_takes_for_integers() {
    for index in ["1", "01", "+1"] {
        check("value", index, "[0,7]", Some("7"));
    }
    check("value", "-0", "[0,7]", Some("0"));
    for index in ["2", "-1", "", "+", "1.0", "1_0", "99999999999999999999"] {
        check("value", &format!("/{index}"), "[0,7]", None);
    }
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    check("value", "", &nested(300), Some(&nested(300)));
    check("value", "", &nested(301), None);
    check("rawtime", "", &nested(301), None);
    assert!(value("obj", b"", nested(300).as_bytes()).is_some());
}

#[test]
fn the_whole_document_is_indented_only_if_it_is_strict_json() {
    check(
        "obj",
        "",
        r#"{"a":[{"b":[1,[]]},{}],"c":"x"}"#,
        Some(
            "{\n  \"a\": [\n    {\n      \"b\": [\n        1,\n        []\n      ]\n    },\n    {}\n  ],\n  \"c\": \"x\"\n}",
        ),
    );
    check("obj", "", " [ ]\n ", Some("[]\n "));
    for lenient in ["[01]", "[+1]", "[nan]", "[\"a\tb\"]", r#"["\q"]"#, r#"["\u00"]"#] {
        check("obj", "", lenient, None);
        assert!(value("value", b"/0", lenient.as_bytes()).is_some());
    }
    check("obj", "", r#"["\ud800"]"#, Some("[\n  \"\\ud800\"\n]"));
    assert_eq!(value("obj", b"", b"[\"\xff\"]").as_deref(), Some(&b"[\n  \"\xff\"\n]"[..]));
}
