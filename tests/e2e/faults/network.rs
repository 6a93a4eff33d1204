//! Clients that break off, dawdle and come again.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::model::{Load, assert_no_repeats, balanced_account, delivered_to, wait_for_all};
use crate::agent::{Setup, configmap_event_by};
use crate::http;

const FILE: &str = "file_output={enabled: true, filename: alerts.txt}";

fn connect(setup: &Setup) -> TcpStream {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match TcpStream::connect(("127.0.0.1", setup.webhook_port)) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

fn head(length: usize) -> String {
    format!(
        "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[test]
fn connections_cut_in_mid_body_and_slow_clients_harm_nobody() {
    let setup = Setup::new();
    let agent = setup.start(&["-o", FILE]);
    // They stay open, and never say anything whole.
    let mut slow: Vec<TcpStream> = (0..50).map(|_| connect(&setup)).collect();
    let load = Load::start(setup.webhook_port, 3);
    for round in 0..40 {
        let event = configmap_event_by(&format!("cut-{round}"));
        let mut connection = connect(&setup);
        connection.write_all(head(event.len()).as_bytes()).unwrap();
        let part = event.len() * round / 40;
        connection.write_all(&event.as_bytes()[..part]).unwrap();
        drop(connection);
        for connection in &mut slow {
            // The agent may have closed it.
            connection.write_all(b"P").ok();
        }
    }
    load.wait_for(50);
    let acknowledged = load.stop();
    let finished = agent.stop();
    let account = balanced_account(&finished, "k8s_audit");
    assert_eq!(account.received, acknowledged.len() as u64);
    let delivered = wait_for_all(&acknowledged, || delivered_to(&setup.path("alerts.txt")));
    assert_no_repeats(&delivered);
    assert_eq!(delivered.len(), acknowledged.len());
}

/// A sender that loses patience sends the same batch again while the first still waits.
#[test]
fn what_is_sent_again_is_delivered_once() {
    let setup = Setup::new();
    let file = "file_output={enabled: true, filename: later/alerts.txt}";
    let mut agent = setup.start(&["-o", file]);
    let users: Vec<String> = (0..5).map(|number| format!("again-{number}")).collect();
    let batch =
        format!("[{}]", users.iter().map(|u| configmap_event_by(u)).collect::<Vec<_>>().join(","));
    for round in 0..5 {
        let mut connection = connect(&setup);
        connection.write_all((head(batch.len()) + &batch).as_bytes()).unwrap();
        if round == 0 {
            agent.wait_for_log("failed to open output file");
        }
        // Given up without an answer.
        drop(connection);
    }
    let port = setup.webhook_port;
    let last = std::thread::spawn(move || http::try_post(port, &batch));
    std::fs::create_dir(setup.path("later")).unwrap();
    assert_eq!(last.join().unwrap(), Some(200));
    let delivered = wait_for_all(&users, || delivered_to(&setup.path("later/alerts.txt")));
    assert_no_repeats(&delivered);
    let account = balanced_account(&agent.stop(), "k8s_audit");
    assert_eq!(account.evaluated, 5);
    assert!(account.duplicates >= 5, "{account:?}");
}
