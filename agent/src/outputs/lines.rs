//! Alerts as lines on their way to a file descriptor.

use std::io;

use super::Pending;

/// What one write takes together, about.
const CHUNK_BYTES: usize = 64 * 1024;

/// Writes lines; a partial write is continued, never repeated.
#[derive(Debug, Default)]
pub(super) struct LineWriter {
    buffer: Vec<u8>,
    /// How much of the first alert is written already.
    partial: usize,
}

impl LineWriter {
    /// Writes a line for each alert, and takes off those that are written whole.
    pub(super) fn write(
        &mut self,
        alerts: &mut Pending,
        target: &mut impl io::Write,
    ) -> io::Result<()> {
        while !alerts.is_empty() {
            self.buffer.clear();
            for alert in alerts.iter() {
                if self.buffer.len() >= CHUNK_BYTES {
                    break;
                }
                self.buffer.extend_from_slice(alert.line.as_bytes());
                self.buffer.push(b'\n');
            }
            let (mut written, result) = write_from(&self.buffer, self.partial, target);
            while let Some(length) = alerts.front().map(|alert| alert.line.len() + 1)
                && written >= length
            {
                written -= length;
                alerts.pop_front();
            }
            self.partial = written;
            result?;
        }
        target.flush()
    }

    /// The first alert starts anew: whoever got a part of it is gone.
    pub(super) fn forget_partial(&mut self) {
        self.partial = 0;
    }
}

/// Writes what follows `start`; returns where the written part ends.
fn write_from(bytes: &[u8], start: usize, target: &mut impl io::Write) -> (usize, io::Result<()>) {
    let mut written = start;
    while written < bytes.len() {
        match target.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::pending;
    use super::*;

    #[test]
    fn a_partial_write_is_continued() {
        struct OneByte(Vec<u8>, bool);
        impl io::Write for OneByte {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.0.extend(bytes.first());
                Ok(bytes.len().min(1))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = LineWriter::default();
        let mut target = OneByte(Vec::new(), false);
        let mut alerts = pending(&["ab", "c"]);
        let mut lengths = Vec::new();
        while writer.write(&mut alerts, &mut target).is_err() {
            lengths.push(alerts.len());
        }
        assert_eq!(target.0, b"ab\nc\n");
        assert_eq!(lengths, [2, 2, 2, 1, 1]);
    }
}
