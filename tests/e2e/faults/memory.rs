//! How much memory is used when far more is sent than can be delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::model::{balanced_account, tell};
use crate::agent::{Setup, configmap_event_by};
use crate::http;

const ENABLED: [&str; 4] =
    ["-o", "metrics.enabled=true", "-o", "webserver.prometheus_metrics_enabled=true"];

/// What may be there besides what is queued: the batch under way in each of its forms, and bodies that are being parsed.
const BESIDES: usize = 40 << 20;

#[test]
fn an_overload_stays_within_the_budget_and_passes() {
    let long = std::env::var("SHIKRA_OVERLOAD_SECONDS").ok();
    let seconds = long.as_ref().map_or(3, |seconds| seconds.parse().unwrap());
    let budget = if long.is_some() { 64 << 20 } else { 8 << 20 };
    let setup = Setup::new();
    let init = format!("plugins[0].init_config={{webhookMaxQueuedBytes: {budget}}}");
    let file = "file_output={enabled: true, filename: later/alerts.txt}";
    let options = ["-o", &init, "-o", file, "-o", "stdout_output.enabled=false"];
    let mut agent = setup.start(&[&options[..], &ENABLED].concat());
    agent.wait_for_log("Opening 'k8s_audit' source");
    assert_eq!(http::get_until(setup.webserver_port, "/readyz", 200).status, 200);
    let before = agent.memory();

    let (sent, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..16)
        .map(|sender| {
            let (sent, taken, stop) = (Arc::clone(&sent), Arc::clone(&taken), Arc::clone(&stop));
            let port = setup.webhook_port;
            std::thread::spawn(move || {
                let padding = "x".repeat(budget / 40);
                for number in 0.. {
                    let user = format!("u{sender}-{number}");
                    let event = configmap_event_by(&user).replace("color.bad=yellow", &padding);
                    sent.fetch_add(event.len(), Ordering::Relaxed);
                    // Whoever waits for an answer keeps its connection; who is refused comes again.
                    if http::try_post(port, &event) == Some(200) {
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        })
        .collect();
    let (start, mut peak) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(seconds)
        || sent.load(Ordering::Relaxed) < 10 * budget
    {
        peak = peak.max(agent.memory());
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(taken.load(Ordering::Relaxed), 0);
    std::fs::create_dir(setup.path("later")).unwrap();
    stop.store(true, Ordering::Relaxed);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    // Who waited for half a minute has given up, so one more has to find out.
    let last = configmap_event_by("last");
    let deadline = Instant::now() + Duration::from_secs(30);
    while http::try_post(setup.webhook_port, &last) != Some(200) {
        assert!(Instant::now() < deadline, "nothing is taken any more");
    }

    let queued = r#"falcosecurity_plugins_k8saudit_queued_total{source="k8s_audit"} 0"#;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = http::get(setup.webserver_port, "/metrics").body;
        if text.lines().any(|line| line == queued) {
            break;
        }
        assert!(Instant::now() < deadline, "{text}");
    }
    let after = agent.memory();
    tell(&format!(
        "{} MiB sent; memory before {}, peak {}, after {} MiB",
        sent.load(Ordering::Relaxed) >> 20,
        before >> 20,
        peak >> 20,
        after >> 20
    ));
    assert!(peak < before + budget + BESIDES, "{before} {peak}");
    assert!(after < before + BESIDES, "{before} {after}");
    balanced_account(&agent.stop(), "k8s_audit");
}
