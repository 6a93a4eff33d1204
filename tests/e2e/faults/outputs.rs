//! Receivers and disks that fail.

use std::time::{Duration, Instant};

use super::model::{Load, delivered, delivered_at, delivered_to, finish, outage};
use crate::agent::Setup;
use crate::receiver::{Mode, Receiver};

const NOT_STDOUT: [&str; 2] = ["-o", "stdout_output.enabled=false"];
const SPOOL: &[&str] = &["-o", "outputs_spool.directory=spool"];

/// Runs with a receiver that fails for a while; everything arrives once.
fn check(fault: Mode, spool: &[&str]) {
    let setup = Setup::new();
    let receiver = Receiver::start(Mode::Status(200));
    let agent = setup.start(&[&["-o", &receiver.option()], &NOT_STDOUT, spool].concat());
    let load = Load::start(setup.webhook_port, 3);
    receiver.wait_for_requests(5);
    receiver.set(fault);
    receiver.wait_for_requests(1);
    std::thread::sleep(outage());
    receiver.set(Mode::Status(200));
    receiver.wait_for_requests(20);
    finish(agent, load, || delivered_at(&receiver));
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
    let options = [&["-o", &http], &NOT_STDOUT[..], SPOOL].concat();
    let mut agent = setup.start_on_small_disk(256, &options);
    let load = Load::start(setup.webhook_port, 3);
    agent.wait_for_log("http: cannot write to the spool");
    receiver.set(Mode::Status(200));
    receiver.wait_for_requests(50);
    finish(agent, load, || delivered_at(&receiver));
}

/// As after an error, for which systems mount a disk anew: what is there can be read, and nothing written any more.
#[test]
fn a_disk_that_becomes_read_only_makes_senders_wait_and_loses_nothing() {
    let setup = Setup::new();
    let receiver = Receiver::start(Mode::Down);
    let http = receiver.option();
    let options = [&["-o", &http], &NOT_STDOUT[..], SPOOL].concat();
    let mut agent = setup.start_on_small_disk(1 << 20, &options);
    let load = Load::start(setup.webhook_port, 3);
    load.wait_for(20);
    agent.resize_disk(0);
    agent.wait_for_log("http: cannot write to the spool");
    std::thread::sleep(outage());
    // What is stored is delivered although it cannot be removed, and what cannot be stored is delivered directly.
    receiver.set(Mode::Status(200));
    receiver.wait_for_requests(50);
    agent.resize_disk(1 << 20);
    receiver.wait_for_requests(20);
    finish(agent, load, || delivered_at(&receiver));
}

#[test]
fn a_file_on_a_full_disk_is_continued_where_there_is_room_again() {
    let setup = Setup::new();
    let file = "file_output={enabled: true, filename: alerts.txt, keep_alive: true}";
    let mut agent = setup.start_on_small_disk(64, &[&["-o", file], &NOT_STDOUT[..]].concat());
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
    finish(agent, load, || {
        // A line that was cut by the rotation goes on in the new file.
        let text = ["alerts.txt.1", "alerts.txt"]
            .map(|name| std::fs::read_to_string(setup.path(name)).unwrap_or_default())
            .concat();
        delivered(text.lines())
    });
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
