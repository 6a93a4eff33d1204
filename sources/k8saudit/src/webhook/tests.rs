use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use plugin_support::events::Events;

use super::*;
use crate::event_list::EventReader;

const DEADLINE: Duration = Duration::from_secs(10);
const LIMIT: BatchLimit = BatchLimit { events: 2, bytes: 1 << 20 };
const JSON: &str = "content-type: application/json\r\n";

fn event(id: &str) -> String {
    format!(r#"{{"kind":"Event","auditID":"{id}","stageTimestamp":"2024-01-02T03:04:05Z"}}"#)
}

fn local(path: &str) -> Address {
    Address { tls: false, host: "127.0.0.1".into(), port: 0, path: path.into() }
}

fn open(config: &Config) -> Webhook {
    open_with(config, LIMITS)
}

fn open_with(config: &Config, limits: Limits) -> Webhook {
    Webhook::open_with(&local("/k8s-audit"), config, &Arc::default(), limits).unwrap()
}

/// A host that asks for batches all the time.
struct Host {
    stop: Arc<AtomicBool>,
    pulling: JoinHandle<Vec<String>>,
}

impl Host {
    fn start(mut webhook: Webhook) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let pulling = thread::spawn(move || {
            let mut payloads = Vec::new();
            while !stopping.load(Ordering::Relaxed) {
                pull(&mut webhook, &mut payloads);
            }
            payloads
        });
        Self { stop, pulling }
    }

    /// Closes the source; returns the payloads of all events.
    fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.pulling.join().unwrap()
    }
}

fn pull(webhook: &mut Webhook, payloads: &mut Vec<String>) -> usize {
    let add = |event: Event<'_>| {
        payloads.push(String::from_utf8_lossy(event.payload).into_owned());
        Ok(())
    };
    webhook.pull(Duration::from_millis(10), LIMIT, add).unwrap()
}

#[track_caller]
fn pull_until_events(webhook: &mut Webhook) -> Vec<String> {
    let deadline = Instant::now() + DEADLINE;
    let mut payloads = Vec::new();
    while pull(webhook, &mut payloads) == 0 {
        assert!(Instant::now() < deadline, "no event arrived");
    }
    payloads
}

/// Sends a request and leaves the answer to be read.
fn send(address: SocketAddr, request: &str, headers: &str, body: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!("{request} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n");
    // The server may close as soon as it has seen enough; what it answered is there to be read all the same.
    stream.write_all(&[head.as_bytes(), body.as_ref()].concat()).ok();
    stream
}

fn post(address: SocketAddr, body: &str) -> TcpStream {
    let headers = format!("{JSON}content-length: {}\r\n", body.len());
    send(address, "POST /k8s-audit", &headers, body)
}

/// Status and body of an answer.
fn answer(mut stream: impl Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    format!("{} {}", head.split(' ').nth(1).unwrap(), body.trim_end()).trim_end().to_owned()
}

fn is_silent(stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let silent = stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    silent
}

/// H1 to H11 of the audit plugin's HTTP cases; the address and the limit are those of `requests_are_answered`.
#[track_caller]
fn check(address: SocketAddr, request: &str, headers: &str, body: &str, expected: &str) {
    let length = match headers.contains("transfer-encoding") {
        true => String::new(),
        false => format!("content-length: {}\r\n", body.len()),
    };
    let headers = format!("{headers}{length}");
    assert_eq!(answer(send(address, request, &headers, body)), expected, "{request} {headers}");
}

#[test]
fn requests_are_answered() {
    let config = Config { webhook_max_batch_size: 100, duplicate_window: 0, ..Config::default() };
    let webhook = open(&config);
    let address = webhook.address;
    let host = Host::start(webhook);
    let body = event("a");
    let too_large = "413 bad request: request body too large, webhookMaxBatchSize is 100";

    check(address, "POST /k8s-audit", JSON, &body, "200");
    check(address, "GET /k8s-audit", JSON, "", "405 GET method not allowed");
    check(address, "PUT /k8s-audit", JSON, &body, "405 PUT method not allowed");
    check(address, "POST /k8s-audit", "", &body, "400 wrong Content Type");
    check(
        address,
        "POST /k8s-audit",
        "content-type: text/plain\r\n",
        &body,
        "400 wrong Content Type",
    );
    check(
        address,
        "POST /k8s-audit",
        "content-type: application/json; charset=utf-8\r\n",
        &body,
        "200",
    );
    check(address, "POST /k8s-audit", "content-type: Application/JSON\r\n", &body, "200");
    check(address, "POST /other", JSON, &body, "404 404 page not found");
    check(address, "POST /k8s-audit/", JSON, &body, "404 404 page not found");
    check(address, "POST //k8s-audit", JSON, &body, "404 404 page not found");
    check(address, "POST /k8s-audit?timeout=30s", JSON, &body, "200");
    let brotli = format!("{JSON}content-encoding: br\r\n");
    let only_gzip = "415 of content encodings, only gzip is supported";
    check(address, "POST /k8s-audit", &brotli, &body, only_gzip);

    let chunked = format!("{JSON}transfer-encoding: chunked\r\n");
    let chunks = |text: &str| format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    check(address, "POST /k8s-audit", &chunked, &chunks(&body), "200");
    check(address, "POST /k8s-audit", &chunked, &chunks(&body.repeat(2)), too_large);
    check(address, "POST /k8s-audit", JSON, &body.repeat(2), too_large);

    check(address, "POST /k8s-audit", JSON, "{\"kind\":0}", "200");
    check(
        address,
        "POST /k8s-audit",
        JSON,
        "",
        "400 bad request: invalid JSON at byte 0: a value is missing",
    );
    check(
        address,
        "POST /k8s-audit",
        JSON,
        "{not json",
        "400 bad request: invalid JSON at byte 1: an object's key is missing",
    );
    assert_eq!(host.finish(), vec![body; 5]);
}

#[test]
fn a_post_is_answered_when_its_last_event_was_processed() {
    let mut webhook = open(&Config::default());
    let body = format!("[{},{},{}]", event("1"), event("2"), event("3"));
    let client = post(webhook.address, &body);
    assert_eq!(pull_until_events(&mut webhook), [event("1"), event("2")]);
    assert_eq!(pull_until_events(&mut webhook), [event("3")]);
    assert!(is_silent(&client));
    assert_eq!(pull(&mut webhook, &mut Vec::new()), 0);
    assert_eq!(answer(client), "200");
}

#[test]
fn closing_answers_what_was_processed_and_what_was_not() {
    let mut webhook = open(&Config::default());
    let client = post(webhook.address, &event("1"));
    assert_eq!(pull_until_events(&mut webhook), [event("1")]);
    drop(webhook);
    assert_eq!(answer(client), "200");

    let mut webhook = open(&Config::default());
    let client = post(webhook.address, &format!("[{},{},{}]", event("1"), event("2"), event("3")));
    assert_eq!(pull_until_events(&mut webhook), [event("1"), event("2")]);
    drop(webhook);
    assert_eq!(answer(client), "503 shutting down, the events were not processed");
}

#[track_caller]
fn wait_for(condition: impl Fn() -> bool, otherwise: &str) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{otherwise}");
        thread::yield_now();
    }
}

#[track_caller]
fn wait_for_used_bytes(webhook: &Webhook, expected: usize) {
    let used_bytes = || webhook.receiver.as_ref().unwrap().used_bytes();
    wait_for(|| used_bytes() == expected, &format!("the room was never {expected}"));
}

/// The room that an event takes until it was processed, where there is plenty: with what parsing has found in it.
fn room_for(event: &str) -> usize {
    let mut events = Events::default();
    EventReader::new(None, Arc::default()).read_body(event.as_bytes(), &mut events).unwrap();
    assert!(events.bytes() > 2 * event.len());
    events.bytes()
}

/// H12
#[test]
fn when_full_the_sender_keeps_its_events() {
    let config =
        Config { webhook_max_batch_size: 100, webhook_max_queued_bytes: 100, ..Config::default() };
    let webhook = open(&config);
    let length = format!("{JSON}content-length: 100\r\n");
    let greedy = send(webhook.address, "POST /k8s-audit", &length, [b'{'; 50]);
    wait_for_used_bytes(&webhook, 50);

    let mut refused = String::new();
    post(webhook.address, &event("a")).read_to_string(&mut refused).unwrap();
    assert!(
        refused.starts_with("HTTP/1.1 429 ") && refused.contains("retry-after: 1\r\n"),
        "{refused}"
    );

    drop(greedy);
    wait_for_used_bytes(&webhook, 0);
    let address = webhook.address;
    let host = Host::start(webhook);
    assert_eq!(answer(post(address, &event("a"))), "200");
    host.finish();
}

#[test]
fn many_clients_at_once_lose_nothing_and_keep_the_order_of_each_body() {
    let webhook = open(&Config::default());
    let address = webhook.address;
    let host = Host::start(webhook);
    let client = |name: usize| {
        move || {
            for body in 0..20 {
                let events: Vec<String> =
                    (0..3).map(|n| event(&format!("{name}-{body}-{n}"))).collect();
                let list = format!(r#"{{"kind":"EventList","items":[{}]}}"#, events.join(","));
                assert_eq!(answer(post(address, &list)), "200");
            }
        }
    };
    let clients: Vec<_> = (0..4).map(|name| thread::spawn(client(name))).collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let payloads = host.finish();
    assert_eq!(payloads.len(), 4 * 20 * 3);
    for three in payloads.chunks(3) {
        let (body, _) = three[0].split_once("-0\"").unwrap();
        assert!(three[1].starts_with(body) && three[2].starts_with(body), "{three:?}");
    }
}

mod bodies;
mod clients;
mod limits;
