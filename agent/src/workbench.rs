//! Rules and plugins without a running source: evaluates events that are given as text.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use plugin_host::{MadeEvent, Plugin};
use rules_engine::{Anatomy, Detection, Load, RuleMatching, Selection, Settings, Verdict};
use serde_json::Value;

use crate::alert::AlertFormat;
use crate::app::{AppError, executable};
use crate::cli::Cli;
use crate::config::Config;
use crate::evaluation::BatchEvaluator;
use crate::extraction::SourceProgram;
use crate::logging::Log;
use crate::plugins::Plugins;
use crate::rules::{self, RulesError, RulesLoader};
use crate::rules_files;

/// The plugins of a configuration, initialised for events that come from no source.
pub(crate) struct Workbench {
    pub(crate) plugins: Plugins,
    pub(crate) loader: RulesLoader,
    /// As the configuration has it; rules are loaded so that every matching rule alerts.
    pub(crate) matching: RuleMatching,
    format: Arc<AlertFormat>,
    states: HashMap<String, State>,
}

/// What evaluates the events of one source.
struct State {
    input: Plugin,
    plugin_id: u32,
    evaluator: BatchEvaluator,
}

/// Rules, ready to be tried out.
pub(crate) struct Bench {
    sources: HashMap<String, BenchSource>,
}

struct BenchSource {
    program: SourceProgram,
    anatomy: Anatomy,
    probes: SourceProgram,
}

impl Workbench {
    /// Reads the configuration and initialises its plugins.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong or a plugin cannot be used.
    pub(crate) fn open(cli: &Cli) -> Result<Workbench, AppError> {
        let (config, plugins) = load(cli)?;
        let all_states = plugins.init(1, &Log::new(&config.log).of_plugins())?;
        let mut states = HashMap::new();
        for (source, state) in plugins.sources.iter().zip(all_states) {
            let (Some(index), Some(input)) = (source.input, state.input) else { continue };
            let library = input.library();
            let plugin_id = library.sourcing().map_or(0, |sourcing| sourcing.id);
            let plugin_name = library.name().to_owned();
            let evaluator = BatchEvaluator::new(
                &source.name,
                &plugin_name,
                index,
                state.extractors,
                Vec::new(),
                Arc::default(),
            )
            .map_err(cannot_start_threads)?
            .parsed_by(&source.parsers);
            states.insert(source.name.clone(), State { input, plugin_id, evaluator });
        }
        let mut loader = RulesLoader::new(cli, &config, &plugins);
        // Rules are tried out whether they are switched on or not, and each for itself.
        loader.settings = Settings {
            rule_matching: RuleMatching::All,
            selections: vec![Selection { enable: true, rule: Some("*".to_owned()), tag: None }],
            append_output: loader.settings.append_output,
            ..Settings::default()
        };
        let format = AlertFormat::new(&config.alerts, true, String::new());
        let matching = config.rules.matching;
        Ok(Workbench { plugins, loader, matching, format: Arc::new(format), states })
    }

    /// The rules files of the command line, or else of the configuration.
    pub(crate) fn rules_files(&self) -> Result<Vec<PathBuf>, AppError> {
        Ok(rules_files::find(&self.loader.configured, &self.loader.arguments, &[])?.paths)
    }

    /// Loads rules.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is wrong.
    pub(crate) fn load(&self, paths: &[PathBuf]) -> Result<Bench, AppError> {
        let files = rules_files::read(paths)?;
        let environment = &self.loader.environment;
        let Load { reports, requirements, ruleset } =
            rules_engine::load(files, environment, &self.loader.settings);
        requirements.map_err(RulesError::Requirements)?;
        let ruleset = ruleset.ok_or_else(|| RulesError::Invalid(rules::diagnostics(&reports)))?;
        let mut sources = HashMap::new();
        for source in environment.sources.iter().filter(|s| self.states.contains_key(&s.name)) {
            let anatomy = ruleset.anatomy(source);
            let probes = Arc::clone(anatomy.program());
            let source_program = BenchSource {
                program: SourceProgram::new(&ruleset, &source.name, &self.plugins, &self.format),
                probes: SourceProgram::of(probes, &self.plugins, &self.format),
                anatomy,
            };
            sources.insert(source.name.clone(), source_program);
        }
        Ok(Bench { sources })
    }

    /// The sources that a plugin makes events of, in load order.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &str> {
        let names = self.plugins.sources.iter().map(|source| source.name.as_str());
        names.filter(|name| self.states.contains_key(*name))
    }

    /// Whether a plugin makes events of this source.
    pub(crate) fn knows(&self, source: &str) -> bool {
        self.states.contains_key(source)
    }

    /// All alerts for an event of a source that is known, in the order of the rules.
    pub(crate) fn detections(
        &mut self,
        bench: &Bench,
        source: &str,
        event: &Value,
    ) -> Vec<Detection> {
        self.evaluate(&bench.sources[source].program, source, event)
    }

    /// What every comparison in the rules says of the event.
    pub(crate) fn verdicts(&mut self, bench: &Bench, source: &str, event: &Value) -> Vec<Verdict> {
        let BenchSource { anatomy, probes, .. } = &bench.sources[source];
        anatomy.verdicts(self.evaluate(probes, source, event))
    }

    fn evaluate(&mut self, program: &SourceProgram, source: &str, event: &Value) -> Vec<Detection> {
        let state = self.states.get_mut(source).expect("the caller asked whether it is known");
        let mut detections = Vec::new();
        // An event that is a text is that text: a line of a file.
        let payload = event.as_str().map_or_else(|| event.to_string(), str::to_owned);
        let made = MadeEvent::new(state.plugin_id, time_ns(event), payload.as_bytes());
        let mut made = made.expect("no text in memory is that long");
        let mut batch = state.input.batch_of(&mut made);
        let events: Vec<_> = batch.events().collect();
        state.evaluator.evaluate(program, &events, batch.extractor(), 0, &mut detections);
        detections
    }
}

impl Bench {
    /// The rules of a source, taken apart; the source is one that the workbench knows.
    pub(crate) fn anatomy(&self, source: &str) -> &Anatomy {
        &self.sources[source].anatomy
    }
}

/// The configuration and its plugins, none of them initialised.
///
/// # Errors
///
/// When there is no configuration, or it or a plugin cannot be used.
pub(crate) fn load(cli: &Cli) -> Result<(Config, Plugins), AppError> {
    let config = Config::load(cli)?;
    if config.files.is_empty() {
        return Err(AppError::NoConfig);
    }
    let plugins = Plugins::load(&config, &executable())?;
    Ok((config, plugins))
}

fn cannot_start_threads(error: impl std::error::Error + Send + Sync + 'static) -> AppError {
    let source = std::io::Error::other(error);
    AppError::Start { what: "the threads that evaluate events", source }
}

/// When an audit event happened; other events have no time of their own.
fn time_ns(event: &Value) -> u64 {
    let time = event.get("stageTimestamp").and_then(Value::as_str);
    let time = time.and_then(|text| text.parse::<Timestamp>().ok());
    time.and_then(|time| u64::try_from(time.as_nanosecond()).ok()).unwrap_or(0)
}
