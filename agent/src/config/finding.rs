//! What reading the configuration found: problems that stop the agent, and notices that do not.

use std::fmt;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::{Position, Source};

/// Why the configuration cannot be used: every problem that was found.
#[derive(Debug, thiserror::Error)]
#[error("{}", problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub(crate) struct ConfigError {
    problems: Vec<Problem>,
}

/// One thing that is wrong, with the places that show it.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) message: String,
    /// The place to mend comes first; empty where there is no text to point at.
    pub(super) places: Vec<(Position, &'static str)>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.places.is_empty() {
            return f.write_str(&self.message);
        }
        // Without a name for the level: whoever prints the error writes `Error: ` before it.
        let title = Level::ERROR.no_name().primary_title(self.message.as_str());
        let snippets = self.places.iter().enumerate().map(|(index, (position, label))| {
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let label = (!label.is_empty()).then_some(*label);
            Snippet::source(position.source.text.as_str())
                .path(position.source.name.as_str())
                .annotation(kind.span(position.span.clone()).label(label))
        });
        let report: &[Group<'_>] = &[title.elements(snippets)];
        f.write_str(&Renderer::plain().render(report))
    }
}

/// How much a [`Notice`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoticeLevel {
    /// Nothing to mend; a setting just has no effect here.
    Info,
    /// Probably not what the user meant.
    Warning,
}

/// Something the user should know about the configuration, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) level: NoticeLevel,
    pub(crate) text: String,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) notices: Vec<Notice>,
    /// Keys outside Falco's schema, in Falco's notation (`<root>[webserver][foo]`), by file.
    pub(super) schema_violations: Vec<(Arc<Source>, String)>,
}

impl Findings {
    pub(super) fn problem(&mut self, message: impl Into<String>, position: Option<&Position>) {
        let places = position.map(|position| (position.clone(), "")).into_iter().collect();
        self.problems.push(Problem { message: message.into(), places });
    }

    pub(super) fn info(&mut self, text: impl Into<String>) {
        self.notices.push(Notice { level: NoticeLevel::Info, text: text.into() });
    }

    pub(super) fn warning(&mut self, text: impl Into<String>) {
        self.notices.push(Notice { level: NoticeLevel::Warning, text: text.into() });
    }

    /// Fails if there was any problem; they are sorted as they stand in the files.
    pub(super) fn check(&mut self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_key(|problem| {
            let (place, _) = problem.places.first()?;
            Some((place.source.name.clone(), place.span.start))
        });
        Err(ConfigError { problems })
    }
}
