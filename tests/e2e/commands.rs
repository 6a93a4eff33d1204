//! What is printed instead of running.

use std::path::Path;

use serde_json::Value;

use crate::agent::{CONFIGMAP_RULE, Finished, Setup};

/// Runs a command that succeeds.
#[track_caller]
pub(crate) fn run(setup: &Setup, arguments: &[&str]) -> String {
    let finished = setup.run(arguments);
    assert!(finished.status.success(), "{finished:?}");
    finished.stdout
}

/// C33, C34
#[test]
fn versions_are_shown_as_text_and_json() {
    let setup = Setup::new();
    let text = run(&setup, &["--version"]);
    // Scripts match the labels, their order, and that versions are versions.
    let mut lines = text.lines();
    for label in [
        "Falco version: ",
        "Libs version:  ",
        "Plugin API:    3.12.0",
        "Engine:        0.63.0",
        "Driver:",
        "  API version:    ",
        "  Schema version: ",
        "  Default driver: ",
        "Shikra version: ",
    ] {
        let version = lines.next().and_then(|line| line.strip_prefix(label)).unwrap_or("no line");
        assert!(version.split(['.', '+']).take(3).all(is_number), "{label:?} in {text}");
    }
    assert_eq!(lines.next(), None);
    let json = run(&setup, &["--version", "-o", "json_output=true"]);
    let versions: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(versions["engine_version"], "63");
    assert_eq!(versions["engine_version_semver"], "0.63.0");
    for key in [
        "default_driver_version",
        "driver_api_version",
        "driver_schema_version",
        "falco_version",
        "libs_version",
        "plugin_api_version",
    ] {
        assert!(versions[key].is_string(), "{key} in {json}");
    }
}

/// C35, C36
#[test]
fn plugins_are_shown() {
    let setup = Setup::new();
    let text = run(&setup, &["--list-plugins"]);
    assert!(text.starts_with("2 Plugins Loaded:\n\nName: k8saudit\n"), "{text}");
    assert!(text.contains("  - Event Sourcing (ID=1, source='k8s_audit')\n  - Field Extraction\n"));
    let text = run(&setup, &["--list-plugins", "-o", "load_plugins=[json]"]);
    assert!(text.starts_with("1 Plugins Loaded:\n\nName: json\n"), "{text}");
    let text = run(&setup, &["--plugin-info", "k8saudit"]);
    assert!(text.contains("\nInit config schema type: JSON\n{"), "{text}");
    assert!(text.contains("\nSuggested open params:\nhttp://:9765/k8s-audit: "), "{text}");
    let (_, hash) = text.rsplit_once("\nSHA-256: ").unwrap();
    assert!(hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{hash}");
}

#[test]
fn a_plugin_is_opened_only_with_the_hash_that_is_configured() {
    let setup = Setup::new();
    let text = run(&setup, &["--plugin-info", "json"]);
    let (_, hash) = text.rsplit_once("SHA-256: ").unwrap();
    let check =
        |hash: &str| setup.run(&["--list-plugins", "-o", &format!("plugins[1].sha256={hash}")]);
    assert!(check(hash).status.success());

    let wrong = "0".repeat(64);
    let Finished { status, stderr, .. } = check(&wrong);
    assert_eq!(status.code(), Some(1));
    let reason = format!("its SHA-256 hash is {hash}, but the configuration wants {wrong}");
    assert!(stderr.contains("libjson.so: ") && stderr.contains(&reason), "{stderr}");

    let Finished { status, stderr, .. } = check("");
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("plugins[1].sha256: expected a SHA-256 hash"), "{stderr}");
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

/// C41, C42
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

    let arguments = ["-V", "rules.yaml", "-V", "bad.yaml", "-o", "json_output=true"];
    let finished = setup.run(&arguments);
    assert_eq!(finished.status.code(), Some(1));
    let results: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(results["falco_load_results"][0]["successful"], true);
    let error = &results["falco_load_results"][1]["errors"][0];
    assert_eq!(error["code"], "LOAD_ERR_COMPILE_CONDITION");
    assert_eq!(error["context"]["locations"][0]["position"]["name"], "bad.yaml");

    setup.write("other.yaml", &CONFIGMAP_RULE.replace("k8s_audit", "aws_cloudtrail"));
    let json = run(&setup, &["-V", "other.yaml", "-o", "json_output=true"]);
    let results: Value = serde_json::from_str(&json).unwrap();
    let warning = &results["falco_load_results"][0]["warnings"][0];
    assert_eq!(warning["code"], "LOAD_UNKNOWN_SOURCE");
    assert_eq!(warning["message"], "Unknown source aws_cloudtrail, skipping");
    assert_eq!(warning["context"]["locations"][1]["item_type"], "rule");
}

/// Our own rules; case 143 of the rules language asks it of Falco's, which are not ours to copy.
#[test]
fn shipped_rules_load_without_a_warning() {
    let setup = Setup::new();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    let path = |name: &str| rules.join(name).display().to_string();
    let (audit, extra) = (path("k8s_audit_rules.yaml"), path("k8s_audit_extra_rules.yaml"));
    let filetail = path("filetail_rules.yaml");
    for files in [vec![audit.as_str()], vec![&audit, &extra], vec![&filetail]] {
        let mut arguments = vec!["-o", "load_plugins=[k8saudit, filetail, json]"];
        arguments.extend(["-o", "json_output=true"]);
        files.iter().for_each(|file| arguments.extend(["-V", file]));
        let json = run(&setup, &arguments);
        let results: Value = serde_json::from_str(&json).unwrap();
        for result in results["falco_load_results"].as_array().unwrap() {
            let flags = (&result["successful"], &result["schema_valid"]);
            assert_eq!(flags, (&true.into(), &true.into()));
            assert_eq!(result["warnings"], Value::Array(Vec::new()), "{files:?}");
        }
    }
}

/// C37 to C39
#[test]
fn rules_are_described() {
    let setup = Setup::new();
    for arguments in [["-L"].as_slice(), &["-l", "ConfigMap seen"]] {
        let text = run(&setup, arguments);
        assert!(text.starts_with("Rule   ") && text.contains("\nConfigMap seen   "), "{text}");
    }
    setup.write("old.yaml", &format!("- required_engine_version: 11\n{CONFIGMAP_RULE}"));
    let json = run(&setup, &["-r", "old.yaml", "-L", "-o", "json_output=true"]);
    let description: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(description["required_engine_version"], "0.11.0");
    assert_eq!(description["rules"][0]["info"]["name"], "ConfigMap seen");
    setup.write("bad.yaml", "- just text\n");
    assert_eq!(setup.run(&["-r", "bad.yaml", "-L"]).status.code(), Some(1));
    let json = run(&setup, &["-l", "ConfigMap seen", "-o", "json_output=true"]);
    let description: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(description["rules"][0]["info"]["source"], "k8s_audit");
    let finished = setup.run(&["-l", "nope"]);
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("Rule \"nope\" is not loaded"), "{finished:?}");
}

#[test]
fn a_configuration_is_checked_with_all_that_it_names() {
    let setup = Setup::new();
    assert_eq!(run(&setup, &["config", "check"]), "config.yaml: Ok");
    let typo = run(&setup, &["config", "check", "-o", "webserver.listen_prt=1"]);
    let warning = "Warning: -o:1:1: unknown key `webserver.listen_prt` is ignored; did you mean";
    assert!(typo.starts_with(warning), "{typo}");

    let rule = CONFIGMAP_RULE.replace("ka.verb in", "kverb in");
    setup.write("bad.yaml", &rule);
    setup.write("worse.yaml", &rule.replace("ConfigMap seen", "Another"));
    let wrong = [
        ["-o", r#"plugins[0].init_config={"maxEventSize": "x"}"#],
        ["-o", "rules_files=[bad.yaml, worse.yaml]"],
        ["-o", "webserver={enabled: true, ssl_enabled: true, ssl_certificate: /nowhere.pem}"],
        ["-o", "stdout_output.enabled=false"],
        ["--disable-source", "nope"],
    ];
    for command in [["config", "check"].as_slice(), &["--dry-run"]] {
        let finished = setup.run(&[wrong.as_flattened(), command].concat());
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        let error = &finished.stderr[finished.stderr.find("Error: ").unwrap()..];
        for text in [
            "maxEventSize",
            "unknown event source: nope",
            "bad.yaml:4:20",
            "worse.yaml:4:20",
            "/nowhere.pem",
            "No output configured",
        ] {
            assert!(error.contains(text), "no {text:?} in {error}");
        }
    }
}

#[test]
fn schemas_and_events_are_shown_without_a_configuration() {
    let setup = Setup::new();
    // The last line has no end, as in stock.
    let config: Value = serde_json::from_str(&run(&setup, &["--config-schema"])).unwrap();
    assert!(config["properties"]["http_output"]["properties"]["url"].is_object(), "{config}");
    let rules: Value = serde_json::from_str(&run(&setup, &["--rule-schema"])).unwrap();
    assert!(rules["items"]["properties"]["condition"].is_object(), "{rules}");

    let text = run(&setup, &["--list-events"]);
    let start = "The events below are valid for Falco *Schema Version*: ";
    assert!(text.starts_with(start), "{text}");
    let events =
        "## Plugin events\n\n> pluginevent(UINT32 **plugin_id**, BYTEBUF **event_data**)\n";
    assert!(text.contains(events), "{text}");
    let json = run(&setup, &["--list-events", "--format", "json"]);
    let events: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(events["Metaevents"][0]["params"][1]["name"], "name");
    assert_eq!(events["Syscall events"], Value::Array(Vec::new()));
}

#[test]
fn support_shows_everything_but_secrets() {
    let setup = Setup::new();
    let secrets = [
        ["-o", "http_output.url=https://me:hunter2@example.com/x"],
        ["-o", r#"plugins[1].init_config={"apiToken": "hunter2", "size": 3}"#],
        ["-o", "static_fields.password=hunter2"],
    ];
    let line = run(&setup, &[secrets.as_flattened(), &["--support"]].concat());
    assert!(!line.contains("hunter2"), "{line}");
    let report: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(report["version"], report["engine_info"]["falco_version"]);
    assert!(report["engine_info"]["plugin_versions"]["k8saudit"].is_string(), "{report}");
    assert_eq!(report["rules_files"][0]["name"], "rules.yaml");
    assert_eq!(report["rules_files"][0]["variants"][0]["content"], CONFIGMAP_RULE);
    assert_eq!(report["system_info"]["sysname"], "Linux");
    assert!(report["cmdline"].as_str().unwrap().contains(" -c config.yaml "), "{report}");
    let config: Value = serde_json::from_str(report["config"].as_str().unwrap()).unwrap();
    assert_eq!(config["http_output"]["url"], "https://***@example.com/x");
    assert_eq!(config["plugins"][1]["init_config"]["apiToken"], "***");
    assert_eq!(config["plugins"][1]["init_config"]["size"], 3);
}

#[test]
fn every_plugin_that_cannot_be_loaded_is_named() {
    let setup = Setup::new();
    let paths = ["-o", "plugins[0].library_path=libx.so", "-o", "plugins[1].library_path=liby.so"];
    for command in [["config", "check"].as_slice(), &["--dry-run"], &[]] {
        let finished = setup.run(&[command, &paths].concat());
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        for text in
            ["libx.so of plugin 'k8saudit'", "falcoctl artifact install k8saudit", "liby.so"]
        {
            assert!(finished.stderr.contains(text), "no {text:?} in {finished:?}");
        }
    }
}

/// C02, C40
#[test]
fn help_needs_no_configuration_but_one_that_is_named_must_be_there() {
    let setup = Setup::new();
    let help = run(&setup, &["--help"]);
    assert!(help.contains("Usage: ") && help.contains("[OPTION...]"), "{help}");
    assert!(help.contains("--disable-source"), "{help}");
    let finished = setup.run(&["-c", "/nope.yaml", "--help"]);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let error = "Could not find configuration file at /nope.yaml";
    assert!(finished.stderr.contains(error), "{finished:?}");
}

/// Whether a part of a version is one, or nothing.
fn is_number(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit())
}
