//! Receivers and disks that fail.

use std::time::{Duration, Instant};

use super::model::{
    Load, assert_no_repeats, balanced_account, delivered, delivered_to, wait_for_all,
};
use crate::agent::Setup;
use crate::receiver::{Mode, Receiver};

const SPOOL: &[&str] = &["-o", "outputs_spool.directory=spool"];

/// Runs with a receiver that fails for a while; everything arrives once.
fn check(fault: Mode, spool: &[&str]) {
    let setup = Setup::new();
    let receiver = Receiver::start(Mode::Status(200));
    let http = receiver.option();
    let agent = setup.start(&[&["-o", &http, "-o", "stdout_output.enabled=false"], spool].concat());
    let load = Load::start(setup.webhook_port, 3);
    receiver.wait_for_requests(5);
    receiver.set(fault);
    receiver.wait_for_requests(1);
    std::thread::sleep(Duration::from_secs(1));
    receiver.set(Mode::Status(200));
    receiver.wait_for_requests(20);
    let acknowledged = load.stop();
    let delivered =
        wait_for_all(&acknowledged, || delivered(receiver.received().iter().map(String::as_str)));
    assert_no_repeats(&delivered);
    balanced_account(&agent.stop(), "k8s_audit");
}

#[test]
fn a_receiver_that_is_down_for_a_while() {
    check(Mode::Down, &[]);
    check(Mode::Down, SPOOL);
}

#[test]
fn a_receiver_that_answers_500_for_a_while() {
    check(Mode::Status(500), &[]);
    check(Mode::Status(500), SPOOL);
}

#[test]
fn a_receiver_that_hangs_for_a_while() {
    check(Mode::Hang, SPOOL);
}

/// Neither spool nor event can be stored, but the sender keeps its events.
#[test]
fn a_full_disk_makes_senders_wait_and_loses_nothing() {
    let setup = Setup::new();
    let receiver = Receiver::start(Mode::Down);
    let http = receiver.option();
    let options = [&["-o", &http, "-o", "stdout_output.enabled=false"], SPOOL].concat();
    let mut agent = setup.start_on_small_disk(256, &options);
    let load = Load::start(setup.webhook_port, 3);
    agent.wait_for_log("http: cannot write to the spool");
    receiver.set(Mode::Status(200));
    receiver.wait_for_requests(50);
    let acknowledged = load.stop();
    let delivered =
        wait_for_all(&acknowledged, || delivered(receiver.received().iter().map(String::as_str)));
    assert_no_repeats(&delivered);
    balanced_account(&agent.stop(), "k8s_audit");
}

#[test]
fn a_file_on_a_full_disk_is_continued_where_there_is_room_again() {
    let setup = Setup::new();
    let file = "file_output={enabled: true, filename: alerts.txt, keep_alive: true}";
    let options = ["-o", file, "-o", "stdout_output.enabled=false"];
    let mut agent = setup.start_on_small_disk(64, &options);
    let load = Load::start(setup.webhook_port, 3);
    agent.wait_for_log("file: File too large");
    // As log rotation does.
    std::fs::rename(setup.path("alerts.txt"), setup.path("alerts.txt.1")).unwrap();
    agent.signal("USR1");
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::fs::metadata(setup.path("alerts.txt")).map_or(0, |file| file.len()) < 10_000 {
        assert!(Instant::now() < deadline, "nothing is written");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let acknowledged = load.stop();
    let delivered = wait_for_all(&acknowledged, || {
        // A line that was cut by the rotation goes on in the new file.
        let text = ["alerts.txt.1", "alerts.txt"]
            .map(|name| std::fs::read_to_string(setup.path(name)).unwrap_or_default())
            .concat();
        delivered(text.lines())
    });
    assert_no_repeats(&delivered);
    balanced_account(&agent.stop(), "k8s_audit");
}

/// A directory that nobody may write to, whoever runs the agent.
#[test]
fn a_read_only_spool_is_an_error_at_the_start() {
    let setup = Setup::new();
    let file = "file_output={enabled: true, filename: alerts.txt}";
    let finished = setup.run(&["-o", file, "-o", "outputs_spool.directory=/proc/spool"]);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(finished.stderr.contains("outputs_spool.directory /proc/spool"), "{finished:?}");
    assert!(delivered_to(&setup.path("alerts.txt")).is_empty());
}
