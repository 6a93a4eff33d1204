//! `shikra lint` and `shikra fmt`: rules as their authors should leave them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rules_engine::{Finding, FindingLevel, Load, Settings};
use serde_json::{Value, json};

use crate::app::{AppError, Problems};
use crate::cli::{Cli, FmtArguments, LintArguments, LintFormat};
use crate::commands::{self, version::SHIKRA_VERSION};
use crate::paint::{Paint, counted, printable};
use crate::rules_files;
use crate::workbench::Workbench;

/// Shows what is odd in rules.
///
/// # Errors
///
/// [`AppError::Failed`] when there is a warning or an error.
pub(crate) fn lint(cli: &Cli, arguments: &LintArguments) -> Result<(), AppError> {
    let workbench = Workbench::open(cli)?;
    let files = match arguments.paths.as_slice() {
        [] => workbench.rules_files()?,
        paths => rules_files::find(&[], paths, &[])?.paths,
    };
    let mut findings = findings(&workbench, &files)?;
    findings.retain(|finding| !arguments.allow.contains(&finding.code));
    let text = match arguments.format {
        LintFormat::Text => text(&findings),
        LintFormat::Json => format!("{}\n", Value::Array(findings.iter().map(finding).collect())),
        LintFormat::Sarif => format!("{}\n", sarif(&findings)),
    };
    commands::print(&text)?;
    let bad = findings.iter().filter(|one| one.level >= FindingLevel::Warning).count();
    if bad > 0 {
        return Err(AppError::Failed(counted(bad, "warning")));
    }
    Ok(())
}

fn findings(workbench: &Workbench, paths: &[PathBuf]) -> Result<Vec<Finding>, AppError> {
    let files = rules_files::read(paths)?;
    let environment = &workbench.loader.environment;
    let settings = Settings { stop_at_first_error: false, ..workbench.loader.settings.clone() };
    let Load { reports, ruleset, .. } = rules_engine::load(files, environment, &settings);
    // A macro that this file leaves unused may be for the next one; the last report knows all.
    let last = reports.len().saturating_sub(1);
    let mut findings: Vec<Finding> = Vec::new();
    for (position, report) in reports.iter().enumerate() {
        let is_known =
            |finding: &Finding| position == last || !finding.code.starts_with("LOAD_UNUSED_");
        findings.extend(report.findings().into_iter().filter(is_known));
    }
    for source in ruleset.iter().flat_map(|ruleset| {
        environment.sources.iter().map(move |source| ruleset.lint(source, workbench.matching))
    }) {
        findings.extend(source);
    }
    Ok(findings)
}

fn text(findings: &[Finding]) -> String {
    let paint = Paint::for_stdout();
    let mut text = String::new();
    for Finding { code, level, message, place, help } in findings {
        let level = match level {
            FindingLevel::Note => paint.faint("note"),
            FindingLevel::Warning => paint.bad("warning"),
            FindingLevel::Error => paint.bad("error"),
        };
        let (file, line, column) = (&place.file, place.line, place.column);
        text += &format!("{file}:{line}:{column}: {level}[{code}]: {}\n", printable(message));
        if let Some(help) = help {
            text += &format!("  help: {}\n", printable(help));
        }
    }
    let count =
        |level, noun| counted(findings.iter().filter(|one| one.level == level).count(), noun);
    text + &format!(
        "{}, {}, {}\n",
        count(FindingLevel::Error, "error"),
        count(FindingLevel::Warning, "warning"),
        count(FindingLevel::Note, "note")
    )
}

fn level(finding: &Finding) -> &'static str {
    match finding.level {
        FindingLevel::Note => "note",
        FindingLevel::Warning => "warning",
        FindingLevel::Error => "error",
    }
}

fn finding(finding: &Finding) -> Value {
    json!({
        "code": finding.code,
        "level": level(finding),
        "message": finding.message,
        "file": finding.place.file,
        "line": finding.place.line,
        "column": finding.place.column,
        "help": finding.help,
    })
}

/// Source: the OASIS standard SARIF 2.1.0.
fn sarif(findings: &[Finding]) -> Value {
    let mut codes: Vec<&str> = findings.iter().map(|finding| &*finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| json!({ "id": code })).collect();
    let results = findings.iter().map(|finding| {
        let text = match &finding.help {
            Some(help) => format!("{}. Help: {help}", finding.message),
            None => finding.message.clone(),
        };
        json!({
            "ruleId": finding.code,
            "level": level(finding),
            "message": { "text": text },
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": { "uri": finding.place.file },
                    "region": { "startLine": finding.place.line, "startColumn": finding.place.column },
                },
            }],
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "shikra", "version": SHIKRA_VERSION, "rules": rules } },
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

/// Formats files in place, or says which would change.
///
/// # Errors
///
/// When a file cannot be formatted; with `--check` [`AppError::Failed`] when one would change.
pub(crate) fn format(arguments: &FmtArguments) -> Result<(), AppError> {
    if arguments.paths == [Path::new("-")] {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(AppError::Stdin)?;
        return commands::print(&formatted("standard input", &text)?);
    }
    let mut unformatted = Vec::new();
    let mut problems = Problems::default();
    for path in rules_files::find(&[], &arguments.paths, &[])?.paths {
        // One that cannot be formatted keeps none of the others from it.
        match format_file(&path, arguments.check) {
            Ok(true) if arguments.check => unformatted.push(path.display().to_string()),
            Ok(true) => commands::print(&format!("formatted {}\n", path.display()))?,
            Ok(false) => {}
            Err(error) => problems.note(Err::<(), _>(error)),
        }
    }
    problems.check()?;
    if !unformatted.is_empty() {
        return Err(AppError::Failed(format!("not formatted: {}", unformatted.join(", "))));
    }
    Ok(())
}

/// Formats a file, if it is not only to be checked, and tells whether it was not formatted yet.
fn format_file(path: &Path, is_only_checked: bool) -> Result<bool, AppError> {
    let text = fs::read_to_string(path)
        .map_err(|source| AppError::Read { path: path.to_owned(), source })?;
    let new = formatted(&path.display().to_string(), &text)?;
    if new == text {
        return Ok(false);
    }
    if !is_only_checked {
        fs::write(path, new).map_err(|source| AppError::Write { path: path.to_owned(), source })?;
    }
    Ok(true)
}

fn formatted(name: &str, text: &str) -> Result<String, AppError> {
    let place = name.to_owned();
    rules_engine::format(text).map_err(|source| AppError::Format { place, source })
}
