//! Alerts on standard output.

use std::io;

use super::lines::LineWriter;
use super::{Output, Pending};

/// Writes a line for each alert.
#[derive(Debug, Default)]
pub(crate) struct StdoutOutput {
    lines: LineWriter,
}

impl StdoutOutput {
    pub(super) const NAME: &'static str = "stdout";
}

impl Output for StdoutOutput {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn deliver(&mut self, alerts: &mut Pending) -> io::Result<()> {
        self.lines.write(alerts, &mut io::stdout().lock())
    }

    fn reopen(&mut self) {}
}
