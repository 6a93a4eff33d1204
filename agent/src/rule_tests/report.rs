//! The results of tests: for people, as JSON, and as JUnit XML.

use serde_json::{Value, json};

use super::Outcome;
use super::coverage::Coverage;
use super::judge::Line;
use crate::paint::{Paint, printable};

/// What failed, and a line with the numbers.
pub(super) fn text(outcomes: &[Outcome], paint: Paint) -> String {
    let mut text = String::new();
    let failed: Vec<&Outcome> = outcomes.iter().filter(|it| !it.is_passed()).collect();
    for outcome in &failed {
        text += &format!("{} {}: {}\n", paint.bad("FAIL"), outcome.test.place, outcome.test.name);
        for line in &outcome.problems {
            let line = match line {
                Line::Missing(text) => paint.bad(&format!("  - {}", printable(text))),
                Line::Unexpected(text) => paint.good(&format!("  + {}", printable(text))),
                Line::Note(text) => format!("    {}", printable(text)),
            };
            text += &line;
            text.push('\n');
        }
    }
    let passed = outcomes.len() - failed.len();
    let numbers = format!("{passed} passed, {} failed", failed.len());
    let numbers = if failed.is_empty() { paint.good(&numbers) } else { paint.bad(&numbers) };
    text + &numbers + "\n"
}

pub(super) fn json(outcomes: &[Outcome], coverage: &Coverage) -> Value {
    let tests = outcomes.iter().map(|outcome| {
        json!({
            "test": outcome.test.name,
            "place": outcome.test.place,
            "rule": outcome.test.rule,
            "passed": outcome.is_passed(),
            "problems": outcome.problems.iter().map(plain).collect::<Vec<_>>(),
        })
    });
    let failed = outcomes.iter().filter(|outcome| !outcome.is_passed()).count();
    json!({
        "tests": tests.collect::<Vec<_>>(),
        "passed": outcomes.len() - failed,
        "failed": failed,
        "coverage": coverage.json(),
    })
}

pub(super) fn junit(outcomes: &[Outcome]) -> String {
    let failed = outcomes.iter().filter(|outcome| !outcome.is_passed()).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"shikra\" tests=\"{}\" failures=\"{failed}\">\n",
        outcomes.len()
    );
    for outcome in outcomes {
        xml += &format!(
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.6}\"",
            escaped(&outcome.suite.display().to_string()),
            escaped(&outcome.test.name),
            outcome.duration.as_secs_f64()
        );
        if outcome.is_passed() {
            xml += "/>\n";
            continue;
        }
        let lines: Vec<String> = outcome.problems.iter().map(plain).collect();
        xml += &format!(
            ">\n    <failure message=\"{}\">{}</failure>\n  </testcase>\n",
            escaped(&outcome.test.place),
            escaped(&lines.join("\n"))
        );
    }
    xml + "</testsuite>\n"
}

fn plain(line: &Line) -> String {
    match line {
        Line::Missing(text) => format!("- {text}"),
        Line::Unexpected(text) => format!("+ {text}"),
        Line::Note(text) => format!("  {text}"),
    }
}

/// Text for XML, which has no control characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' => escaped.push(c),
            c if c.is_control() => escaped += &c.escape_default().to_string(),
            c => escaped.push(c),
        }
    }
    escaped
}
