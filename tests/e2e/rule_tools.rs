//! What people use to write rules: `test` and `explain`.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::agent::{CONFIGMAP_RULE, Finished, Setup, configmap_event};

const SUITE: &str = r#"
events:
  written:
    stage: ResponseComplete
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
fn watched_tests_run_again_though_their_file_was_away() {
    let setup = setup(SUITE);
    setup.write("event.json", r#"{"verb": "get"}"#);
    let with_file = SUITE.replace("    event: {verb: get}\n", "    file: event.json\n");
    setup.write("suite.yaml", &with_file);
    let mut agent = setup.start(&["test", "suite.yaml", "--watch"]);
    agent.wait_for_alert("2 passed, 0 failed");
    agent.wait_for_alert("Waiting for a change");
    std::fs::remove_file(setup.path("suite.yaml")).unwrap();
    agent.wait_for_alert("cannot read suite.yaml");
    agent.wait_for_alert("Waiting for a change");
    setup.write("suite.yaml", &with_file);
    agent.wait_for_alert("2 passed, 0 failed");
    agent.wait_for_alert("Waiting for a change");
    setup.write("event.json", &configmap_event());
    agent.wait_for_alert("1 passed, 1 failed");
}

#[test]
fn a_failed_test_shows_what_differs_and_why() {
    let setup = setup(&SUITE.replace("verb: create\n", "verb: get\n").replace("silence", "alert"));
    let output = test(&setup, 1, &["--junit", "junit.xml"]);
    for part in [
        "FAIL suite.yaml:9:11: a new ConfigMap is seen\n  - ConfigMap seen\n  + no alert\n",
        "ka.verb in (create, update, patch)   ka.verb is \"get\"",
        "0 passed, 2 failed",
        "Error: 2 of 2 tests failed",
    ] {
        assert!(output.contains(part), "{part:?} in {output}");
    }
    let junit = std::fs::read_to_string(setup.path("junit.xml")).unwrap();
    assert!(junit.contains("tests=\"2\" failures=\"2\""), "{junit}");
    assert!(junit.contains("<failure message=\"suite.yaml:9:11\">- ConfigMap seen"), "{junit}");
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
    check("priority:", "prioritee:", "suite.yaml:14:9: unknown key `tests[0].expect[0].prioritee`");
    check("base: written", "base: writen", "no event under `events` is called `writen`");
    check("    expect: silence\n", "", "tests[1].expect: missing: write `silence`");
    check("rule: ConfigMap seen", "rule: ConfigMap sen", "suite.yaml:9:11: rule: no loaded rule");
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

/// Log files of `count` events each: plain, packed by gzip, packed by zstd.
fn write_logs(setup: &Setup, count: usize) {
    let event = configmap_event().replace('\n', "");
    let lines = |first: usize| -> String {
        let line = |number| event.replace("minikube-user", &format!("user-{}", number % 3)) + "\n";
        (first..first + count).map(line).collect()
    };
    std::fs::create_dir(setup.path("logs")).unwrap();
    setup.write("logs/audit.log", &format!("{}no event\n", lines(0)));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // The last line has no end.
    gzip.write_all(lines(0).trim_end().as_bytes()).unwrap();
    std::fs::write(setup.path("logs/audit-1.log.gz"), gzip.finish().unwrap()).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(
        lines(0).as_bytes(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    std::fs::write(setup.path("logs/audit-2.log.zst"), zstd).unwrap();
}

#[test]
fn logs_are_replayed_however_they_are_packed() {
    let setup = Setup::new();
    // More than one chunk, so that several threads share a file.
    write_logs(&setup, 1_500);
    let finished = setup.run(&["replay", "logs", "--threads", "3", "--json"]);
    assert!(finished.status.success(), "{finished:?}");
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((&report["events"], &report["files"]), (&4_500.into(), &3.into()), "{report}");
    assert_eq!(report["not_evaluated"]["not_json"], 1, "{report}");
    let rule = &report["rules"][0];
    assert_eq!((&rule["rule"], &rule["count"]), (&"ConfigMap seen".into(), &4_500.into()));
    assert_eq!(rule["users"][2]["count"], 1_500, "{report}");
    assert_eq!(rule["first"], report["first"]);
    let total: u64 =
        rule["histogram"].as_array().unwrap().iter().map(|part| part.as_u64().unwrap()).sum();
    assert_eq!(total, 4_500);

    let text = setup.run(&["replay", "logs/audit.log"]).stdout;
    assert!(text.contains("\nNot evaluated: 1, not json\n"), "{text}");
    assert!(text.contains("    1500  Warning        ConfigMap seen  "), "{text}");
    assert!(text.contains("user-0 500, user-1 500, user-2 500"), "{text}");
}

#[test]
fn a_replay_compares_two_sets_of_rules() {
    let setup = Setup::new();
    write_logs(&setup, 30);
    let other = CONFIGMAP_RULE.replace("ConfigMap seen", "By one user");
    let other = other.replace("= configmaps", "= configmaps and ka.user.name = user-1");
    setup.write("other.yaml", &other);
    let arguments = ["replay", "logs/audit.log", "--against", "other.yaml"];
    let text = setup.run(&arguments).stdout;
    assert!(text.contains("  By one user: 10 new\n"), "{text}");
    assert!(text.contains("  ConfigMap seen: 30 gone\n"), "{text}");
    let same = setup.run(&["replay", "logs/audit.log", "--against", "rules.yaml"]).stdout;
    assert!(same.contains("The other rules raise the same alerts."), "{same}");
    let missing = setup.run(&["replay", "nowhere.log"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(missing.stderr.contains("cannot read nowhere.log"), "{missing:?}");
}

const ODD_RULES: &str = r#"
- list: nobody
  items: []

- rule: Broad
  desc: All writes.
  condition: ka.verb in (create, update)
  output: write (user=%ka.user.name)
  priority: NOTICE
  source: k8s_audit

- rule: Shadowed
  desc: Some writes.
  condition: ka.verb = create and ka.target.resource = pods
  output: write (user=%ka.user.name)
  priority: NOTICE
  source: k8s_audit

- rule: Impossible
  desc: Two verbs at once.
  condition: ka.verb = get and ka.verb in (list, watch)
  output: read (user=%ka.user.name)
  priority: NOTICE
  source: k8s_audit

- rule: Nobody
  desc: A list that is empty.
  condition: ka.verb = delete and ka.user.name in (nobody)
  output: deletion (user=%ka.user.name)
  priority: NOTICE
  source: k8s_audit

- rule: All excepted
  desc: An exception that leaves nothing.
  condition: ka.verb = delete and ka.target.resource = pods
  output: deletion (user=%ka.user.name)
  priority: NOTICE
  source: k8s_audit
  exceptions:
    - name: writers
      fields: ka.verb
      comps: in
      values: [delete, deletecollection]

- rule: Slow and mute
  desc: Searches before it compares, and says nothing.
  condition: ka.uri regex "x.*y" and ka.verb = watch
  output: something happened
  priority: NOTICE
  source: k8s_audit

- rule: Every event
  desc: Nothing by which it is found.
  condition: ka.uri contains secret
  output: secret (uri=%ka.uri)
  priority: NOTICE
  source: k8s_audit
"#;

#[test]
fn what_rules_hardly_mean_is_found() {
    let setup = Setup::new();
    setup.write("odd.yaml", ODD_RULES);
    let finished = setup.run(&["lint", "odd.yaml"]);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    for part in [
        "odd.yaml:12:3: warning[shadowed-rule]: rule `Shadowed` never alerts: whenever it matches, rule `Broad` (odd.yaml:5)",
        "odd.yaml:21:32: warning[never-true]: rule `Impossible` can never alert: it asks for `ka.verb = get` and `ka.verb in (list, watch)`",
        "odd.yaml:28:35: warning[never-true]: rule `Nobody` can never alert: `ka.user.name in ()`",
        "warning[exception-matches-everything]: exception `writers` matches everything that rule `All excepted` does",
        "note[costly-order]: in rule `Slow and mute`, `ka.uri regex",
        "warning[output-without-fields]: the output of rule `Slow and mute`",
        "note[evaluated-for-every-event]: rule `Every event`",
        "note[output-without-user]: the output of rule `Every event`",
        "0 errors, 5 warnings, 3 notes",
    ] {
        assert!(finished.stdout.contains(part), "{part:?} in {}", finished.stdout);
    }
    // With all rules alerting, none is shadowed.
    let all = setup.run(&["lint", "odd.yaml", "-o", "rule_matching=all", "--allow", "never-true"]);
    assert!(all.stdout.contains("0 errors, 2 warnings, 3 notes"), "{}", all.stdout);

    let sarif = setup.run(&["lint", "odd.yaml", "--format", "sarif"]).stdout;
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "shadowed-rule");
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!(region["startLine"], 12);
}

#[test]
fn shipped_rules_are_without_warnings_and_formatted() {
    let setup = Setup::new();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    let path = |name: &str| rules.join(name).display().to_string();
    let (audit, extra) = (path("k8s_audit_rules.yaml"), path("k8s_audit_extra_rules.yaml"));
    // Some never hold until their users fill lists or override macros.
    let finished = setup.run(&["lint", "--allow", "never-true", &audit, &extra]);
    assert!(finished.status.success(), "{finished:?}");
    let finished = setup.run(&["fmt", "--check", &rules.display().to_string()]);
    assert!(finished.status.success(), "{finished:?}");
}

#[test]
fn files_are_formatted_once_and_for_all_and_keep_their_comments() {
    const MESSY: &str = "# The head.\n\n\n-   list: a   \n    items: [ x,y ,z]\n# About the rule.\n-   rule: R\n    # Who is told.\n    priority:   NOTICE\n    desc: d\n    condition: >\n      ka.verb = get\n      # no comment\n      and ka.verb exists\n    output: o\n    source: k8s_audit # the source\n";
    const NEAT: &str = "# The head.\n\n- list: a\n  items: [x, y, z]\n\n# About the rule.\n- rule: R\n  desc: d\n  condition: >\n    ka.verb = get\n    # no comment\n    and ka.verb exists\n  output: o\n  # Who is told.\n  priority: NOTICE\n  source: k8s_audit # the source\n";
    let setup = Setup::new();
    setup.write("r.yaml", MESSY);
    let check = setup.run(&["fmt", "--check", "r.yaml"]);
    assert_eq!(check.status.code(), Some(1));
    assert!(check.stderr.contains("not formatted: r.yaml"), "{check:?}");
    for _ in 0..2 {
        assert!(setup.run(&["fmt", "r.yaml"]).status.success());
        assert_eq!(std::fs::read_to_string(setup.path("r.yaml")).unwrap(), NEAT);
    }
}

#[test]
fn comments_at_the_edge_stay_in_the_item_that_goes_on_below() {
    let setup = Setup::new();
    setup.write(
        "r.yaml",
        "- list: a\n  items:\n    - x\n\n# More.\n    - y\n# On b.\n- list: b\n  items: [z]\n",
    );
    assert!(setup.run(&["fmt", "r.yaml"]).status.success());
    let neat =
        "- list: a\n  items:\n    - x\n\n  # More.\n    - y\n\n# On b.\n- list: b\n  items: [z]\n";
    assert_eq!(std::fs::read_to_string(setup.path("r.yaml")).unwrap(), neat);
}

#[test]
fn a_broken_file_keeps_no_other_from_being_formatted() {
    let setup = Setup::new();
    setup.write("broken.yaml", "- rule: [\n");
    setup.write("messy.yaml", "-  list: a\n   items: []\n");
    let finished = setup.run(&["fmt", "broken.yaml", "messy.yaml"]);
    assert_eq!(finished.status.code(), Some(2));
    assert!(finished.stderr.contains("broken.yaml: line "), "{finished:?}");
    assert_eq!(finished.stdout, "formatted messy.yaml");
}
