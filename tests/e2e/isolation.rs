//! Plugins in child processes: what they do to themselves, and what the agent goes on doing.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::agent::{Agent, CONFIGMAP_RULE, Poster, Setup, configmap_event_by};
use crate::http;

const DEADLINE: Duration = Duration::from_secs(30);

const LINE_RULE: &str = "
- rule: Line seen
  desc: A line is written.
  condition: filetail.line exists
  output: Line seen (line=%filetail.line.)
  priority: INFO
  source: filetail
";

/// How often a child is killed. To be set for a long run by hand.
fn kills() -> usize {
    std::env::var("SHIKRA_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

fn isolate(setup: &Setup, library: &str) {
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let from = format!("library_path: {library}");
    assert!(config.contains(&from));
    setup.write("config.yaml", &config.replace(&from, &format!("{from}\n    isolation: process")));
}

/// Kills the one child and waits until there is another; says how long that took.
fn kill_child(agent: &Agent) -> Duration {
    let [child] = &agent.children()[..] else { panic!("{:?}", agent.children()) };
    assert!(Command::new("kill").args(["-9", child]).status().unwrap().success());
    let start = Instant::now();
    while agent.children().iter().all(|other| other == child) {
        assert!(start.elapsed() < DEADLINE, "no new child");
        std::thread::yield_now();
    }
    start.elapsed()
}

#[test]
#[expect(clippy::print_stdout, reason = "what a long run by hand is for")]
fn what_a_killed_webhook_has_acknowledged_is_alerted() {
    let setup = Setup::new();
    isolate(&setup, "libk8saudit.so");
    let agent = setup.start(&[]);
    let port = setup.webhook_port;
    assert_eq!(http::post(port, &configmap_event_by("first")).status, 200);

    // As kube-apiserver does: what is not acknowledged is sent again.
    let is_stopped = Arc::new(AtomicBool::new(false));
    let posted = Arc::new(AtomicUsize::new(0));
    let (stop, count) = (Arc::clone(&is_stopped), Arc::clone(&posted));
    let poster = std::thread::spawn(move || {
        let mut longest = Duration::ZERO;
        while !stop.load(Ordering::Relaxed) {
            let number = count.load(Ordering::Relaxed);
            let event = configmap_event_by(&format!("user-{number}"));
            let start = Instant::now();
            while http::try_post(port, &event) != Some(200) {
                assert!(start.elapsed() < DEADLINE, "the webhook does not come back");
                std::thread::yield_now();
            }
            longest = longest.max(start.elapsed());
            count.fetch_add(1, Ordering::Relaxed);
        }
        longest
    });
    for _ in 0..kills() {
        kill_child(&agent);
        // Alerts again.
        let (before, deadline) = (posted.load(Ordering::Relaxed), Instant::now() + DEADLINE);
        while posted.load(Ordering::Relaxed) < before + 3 {
            assert!(Instant::now() < deadline, "no further event");
            std::thread::yield_now();
        }
    }
    is_stopped.store(true, Ordering::Relaxed);
    let longest = poster.join().unwrap();
    let posted = posted.load(Ordering::Relaxed);
    let finished = agent.stop();
    for number in 0..posted {
        let alert = format!("(user=user-{number} ");
        assert!(finished.stdout.contains(&alert), "{alert} of {posted}: {finished:?}");
    }
    assert!(finished.stderr.contains("signal: 9 (SIGKILL)"), "{finished:?}");
    assert_eq!(finished.stderr.matches("Opened event source 'k8s_audit' again").count(), kills());
    println!("{posted} events, the longest gap {longest:?}");
}

#[test]
fn a_killed_plugin_takes_nothing_from_other_sources() {
    let setup = Setup::new();
    isolate(&setup, "libfiletail.so");
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let state = format!("stateFile: {}", setup.path("state").display());
    let config = config.replace("startAt: begin", &format!("startAt: begin, {state}"));
    setup.write("config.yaml", &config);
    setup.write("rules.yaml", &format!("{CONFIGMAP_RULE}{LINE_RULE}"));
    let mut agent = setup.start(&["-o", "load_plugins=[k8saudit, filetail, json]"]);
    let mut lines = String::new();
    let poster = Poster::start(setup.webhook_port);
    for number in 0..kills() {
        lines += &format!("line-{number}\n");
        setup.write("app.log", &lines);
        agent.wait_for_alert(&format!("line=line-{number}."));
        kill_child(&agent);
        agent.wait_for_log("Opened event source 'filetail' again");
    }
    let posted = poster.stop();
    let finished = agent.stop();
    assert_eq!(finished.stdout.matches("(user=user-").count(), posted);
}

const WORST_RULE: &str = "
- rule: Worst
  desc: Any event.
  condition: evt.num > 0
  output: Worst (value=%bad.fatal[WORD])
  priority: INFO
  source: misbehaving
";

/// Runs the misbehaving plugin in a child, beside the webhook, until the log has `expected`; then the webhook must work and the
/// agent end in good order.
#[track_caller]
fn check_misbehaviour(open_params: &str, in_extraction: &str, expected: &str) {
    let setup = Setup::new();
    let rule = WORST_RULE.replace("WORD", in_extraction);
    setup.write("rules.yaml", &format!("{CONFIGMAP_RULE}{rule}"));
    let plugin = format!(
        r#"plugins[]={{"name": "misbehaving", "library_path": "libmisbehaving_plugin.so",
           "open_params": "{open_params}", "isolation": "process"}}"#
    );
    let load = "load_plugins=[k8saudit, json, misbehaving]";
    let mut agent = setup.start(&["-o", &plugin, "-o", load]);
    agent.wait_for_log(expected);
    assert_eq!(http::post(setup.webhook_port, &configmap_event_by("ann")).status, 200);
    agent.wait_for_alert("user=ann ");
    let finished = agent.stop();
    assert!(!finished.stdout.contains("not an alert"), "{finished:?}");
}

#[test]
fn a_plugin_that_crashes_in_its_own_process_is_started_again() {
    const CRASHED: &str = "plugin misbehaving crashed: its process has ended: ";
    for (word, status) in [
        ("abort", "signal: 6"),
        ("exit", "exit status: 0"),
        ("panic", "signal: 6"),
        ("segfault", "signal: 11"),
        ("overflow-stack", "signal: "),
        ("corrupt-heap", "signal: 6"),
        ("wild-event", "signal: 11"),
        ("long-event", "signal: 11"),
    ] {
        check_misbehaviour(&format!("1,{word}"), "nothing", &format!("{CRASHED}{status}"));
    }
    check_misbehaviour("1", "abort", &format!("{CRASHED}signal: 6"));
    check_misbehaviour("on-close-abort,failure", "nothing", "told to give up");
    // What lies behind the batch may be a pointer, or nothing that looks like one.
    check_misbehaviour("endless-batch+1", "nothing", "An error occurred in an event source");
}

#[test]
fn a_plugin_that_hangs_in_its_own_process_stops_nobody() {
    let opened = "Opening 'misbehaving'";
    check_misbehaviour("hang", "nothing", opened);
    check_misbehaviour("spin", "nothing", opened);
    check_misbehaviour("on-close-hang,failure", "nothing", "told to give up");
    let crashed =
        "plugin misbehaving crashed: its process was ended, since it gave no answer in 10 s";
    check_misbehaviour("1", "hang", crashed);
}

#[test]
fn a_plugin_in_its_own_process_gets_at_nothing_of_the_agent() {
    let again = "Opened event source 'misbehaving' again";
    check_misbehaviour("close-files,1", "nothing", again);
    check_misbehaviour("print,read-input,failure", "nothing", again);
    check_misbehaviour("flood-log,failure", "nothing", again);
}

#[test]
fn what_a_plugin_does_wrong_is_counted_here_and_there() {
    for isolation in ["none", "process"] {
        let setup = Setup::new();
        let plugin = format!(
            r#"plugins[]={{"name": "misbehaving", "library_path": "libmisbehaving_plugin.so", "on_failure": "stop",
               "open_params": "success+0,success+0,failure", "isolation": "{isolation}"}}"#
        );
        let agent = setup.start(&[
            "-o",
            &plugin,
            "-o",
            "load_plugins=[k8saudit, json, misbehaving]",
            "-o",
            "metrics.enabled=true",
            "-o",
            "webserver.prometheus_metrics_enabled=true",
        ]);
        http::get_until(setup.webserver_port, "/readyz", 503);
        let count = r#"falcosecurity_falco_plugin_protocol_errors_total{plugin="misbehaving",source="misbehaving"} 2"#;
        let deadline = Instant::now() + DEADLINE;
        loop {
            let metrics = http::get(setup.webserver_port, "/metrics").body;
            if metrics.lines().any(|line| line == count) {
                break;
            }
            assert!(Instant::now() < deadline, "{isolation}: {metrics}");
            std::thread::yield_now();
        }
        let finished = agent.stop();
        let log = "misbehaving: protocol error, counted from now on: next_batch succeeded without an event";
        assert_eq!(finished.stderr.matches(log).count(), 1, "{finished:?}");
    }
}

#[test]
fn only_what_can_be_isolated_is() {
    let setup = Setup::new();
    isolate(&setup, "libjson.so");
    let finished = setup.run(&[]);
    let error =
        "plugin 'json' cannot run in a process of its own: it has no event source of its own";
    assert!(finished.stderr.contains(error), "{finished:?}");

    let missing =
        r#"plugins[]={"name": "x", "library_path": "/nowhere/x.so", "isolation": "process"}"#;
    let finished = setup.run(&["-o", missing, "-o", "load_plugins=[x]"]);
    assert!(finished.stderr.contains("/nowhere/x.so"), "{finished:?}");
}

#[test]
fn plugins_tell_about_themselves_from_their_own_process_too() {
    let setup = Setup::new();
    let shown = |arguments: &[&str]| {
        let finished = setup.run(arguments);
        assert!(finished.status.success(), "{finished:?}");
        finished.stdout
    };
    let all: [&[&str]; 4] = [
        &["--list-plugins"],
        &["--list=k8s_audit"],
        &["--plugin-info", "k8saudit"],
        &["-o", "plugins[0].open_params=audit.jsonl"],
    ];
    let event = configmap_event_by("ann");
    setup.write("audit.jsonl", &format!("{event}\n{}\n", configmap_event_by("bob")));
    let here = all.map(shown);
    isolate(&setup, "libk8saudit.so");
    assert_eq!(all.map(shown), here);
    assert!(here[3].contains("user=bob"), "{here:?}");
}

#[test]
fn a_plugin_that_hangs_in_the_agent_stops_its_own_source_only() {
    let setup = Setup::new();
    let plugin = r#"plugins[]={"name": "misbehaving", "library_path": "libmisbehaving_plugin.so", "open_params": "hang"}"#;
    let load = "load_plugins=[k8saudit, json, misbehaving]";
    let mut agent = setup.start(&["-o", plugin, "-o", load]);
    agent.wait_for_log("Opening 'misbehaving'");
    assert_eq!(http::post(setup.webhook_port, &configmap_event_by("ann")).status, 200);
    agent.wait_for_alert("user=ann ");
    let finished = agent.stop();
    let log = "event source 'misbehaving' does not return, leaving it behind";
    assert!(finished.stderr.contains(log), "{finished:?}");
}
