//! Where a diagnostic is, the way Falco says it: a chain from the file down to the culprit.

use std::sync::Arc;

use crate::text::{RulesText, Span};

/// What a location is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    ValueFor,
    Exceptions,
    Exception,
    ExceptionValues,
    ExceptionValue,
    RulesContent,
    RulesContentItem,
    RequiredEngineVersion,
    RequiredPluginVersions,
    RequiredPluginVersionsEntry,
    RequiredPluginVersionsAlternative,
    List,
    ListItem,
    Macro,
    MacroCondition,
    Rule,
    RuleCondition,
    ConditionExpression,
    RuleOutput,
    RulePriority,
    Overrides,
}

impl Subject {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Subject::ValueFor => "value for",
            Subject::Exceptions => "exceptions",
            Subject::Exception => "exception",
            Subject::ExceptionValues => "exception values",
            Subject::ExceptionValue => "exception value",
            Subject::RulesContent => "rules content",
            Subject::RulesContentItem => "rules content item",
            Subject::RequiredEngineVersion => "required_engine_version",
            Subject::RequiredPluginVersions => "required plugin versions",
            Subject::RequiredPluginVersionsEntry => "required plugin versions entry",
            Subject::RequiredPluginVersionsAlternative => "required plugin versions alternative",
            Subject::List => "list",
            Subject::ListItem => "list item",
            Subject::Macro => "macro",
            Subject::MacroCondition => "macro condition",
            Subject::Rule => "rule",
            Subject::RuleCondition => "rule condition",
            Subject::ConditionExpression => "condition expression",
            Subject::RuleOutput => "rule output",
            Subject::RulePriority => "rule priority",
            Subject::Overrides => "overrides",
        }
    }
}

/// One link of the chain.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) item: Subject,
    pub(crate) name: String,
    pub(crate) span: Span,
}

/// A position as reports print it: line and column from 0.
#[derive(Clone, Debug)]
pub(crate) struct Position {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) offset: usize,
}

/// The chain of locations, and for problems inside a condition the place in its text. Every rule keeps
/// a few of these, so they share what they can.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    file: Arc<RulesText>,
    innermost: Arc<Link>,
    condition: Option<Box<ConditionPlace>>,
}

#[derive(Debug)]
struct Link {
    location: Location,
    parent: Option<Arc<Link>>,
}

#[derive(Clone, Debug)]
struct ConditionPlace {
    text: Arc<str>,
    /// Line and column from 1 as the condition parser counts them, and the offset; all 0 for
    /// warnings about a whole condition.
    line: usize,
    column: usize,
    offset: usize,
}

impl Context {
    pub(crate) fn of_file(file: &Arc<RulesText>) -> Self {
        let location =
            Location { item: Subject::RulesContent, name: String::new(), span: Span::default() };
        let innermost = Arc::new(Link { location, parent: None });
        Context { file: file.clone(), innermost, condition: None }
    }

    pub(crate) fn with(&self, item: Subject, name: &str, span: Span) -> Self {
        let location = Location { item, name: name.to_owned(), span };
        let innermost = Arc::new(Link { location, parent: Some(self.innermost.clone()) });
        Context { innermost, ..self.clone() }
    }

    /// The same file without the rest of the chain.
    pub(crate) fn file_only(&self) -> Self {
        Context::of_file(&self.file)
    }

    /// Below this: an offset in a condition's text, or the condition as a whole.
    pub(crate) fn in_condition(&self, text: &Arc<str>, offset: Option<usize>) -> Self {
        let (line, column) = offset.map_or((0, 0), |offset| {
            let before = &text.as_bytes()[..offset.min(text.len())];
            let newlines = memchr::memchr_iter(b'\n', before).count();
            let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
            (newlines + 1, before.len() - line_start + 1)
        });
        let text = text.clone();
        let place = ConditionPlace { text, line, column, offset: offset.unwrap_or(0) };
        Context { condition: Some(Box::new(place)), ..self.clone() }
    }

    pub(crate) fn file(&self) -> &Arc<RulesText> {
        &self.file
    }

    /// What the innermost location covers in the file.
    pub(crate) fn span(&self) -> Span {
        self.innermost.location.span
    }

    /// The chain with positions, outermost first.
    pub(crate) fn positions(&self) -> Vec<(Subject, &str, Position)> {
        let links = std::iter::successors(Some(&self.innermost), |link| link.parent.as_ref());
        let mut positions: Vec<_> = links
            .map(|link| {
                let location = &link.location;
                let offset = location.span.start;
                let (line, column) = self.file.line_column(offset);
                let name = self.file.name().to_owned();
                (location.item, location.name.as_str(), Position { name, line, column, offset })
            })
            .collect();
        positions.reverse();
        if let Some(place) = &self.condition {
            // Falco adds the place in the condition to that of its parent.
            let (line, column) = self.file.line_column(self.span().start);
            let position = Position {
                name: quoted_start(&place.text),
                line: line + place.line,
                column: column + place.column,
                offset: self.span().start + place.offset,
            };
            positions.push((Subject::ConditionExpression, "", position));
        }
        positions
    }

    /// The text that the innermost offset is shown in, and that offset.
    pub(crate) fn shown_text(&self) -> (&str, usize) {
        match &self.condition {
            // The document's offset in the condition's text: Falco's accident, kept in reports
            // that scripts read. People see the rendering, which points at the word.
            Some(place) => (&place.text, self.span().start + place.offset),
            None => (self.file.content(), self.span().start),
        }
    }
}

/// The first characters of a condition in quotes, on one line.
fn quoted_start(condition: &str) -> String {
    let line = condition.trim_end_matches('\n').replace('\n', " ");
    if line.chars().count() <= 20 {
        return format!("\"{line}\"");
    }
    let start: String = line.chars().take(17).collect();
    format!("\"{start}...\"")
}
