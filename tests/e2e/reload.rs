//! Rules that change while the agent runs.

use std::fs;
use std::os::unix::fs::symlink;

use crate::agent::{Agent, CONFIGMAP_RULE, Poster, Setup, configmap_event_by};
use crate::http;

fn rule(name: &str) -> String {
    CONFIGMAP_RULE.replace("ConfigMap seen", name)
}

/// Posts an event and checks what is said about it.
#[track_caller]
fn check(setup: &Setup, agent: &mut Agent, user: &str, rule: &str) {
    assert_eq!(http::post(setup.webhook_port, &configmap_event_by(user)).status, 200);
    let alert = agent.wait_for_alert(&format!("user={user}"));
    assert!(alert.contains(&format!("Warning {rule} ")), "{alert}");
}

#[test]
fn an_edited_file_is_noticed() {
    let setup = Setup::new();
    let mut agent = setup.start(&[]);
    check(&setup, &mut agent, "ann", "ConfigMap seen");
    setup.write("rules.yaml", &rule("Edited"));
    agent.wait_for_log("Rules reloaded");
    check(&setup, &mut agent, "bob", "Edited");
    let finished = agent.stop();
    assert_eq!(finished.stdout.matches("Events detected: 2").count(), 1, "{finished:?}");
    assert_eq!(finished.stderr.matches("Opening 'k8s_audit'").count(), 1, "{finished:?}");
}

#[test]
fn a_file_moved_over_another_is_noticed_each_time() {
    let setup = Setup::new();
    let mut agent = setup.start(&[]);
    check(&setup, &mut agent, "ann", "ConfigMap seen");
    for name in ["First", "Second"] {
        setup.write("new.tmp", &rule(name));
        fs::rename(setup.path("new.tmp"), setup.path("rules.yaml")).unwrap();
        agent.wait_for_log("Rules reloaded");
        check(&setup, &mut agent, name, name);
    }
}

#[test]
fn a_swapped_config_map_is_noticed() {
    let setup = Setup::new();
    for (version, name) in [("..v1", "First"), ("..v2", "Second")] {
        fs::create_dir_all(setup.path("mount").join(version)).unwrap();
        setup.write(&format!("mount/{version}/a.yaml"), &rule(name));
    }
    symlink("..v1", setup.path("mount/..data")).unwrap();
    symlink("..data/a.yaml", setup.path("mount/a.yaml")).unwrap();
    let mut agent = setup.start(&["-o", "rules_files=mount"]);
    check(&setup, &mut agent, "ann", "First");
    symlink("..v2", setup.path("mount/..data_tmp")).unwrap();
    fs::rename(setup.path("mount/..data_tmp"), setup.path("mount/..data")).unwrap();
    agent.wait_for_log("Rules reloaded");
    check(&setup, &mut agent, "bob", "Second");
}

#[test]
fn files_that_appear_later_are_noticed() {
    let setup = Setup::new();
    let mut agent = setup.start(&["-o", "rules_files=[rules.d/sub, rules.yaml]"]);
    check(&setup, &mut agent, "ann", "ConfigMap seen");
    fs::create_dir_all(setup.path("rules.d/sub")).unwrap();
    setup.write("rules.d/sub/a.yaml", &rule("Late"));
    agent.wait_for_log("Rules reloaded");
    check(&setup, &mut agent, "bob", "Late");
}

/// C55
#[test]
fn broken_rules_change_nothing() {
    let setup = Setup::new();
    let mut agent = setup.start(&[]);
    check(&setup, &mut agent, "ann", "ConfigMap seen");
    setup.write("rules.yaml", &rule("Broken").replace("ka.verb in", "ka.verbs in"));
    agent.wait_for_log("Rules not reloaded, the old ones stay in force");
    agent.wait_for_log("ka.verbs");
    agent.wait_for_alert("Critical Falco internal: hot restart failure");
    check(&setup, &mut agent, "bob", "ConfigMap seen");
    setup.write("rules.yaml", &rule("Mended"));
    agent.wait_for_log("Rules reloaded");
    check(&setup, &mut agent, "eve", "Mended");
}

#[test]
fn a_deleted_file_disarms_nothing() {
    let setup = Setup::new();
    let mut agent = setup.start(&[]);
    check(&setup, &mut agent, "ann", "ConfigMap seen");
    fs::remove_file(setup.path("rules.yaml")).unwrap();
    agent.wait_for_log("rules file rules.yaml was loaded and is gone");
    check(&setup, &mut agent, "bob", "ConfigMap seen");
}

/// C54
#[test]
fn a_signal_reloads_where_files_are_not_watched() {
    let setup = Setup::new();
    let mut agent = setup.start(&["-o", "watch_config_files=false"]);
    check(&setup, &mut agent, "ann", "ConfigMap seen");
    setup.write("rules.yaml", &rule("Edited"));
    agent.signal("HUP");
    agent.wait_for_log("SIGHUP received, restarting...");
    agent.wait_for_log("Rules reloaded");
    check(&setup, &mut agent, "bob", "Edited");
}

/// C53 for rules; `reload_config.rs` holds it for the rest of the configuration.
#[test]
fn no_event_is_lost_or_alerted_twice_over_reloads() {
    const RELOADS: usize = 5;
    let setup = Setup::new();
    let mut agent = setup.start(&[]);
    check(&setup, &mut agent, "ann", "ConfigMap seen");
    let poster = Poster::start(setup.webhook_port);
    for number in 0..RELOADS {
        setup.write("rules.yaml", &rule(&format!("Version {number}")));
        agent.wait_for_log("Rules reloaded");
    }
    let posted = poster.stop();
    let finished = agent.stop();
    let alerts: Vec<_> = finished.stdout.lines().filter(|l| l.contains("(user=user-")).collect();
    assert_eq!(alerts.len(), posted);
    for (number, alert) in alerts.iter().enumerate() {
        assert!(alert.contains(&format!("(user=user-{number} ")), "{number}: {alert}");
    }
}
