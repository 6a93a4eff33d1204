//! Which rules answer an event.
//!
//! Numbers without a letter are those of the conformance cases of the rules language, those with a C of the agent's.

use crate::agent::{Setup, configmap_event};

/// A rule about every audit event, whose alerts are its name.
fn rule(name: &str, more: &str) -> String {
    rule_with(name, "ka.verb exists", more)
}

fn rule_with(name: &str, condition: &str, more: &str) -> String {
    format!(
        "- {{rule: {name}, desc: d, condition: '{condition}', output: {name}, priority: WARNING, \
         source: k8s_audit{more}}}\n"
    )
}

/// The names of the rules that answer one event, in the order of their alerts.
fn answers(rules: &[(&str, String)], arguments: &[&str]) -> Vec<String> {
    let setup = Setup::new();
    setup.write("audit.jsonl", &configmap_event());
    for (file, text) in rules {
        setup.write(file, text);
    }
    let source = ["-o", "plugins[0].open_params=audit.jsonl"];
    let finished = setup.run(&[source.as_slice(), arguments].concat());
    assert!(finished.status.success(), "{finished:?}");
    let alerts = finished.stdout.lines().filter_map(|line| line.split_once(": Warning "));
    alerts.map(|(_, name)| name.to_owned()).collect()
}

/// The rules are in `rules.yaml`.
#[track_caller]
fn check(rules: &str, arguments: &[&str], expected: &[&str]) {
    assert_eq!(answers(&[("rules.yaml", rules.to_owned())], arguments), expected, "{rules}");
}

fn three() -> String {
    rule("a", ", tags: [x]") + &rule("b", ", tags: [y]") + &rule("c", "")
}

/// C27, 137
#[test]
fn one_rule_answers_or_all() {
    check(&three(), &[], &["a"]);
    check(&three(), &["-o", "rule_matching=first"], &["a"]);
    check(&three(), &["-o", "rule_matching=ALL"], &["a", "b", "c"]);
}

/// C23, 138, 139
#[test]
fn selected_rules_answer() {
    let all = ["-o", "rule_matching=all", "-o"];
    let check = |selection: &str, expected: &[&str]| {
        check(&three(), &[all.as_slice(), &[selection]].concat(), expected);
    };
    check("rules=[{disable: {rule: '*'}}, {enable: {tag: y}}]", &["b"]);
    check("rules=[{disable: {rule: a}}, {enable: {rule: a}}]", &["b", "c", "a"]);
    check("rules=[{enable: {rule: a}}]", &["a", "b", "c"]);
}

/// 119, 142
#[test]
fn what_an_exception_lets_pass_goes_to_the_next_rule() {
    let exception = ", exceptions: [{name: e, fields: ka.user.name, values: [minikube-user]}]";
    check(&(rule("a", exception) + &rule("b", "")), &[], &["b"]);
    let redefined = rule_with("a", "ka.verb = get", "") + &rule("b", "") + &rule("a", "");
    check(&redefined, &[], &["a"]);
}

/// C51, 121
#[test]
fn named_files_replace_the_configured_ones_and_are_loaded_in_order() {
    let files = ["rules.yaml", "2.yaml", "1.yaml"].map(|file| (file, rule(&file[..1], "")));
    let arguments = ["-r", "2.yaml", "-r", "1.yaml", "-o", "rule_matching=all"];
    assert_eq!(answers(&files, &arguments), ["2", "1"]);
}

/// The case at the end of the json plugin's.
#[test]
fn pointers_into_the_event_may_be_escaped() {
    let found = "jevt.value[/annotations/authorization.k8s.io~1decision] exists";
    let rules = rule_with("missing", "jevt.value[/a~1~0b] exists", "")
        + &rule_with("found", &format!("{found} and not jevt.value[/a~1~0b] exists"), "");
    check(&rules, &["-o", "rule_matching=all"], &["found"]);
}
