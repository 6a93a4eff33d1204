//! Any bytes as a JSON document, of which everything is looked at. What RFC 8259 allows must be
//! read, and mean the same as in `serde_json`.
//!
//! Run as `rules-engine/fuzz/README.md` says, in this folder's parent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_support::json::{Document, Kind, Unparsed, Value};

fuzz_target!(|text: &[u8]| {
    let mut document = Document::default();
    let parsed = document.parse(text);
    look_at(document.root());
    let meaning = serde_json::from_slice::<serde_json::Value>(text);
    if let Ok(meaning) = &meaning {
        parsed.as_ref().expect("what the RFC allows is read");
        let compact = compact(document.root());
        let again: serde_json::Value =
            serde_json::from_slice(&compact).expect("the compact form is JSON, too");
        assert_eq!(&again, meaning);
    }
    let unparsed = Unparsed::new(text);
    if parsed.is_ok() {
        check_forms(&document);
        check_unparsed(document.root(), unparsed);
    } else {
        // Nothing is promised but an end.
        unparsed.get(b"a").and_then(|value| value.at(1)).and_then(Unparsed::to_text);
    }
    let mut rest = text;
    while let Ok(length) = document.parse_prefix(rest) {
        assert!(length > 0 && length <= rest.len());
        rest = &rest[length..];
    }
});

/// The compact form can be parsed again and stays as it is, and parts taken from it are whole.
fn check_forms(document: &Document) {
    let compact_text = compact(document.root());
    let mut again = Document::default();
    again.parse(&compact_text).expect("the compact form is a document");
    assert_eq!(compact(again.root()), compact_text);
    for part in children(again.root()) {
        let (mut text, mut nodes) = (Vec::new(), Vec::new());
        part.write_parsed(&mut text, &mut nodes);
        let mut copy = Document::default();
        copy.set(&text, &nodes);
        look_at(copy.root());
        assert_eq!(compact(copy.root()), compact(part));
    }
}

/// Values are found without parsing as they are with it.
fn check_unparsed(value: Value<'_>, unparsed: Unparsed<'_>) {
    assert_eq!(unparsed.to_text(), Some(value.to_text()));
    for (index, element) in value.elements().enumerate().take(8) {
        check_unparsed(element, unparsed.at(index).expect("the array has this element"));
    }
    assert!(unparsed.at(value.elements().count()).is_none());
    for (key, _) in value.members().take(8) {
        let name = key.as_str().expect("keys are strings");
        let member = value.get(&name).expect("each member is found by its name");
        check_unparsed(member, unparsed.get(&name).expect("each member is found by its name"));
    }
}

fn compact(value: Value<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    value.write_compact(&mut text);
    text
}

fn children<'d>(value: Value<'d>) -> Vec<Value<'d>> {
    value.elements().chain(value.members().map(|(_, member)| member)).collect()
}

/// Calls whatever can be asked of a value and all values in it.
fn look_at(value: Value<'_>) {
    let mut text = Vec::new();
    value.write_text(&mut text);
    assert_eq!(value.as_str().is_some(), value.kind() == Kind::String);
    for (key, _) in value.members().take(8) {
        let name = key.as_str().expect("keys are strings");
        value.get(&name).expect("each member is found by its name");
    }
    for child in children(value) {
        look_at(child);
    }
}
