//! Bodies: gzip, and events that come again.

use flate2::{Compression, write::GzEncoder};

use super::*;

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

#[track_caller]
fn check_gzip(address: SocketAddr, encoding: &str, body: &[u8], expected: &str) {
    let length = body.len();
    let headers = format!("{JSON}content-encoding: {encoding}\r\ncontent-length: {length}\r\n");
    let got = answer(send(address, "POST /k8s-audit", &headers, body));
    assert!(got.starts_with(expected), "{got}");
}

#[test]
fn gzip_is_understood() {
    let webhook = open(&Config { duplicate_window: 0, ..Config::default() });
    let address = webhook.address;
    let host = Host::start(webhook);
    let (a, b) = (event("a"), event("b"));
    check_gzip(address, "gzip", &gzip(&a), "200");
    check_gzip(address, "X-GZIP", &gzip(&a), "200");
    // Several members are one stream.
    check_gzip(address, "gzip", &[gzip(&a), gzip(&b)].concat(), "200");
    // Large enough for several steps.
    let many = format!("[{}{b}]", format!("{a},").repeat(5_000));
    check_gzip(address, "gzip", &gzip(&many), "200");
    check_gzip(address, "identity", a.as_bytes(), "200");

    let cut = &gzip(&a)[..20];
    check_gzip(address, "gzip", cut, "400 bad request: gzip: ");
    check_gzip(address, "gzip", a.as_bytes(), "400 bad request: gzip: ");
    check_gzip(address, "gzip", &gzip("{not json"), "400 bad request: invalid JSON at byte 1");
    check_gzip(address, "gzip, gzip", &gzip(gzip(&a)), "415");
    assert_eq!(host.finish().len(), 2 + 2 + 5_001 + 1);
}

#[test]
fn the_limit_of_a_body_is_that_of_its_text() {
    let webhook = open(&Config { webhook_max_batch_size: 1 << 20, ..Config::default() });
    let bomb = gzip(vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 17);
    let too_large = "413 bad request: request body too large, webhookMaxBatchSize is 1048576";
    check_gzip(webhook.address, "gzip", &bomb, too_large);
    let blanks = " ".repeat((1 << 20) - event("a").len());
    let longest = gzip(event("a") + &blanks);
    let client = send(
        webhook.address,
        "POST /k8s-audit",
        &format!("{JSON}content-encoding: gzip\r\ncontent-length: {}\r\n", longest.len()),
        &longest,
    );
    let mut webhook = webhook;
    assert_eq!(pull_until_events(&mut webhook), [event("a")]);
    drop(webhook);
    assert_eq!(answer(client), "200");
}

#[test]
fn what_decodes_to_more_than_there_is_room_for_is_postponed() {
    let webhook = open(&Config {
        webhook_max_batch_size: 1000,
        webhook_max_queued_bytes: 1000,
        ..Config::default()
    });
    let text = format!("{:1000}", event("a"));
    check_gzip(webhook.address, "gzip", &gzip(text), "429");
    wait_for_used_bytes(&webhook, 0);
}

fn staged(id: &str, stage: &str, verb: &str) -> String {
    format!(
        r#"{{"kind":"Event","auditID":"{id}","stage":"{stage}","verb":"{verb}","stageTimestamp":"2024-01-02T03:04:05Z"}}"#
    )
}

/// What the host gets of bodies that are sent one after the other, all answered 200.
#[track_caller]
fn check_duplicates(window: u32, bodies: &[&str], expected: &[&str]) {
    let counters = Arc::new(Counters::default());
    let config = Config { duplicate_window: window, ..Config::default() };
    let webhook = Webhook::open(&local("/k8s-audit"), &config, &counters).unwrap();
    let address = webhook.address;
    let host = Host::start(webhook);
    for body in bodies {
        assert_eq!(answer(post(address, body)), "200");
    }
    let payloads = host.finish();
    assert_eq!(payloads, expected);
    let sent: usize = bodies.iter().map(|body| body.matches("auditID").count()).sum();
    assert_eq!(counters.duplicates.value(), (sent - payloads.len()) as u64);
}

#[test]
fn an_event_that_comes_again_is_dropped() {
    let [a, b, c] = ["a", "b", "c"].map(|id| staged(id, "ResponseComplete", "get"));
    check_duplicates(300, &[&a, &b, &a, &a], &[&a, &b]);
    check_duplicates(300, &[&format!("[{a},{b}]"), &format!("[{b},{c},{a}]")], &[&a, &b, &c]);
    let list =
        format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{a}, {b}]}}"#);
    check_duplicates(300, &[&list, &list, &format!("{b}\n{c}"), &a], &[&a, &b, &c]);
    check_duplicates(300, &[&format!("[{a},{a}]")], &[&a]);
    check_duplicates(300, &[&a, &format!("  {a} ")], &[&a]);
    check_duplicates(0, &[&a, &a], &[&a, &a]);

    let started = staged("a", "ResponseStarted", "get");
    check_duplicates(300, &[&a, &started], &[&a, &started]);
    // Whoever chooses the id of a request cannot hide it behind another.
    let other = staged("a", "ResponseComplete", "delete");
    check_duplicates(300, &[&a, &other], &[&a, &other]);
}

#[test]
fn a_duplicate_of_what_waits_is_answered_with_it() {
    let mut webhook = open(&Config::default());
    let first = post(webhook.address, &event("a"));
    let room = room_for(&event("a"));
    wait_for_used_bytes(&webhook, room);
    let again = post(webhook.address, &event("a"));
    wait_for(|| webhook.counters.duplicates.value() == 1, "no duplicate");
    // The event waits once, however often it comes.
    assert_eq!(webhook.receiver.as_ref().unwrap().used_bytes(), room);
    assert_eq!(pull_until_events(&mut webhook), [event("a")]);
    assert!(is_silent(&first) && is_silent(&again));
    // The API server has given up the first request.
    drop(first);
    assert_eq!(answer_while_pulling(&mut webhook, again), "200");
}

/// Pulls until a request is answered; there must be no event.
#[track_caller]
fn answer_while_pulling(webhook: &mut Webhook, client: TcpStream) -> String {
    let waiting = thread::spawn(move || answer(client));
    while !waiting.is_finished() {
        assert_eq!(pull(webhook, &mut Vec::new()), 0);
    }
    waiting.join().unwrap()
}

#[test]
fn what_was_refused_is_taken_when_it_comes_again() {
    let config =
        Config { webhook_max_batch_size: 100, webhook_max_queued_bytes: 100, ..Config::default() };
    let mut webhook = open(&config);
    let first = post(webhook.address, &event("a"));
    wait_for_used_bytes(&webhook, event("a").len());
    let full = answer(post(webhook.address, &event("b")));
    assert!(full.starts_with("429"), "{full}");
    assert_eq!(pull_until_events(&mut webhook), [event("a")]);
    assert_eq!(answer_while_pulling(&mut webhook, first), "200");
    let again = post(webhook.address, &event("b"));
    assert_eq!(pull_until_events(&mut webhook), [event("b")]);
    assert_eq!(answer_while_pulling(&mut webhook, again), "200");
}

#[test]
fn after_a_failure_nothing_is_acknowledged() {
    let mut webhook = open(&Config::default());
    let first = post(webhook.address, &event("a"));
    let room = room_for(&event("a"));
    wait_for_used_bytes(&webhook, room);
    let again = post(webhook.address, &event("a"));
    wait_for(|| webhook.counters.duplicates.value() == 1, "no duplicate");
    // The event waits once, however often it comes.
    assert_eq!(webhook.receiver.as_ref().unwrap().used_bytes(), room);
    webhook.pull(DEADLINE, LIMIT, |_| anyhow::bail!("no")).unwrap_err();
    let refused = "503 shutting down, the events were not processed";
    assert_eq!([answer(first), answer(again)], [refused; 2]);
    assert_eq!(answer(post(webhook.address, &event("a"))), refused);
    webhook.pull(Duration::ZERO, LIMIT, |_| Ok(())).unwrap_err();
}
