//! Alerts appended to a file.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;

use super::lines::LineWriter;
use super::{Output, Pending};

/// Appends a line for each alert; creates the file where it is missing.
///
/// Source: `outputs_file.cpp` in Falco 0.45-dev. There a file that cannot be opened loses the alert; here it is
/// kept and tried again.
#[derive(Debug)]
pub(crate) struct FileOutput {
    path: PathBuf,
    keep_alive: bool,
    file: Option<File>,
    lines: LineWriter,
}

impl FileOutput {
    /// With `keep_alive` the file stays open between writes, until [`Output::reopen`].
    pub(crate) fn new(path: PathBuf, keep_alive: bool) -> Self {
        FileOutput { path, keep_alive, file: None, lines: LineWriter::default() }
    }

    fn open(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let opened = OpenOptions::new().append(true).create(true).open(&self.path);
                opened.map_err(|error| {
                    let path = self.path.display();
                    io::Error::new(
                        error.kind(),
                        format!("failed to open output file {path}: {error}"),
                    )
                })?
            }
        };
        Ok(self.file.insert(file))
    }
}

impl Output for FileOutput {
    fn name(&self) -> &'static str {
        "file"
    }

    fn deliver(&mut self, alerts: &mut Pending) -> io::Result<()> {
        let mut lines = std::mem::take(&mut self.lines);
        let result = self.open().and_then(|file| lines.write(alerts, file));
        self.lines = lines;
        if !self.keep_alive || result.is_err() {
            self.file = None;
        }
        result.map_err(|error| match error.kind() {
            // A named pipe gets another reader; nobody gives up for that.
            io::ErrorKind::BrokenPipe => io::Error::other(error),
            _ => error,
        })
    }

    fn reopen(&mut self) {
        self.file = None;
        if let Err(error) = self.open() {
            tracing::error!("file: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::pending;
    use super::*;

    #[test]
    fn appends_and_survives_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.txt");
        std::fs::write(&path, "old\n").unwrap();
        let mut output = FileOutput::new(path.clone(), true);
        let write = |output: &mut FileOutput, line: &str| {
            output.deliver(&mut pending(&[line])).unwrap();
        };
        write(&mut output, "a");
        let rotated = folder.path().join("events.1");
        std::fs::rename(&path, &rotated).unwrap();
        write(&mut output, "b");
        output.reopen();
        write(&mut output, "c");
        assert_eq!(std::fs::read_to_string(rotated).unwrap(), "old\na\nb\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "c\n");
    }

    #[test]
    fn what_cannot_be_written_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later/events.txt");
        let mut output = FileOutput::new(path.clone(), false);
        let mut alerts = pending(&["a"]);
        let error = output.deliver(&mut alerts).unwrap_err();
        assert!(error.to_string().starts_with("failed to open output file"), "{error}");
        std::fs::create_dir(folder.path().join("later")).unwrap();
        output.deliver(&mut alerts).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "a\n");
    }
}
