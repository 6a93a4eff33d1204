//! Whether the agent does its work: what `/readyz` answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// The state of every enabled event source.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<BTreeMap<String, SourceState>>);

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
}

#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    sources: &'a BTreeMap<String, SourceState>,
}

impl Readiness {
    pub(crate) fn set(&self, event_source: &str, state: SourceState) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.insert(event_source.to_owned(), state);
    }

    /// Whether a source other than this one is open, or about to be.
    pub(crate) fn is_any_open_beside(&self, event_source: &str) -> bool {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.iter().any(|(name, state)| {
            name != event_source && matches!(state, SourceState::Opening | SourceState::Open)
        })
    }

    /// Whether every source is open or has come to its end, and the states as JSON. Rules are loaded before the first
    /// source is opened.
    pub(crate) fn report(&self) -> (bool, String) {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ready =
            sources.values().all(|state| matches!(state, SourceState::Open | SourceState::Ended));
        let status = if is_ready { "ok" } else { "not ready" };
        let report = Report { status, sources: &sources };
        (is_ready, serde_json::to_string(&report).expect("keys are strings"))
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
        assert_eq!(readiness.report(), (false, waiting.into()));
        readiness.set("b", SourceState::Ended);
        assert!(readiness.report().0);
        for state in [SourceState::Failed, SourceState::Reopening] {
            readiness.set("a", state);
            assert!(!readiness.report().0);
        }
    }
}
