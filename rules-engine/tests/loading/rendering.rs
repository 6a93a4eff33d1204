//! Every code of a diagnostic, as people see it. More mistakes, each in a file of its own, are in
//! `tests/broken`.

use insta::assert_snapshot;

use crate::validated;

/// All diagnostics of the last of some files. The first line of a text is left out.
fn rendered(texts: &[&str]) -> String {
    let texts: Vec<&str> = texts.iter().filter_map(|text| text.strip_prefix('\n')).collect();
    validated(&texts).reports.last().unwrap().render(false)
}

#[test]
fn yaml_parse() {
    assert_snapshot!(rendered(&[
        r#"
- rule: [unclosed
  desc: d
"#,
    ]), @r"
    error[LOAD_ERR_YAML_PARSE]: no `]` closes this `[`
     --> rules.yaml:1:9
      |
    1 | - rule: [unclosed
      |         ^
      |
      = help: put `]` behind the last element, and `,` between elements
    ");
}

#[test]
fn yaml_validate() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.u=1
  output: o
  priority: WARNIN
  source: tsrc
"#,
    ]), @r"
    error[LOAD_ERR_YAML_VALIDATE]: Invalid priority
     --> rules.yaml:5:13
      |
    5 |   priority: WARNIN
      |             ^^^^^^
      |
      = help: a similar priority exists: `WARNING`
    ");
}

#[test]
fn compile_condition_unknown_field() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: >
    t.t = true and
    t.srt = x
  output: o
  priority: INFO
  source: tsrc
"#,
    ]), @r"
    error[LOAD_ERR_COMPILE_CONDITION]: unknown field `t.srt`
     --> rules.yaml:5:5
      |
    5 |     t.srt = x
      |     ^^^^^ no event of source `tsrc` has this field
      |
      = help: a similar field exists: `t.str`
    ");
}

#[test]
fn compile_output() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.u = 1
  output: it was %t.srt
  priority: INFO
  source: tsrc
"#,
    ]), @r"
    error[LOAD_ERR_COMPILE_OUTPUT]: unknown field `t.srt` in the output
     --> rules.yaml:4:19
      |
    4 |   output: it was %t.srt
      |                   ^^^^^
      |
      = help: a similar field exists: `t.str`
    ");
}

#[test]
fn validate_undefined_macro() {
    assert_snapshot!(rendered(&[
        r#"
- macro: kmodify
  condition: t.u = 1
- rule: r
  desc: d
  condition: t.t = true and modify
  output: o
  priority: INFO
  source: tsrc
"#,
    ]), @r"
    error[LOAD_ERR_VALIDATE]: undefined macro `modify`
     --> rules.yaml:5:29
      |
    5 |   condition: t.t = true and modify
      |                             ^^^^^^
      |
      = help: a similar macro exists: `kmodify`
    ");
}

#[test]
fn error_in_a_macro_is_shown_there() {
    assert_snapshot!(rendered(&[
        r#"
- macro: m
  condition: t.nope = 1
- rule: r
  desc: d
  condition: t.t = true and m
  output: o
  priority: INFO
  source: tsrc
"#,
    ]), @r"
    error[LOAD_ERR_COMPILE_CONDITION]: unknown field `t.nope`
     --> rules.yaml:2:14
      |
    2 |   condition: t.nope = 1
      |              ^^^^^^ no event of source `tsrc` has this field
      |
      = note: rule `r` uses it
    ");
}

#[test]
fn error_in_a_list_item_is_shown_there() {
    assert_snapshot!(rendered(&[
        r#"
- list: numbers
  items:
    - 1
    - two
- rule: r
  desc: d
  condition: t.u in (numbers)
  output: o
  priority: INFO
  source: tsrc
"#,
    ]), @r"
    error[LOAD_ERR_COMPILE_CONDITION]: two is not a valid number
     --> rules.yaml:4:7
      |
    4 |     - two
      |       ^^^
      |
      = help: the left side is a number, so a whole number is expected
    ");
}

#[test]
fn error_in_another_file_is_shown_there() {
    assert_snapshot!(rendered(&[
        r#"
- macro: m
  condition: t.u = 1
"#,
        r#"
- macro: m
  condition: or t.u = 
  append: true
"#,
    ]), @r"
    error[LOAD_ERR_COMPILE_CONDITION]: expected a string value or a field with a valid transformer: 'val', 'tolower', 'toupper', 'b64', 'basename', 'len', 'join', 'concat', 'getopt'
     --> rules1.yaml:2:22
      |
    2 |   condition: or t.u = 
      |                      ^
      |
      = help: the condition ends here, and something must follow `=`

    warning[LOAD_DEPRECATED_ITEM]: 'append' key is deprecated. Add an 'append' entry (e.g. 'condition: append') under 'override' instead.
     --> rules1.yaml:3:11
      |
    3 |   append: true
      |           ^^^^
    ");
}

#[test]
fn exception() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.u = 1
  output: o
  priority: INFO
  source: tsrc
  exceptions:
    - name: e
      fields: [t.str, t.upp]
      values: [[a, b]]
"#,
    ]), @r"
    error[LOAD_ERR_VALIDATE]: 't.upp' is not a supported filter field
     --> rules.yaml:9:23
      |
    9 |       fields: [t.str, t.upp]
      |                       ^^^^^
      |
      = help: a similar field exists: `t.up`
    ");
}

#[test]
fn all_errors_are_shown() {
    assert_snapshot!(rendered(&[
        r#"
- list: l
- macro: m
  condition:
- just text
"#,
    ]), @r"
    error[LOAD_ERR_YAML_VALIDATE]: Item has no mapping for key 'items'
     --> rules.yaml:1:3
      |
    1 | - list: l
      |   ^^^^^^^
      |
      = help: add the key: `items: …`

    error[LOAD_ERR_YAML_VALIDATE]: Mapping for key 'condition' is empty
     --> rules.yaml:3:3
      |
    3 |   condition:
      |   ^^^^^^^^^^
      |
      = help: write a value behind `condition:`

    error[LOAD_ERR_YAML_VALIDATE]: Unexpected element type. Each element should be a yaml associative array.
     --> rules.yaml:4:3
      |
    4 | - just text
      |   ^^^^^^^^^
    ");
}

#[test]
fn unknown_source() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.u = 1
  output: o
  priority: INFO
  source: k8s-audit
"#,
    ]), @r"
    warning[LOAD_UNKNOWN_SOURCE]: Unknown source k8s-audit, skipping
     --> rules.yaml:1:3
      |
    1 | - rule: r
      |   ^^^^^^^
      |
      = help: a similar source exists: `k8s_audit`
    ");
}

#[test]
fn unsafe_na_check() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: ka.verb = <NA>
  output: o
  priority: INFO
  source: k8s_audit
"#,
    ]), @r"
    warning[LOAD_UNSAFE_NA_CHECK]: Unsafe <NA> comparison in condition
     --> rules.yaml:3:24
      |
    3 |   condition: ka.verb = <NA>
      |                        ^^^^
      |
      = help: a comparison with a missing value is never true; write `not … exists`
    ");
}

#[test]
fn unknown_filter() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.nope = 1
  output: o
  priority: INFO
  source: tsrc
  skip-if-unknown-filter: true
"#,
    ]), @r"
    warning[LOAD_UNKNOWN_FILTER]: unknown field `t.nope`
     --> rules.yaml:3:14
      |
    3 |   condition: t.nope = 1
      |              ^^^^^^ no event of source `tsrc` has this field
    ");
}

#[test]
fn unused_macro_and_list() {
    assert_snapshot!(rendered(&[
        r#"
- macro: m
  condition: t.u = 1
- list: l
  items: [a]
"#,
    ]), @r"
    warning[LOAD_UNUSED_MACRO]: nothing refers to macro `m`
     --> rules.yaml:1:3
      |
    1 | - macro: m
      |   ^^^^^^^^

    warning[LOAD_UNUSED_LIST]: nothing refers to list `l`
     --> rules.yaml:3:3
      |
    3 | - list: l
      |   ^^^^^^^
    ");
}

#[test]
fn unknown_item() {
    assert_snapshot!(rendered(&[
        r#"
- rules: r
"#,
    ]), @r"
    warning[LOAD_UNKNOWN_ITEM]: Unknown top level item
     --> rules.yaml:1:3
      |
    1 | - rules: r
      |   ^^^^^^^^
      |
      = help: a similar kind of item exists: `rule`
    ");
}

#[test]
fn deprecated_item() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.u = 1
  output: o
  priority: INFO
  source: tsrc
- rule: r
  enabled: false
"#,
    ]), @r"
    warning[LOAD_DEPRECATED_ITEM]: The standalone 'enabled' key usage is deprecated. The correct approach requires also a 'replace' entry under the 'override' key (i.e. 'enabled: replace').
     --> rules.yaml:7:3
      |
    7 | - rule: r
      |   ^^^^^^^
    ");
}

#[test]
fn append_no_values() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.u = 1
  output: o
  priority: INFO
  source: tsrc
  exceptions:
    - name: e
      fields: t.str
- rule: r
  exceptions:
    - name: e
  override: {exceptions: append}
"#,
    ]), @r"
    warning[LOAD_APPEND_NO_VALUES]: Overriding/appending exception with no values
      --> rules.yaml:12:7
       |
    12 |     - name: e
       |       ^^^^^^^
    ");
}

#[test]
fn exception_name_not_unique() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.u = 1
  output: o
  priority: INFO
  source: tsrc
  exceptions:
    - name: e
      fields: t.str
    - name: e
      fields: t.up
"#,
    ]), @r"
    warning[LOAD_EXCEPTION_NAME_NOT_UNIQUE]: Multiple definitions of exception 'e' in the same rule
      --> rules.yaml:10:7
       |
    10 |     - name: e
       |       ^^^^^^^
    ");
}

#[test]
fn invalid_names() {
    assert_snapshot!(rendered(&[
        r#"
- macro: m-m
  condition: t.u = 1
- list: a b
  items: []
"#,
    ]), @r#"
    warning[LOAD_INVALID_MACRO_NAME]: Macro has an invalid name. Macro names should match a regular expression: ([a-zA-Z]+[a-zA-Z0-9_]*)
     --> rules.yaml:1:3
      |
    1 | - macro: m-m
      |   ^^^^^^^^^^

    warning[LOAD_INVALID_LIST_NAME]: List has an invalid name. List names should match a regular expression: ([^()"'[:space:]=,]+)
     --> rules.yaml:3:3
      |
    3 | - list: a b
      |   ^^^^^^^^^

    warning[LOAD_UNUSED_MACRO]: nothing refers to macro `m-m`
     --> rules.yaml:1:3
      |
    1 | - macro: m-m
      |   ^^^^^^^^^^

    warning[LOAD_UNUSED_LIST]: nothing refers to list `a b`
     --> rules.yaml:3:3
      |
    3 | - list: a b
      |   ^^^^^^^^^
    "#);
}

#[test]
fn condition_warning() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.str regex abc
  output: o
  priority: INFO
  source: tsrc
"#,
    ]), @r"
    warning[LOAD_COMPILE_CONDITION]: regex check with 'abc' may be optimized with simpler operators such as '=', 'contains', 'startswith', 'endswith'
     --> rules.yaml:3:26
      |
    3 |   condition: t.str regex abc
      |                          ^^^
    ");
}

#[test]
fn unknown_key() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.u = 1
  ouput: x
  output: o
  priority: INFO
  source: tsrc
"#,
    ]), @r"
    warning[LOAD_UNKNOWN_KEY]: Unknown key 'ouput'. The key will be ignored.
     --> rules.yaml:4:3
      |
    4 |   ouput: x
      |   ^^^^^
      |
      = help: a similar key exists: `output`
    ");
}

#[test]
fn duplicate_key() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.u=1
  output: o
  priority: INFO
  source: tsrc
  output: p
"#,
    ]), @r"
    warning[LOAD_DUPLICATE_KEY]: key `output` stands here again, and only the first counts
     --> rules.yaml:7:3
      |
    7 |   output: p
      |   ^^^^^^
      |
      = help: the first is in line 4; if a new item was meant, start it with `- `
    ");
}

#[test]
fn typographic_quote() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.str = “a”
  output: o
  priority: INFO
  source: tsrc
"#,
    ]), @r#"
    warning[LOAD_TYPOGRAPHIC_QUOTE]: the quotes in this text are part of it
     --> rules.yaml:3:22
      |
    3 |   condition: t.str = “a”
      |                      ^^^
      |
      = help: quotes that enclose a text are `"` or `'`
    "#);
}
