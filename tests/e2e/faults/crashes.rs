//! Ends of the agent at any moment.

use std::time::Duration;

use super::model::{
    Load, Random, assert_no_repeats, balanced_account, delivered_at, delivered_to, points, tell,
    wait_for_all,
};
use crate::agent::{Setup, configmap_event_by};
use crate::http;
use crate::receiver::{Mode, Receiver};

const FILE: &str = "file_output={enabled: true, keep_alive: true, filename: alerts.txt}";
const SPOOL: &str = "outputs_spool.directory=spool";

/// Two outputs, of which one fails now and then: what was answered 200 arrives at both.
#[test]
fn a_crash_loses_nothing_that_was_acknowledged() {
    let setup = Setup::new();
    let receiver = Receiver::start(Mode::Status(200));
    let http = receiver.option();
    let options = ["-o", FILE, "-o", &http, "-o", SPOOL, "-o", "stdout_output.enabled=false"];
    let load = Load::start(setup.webhook_port, 4);
    let mut random = Random(0x5eed);
    for _ in 0..points() {
        let modes = [Mode::Status(200), Mode::Status(500), Mode::Down];
        receiver.set(modes[random.below(3) as usize]);
        let mut agent = setup.start(&options);
        agent.wait_for_log("Opening 'k8s_audit' source");
        let moment = Duration::from_micros(random.below(400_000));
        std::thread::sleep(moment);
        agent.crash();
    }
    receiver.set(Mode::Status(200));
    let agent = setup.start(&options);
    load.wait_for(50);
    let acknowledged = load.stop();
    wait_for_all(&acknowledged, || delivered_to(&setup.path("alerts.txt")));
    wait_for_all(&acknowledged, || delivered_at(&receiver));
    balanced_account(&agent.stop(), "k8s_audit");
    tell(&format!("{} crashes, {} events acknowledged", points(), acknowledged.len()));
}

#[test]
fn an_end_in_order_under_load_loses_and_repeats_nothing() {
    let setup = Setup::new();
    let load = Load::start(setup.webhook_port, 4);
    let mut random = Random(0x7e57);
    for _ in 0..points().min(4) {
        let mut agent = setup.start(&["-o", FILE]);
        agent.wait_for_log("Opening 'k8s_audit' source");
        std::thread::sleep(Duration::from_millis(50 + random.below(200)));
        balanced_account(&agent.stop(), "k8s_audit");
    }
    let agent = setup.start(&["-o", FILE]);
    load.wait_for(50);
    let acknowledged = load.stop();
    balanced_account(&agent.stop(), "k8s_audit");
    let delivered = wait_for_all(&acknowledged, || delivered_to(&setup.path("alerts.txt")));
    assert_no_repeats(&delivered);
}

/// The files of a spool are damaged while the agent is away.
#[test]
fn a_damaged_spool_is_set_aside_and_told() {
    let setup = Setup::new();
    let receiver = Receiver::start(Mode::Down);
    let http = receiver.option();
    let metrics = "metrics.enabled=true";
    let options = ["-o", &http, "-o", SPOOL, "-o", metrics, "-o", SCRAPED];
    let agent = setup.start(&options);
    assert_eq!(http::post(setup.webhook_port, &configmap_event_by("ann")).status, 200);
    agent.crash();
    let files = std::fs::read_dir(setup.path("spool")).unwrap();
    for file in files.map(|file| file.unwrap().path()) {
        let length = std::fs::metadata(&file).unwrap().len() as usize;
        std::fs::write(file, vec![0xa5; length]).unwrap();
    }
    receiver.set(Mode::Status(200));
    let mut agent = setup.start(&options);
    let line = agent.wait_for_log("a file of the spool is damaged");
    assert!(line.contains("set aside as spool/http-00000000000000000001.damaged"), "{line}");
    assert_eq!(http::post(setup.webhook_port, &configmap_event_by("bob")).status, 200);
    receiver.wait_for("user=bob");
    let text = http::get(setup.webserver_port, "/metrics").body;
    let counted = r#"falcosecurity_falco_output_damaged_spool_files_total{output="http"} 1"#;
    assert!(text.contains(counted), "{text}");
    balanced_account(&agent.stop(), "k8s_audit");
    assert!(setup.path("spool/http-00000000000000000001.damaged").exists());
}

const SCRAPED: &str = "webserver.prometheus_metrics_enabled=true";
