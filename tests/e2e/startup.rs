//! What keeps an agent from starting, and what it says then.

use std::net::TcpListener;

use crate::agent::{CONFIGMAP_RULE, Setup};

/// Runs an agent that cannot start, and checks that its error contains all of `expected`.
#[track_caller]
fn check(setup: &Setup, arguments: &[&str], expected: &[&str]) {
    let finished = setup.run(arguments);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let error = finished.stderr.find("Error: ").map(|at| &finished.stderr[at..]);
    let error = error.unwrap_or_else(|| panic!("no error in {finished:?}"));
    for text in expected {
        assert!(error.contains(text), "no {text:?} in {error}");
    }
}

/// C70, C77
#[test]
fn plugins_must_be_known_and_there() {
    let setup = Setup::new();
    let unknown = "Cannot load plugin 'nope': plugin config not found for given name";
    check(&setup, &["-o", "load_plugins[0]=nope"], &[unknown]);
    check(
        &setup,
        &["-o", "plugins[0].library_path=libnope.so"],
        &["library libnope.so of plugin 'k8saudit'", "/usr/share/falco/plugins/libnope.so"],
    );
    check(
        &setup,
        &["-o", "plugins[0].library_path=/etc/passwd"],
        &["cannot load plugin /etc/passwd"],
    );
    check(
        &setup,
        &["-o", "plugins[0].name=audit", "-o", "load_plugins[0]=audit"],
        &["'audit'", "'k8saudit'"],
    );
    check(
        &setup,
        &["-o", r#"plugins[0].init_config={"maxEventSize": "x"}"#, "--dry-run"],
        &["k8saudit", "maxEventSize"],
    );
}

/// C01, C72, C73
#[test]
fn rules_must_be_right() {
    let setup = Setup::new();
    setup.write("rules.yaml", &CONFIGMAP_RULE.replace("ka.verb in", "kverb in"));
    check(&setup, &[], &["rules.yaml:4:20", "kverb"]);
    setup.write("empty.yaml", "");
    check(&setup, &["-c", "empty.yaml"], &["You must specify at least one rules file"]);
    check(
        &setup,
        &["-o", "rules_file=rules.yaml"],
        &["both 'rules_files' and 'rules_file' keys set"],
    );
    check(&setup, &["-r", "nope.yaml"], &["Could not open file nope.yaml for reading"]);
    check(
        &setup,
        &["-o", "rules_files=nope.yaml"],
        &[
            "You must specify at least one rules file/directory via -r or a rules_file entry in falco.yaml",
        ],
    );
    setup.write("needs.yaml", "- required_plugin_versions: [{name: okta, version: 0.1.0}]\n");
    check(
        &setup,
        &["-r", "needs.yaml"],
        &["Plugin requirement not satisfied, must load one of: okta (>= 0.1.0)"],
    );
}

/// C26, C43, C44, C64
#[test]
fn settings_must_make_sense() {
    let setup = Setup::new();
    check(&setup, &["-o", "stdout_output.enabled=false"], &["No output configured"]);
    check(&setup, &["-o", "stdout_output.enabled=false", "--dry-run"], &["No output configured"]);
    check(&setup, &["-o", "rule_matching=wrong"], &["Unknown rule matching strategy"]);
    check(
        &setup,
        &["--enable-source", "k8s_audit", "--disable-source", "syscall"],
        &["You can not mix --enable-source and --disable-source"],
    );
    check(
        &setup,
        &["--disable-source", "syscall", "--disable-source", "k8s_audit"],
        &["Must enable at least one event source"],
    );
    check(
        &setup,
        &["--enable-source", "nope"],
        &["Attempted enabling an unknown event source: nope"],
    );
    let port = format!("webserver.listen_port={}", setup.webhook_port);
    check(&setup, &["-o", &port], &["webserver.listen_port", "open_params"]);
}

/// C62
#[test]
fn a_busy_port_is_named() {
    let setup = Setup::new();
    let taken = TcpListener::bind(("127.0.0.1", setup.webserver_port)).unwrap();
    check(
        &setup,
        &[],
        &["an error occurred while starting webserver", &setup.webserver_port.to_string()],
    );
    drop(taken);
    let _taken = TcpListener::bind(("127.0.0.1", setup.webhook_port)).unwrap();
    check(&setup, &[], &["cannot open event source 'k8s_audit'", &setup.webhook_port.to_string()]);
}

#[test]
fn a_run_may_be_limited_in_time() {
    let finished = Setup::new().run(&["-M", "0"]);
    assert!(finished.status.success(), "{finished:?}");
    assert!(finished.stdout.starts_with("Events detected: 0\n"), "{finished:?}");
}

/// C75
#[test]
fn rules_for_system_calls_are_passed_over() {
    let setup = Setup::new();
    let rule = "{rule: Shell, desc: d, condition: proc.name = sh, output: x, priority: INFO}";
    setup.write("syscalls.yaml", &format!("- {rule}\n"));
    let finished = setup.run(&["-r", "syscalls.yaml", "-M", "0"]);
    assert!(finished.status.success(), "{finished:?}");
    assert!(finished.stderr.contains("1 rule of source 'syscall' skipped"), "{finished:?}");
}

/// C31, C32, C50
#[test]
fn configurations_made_for_drivers_start() {
    let setup = Setup::new();
    let arguments = ["--disable-source", "syscall", "-M", "0", "-o"];
    let finished = setup.run(&[arguments.as_slice(), &["engine.kind=modern_ebpf"]].concat());
    assert!(finished.status.success(), "{finished:?}");
    let notices = finished.stderr.matches("Ignoring 'engine' settings").count();
    assert_eq!(notices, 1, "{finished:?}");
    assert!(finished.stderr.contains("Opening 'k8s_audit' source with plugin 'k8saudit'"));
    let start: String = finished.stderr.chars().take("0000-00-00T00:00:00+0000: ".len()).collect();
    let shape = start.replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(shape, "0000-00-00T00:00:00+0000: ", "{finished:?}");
}

#[test]
fn without_plugins_there_is_only_syscall_which_idles() {
    let setup = Setup::new();
    setup.write("rules.yaml", "[]");
    let finished = setup.run(&["-o", "load_plugins=[]", "-M", "0"]);
    assert!(finished.status.success(), "{finished:?}");
    assert!(finished.stderr.contains("'syscall' will be opened with no driver"), "{finished:?}");
}
