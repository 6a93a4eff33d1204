//! Log lines to the local syslog daemon.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tracing::Level;

/// Facility "user-level messages", as in stock.
const FACILITY: u8 = 1;

/// A socket that is opened when there is something to send, and again when the daemon was restarted.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    socket: Mutex<Option<UnixDatagram>>,
}

impl Syslog {
    pub(super) fn new(path: PathBuf) -> Syslog {
        Syslog { path, socket: Mutex::default() }
    }

    /// Sends one message. Never waits: a daemon that hangs must not stop what it is told about.
    ///
    /// # Errors
    ///
    /// When no daemon takes it.
    pub(super) fn send(&self, level: Level, message: &str) -> io::Result<()> {
        let priority = FACILITY << 3 | severity(level);
        // The daemon fills in time and host.
        let datagram = format!("<{priority}>shikra[{}]: {message}", std::process::id());
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*socket
            && open.send(datagram.as_bytes()).is_ok()
        {
            return Ok(());
        }
        *socket = None;
        let new = UnixDatagram::unbound()?;
        new.set_nonblocking(true)?;
        new.connect(&self.path)?;
        new.send(datagram.as_bytes())?;
        *socket = Some(new);
        Ok(())
    }
}

fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_gets_messages_with_their_level_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let syslog = Syslog::new(path.clone());
        assert!(syslog.send(Level::INFO, "nobody is there").is_err());
        for (level, expected) in [(Level::ERROR, 11), (Level::WARN, 12), (Level::INFO, 14)] {
            std::fs::remove_file(&path).ok();
            let daemon = UnixDatagram::bind(&path).unwrap();
            syslog.send(level, "text").unwrap();
            let mut datagram = [0; 100];
            let length = daemon.recv(&mut datagram).unwrap();
            let received = String::from_utf8_lossy(&datagram[..length]);
            assert_eq!(received, format!("<{expected}>shikra[{}]: text", std::process::id()));
        }
    }
}
