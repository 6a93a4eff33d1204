//! An agent in a directory of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http;

/// Enough for a slow machine; a test that passes does not wait for it.
const DEADLINE: Duration = Duration::from_secs(30);

/// The rule that most tests wait for.
pub(crate) const CONFIGMAP_RULE: &str = r#"
- rule: ConfigMap seen
  desc: A ConfigMap is written.
  condition: ka.verb in (create, update, patch) and ka.target.resource = configmaps
  output: ConfigMap seen (user=%ka.user.name verb=%ka.verb name=%ka.req.configmap.name data=%ka.req.configmap.obj)
  priority: WARNING
  source: k8s_audit
  tags: [k8s]
"#;

/// The audit event of the documentation: a user creates a ConfigMap with credentials.
pub(crate) fn configmap_event() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/configmap-event.json");
    fs::read_to_string(path).unwrap().trim_end().to_owned()
}

/// The same event by another user, so under another id too.
pub(crate) fn configmap_event_by(user: &str) -> String {
    configmap_event()
        .replace("minikube-user", user)
        .replace("33fa264e-1124-4252-af9e-2ce6e45fe07d", &format!("id-of-{user}"))
}

/// A client that posts the event of one user after the other: `user-0`, `user-1`, …
pub(crate) struct Poster {
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Poster {
    pub(crate) fn start(port: u16) -> Poster {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_stopped);
        let thread = std::thread::spawn(move || {
            let mut posted = 0;
            while !stop.load(Ordering::Relaxed) {
                let event = configmap_event_by(&format!("user-{posted}"));
                assert_eq!(http::post(port, &event).status, 200);
                posted += 1;
            }
            posted
        });
        Poster { is_stopped, thread }
    }

    /// Ends with the post under way; returns how many there were.
    pub(crate) fn stop(self) -> usize {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// A directory with a configuration and rules, for agents to run in.
pub(crate) struct Setup {
    directory: TempDir,
    pub(crate) webhook_port: u16,
    pub(crate) webserver_port: u16,
}

impl Setup {
    /// A webhook, the fields of JSON events, a webserver, and [`CONFIGMAP_RULE`] in `rules.yaml`.
    pub(crate) fn new() -> Setup {
        let directory = tempfile::tempdir().unwrap();
        let [webhook_port, webserver_port] = [free_port(), free_port()];
        let setup = Setup { directory, webhook_port, webserver_port };
        // The plugins lie beside the test executable.
        let plugins = std::env::current_exe().unwrap();
        setup.write(
            "config.yaml",
            &format!(
                "
load_plugins: [k8saudit, json]
plugins_dir: {plugins}
plugins:
  - name: k8saudit
    library_path: libk8saudit.so
    open_params: http://127.0.0.1:{webhook_port}/k8s-audit
  - name: json
    library_path: libjson.so
  - name: filetail
    library_path: libfiletail.so
    init_config: {{startAt: begin}}
    open_params: {logs}
rules_files: [rules.yaml]
time_format_iso_8601: true
stdout_output: {{enabled: true}}
webserver: {{enabled: true, listen_address: 127.0.0.1, listen_port: {webserver_port}}}
log_stderr: true
log_syslog: false
",
                plugins = plugins.parent().unwrap().display(),
                logs = setup.path("*.log").display(),
            ),
        );
        setup.write("rules.yaml", CONFIGMAP_RULE);
        setup
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Starts an agent in the directory.
    pub(crate) fn start(&self, arguments: &[&str]) -> Agent {
        self.spawn(Command::new(env!("CARGO_BIN_EXE_shikra")), arguments)
    }

    /// Starts an agent that writes no file larger than this: the system refuses as it does on a full disk.
    pub(crate) fn start_on_small_disk(&self, kib: u32, arguments: &[&str]) -> Agent {
        let mut command = Command::new("bash");
        let script = format!("trap '' XFSZ; ulimit -S -f {kib}; exec \"$0\" \"$@\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_shikra")]);
        self.spawn(command, arguments)
    }

    /// Starts an agent whose clock is wrong by as many seconds as the file `offset` says.
    pub(crate) fn start_with_wrong_clock(&self, arguments: &[&str]) -> Agent {
        let library = self.path("wrong_clock.so");
        if !library.exists() {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/wrong_clock.c");
            // Rust programs are linked by it, so it is there.
            let compiler = Command::new("cc")
                .args(["-shared", "-fPIC", "-o"])
                .arg(&library)
                .arg(source)
                .status();
            assert!(compiler.unwrap().success());
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_shikra"));
        command.env("LD_PRELOAD", library).env("CLOCK_OFFSET", self.path("offset"));
        self.spawn(command, arguments)
    }

    fn spawn(&self, mut command: Command, arguments: &[&str]) -> Agent {
        let mut child = command
            .args(["-c", "config.yaml"])
            .args(arguments)
            .current_dir(self.directory.path())
            .env("TZ", "UTC")
            .env("FALCO_HOSTNAME", "test-host")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = Lines::read(child.stdout.take().unwrap());
        let stderr = Lines::read(child.stderr.take().unwrap());
        Agent { child, stdout, stderr }
    }

    /// Runs an agent that ends by itself.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).wait()
    }
}

/// A port that stays free until an agent takes it, and while it is started again.
///
/// The system would give one of its own range to the next client or listener that asks for any, so this is below it, and no
/// two of a process are the same.
fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    // Processes that test at the same time begin far from each other.
    let start = std::process::id().wrapping_mul(1_009);
    let ports = std::iter::repeat_with(|| {
        let number = start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        (FIRST + number % COUNT) as u16
    });
    ports.take(COUNT as usize).find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()).unwrap()
}

/// A running agent; killed when dropped.
pub(crate) struct Agent {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// What an agent left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Agent {
    /// The next line on standard output that contains `text`.
    #[track_caller]
    pub(crate) fn wait_for_alert(&mut self, text: &str) -> String {
        match self.stdout.wait_for(text) {
            Some(line) => line,
            None => panic!(
                "no alert {text:?}; stdout {:#?}; log {:#?}",
                self.stdout.seen,
                self.stderr.rest()
            ),
        }
    }

    /// The next line in the log that contains `text`.
    #[track_caller]
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        match self.stderr.wait_for(text) {
            Some(line) => line,
            None => panic!("no log line {text:?} in {:#?}", self.stderr.seen),
        }
    }

    /// The process ids of its child processes.
    pub(crate) fn children(&self) -> Vec<String> {
        let id = self.child.id();
        let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap();
        let children = tasks.flat_map(|task| {
            // A thread may have ended meanwhile.
            fs::read_to_string(task.unwrap().path().join("children"))
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
        children.collect()
    }

    /// How many file descriptors the agent has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// From now on no file may be written beyond this, not even where it is that long already.
    pub(crate) fn resize_disk(&self, kib: u32) {
        let bytes = u64::from(kib) << 10;
        let id = self.child.id().to_string();
        let status =
            Command::new("prlimit").args(["--pid", &id, &format!("--fsize={bytes}:")]).status();
        assert!(status.unwrap().success());
    }

    /// Ends the agent as a crash does.
    pub(crate) fn crash(self) -> Finished {
        self.signal("KILL");
        self.wait()
    }

    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    /// Ends the agent as a service manager does.
    #[track_caller]
    pub(crate) fn stop(self) -> Finished {
        self.signal("TERM");
        let finished = self.wait();
        assert!(finished.status.success(), "{finished:?}");
        finished
    }

    /// Waits until the agent ends.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Finished {
        // The pipes end with the process.
        let (stdout, stderr) = (self.stdout.rest().join("\n"), self.stderr.rest().join("\n"));
        assert!(self.stdout.is_closed && self.stderr.is_closed, "still running: {stdout} {stderr}");
        let status = self.child.wait().unwrap();
        Finished { status, stdout, stderr }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail only where the agent has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Lines of a pipe, read by a thread so that the agent never waits for the test.
struct Lines {
    received: Receiver<String>,
    seen: Vec<String>,
    is_closed: bool,
}

impl Lines {
    fn read(pipe: impl Read + Send + 'static) -> Lines {
        let (sender, received) = sync_channel(100_000);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                // The test may have ended.
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Lines { received, seen: Vec::new(), is_closed: false }
    }

    fn next(&mut self, deadline: Instant) -> Option<&String> {
        match self.received.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.seen.push(line);
                self.seen.last()
            }
            Err(error) => {
                self.is_closed = error == RecvTimeoutError::Disconnected;
                None
            }
        }
    }

    fn wait_for(&mut self, text: &str) -> Option<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let line = self.next(deadline)?;
            if line.contains(text) {
                return Some(line.clone());
            }
        }
    }

    /// Everything up to the end, the lines that were waited for included.
    fn rest(&mut self) -> &[String] {
        let deadline = Instant::now() + DEADLINE;
        while self.next(deadline).is_some() {}
        &self.seen
    }
}
