//! Diagnostics for people: the line with a mark at the word, and what may help.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use rustc_hash::FxHashMap;

use super::Diagnostic;
use crate::text::{FileSpan, Span};

/// Renders diagnostics one below the other, an empty line between them. What several rules get from
/// one macro is shown once.
pub(crate) fn render<'d>(diagnostics: impl Iterator<Item = &'d Diagnostic>, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut shown: Vec<(&Diagnostic, Vec<&str>)> = Vec::new();
    let mut in_macros: FxHashMap<(&str, usize, &str), usize> = FxHashMap::default();
    for one in diagnostics {
        let users = || one.advice.used_by.iter().map(String::as_str);
        let Some(place) = one.advice.place.as_ref().filter(|_| !one.advice.used_by.is_empty())
        else {
            shown.push((one, Vec::new()));
            continue;
        };
        let key = (place.file.name(), place.span.start, one.message.as_str());
        let position = *in_macros.entry(key).or_insert(shown.len());
        match shown.get_mut(position) {
            Some((_, all)) => all.extend(users()),
            None => shown.push((one, users().collect())),
        }
    }
    let blocks = shown.iter().map(|(one, users)| render_one(one, users, &renderer));
    blocks.collect::<Vec<String>>().join("\n\n")
}

fn render_one(diagnostic: &Diagnostic, users: &[&str], renderer: &Renderer) -> String {
    let level = if diagnostic.code.is_error() { Level::ERROR } else { Level::WARNING };
    let advice = &diagnostic.advice;
    let title = match &advice.title {
        Some(title) => title.as_str(),
        None if diagnostic.message.is_empty() => diagnostic.code.short_text(),
        None => &diagnostic.message,
    };
    let place = advice.place.clone().unwrap_or_else(|| FileSpan {
        file: diagnostic.context.file().clone(),
        span: diagnostic.context.span(),
    });
    let window = Window::around(&place);
    let mut annotation = AnnotationKind::Primary.span(window.marked.start..window.marked.end);
    if let Some(label) = &advice.label {
        annotation = annotation.label(label.as_str());
    }
    let snippet = Snippet::source(window.text)
        .path(place.file.name())
        .line_start(window.line)
        .annotation(annotation);
    let mut group = level.primary_title(title).id(diagnostic.code.name()).element(snippet);
    if let Some(help) = &advice.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let note = used_by(users);
    if let Some(note) = &note {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    renderer.render(&[group])
}

/// Names the first rules that a mistake in a macro breaks.
fn used_by(users: &[&str]) -> Option<String> {
    const NAMED: usize = 3;
    let names: Vec<String> = users.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let more = users.len().saturating_sub(NAMED);
    match users.len() {
        0 => None,
        1 => Some(format!("rule {} uses it", names[0])),
        _ if more == 0 => Some(format!("rules {} use it", names.join(", "))),
        _ => Some(format!("rules {} and {more} more use it", names.join(", "))),
    }
}

/// The lines that are shown: those of the mark. The renderer would search a whole file for them.
struct Window<'f> {
    text: &'f str,
    /// Of the first line, from 1.
    line: usize,
    marked: Span,
}

impl<'f> Window<'f> {
    fn around(place: &'f FileSpan) -> Self {
        let content = place.file.content();
        // A mark past the end goes to the last character, like Falco's.
        let last = content.trim_end().char_indices().next_back().map_or(0, |(at, _)| at);
        let start = place.span.start.min(last);
        let marked = &content[start..place.span.end.clamp(start, content.len())];
        // Several lines are marked on the first. An empty mark is shown as one caret.
        let mark = marked.lines().next().unwrap_or_default().trim_end().len();
        let from = content[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let to = content[start + mark..].find('\n').map_or(content.len(), |at| start + mark + at);
        let (line, _) = place.file.line_column(start);
        Window {
            text: content[from..to].trim_end_matches('\r'),
            line: line + 1,
            marked: Span { start: start - from, end: start - from + mark },
        }
    }
}
