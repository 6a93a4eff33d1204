//! Whether the agent does its work: what `/readyz` answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// The state of every enabled event source.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<BTreeMap<String, Source>>);

#[derive(Debug)]
struct Source {
    state: SourceState,
    /// When it had its last event, or came to this state.
    last_sign: Instant,
}

/// Where an event source is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SourceState {
    /// Enabled, but not open yet.
    Opening,
    Open,
    /// It failed, and will be opened again after a pause.
    Reopening,
    /// Its stream came to an end, as that of a file read once does.
    Ended,
    /// It failed, and stays closed.
    Failed,
    /// Open, but without an event for longer than it may be.
    Silent,
}

#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    sources: BTreeMap<&'a str, SourceState>,
}

impl Readiness {
    pub(crate) fn set(&self, event_source: &str, state: SourceState) {
        let source = Source { state, last_sign: Instant::now() };
        self.lock().insert(event_source.to_owned(), source);
    }

    /// Notes that the source has events now.
    pub(crate) fn had_event(&self, event_source: &str) {
        if let Some(source) = self.lock().get_mut(event_source) {
            source.last_sign = Instant::now();
        }
    }

    /// Whether a source other than this one is open, or about to be.
    pub(crate) fn is_any_open_beside(&self, event_source: &str) -> bool {
        self.lock().iter().any(|(name, source)| {
            name != event_source && matches!(source.state, SourceState::Opening | SourceState::Open)
        })
    }

    /// Whether every source is open or has come to its end, and the states as JSON. With `max_silence`, one that is open must
    /// have had an event within this time. Rules are loaded before the first source is opened.
    pub(crate) fn report(&self, max_silence: Option<Duration>) -> (bool, String) {
        let sources = self.lock();
        let state = |source: &Source| {
            let is_silent = max_silence.is_some_and(|max| source.last_sign.elapsed() > max);
            match source.state {
                SourceState::Open if is_silent => SourceState::Silent,
                state => state,
            }
        };
        let sources: BTreeMap<&str, SourceState> =
            sources.iter().map(|(name, source)| (name.as_str(), state(source))).collect();
        let is_ready =
            sources.values().all(|state| matches!(state, SourceState::Open | SourceState::Ended));
        let status = if is_ready { "ok" } else { "not ready" };
        let report = Report { status, sources };
        (is_ready, serde_json::to_string(&report).expect("keys are strings"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_that_is_not_open_makes_the_agent_not_ready() {
        let readiness = Readiness::default();
        readiness.set("a", SourceState::Open);
        readiness.set("b", SourceState::Opening);
        let waiting = r#"{"status":"not ready","sources":{"a":"open","b":"opening"}}"#;
        assert_eq!(readiness.report(None), (false, waiting.into()));
        readiness.set("b", SourceState::Ended);
        assert!(readiness.report(None).0);
        for state in [SourceState::Failed, SourceState::Reopening] {
            readiness.set("a", state);
            assert!(!readiness.report(None).0);
        }
    }

    #[test]
    fn a_silent_source_makes_the_agent_not_ready_where_that_is_configured() {
        let readiness = Readiness::default();
        readiness.set("a", SourceState::Open);
        readiness.set("b", SourceState::Ended);
        let silent = r#"{"status":"not ready","sources":{"a":"silent","b":"ended"}}"#;
        assert_eq!(readiness.report(Some(Duration::ZERO)), (false, silent.into()));
        readiness.had_event("a");
        assert!(readiness.report(Some(Duration::from_secs(3600))).0);
        assert!(readiness.report(None).0);
    }
}
