//! A client of the webhook that posts lists of events, as kube-apiserver does.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Events in a body: what kube-apiserver sends at most by default.
const BATCH: usize = 400;
const CONNECTIONS: usize = 4;
/// Posts in a measurement of latency, ten a second.
const PACED_POSTS: u32 = 100;
const PACE: Duration = Duration::from_millis(100);

/// Bodies of [`BATCH`] lines each; a rest is left out.
pub(crate) fn bodies(log: &[u8]) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = log.split(|&b| b == b'\n').filter(|line| !line.is_empty()).collect();
    let list = |lines: &[&[u8]]| {
        let head = br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;
        [head, lines.join(&b',').as_slice(), b"]}"].concat()
    };
    lines.chunks_exact(BATCH).map(list).collect()
}

/// Waits until the agent has loaded its rules.
pub(crate) fn wait_for(address: SocketAddr) {
    Connection::open(address).unwrap();
}

/// Posts every body once over several connections, and returns the events per second.
pub(crate) fn throughput(address: SocketAddr, bodies: &[Vec<u8>]) -> f64 {
    let next = AtomicUsize::new(0);
    wait_for(address);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Connection::open(address).unwrap();
                while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    while connection.post(body).unwrap() == 429 {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
    });
    (bodies.len() * BATCH) as f64 / start.elapsed().as_secs_f64()
}

/// Posts 4,000 events a second, and returns the time of the slowest answer but one in a hundred.
pub(crate) fn latency(address: SocketAddr, bodies: &[Vec<u8>]) -> Duration {
    let mut connection = Connection::open(address).unwrap();
    let mut times = Vec::new();
    let start = Instant::now();
    for (post, body) in (0..PACED_POSTS).zip(bodies) {
        thread::sleep((start + PACE * post).saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        assert_eq!(connection.post(body).unwrap(), 200);
        times.push(sent.elapsed());
    }
    times.sort();
    times[(times.len() * 99).div_ceil(100) - 1]
}

struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Opens a connection once the webhook listens.
    fn open(address: SocketAddr) -> io::Result<Connection> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match TcpStream::connect(address) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Connection { address, stream: BufReader::new(stream) });
                }
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Posts a body and returns the status of the answer.
    fn post(&mut self, body: &[u8]) -> io::Result<u32> {
        let head = format!(
            "POST /k8s-audit HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.stream.get_mut().write_all(body)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        io::copy(&mut io::Read::take(&mut self.stream, length), &mut io::sink())?;
        status.ok_or_else(|| io::Error::other("no answer"))
    }
}
