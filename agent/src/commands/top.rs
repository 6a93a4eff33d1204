//! `shikra top`: the rules that cost most, from the metrics of a running agent; the same table ends a run with `-v`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read};

use crate::app::AppError;
use crate::commands;
use crate::metrics::RuleRow;

/// Where `/metrics` is read from if nothing else is named.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8765/metrics";

/// Why there are no numbers to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopError {
    #[error("cannot read metrics from {url}")]
    Get { url: String, source: Box<ureq::Error> },
    #[error("cannot read metrics from standard input")]
    Stdin(#[source] io::Error),
    #[error(
        "{from} has no numbers of rules yet: does the agent run with `metrics.enabled` and \
         `webserver.prometheus_metrics_enabled`, and has it seen an event?"
    )]
    Nothing { from: String },
}

/// Reads metrics from `url`, or from standard input if that is `-`, and prints the `count` most expensive rules.
pub(crate) fn run(url: &str, count: usize) -> Result<(), AppError> {
    let text = if url == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(TopError::Stdin)?;
        text
    } else {
        get(url).map_err(|source| TopError::Get { url: url.to_owned(), source: source.into() })?
    };
    let rows = rows(&text);
    if rows.is_empty() {
        return Err(TopError::Nothing { from: url.to_owned() }.into());
    }
    commands::print(&table(rows, count))
}

fn get(url: &str) -> Result<String, ureq::Error> {
    // Ten thousand rules with long names take some megabytes.
    const MOST_BYTES: u64 = 256 << 20;
    ureq::get(url).call()?.body_mut().with_config().limit(MOST_BYTES).read_to_string()
}

/// The `count` rules that took most of the time, as a table for people.
pub(crate) fn table(mut rows: Vec<RuleRow>, count: usize) -> String {
    rows.sort_by(|a, b| {
        b.seconds
            .total_cmp(&a.seconds)
            .then(b.evaluations.cmp(&a.evaluations))
            .then(a.rule.cmp(&b.rule))
    });
    let total: f64 = rows.iter().map(|row| row.seconds).sum();
    let mut text = String::from("TIME %    SECONDS   NS/EVAL  EVALUATIONS     MATCHES  RULE\n");
    for row in rows.iter().take(count) {
        let share = if total > 0.0 { row.seconds / total * 100.0 } else { 0.0 };
        let each_ns = row.seconds * 1e9 / row.evaluations.max(1) as f64;
        writeln!(
            text,
            "{share:>6.1} {:>10.3} {each_ns:>9.0} {:>12} {:>11}  {} ({})",
            row.seconds, row.evaluations, row.matches, row.rule, row.source
        )
        .expect("writing to a string");
    }
    if rows.len() > count {
        writeln!(text, "and {} more", rows.len() - count).expect("writing to a string");
    }
    text
}

/// The rules that the text of `/metrics` tells of.
fn rows(text: &str) -> Vec<RuleRow> {
    let mut rows: BTreeMap<(String, String), RuleRow> = BTreeMap::new();
    for (name, labels, value) in text.lines().filter_map(sample) {
        let Some(metric) = name.strip_prefix("falcosecurity_falco_rules_") else { continue };
        let (Some(rule), Some(source)) = (labels.get("rule_name"), labels.get("source")) else {
            continue;
        };
        let row = rows.entry((source.clone(), rule.clone())).or_insert_with(|| RuleRow {
            rule: rule.clone(),
            source: source.clone(),
            evaluations: 0,
            matches: 0,
            seconds: 0.0,
        });
        match metric {
            "evaluations_total" => row.evaluations = value as u64,
            // One series for each priority and set of tags that a rule has had.
            "matches_total" => row.matches += value as u64,
            "evaluation_seconds_total" => row.seconds = value,
            _ => {}
        }
    }
    rows.into_values().collect()
}

/// A line of the Prometheus text format as name, labels and value; `None` for comments and anything else.
fn sample(line: &str) -> Option<(&str, BTreeMap<&str, String>, f64)> {
    let (name, mut rest) = line.split_once('{')?;
    let mut labels = BTreeMap::new();
    while let Some((label, quoted)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        loop {
            match characters.next()? {
                (end, '"') => {
                    rest = &quoted[end + 1..];
                    break;
                }
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    c => value.push(c),
                },
                (_, c) => value.push(c),
            }
        }
        labels.insert(label, value);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => break,
        }
    }
    let value = rest.strip_prefix('}')?.split_whitespace().next()?;
    Some((name, labels, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_most_expensive_rules_first() {
        let text = r#"# HELP falcosecurity_falco_rules_evaluations Events
falcosecurity_falco_events_total{source="s"} 9
falcosecurity_falco_rules_evaluations_total{rule_name="cheap",source="s"} 1000
falcosecurity_falco_rules_evaluations_total{rule_name="a \"dear\", one\\",source="s"} 10
falcosecurity_falco_rules_evaluation_seconds_total{rule_name="cheap",source="s"} 0.5
falcosecurity_falco_rules_evaluation_seconds_total{rule_name="a \"dear\", one\\",source="s"} 1.5
falcosecurity_falco_rules_matches_total{priority="4",rule_name="cheap",source="s",tag_k8s="true"} 3
falcosecurity_falco_rules_matches_total{priority="5",rule_name="cheap",source="s"} 4
"#;
        insta::assert_snapshot!(table(rows(text), 2), @r#"
        TIME %    SECONDS   NS/EVAL  EVALUATIONS     MATCHES  RULE
          75.0      1.500 150000000           10           0  a "dear", one\ (s)
          25.0      0.500    500000         1000           7  cheap (s)
        "#);
        assert!(table(rows(text), 1).ends_with("one\\ (s)\nand 1 more\n"));
        assert!(rows("nothing of ours\n").is_empty());
    }
}
