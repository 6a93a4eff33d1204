//! How far sources have come that have an end: a line at the bottom of the terminal, above which all else is printed.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plugin_host::EventStream;

use crate::paint::printable;

const INTERVAL: Duration = Duration::from_millis(200);
/// Goes to the start of the line and clears it.
const CLEAR: &str = "\r\x1b[K";

/// The line, shared by all who write to the terminal; there is none where standard error is no terminal.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProgressLine(Option<Arc<Mutex<Parts>>>);

/// What is shown of each event source.
type Parts = BTreeMap<String, String>;

/// How far one event source has come; it goes from the line when this is dropped.
#[derive(Debug)]
pub(crate) struct SourceProgress {
    line: ProgressLine,
    event_source: String,
    start: Instant,
    events_at_start: u64,
    due: Instant,
}

impl ProgressLine {
    pub(crate) fn new() -> ProgressLine {
        let is_shown = io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        ProgressLine(is_shown.then(Arc::default))
    }

    /// For a source that has given `events` so far.
    pub(crate) fn of_source(&self, event_source: &str, events: u64) -> SourceProgress {
        let start = Instant::now();
        SourceProgress {
            line: self.clone(),
            event_source: event_source.to_owned(),
            start,
            events_at_start: events,
            due: start + INTERVAL,
        }
    }

    /// Has `write` print to the terminal, where the line is out of its way.
    pub(crate) fn make_way<T>(&self, write: impl FnOnce() -> T) -> T {
        let Some(parts) = self.lock().filter(|parts| !parts.is_empty()) else { return write() };
        print(CLEAR);
        let result = write();
        draw(&parts);
        result
    }

    /// Takes the line away, also where a source that does not return has its part.
    pub(crate) fn end(&self) {
        let Some(mut parts) = self.lock().filter(|parts| !parts.is_empty()) else { return };
        parts.clear();
        print(CLEAR);
    }

    fn lock(&self) -> Option<MutexGuard<'_, Parts>> {
        self.0.as_ref().map(|parts| parts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SourceProgress {
    /// Asks the source how far it has come and shows it, if that is due.
    pub(crate) fn show(&mut self, stream: &mut EventStream, events: u64) {
        if self.line.0.is_none() || Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + INTERVAL;
        // A source without an end says 0.
        let Some(progress) = stream.progress().filter(|progress| progress.share > 0.0) else {
            return;
        };
        let bar = bar(progress.share, events - self.events_at_start, self.start.elapsed());
        let part = format!("{} {bar}  {}", self.event_source, printable(&progress.text));
        let Some(mut parts) = self.line.lock() else { return };
        parts.insert(self.event_source.clone(), part.trim_end().to_owned());
        draw(&parts);
    }
}

impl Drop for SourceProgress {
    fn drop(&mut self) {
        let Some(mut parts) = self.line.lock() else { return };
        if parts.remove(&self.event_source).is_some() {
            print(CLEAR);
            draw(&parts);
        }
    }
}

/// A bar that shows a share of the whole, and at which rate it has come.
pub(crate) fn bar(share: f64, events: u64, elapsed: Duration) -> String {
    const WIDTH: usize = 30;
    let share = share.min(1.0);
    let filled = (share * WIDTH as f64) as usize;
    let (done, rest) = ("#".repeat(filled), "-".repeat(WIDTH - filled));
    let rate = events as f64 / elapsed.as_secs_f64().max(0.001);
    let mut text = format!("[{done}{rest}] {:3.0} %  {rate:.0} events/s", share * 100.0);
    if share > 0.0 {
        text += &format!("  {:.0} s left", elapsed.as_secs_f64() * (1.0 - share) / share);
    }
    text
}

fn draw(parts: &Parts) {
    if !parts.is_empty() {
        let parts: Vec<_> = parts.values().map(String::as_str).collect();
        // Without wrapping: what is longer than the terminal is wide is cut off by it.
        print(&format!("\x1b[?7l{CLEAR}{}\x1b[?7h", parts.join("  ")));
    }
}

fn print(text: &str) {
    // A terminal that is gone is no reason to stop.
    io::stderr().write_all(text.as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_share_rate_and_time_left() {
        let check = |share, expected: &str| {
            assert_eq!(bar(share, 100, Duration::from_secs(2)), expected);
        };
        check(0.0, "[------------------------------]   0 %  50 events/s");
        check(0.25, "[#######-----------------------]  25 %  50 events/s  6 s left");
        check(1.5, "[##############################] 100 %  50 events/s  0 s left");
    }
}
