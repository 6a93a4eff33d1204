//! An API server whose batches are refused, and that sends them again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::model::{
    Random, assert_no_repeats, balanced_account, delivered_at, outage, tell, wait_for_all,
};
use crate::agent::{Setup, configmap_event_by};
use crate::http;
use crate::receiver::{Mode, Receiver};

const EVENTS: usize = 20;
const TRIES: u32 = 5;
/// How often a try is repeated because the answer says when to come again.
const REPETITIONS: u32 = 10;

/// Sends batches as kube-apiserver does, at another speed: each batch five times at most, with pauses that grow, and each of
/// these tries ten times more where the answer says when to come again. Who gets no answer within half a minute gives up that try.
///
/// Source: `plugin/pkg/audit/webhook` and `pkg/util/webhook` in apiserver, `rest/request.go` in client-go.
struct ApiServer {
    is_stopped: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    senders: Vec<JoinHandle<Vec<String>>>,
}

impl ApiServer {
    /// `second` is what a second of the API server takes here.
    fn start(port: u16, senders: usize, second: Duration) -> ApiServer {
        let (is_stopped, refused) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let send = |sender: usize| {
            let client = Client { port, second, refused: Arc::clone(&refused) };
            let stop = Arc::clone(&is_stopped);
            std::thread::spawn(move || {
                let mut random = Random(0xa91 + sender as u64);
                let mut acknowledged = Vec::new();
                for batch in 0.. {
                    let users: Vec<_> =
                        (0..EVENTS).map(|number| format!("b{sender}-{batch}-{number}")).collect();
                    if client.send(&users, &mut random) {
                        acknowledged.extend(users);
                    }
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                acknowledged
            })
        };
        let senders = (0..senders).map(send).collect();
        ApiServer { is_stopped, refused, senders }
    }

    /// Ends with the batches under way; returns the users whose events were acknowledged, and how many requests were answered 429.
    fn stop(self) -> (Vec<String>, usize) {
        self.is_stopped.store(true, Ordering::Relaxed);
        let acknowledged =
            self.senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
        (acknowledged, self.refused.load(Ordering::Relaxed))
    }
}

struct Client {
    port: u16,
    second: Duration,
    refused: Arc<AtomicUsize>,
}

impl Client {
    /// Whether a batch was acknowledged in the end.
    fn send(&self, users: &[String], random: &mut Random) -> bool {
        let events: Vec<_> = users.iter().map(|user| configmap_event_by(user)).collect();
        let batch = format!(r#"{{"kind":"EventList","items":[{}]}}"#, events.join(","));
        let mut pause = 10 * self.second;
        for _ in 0..TRIES {
            if self.try_send(&batch) {
                return true;
            }
            std::thread::sleep(pause + pause * random.below(20) as u32 / 100);
            pause = pause * 3 / 2;
        }
        false
    }

    fn try_send(&self, batch: &str) -> bool {
        for _ in 0..REPETITIONS {
            let answer = http::try_post_within(30 * self.second, self.port, batch);
            let Some(answer) = answer else { return false };
            if answer.status != 429 {
                return answer.status == 200;
            }
            assert!(answer.head.contains("\r\nretry-after: 1"), "{answer:?}");
            self.refused.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(self.second);
        }
        false
    }
}

#[test]
fn batches_that_are_refused_again_and_again_arrive_once() {
    let setup = Setup::new();
    let receiver = Receiver::start(Mode::Down);
    // Room for one batch.
    let init = "plugins[0].init_config={webhookMaxQueuedBytes: 65536, webhookMaxBatchSize: 65536}";
    let http = receiver.option();
    let options = ["-o", init, "-o", &http, "-o", "stdout_output.enabled=false"];
    let mut agent = setup.start(&options);
    agent.wait_for_log("Opening 'k8s_audit' source");
    // What is a minute there is the time of the fault here.
    let api_server = ApiServer::start(setup.webhook_port, 6, outage() / 60);
    std::thread::sleep(outage());
    receiver.set(Mode::Status(200));
    receiver.wait_for_requests(10 * EVENTS);
    let (acknowledged, refused) = api_server.stop();
    assert_no_repeats(&wait_for_all(&acknowledged, || delivered_at(&receiver)));
    let account = balanced_account(&agent.stop(), "k8s_audit");
    tell(&format!("{} events acknowledged, {refused} requests refused", acknowledged.len()));
    assert!(refused > 20 && acknowledged.len() >= 9 * EVENTS, "{refused} {}", acknowledged.len());
    // The one that found room was given up by its sender before it was answered.
    assert!(account.duplicates >= EVENTS as u64, "{account:?}");
}
