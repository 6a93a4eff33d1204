//! A followed audit log.

use std::{path::PathBuf, sync::Arc, time::Duration};

use follow::{FilePattern, Follower, Notice, OpenError, Settings};
use plugin_support::events::Events;

use crate::{config::Config, counters::Counters, event_list::EventReader, line};

/// The API server's audit log, read as it grows.
#[derive(Debug)]
pub(crate) struct Tail {
    follower: Follower,
    reader: EventReader,
    counters: Arc<Counters>,
}

impl Tail {
    /// Starts to follow; the file need not exist yet.
    pub(crate) fn open(
        path: PathBuf,
        config: &Config,
        counters: &Arc<Counters>,
    ) -> Result<Self, OpenError> {
        let follower = Follower::open(Settings {
            start: config.start_at,
            state_file: config.state_file.clone(),
            line_limit: line::LIMIT,
            ..Settings::new([FilePattern::Path(path)])
        })?;
        let reader = EventReader::new(config.max_event_bytes(), Arc::clone(counters));
        Ok(Self { follower, reader, counters: Arc::clone(counters) })
    }

    /// Acknowledges the lines before, then waits for events, at most as long as `wait`.
    pub(crate) fn read(&mut self, wait: Duration, budget_bytes: usize, events: &mut Events) {
        self.acknowledge();
        for line in self.follower.next_lines(wait, budget_bytes).lines() {
            line::read(&mut self.reader, line.path, line.number, line.text, events);
        }
        for notice in self.follower.take_notices() {
            match notice {
                Notice::LineTooLong { .. } => {
                    let why = || notice.to_string();
                    self.counters.reject(&self.counters.lines_too_long, why);
                }
                _ => notice.log(),
            }
        }
    }

    /// The events of the last read were processed.
    pub(crate) fn acknowledge(&mut self) {
        self.follower.acknowledge();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write, path::Path, time::Instant};

    use super::*;

    fn event(id: &str) -> String {
        format!(r#"{{"kind":"Event","auditID":"{id}","stageTimestamp":"2024-01-02T03:04:05Z"}}"#)
    }

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[track_caller]
    fn check(tail: &mut Tail, expected: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut payloads = Vec::new();
        while payloads.len() < expected.len() && Instant::now() < deadline {
            let mut events = Events::default();
            tail.read(Duration::from_millis(20), 1 << 20, &mut events);
            payloads.extend(
                events.iter().map(|event| String::from_utf8_lossy(event.payload).into_owned()),
            );
        }
        assert_eq!(payloads, expected.iter().map(|id| event(id)).collect::<Vec<_>>());
    }

    /// F1, F2, F8; rotation is tested where it is done, in `follow`.
    #[test]
    fn events_that_are_appended_are_delivered_and_only_those() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit*.log");
        append(&path, &format!("{}\n", event("old")));
        let mut tail = Tail::open(path.clone(), &Config::default(), &Arc::default()).unwrap();
        append(&path, &format!("{}\ngarbage\n{}", event("1"), &event("2")[..20]));
        check(&mut tail, &["1"]);
        append(&path, &format!("{}\n[{},{}]\n", &event("2")[20..], event("3"), event("4")));
        check(&mut tail, &["2", "3", "4"]);
    }

    #[test]
    fn the_state_file_keeps_the_position_of_what_was_processed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let config = Config {
            start_at: follow::Start::Begin,
            state_file: Some(directory.path().join("position")),
            ..Config::default()
        };
        append(&path, &format!("{}\n", event("1")));
        let mut tail = Tail::open(path.clone(), &config, &Arc::default()).unwrap();
        check(&mut tail, &["1"]);
        tail.acknowledge();
        append(&path, &format!("{}\n", event("2")));
        check(&mut tail, &["2"]);
        drop(tail);
        // The second event was handed out, but nobody said that it was processed.
        check(&mut Tail::open(path, &config, &Arc::default()).unwrap(), &["2"]);
    }
}
