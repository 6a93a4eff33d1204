//! Alerts on the standard input of a shell command.

use std::io::{self, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::lines::LineWriter;
use super::{Output, Pending};

/// Runs `sh -c PROGRAM`: once for each alert, or with `keep_alive` once for all of them.
///
/// Source: `outputs_program.cpp` in Falco 0.45-dev. There a program that ends takes the alert with it; here it
/// is started again.
#[derive(Debug)]
pub(crate) struct ProgramOutput {
    program: String,
    keep_alive: bool,
    running: Option<(Child, ChildStdin)>,
    lines: LineWriter,
}

impl ProgramOutput {
    pub(crate) fn new(program: String, keep_alive: bool) -> Self {
        ProgramOutput { program, keep_alive, running: None, lines: LineWriter::default() }
    }

    fn start(&self) -> io::Result<(Child, ChildStdin)> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", &self.program])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(failure)?;
        let stdin = child.stdin.take().expect("standard input is piped");
        Ok((child, stdin))
    }

    /// Hands the oldest alert to a program of its own and waits for it.
    fn run_for_one(&self, alerts: &mut Pending) -> io::Result<()> {
        let Some(alert) = alerts.front() else { return Ok(()) };
        let (mut child, mut stdin) = self.start()?;
        let written = stdin.write_all(format!("{}\n", alert.line).as_bytes());
        drop(stdin);
        let status = child.wait().map_err(failure)?;
        // A program that succeeds without reading to the end has seen what it wanted.
        if !status.success() {
            written.map_err(failure)?;
            tracing::warn!("program: program_output.program ended with {status}");
        }
        alerts.pop_front();
        Ok(())
    }
}

/// Never `BrokenPipe`: that a program has ended is no reason to give up, it is started again. The program is not named:
/// a command line may hold the password of a receiver.
#[expect(clippy::needless_pass_by_value, reason = "the signature that `map_err` asks for")]
fn failure(error: io::Error) -> io::Error {
    io::Error::other(format!("cannot deliver to program_output.program: {error}"))
}

impl Output for ProgramOutput {
    fn name(&self) -> &'static str {
        "program"
    }

    fn deliver(&mut self, alerts: &mut Pending) -> io::Result<()> {
        while !self.keep_alive && !alerts.is_empty() {
            self.run_for_one(alerts)?;
        }
        if alerts.is_empty() {
            return Ok(());
        }
        let (child, mut stdin) = match self.running.take() {
            Some(running) => running,
            None => {
                self.lines.forget_partial();
                self.start()?
            }
        };
        self.lines.write(alerts, &mut stdin).map_err(failure)?;
        self.running = Some((child, stdin));
        Ok(())
    }

    /// Ends a running program; the next alert starts it anew.
    fn reopen(&mut self) {
        if let Some((mut child, stdin)) = self.running.take() {
            drop(stdin);
            if let Err(error) = child.wait() {
                tracing::error!("program: {error}");
            }
        }
    }
}

impl Drop for ProgramOutput {
    fn drop(&mut self) {
        self.reopen();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::pending;
    use super::*;

    #[track_caller]
    fn check(keep_alive: bool, program: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let program = program.replace("FILE", file.to_str().unwrap());
        let mut output = ProgramOutput::new(program, keep_alive);
        for line in ["a", "b"] {
            output.deliver(&mut pending(&[line])).unwrap();
        }
        drop(output);
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
    }

    #[test]
    fn one_program_for_each_alert_or_for_all() {
        check(false, "echo start >> FILE; cat >> FILE", "start\na\nstart\nb\n");
        check(true, "echo start >> FILE; cat >> FILE", "start\na\nb\n");
    }

    #[test]
    fn a_program_that_ends_early_keeps_its_alert_for_the_next() {
        let mut output = ProgramOutput::new("exit 1".into(), true);
        // The first write may still fit into the pipe of the dying program.
        let error = loop {
            let mut alerts = pending(&["a"]);
            if let Err(error) = output.deliver(&mut alerts) {
                assert_eq!(alerts.len(), 1);
                break error;
            }
        };
        let start = "cannot deliver to program_output.program: ";
        assert!(error.to_string().starts_with(start), "{error}");
    }
}
