//! What is printed instead of running.

use serde_json::Value;

use crate::agent::{CONFIGMAP_RULE, Finished, Setup};

/// Runs a command that succeeds.
#[track_caller]
fn run(setup: &Setup, arguments: &[&str]) -> String {
    let finished = setup.run(arguments);
    assert!(finished.status.success(), "{finished:?}");
    finished.stdout
}

#[test]
fn versions_are_shown_as_text_and_json() {
    let setup = Setup::new();
    let text = run(&setup, &["--version"]);
    assert!(text.starts_with("Falco version: "), "{text}");
    assert!(text.contains("\nPlugin API:    3.12.0\nEngine:        0.63.0\nDriver:\n"), "{text}");
    let json = run(&setup, &["--version", "-o", "json_output=true"]);
    let versions: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(versions["engine_version"], "63");
    assert_eq!(versions["engine_version_semver"], "0.63.0");
}

#[test]
fn plugins_are_shown() {
    let setup = Setup::new();
    let text = run(&setup, &["--list-plugins"]);
    assert!(text.starts_with("2 Plugins Loaded:\n\nName: k8saudit\n"), "{text}");
    assert!(text.contains("  - Event Sourcing (ID=1, source='k8s_audit')\n  - Field Extraction\n"));
    let text = run(&setup, &["--plugin-info", "k8saudit"]);
    assert!(text.contains("\nInit config schema type: JSON\n{"), "{text}");
    assert!(text.contains("\nSuggested open params:\nhttp://:9765/k8s-audit: "), "{text}");
}

#[test]
fn fields_are_shown() {
    let setup = Setup::new();
    let names = run(&setup, &["--list=k8s_audit", "-N"]);
    for name in ["evt.num", "ka.verb", "json.value"] {
        assert!(names.lines().any(|line| line == name), "{name} in {names}");
    }
    let json: Value = serde_json::from_str(&run(&setup, &["--list", "--format", "json"])).unwrap();
    let classes: Vec<_> =
        json["fieldclasses"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(classes, ["evt", "k8saudit (plugin)", "json (plugin)"]);
}

#[test]
fn rules_files_are_checked() {
    let setup = Setup::new();
    assert_eq!(run(&setup, &["-V", "rules.yaml"]), "rules.yaml: Ok");

    setup
        .write("bad.yaml", &CONFIGMAP_RULE.replace("ka.verb in", "ka.verbs exists and ka.verb in"));
    let Finished { status, stdout, stderr } = setup.run(&["-V", "rules.yaml", "-V", "bad.yaml"]);
    assert_eq!(status.code(), Some(1));
    assert!(stdout.contains("bad.yaml: Invalid\n1 Errors:\n"), "{stdout}");
    assert!(stderr.contains("bad.yaml:4:14"), "{stderr}");

    let finished = setup.run(&["-V", "bad.yaml", "-o", "json_output=true"]);
    assert_eq!(finished.status.code(), Some(1));
    let results: Value = serde_json::from_str(&finished.stdout).unwrap();
    let error = &results["falco_load_results"][0]["errors"][0];
    assert_eq!(error["code"], "LOAD_ERR_COMPILE_CONDITION");
    assert_eq!(error["context"]["locations"][0]["position"]["name"], "bad.yaml");
}

#[test]
fn rules_are_described() {
    let setup = Setup::new();
    assert!(run(&setup, &["-L"]).contains("ConfigMap seen"));
    let json = run(&setup, &["-l", "ConfigMap seen", "-o", "json_output=true"]);
    let description: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(description["rules"][0]["info"]["source"], "k8s_audit");
    let finished = setup.run(&["-l", "nope"]);
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("Rule \"nope\" is not loaded"), "{finished:?}");
}
