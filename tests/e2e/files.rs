//! Audit events from files.

use std::fs::OpenOptions;
use std::io::Write;

use crate::agent::{Setup, configmap_event, configmap_event_by};

/// C52
#[test]
fn a_file_is_read_once_and_then_the_agent_ends() {
    let setup = Setup::new();
    setup.write(
        "audit.jsonl",
        &format!("{}\n{}\n", configmap_event_by("ann"), configmap_event_by("bob")),
    );
    let finished = setup.run(&["-o", "plugins[0].open_params=audit.jsonl"]);
    assert!(finished.status.success(), "{finished:?}");
    let alerts: Vec<_> = finished.stdout.lines().filter(|l| l.contains("Warning")).collect();
    assert_eq!(alerts.len(), 2, "{finished:?}");
    assert!(alerts[0].contains("user=ann") && alerts[1].contains("user=bob"), "{alerts:?}");
}

#[test]
fn a_followed_file_gives_alerts_as_it_grows() {
    let setup = Setup::new();
    let path = setup.path("audit.log");
    setup.write("audit.log", "");
    let open_params = format!("plugins[0].open_params=file://{}", path.display());
    let mut agent =
        setup.start(&["-o", &open_params, "-o", r#"plugins[0].init_config={"startAt": "begin"}"#]);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    writeln!(file, "{}", configmap_event()).unwrap();
    agent.wait_for_alert("user=minikube-user");
    let wrapped = format!(r#"{{"kind": "EventList", "items": [{}]}}"#, configmap_event_by("ann"));
    writeln!(file, "{wrapped}").unwrap();
    agent.wait_for_alert("user=ann");
    agent.stop();
}

#[test]
fn a_missing_file_is_an_error() {
    let finished = Setup::new().run(&["-o", "plugins[0].open_params=nope.jsonl"]);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(finished.stderr.contains("nope.jsonl"), "{finished:?}");
}
