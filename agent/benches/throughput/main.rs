//! Events per second of the whole agent over a file, beside a program that only looks at five fields of each line; of a
//! replay of that file; then over the webhook; at last how much memory it takes with many rules.
//!
//! ```sh
//! cargo bench -p agent
//! SHIKRA_BENCH_EVENTS=audit.jsonl SHIKRA_BENCH_RULES=rules.yaml cargo bench -p agent
//! ```
//!
//! The yardstick says how fast the machine is at this moment, so that what counts is the ratio within one run. Criterion is
//! no help here: what is timed is a process from start to end.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod corpus;
#[path = "../../../rules-engine/benches/load/many_rules.rs"]
mod many_rules;
mod replay;
mod webhook;

use std::hint::black_box;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use sonic_rs::{PointerTree, get_many, pointer};

const EVENTS: usize = 200_000;
/// The best of these counts: everything that disturbs a run makes it slower.
const RUNS: usize = 5;
/// With as many rules more the memory is measured.
const MANY_RULES: usize = 10_000;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let events = env::var_os("SHIKRA_BENCH_EVENTS").map_or_else(
        || {
            let path = directory.path().join("audit.jsonl");
            corpus::write(&path, EVENTS).unwrap();
            path
        },
        PathBuf::from,
    );
    let agent = Agent::new(directory.path());
    let count = measure_file(&agent, &events);
    replay::measure(&agent, &events, count);
    measure_webhook(&agent, &events);
    measure_memory(&agent, directory.path());
}

/// Returns how many events there are.
fn measure_file(agent: &Agent, events: &Path) -> u64 {
    let (mut yardstick, mut whole) = (Duration::MAX, Duration::MAX);
    let (mut count, mut alerts) = (0, 0);
    // In turn, so that both see the same machine.
    for _ in 0..RUNS {
        let start = Instant::now();
        count = look_at_five_fields(events);
        yardstick = yardstick.min(start.elapsed());
        whole = whole.min(agent.time_of_run(events));
        alerts = agent.take_alerts();
    }
    println!("{count} events of {} bytes on average", fs::metadata(events).unwrap().len() / count);
    print_line("five fields by sonic-rs", yardstick, count);
    print_line("shikra from a file", whole, count);
    let ratio = whole.as_secs_f64() / yardstick.as_secs_f64();
    println!("ratio {ratio:.2}, {alerts} alerts");
    count
}

fn measure_webhook(agent: &Agent, events: &Path) {
    let bodies = webhook::bodies(&fs::read(events).unwrap());
    let measure = |what: &dyn Fn(SocketAddr)| {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = agent.start(&format!("http://{address}/k8s-audit"));
        what(address);
        child.kill().unwrap();
        child.wait().unwrap();
        agent.take_alerts();
    };
    measure(&|address| {
        let rate = webhook::throughput(address, &bodies);
        println!("shikra over the webhook  {rate:>18.0} events/s");
    });
    measure(&|address| {
        let slowest = webhook::latency(address, &bodies);
        println!("99 % of answers at 4,000 events/s within {slowest:.1?}");
    });
}

/// Of the whole process: at most, which is while the rules are loaded, and as long as it runs.
fn measure_memory(agent: &Agent, directory: &Path) {
    let many = directory.join("many_rules.yaml");
    fs::write(&many, many_rules::rules(MANY_RULES)).unwrap();
    for (what, more) in [("the rules alone", None), ("10,000 rules more", Some(&many))] {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = agent.start_with(&format!("http://{address}/k8s-audit"), more);
        webhook::wait_for(address);
        // What loading took is given back soon after the webhook is open.
        thread::sleep(Duration::from_secs(1));
        let (peak, lasting) = (memory_mib(&child, "VmHWM:"), memory_mib(&child, "VmRSS:"));
        println!("memory with {what:18} at most {peak:5.1} MiB, then {lasting:5.1} MiB");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn memory_mib(process: &Child, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_suffix("kB"));
    value.unwrap().trim().parse::<f64>().unwrap() / 1024.0
}

fn print_line(name: &str, time: Duration, events: u64) {
    let seconds = time.as_secs_f64();
    println!("{name:24} {seconds:.3} s {:>10.0} events/s", events as f64 / seconds);
}

/// Reads the file and extracts what nearly every rule asks for, with one of the fastest JSON parsers there is.
fn look_at_five_fields(path: &Path) -> u64 {
    let text = fs::read(path).unwrap();
    let mut fields = PointerTree::new();
    fields.add_path(&pointer!["stage"]);
    fields.add_path(&pointer!["verb"]);
    fields.add_path(&pointer!["objectRef", "resource"]);
    fields.add_path(&pointer!["user", "username"]);
    fields.add_path(&pointer!["responseStatus", "code"]);
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| black_box(get_many(line, &fields)).map_or(0, |_| 1)).sum()
}

/// A configuration with two plugins and alerts to a file, for agents to run with.
struct Agent {
    config: PathBuf,
    alerts: PathBuf,
}

impl Agent {
    fn new(directory: &Path) -> Agent {
        // Apart from the configuration, which the agent watches by its directory.
        let output = directory.join("output");
        fs::create_dir(&output).unwrap();
        let agent =
            Agent { config: directory.join("config.yaml"), alerts: output.join("alerts.jsonl") };
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let rules = env::var_os("SHIKRA_BENCH_RULES")
            .map_or_else(|| repository.join("rules/k8s_audit_rules.yaml"), PathBuf::from);
        // The plugins lie beside the bench's executable.
        let executable = env::current_exe().unwrap();
        let config = format!(
            "
plugins_dir: {plugins}
load_plugins: [k8saudit, json]
plugins:
  - name: k8saudit
    library_path: libk8saudit.so
  - name: json
    library_path: libjson.so
rules_files: [{rules}]
rule_matching: first
json_output: true
stdout_output: {{enabled: false}}
file_output: {{enabled: true, keep_alive: true, filename: {alerts}}}
webserver: {{enabled: false}}
",
            plugins = executable.parent().unwrap().display(),
            rules = rules.canonicalize().unwrap().display(),
            alerts = agent.alerts.display(),
        );
        fs::write(&agent.config, config).unwrap();
        agent
    }

    /// Starts an agent that reads events from where `open_params` says; from a file it ends by itself.
    fn start(&self, open_params: &str) -> Child {
        self.start_with(open_params, None)
    }

    /// As [`Self::start`], with one rules file more.
    fn start_with(&self, open_params: &str, rules: Option<&PathBuf>) -> Child {
        let rules = rules.map(|path| format!("rules_files[]={}", path.display()));
        self.command()
            .args(["-o", &format!("plugins[0].open_params={open_params}")])
            .args(rules.iter().flat_map(|rules| ["-o", rules.as_str()]))
            .spawn()
            .unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shikra"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.arg("-c").arg(&self.config);
        command
    }

    /// How long an agent takes for all events of a file, from start to end.
    fn time_of_run(&self, events: &Path) -> Duration {
        let start = Instant::now();
        let status = self.start(&events.display().to_string()).wait().unwrap();
        assert!(status.success(), "the agent ended with {status}");
        start.elapsed()
    }

    /// As [`Self::time_of_run`], for `shikra replay`.
    fn time_of_replay(&self, events: &Path) -> Duration {
        let start = Instant::now();
        let status = self.command().arg("replay").arg(events).status().unwrap();
        assert!(status.success(), "the replay ended with {status}");
        start.elapsed()
    }

    /// Removes the alerts, and says how many there were.
    fn take_alerts(&self) -> usize {
        let alerts = fs::read(&self.alerts).unwrap_or_default();
        fs::remove_file(&self.alerts).ok();
        alerts.iter().filter(|&&byte| byte == b'\n').count()
    }
}
