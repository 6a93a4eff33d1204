//! What detections show: messages and fields.

use super::*;
use crate::condition;
use crate::load::RuleMatching;
use crate::output::ExtraValue;

fn event() -> Fields {
    let fields = [
        ("t.a", vec![text("Hello World")]),
        ("t.a.sub", vec![text("subval")]),
        ("t.b", vec![OwnedValue::String(b"a\xFFb".to_vec())]),
        ("t.n", vec![OwnedValue::Number(42)]),
        ("t.rel", vec![OwnedValue::Number(u64::MAX)]),
        ("t.t", vec![OwnedValue::Bool(true)]),
        ("t.ip", vec![OwnedValue::Address(vec![192, 168, 1, 77])]),
        ("t.net", vec![OwnedValue::Address(vec![192, 168, 1, 77])]),
        ("t.ls", vec![text("a"), text("b"), text("c d")]),
        ("t.ln", [1, 2, 3].map(OwnedValue::Number).to_vec()),
        ("t.lb", [true, false].map(OwnedValue::Bool).to_vec()),
        (
            "t.lip",
            [[192, 168, 1, 77], [10, 0, 0, 9]].map(|ip| OwnedValue::Address(ip.into())).to_vec(),
        ),
        ("t.lnet", vec![OwnedValue::Address(vec![10, 0, 0, 9]); 2]),
        ("t.key[a]", vec![text("k<a>")]),
        ("t.key[q\"q]", vec![text("k<q\"q>")]),
    ];
    fields.map(|(name, values)| (name.to_owned(), values)).into()
}

fn detect(output: &str, extra_fields: Vec<(String, ExtraValue)>, event: &Fields) -> Detection {
    let catalogue = catalogue();
    let condition = condition::parse("evt.num exists", 1000).unwrap();
    let rule = RuleToCompile {
        info: info(0),
        condition: condition::check(&condition, &catalogue).unwrap(),
        output: OutputTemplate::parse(output, &catalogue).unwrap(),
        extra_fields,
    };
    let program = Program::compile("test", vec![rule], RuleMatching::All, &catalogue);
    evaluate(&mut Evaluator::new(), &program, event).remove(0)
}

fn json(detection: &Detection) -> String {
    let fields: serde_json::Map<_, _> = detection
        .fields
        .iter()
        .map(|(name, value)| (name.to_string(), serde_json::to_value(value).unwrap()))
        .collect();
    serde_json::Value::Object(fields).to_string()
}

fn check(output: &str, message: &str, fields: &str) {
    let detection = detect(output, Vec::new(), &event());
    assert_eq!(detection.message, message, "{output}");
    assert_eq!(json(&detection), fields, "{output}");
}

fn check_message(output: &str, message: &str) {
    assert_eq!(detect(output, Vec::new(), &event()).message, message, "{output}");
}

fn check_error(output: &str, message: &str, offset: usize) {
    let error = OutputTemplate::parse(output, &catalogue()).unwrap_err();
    assert_eq!((error.message.as_str(), error.offset), (message, offset), "{output}");
}

/// Cases 122, 127, 130 and 131
#[test]
fn fields_are_filled_in_and_shown_with_their_types() {
    check("plain", "plain", "{}");
    check("* %t.a", " Hello World", r#"{"t.a":"Hello World"}"#);
    check("*x %t.c", "x <NA>", r#"{"t.c":null}"#);
    check("**x %t.c", "*x <NA>", r#"{"t.c":null}"#);
    check(
        "%t.n %t.rel %t.t",
        "42 18446744073709551615 true",
        r#"{"t.n":42,"t.rel":18446744073709551615,"t.t":true}"#,
    );
    check("%t.ip %t.net", "192.168.1.77 <IPNET>", r#"{"t.ip":"192.168.1.77","t.net":"<IPNET>"}"#);
    check("%t.ls %t.ln", "(a,b,c d) (1,2,3)", r#"{"t.ln":[1,2,3],"t.ls":["a","b","c d"]}"#);
    check(
        "%t.lb %t.lip",
        "(true,false) (192.168.1.77,10.0.0.9)",
        r#"{"t.lb":[true,false],"t.lip":["192.168.1.77","10.0.0.9"]}"#,
    );
    check("%t.lnet", "(<IPNET>,<IPNET>)", r#"{"t.lnet":["<IPNET>","<IPNET>"]}"#);
    check("%t.a %t.a", "Hello World Hello World", r#"{"t.a":"Hello World"}"#);
    check("%static.site", "x", r#"{"static.site":"x"}"#);
    check("%t.b", "a\u{FFFD}b", "{\"t.b\":\"a\u{FFFD}b\"}");
    check("%t.key[a] %t.key[\"a\"]", "k<a> k<a>", r#"{"t.key[a]":"k<a>"}"#);
    check("%t.key['q\"q']", "k<q\"q>", r#"{"t.key[\"q\\\"q\"]":"k<q\"q>"}"#);
}

#[test]
fn empty_values_at_the_start_of_a_list_leave_no_comma() {
    let list = ["", "", "a", "", "b", ""].map(text).to_vec();
    let event = Fields::from([("t.ls".to_owned(), list)]);
    let detection = detect("%t.ls", Vec::new(), &event);
    assert_eq!(detection.message, "(a,,b,)");
    assert_eq!(json(&detection), r#"{"t.ls":["","","a","","b",""]}"#);
}

/// Case 123
#[test]
fn the_longest_text_that_names_a_field_is_taken() {
    check_message("%t.n.", "42.");
    check_message("%t.ax", "Hello Worldx");
    check_message("%t.a.sub", "subval");
    check_message("%t.a.suX", "Hello World.suX");
    check_message("%t.a[0]", "Hello World[0]");
    check_message("%t.a%t.n", "Hello World42");
    check_message("{%t.n} ${t.n}", "{42} ${t.n}");
}

/// Case 124
#[test]
fn widths_cut_and_pad_bytes() {
    check_message("%10t.n|%2t.a|%3t.c|%6t.ls|", "42        |He|<NA|(a,b,c|");
    check_message("%0t.n|%007t.n|%00t.n|", "42|42     |42|");
    check("%2t.b", "a\u{FFFD}", "{\"t.b\":\"a\u{FFFD}b\"}");
    assert_eq!(detect("%99999999999999999999t.n", Vec::new(), &event()).message.len(), 65_535);
}

#[test]
fn the_columns_of_an_output_are_limited_together() {
    let columns = |count| OutputTemplate::parse(&"%65535t.n".repeat(count), &catalogue());
    assert!(columns(16).is_ok());
    let error = columns(17).unwrap_err();
    assert!(error.message.ends_with("columns together have at most 1048576 bytes"), "{error}");
    assert_eq!((error.offset, error.length), (16 * 9 + 6, 3));
}

/// Case 129
#[test]
fn transformers_show_in_the_message_and_their_fields_in_json() {
    check(
        "%toupper(t.a) %len(t.ls)",
        "HELLO WORLD 3",
        r#"{"t.a":"Hello World","t.ls":["a","b","c d"]}"#,
    );
    check(
        "%concat(tolower(t.a),\"-\",t.c) %join(\",\",(t.n,\"x\")).",
        "<NA> 42,x.",
        r#"{"t.a":"Hello World","t.c":null,"t.n":42}"#,
    );
    check("%toupper(t.ls)", "(A,B,C D)", r#"{"t.ls":["a","b","c d"]}"#);
}

/// Case 132
#[test]
fn times_are_text_in_messages_and_numbers_in_json() {
    check("%evt.time", "22:13:20.123456789", r#"{"evt.time":1700000000123456789}"#);
    check("%evt.timex", "22:13:20.123456789x", r#"{"evt.time":1700000000123456789}"#);
    check("%evt.time[0]", "22:13:20.123456789[0]", r#"{"evt.time":1700000000123456789}"#);
    check("%evt.datetime.s", "2023-11-14 22:13:20", r#"{"evt.datetime.s":1700000000123456789}"#);
    check(
        "%evt.time.iso8601",
        "2023-11-14T22:13:20.123456789+0000",
        r#"{"evt.time.iso8601":1700000000123456789}"#,
    );
    check(
        "%evt.rawtime.s %evt.rawtime.ns %evt.reltime",
        "1700000000 123456789 123456789",
        r#"{"evt.rawtime.ns":123456789,"evt.rawtime.s":1700000000,"evt.reltime":123456789}"#,
    );
    check(
        "%evt.num %evt.source %evt.plugininfo %evt.is_async %evt.asynctype",
        "1 test all of it false <NA>",
        r#"{"evt.asynctype":null,"evt.is_async":false,"evt.num":1,"evt.plugininfo":"all of it","evt.source":"test"}"#,
    );
}

#[test]
fn long_lists_are_cut_in_messages_only() {
    let long = vec![text(&"x".repeat(1_000)), text(&"y".repeat(1_000))];
    let event = Fields::from([("t.ls".to_owned(), long)]);
    let detection = detect("%t.ls", Vec::new(), &event);
    assert_eq!(detection.message.len(), 1_023);
    assert!(detection.message.ends_with("x,yyyyyyyyyyyyyyyyyyyyy"));
    assert_eq!(json(&detection).len(), r#"{"t.ls":["",""]}"#.len() + 2_000);
}

/// Case 135
#[test]
fn extra_fields_replace_fields_of_the_message() {
    let catalogue = catalogue();
    let field = |name: &str| (name.to_owned(), ExtraValue::parse_field(name, &catalogue).unwrap());
    let formatted = |name: &str, format: &str| {
        (name.to_owned(), ExtraValue::Text(OutputTemplate::parse(format, &catalogue).unwrap()))
    };
    let extra_fields = vec![
        field("t.n"),
        field("t.c"),
        field("toupper(t.a)"),
        formatted("k", "v=%t.n"),
        formatted("m", "%t.c"),
        formatted("t.a", "other"),
    ];
    let detection = detect("%t.a", extra_fields, &event());
    assert_eq!(detection.message, "Hello World");
    assert_eq!(
        json(&detection),
        r#"{"k":"v=42","m":"<NA>","t.a":"other","t.c":null,"t.n":42,"toupper(t.a)":null}"#
    );
    let error = ExtraValue::parse_field("t.zz", &catalogue).unwrap_err();
    assert_eq!(error.offset, 0);
}

/// Cases 125 and 126
#[test]
fn a_text_that_is_no_output_is_refused() {
    let unknown = "unknown filter: unexpected token after '";
    check_error("", "empty formatting token", 0);
    check_error("%%", unknown, 1);
    check_error("100% sure", unknown, 4);
    check_error("% t.a", unknown, 1);
    check_error("%t.zz", unknown, 1);
    check_error("%val(t.a)", unknown, 1);
    check_error("*100%", "invalid formatting syntax: formatting cannot end with a %", 5);
    check_error("%12", "invalid formatting syntax: formatting cannot end with a number", 3);
}

/// Case 144
#[test]
fn local_times_follow_the_offset() {
    let catalogue = catalogue();
    let condition = condition::parse("evt.time.s = \"00:13:20\"", 1000).unwrap();
    let rule = RuleToCompile {
        info: info(0),
        condition: condition::check(&condition, &catalogue).unwrap(),
        output: OutputTemplate::parse("%evt.datetime %evt.time.iso8601", &catalogue).unwrap(),
        extra_fields: Vec::new(),
    };
    let program = Program::compile("test", vec![rule], RuleMatching::First, &catalogue);
    let mut extract = TestExtract { program: &program, event: &Fields::new(), asked: Vec::new() };
    let mut detections = Vec::new();
    let event = EventInfo { utc_offset_s: 7_200, ..EVENT };
    Evaluator::new().evaluate(&program, &event, &mut extract, &mut detections);
    assert_eq!(
        detections[0].message,
        "2023-11-15 00:13:20.123456789 2023-11-14T22:13:20.123456789+0000"
    );
}
