//! Alerts to the local syslog daemon.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use super::{Output, Pending};
use crate::alert::Alert;

/// Where the daemon of a Linux system listens.
pub(crate) const SOCKET: &str = "/dev/log";

/// Facility "user-level messages", as in stock.
const FACILITY: u8 = 1;

/// The system's number for "message too long", for which std has no name.
const EMSGSIZE: i32 = 90;

/// Sends a datagram for each alert; the alert's priority is the severity.
///
/// Source: `outputs_syslog.cpp` in Falco 0.45-dev, and RFC 3164 for the form of the datagram.
#[derive(Debug)]
pub(crate) struct SyslogOutput {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl SyslogOutput {
    pub(crate) fn new(path: PathBuf) -> Self {
        SyslogOutput { path, socket: None }
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot reach {}: {error}", self.path.display()))
        })?;
        Ok(socket)
    }
}

fn datagram(alert: &Alert) -> Vec<u8> {
    let priority = FACILITY << 3 | alert.priority as u8;
    let process = std::process::id();
    // Daemons on the same machine fill in time and host.
    format!("<{priority}>shikra[{process}]: {}", alert.line).into_bytes()
}

impl Output for SyslogOutput {
    fn name(&self) -> &'static str {
        "syslog"
    }

    fn deliver(&mut self, alerts: &mut Pending) -> io::Result<()> {
        while let Some(alert) = alerts.front() {
            let mut datagram = datagram(alert);
            let socket = match self.socket.take() {
                Some(socket) => socket,
                None => self.connect()?,
            };
            loop {
                match socket.send(&datagram) {
                    Ok(_) => break,
                    // What no socket can carry would stop all that follows.
                    Err(error) if error.raw_os_error() == Some(EMSGSIZE) => {
                        datagram.truncate(datagram.len() / 2);
                        let length = datagram.len();
                        tracing::warn!("syslog: an alert is too long, cut to {length} bytes");
                    }
                    // A daemon that was restarted has a new socket: the next try connects again.
                    Err(error) => return Err(error),
                }
            }
            self.socket = Some(socket);
            alerts.pop_front();
        }
        Ok(())
    }

    fn reopen(&mut self) {
        self.socket = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::pending;
    use super::*;

    #[test]
    fn sends_the_priority_as_severity_and_survives_a_restart_of_the_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut output = SyslogOutput::new(path.clone());
        let mut alerts = pending(&["a"]);
        assert_eq!(output.deliver(&mut alerts).unwrap_err().kind(), io::ErrorKind::NotFound);
        for line in ["b", "c"] {
            std::fs::remove_file(&path).ok();
            let daemon = UnixDatagram::bind(&path).unwrap();
            alerts.append(&mut pending(&[line]));
            while output.deliver(&mut alerts).is_err() {}
            let mut received = String::new();
            while !received.contains(line) {
                let mut datagram = [0; 100];
                let length = daemon.recv(&mut datagram).unwrap();
                received = String::from_utf8(datagram[..length].to_vec()).unwrap();
            }
            // 15 = facility 1, severity debug.
            assert_eq!(received, format!("<15>shikra[{}]: {line}", std::process::id()));
        }
    }

    #[test]
    fn an_alert_that_is_too_long_is_cut_and_does_not_stop_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut output = SyslogOutput::new(path);
        output.deliver(&mut pending(&[&"x".repeat(16 << 20), "next"])).unwrap();
        let mut datagram = vec![0; 16 << 20];
        let length = daemon.recv(&mut datagram).unwrap();
        assert!(datagram[..length].ends_with(b"xxx"));
        let length = daemon.recv(&mut datagram).unwrap();
        assert!(datagram[..length].ends_with(b": next"));
    }
}
