//! What is said over and over is said a few times, then counted: a failure in a loop must not fill the disk.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// How often the same message is written within [`WINDOW`].
const LIMIT: u64 = 5;
const WINDOW: Duration = Duration::from_secs(10);

/// Messages that are counted at a time; what comes beyond is written.
const MAX_MESSAGES: usize = 256;

/// The messages of late, by their hash.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<u64, Window>);

#[derive(Debug)]
struct Window {
    start: Instant,
    count: u64,
}

impl Repeats {
    /// What to write after the message, or `None` if it is not to be written at all.
    pub(super) fn suffix(&mut self, message: &str, now: Instant) -> Option<String> {
        let is_over = |window: &Window| now.duration_since(window.start) >= WINDOW;
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        let key = hasher.finish();
        if self.0.len() >= MAX_MESSAGES && !self.0.contains_key(&key) {
            self.0.retain(|_, window| !is_over(window));
            if self.0.len() >= MAX_MESSAGES {
                return Some(String::new());
            }
        }
        let window = self.0.entry(key).or_insert(Window { start: now, count: 0 });
        let mut suffix = String::new();
        if is_over(window) {
            let hidden = window.count.saturating_sub(LIMIT);
            if hidden > 0 {
                suffix = format!(" (and {hidden} times before, not shown)");
            }
            *window = Window { start: now, count: 0 };
        }
        window.count += 1;
        match window.count {
            LIMIT => Some(format!(
                "{suffix} (if it comes again within {} s, it is only counted)",
                WINDOW.as_secs()
            )),
            count => (count < LIMIT).then_some(suffix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_message_is_written_a_few_times_and_then_counted() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        let mut write = |text, seconds| repeats.suffix(text, start + Duration::from_secs(seconds));
        for _ in 1..LIMIT {
            assert_eq!(write("a", 0).as_deref(), Some(""));
        }
        let last = write("a", 1).unwrap();
        assert_eq!(last, " (if it comes again within 10 s, it is only counted)");
        assert_eq!(write("a", 2), None);
        assert_eq!(write("b", 2).as_deref(), Some(""));
        assert_eq!(write("a", 9), None);
        assert_eq!(write("a", 10).as_deref(), Some(" (and 2 times before, not shown)"));
        assert_eq!(write("a", 11).as_deref(), Some(""));
    }

    #[test]
    fn memory_is_bounded() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        for number in 0..2 * MAX_MESSAGES {
            assert!(repeats.suffix(&number.to_string(), start).is_some());
        }
        assert_eq!(repeats.0.len(), MAX_MESSAGES);
        assert!(repeats.suffix("later", start + WINDOW).is_some());
        assert_eq!(repeats.0.len(), 1);
    }
}
