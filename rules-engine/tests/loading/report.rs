//! Reports and descriptions in the forms that Falco prints.

use insta::assert_snapshot;

use crate::{environment, rule, validated};

#[test]
fn an_error_as_text() {
    let macros = "- macro: unused\n  condition: t.u = 1\n  append: false\n  foo: 1\n";
    let text = format!("{macros}{}", rule("my rule", "t.t = true and t.nosuch = 1", ""));
    assert_snapshot!(validated(&[&text]).reports[0].to_text(), @r#"
    rules.yaml: Invalid
    2 Schema warnings:
    ------
    failed for <root>[0]: Object contains a property that could not be validated using 'properties' or 'additionalProperties' constraints: 'foo'.
    ------
    failed for <root>: Failed to validate item #0 in array.
    ------

    1 Errors:
    In rules content: (rules.yaml:0:0)
        rule 'my rule': (rules.yaml:4:2)
        rule condition: (rules.yaml:6:13)
        condition expression: ("t.t = true and t....":7:29)
    ------
    t.t = true and t.nosuch = 1
                              ^
    ------
    LOAD_ERR_COMPILE_CONDITION (Error compiling condition): filter_check called with nonexistent field t.nosuch
    1 Warnings:
    In rules content: (rules.yaml:0:0)
        macro 'unused': (rules.yaml:0:2)
    ------
    - macro: unused
      ^
    ------
    LOAD_UNKNOWN_KEY (Unknown key in item definition): Unknown key 'foo'. The key will be ignored.
    "#);
}

#[test]
fn a_file_without_warnings_is_one_line() {
    let load = validated(&[&rule("r", "t.u = 1", "")]);
    assert_eq!(load.reports[0].to_text(), "rules.yaml: Ok");
    assert_eq!(load.reports[0].summary(), "rules.yaml: Ok");
}

#[test]
fn a_failed_schema_check_is_no_warning() {
    let load = validated(&[&rule("r", "t.u = 1", "").replace("INFO", "info")]);
    assert!(!load.reports[0].has_warnings());
    assert_snapshot!(load.reports[0].to_text(), @r"
    rules.yaml: Ok
    3 Schema warnings:
    ------
    failed for <root>[0][priority]: Failed to match against any enum values.
    ------
    failed for <root>[0]: Failed to validate against schema associated with property name 'priority'.
    ------
    failed for <root>: Failed to validate item #0 in array.
    ------
    ");
}

#[test]
fn warnings_that_falco_lacks_are_for_people_alone() {
    let load = validated(&[&rule("r", "t.str = “a”", "  output: p\n")]);
    let report = &load.reports[0];
    assert!(!report.has_warnings() && report.has_diagnostics());
    assert!(report.summary().ends_with(": Ok"), "{}", report.summary());
    assert_eq!(serde_json::to_value(report).unwrap()["warnings"], serde_json::json!([]));
    assert_eq!(report.render(false).matches("warning[").count(), 2);
}

#[test]
fn a_warning_as_json() {
    let load = validated(&["- macro: unused\n  condition: t.u = 1\n"]);
    assert_snapshot!(format!("{:#}", serde_json::to_value(&load.reports[0]).unwrap()), @r#"
    {
      "errors": [],
      "name": "rules.yaml",
      "schema_valid": true,
      "schema_warnings": [],
      "successful": true,
      "warnings": [
        {
          "code": "LOAD_UNUSED_MACRO",
          "codedesc": "A macro is defined, but no rule and no other macro refers to it. It can be removed.",
          "context": {
            "locations": [
              {
                "item_name": "",
                "item_type": "rules content",
                "position": {
                  "column": 0,
                  "line": 0,
                  "name": "rules.yaml",
                  "offset": 0
                }
              },
              {
                "item_name": "unused",
                "item_type": "macro",
                "position": {
                  "column": 2,
                  "line": 0,
                  "name": "rules.yaml",
                  "offset": 2
                }
              }
            ],
            "snippet": "- macro: unused\n  ^\n"
          },
          "message": "Macro not referred to by any other rule/macro"
        }
      ]
    }
    "#);
}

const DESCRIBED: &str = "
- required_engine_version: 15
- required_plugin_versions:
  - name: test
    version: 0.3.0
    alternatives: [{name: other, version: 1.0.0}]
- list: verbs
  items: [get, list]
- macro: reads
  condition: t.str in (verbs)
- rule: A reader
  desc: Somebody reads something that is not meant for everybody, which happens more often than one \
        should think, so the text of this description is rather long.
  condition: reads and not t.up = X
  output: read %t.key[a]
  priority: NOTICE
  source: tsrc
  tags: [b, a]
  exceptions:
    - name: somebody
      fields: [t.up]
      values: [[Y]]
";

#[test]
fn a_description_as_json() {
    let ruleset = validated(&[DESCRIBED]).ruleset.unwrap();
    assert_snapshot!(format!("{:#}", ruleset.describe(None, &environment()).unwrap()), @r#"
    {
      "lists": [
        {
          "details": {
            "items_compiled": [
              "get",
              "list"
            ],
            "lists": [],
            "plugins": [],
            "used": true
          },
          "info": {
            "items": [
              "get",
              "list"
            ],
            "name": "verbs"
          }
        }
      ],
      "macros": [
        {
          "details": {
            "condition_compiled": "t.str in (get, list)",
            "condition_fields": [
              "t.str"
            ],
            "condition_operators": [
              "in"
            ],
            "events": [],
            "lists": [
              "verbs"
            ],
            "macros": [],
            "plugins": [
              "test"
            ],
            "used": true
          },
          "info": {
            "condition": "t.str in (verbs)",
            "name": "reads"
          }
        }
      ],
      "required_engine_version": "0.15.0",
      "required_plugin_versions": [
        {
          "alternatives": [
            {
              "name": "other",
              "version": "1.0.0"
            }
          ],
          "name": "test",
          "version": "0.3.0"
        }
      ],
      "rules": [
        {
          "details": {
            "condition_compiled": "((t.str in (get, list) and not t.up = X) and not t.up = Y)",
            "condition_fields": [
              "t.str",
              "t.up"
            ],
            "condition_operators": [
              "=",
              "in"
            ],
            "events": [
              "asyncevent",
              "pluginevent"
            ],
            "exception_fields": [
              "t.up"
            ],
            "exception_names": [
              "somebody"
            ],
            "exception_operators": [
              "="
            ],
            "lists": [],
            "macros": [
              "reads"
            ],
            "output_compiled": "read %t.key[a]",
            "output_fields": [
              "t.key[a]"
            ],
            "plugins": [
              "test"
            ]
          },
          "info": {
            "capture": false,
            "capture_duration": 0,
            "condition": "reads and not t.up = X",
            "description": "Somebody reads something that is not meant for everybody, which happens more often than one should think, so the text of this description is rather long.",
            "enabled": true,
            "name": "A reader",
            "output": "read %t.key[a]",
            "priority": "Notice",
            "source": "tsrc",
            "tags": [
              "a",
              "b"
            ]
          }
        }
      ]
    }
    "#);
    assert!(ruleset.describe(Some("A reader"), &environment()).is_some());
    assert!(ruleset.describe(Some("nobody"), &environment()).is_none());
}

#[test]
fn a_description_as_text() {
    let ruleset = validated(&[DESCRIBED]).ruleset.unwrap();
    assert_snapshot!(ruleset.describe_text(None).unwrap(), @r"
    Rule                                               Description
    ----                                               -----------
    A reader                                           Somebody reads something that is not meant for everybody,
                                                       which happens more often than one should think, so the text
                                                       of this description is rather long.
    ");
    assert!(ruleset.describe_text(Some("nobody")).is_none());
}
