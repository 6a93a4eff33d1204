//! Log lines that would come too often.

use std::time::{Duration, Instant};

/// The time between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// Lets a line pass now and then.
#[derive(Debug, Default)]
pub(super) struct LogPause(Option<Instant>);

impl LogPause {
    /// True for the first line of many that come soon after each other.
    pub(super) fn is_over(&mut self) -> bool {
        let is_over = self.0.is_none_or(|last| last.elapsed() >= PAUSE);
        if is_over {
            self.0 = Some(Instant::now());
        }
        is_over
    }
}
