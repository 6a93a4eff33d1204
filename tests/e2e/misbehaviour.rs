//! What the plugin `misbehaving` does to an agent that runs it, in the agent's process and in one of its own, switch by switch.
//!
//! The table in `docs/plugins.md` tells the same.

use std::thread;
use std::time::{Duration, Instant};

use crate::agent::{CONFIGMAP_RULE, Setup, configmap_event_by};
use crate::http;

const DEADLINE: Duration = Duration::from_secs(30);

/// Agents that run at the same time.
const AT_ONCE: usize = 8;

/// The switches that are on, and what comes of them. The other source must not suffer, and the agent end in good order.
#[derive(Debug, Clone, Copy)]
struct Case {
    mode: &'static str,
    steps: &'static str,
    /// What the rule's output shows of each event.
    field: &'static str,
    /// A part of a line in the log; empty if nothing is to be said.
    log: &'static str,
    /// A part of an alert; empty if there need not be one.
    alert: &'static str,
    counted: Counted,
    runs: Runs,
}

/// The counter in `/metrics` that tells of it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Counted {
    Nowhere,
    Protocol,
    Failures,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Runs {
    /// In the agent's process and in one of its own, to the same effect.
    Anywhere,
    /// It can end or spoil the agent, or goes otherwise there.
    Isolated,
    /// It goes otherwise in a process of its own.
    Inside,
}

const SANE: Case = Case {
    mode: "none",
    steps: "1,idle",
    field: "bad.number",
    log: "",
    alert: "Seen (value=1)",
    counted: Counted::Nowhere,
    runs: Runs::Anywhere,
};

const LOAD: &str = "load_plugins=[k8saudit, json, misbehaving]";

/// The option that adds the plugin.
fn plugin(mode: &str, steps: &str, isolation: &str) -> String {
    format!(
        r#"plugins[]={{"name": "misbehaving", "library_path": "libmisbehaving_plugin.so",
           "init_config": {{"mode": "{mode}"}}, "open_params": "{steps}", "isolation": "{isolation}"}}"#
    )
}

impl Case {
    fn run(self, isolation: &str) {
        let Self { mode, steps, field, log, alert, .. } = self;
        let setup = Setup::new();
        let rule = format!(
            "
- rule: Seen
  desc: Any event.
  condition: evt.num > 0
  output: Seen (value=%{field})
  priority: INFO
  source: misbehaving
"
        );
        setup.write("rules.yaml", &format!("{CONFIGMAP_RULE}{rule}"));
        let plugin = plugin(mode, steps, isolation);
        let mut agent = setup.start(&[
            "-o",
            &plugin,
            "-o",
            LOAD,
            "-o",
            "metrics.enabled=true",
            "-o",
            "webserver.prometheus_metrics_enabled=true",
        ]);
        let post = |user: &str| {
            assert_eq!(http::post(setup.webhook_port, &configmap_event_by(user)).status, 200);
        };
        agent.wait_for_log("Opening 'misbehaving'");
        post("before");
        if !log.is_empty() {
            agent.wait_for_log(log);
        }
        if !alert.is_empty() {
            agent.wait_for_alert(alert);
        }
        if let Some(counter) = self.counted.counter() {
            wait_for_count(setup.webserver_port, counter);
        }
        post("after");
        let finished = agent.stop();
        let is_among_alerts = finished.stdout.contains("not an alert");
        assert_eq!(is_among_alerts, steps.contains("print") && isolation == "none", "{finished:?}");
        for user in ["before", "after"] {
            let alerts = finished.stdout.matches(&format!("(user={user} ")).count();
            assert_eq!(alerts, 1, "{user}: {finished:?}");
        }
    }
}

impl Counted {
    /// How its line begins.
    fn counter(self) -> Option<&'static str> {
        match self {
            Self::Nowhere => None,
            Self::Protocol => Some(
                r#"falcosecurity_falco_plugin_protocol_errors_total{plugin="misbehaving",source="misbehaving"} "#,
            ),
            Self::Failures => {
                Some(r#"falcosecurity_falco_source_failures_total{source="misbehaving"} "#)
            }
        }
    }
}

#[track_caller]
fn wait_for_count(port: u16, counter: &str) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let metrics = http::get(port, "/metrics").body;
        let count = metrics.lines().find_map(|line| line.strip_prefix(counter));
        if count.is_some_and(|count| count != "0") {
            break;
        }
        assert!(Instant::now() < deadline, "no {counter}: {metrics}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Runs each case in all ways that it is for. A panic names it.
fn check(cases: &[Case]) {
    let runs = cases.iter().flat_map(|&case| {
        [("none", Runs::Isolated), ("process", Runs::Inside)]
            .into_iter()
            .filter(move |(_, not)| case.runs != *not)
            .map(move |(isolation, _)| (case, isolation))
    });
    for group in runs.collect::<Vec<_>>().chunks(AT_ONCE) {
        thread::scope(|scope| {
            for &(case, isolation) in group {
                thread::Builder::new()
                    .name(format!("{isolation}: {case:?}"))
                    .spawn_scoped(scope, move || case.run(isolation))
                    .unwrap();
            }
        });
    }
}

#[test]
fn batches_without_sense_are_time_outs_or_failures() {
    let waits = ["unwritten,1,idle", "timeout,timeout,timeout,1,idle"];
    let waits = waits.map(|steps| Case { steps, ..SANE });
    let empty = Case {
        steps: "success+0,1,idle",
        log: "protocol error, counted from now on: next_batch succeeded without an event",
        counted: Counted::Protocol,
        ..SANE
    };
    let failing = |steps, log| Case { steps, log, counted: Counted::Failures, ..SANE };
    let failures = [
        failing("1,unknown-code", "told to give up"),
        failing("1,not-supported", "told to give up"),
        failing("1,null-array+1", "no event where one was announced"),
        failing("null-event+1", "no event where one was announced"),
        failing("short-event+1", "length 20 is too short"),
        failing("1,wrong-id", "unexpected plugin ID in plugin event"),
        failing("1,wrong-type", "type 402 with 2 parameters is not a plugin event"),
        failing("1,long-payload", "do not add up to the length 39 of the event"),
    ];
    check(&[&waits[..], &[empty], &failures].concat());
}

#[test]
fn values_and_metrics_without_sense_are_left_out() {
    let unusable = |field, log| Case {
        field,
        log,
        alert: "Seen (value=<NA>)",
        counted: Counted::Protocol,
        ..SANE
    };
    let metrics = |mode, log| Case { mode, log, alert: "", counted: Counted::Protocol, ..SANE };
    check(&[
        unusable("bad.null_string", "counted from now on: field bad.null_string: "),
        unusable("bad.null_values", "counted from now on: field bad.null_values: "),
        unusable("bad.misaligned", "counted from now on: field bad.misaligned: "),
        unusable("bad.endless", "counted from now on: field bad.endless: "),
        unusable("bad.two_values", "counted from now on: field bad.two_values: "),
        unusable("bad.five_bytes", "counted from now on: field bad.five_bytes: "),
        metrics("metrics-at-null", "get_metrics promised 7 metrics at null"),
        metrics("metrics-without-sense", "get_metrics gave a metric without name or type"),
    ]);
}

#[test]
fn a_plugin_that_cannot_begin_keeps_the_agent_from_starting() {
    for isolation in ["none", "process"] {
        for (mode, steps, error) in [
            ("fail", "1", "could not initialize plugin misbehaving: told to fail"),
            ("fail-without-state", "1", "could not initialize plugin misbehaving"),
            ("leave-rc-unwritten", "1", "could not initialize plugin misbehaving"),
            ("none", "fail", "open of plugin misbehaving failed: told not to open"),
            ("none", "fail-with-instance", "open of plugin misbehaving failed: told not to open"),
        ] {
            let setup = Setup::new();
            let plugin = plugin(mode, steps, isolation);
            let finished = setup.run(&["-o", &plugin, "-o", LOAD]);
            assert_eq!(finished.status.code(), Some(1), "{isolation} {mode}: {finished:?}");
            assert!(finished.stderr.contains(error), "{isolation} {mode}: {finished:?}");
        }
    }
}

#[test]
fn a_plugin_that_prints_reads_or_floods_the_log_hinders_nobody() {
    let busy = |steps, log| Case { steps, log, counted: Counted::Failures, ..SANE };
    check(&[
        busy("1,print,read-input,failure", "told to give up"),
        busy("1,flood-log,failure", "misbehaving: line 19999"),
        Case { steps: "1,close-files,1", runs: Runs::Isolated, ..busy("", "again") },
    ]);
}

#[test]
fn a_plugin_that_hangs_stops_its_own_source_only() {
    let hanging = |steps| Case { steps, ..SANE };
    let answer = "crashed: its process was ended, since it gave no answer in 10 s";
    let extraction = Case { field: "bad.fatal[hang]", alert: "", ..SANE };
    check(&[
        hanging("1,hang"),
        hanging("1,spin"),
        Case { log: "misbehaving: close", ..hanging("on-close-hang,1,failure") },
        Case { runs: Runs::Inside, ..extraction },
        Case { runs: Runs::Isolated, log: answer, counted: Counted::Failures, ..extraction },
    ]);
}

/// What no check can prevent: the agent survives only what happens in another process.
#[test]
fn a_plugin_that_crashes_in_its_own_process_is_started_again() {
    let crash = |steps, log| Case {
        steps,
        log,
        alert: "",
        counted: Counted::Failures,
        runs: Runs::Isolated,
        ..SANE
    };
    check(&[
        crash("1,abort", "its process has ended: signal: 6"),
        crash("1,exit", "its process has ended: exit status: 0"),
        crash("1,panic", "its process has ended: signal: 6"),
        crash("1,segfault", "its process has ended: signal: 11"),
        crash("1,overflow-stack", "its process has ended: signal: "),
        crash("1,corrupt-heap", "its process has ended: signal: "),
        crash("1,wild-event", "its process has ended: signal: 11"),
        crash("1,long-event", "its process has ended: signal: 11"),
        // What lies behind the batch may be a pointer, or nothing that looks like one.
        crash("endless-batch+1", "An error occurred in an event source"),
        crash("on-close-abort,failure", "told to give up"),
        Case { field: "bad.fatal[abort]", ..crash("1", "its process has ended: signal: 6") },
    ]);
}
