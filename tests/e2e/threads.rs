//! Several threads evaluate the events of one source.

use std::fmt::Write;
use std::fs;

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
