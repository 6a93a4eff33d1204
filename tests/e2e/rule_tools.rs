//! What people use to write rules: `test` and `explain`.

use std::path::Path;

use serde_json::Value;

use crate::agent::{CONFIGMAP_RULE, Finished, Setup, configmap_event};

const SUITE: &str = r#"
events:
  written:
    stage: ResponseComplete
    auditID: a
    verb: create
    user: {username: ann}
    objectRef: {resource: configmaps, name: c}
tests:
  - test: a new ConfigMap is seen
    rule: ConfigMap seen
    base: written
    event: {requestObject: {data: {key: 5}}}
    expect:
      - priority: WARNING
        output_contains: user=ann
        fields: {ka.verb: create, ka.req.configmap.obj: '{"key":5}'}
  - test: a read ConfigMap is not seen
    rule: ConfigMap seen
    base: written
    event: {verb: get}
    expect: silence
"#;

fn setup(suite: &str) -> Setup {
    let setup = Setup::new();
    setup.write("suite.yaml", suite);
    setup
}

#[track_caller]
fn test(setup: &Setup, code: i32, arguments: &[&str]) -> String {
    let finished = setup.run(&[&["test", "suite.yaml"], arguments].concat());
    let Finished { status, stdout, stderr } = finished;
    assert_eq!(status.code(), Some(code), "{stdout}\n{stderr}");
    format!("{stdout}\n{stderr}")
}

#[test]
fn tests_of_rules_pass() {
    let setup = setup(SUITE);
    let output = test(&setup, 0, &["--require-tests", "--coverage"]);
    assert!(output.starts_with("2 passed, 0 failed\n"), "{output}");
    assert!(output.contains("Coverage: 1 of 1 rules"), "{output}");
    // No test has an event of another resource.
    let missing = "ConfigMap seen: never false: ka.target.resource = configmaps";
    assert!(output.contains(missing) && !output.contains("never true"), "{output}");
    let table = test(&setup, 0, &["--coverage=markdown"]);
    assert!(table.contains("| ConfigMap seen |  | Warning | 1 | 1 |"), "{table}");
}

#[test]
fn a_failed_test_shows_what_differs_and_why() {
    let setup = setup(&SUITE.replace("verb: create\n", "verb: get\n").replace("silence", "alert"));
    let output = test(&setup, 1, &["--junit", "junit.xml"]);
    for part in [
        "FAIL suite.yaml:10:11: a new ConfigMap is seen\n  - ConfigMap seen\n  + no alert\n",
        "ka.verb in (create, update, patch)   ka.verb is \"get\"",
        "0 passed, 2 failed",
        "Error: 2 of 2 tests failed",
    ] {
        assert!(output.contains(part), "{part:?} in {output}");
    }
    let junit = std::fs::read_to_string(setup.path("junit.xml")).unwrap();
    assert!(junit.contains("tests=\"2\" failures=\"2\""), "{junit}");
    assert!(junit.contains("<failure message=\"suite.yaml:10:11\">- ConfigMap seen"), "{junit}");
}

#[test]
fn values_of_an_alert_are_compared() {
    let setup =
        setup(&SUITE.replace("user=ann", "user=bob").replace("ka.verb: create", "ka.verb: get"));
    let output = test(&setup, 1, &["--only", "new", "--json"]);
    let json = output.lines().next().unwrap();
    let report: Value = serde_json::from_str(json).unwrap();
    assert_eq!((&report["passed"], &report["failed"]), (&0.into(), &1.into()));
    let problems = report["tests"][0]["problems"].to_string();
    assert!(problems.contains("- output: … user=bob …"), "{problems}");
    assert!(problems.contains("- fields.ka.verb: get\",\"+ fields.ka.verb: create"), "{problems}");
    assert_eq!(report["coverage"][0]["branches"][1]["false"], false, "{report}");
}

#[test]
fn a_wrong_file_with_tests_is_told_by_line_and_key() {
    #[track_caller]
    fn check(from: &str, to: &str, expected: &str) {
        let output = test(&setup(&SUITE.replacen(from, to, 1)), 2, &[]);
        assert!(output.contains(expected), "{output}");
    }
    check("priority:", "prioritee:", "suite.yaml:15:9: unknown key `tests[0].expect[0].prioritee`");
    check("base: written", "base: writen", "no event under `events` is called `writen`");
    check("    expect: silence\n", "", "tests[1].expect: missing: write `silence`");
    check("rule: ConfigMap seen", "rule: ConfigMap sen", "suite.yaml:10:11: rule: no loaded rule");
    check("tests:", "tests: [", "invalid YAML");
}

#[test]
fn without_a_test_a_rule_fails_where_tests_are_required() {
    let setup =
        setup(&SUITE.replace("silence", "[]").replace("get}", "get}\n    source: k8s_audit"));
    test(&setup, 0, &["--require-tests"]);
    let other = CONFIGMAP_RULE.replace("rule: ConfigMap seen", "rule: Other");
    setup.write("rules.yaml", &format!("{CONFIGMAP_RULE}{other}"));
    let output = test(&setup, 1, &["--require-tests"]);
    assert!(output.contains("rules.yaml:10: rule 'Other' has no test"), "{output}");
}

/// What `.ci/run` asks of the release build, and that the table of all rules is that of the documentation.
#[test]
fn every_shipped_rule_has_tests_and_stands_in_the_documentation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tests = root.join("rules/tests").display().to_string();
    let plugins = "load_plugins=[k8saudit, json, filetail]";
    let arguments = ["test", &tests, "-o", plugins, "--require-tests", "--coverage=markdown"];
    let finished = Setup::new().run(&arguments);
    assert!(finished.status.success(), "{finished:?}");
    let (_, tables) = finished.stdout.split_once("\n\n").unwrap();
    let documentation = std::fs::read_to_string(root.join("docs/rules.md")).unwrap();
    assert!(documentation.contains(tables), "docs/rules.md should have:\n{tables}");
}

const MACRO_RULE: &str = "
- macro: written
  condition: ka.verb in (update, patch)

- rule: By a person
  desc: A person changes a ConfigMap.
  condition: ka.target.resource = configmaps and written
  output: changed
  priority: NOTICE
  source: k8s_audit
  exceptions:
    - name: known_users
      fields: [ka.user.name]
      comps: [startswith]
      values: [[mini]]
";

#[track_caller]
fn explain(setup: &Setup, arguments: &[&str]) -> String {
    let finished = setup.run(&[&["explain", "event.json"], arguments].concat());
    assert!(finished.status.success(), "{finished:?}");
    finished.stdout
}

#[test]
fn a_miss_is_explained() {
    let setup = Setup::new();
    setup.write("rules.yaml", &format!("{MACRO_RULE}{CONFIGMAP_RULE}"));
    setup.write("event.json", &configmap_event());
    let text = explain(&setup, &["--rule", "By a person"]);
    for part in [
        "By a person: does not match (rules.yaml:5)",
        "  - macro written\n    - ka.verb in (update, patch)   ka.verb is \"create\"\n",
        "  - not\n    + exception known_users\n",
        "Decided by: macro written -> ka.verb in (update, patch)",
        "It would match with:\n  ka.verb in (update, patch)   ka.verb is \"create\"\n  not ka.user.name startswith mini",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let json = explain(&setup, &["--rule", "By a person", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let rule = &json["rules"][0];
    assert_eq!(rule["matches"], false);
    assert_eq!(rule["condition"]["and"][1]["macro"], "written");
    assert_eq!(rule["condition"]["and"][1]["is"]["value"], "create");
    assert_eq!(rule["would_differ"]["all"][1]["must_hold"], false);
}

#[test]
fn an_alert_is_explained() {
    let setup = Setup::new();
    setup.write("rules.yaml", &format!("{MACRO_RULE}{CONFIGMAP_RULE}"));
    setup.write("event.json", &configmap_event());
    let text = explain(&setup, &[]);
    assert!(text.starts_with("ConfigMap seen: matches (rules.yaml:17)"), "{text}");
    let earlier =
        "Why no earlier rule:\n  By a person: macro written -> ka.verb in (update, patch)";
    assert!(text.contains(earlier), "{text}");

    let twin = CONFIGMAP_RULE.replace("rule: ConfigMap seen", "rule: Shadowed");
    setup.write("rules.yaml", &format!("{CONFIGMAP_RULE}{twin}"));
    let text = explain(&setup, &["--rule", "Shadowed"]);
    assert!(text.contains("It raises no alert: with `rule_matching: first`"), "{text}");
    let finished = setup.run(&["explain", "event.json", "--number", "2"]);
    assert_eq!(finished.status.code(), Some(2));
    assert!(finished.stderr.contains("there is no event 2, but 1 in all"), "{finished:?}");
}
