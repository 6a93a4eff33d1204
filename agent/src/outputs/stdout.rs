//! Alerts on standard output.

use std::io;

use super::{Lines, Output};
use crate::alert::Alert;

/// Writes a line for each alert.
#[derive(Debug, Default)]
pub(crate) struct StdoutOutput {
    lines: Lines,
}

impl Output for StdoutOutput {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn push(&mut self, alert: &Alert) {
        self.lines.push(&alert.line);
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.write_to(&mut io::stdout().lock())
    }

    fn reopen(&mut self) {}
}
