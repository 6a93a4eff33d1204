//! What becomes of files: success, errors, warnings, order.

use rules_engine::{AppendOutput, Load, Priority, RuleMatching, Selection, Settings, load};

use crate::{environment, files, rule, validated};

/// The codes and messages of a report's errors, then warnings, one a line.
fn findings(load: &Load, file: usize) -> String {
    let report = serde_json::to_value(&load.reports[file]).unwrap();
    let entries = ["errors", "warnings"].map(|kind| report[kind].as_array().unwrap().clone());
    let line = |entry: &serde_json::Value| {
        format!("{}: {}", entry["code"].as_str().unwrap(), entry["message"].as_str().unwrap())
    };
    entries.iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

/// What the only file's report says; empty when all is well.
#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(findings(&validated(&[text]), 0), expected, "{text}");
}

/// What an item after a rule `r` gives.
#[track_caller]
fn check_item(item: &str, expected: &str) {
    check(&format!("{}{item}\n", rule("r", "t.u=1", "")), expected);
}

const DEPRECATED_APPEND: &str = "LOAD_DEPRECATED_ITEM: 'append' key is deprecated. Add an 'append' \
                                 entry (e.g. 'condition: append') under 'override' instead.";

/// Case 101
#[test]
fn empty_files_load_without_a_schema_status() {
    for text in ["", "---\n", "null\n", "# only a comment\n", "---\n---\n"] {
        let load = validated(&[text]);
        assert!(load.ruleset.is_some(), "{text:?}");
        assert_eq!(load.reports[0].schema_status(), "none", "{text:?}");
    }
}

/// Cases 102 and 103
#[test]
fn items_are_told_apart_by_their_first_known_key() {
    check("- foo: bar\n", "LOAD_UNKNOWN_ITEM: Unknown top level item");
    assert!(!validated(&["- foo: bar\n"]).reports[0].is_schema_valid());
    check(
        "- {list: l, items: [a], rule: x}\n",
        "LOAD_UNKNOWN_KEY: Unknown key 'rule'. The key will be ignored.\n\
         LOAD_UNUSED_LIST: List not referred to by any other rule/macro",
    );
    check("- \n", "");
}

/// Case 91
#[test]
fn macros_that_nothing_uses_are_parsed_and_not_checked() {
    check(
        "- {macro: m, condition: t.u=}\n",
        "LOAD_ERR_COMPILE_CONDITION: expected a string value or a field with a valid transformer: 'val', \
         'tolower', 'toupper', 'b64', 'basename', 'len', 'join', 'concat', 'getopt'",
    );
    check(
        "- {macro: m, condition: no.such=1}\n",
        "LOAD_UNUSED_MACRO: Macro not referred to by any other rule/macro",
    );
}

/// Cases 99 and 100
#[test]
fn exceptions_are_checked() {
    let check_exception = |exception: &str, expected: &str| {
        let more = format!("  exceptions: [{{name: e, {exception}}}]\n");
        check(&rule("r", "t.u=1", &more), expected);
    };
    check_exception(
        "fields: t.up, comps: =, values: [a]",
        "LOAD_ERR_VALIDATE: When fields is a single value, comps must be one of (in, pmatch, intersects) \
         or a modifier operator (e.g. startswith oneof)",
    );
    let empty = "LOAD_ERR_YAML_VALIDATE: Value must be non-empty";
    check_exception("fields: t.up, values: ['']", empty);
    check_exception("fields: [t.up], values: [['']]", empty);
}

/// Case 104
#[test]
fn priorities_are_names_in_any_case() {
    let with_priority = |name: &str| rule("r", "t.u=1", "").replace("INFO", name);
    let load = validated(&[&with_priority("info")]);
    let report = &load.reports[0];
    assert!(report.is_successful() && !report.has_warnings() && !report.is_schema_valid());
    let described = load.ruleset.unwrap().describe(Some("r"), &environment()).unwrap();
    assert_eq!(described["rules"][0]["info"]["priority"], "Informational");
    check(&with_priority("warn"), "LOAD_ERR_YAML_VALIDATE: Invalid priority");
}

/// Case 122
#[test]
fn outputs_are_trimmed() {
    let text = rule("r", "t.u=1", "").replace("output: o", "output: '  padded  '");
    let described =
        validated(&[&text]).ruleset.unwrap().describe(Some("r"), &environment()).unwrap();
    assert_eq!(described["rules"][0]["details"]["output_compiled"], "padded");
}

/// Case 105
#[test]
fn the_engine_version_must_suffice() {
    check(
        "- required_engine_version: 64\n",
        "LOAD_ERR_VALIDATE: Rules require engine version 0.64.0, but engine version is 0.63.0",
    );
    check("- required_engine_version: 0.63.0\n", "");
    check("- required_engine_version: 0x3f\n", "");
    check("- required_engine_version: 0.50.0-rc1\n", "");
    check(
        "- required_engine_version: 0.50\n",
        "LOAD_ERR_YAML_VALIDATE: Unable to parse engine version '0.50' as a semver string. \
         Expected \"x.y.z\" semver format.",
    );
    check(
        "- required_engine_version: 1.0.0\n",
        "LOAD_ERR_VALIDATE: Rules require engine version 1.0.0, but engine version is 0.63.0",
    );
}

#[test]
fn plugin_requirements_are_checked_after_all_files() {
    let requires = |version: &str| {
        format!("- required_plugin_versions:\n  - {{name: test, version: {version}}}\n")
    };
    assert_eq!(validated(&[&requires("0.3.0")]).requirements, Ok(()));
    let unmet = validated(&[&requires("0.4.0"), ""]);
    assert_eq!(
        unmet.requirements.unwrap_err(),
        "Plugin 'test' version '0.3.2' is not compatible with required plugin version '0.4.0'"
    );
}

/// Case 119
#[test]
fn redefinition_replaces_the_whole_rule_in_its_place() {
    let text = [
        rule("a", "t.u=1", "  tags: [x]\n  enabled: false\n"),
        rule("b", "t.u=2", ""),
        rule("a", "t.u=3", ""),
    ]
    .concat();
    let ruleset = validated(&[&text]).ruleset.unwrap();
    let rules: Vec<_> = ruleset.rules().map(|rule| (rule.name.as_str(), rule.tags.len())).collect();
    assert_eq!(rules, [("a", 0), ("b", 0)]);
    let program = ruleset.program("tsrc").unwrap();
    let active: Vec<_> = program.rules().map(|rule| rule.name.clone()).collect();
    assert_eq!(active, ["a", "b"]);
}

/// Case 107
#[test]
fn redefinition_keeps_the_source() {
    check_item(
        "- {rule: r, desc: d, condition: t.u=2, output: o, priority: INFO}",
        "LOAD_ERR_VALIDATE: Rule has been re-defined with a different source",
    );
}

/// Case 108
#[test]
fn append_ignores_all_but_condition_and_exceptions() {
    check_item(
        "- {rule: r, append: true, condition: or t.u=2, priority: nope, output: '%bad'}",
        DEPRECATED_APPEND,
    );
}

/// Cases 109 to 111
#[test]
fn override_refuses_what_it_does_not_list() {
    let code = "LOAD_ERR_YAML_VALIDATE";
    check_item("- {rule: r, condition: or t.u=2, override: {condition: append}}", "");
    check_item(
        "- {rule: r, condition: or t.u=2, desc: d, override: {condition: append}}",
        &format!(
            "{code}: Unexpected key 'desc': no corresponding entry under 'override' is defined."
        ),
    );
    check_item(
        "- {rule: r, priority: INFO, override: {priority: append}}",
        &format!("{code}: Key 'priority' cannot be appended to, use 'replace' instead"),
    );
    check_item(
        "- {rule: r, condition: x, override: {condition: merge}}",
        &format!(
            "{code}: Invalid override operation for key 'condition': 'merge'. Allowed values are: \
             append replace "
        ),
    );
    check_item(
        "- {rule: r, priority: x, override: {priority: merge}}",
        &format!(
            "{code}: Invalid override operation for key 'priority': 'merge'. Allowed values are: \
             replace "
        ),
    );
    check_item(
        "- {rule: r, override: {condition: append}}",
        &format!(
            "{code}: An append override for 'condition' was specified but 'condition' is not defined"
        ),
    );
    check_item(
        "- {rule: r, condition: x, append: true, override: {condition: append}}",
        &format!(
            "{code}: Keys 'override' and 'append: true' cannot be used together. Add an 'append' \
             entry (e.g. 'condition: append') under 'override' instead.\n{DEPRECATED_APPEND}"
        ),
    );
    check_item(
        "- {rule: q, enabled: false, override: {enabled: replace}}",
        "LOAD_ERR_VALIDATE: An 'override.<key>: replace' to a rule was requested but no rule by \
         that name already exists",
    );
    check_item("- {rule: r, override: []}", "LOAD_ERR_VALIDATE: 'override' must be a mapping");
}

/// Cases 112 and 113
#[test]
fn a_rule_can_be_switched() {
    check(
        "- {rule: x, enabled: false}\n",
        "LOAD_ERR_VALIDATE: Rule has 'enabled' key but no rule by that name already exists\n\
         LOAD_DEPRECATED_ITEM: The standalone 'enabled' key usage is deprecated. The correct \
         approach requires also a 'replace' entry under the 'override' key (i.e. 'enabled: \
         replace').",
    );
    check("- {rule: x}\n", "LOAD_ERR_YAML_VALIDATE: Item has no mapping for key 'enabled'");
}

/// Case 114
#[test]
fn rules_of_unknown_sources_are_not_looked_at() {
    let exception = "[{name: e, fields: no.such, values: [a]}]";
    let text = format!(
        "- {{rule: x, desc: d, condition: bad syntax (, output: '%bad', priority: INFO, \
         source: nosuch, exceptions: {exception}}}\n"
    );
    check(&text, "LOAD_UNKNOWN_SOURCE: Unknown source nosuch, skipping");
}

/// Case 115
#[test]
fn disabled_rules_are_checked() {
    check(
        &rule("x", "no.such=1", "  enabled: false\n"),
        "LOAD_ERR_COMPILE_CONDITION: filter_check called with nonexistent field no.such",
    );
}

/// Case 116
#[test]
fn unknown_fields_can_drop_a_rule() {
    let skip = "  skip-if-unknown-filter: true\n";
    check(
        &rule("x", "no.such=1", skip),
        "LOAD_UNKNOWN_FILTER: filter_check called with nonexistent field no.such",
    );
    check(&rule("x", "t.u = abc", skip), "LOAD_ERR_COMPILE_CONDITION: abc is not a valid number");
    check(
        &rule("x", "nothing", skip),
        "LOAD_ERR_VALIDATE: Undefined macro 'nothing' used in filter.",
    );
}

#[test]
fn rules_about_system_calls_are_left_out() {
    let syscall = |condition: &str, output: &str| {
        format!(
            "- rule: x\n  desc: d\n  condition: {condition}\n  output: \"{output}\"\n  priority: INFO\n"
        )
    };
    let skipped = "LOAD_UNKNOWN_SOURCE: Unknown source syscall, skipping";
    check(&syscall("evt.type = open and proc.name = x", "%proc.name"), skipped);
    check(&syscall("evt.num > 0", "%container.id"), skipped);
    check(&syscall("evt.num > 0", "%evt.num"), "");
    // Who forgets `source:` is told so.
    check(
        &syscall("ka.verb = get", "%ka.verb"),
        "LOAD_ERR_COMPILE_OUTPUT: unknown filter: unexpected token after '",
    );
    let text = syscall("proc.name = x", "o");
    let load = load(files(&[&text]), &environment(), &Settings::default());
    assert!(load.reports[0].is_successful() && !load.reports[0].has_warnings());
    assert_eq!(
        load.reports[0].skipped().unwrap(),
        "1 rule of source 'syscall' skipped: no syscall support"
    );
}

/// Case 117
#[test]
fn each_report_covers_all_files_so_far() {
    let unused = "- {macro: m, condition: t.u=1}\n";
    let load = validated(&[unused, "[]\n"]);
    let warning = "LOAD_UNUSED_MACRO: Macro not referred to by any other rule/macro";
    assert_eq!([findings(&load, 0), findings(&load, 1)], [warning, warning]);

    let load = validated(&[&rule("r", "m", ""), unused]);
    assert_eq!(
        [findings(&load, 0), findings(&load, 1)],
        ["LOAD_ERR_VALIDATE: Undefined macro 'm' used in filter.", ""]
    );
    assert!(load.ruleset.is_none());
}

#[test]
fn a_start_ends_with_the_first_bad_file() {
    let load = load(files(&["- 1\n", ""]), &environment(), &Settings::default());
    assert_eq!(load.reports.len(), 1);
}

#[test]
fn what_follows_an_error_defines_nothing() {
    let load = validated(&["- 1\n- {macro: m, condition: t.u=1}\n", &rule("r", "m", "")]);
    assert_eq!(findings(&load, 1), "LOAD_ERR_VALIDATE: Undefined macro 'm' used in filter.");
}

/// Case 120
#[test]
fn of_equal_keys_the_first_counts() {
    let text = rule("x", "t.u=1", "  condition: bad syntax (\n");
    let load = validated(&[&text]);
    assert_eq!(findings(&load, 0), "");
    assert!(!load.reports[0].is_schema_valid());
}

/// Case 118
#[test]
fn all_documents_are_read_and_the_first_decides_about_the_schema() {
    let text = format!("{}---\n{}", rule("a", "t.u=1", ""), rule("b", "t.u=1", "  foo: 1\n"));
    let load = validated(&[&text]);
    assert_eq!(findings(&load, 0), "LOAD_UNKNOWN_KEY: Unknown key 'foo'. The key will be ignored.");
    assert!(load.reports[0].is_schema_valid());
}

/// The active rules after some selections, in order of evaluation.
#[track_caller]
fn check_active(settings: &Settings, expected: &[&str]) {
    let text = [
        rule("a", "t.u=1", "  tags: [x]\n"),
        rule("b", "t.u=1", "  tags: [x, y]\n  enabled: false\n"),
        rule("c", "t.u=1", "").replace("INFO", "WARNING"),
    ]
    .concat();
    let load = load(files(&[&text]), &environment(), settings);
    let program = load.ruleset.unwrap().program("tsrc");
    let active: Vec<String> = program
        .iter()
        .flat_map(|program| program.rules().map(|rule| rule.name.clone()).collect::<Vec<_>>())
        .collect();
    assert_eq!(active, expected);
}

fn selection(enable: bool, rule: Option<&str>, tag: Option<&str>) -> Selection {
    Selection { enable, rule: rule.map(str::to_owned), tag: tag.map(str::to_owned) }
}

/// Cases 138 and 139
#[test]
fn selections_act_in_order() {
    let check = |selections: Vec<Selection>, expected: &[&str]| {
        check_active(&Settings { selections, ..Settings::default() }, expected);
    };
    check(vec![], &["a", "c"]);
    check(vec![selection(true, Some("b"), None)], &["a", "c", "b"]);
    check(vec![selection(false, Some("a"), None), selection(true, Some("a"), None)], &["c", "a"]);
    check(vec![selection(true, Some("a"), None)], &["a", "c"]);
    check(vec![selection(false, Some("*"), None), selection(true, None, Some("y"))], &["b"]);
    check(vec![selection(false, Some("c"), Some("x"))], &[]);
    // Falco leaves the order of rules that one entry enables to chance.
    let again = vec![selection(false, Some("*"), None), selection(true, Some("*"), None)];
    check(again, &["a", "b", "c"]);
}

/// Case 141
#[test]
fn less_severe_rules_cannot_be_enabled() {
    let settings = Settings {
        priority: Priority::Warning,
        rule_matching: RuleMatching::All,
        selections: vec![selection(true, Some("*"), None)],
        ..Settings::default()
    };
    check_active(&settings, &["c"]);
}

/// Cases 134 and 136
#[test]
fn outputs_are_appended_to_before_they_are_checked() {
    let output = |append_output: Vec<AppendOutput>| {
        let settings = Settings { append_output, ..Settings::default() };
        let text = rule("r", "t.u=1", "  tags: [a, z]\n");
        let load = load(files(&[&text]), &environment(), &settings);
        match load.ruleset {
            Some(ruleset) => {
                ruleset.describe(Some("r"), &environment()).unwrap()["rules"][0]["details"]["output_compiled"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            }
            None => findings(&load, 0),
        }
    };
    let extra = |text: &str| AppendOutput {
        extra_output: Some(text.to_owned()),
        ..AppendOutput::default()
    };
    let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    let suggested = AppendOutput { suggested_output: true, ..extra("e1") };
    assert_eq!(output(vec![suggested, extra("e2")]), "o e1 t_sugg=%t.sugg e2");
    assert_eq!(output(vec![AppendOutput { tags: tags(&["a"]), ..extra("e") }]), "o e");
    assert_eq!(output(vec![AppendOutput { tags: tags(&["a", "b"]), ..extra("e") }]), "o");
    assert_eq!(output(vec![AppendOutput { source: Some("x".to_owned()), ..extra("e") }]), "o");
    assert_eq!(
        output(vec![extra("%no.such")]),
        "LOAD_ERR_COMPILE_OUTPUT: unknown filter: unexpected token after '"
    );
}
