//! `shikra test`: runs tests of rules through the plugins and the engine that a run uses.

mod coverage;
mod judge;
mod report;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::app::AppError;
use crate::cli::{Cli, TestArguments};
use crate::commands;
use crate::config::{RuleTest, Suite};
use crate::paint::Paint;
use crate::workbench::{Bench, Workbench};

use coverage::Coverage;
use judge::{Line, judge};

/// How often `--watch` looks at the files.
const WATCH_INTERVAL: Duration = Duration::from_millis(300);

/// Why tests of rules cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleTestError {
    #[error("no test was found")]
    NoTests,
    #[error("{place}: source: no loaded plugin makes events of source '{event_source}'")]
    UnknownSource { place: String, event_source: String },
    #[error("{place}: rule: no loaded rule of source '{event_source}' is called '{rule}'")]
    UnknownRule { place: String, event_source: String, rule: String },
}

/// What became of one test.
struct Outcome {
    suite: PathBuf,
    test: RuleTest,
    /// What is not as expected; nothing if the test passed.
    problems: Vec<Line>,
    duration: Duration,
}

impl Outcome {
    fn is_passed(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Runs the tests; with `--watch` again and again.
///
/// # Errors
///
/// [`AppError::Failed`] when a test fails, others when the tests cannot be run.
pub(crate) fn run(cli: &Cli, arguments: &TestArguments) -> Result<(), AppError> {
    if !arguments.watch {
        return run_once(cli, arguments);
    }
    let mut seen = states(watched(cli, arguments)?);
    loop {
        if let Err(error) = run_once(cli, arguments) {
            commands::print(&format!("{}\n", crate::logging::with_causes(&error)))?;
        }
        commands::print("Waiting for a change of rules or tests; Ctrl-C ends it.\n")?;
        seen = loop {
            std::thread::sleep(WATCH_INTERVAL);
            // Files may be missing or broken while they are edited: then the run says so, and the next change is waited for.
            let now = watched(cli, arguments).map(states).unwrap_or_default();
            if now != seen {
                break now;
            }
        };
    }
}

fn run_once(cli: &Cli, arguments: &TestArguments) -> Result<(), AppError> {
    let mut workbench = Workbench::open(cli)?;
    let configured = workbench.rules_files();
    let suites = suites(&arguments.paths, configured.as_deref().unwrap_or_default())?;
    let mut benches: HashMap<Vec<PathBuf>, Bench> = HashMap::new();
    let mut coverage = Coverage::default();
    let mut outcomes = Vec::new();
    for suite in suites {
        let rules =
            if suite.rules.is_empty() { workbench.rules_files()? } else { suite.rules.clone() };
        if !benches.contains_key(&rules) {
            let bench = workbench.load(&rules)?;
            coverage.add_rules(&workbench, &bench);
            benches.insert(rules.clone(), bench);
        }
        let bench = &benches[&rules];
        for test in suite.tests.into_iter().filter(|test| is_wanted(test, arguments)) {
            let started = Instant::now();
            let problems = judge(&test, &mut workbench, bench, &mut coverage)?;
            let duration = started.elapsed();
            outcomes.push(Outcome { suite: suite.path.clone(), test, problems, duration });
        }
    }
    if outcomes.is_empty() {
        return Err(RuleTestError::NoTests.into());
    }
    if let Some(path) = &arguments.junit {
        let written = fs::write(path, report::junit(&outcomes));
        written.map_err(|source| AppError::Write { path: path.clone(), source })?;
    }
    if arguments.json {
        commands::print(&format!("{}\n", report::json(&outcomes, &coverage)))?;
    } else {
        commands::print(&report::text(&outcomes, Paint::for_stdout()))?;
        if let Some(format) = arguments.coverage {
            commands::print(&coverage.shown(format))?;
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.is_passed()).count();
    if failed > 0 {
        return Err(AppError::Failed(format!("{failed} of {} tests failed", outcomes.len())));
    }
    match coverage.rules_without_tests() {
        missing if arguments.require_tests && !missing.is_empty() => {
            Err(AppError::Failed(missing.join("\n")))
        }
        _ => Ok(()),
    }
}

fn is_wanted(test: &RuleTest, arguments: &TestArguments) -> bool {
    arguments.only.as_deref().is_none_or(|text| {
        test.name.contains(text) || test.rule.as_deref().is_some_and(|rule| rule.contains(text))
    })
}

fn suites(paths: &[PathBuf], rules: &[PathBuf]) -> Result<Vec<Suite>, AppError> {
    let files = suite_files(paths, rules)?;
    files.iter().map(|path| Suite::read(path).map_err(AppError::Config)).collect()
}

/// The files with tests; directories give theirs sorted by name.
fn suite_files(paths: &[PathBuf], rules: &[PathBuf]) -> Result<Vec<PathBuf>, AppError> {
    let mut paths = paths.to_vec();
    if paths.is_empty() {
        let folders = rules.iter().filter_map(|path| path.parent());
        paths = folders.map(|folder| folder.join("tests")).filter(|tests| tests.is_dir()).collect();
        paths.dedup();
    }
    let mut files = Vec::new();
    for path in paths {
        let error = |source| AppError::Read { path: path.clone(), source };
        if !fs::metadata(&path).map_err(error)?.is_dir() {
            files.push(path);
            continue;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&path).map_err(error)? {
            let path = entry.map_err(error)?.path();
            if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                found.push(path);
            }
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

/// The files whose change makes `--watch` run the tests again.
fn watched(cli: &Cli, arguments: &TestArguments) -> Result<Vec<PathBuf>, AppError> {
    let config = crate::config::Config::load(cli)?;
    let rules = crate::rules_files::find(&config.rules.files, &cli.rules, &[]);
    let rules = rules.map(|found| found.paths).unwrap_or_default();
    let mut files = suite_files(&arguments.paths, &rules)?;
    for path in files.clone() {
        // One that is wrong just now names no others.
        if let Ok(suite) = Suite::read(&path) {
            files.extend(suite.rules);
            files.extend(suite.tests.into_iter().filter_map(|test| test.file));
        }
    }
    files.extend(rules);
    Ok(files)
}

/// What tells that a file was changed: its length too, since the clock of files has steps.
fn states(files: Vec<PathBuf>) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
    let state = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    let states: Vec<_> = files.iter().map(state).collect();
    files.into_iter().zip(states).collect()
}
