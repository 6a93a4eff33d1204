//! Senders that know what was acknowledged, and the judge of what was delivered.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::agent::{Agent, Finished, configmap_event_by};
use crate::http;
use crate::receiver::Receiver;

const DEADLINE: Duration = Duration::from_secs(60);

/// How many crashes a test has.
pub(super) fn points() -> usize {
    let points = std::env::var("SHIKRA_FAULT_POINTS");
    points.map_or(12, |points| points.parse().unwrap())
}

/// How long a fault lasts that ends by itself.
pub(super) fn outage() -> Duration {
    let seconds = std::env::var("SHIKRA_OUTAGE_SECONDS");
    Duration::from_secs(seconds.map_or(1, |seconds| seconds.parse().unwrap()))
}

#[expect(clippy::print_stdout, reason = "numbers of a long run, shown by --show-output")]
pub(super) fn tell(numbers: &str) {
    println!("{numbers}");
}

/// Random numbers that are the same in each run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Clients that each post one event after the other, and like the API server again until the answer is 200.
pub(super) struct Load {
    is_stopped: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    senders: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub(super) fn start(port: u16, senders: usize) -> Load {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicUsize::new(0));
        let send = |sender: usize| {
            let count = Arc::clone(&count);
            let stop = Arc::clone(&is_stopped);
            std::thread::spawn(move || {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    let user = format!("u{sender}-{number}");
                    let event = configmap_event_by(&user);
                    while http::try_post(port, &event) != Some(200) {
                        if stop.load(Ordering::Relaxed) {
                            return acknowledged;
                        }
                        std::thread::park_timeout(Duration::from_millis(3));
                    }
                    acknowledged.push(user);
                    count.fetch_add(1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                acknowledged
            })
        };
        let senders = (0..senders).map(send).collect();
        Load { is_stopped, acknowledged: count, senders }
    }

    /// Waits until this many events more are acknowledged.
    #[track_caller]
    pub(super) fn wait_for(&self, events: usize) {
        let goal = self.acknowledged.load(Ordering::Relaxed) + events;
        let deadline = Instant::now() + DEADLINE;
        while self.acknowledged.load(Ordering::Relaxed) < goal {
            assert!(Instant::now() < deadline, "nothing is acknowledged any more");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Ends with the posts under way; returns the users whose events were acknowledged.
    pub(super) fn stop(self) -> Vec<String> {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    }
}

/// How often each user was delivered.
pub(super) type Delivered = BTreeMap<String, usize>;

/// Reads alerts of [`crate::agent::CONFIGMAP_RULE`].
pub(super) fn delivered<'a>(alerts: impl IntoIterator<Item = &'a str>) -> Delivered {
    let mut delivered = Delivered::new();
    for alert in alerts {
        let user = alert.split("user=").nth(1).and_then(|rest| rest.split(' ').next());
        let user = user.unwrap_or_else(|| panic!("no whole alert: {alert:?}"));
        *delivered.entry(user.to_owned()).or_default() += 1;
    }
    delivered
}

/// The alerts in the file that the agent writes.
pub(super) fn delivered_to(path: &Path) -> Delivered {
    delivered(fs::read_to_string(path).unwrap_or_default().lines())
}

/// Waits until nothing that was acknowledged is missing, as long as something arrives; returns what was delivered by then.
#[track_caller]
pub(super) fn wait_for_all(
    acknowledged: &[String],
    delivered: impl Fn() -> Delivered,
) -> Delivered {
    let mut fewest = usize::MAX;
    let mut deadline = Instant::now() + DEADLINE;
    loop {
        let now = delivered();
        let missing: Vec<_> = acknowledged.iter().filter(|user| !now.contains_key(*user)).collect();
        if missing.is_empty() {
            return now;
        }
        if missing.len() < fewest {
            fewest = missing.len();
            deadline = Instant::now() + DEADLINE;
        }
        assert!(
            Instant::now() < deadline,
            "{} of {} acknowledged events are lost, such as {:?}",
            missing.len(),
            acknowledged.len(),
            &missing[..missing.len().min(10)]
        );
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The alerts that a receiver has answered 200.
pub(super) fn delivered_at(receiver: &Receiver) -> Delivered {
    delivered(receiver.received().iter().map(String::as_str))
}

/// Ends load and agent: what was acknowledged was delivered, nothing twice, and all that was received is accounted for.
#[track_caller]
pub(super) fn finish(agent: Agent, load: Load, delivered: impl Fn() -> Delivered) {
    let acknowledged = load.stop();
    assert_no_repeats(&wait_for_all(&acknowledged, delivered));
    balanced_account(&agent.stop(), "k8s_audit");
}

#[track_caller]
pub(super) fn assert_no_repeats(delivered: &Delivered) {
    let repeated: Vec<_> = delivered.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "delivered more than once: {repeated:?}");
}

/// An account as the log tells it at the end.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) received: u64,
    pub(super) evaluated: u64,
    pub(super) rejected: u64,
    pub(super) duplicates: u64,
}

/// Reads the account of an event source, which must be balanced.
#[track_caller]
pub(super) fn balanced_account(finished: &Finished, event_source: &str) -> Account {
    let start = format!("Event source '{event_source}': ");
    let line = finished.stderr.lines().find_map(|line| line.split_once(&start)).map(|(_, a)| a);
    let line = line.unwrap_or_else(|| panic!("no account of {event_source}: {finished:#?}"));
    let before = |word: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let index = words.iter().position(|found| *found == word);
        index.map_or(0, |index| words[index - 1].parse().unwrap())
    };
    let account = Account {
        received: before("received"),
        evaluated: before("evaluated"),
        rejected: before("rejected"),
        duplicates: before("duplicates"),
    };
    let Account { received, evaluated, rejected, duplicates } = account;
    assert_eq!(received, evaluated + rejected + duplicates, "{line}");
    account
}
