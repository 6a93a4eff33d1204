//! The JSON schema against what is read.

use std::sync::LazyLock;

use serde_json::Value as Json;

use super::*;
use crate::config::init_config::json;

static VALIDATOR: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::draft7::new(&schema()).unwrap());

/// Every configuration of a test comes by: what is read without a word is right by the schema, and a key that it does not
/// know is wrong.
pub(super) fn agrees(root: &Node, config: &Config) {
    let errors: Vec<_> = VALIDATOR.iter_errors(&json(root)).map(|e| e.to_string()).collect();
    let warnings: Vec<_> = config
        .notices
        .iter()
        .filter(|notice| notice.level == NoticeLevel::Warning)
        .map(|notice| &notice.text)
        .collect();
    if warnings.is_empty() {
        assert!(errors.is_empty(), "{errors:#?}");
    }
    if warnings.iter().any(|text| text.contains("unknown key")) {
        assert!(!errors.is_empty(), "{warnings:#?}");
    }
}

#[track_caller]
fn check(yaml: &str, is_right: bool) {
    let source = Arc::new(Source { name: String::new(), text: yaml.to_owned() });
    let root = tree::parse(&source, 0, &mut Findings::default()).unwrap();
    let errors: Vec<_> = VALIDATOR.iter_errors(&json(&root)).map(|e| e.to_string()).collect();
    assert_eq!(errors.is_empty(), is_right, "{errors:#?}");
}

#[test]
fn the_schema_takes_what_is_read() {
    check("", true);
    check("webserver: {enabled: yes, listen_port: '0x22'}", true);
    check("webserver: {listen_port: '${PORT}', listen_address: }", true);
    check("rules_files: one.yaml\npriority: Info", true);
    check("plugins: [{name: a, library_path: b, init_config: '{}'}]", true);
    check("plugins: {name: a, library_path: b, init_config: {any: [1]}}", true);
    check("config_files: [a, {path: b, strategy: add-only}]", true);
    check("append_output: [{extra_fields: [a, {b: '%c'}]}]\nstatic_fields: {x: 1}", true);
}

#[test]
fn the_schema_refuses_what_is_not_read() {
    check("webserver: {enabeld: true}", false);
    check("webserver: [true]", false);
    check("webserver: {listen_port: 70000}", false);
    check("webserver: {listen_port: -1}", false);
    check("json_output: maybe", false);
    check("log_level: INFO", false);
    check("plugins: [{name: a}]", false);
    check("config_files: [{strategy: append}]", false);
    check("grpc: {enabled: true}", false);
    check("static_fields: {x: [1]}", false);
}

#[test]
fn the_schema_has_what_editors_show() {
    let schema = schema();
    let at = |pointer: &str| schema.pointer(pointer).cloned().unwrap_or(Json::Null);
    assert_eq!(at("/$schema"), "http://json-schema.org/draft-07/schema#");
    assert_eq!(
        at("/properties/webserver/properties/ssl_enabled/$ref"),
        Json::from("#/definitions/flag")
    );
    let strategies = "/properties/rule_matching/anyOf/0/enum/0";
    assert_eq!(at(strategies), Json::from("first"));
    assert!(jsonschema::meta::is_valid(&schema));
}

#[test]
fn shipped_files_are_right_by_their_schemas() {
    let rules = jsonschema::draft7::new(&rules_engine::json_schema()).unwrap();
    for (name, validator) in [
        ("config/shikra.yaml", &*VALIDATOR),
        ("tests/fixtures/falco-settings.yaml", &*VALIDATOR),
        ("rules/k8s_audit_rules.yaml", &rules),
        ("rules/filetail_rules.yaml", &rules),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        let text = fs::read_to_string(path).unwrap().replace("WEBSERVER_PORT", "8765");
        let source = Arc::new(Source { name: name.to_owned(), text });
        let root = tree::parse(&source, 0, &mut Findings::default()).unwrap();
        let errors: Vec<_> = validator.iter_errors(&json(&root)).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
    let is_right = |rules_text: &str| {
        let source = Arc::new(Source { name: String::new(), text: rules_text.to_owned() });
        rules.is_valid(&json(&tree::parse(&source, 0, &mut Findings::default()).unwrap()))
    };
    assert!(is_right("- {list: a, items: [1, b]}"));
    assert!(!is_right("- {list: a, itmes: [1, b]}"));
    assert!(!is_right("- {macro: a, override: {condition: prepend}}"));
}
