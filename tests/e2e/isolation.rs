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
