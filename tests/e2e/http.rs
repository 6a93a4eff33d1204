//! A small HTTP client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);

/// An answer: status, head and body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and the headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn read(text: &str) -> Option<Answer> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }
}

pub(crate) fn get(port: u16, path: &str) -> Answer {
    request(port, &format!("GET {path} HTTP/1.1"), "")
}

/// Asks until the answer has the given status, at most until the deadline; returns the last answer.
pub(crate) fn get_until(port: u16, path: &str, status: u16) -> Answer {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = get(port, path);
        if answer.status == status || Instant::now() > deadline {
            return answer;
        }
        std::thread::yield_now();
    }
}

/// Posts JSON to the webhook, which may not listen or may end; `None` if there is no answer.
pub(crate) fn try_post(port: u16, body: &str) -> Option<u16> {
    try_post_within(DEADLINE, port, body).map(|answer| answer.status)
}

/// As [`try_post`], with less patience.
pub(crate) fn try_post_within(patience: Duration, port: u16, body: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(patience)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nHost: localhost\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Answer::read(&answer)
}

/// Posts JSON to the webhook.
pub(crate) fn post(port: u16, body: &str) -> Answer {
    request(port, "POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json", body)
}

/// Sends a request; until something listens on the port, tries again.
pub(crate) fn request(port: u16, head: &str, body: &str) -> Answer {
    let deadline = Instant::now() + DEADLINE;
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "nothing listens on {port}: {error}"),
        }
        std::thread::yield_now();
    };
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let length = body.len();
    let request = format!(
        "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    // A server that refuses a large body answers before it has read it, and may close at once.
    let sent = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let received = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    Answer::read(&answer).unwrap_or_else(|| panic!("no answer: {sent:?}, {received:?}, {answer:?}"))
}
