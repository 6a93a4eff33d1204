//! The result of a replay, for people and as JSON, and how far it has come.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::tally::{Difference, RuleTally};
use super::{Outcome, Progress};
use crate::alert::iso_8601;
use crate::paint::{Paint, counted, printable};
use crate::progress::bar;

/// The columns of the histogram.
const PARTS: usize = 24;
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const USERS: usize = 3;

pub(super) fn text(outcome: &Outcome) -> String {
    let seconds = outcome.duration.as_secs_f64();
    let mut text = format!(
        "{} in {}, {} on disk, took {seconds:.1} s: {:.0} events/s on {}\n",
        counted(outcome.events as usize, "event"),
        counted(outcome.files, "file"),
        size(outcome.bytes),
        outcome.events as f64 / seconds,
        counted(outcome.threads, "thread")
    );
    for (name, count) in &outcome.tally.skipped {
        text += &format!("Not evaluated: {count}, {}\n", name.replace('_', " "));
    }
    let Some(times) = outcome.tally.times else { return text };
    text += &format!("From {} to {}\n\n", time(times.0), time(times.1));
    let mut rules: Vec<&RuleTally> =
        outcome.tally.rules.iter().filter(|rule| rule.count > 0).collect();
    rules.sort_by(|a, b| a.priority.cmp(&b.priority).then(b.count.cmp(&a.count)));
    let width = rules.iter().map(|rule| rule.name.chars().count()).max().unwrap_or(0).max(4);
    if !rules.is_empty() {
        text += &format!(
            "{:>8}  {:13}  {:width$}  {:PARTS$}  {:20}  {:20}  top users\n",
            "alerts", "priority", "rule", "over time", "first", "last"
        );
    }
    for rule in &rules {
        let users: Vec<String> =
            rule.top_users(USERS).iter().map(|(user, count)| format!("{user} {count}")).collect();
        text += &format!(
            "{:8}  {:13}  {:width$}  {}  {:20}  {:20}  {}\n",
            rule.count,
            rule.priority.name(),
            rule.name,
            bars(&rule.histogram(times, PARTS)),
            time(rule.first_ns),
            time(rule.last_ns),
            printable(&users.join(", "))
        );
    }
    let silent = outcome.tally.rules.len() - rules.len();
    let gap = if rules.is_empty() { "" } else { "\n" };
    text += &format!("{gap}{} raised no alert.\n", counted(silent, "rule"));
    if let Some(differences) = &outcome.tally.comparison {
        text += &comparison(differences);
    }
    text
}

fn comparison(differences: &[Difference]) -> String {
    let paint = Paint::for_stdout();
    if differences.is_empty() {
        return "\nThe other rules raise the same alerts.\n".to_owned();
    }
    let mut text = "\nWith the other rules:\n".to_owned();
    for Difference { rule, new, gone, example } in sorted(differences) {
        let mut changes = Vec::new();
        if *new > 0 {
            changes.push(paint.good(&format!("{new} new")));
        }
        if *gone > 0 {
            changes.push(paint.bad(&format!("{gone} gone")));
        }
        text += &format!("  {rule}: {}\n", changes.join(", "));
        text += &format!("    such as: {}\n", printable(example.1.trim()));
    }
    text
}

fn sorted(differences: &[Difference]) -> Vec<&Difference> {
    let mut differences: Vec<&Difference> = differences.iter().collect();
    differences.sort_by(|a, b| a.rule.cmp(&b.rule));
    differences
}

pub(super) fn json(outcome: &Outcome) -> Value {
    let times = outcome.tally.times;
    let rules = outcome.tally.rules.iter().map(|rule| {
        let users = rule.top_users(usize::MAX);
        let users = users.iter().map(|(user, count)| json!({ "user": user, "count": count }));
        let is_found = rule.count > 0;
        json!({
            "rule": rule.name,
            "priority": rule.priority.name(),
            "count": rule.count,
            "first": is_found.then(|| time(rule.first_ns)),
            "last": is_found.then(|| time(rule.last_ns)),
            "users": users.collect::<Vec<_>>(),
            "histogram": times.map(|times| rule.histogram(times, PARTS)),
        })
    });
    let mut value = json!({
        "events": outcome.events,
        "files": outcome.files,
        "bytes": outcome.bytes,
        "seconds": outcome.duration.as_secs_f64(),
        "threads": outcome.threads,
        "first": times.map(|(first, _)| time(first)),
        "last": times.map(|(_, last)| time(last)),
        "not_evaluated": outcome.tally.skipped,
        "rules": rules.collect::<Vec<_>>(),
    });
    if let Some(differences) = &outcome.tally.comparison {
        let differences = sorted(differences).into_iter().map(|one| {
            json!({ "rule": one.rule, "new": one.new, "gone": one.gone, "example": one.example.1 })
        });
        value["differences"] = differences.collect();
    }
    value
}

/// `2026-01-02T03:04:05Z`
fn time(time_ns: u64) -> String {
    format!("{}Z", &iso_8601(time_ns, "")[..19])
}

fn bars(counts: &[u64]) -> String {
    let most = counts.iter().max().copied().unwrap_or(0).max(1);
    // Only nothing is shown as nothing.
    counts.iter().map(|count| BARS[(count * 8).div_ceil(most) as usize]).collect()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Draws the progress bar on standard error, a terminal.
pub(super) fn show_progress(progress: &Progress, total: u64, elapsed: Duration) {
    let bytes = progress.bytes.load(Ordering::Relaxed);
    let events = progress.events.load(Ordering::Relaxed);
    let share = if total == 0 { 1.0 } else { bytes as f64 / total as f64 };
    draw(&format!("\r{}\x1b[K", bar(share, events, elapsed)));
}

pub(super) fn clear_progress() {
    draw("\r\x1b[K");
}

fn draw(text: &str) {
    // A terminal that is gone is no reason to stop.
    std::io::stderr().write_all(text.as_bytes()).ok();
}
