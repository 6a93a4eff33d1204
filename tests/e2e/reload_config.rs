//! A configuration that changes while the agent runs.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::{Agent, CONFIGMAP_RULE, Poster, Setup, configmap_event_by};
use crate::http;

/// Changes one place of the configuration.
#[track_caller]
fn edit(setup: &Setup, from: &str, to: &str) {
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    assert!(config.contains(from), "no {from} in {config}");
    setup.write("config.yaml", &config.replace(from, to));
}

/// Adds lines to the configuration.
fn append(setup: &Setup, lines: &str) {
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    setup.write("config.yaml", &format!("{config}{lines}\n"));
}

/// Posts an event; returns its alert.
#[track_caller]
fn alert(setup: &Setup, agent: &mut Agent, user: &str) -> String {
    assert_eq!(http::post(setup.webhook_port, &configmap_event_by(user)).status, 200);
    agent.wait_for_alert(&format!("user={user} "))
}

/// Ends the agent, and checks that it has opened its source only once.
#[track_caller]
fn check_source_stayed_open(agent: Agent) {
    let finished = agent.stop();
    assert_eq!(finished.stderr.matches("Opening 'k8s_audit'").count(), 1, "{finished:?}");
}

#[test]
fn settings_of_rules_and_alerts_take_effect() {
    let setup = Setup::new();
    let second = CONFIGMAP_RULE.replace("rule: ConfigMap seen", "rule: Second");
    setup.write("rules.yaml", &format!("{CONFIGMAP_RULE}{second}"));
    setup.write("more.yaml", &CONFIGMAP_RULE.replace("ConfigMap seen", "From more"));
    let mut agent = setup.start(&[]);
    let text = alert(&setup, &mut agent, "ann");
    assert!(
        text.contains("+0000: Warning ConfigMap seen") && text.ends_with("\\n\\\"})"),
        "{text}"
    );

    append(
        &setup,
        "json_output: true\nstatic_fields: {cluster: blue}\nappend_output: [{extra_output: in %static.cluster}]",
    );
    agent.wait_for_log("Rules reloaded");
    let json = alert(&setup, &mut agent, "bob");
    assert!(json.starts_with(r#"{"hostname":"test-host","output":""#), "{json}");
    assert!(json.contains(r#" in blue","output_fields":"#), "{json}");
    assert!(json.contains(r#""static.cluster":"blue""#), "{json}");

    append(&setup, "rule_matching: all\nrules: [{disable: {rule: ConfigMap seen}}]");
    edit(&setup, "rules_files: [rules.yaml]", "rules_files: [rules.yaml, more.yaml]");
    agent.wait_for_log("Rules reloaded");
    let first = alert(&setup, &mut agent, "eve");
    assert!(first.contains(r#""rule":"Second""#), "{first}");
    let second = agent.wait_for_alert("user=eve ");
    assert!(second.contains(r#""rule":"From more""#), "{second}");

    append(&setup, "priority: error");
    agent.wait_for_log("Rules reloaded");
    assert_eq!(http::post(setup.webhook_port, &configmap_event_by("joe")).status, 200);
    let finished = agent.stop();
    assert!(!finished.stdout.contains("user=joe"), "{finished:?}");
}

#[test]
fn outputs_are_replaced() {
    let setup = Setup::new();
    let mut agent = setup.start(&[]);
    alert(&setup, &mut agent, "ann");
    edit(
        &setup,
        "stdout_output: {enabled: true}",
        "file_output: {enabled: true, filename: alerts.txt, keep_alive: true}",
    );
    agent.wait_for_log("Rules reloaded");
    assert_eq!(http::post(setup.webhook_port, &configmap_event_by("bob")).status, 200);
    // The answer comes after the alert is written.
    let written = fs::read_to_string(setup.path("alerts.txt")).unwrap();
    assert!(written.contains("user=bob") && !written.contains("user=ann"), "{written}");
    check_source_stayed_open(agent);
}

#[test]
fn included_files_are_noticed_when_they_appear_change_and_go() {
    let setup = Setup::new();
    append(&setup, "config_files: [conf.d]");
    let mut agent = setup.start(&[]);
    alert(&setup, &mut agent, "ann");
    fs::create_dir(setup.path("conf.d")).unwrap();
    setup.write("conf.d/a.yaml", "append_output: [{extra_output: first}]\n");
    agent.wait_for_log("Rules reloaded");
    assert!(alert(&setup, &mut agent, "bob").ends_with("first"));
    setup.write("conf.d/a.yaml", "append_output: [{extra_output: second}]\n");
    agent.wait_for_log("Rules reloaded");
    assert!(alert(&setup, &mut agent, "eve").ends_with("second"));
    fs::remove_file(setup.path("conf.d/a.yaml")).unwrap();
    agent.wait_for_log("Rules reloaded");
    assert!(!alert(&setup, &mut agent, "joe").ends_with("second"));
    check_source_stayed_open(agent);
}

#[test]
fn a_broken_configuration_changes_nothing() {
    let setup = Setup::new();
    append(&setup, "metrics: {enabled: true}");
    edit(
        &setup,
        "webserver: {enabled: true",
        "webserver: {enabled: true, prometheus_metrics_enabled: true",
    );
    let mut agent = setup.start(&[]);
    alert(&setup, &mut agent, "ann");
    let before = fs::read_to_string(setup.path("config.yaml")).unwrap();
    for (user, broken, expected) in [
        ("bob", "json_output: maybe", "json_output"),
        ("eve", "config_files: [broken.yaml]", "broken.yaml:1:"),
        ("joe", "append_output: [{extra_output: \"%no.such.field\"}]", "no.such.field"),
        ("sue", "rules_files: [nope.yaml]\nrule: [", "config.yaml:"),
    ] {
        setup.write("broken.yaml", "priority: nonsense\n");
        setup.write("config.yaml", &format!("{before}{broken}\n"));
        agent.wait_for_log("not reloaded, the old");
        agent.wait_for_alert(expected);
        let alert = alert(&setup, &mut agent, user);
        assert!(alert.contains("Warning ConfigMap seen"), "{alert}");
        setup.write("config.yaml", &before);
        agent.wait_for_log("Rules reloaded");
    }
    let metrics = http::get(setup.webserver_port, "/metrics").body;
    for line in
        ["falcosecurity_falco_reload_failures_total 4", "falcosecurity_falco_reloads_total 4"]
    {
        assert!(metrics.lines().any(|l| l == line), "no {line} in {metrics}");
    }
    fs::remove_file(setup.path("config.yaml")).unwrap();
    agent.wait_for_log("Configuration not reloaded");
    check_source_stayed_open(agent);
}

#[test]
fn a_mended_file_is_noticed_though_only_the_broken_configuration_names_it() {
    let setup = Setup::new();
    setup.write("conf.yaml", "priority: nonsense\n");
    setup.write("more.yaml", "- rule: [\n");
    let mut agent = setup.start(&[]);
    // Only now it has read its configuration.
    alert(&setup, &mut agent, "eve");
    append(&setup, "config_files: [conf.yaml]");
    agent.wait_for_log("Configuration not reloaded");
    setup.write("conf.yaml", "rules_files: [more.yaml]\n");
    agent.wait_for_log("Rules not reloaded");
    setup.write("more.yaml", &CONFIGMAP_RULE.replace("ConfigMap seen", "From more"));
    agent.wait_for_log("Rules reloaded");
    alert(&setup, &mut agent, "ann");
    check_source_stayed_open(agent);
}

#[test]
fn the_webserver_moves_only_if_it_has_to() {
    let setup = Setup::new();
    let mut agent = setup.start(&[]);
    alert(&setup, &mut agent, "ann");
    let port = setup.webserver_port;
    append(&setup, "priority: warning");
    agent.wait_for_log("Rules reloaded");

    edit(
        &setup,
        "webserver: {enabled: true",
        "webserver: {enabled: true, k8s_healthz_endpoint: /livez",
    );
    agent.wait_for_log("Rules reloaded");
    assert_eq!(http::get_until(port, "/livez", 200).status, 200);
    assert_eq!(http::get_until(port, "/healthz", 404).status, 404);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = taken.local_addr().unwrap().port();
    edit(&setup, &format!("listen_port: {port}"), &format!("listen_port: {other}"));
    agent.wait_for_log("Configuration not reloaded");
    assert_eq!(http::get(port, "/livez").status, 200);
    drop(taken);
    agent.signal("HUP");
    agent.wait_for_log("Rules reloaded");
    assert_eq!(http::get(other, "/livez").status, 200);
    // The old port is free again.
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpListener::bind(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "{port} is still taken");
        std::thread::yield_now();
    }
    let finished = agent.stop();
    assert_eq!(finished.stderr.matches("Starting health webserver").count(), 3, "{finished:?}");
}

#[test]
fn what_needs_a_restart_is_said_and_all_else_applied() {
    let setup = Setup::new();
    let mut agent = setup.start(&["-o", "watch_config_files=false"]);
    alert(&setup, &mut agent, "ann");
    append(&setup, "append_output: [{extra_output: changed}]");
    edit(&setup, "load_plugins: [k8saudit, json]", "load_plugins: [k8saudit]");
    agent.signal("HUP");
    agent.wait_for_log("A change of 'plugins' needs a restart, all else is in force");
    agent.wait_for_log("Rules reloaded");
    assert!(alert(&setup, &mut agent, "bob").ends_with("changed"));
    check_source_stayed_open(agent);
}

#[test]
fn the_log_changes_its_form_and_level_without_a_restart() {
    let setup = Setup::new();
    let mut agent = setup.start(&["-o", "watch_config_files=false"]);
    alert(&setup, &mut agent, "ann");
    append(&setup, "log_format: json\nlog_level: debug");
    agent.signal("HUP");
    let line = agent.wait_for_log("Rules reloaded");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["msg"], "Rules reloaded");
    assert_eq!((&line["level"], &line["source"]), (&"info".into(), &"shikra".into()));
    agent.signal("HUP");
    agent.wait_for_log(r#""level":"debug""#);
    check_source_stayed_open(agent);
}

/// C82
#[test]
fn two_hundred_reloads_under_load_lose_nothing_and_leak_nothing() {
    const RELOADS: usize = 200;
    let setup = Setup::new();
    append(&setup, "file_output: {enabled: true, filename: alerts.txt, keep_alive: true}");
    let mut agent = setup.start(&["-o", "watch_config_files=false"]);
    alert(&setup, &mut agent, "ann");
    // Each one changes rules, outputs, webserver and the form of alerts.
    let reload = |agent: &mut Agent, number: usize| {
        let name = format!("Version {number}");
        setup.write("rules.yaml", &CONFIGMAP_RULE.replace("ConfigMap seen", &name));
        let (from, to) = [("true", "false"), ("false", "true")][number % 2];
        edit(&setup, &format!("keep_alive: {from}"), &format!("keep_alive: {to}"));
        let paths = ["healthz", "livez"];
        let webserver = "webserver: {enabled: true";
        let path = |number: usize| format!(", k8s_healthz_endpoint: /{}", paths[number % 2]);
        let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
        let config = config.replace(&path(number + 1), "");
        let config = config.replace(webserver, &format!("{webserver}{}", path(number)));
        setup.write("config.yaml", &config);
        agent.signal("HUP");
        agent.wait_for_log("Rules reloaded");
        assert_eq!(http::get(setup.webserver_port, "/versions").status, 200);
    };
    for number in 0..4 {
        reload(&mut agent, number);
    }
    // Opens the file of alerts.
    alert(&setup, &mut agent, "bob");
    let open_files = agent.open_files();

    let poster = Poster::start(setup.webhook_port);
    for number in 4..RELOADS {
        reload(&mut agent, number);
    }
    let posted = poster.stop();

    // Connections and replaced workers end a moment later.
    let deadline = Instant::now() + Duration::from_secs(30);
    while agent.open_files() > open_files {
        assert!(Instant::now() < deadline, "{} > {open_files}", agent.open_files());
        std::thread::yield_now();
    }
    let finished = agent.stop();
    assert_eq!(finished.stderr.matches("Opening 'k8s_audit'").count(), 1);
    let written = fs::read_to_string(setup.path("alerts.txt")).unwrap();
    for output in [finished.stdout, written] {
        let alerts: Vec<_> = output.lines().filter(|l| l.contains("(user=user-")).collect();
        assert_eq!(alerts.len(), posted);
        for (number, alert) in alerts.iter().enumerate() {
            assert!(alert.contains(&format!("(user=user-{number} ")), "{number}: {alert}");
        }
    }
}

const LINE_RULE: &str = "
- rule: Line seen
  desc: A line is written.
  condition: filetail.line exists
  output: Line seen (line=%filetail.line)
  priority: INFO
  source: filetail
";

#[test]
fn only_a_source_whose_own_plugin_settings_change_is_opened_anew() {
    let setup = Setup::new();
    edit(&setup, "load_plugins: [k8saudit, json]", "load_plugins: [k8saudit, filetail, json]");
    setup.write("rules.yaml", &format!("{CONFIGMAP_RULE}{LINE_RULE}"));
    setup.write("old.log", "one\n");
    setup.write("new.txt", "two\n");
    let mut agent = setup.start(&[]);
    agent.wait_for_alert("Line seen (line=one)");
    let poster = Poster::start(setup.webhook_port);
    edit(&setup, "*.log", "*.txt");
    agent.wait_for_log("Opened event source 'filetail' again");
    agent.wait_for_alert("Line seen (line=two)");
    setup.write("old.log", "one\nthree\n");
    setup.write("new.txt", "two\nfour\n");
    agent.wait_for_alert("Line seen (line=four)");

    // A plugin that only extracts gets a new state, and no source notices.
    append(&setup, "append_output: [{extra_output: x}]");
    edit(
        &setup,
        "library_path: libjson.so",
        "library_path: libjson.so\n    init_config: {useAsync: false}",
    );
    agent.wait_for_log("Rules reloaded");

    // The port that the test holds cannot be listened on.
    let posted = poster.stop();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().port();
    let old = setup.webhook_port;
    edit(&setup, &format!(":{old}/k8s-audit"), &format!(":{taken}/k8s-audit"));
    agent.wait_for_log("'k8s_audit' cannot be opened with its new settings, the old ones stay");
    agent.wait_for_log("Opened event source 'k8s_audit' again");
    assert_eq!(http::post(old, &configmap_event_by("late")).status, 200);
    agent.wait_for_alert("user=late");

    let finished = agent.stop();
    assert!(!finished.stdout.contains("line=three"), "{finished:?}");
    assert_eq!(finished.stdout.matches("(user=user-").count(), posted);
    assert_eq!(finished.stderr.matches("Opened event source 'k8s_audit' again").count(), 1);
}

#[test]
fn plugin_settings_that_are_refused_change_nothing() {
    let setup = Setup::new();
    let mut agent = setup.start(&[]);
    alert(&setup, &mut agent, "ann");
    edit(
        &setup,
        "library_path: libk8saudit.so",
        "library_path: libk8saudit.so\n    init_config: {maxEventSize: many}",
    );
    let log = agent.wait_for_log("Configuration not reloaded, the old one stays in force");
    assert!(log.contains("maxEventSize"), "{log}");
    alert(&setup, &mut agent, "bob");
    check_source_stayed_open(agent);
}
