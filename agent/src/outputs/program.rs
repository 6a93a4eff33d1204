//! Alerts on the standard input of a shell command.

use std::io::{self, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::{Lines, Output};
use crate::alert::Alert;

/// Runs `sh -c PROGRAM`: once for each alert, or with `keep_alive` once for all of them.
///
/// Source: `outputs_program.cpp` in Falco 0.45-dev. There a program that ends takes the alert with it; here it
/// is started again.
#[derive(Debug)]
pub(crate) struct ProgramOutput {
    program: String,
    keep_alive: bool,
    running: Option<(Child, ChildStdin)>,
    lines: Lines,
}

impl ProgramOutput {
    pub(crate) fn new(program: String, keep_alive: bool) -> Self {
        ProgramOutput { program, keep_alive, running: None, lines: Lines::default() }
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

    /// Hands the oldest line to a program of its own and waits for it.
    fn run_for_one(&mut self) -> io::Result<()> {
        let (mut child, mut stdin) = self.start()?;
        let end =
            memchr::memchr(b'\n', &self.lines.0).map_or(self.lines.0.len(), |newline| newline + 1);
        let written = stdin.write_all(&self.lines.0[..end]);
        drop(stdin);
        let status = child.wait().map_err(failure)?;
        // A program that succeeds without reading to the end has seen what it wanted.
        if !status.success() {
            written.map_err(failure)?;
            tracing::warn!("program: program_output.program ended with {status}");
        }
        self.lines.0.drain(..end);
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

    fn push(&mut self, alert: &Alert) {
        self.lines.push(&alert.line);
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.keep_alive && !self.lines.0.is_empty() {
            self.run_for_one()?;
        }
        if self.lines.0.is_empty() {
            return Ok(());
        }
        let (child, mut stdin) = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        self.lines.write_to(&mut stdin).map_err(failure)?;
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
    use super::super::tests::alert;
    use super::*;

    #[track_caller]
    fn check(keep_alive: bool, program: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let program = program.replace("FILE", file.to_str().unwrap());
        let mut output = ProgramOutput::new(program, keep_alive);
        for line in ["a", "b"] {
            output.push(&alert(line));
            output.flush().unwrap();
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
        output.push(&alert("a"));
        // The first write may still fit into the pipe of the dying program.
        let error = loop {
            output.push(&alert("b"));
            if let Err(error) = output.flush() {
                break error;
            }
        };
        let start = "cannot deliver to program_output.program: ";
        assert!(error.to_string().starts_with(start), "{error}");
        assert!(!output.lines.0.is_empty());
    }
}
