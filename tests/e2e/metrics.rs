//! What the agent tells of itself in numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use crate::agent::{Setup, configmap_event, configmap_event_by};
use crate::http;

const ENABLED: &[&str] =
    &["-o", "metrics.enabled=true", "-o", "webserver.prometheus_metrics_enabled=true"];

/// The two text formats. Where they differ, OpenMetrics names a family without the ending of its samples.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Prometheus,
    OpenMetrics,
}

/// One line with a value.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Reads metrics as strictly as the formats are described; returns the samples and the type of each family.
#[track_caller]
fn parse(text: &str, format: Format) -> (Vec<Sample>, BTreeMap<String, String>) {
    let text = match format {
        Format::Prometheus => text.strip_suffix('\n').expect("a newline ends the last line"),
        Format::OpenMetrics => text.strip_suffix("\n# EOF\n").expect("an end marker"),
    };
    let (mut samples, mut types, mut helped) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    let mut series = BTreeSet::new();
    let mut family = String::new();
    for line in text.split('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            assert!(helped.insert(name.to_owned()), "described twice: {line}");
            assert!(!help.is_empty(), "{line}");
            family = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert_eq!(name, family, "the type follows the help: {line}");
            let kinds: &[&str] = match format {
                Format::Prometheus => &["counter", "gauge", "histogram", "summary", "untyped"],
                Format::OpenMetrics => &["counter", "gauge", "histogram", "info", "unknown"],
            };
            assert!(kinds.contains(&kind), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
        } else {
            let sample = parse_sample(line);
            let ending = match (format, types[&family].as_str()) {
                (Format::OpenMetrics, "counter") => "_total",
                (Format::OpenMetrics, "info") => "_info",
                _ => "",
            };
            let in_family = match types[&family].as_str() {
                "histogram" => ["_bucket", "_sum", "_count"]
                    .iter()
                    .any(|ending| sample.name == format!("{family}{ending}")),
                _ => sample.name == format!("{family}{ending}"),
            };
            assert!(in_family, "in another family: {line}");
            assert!(series.insert((sample.name.clone(), sample.labels.clone())), "twice: {line}");
            samples.push(sample);
        }
    }
    (samples, types)
}

#[track_caller]
fn parse_sample(line: &str) -> Sample {
    let is_name = |name: &str, others: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
    };
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name, "_:"), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").expect(line);
            assert!(is_name(label, "_"), "{line}");
            let (value, after) = parse_label_value(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "label twice: {line}");
            rest = after.strip_prefix(',').unwrap_or(after);
            assert!(after.starts_with(',') || after.starts_with('}'), "{line}");
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect(line);
    Sample { name: name.to_owned(), labels, value: value.parse().expect(line) }
}

/// Up to the closing quote, and what follows it.
#[track_caller]
fn parse_label_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next().expect("an escape has two characters").1 {
                'n' => value.push('\n'),
                c @ ('\\' | '"') => value.push(c),
                c => panic!("`\\{c}` is no escape: {text}"),
            },
            c => value.push(c),
        }
    }
    panic!("no closing quote: {text}")
}

/// The value of the only sample of this name with all of these labels.
#[track_caller]
fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |sample: &&Sample| {
        sample.name == name
            && labels
                .iter()
                .all(|(label, value)| sample.labels.get(*label).is_some_and(|v| v == value))
    };
    let found: Vec<_> = samples.iter().filter(fits).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}");
    found[0].value
}

#[test]
fn rules_are_shown_with_what_they_cost() {
    let setup = Setup::new();
    let mut agent = setup.start(&[ENABLED, &["-v", "-o", "evaluation_threads=2"]].concat());
    let url = format!("http://127.0.0.1:{}/metrics", setup.webserver_port);
    http::get_until(setup.webserver_port, "/readyz", 200);
    let early = setup.run(&["top", &url]);
    assert!(
        !early.status.success() && early.stderr.contains("has no numbers of rules yet"),
        "{early:?}"
    );
    // Enough for a sample of them.
    let events: Vec<_> = (0..300).map(|user| configmap_event_by(&format!("u{user}"))).collect();
    let list = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{}]}}"#,
        events.join(",")
    );
    assert_eq!(http::post(setup.webhook_port, &list).status, 200);
    agent.wait_for_alert("user=u299 ");

    let (samples, _) = parse(&http::get(setup.webserver_port, "/metrics").body, Format::Prometheus);
    let rule = [("rule_name", "ConfigMap seen"), ("source", "k8s_audit")];
    let of_rule =
        |name: &str| value(&samples, &format!("falcosecurity_falco_rules_{name}_total"), &rule);
    assert_eq!(of_rule("evaluations"), 300.0);
    assert!(of_rule("evaluation_seconds") > 0.0);
    let top = setup.run(&["top", &url, "-n", "1"]).stdout;
    let rest = "         300         300  ConfigMap seen (k8s_audit)";
    assert!(top.starts_with("TIME %") && top.contains("\n 100.0 ") && top.ends_with(rest), "{top}");
    let finished = agent.stop();
    assert!(finished.stderr.contains(rest), "{}", finished.stderr);
}

/// C56
#[test]
fn metrics_are_served_in_the_form_that_is_asked_for() {
    let setup = Setup::new();
    setup.write(
        "rules.yaml",
        &crate::agent::CONFIGMAP_RULE
            .replace("rule: ConfigMap", "rule: A \"quoted\\\\\" ConfigMap"),
    );
    let mut agent = setup.start(ENABLED);
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    agent.wait_for_alert("ConfigMap seen");
    let port = setup.webserver_port;

    let answer = http::get(port, "/metrics");
    let content_type = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(answer.head.to_lowercase().contains(content_type), "{}", answer.head);
    let (samples, types) = parse(&answer.body, Format::Prometheus);
    let counter = "falcosecurity_falco_events_total";
    assert_eq!(value(&samples, counter, &[("source", "k8s_audit")]), 1.0);
    assert_eq!(types[counter], "counter");

    let accept = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1";
    let answer = http::request(port, accept, "");
    let content_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(answer.head.to_lowercase().contains(content_type), "{}", answer.head);
    let (open_samples, types) = parse(&answer.body, Format::OpenMetrics);
    assert_eq!(value(&open_samples, counter, &[("source", "k8s_audit")]), 1.0);
    assert_eq!(types["falcosecurity_falco_events"], "counter");

    for samples in [samples, open_samples] {
        // The event of the documentation is years old.
        let lag = "falcosecurity_falco_alert_lag_seconds";
        let source = ("source", "k8s_audit");
        assert_eq!(value(&samples, &format!("{lag}_count"), &[source]), 1.0);
        assert!(value(&samples, &format!("{lag}_sum"), &[source]) > 1e8);
        assert_eq!(value(&samples, &format!("{lag}_bucket"), &[source, ("le", "+Inf")]), 1.0);
        let rule = [("rule_name", "A \"quoted\\\\\" ConfigMap seen"), ("tag_k8s", "true")];
        assert_eq!(value(&samples, "falcosecurity_falco_rules_matches_total", &rule), 1.0);
        for (name, labels) in [
            ("falcosecurity_falco_sha256_rules_files_info", ("file_name", "rules.yaml")),
            ("falcosecurity_falco_sha256_config_files_info", ("file_name", "config.yaml")),
            ("falcosecurity_scap_engine_name_info", ("evt_source", "k8s_audit")),
            ("falcosecurity_evt_hostname_info", ("hostname", "test-host")),
        ] {
            assert_eq!(value(&samples, name, &[labels]), 1.0);
        }
        value(&samples, "falcosecurity_falco_duration_seconds_total", &[]);
        assert_eq!(value(&samples, "falcosecurity_falco_outputs_queue_num_drops_total", &[]), 0.0);
        for name in [
            "start_timestamp_nanoseconds",
            "reload_timestamp_nanoseconds",
            "host_num_cpus_total",
            "kernel_release_info",
            "memory_rss_bytes",
            "memory_vsz_bytes",
            "open_fds",
        ] {
            assert!(value(&samples, &format!("falcosecurity_falco_{name}"), &[]) > 0.0, "{name}");
        }
        value(&samples, "falcosecurity_falco_cpu_usage_ratio", &[]);
    }
}

/// C59
#[test]
fn without_both_settings_there_are_no_metrics() {
    let setup = Setup::new();
    let _agent = setup.start(&ENABLED[2..]);
    assert_eq!(http::get(setup.webserver_port, "/metrics").status, 404);
}

#[test]
fn a_reload_shows_the_new_rules_hash() {
    let setup = Setup::new();
    let mut agent = setup.start(ENABLED);
    let hash = || {
        let text = http::get(setup.webserver_port, "/metrics").body;
        let (samples, _) = parse(&text, Format::Prometheus);
        let name = "falcosecurity_falco_sha256_rules_files_info";
        samples.into_iter().find(|sample| sample.name == name).unwrap().labels["sha256"].clone()
    };
    let before = hash();
    agent.wait_for_log("Opening 'k8s_audit'");
    assert_eq!(http::get_until(setup.webserver_port, "/readyz", 200).status, 200);
    let rules = fs::read_to_string(setup.path("rules.yaml")).unwrap();
    setup.write("rules.yaml", &(rules + "\n"));
    agent.wait_for_log("Rules reloaded");
    assert_ne!(before, hash());
}

/// C81
#[test]
fn snapshots_go_to_a_file_and_to_the_outputs() {
    let setup = Setup::new();
    let mut agent = setup.start(&[
        "-o",
        "metrics.enabled=true",
        "-o",
        "metrics.interval=100ms",
        "-o",
        "metrics.output_rule=true",
        "-o",
        "metrics.output_file=metrics.jsonl",
        "-o",
        "json_output=true",
        "-o",
        "priority=error",
        "--disable-source",
        "syscall",
    ]);
    agent.wait_for_log("Setting metrics interval to");
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    let alert = agent.wait_for_alert(r#""falco.num_evts":1,"falco.num_evts_prev":1"#);
    for text in [
        r#""output":"Falco metrics snapshot""#,
        r#""priority":"Informational","rule":"Falco internal: metrics snapshot","source":"internal""#,
        r#""evt.source":"k8s_audit""#,
        r#""evt.hostname":"test-host""#,
        r#""falco.evts_rate_sec":0.0"#,
        r#""falco.outputs_queue_num_drops":0"#,
        r#""falco.sha256_config_file.config":""#,
        r#""falco.sha256_rules_file.rules":""#,
        r#""falco.memory_rss_mb":"#,
        r#""scap.engine_name":"source_plugin""#,
    ] {
        assert!(alert.contains(text), "no {text} in {alert}");
    }
    agent.stop();
    let lines = fs::read_to_string(setup.path("metrics.jsonl")).unwrap();
    for (sample, line) in lines.lines().enumerate() {
        assert!(line.starts_with(r#"{"output_fields":{"evt.hostname":"#), "{line}");
        assert!(line.ends_with(&format!(r#"}},"sample":{sample}}}"#)), "{line}");
    }
    assert!(lines.lines().count() >= 2, "{lines}");
}

/// Waits until `/metrics` has a line.
#[track_caller]
fn wait_for_metric(setup: &Setup, line: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = http::get(setup.webserver_port, "/metrics").body;
        if text.lines().any(|found| found == line) {
            return;
        }
        assert!(Instant::now() < deadline, "{line} is missing in {text}");
    }
}

#[test]
fn plugins_tell_what_they_count_themselves() {
    let setup = Setup::new();
    let snapshots = ["-o", "metrics.interval=100ms", "-o", "metrics.output_file=metrics.jsonl"];
    let mut agent = setup.start(&[ENABLED, &snapshots].concat());
    http::post(setup.webhook_port, &configmap_event());
    agent.wait_for_alert("user=minikube-user");
    wait_for_metric(&setup, r#"falcosecurity_plugins_k8saudit_events_total{source="k8s_audit"} 1"#);
    // Snapshots leave out what is 0, unless configured otherwise.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let lines = fs::read_to_string(setup.path("metrics.jsonl")).unwrap();
        assert!(!lines.contains("plugins.k8saudit.rejected_without_time"), "{lines}");
        if lines.contains(r#""plugins.k8saudit.events":1,"#) {
            break;
        }
        assert!(Instant::now() < deadline, "{lines}");
    }
    agent.stop();
}

#[test]
fn what_was_received_is_accounted_for() {
    let setup = Setup::new();
    let mut agent = setup.start(ENABLED);
    let port = setup.webhook_port;
    let (event, other) = (configmap_event(), configmap_event_by("ann"));
    assert_eq!(http::post(port, &format!("[{event},{other}]")).status, 200);
    assert_eq!(http::post(port, &event).status, 200);
    let without_time = event.replace("stageTimestamp", "stageTime");
    assert_eq!(http::post(port, &format!("{without_time} {{\"kind\": \"Pod\"}}")).status, 200);
    assert_eq!(http::post(port, "{").status, 400);
    agent.wait_for_alert("user=ann");
    let source = r#"source="k8s_audit""#;
    for line in [
        format!("received_total{{{source}}} 6"),
        format!("evaluated_total{{{source}}} 2"),
        format!("duplicates_total{{{source}}} 1"),
        format!("rejected_total{{{source},reason=\"without_time\"}} 1"),
        format!("rejected_total{{{source},reason=\"not_recognized\"}} 1"),
        format!("rejected_total{{{source},reason=\"not_json\"}} 1"),
    ] {
        wait_for_metric(&setup, &format!("falcosecurity_falco_source_{line}"));
    }
    let finished = agent.stop();
    let expected = "Event source 'k8s_audit': 6 received = 2 evaluated + 3 rejected (not_json 1, not_recognized 1, without_time 1) + 1 duplicates";
    assert!(finished.stderr.lines().any(|line| line.ends_with(expected)), "{finished:?}");
}

#[test]
fn plugins_need_not_be_asked() {
    let setup = Setup::new();
    let mut agent =
        setup.start(&[ENABLED, &["-o", "metrics.plugins_metrics_enabled=false"]].concat());
    http::post(setup.webhook_port, &configmap_event());
    agent.wait_for_alert("user=minikube-user");
    wait_for_metric(&setup, r#"falcosecurity_falco_events_total{source="k8s_audit"} 1"#);
    let text = http::get(setup.webserver_port, "/metrics").body;
    assert!(!text.contains("falcosecurity_plugins"), "{text}");
    agent.stop();
}

/// C57, C58
#[test]
fn metrics_that_lead_nowhere_are_refused() {
    let setup = Setup::new();
    for (options, expected) in [
        (["metrics.output_rule=true", "metrics.interval=50ms"], "minimum value of 100ms"),
        (
            ["webserver.prometheus_metrics_enabled=false", "metrics.output_rule=false"],
            "no output configured",
        ),
        (
            ["metrics.output_file=nowhere/m.jsonl", "metrics.output_rule=true"],
            "cannot open metrics.output_file nowhere/m.jsonl",
        ),
    ] {
        let [first, second] = options;
        let finished = setup.run(&["-o", "metrics.enabled=true", "-o", first, "-o", second]);
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        assert!(finished.stderr.contains(expected), "{finished:?}");
    }
}
