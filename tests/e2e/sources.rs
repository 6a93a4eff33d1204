//! Several event sources in one run.

use serde_json::Value;

use crate::agent::{CONFIGMAP_RULE, Setup, configmap_event};
use crate::http;

const LINE_RULE: &str = "
- rule: Line seen
  desc: A line is written.
  condition: filetail.line contains minikube
  output: Line seen (level=%jevt.value[/level])
  priority: INFO
  source: filetail
";

const ALL_THREE: [&str; 4] =
    ["-o", "load_plugins=[k8saudit, filetail, json]", "-o", "json_output=true"];

#[test]
fn rules_see_events_of_their_own_source_only() {
    let setup = Setup::new();
    setup.write("rules.yaml", &format!("{CONFIGMAP_RULE}{LINE_RULE}"));
    setup.write("app.log", "{\"user\": \"minikube-user\", \"level\": \"debug\"}\n");
    let mut agent = setup.start(&ALL_THREE);
    let alert = agent.wait_for_alert("Line seen");
    let alert: Value = serde_json::from_str(&alert).unwrap();
    assert_eq!(
        (&alert["source"], &alert["priority"]),
        (&"filetail".into(), &"Informational".into())
    );
    assert_eq!(alert["output_fields"]["jevt.value[/level]"], "debug");

    http::post(setup.webhook_port, &configmap_event());
    let alert: Value = serde_json::from_str(&agent.wait_for_alert("ConfigMap seen")).unwrap();
    assert_eq!(alert["source"], "k8s_audit");
    let finished = agent.stop();
    assert!(finished.stdout.contains("Events detected: 2"), "{finished:?}");
}

#[test]
fn each_source_tells_its_rate_at_the_end_if_asked() {
    let setup = Setup::new();
    setup.write("app.log", "one\n");
    let mut agent = setup.start(&[
        "-v",
        "-o",
        "load_plugins=[k8saudit, filetail, json]",
        "-o",
        "log_level=error",
    ]);
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    agent.wait_for_alert("ConfigMap seen");
    let log = agent.stop().stderr;
    let rates: Vec<_> = log.lines().filter(|line| line.contains(" eps")).collect();
    let [audit, lines] = rates[..] else { panic!("{log}") };
    assert!(audit.starts_with("(k8s_audit) Elapsed time: "), "{audit}");
    assert!(audit.contains(", Captured Events: 1, ") && audit.ends_with(" eps"), "{audit}");
    assert!(lines.starts_with("(filetail) Elapsed time: "), "{lines}");
}

/// C78
#[test]
fn the_end_of_one_source_leaves_the_others() {
    let setup = Setup::new();
    setup.write("rules.yaml", &format!("{CONFIGMAP_RULE}{LINE_RULE}"));
    setup.write("audit.jsonl", &configmap_event());
    let mut arguments = ALL_THREE.to_vec();
    arguments.extend(["-o", "plugins[0].open_params=audit.jsonl", "-o", "log_level=debug"]);
    let mut agent = setup.start(&arguments);
    agent.wait_for_log("Stopping capture for event source 'k8s_audit'");
    setup.write("app.log", "minikube\n");
    agent.wait_for_alert("Line seen");
    agent.stop();
}

#[test]
fn only_enabled_sources_are_opened() {
    let setup = Setup::new();
    let mut arguments = ALL_THREE.to_vec();
    arguments.extend(["--enable-source", "filetail", "-M", "0"]);
    let finished = setup.run(&arguments);
    assert!(finished.status.success(), "{finished:?}");
    assert!(
        finished.stderr.contains("Loaded event sources: syscall, k8s_audit, filetail"),
        "{finished:?}"
    );
    assert!(
        finished.stderr.contains("Opening 'filetail' source with plugin 'filetail'"),
        "{finished:?}"
    );
    assert!(!finished.stderr.contains("Opening 'k8s_audit'"), "{finished:?}");
}

const COUNTING_RULE: &str = "
- rule: Counted
  desc: Any event.
  condition: evt.num > 0
  output: Counted (number=%evt.num)
  priority: INFO
  source: misbehaving
";

/// The option that adds a plugin which gives two events and then fails.
fn failing(on_failure: &str) -> String {
    format!(
        r#"plugins[]={{"name": "misbehaving", "library_path": "libmisbehaving_plugin.so",
           "open_params": "2,failure"{on_failure}}}"#
    )
}

fn setup_with_failing_source() -> Setup {
    let setup = Setup::new();
    setup.write("rules.yaml", &format!("{CONFIGMAP_RULE}{COUNTING_RULE}"));
    setup
}

const WITH_WEBHOOK: [&str; 2] = ["-o", "load_plugins=[k8saudit, json, misbehaving]"];

/// C79, and better: stock ends
#[test]
fn a_failing_source_is_opened_again_while_the_others_run_on() {
    let setup = setup_with_failing_source();
    let failing = failing("");
    let metrics = ["-o", "metrics.enabled=true", "-o", "webserver.prometheus_metrics_enabled=true"];
    let mut agent = setup.start(&[&WITH_WEBHOOK[..], &["-o", &failing], &metrics].concat());
    agent.wait_for_alert("Counted (number=2)");
    let log = agent.wait_for_log("An error occurred in an event source");
    assert!(log.contains("'misbehaving' is opened again in 0.1 s: "), "{log}");
    assert!(log.contains("told to give up"), "{log}");
    agent.wait_for_log("Opened event source 'misbehaving' again");
    // Numbers go on: extractors of the source may know events by them.
    agent.wait_for_alert("Counted (number=4)");
    agent.wait_for_log("'misbehaving' is opened again in 0.2 s: ");
    agent.wait_for_alert("Counted (number=6)");
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    agent.wait_for_alert("ConfigMap seen");
    // Alive, but not well.
    assert_eq!(http::get(setup.webserver_port, "/healthz").status, 200);
    let readiness = http::get_until(setup.webserver_port, "/readyz", 503);
    assert!(readiness.body.contains(r#""misbehaving":"reopening""#), "{readiness:?}");
    let metrics = http::get(setup.webserver_port, "/metrics").body;
    for name in ["failures", "reopenings"] {
        let of = |source: &str| {
            let name = format!("falcosecurity_falco_source_{name}_total{{source=\"{source}\"}} ");
            let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
            value.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse::<u32>().unwrap()
        };
        assert!(of("misbehaving") >= 2 && of("k8s_audit") == 0, "{metrics}");
    }
    agent.stop();
}

/// C79, and better: stock ends
#[test]
fn a_failing_source_may_stay_closed() {
    let setup = setup_with_failing_source();
    let failing = failing(r#", "on_failure": "stop""#);
    let mut agent = setup.start(&[&WITH_WEBHOOK[..], &["-o", &failing]].concat());
    agent.wait_for_log("An error occurred in an event source: event source 'misbehaving' failed");
    http::post(setup.webhook_port, &configmap_event());
    agent.wait_for_alert("ConfigMap seen");
    let readiness = http::get_until(setup.webserver_port, "/readyz", 503);
    assert!(readiness.body.contains(r#""misbehaving":"failed""#), "{readiness:?}");
    let finished = agent.stop();
    assert!(finished.stdout.contains("Events detected: 3"), "{finished:?}");
}

/// C79
#[test]
fn a_failing_source_may_end_the_agent() {
    let setup = setup_with_failing_source();
    let failing = failing(r#", "on_failure": "exit""#);
    let finished = setup.run(&[&WITH_WEBHOOK[..], &["-o", &failing]].concat());
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let log = "An error occurred in an event source, forcing termination...";
    assert!(finished.stderr.contains(log), "{finished:?}");
    assert!(finished.stderr.contains("Error: event source 'misbehaving' failed"), "{finished:?}");
}

/// C79
#[test]
fn the_failure_of_the_last_source_ends_the_agent() {
    let setup = setup_with_failing_source();
    let finished = setup.run(&["-o", &failing(""), "-o", "load_plugins=[misbehaving]"]);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(finished.stderr.contains("Error: event source 'misbehaving' failed"), "{finished:?}");
    assert!(finished.stdout.contains("Events detected: 2"), "{finished:?}");

    // Not at once, but when the others have ended.
    setup.write("audit.jsonl", &configmap_event());
    let once = ["-o", "plugins[0].open_params=audit.jsonl", "-o", &failing("")];
    let finished = setup.run(&[&WITH_WEBHOOK[..], &once].concat());
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(finished.stdout.contains("ConfigMap seen"), "{finished:?}");
}

#[test]
fn a_lone_source_is_opened_again_if_it_is_to_be() {
    let setup = setup_with_failing_source();
    let failing = failing(r#", "on_failure": "reopen""#);
    let mut agent = setup.start(&["-o", &failing, "-o", "load_plugins=[misbehaving]"]);
    agent.wait_for_alert("Counted (number=4)");
    agent.stop();
}
