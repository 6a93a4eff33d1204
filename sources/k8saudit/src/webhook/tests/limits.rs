//! What a client may take of the webhook: time, connections, memory.

use super::*;

/// The server closes without an answer to a request.
#[track_caller]
fn check_closed(mut stream: TcpStream) {
    let closed = stream.read_to_end(&mut Vec::new());
    assert!(
        !closed.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "still open: {closed:?}"
    );
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[test]
fn slow_clients_are_disconnected() {
    let short = Duration::from_millis(100);
    let webhook = open_with(&Config::default(), Limits { greeting: short, ..LIMITS });
    check_closed(connect(webhook.address));
    let mut headers = connect(webhook.address);
    headers.write_all(b"POST /k8s-audit HTTP/1.1\r\nhost:").unwrap();
    check_closed(headers);

    let webhook = open_with(&Config::default(), Limits { body: short, ..LIMITS });
    let length = format!("{JSON}content-length: 100\r\n");
    let body = send(webhook.address, "POST /k8s-audit", &length, "{");
    assert_eq!(answer(body), "408 the body did not arrive in time");
    wait_for_used_bytes(&webhook, 0);

    let idle = Duration::from_millis(500);
    let webhook = open_with(&Config::default(), Limits { idle, ..LIMITS });
    let mut kept = connect(webhook.address);
    kept.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    check_closed(kept);
}

#[test]
fn slow_clients_shut_nobody_out() {
    let webhook = open(&Config::default());
    let address = webhook.address;
    let length = format!("{JSON}content-length: {}\r\n", Config::default().webhook_max_batch_size);
    let bodies: Vec<_> = (0..20).map(|_| send(address, "POST /k8s-audit", &length, "{")).collect();
    let silent: Vec<_> = (0..20).map(|_| connect(address)).collect();
    wait_for_used_bytes(&webhook, bodies.len());
    let host = Host::start(webhook);
    assert_eq!(answer(post(address, &event("a"))), "200");
    drop((bodies, silent));
    assert_eq!(host.finish(), [event("a")]);
}

#[test]
fn a_connection_that_is_cut_leaves_nothing() {
    let webhook = open(&Config::default());
    let body = event("a");
    let length = format!("{JSON}content-length: {}\r\n", body.len());
    let cut = &body[..body.len() - 1];
    drop(send(webhook.address, "POST /k8s-audit", &length, cut));
    wait_for_used_bytes(&webhook, 0);
    let chunked = format!("{JSON}transfer-encoding: chunked\r\n");
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    drop(send(webhook.address, "POST /k8s-audit", &chunked, chunk));
    wait_for_used_bytes(&webhook, 0);

    let address = webhook.address;
    let host = Host::start(webhook);
    assert_eq!(answer(post(address, &event("b"))), "200");
    assert_eq!(host.finish(), [event("b")]);
}

#[test]
fn connections_are_bounded() {
    let webhook = open_with(&Config::default(), Limits { connections: 2, ..LIMITS });
    let address = webhook.address;
    let counters_full = [(); 2].map(|()| connect(address));
    // Once the server has seen both, it closes every other at once.
    wait_for(|| webhook.handle.connection_count() == 2, "they do not count");
    check_closed(connect(address));
    drop(counters_full);
    wait_for(|| webhook.handle.connection_count() == 0, "they still count");
    let host = Host::start(webhook);
    assert_eq!(answer(post(address, &event("a"))), "200");
    host.finish();
}

#[test]
fn headers_are_bounded() {
    let webhook = open(&Config::default());
    let headers = format!("x: {}\r\n", "x".repeat(2 * MAX_HEADER_BYTES as usize));
    let refused = answer(send(webhook.address, "POST /k8s-audit", &headers, ""));
    assert!(refused.starts_with("431"), "{refused}");
}
