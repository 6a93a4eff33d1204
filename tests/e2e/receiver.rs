//! A receiver of the http output, which can be out of order.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Answered with this status; what is answered 200 counts as received.
    Status(u16),
    /// Read, and never answered.
    Hang,
    /// The connection is closed before the request is read.
    Down,
}

/// Listens until the end of the test.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    mode: Mode,
    requests: usize,
    received: Vec<String>,
}

impl Receiver {
    pub(crate) fn start(mode: Mode) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { mode, requests: 0, received: Vec::new() };
        let receiver = Receiver { port, state: Arc::new(Mutex::new(state)) };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(connection.unwrap()));
            }
        });
        receiver
    }

    /// The option that sends alerts here.
    pub(crate) fn option(&self) -> String {
        format!("http_output={{enabled: true, url: \"http://127.0.0.1:{}/\"}}", self.port)
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    /// The alerts so far.
    pub(crate) fn received(&self) -> Vec<String> {
        self.state.lock().unwrap().received.clone()
    }

    /// Waits until this many requests have come since now.
    #[track_caller]
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let requests = || self.state.lock().unwrap().requests;
        let (before, deadline) = (requests(), Instant::now() + DEADLINE);
        while requests() < before + count {
            assert!(Instant::now() < deadline, "no request");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Waits until an alert with this text has come.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.received().iter().any(|alert| alert.contains(text)) {
            assert!(Instant::now() < deadline, "no {text:?} in {:#?}", self.received());
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn mode(&self) -> Mode {
        let mut state = self.state.lock().unwrap();
        state.requests += 1;
        state.mode
    }

    /// Answers requests until the client closes the connection.
    fn serve(&self, mut connection: TcpStream) {
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        while let Some(body) = read_request(&mut reader) {
            let status = match self.mode() {
                Mode::Status(status) => status,
                Mode::Hang => {
                    // Ends with the client's patience.
                    reader.read_to_end(&mut Vec::new()).ok();
                    return;
                }
                Mode::Down => return,
            };
            if status == 200 {
                self.state.lock().unwrap().received.push(body);
            }
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            if connection.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(String::from_utf8(body).unwrap())
}
