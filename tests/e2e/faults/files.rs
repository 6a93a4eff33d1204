//! Followed files: rotation, crashes, damaged positions.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::model::{
    Random, assert_no_repeats, balanced_account, delivered_to, points, tell, wait_for_all,
};
use crate::agent::{Setup, configmap_event_by};

const FILE: &str = "file_output={enabled: true, keep_alive: true, filename: alerts.txt}";

/// Writes one event after the other to a file, and rotates it as kube-apiserver and logrotate do.
struct Writer {
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Writer {
    fn start(path: PathBuf, events_per_file: usize) -> Writer {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_stopped);
        let thread = std::thread::spawn(move || {
            let mut users = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
                for _ in 0..events_per_file {
                    let user = format!("f{}", users.len());
                    // In two writes, so that a reader meets torn lines.
                    let line = configmap_event_by(&user) + "\n";
                    let (start, end) = line.split_at(line.len() / 2);
                    file.write_all(start.as_bytes()).unwrap();
                    file.write_all(end.as_bytes()).unwrap();
                    users.push(user);
                    std::thread::park_timeout(Duration::from_millis(2));
                }
                rotate(&path);
            }
            users
        });
        Writer { is_stopped, thread }
    }

    /// Returns the users of all events.
    fn stop(self) -> Vec<String> {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// `audit.log` becomes `audit.log.1`, that becomes `audit.log.2`, and so on; a compressed one lies there too.
fn rotate(path: &Path) {
    let numbered = |number: usize| PathBuf::from(format!("{}.{number}", path.display()));
    let mut files = 0;
    while numbered(files + 1).exists() {
        files += 1;
    }
    // None is deleted: a reader that is killed again and again may fall behind.
    for number in (1..=files).rev() {
        fs::rename(numbered(number), numbered(number + 1)).unwrap();
    }
    fs::rename(path, numbered(1)).unwrap();
    fs::write(format!("{}.99.gz", path.display()), b"\x1f\x8b not for readers").unwrap();
}

fn options(setup: &Setup) -> [String; 2] {
    [
        format!("plugins[0].open_params=file://{}", setup.path("audit.log").display()),
        format!(
            "plugins[0].init_config={{startAt: begin, stateFile: {}}}",
            setup.path("position").display()
        ),
    ]
}

#[track_caller]
fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !path.exists() {
        assert!(Instant::now() < deadline, "no {}", path.display());
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_storm_of_rotations_loses_and_repeats_nothing() {
    let setup = Setup::new();
    let [open, init] = options(&setup);
    // What was rotated away before anybody has seen the file is nobody's.
    setup.write("audit.log", "");
    let mut agent = setup.start(&["-o", FILE, "-o", &open, "-o", &init]);
    agent.wait_for_log("Opening 'k8s_audit' source");
    wait_for(&setup.path("position"));
    let writer = Writer::start(setup.path("audit.log"), 7);
    std::thread::sleep(Duration::from_secs(2));
    let users = writer.stop();
    let delivered = wait_for_all(&users, || delivered_to(&setup.path("alerts.txt")));
    assert_no_repeats(&delivered);
    let account = balanced_account(&agent.stop(), "k8s_audit");
    assert_eq!((account.evaluated, account.rejected), (users.len() as u64, 0));
}

#[test]
fn crashes_and_rotations_lose_no_line() {
    let setup = Setup::new();
    let [open, init] = options(&setup);
    let arguments = ["-o", FILE, "-o", &open, "-o", &init, "-o", "stdout_output.enabled=false"];
    // What was rotated away before anybody has seen the file is nobody's.
    setup.write("audit.log", "");
    let mut agent = setup.start(&arguments);
    agent.wait_for_log("Opening 'k8s_audit' source");
    wait_for(&setup.path("position"));
    agent.crash();
    let writer = Writer::start(setup.path("audit.log"), 40);
    let mut random = Random(0xf11e);
    for _ in 0..points() {
        let mut agent = setup.start(&arguments);
        agent.wait_for_log("Opening 'k8s_audit' source");
        std::thread::sleep(Duration::from_micros(random.below(600_000)));
        agent.crash();
    }
    let agent = setup.start(&arguments);
    let users = writer.stop();
    wait_for_all(&users, || delivered_to(&setup.path("alerts.txt")));
    balanced_account(&agent.stop(), "k8s_audit");
    tell(&format!("{} crashes, {} lines", points(), users.len()));
}

#[test]
fn damaged_positions_repeat_lines_rather_than_lose_them() {
    let setup = Setup::new();
    let [open, init] = options(&setup);
    let arguments = ["-o", FILE, "-o", &open, "-o", &init];
    let mut users = Vec::new();
    let mut log = String::new();
    for round in ["", "{\"half\": ", "\0\0\0\0", "[]"] {
        let user = format!("user-{}", users.len());
        log += &(configmap_event_by(&user) + "\n");
        users.push(user);
        setup.write("audit.log", &log);
        if !users.is_empty() && users.len() > 1 {
            setup.write("position", round);
        }
        let agent = setup.start(&arguments);
        wait_for_all(&users, || delivered_to(&setup.path("alerts.txt")));
        balanced_account(&agent.stop(), "k8s_audit");
    }
}
