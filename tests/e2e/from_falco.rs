//! An operator swaps Falco for this agent: its configuration starts as it is, and Falcosidekick takes the alerts.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::agent::{Agent, CONFIGMAP_RULE, Setup, configmap_event};
use crate::http;
use crate::receiver::{Mode, Receiver};

/// Falco's settings in a directory of their own, with what the Helm chart mounts there: rules, and more settings.
fn setup(init_config: &str) -> Setup {
    let setup = Setup::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/falco-settings.yaml");
    let settings = fs::read_to_string(path)
        .unwrap()
        .replace("DIR", &setup.path("").display().to_string())
        .replace("INIT_CONFIG", init_config)
        .replace("WEBHOOK_PORT", &setup.webhook_port.to_string())
        .replace("WEBSERVER_PORT", &setup.webserver_port.to_string());
    setup.write("config.yaml", &settings);
    fs::create_dir(setup.path("config.d")).unwrap();
    fs::create_dir(setup.path("rules.d")).unwrap();
    setup.write("config.d/time.yaml", "time_format_iso_8601: true\n");
    setup
}

/// The folder of the plugins is the one thing that differs from an installation.
fn start(setup: &Setup, arguments: &[&str]) -> Agent {
    let plugins = std::env::current_exe().unwrap();
    let plugins = format!("plugins_dir={}", plugins.parent().unwrap().display());
    setup.start(&[&["-o", &plugins], arguments].concat())
}

#[test]
fn settings_as_falco_distributes_them_start_and_what_has_no_effect_is_said() {
    // A rule for system calls stands beside those for audit events.
    let syscalls = "{rule: Shell, desc: d, condition: proc.name = sh, output: x, priority: INFO}";
    let setup = setup("{sslCertificate: /etc/falco/falco.pem}");
    setup.write("rules.yaml", &format!("{CONFIGMAP_RULE}\n- {syscalls}\n"));
    let mut agent = start(&setup, &[]);
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    agent.wait_for_alert("Warning ConfigMap seen (user=minikube-user ");
    assert_eq!(http::get(setup.webserver_port, "/healthz").body, r#"{"status": "ok"}"#);
    assert_eq!(http::get(setup.webserver_port, "/metrics").status, 404);

    let finished = agent.stop();
    assert!(finished.status.success(), "{finished:?}");
    for text in [
        "Ignoring 'engine' settings",
        "Ignoring 'capture' settings",
        "Ignoring 'base_syscalls' settings",
        "Ignoring 'falco_libs' settings",
        "Ignoring 'syscall_event_drops' settings",
        "Ignoring 'syscall_event_timeouts' settings",
        "config.yaml | schema validation: ok",
        "time.yaml | schema validation: ok",
        "1 rule of source 'syscall' skipped",
        "Loaded event sources: syscall, k8s_audit",
    ] {
        assert_eq!(finished.stderr.matches(text).count(), 1, "{text:?} in {}", finished.stderr);
    }
    assert!(!finished.stderr.contains("unknown key"), "{finished:?}");
}

/// C32. The chart leaves `engine` out, and disables the source of system calls by an argument.
#[test]
fn settings_as_the_helm_chart_renders_them_for_audit_events_start() {
    let setup = setup("\"\"");
    let settings = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let engine = settings.find("engine:").unwrap()..settings.find("capture:").unwrap();
    let chart = settings.replace(&settings[engine], "").replace(", with_size: false", "");
    setup.write("config.yaml", &chart);
    setup.write("rules.d/custom.yaml", &CONFIGMAP_RULE.replace("ConfigMap seen", "Custom"));
    let mut agent = start(&setup, &["--disable-source", "syscall"]);
    assert_eq!(http::get_until(setup.webserver_port, "/readyz", 200).status, 200);
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    agent.wait_for_alert("ConfigMap seen");
    let finished = agent.stop();
    assert!(finished.stderr.contains("Enabled event sources: k8s_audit"), "{finished:?}");
    assert!(!finished.stderr.contains("no driver, no event"), "{finished:?}");
}

/// What Falcosidekick asks of a payload; it answers 400 to others.
///
/// Source: `handlers.go` of falcosecurity/falcosidekick.
#[track_caller]
fn check_falcosidekick_takes(alert: &str) {
    let payload: Value = serde_json::from_str(alert).unwrap();
    let priority = payload["priority"].as_str().unwrap().to_lowercase();
    let priorities =
        ["emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"];
    assert!(priorities.contains(&priority.as_str()), "{alert}");
    assert!(payload["rule"].as_str().is_some_and(|rule| !rule.is_empty()), "{alert}");
    let time: jiff::Timestamp = payload["time"].as_str().unwrap().parse().unwrap();
    assert!(time > jiff::Timestamp::UNIX_EPOCH, "{alert}");
    let fields = payload["output_fields"].as_object().unwrap();
    assert!(!fields.is_empty(), "{alert}");
    for name in ["k8s.ns.name", "k8s.pod.name"] {
        assert!(fields.get(name).is_none_or(Value::is_string), "{alert}");
    }
}

/// C81
#[test]
fn falcosidekick_takes_every_kind_of_alert() {
    let (setup, receiver) = (Setup::new(), Receiver::start(Mode::Status(200)));
    let _agent = setup.start(&[
        "-o",
        &receiver.option(),
        "-o",
        "json_output=true",
        "-o",
        "metrics={enabled: true, output_rule: true}",
    ]);
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    setup.write("rules.yaml", "- just text\n");
    receiver.wait_for("\"ConfigMap seen\"");
    receiver.wait_for("Falco internal: metrics snapshot");
    receiver.wait_for("Falco internal: hot restart failure");
    receiver.received().iter().for_each(|alert| check_falcosidekick_takes(alert));
}
