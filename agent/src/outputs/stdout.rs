//! Alerts on standard output.

use std::io::{self, IsTerminal};

use super::lines::LineWriter;
use super::{Output, Pending};
use crate::progress::ProgressLine;

/// Writes a line for each alert.
#[derive(Debug)]
pub(crate) struct StdoutOutput {
    lines: LineWriter,
    /// Nothing to make way where standard output is no terminal.
    progress: ProgressLine,
}

impl StdoutOutput {
    pub(super) const NAME: &'static str = "stdout";

    pub(super) fn new(progress: &ProgressLine) -> StdoutOutput {
        let is_terminal = io::stdout().is_terminal();
        let progress = if is_terminal { progress.clone() } else { ProgressLine::default() };
        StdoutOutput { lines: LineWriter::default(), progress }
    }
}

impl Output for StdoutOutput {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn deliver(&mut self, alerts: &mut Pending) -> io::Result<()> {
        self.progress.make_way(|| self.lines.write(alerts, &mut io::stdout().lock()))
    }

    fn reopen(&mut self) {}
}
