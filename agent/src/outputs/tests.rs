//! Outputs together: order, failures, spools, reload, the end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use rules_engine::Priority;

use super::spool::Spool;
use super::*;
use crate::config::{SpoolConfig, WhenFull};

const LONG: Duration = Duration::from_secs(30);

/// Collects lines; fails as often as told before it works.
#[derive(Debug, Clone, Default)]
struct Flaky {
    failures: Arc<AtomicUsize>,
    written: Arc<Mutex<Vec<String>>>,
}

impl Output for Flaky {
    fn name(&self) -> &'static str {
        "flaky"
    }

    fn deliver(&mut self, alerts: &mut Pending) -> io::Result<()> {
        while let Some(alert) = alerts.front() {
            let left = self.failures.load(Ordering::SeqCst);
            if left > 0 {
                self.failures.store(left - usize::from(left < FOREVER), Ordering::SeqCst);
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.lock().unwrap().push(alert.line.clone());
            alerts.pop_front();
        }
        Ok(())
    }

    fn reopen(&mut self) {
        self.written.lock().unwrap().push("reopened".into());
    }
}

const FOREVER: usize = usize::MAX;

pub(super) fn pending(lines: &[&str]) -> Pending {
    lines.iter().map(|line| Arc::new(alert(line))).collect()
}

fn alert(line: &str) -> Alert {
    Alert { line: line.into(), priority: Priority::Debug }
}

impl Flaky {
    fn failing(failures: usize) -> Flaky {
        let flaky = Flaky::default();
        flaky.repair(failures);
        flaky
    }

    /// From now on it fails this often.
    fn repair(&self, failures: usize) {
        self.failures.store(failures, Ordering::SeqCst);
    }

    fn written(&self) -> Vec<String> {
        self.written.lock().unwrap().clone()
    }

    fn start(&self, spool: Option<&SpoolConfig>) -> (Outputs, Metrics) {
        let metrics = Metrics::new();
        let running =
            RunningOutput::start(Box::new(self.clone()), 2, spool, metrics.output("flaky"));
        let progress = ProgressLine::default();
        let outputs = Outputs { queues: Arc::default(), running: Mutex::default(), progress };
        outputs.replace(PreparedOutputs(vec![Prepared::New(running.unwrap())]));
        (outputs, metrics)
    }
}

fn send(sender: &mut AlertSender, lines: &[&str]) {
    for line in lines {
        sender.push(alert(line)).unwrap();
    }
    sender.commit().unwrap();
}

/// Pushes and commits on a thread of its own.
fn send_aside(outputs: &Outputs, line: &'static str) -> JoinHandle<()> {
    let mut sender = outputs.sender();
    std::thread::spawn(move || send(&mut sender, &[line]))
}

#[track_caller]
fn wait_until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !what() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn commit_returns_when_everything_is_written_even_after_failures() {
    let output = Flaky::failing(2);
    let (outputs, metrics) = output.start(None);
    send(&mut outputs.sender(), &["a", "b", "c"]);
    assert_eq!(output.written(), ["a", "b", "c"]);
    outputs.close(LONG);
    let counters = metrics.output("flaky");
    assert_eq!((counters.delivered.get(), counters.failures.get()), (3, 2));
}

#[test]
fn close_writes_what_is_queued_and_gives_up_after_the_grace_period() {
    let output = Flaky::default();
    let (outputs, _) = output.start(None);
    outputs.sender().push(alert("a")).unwrap();
    outputs.close(LONG);
    assert_eq!(output.written(), ["a"]);

    let output = Flaky::failing(FOREVER);
    let (outputs, metrics) = output.start(None);
    outputs.sender().push(alert("a")).unwrap();
    outputs.close(Duration::ZERO);
    assert!(output.written().is_empty());
    assert_eq!(metrics.output("flaky").lost.get(), 1);
}

#[test]
fn a_successor_gets_what_could_not_be_delivered() {
    let old = Flaky::failing(FOREVER);
    let (outputs, metrics) = old.start(None);
    let waiting = send_aside(&outputs, "a");
    wait_until(|| metrics.output("flaky").failures.get() > 0);
    let new = Flaky::default();
    outputs.replace(PreparedOutputs(vec![Prepared::Successor(Box::new(new.clone()))]));
    waiting.join().unwrap();
    send(&mut outputs.sender(), &["b"]);
    assert_eq!((old.written(), new.written()), (vec![], vec!["a".into(), "b".to_owned()]));
    outputs.close(LONG);
}

#[test]
fn an_output_that_was_taken_away_holds_nobody_up_for_long() {
    let old = Flaky::failing(FOREVER);
    let (outputs, metrics) = old.start(None);
    let waiting = send_aside(&outputs, "a");
    wait_until(|| metrics.output("flaky").failures.get() > 0);
    outputs.replace(PreparedOutputs(Vec::new()));
    waiting.join().unwrap();
    assert_eq!(metrics.output("flaky").lost.get(), 1);
    // It ends, since nobody uses it any more.
    wait_until(|| outputs.running().iter().all(RunningOutput::is_finished));
    outputs.close(LONG);
}

#[test]
fn reopening_and_offering_do_not_wait_for_room_in_the_queue() {
    let output = Flaky::failing(FOREVER);
    let (outputs, metrics) = output.start(None);
    let mut sender = outputs.sender();
    sender.push(alert("a")).unwrap();
    wait_until(|| metrics.output("flaky").failures.get() > 0);
    // The first is being written, two fill the queue.
    for line in ["b", "c"] {
        sender.push(alert(line)).unwrap();
    }
    outputs.reopen();
    assert!(!sender.offer(alert("d")));
    outputs.close(Duration::ZERO);
    assert_eq!(metrics.output("flaky").lost.get(), 3);

    let output = Flaky::default();
    let (outputs, _) = output.start(None);
    outputs.reopen();
    outputs.close(LONG);
    assert_eq!(output.written(), ["reopened"]);
}

#[test]
fn a_batch_of_many_alerts_is_delivered_in_parts() {
    let output = Flaky::default();
    let (outputs, _) = output.start(None);
    let mut sender = outputs.sender();
    let large = "x".repeat(3 << 20);
    sender.push(alert(&large)).unwrap();
    sender.push(alert(&large)).unwrap();
    // Before the second was taken, the first was delivered.
    assert!(output.written()[0] == large);
    outputs.close(LONG);
}

/// A spool in a directory of its own.
fn spool(max_bytes: u64, when_full: WhenFull) -> (tempfile::TempDir, SpoolConfig) {
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig { directory: folder.path().join("spool"), max_bytes, when_full };
    (folder, config)
}

#[test]
fn what_cannot_be_delivered_is_stored_and_delivered_in_order_once_it_can() {
    let (_folder, config) = spool(1 << 20, WhenFull::Wait);
    let output = Flaky::failing(FOREVER);
    let (outputs, metrics) = output.start(Some(&config));
    let mut sender = outputs.sender();
    send(&mut sender, &["a", "b"]);
    send(&mut sender, &["c"]);
    assert!(output.written().is_empty());
    output.repair(1);
    wait_until(|| output.written().len() == 3);
    send(&mut sender, &["d"]);
    outputs.close(LONG);
    assert_eq!(output.written(), ["a", "b", "c", "d"]);
    assert_eq!(metrics.output("flaky").delivered.get(), 4);
    assert_eq!(Spool::open(&config.directory, "flaky", 1).unwrap().0.alerts(), 0);
}

#[test]
fn what_is_stored_at_the_end_is_delivered_after_the_next_start() {
    let (_folder, config) = spool(1 << 20, WhenFull::Wait);
    let output = Flaky::failing(FOREVER);
    let (outputs, metrics) = output.start(Some(&config));
    send(&mut outputs.sender(), &["a", "b"]);
    // Nothing in memory is left to try for.
    let started = Instant::now();
    outputs.close(LONG);
    assert!(started.elapsed() < LONG);
    assert_eq!(metrics.output("flaky").lost.get(), 0);

    let output = Flaky::default();
    let (outputs, _) = output.start(Some(&config));
    // Stored is as good as written, so the sender need not wait for more.
    send(&mut outputs.sender(), &["c"]);
    wait_until(|| output.written() == ["a", "b", "c"]);
    outputs.close(LONG);
}

/// Four alerts of which two have room. Returns what is delivered in the end, and how many were dropped.
fn overflow(when_full: WhenFull) -> (Vec<String>, u64) {
    let (_folder, config) = spool(2 * (1 + 32), when_full);
    let output = Flaky::failing(FOREVER);
    let (outputs, metrics) = output.start(Some(&config));
    let mut sender = outputs.sender();
    send(&mut sender, &["a"]);
    send(&mut sender, &["b"]);
    let waiting = send_aside(&outputs, "c");
    if when_full == WhenFull::Wait {
        output.repair(0);
    }
    waiting.join().unwrap();
    send(&mut sender, &["d"]);
    output.repair(0);
    outputs.close(LONG);
    assert_eq!(metrics.output("flaky").lost.get(), 0);
    (output.written(), metrics.output("flaky").dropped.get())
}

#[test]
fn a_full_spool_makes_wait_or_drops_what_is_configured() {
    let lines = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
    assert_eq!(overflow(WhenFull::Wait), (lines("abcd"), 0));
    assert_eq!(overflow(WhenFull::DropNewest), (lines("ab"), 2));
    // The first is being delivered all the time, so it stays.
    assert_eq!(overflow(WhenFull::DropOldest), (lines("ad"), 2));
}
