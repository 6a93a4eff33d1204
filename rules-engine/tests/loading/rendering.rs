//! Every code of a diagnostic, as people see it.

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
    error[LOAD_ERR_YAML_PARSE]: illegal placement of ':' indicator
     --> rules.yaml:2:7
      |
    2 |   desc: d
      |       ^
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
fn missing_key() {
    assert_snapshot!(rendered(&[
        r#"
- macro: m
  conditon: t.u=1
"#,
    ]), @r"
    error[LOAD_ERR_YAML_VALIDATE]: Item has no mapping for key 'condition'
     --> rules.yaml:1:3
      |
    1 | - macro: m
      |   ^^^^^^^^
      |
      = help: a similar key exists: `conditon`
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
fn compile_condition_syntax() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: "t.str = \"a\" adn t.u = 1"
  output: o
  priority: INFO
  source: tsrc
"#,
    ]), @r#"
    error[LOAD_ERR_COMPILE_CONDITION]: unexpected token after 'a', expecting 'or', 'and'
     --> rules.yaml:3:29
      |
    3 |   condition: "t.str = \"a\" adn t.u = 1"
      |                             ^^^
    "#);
}

#[test]
fn compile_condition_end() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: t.u = 1 and
  output: o
  priority: INFO
  source: tsrc
"#,
    ]), @r"
    error[LOAD_ERR_COMPILE_CONDITION]: expected blank or '(' after 'and'
     --> rules.yaml:3:25
      |
    3 |   condition: t.u = 1 and
      |                         ^
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
fn validate_macro_order() {
    assert_snapshot!(rendered(&[
        r#"
- macro: m
  condition: later
- macro: later
  condition: t.u = 1
"#,
    ]), @r"
    error[LOAD_ERR_VALIDATE]: undefined macro `later`
     --> rules.yaml:2:14
      |
    2 |   condition: later
      |              ^^^^^
      |
      = help: a macro can use only macros that are defined before it
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
fn source_forgotten() {
    assert_snapshot!(rendered(&[
        r#"
- rule: r
  desc: d
  condition: ka.verb = get
  output: o
  priority: INFO
"#,
    ]), @r"
    error[LOAD_ERR_COMPILE_CONDITION]: unknown field `ka.verb`
     --> rules.yaml:3:14
      |
    3 |   condition: ka.verb = get
      |              ^^^^^^^ no event of source `syscall` has this field
      |
      = help: `ka.verb` is a field of source `k8s_audit`, and the rule is of `syscall`
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

    error[LOAD_ERR_YAML_VALIDATE]: Mapping for key 'condition' is empty
     --> rules.yaml:3:3
      |
    3 |   condition:
      |   ^^^^^^^^^^

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
      |   ^^^^^^^^
      |
      = help: a similar key exists: `output`
    ");
}
