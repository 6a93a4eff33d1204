//! Several threads evaluate the events of one source.

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use crate::agent::{Agent, CONFIGMAP_RULE, Setup, configmap_event, configmap_event_by};
use crate::http;

const EVENTS: usize = 2_000;

/// Rules for a user each, which every seventh event has, one for every fifth event, and one that looks at long texts.
fn rules() -> String {
    let rule = |name: &str, condition: &str| {
        format!(
            "- {{rule: {name}, desc: d, condition: '{condition}', output: '%evt.num %ka.user.name %jevt.value[/auditID]', \
             priority: WARNING, source: k8s_audit}}\n"
        )
    };
    let mut text = String::new();
    for user in (0..EVENTS).step_by(7) {
        text += &rule(&format!("user {user}"), &format!("ka.user.name = user-{user}"));
    }
    text += &rule("fifth", "ka.user.name endswith 5 or ka.user.name endswith 0");
    text += &rule("long", "ka.uri contains xxxx and jevt.obj contains deadbeef");
    text
}

/// One event a line, of very different lengths, so that threads are done with their shares at different times.
fn events() -> String {
    let event = configmap_event();
    let mut text = String::new();
    for number in 0..EVENTS {
        let path = if number % 64 < 8 { "x".repeat(5_000) + "deadbeef" } else { "api".into() };
        let line = event
            .replace("minikube-user", &format!("user-{number}"))
            .replace("33fa264e-1124-4252-af9e-2ce6e45fe07d", &format!("id-{number}"))
            .replacen("/api/v1/namespaces", &format!("/{path}/v1/namespaces"), 1);
        writeln!(text, "{line}").unwrap();
    }
    text
}

fn alerts(setup: &Setup, matching: &str, threads: &str) -> String {
    let finished = setup.run(&[
        "-o",
        "plugins[0].open_params=audit.jsonl",
        "-o",
        &format!("rule_matching={matching}"),
        "-o",
        &format!("evaluation_threads={threads}"),
    ]);
    assert!(finished.status.success(), "{}", finished.stderr);
    finished.stdout
}

#[test]
fn alerts_and_counts_do_not_depend_on_the_number_of_threads() {
    let setup = Setup::new();
    setup.write("rules.yaml", &rules());
    setup.write("audit.jsonl", &events());
    for (matching, least) in [("first", 700), ("all", 900)] {
        let one = alerts(&setup, matching, "1");
        let detected = one.lines().find_map(|line| line.strip_prefix("Events detected: "));
        assert!(detected.unwrap().parse::<usize>().unwrap() >= least, "{detected:?}");
        for threads in ["2", "5", "0"] {
            // The closing counts are among the lines.
            assert!(alerts(&setup, matching, threads) == one, "{threads} threads, {matching}");
        }
    }
}

/// Posts 400 events as one batch, and waits for their alerts in this order: what comes too early is missed.
fn post_batch(setup: &Setup, agent: &mut Agent, name: &str) {
    let user = |number: usize| format!("{name}-{number}.");
    let items: Vec<_> = (0..400).map(|number| configmap_event_by(&user(number))).collect();
    let items = items.join(",");
    let list =
        format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{items}]}}"#);
    assert_eq!(http::post(setup.webhook_port, &list).status, 200);
    for number in 0..400 {
        agent.wait_for_alert(&format!("user={} ", user(number)));
    }
}

#[test]
fn a_batch_stays_in_order_after_a_reload_that_gives_plugins_new_states() {
    let setup = Setup::new();
    let is_finished = " and jevt.value[/stage] = ResponseComplete\n  output:";
    setup.write("rules.yaml", &CONFIGMAP_RULE.replace("\n  output:", is_finished));
    let mut agent = setup.start(&["-o", "evaluation_threads=3"]);
    post_batch(&setup, &mut agent, "before");
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let library = "library_path: libjson.so";
    let changed =
        config.replace(library, &format!("{library}\n    init_config: {{useAsync: false}}"));
    setup.write("config.yaml", &changed);
    agent.wait_for_log("Rules reloaded");
    post_batch(&setup, &mut agent, "after");
    agent.stop();
}

const MISBEHAVING_RULE: &str = "
- rule: Counted
  desc: Any event.
  condition: evt.num > 0
  output: Counted %evt.num value=%bad.payload. %bad.two_values
  priority: INFO
  source: misbehaving
";

const EVENTS_OF_MISBEHAVING: usize = 4_000;

/// The plugin `misbehaving`, which gives one large batch and then nothing.
fn setup_misbehaving(mode: &str) -> Setup {
    let setup = Setup::new();
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let config = config.replace("load_plugins: [k8saudit, json]", "load_plugins: [misbehaving]");
    let plugin = format!(
        "plugins:
  - name: misbehaving
    library_path: libmisbehaving_plugin.so
    init_config: {{mode: {mode}}}
    open_params: {EVENTS_OF_MISBEHAVING},idle
"
    );
    let threads = "evaluation_threads: 4\n";
    setup.write("config.yaml", &(config.replace("plugins:\n", &plugin) + threads));
    setup.write("rules.yaml", MISBEHAVING_RULE);
    setup
}

/// In the mode `async-events-only` no field of these events has a value.
#[test]
fn all_threads_go_back_to_the_old_settings_and_get_the_new_ones_when_these_work() {
    let setup = setup_misbehaving("usual");
    let mut agent = setup.start(&[]);
    let all = EVENTS_OF_MISBEHAVING;
    agent.wait_for_alert(&format!("Counted {all} value={all}."));
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let config = config.replace("mode: usual", "mode: async-events-only");
    setup.write("config.yaml", &config.replace(&format!("{all},idle"), "fail"));
    agent.wait_for_log("cannot be opened with its new settings, the old ones stay in force");
    agent.wait_for_alert(&format!("Counted {} value={all}.", 2 * all));
    setup.write("config.yaml", &config);
    agent.wait_for_alert(&format!("Counted {} value=<NA>.", 3 * all));
    let finished = agent.stop();
    assert_eq!(finished.stdout.matches("value=<NA>.").count(), all, "{}", finished.stderr);
    assert_eq!(finished.stdout.matches("value=").count(), 3 * all);
}

#[test]
fn what_the_states_of_all_threads_tell_and_do_wrong_is_added_up() {
    let setup = setup_misbehaving("metrics");
    let agent = setup.start(&[
        "-o",
        "metrics.enabled=true",
        "-o",
        "webserver.prometheus_metrics_enabled=true",
    ]);
    let expected = [
        // One for each event, whichever thread asked.
        format!(
            "falcosecurity_falco_plugin_protocol_errors_total{{plugin=\"misbehaving\",source=\"misbehaving\"}} {EVENTS_OF_MISBEHAVING}"
        ),
        "falcosecurity_plugins_misbehaving_u32_total{source=\"misbehaving\"} 4".to_owned(),
        "falcosecurity_plugins_misbehaving_int_total{source=\"misbehaving\"} 12".to_owned(),
        "falcosecurity_plugins_misbehaving_double_total{source=\"misbehaving\"} 2.0".to_owned(),
    ];
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let metrics = http::get(setup.webserver_port, "/metrics").body;
        let has = |line: &String| metrics.lines().any(|other| other == line);
        if expected.iter().all(has) {
            break;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        std::thread::yield_now();
    }
    agent.stop();
}
