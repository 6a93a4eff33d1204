//! Opens what `load_plugins` lists, and works out which event sources and fields that gives.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_host::{
    FieldInfo, FieldKind, InitError, Isolation, Library, LoadError, LogSink, Plugin, StateTables,
};
use rules_engine::{
    ArgumentRule, EventSource, FieldCatalogue, FieldClass, FieldDefinition, FieldType,
    PluginVersion, Provider,
};

use crate::config::{Config, LibraryNotFound, PluginConfig};
use crate::logging::with_causes;
use crate::sha256::Sha256;
use crate::source_thread::Input;

/// The source of kernel events. It is always known, so that rules and options may name it, but nothing feeds it.
pub(crate) const SYSCALL: &str = "syscall";

/// Why the configured plugins cannot work together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginsError {
    #[error(transparent)]
    NotFound(#[from] LibraryNotFound),
    #[error("cannot load plugin {}: can't read plugin dynamic library", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "cannot load plugin {}: its SHA-256 hash is {actual}, but the configuration wants {expected}",
        path.display()
    )]
    Hash { path: PathBuf, expected: Sha256, actual: Sha256 },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(
        "plugin '{configured}' calls itself '{actual}': use that name in `plugins` and `load_plugins`"
    )]
    Name { configured: String, actual: String },
    #[error("cannot register plugin {path}: found another plugin with name {name}")]
    DuplicateName { path: String, name: String },
    #[error("cannot register plugin {path}: found another plugin with ID {id}")]
    DuplicateId { path: String, id: u32 },
    #[error("plugin '{name}' cannot run in a process of its own: {reason}")]
    Isolation { name: String, reason: &'static str },
    #[error("Plugin '{name}' is loaded but unused as not compatible with any known event source")]
    Unused { name: String },
    #[error(
        "Plugin '{name}' supports extraction of field '{field}' that is overlapping for source '{event_source}'"
    )]
    Overlap { name: String, field: String, event_source: String },
}

/// Everything that is wrong with them.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.0.iter().map(|error| with_causes(error)).collect::<Vec<_>>().join("\n"))]
pub(crate) struct PluginsErrors(Vec<PluginsError>);

/// All loaded plugins and the event sources that they make.
#[derive(Debug)]
pub(crate) struct Plugins {
    /// In load order; [`Provider::Plugin`] counts in it.
    pub(crate) loaded: Vec<LoadedPlugin>,
    /// `syscall` first, then in load order.
    pub(crate) sources: Vec<Source>,
}

/// A plugin's library and its part of the configuration.
#[derive(Debug)]
pub(crate) struct LoadedPlugin {
    pub(crate) library: Arc<Library>,
    /// Of the library's file, just before it was opened.
    pub(crate) sha256: Sha256,
    pub(crate) settings: PluginConfig,
}

/// An event source that rules may name.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// The plugin that produces its events; none for `syscall`.
    pub(crate) input: Option<usize>,
    /// The plugins that extract fields from its events or take part in other ways, the input among them if it does.
    pub(crate) extractors: Vec<usize>,
    /// Those that parse its events.
    pub(crate) parsers: Vec<usize>,
    /// The fields of these plugins.
    classes: Vec<FieldClass>,
}

/// One state of each of several plugins, by their index in [`Plugins::loaded`].
pub(crate) type PluginStates = Vec<(usize, Plugin)>;

/// Plugin states for one event source: they belong to its threads.
#[derive(Debug)]
pub(crate) struct SourcePlugins {
    /// The plugin to open; none for `syscall`.
    pub(crate) input: Option<Plugin>,
    /// The other plugins that extract from its events or take part in other ways.
    pub(crate) extractors: PluginStates,
    /// For each further thread that evaluates its events all of these once more, the input too.
    pub(crate) helpers: Vec<PluginStates>,
}

impl Plugins {
    /// Opens the libraries of all plugins that the configuration lists. None is initialised.
    ///
    /// `executable` is this program's own path, beside which libraries may lie.
    ///
    /// # Errors
    ///
    /// When a library cannot be found or opened, or does not go with the others.
    pub(crate) fn load(config: &Config, executable: &Path) -> Result<Plugins, PluginsErrors> {
        let mut loaded: Vec<LoadedPlugin> = Vec::new();
        let mut errors = Vec::new();
        for settings in &config.plugins.list {
            let path = config.plugins.find(settings, executable).map_err(PluginsError::from);
            let plugin = path.and_then(|path| LoadedPlugin::open(settings, &path));
            let plugin = plugin.and_then(|plugin| plugin.check_identity(&loaded).map(|()| plugin));
            let plugin = match plugin {
                Ok(plugin) => plugin,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            tracing::info!(
                "Loaded plugin '{}@{}' from file {}",
                plugin.settings.name,
                plugin.library.version(),
                plugin.library.path().display()
            );
            loaded.push(plugin);
        }
        // One that is missing makes others look as if they were of no use.
        if !errors.is_empty() {
            return Err(PluginsErrors(errors));
        }
        let sources = sources_of(&loaded).map_err(|error| PluginsErrors(vec![error]))?;
        Ok(Plugins { loaded, sources })
    }

    /// The sources and plugin versions that rules are checked against.
    pub(crate) fn environment(
        &self,
        static_fields: &[(String, String)],
    ) -> rules_engine::Environment {
        rules_engine::Environment {
            sources: self
                .sources
                .iter()
                .map(|s| EventSource { name: s.name.clone(), fields: s.catalogue(static_fields) })
                .collect(),
            plugins: self
                .loaded
                .iter()
                .map(|p| PluginVersion {
                    name: p.library.name().to_owned(),
                    version: p.library.version().to_string(),
                })
                .collect(),
        }
    }

    /// The plugins that get states for a source, in load order: later ones ask for the state tables of earlier ones.
    pub(crate) fn members(&self, source: &Source) -> Vec<usize> {
        let mut all: Vec<_> = source.input.iter().chain(&source.extractors).copied().collect();
        all.sort_unstable();
        all.dedup();
        // Nothing feeds `syscall`, and tables that a plugin asks for may be those of another source's plugins.
        if source.input.is_none() {
            let fed = |other: &&Source| other.input.is_some();
            all.retain(|index| {
                !self.sources.iter().filter(fed).any(|s| s.extractors.contains(index))
            });
        }
        all
    }

    /// Initialises the plugins for every event source.
    ///
    /// Every source has plugin states of its own, and each of the `threads` that evaluate its events too, because threads
    /// must not share them. As in stock, sources that
    /// stay disabled count too, and `syscall` for plugins that are for nothing else, so that a wrong plugin configuration always shows.
    ///
    /// # Errors
    ///
    /// When a plugin refuses its configuration.
    pub(crate) fn init(
        &self,
        threads: usize,
        log: &Arc<LogSink>,
    ) -> Result<Vec<SourcePlugins>, InitError> {
        let states = |source: &Source| {
            let all = self.members(source);
            let init_all = || {
                let tables = StateTables::new();
                let init = |&index: &usize| Ok((index, self.loaded[index].init(log, &tables)?));
                all.iter().map(init).collect::<Result<PluginStates, InitError>>()
            };
            let mut extractors = init_all()?;
            let input = extractors.extract_if(.., |(index, _)| Some(*index) == source.input).next();
            let input = input.map(|(_, plugin)| plugin);
            let is_shared = extractors.iter().map(|(_, plugin)| plugin).chain(&input);
            let helpers = match threads - 1 {
                // Nothing feeds `syscall`. What a child process gives is extracted there, by one thread.
                _ if source.input.is_none_or(|index| self.loaded[index].library.is_isolated()) => 0,
                helpers if helpers > 0 && source.is_in_order(&self.loaded, is_shared) => {
                    tracing::info!(
                        "Event source '{}' is evaluated on one thread: its plugins keep state from event to event",
                        source.name
                    );
                    0
                }
                helpers => helpers,
            };
            let helpers = (0..helpers).map(|_| init_all()).collect::<Result<_, _>>()?;
            Ok(SourcePlugins { input, extractors, helpers })
        };
        self.sources.iter().map(states).collect()
    }
}

impl LoadedPlugin {
    /// Opens a library, if its hash is what the configuration wants: opening runs code of it.
    fn open(settings: &PluginConfig, path: &Path) -> Result<LoadedPlugin, PluginsError> {
        let sha256 = Sha256::of_file(path)
            .map_err(|source| PluginsError::Read { path: path.to_owned(), source })?;
        match settings.sha256 {
            Some(expected) if expected != sha256 => {
                Err(PluginsError::Hash { path: path.to_owned(), expected, actual: sha256 })
            }
            _ => {
                let library = match settings.is_isolated {
                    true => Library::open_isolated(path, isolation())?,
                    false => Library::open(path)?,
                };
                Ok(LoadedPlugin { library, sha256, settings: settings.clone() })
            }
        }
    }

    /// One new state of the plugin, among others that share `tables`.
    pub(crate) fn init(
        &self,
        log: &Arc<LogSink>,
        tables: &Arc<StateTables>,
    ) -> Result<Plugin, InitError> {
        self.library.init_among(&self.settings.init_config, Arc::clone(log), tables)
    }

    /// What it takes to open its event source, now and again.
    pub(crate) fn input(&self, log: &Arc<LogSink>) -> Input {
        Input {
            library: Arc::clone(&self.library),
            settings: self.settings.clone(),
            log: Arc::clone(log),
        }
    }

    fn check_identity(&self, others: &[LoadedPlugin]) -> Result<(), PluginsError> {
        let (name, path) = (self.library.name(), self.library.path().display());
        // Where it is to be opened, stock finds no plugin of the configured name.
        if self.settings.name != name && self.library.sourcing().is_some() {
            return Err(PluginsError::Name {
                configured: self.settings.name.clone(),
                actual: name.to_owned(),
            });
        }
        if others.iter().any(|other| other.library.name() == name) {
            return Err(PluginsError::DuplicateName {
                path: path.to_string(),
                name: name.to_owned(),
            });
        }
        let id =
            |plugin: &LoadedPlugin| plugin.library.sourcing().map(|s| s.id).filter(|&id| id != 0);
        match id(self) {
            Some(own) if others.iter().any(|other| id(other) == Some(own)) => {
                Err(PluginsError::DuplicateId { path: path.to_string(), id: own })
            }
            _ => Ok(()),
        }
    }

    fn extracts_from(&self, source: &str) -> bool {
        self.library.extraction().is_some_and(|e| e.is_compatible_with(source))
    }

    fn parses(&self, source: &str) -> bool {
        self.library.parsing().is_some_and(|p| p.is_compatible_with(source))
    }

    fn takes_part_in(&self, source: &str) -> bool {
        let library = &self.library;
        let is_listener_alone = library.capabilities().capture_listening
            && library.extraction().is_none()
            && library.parsing().is_none()
            && library.async_events().is_none();
        self.extracts_from(source)
            || self.parses(source)
            || source == SYSCALL && library.sourcing().is_some_and(|sourcing| sourcing.id == 0)
            || library.async_events().is_some_and(|added| added.is_compatible_with(source))
            // It does not say which sources it is for.
            || is_listener_alone
    }
}

/// Works out the event sources: `syscall`, then one for each name that a plugin produces events for.
fn sources_of(loaded: &[LoadedPlugin]) -> Result<Vec<Source>, PluginsError> {
    let mut sources = vec![Source::new(SYSCALL, None)];
    for (index, plugin) in loaded.iter().enumerate() {
        let Some(sourcing) = plugin.library.sourcing() else { continue };
        let name = match sourcing.id {
            0 => {
                tracing::warn!(
                    "Plugin '{}' is for events of '{SYSCALL}', which come from no plugin but in captures: it is not opened",
                    plugin.library.name()
                );
                continue;
            }
            _ => &sourcing.event_source,
        };
        if let Some(source) = sources.iter().find(|s| s.name == *name) {
            let first = source.input.map_or(SYSCALL, |i| loaded[i].library.name());
            tracing::warn!(
                "Enabled event source '{name}' can be opened with multiple loaded plugins, will use only '{first}'"
            );
        } else {
            sources.push(Source::new(name, Some(index)));
        }
    }
    for plugin in loaded.iter().filter(|plugin| plugin.library.is_isolated()) {
        check_isolation(plugin, &sources)?;
    }
    for (index, plugin) in loaded.iter().enumerate() {
        let mut is_used = plugin.library.sourcing().is_some();
        for source in sources.iter_mut().filter(|s| plugin.takes_part_in(&s.name)) {
            is_used = true;
            source.extractors.push(index);
            if plugin.parses(&source.name) {
                source.parsers.push(index);
            }
            // Kernel events never come, so `syscall` rules are not compiled and need no fields.
            if source.name != SYSCALL && plugin.extracts_from(&source.name) {
                source.add_fields(index, &plugin.library)?;
            }
        }
        if !is_used {
            return Err(PluginsError::Unused { name: plugin.library.name().to_owned() });
        }
        let is_idle = plugin.library.sourcing().is_none()
            && !sources.iter().any(|s| s.input.is_some() && s.extractors.contains(&index));
        if is_idle {
            tracing::warn!(
                "Plugin '{}' needs events of '{SYSCALL}', which no plugin offers: it has nothing to do",
                plugin.library.name()
            );
        }
    }
    Ok(sources)
}

/// How a child process is started: from the very file that runs, even if another one has taken its place.
fn isolation() -> Isolation {
    Isolation { program: "/proc/self/exe".into(), arguments: vec!["plugin-child".into()] }
}

/// Refuses what would need a plugin's process for the events of others.
fn check_isolation(plugin: &LoadedPlugin, sources: &[Source]) -> Result<(), PluginsError> {
    let capabilities = plugin.library.capabilities();
    let own = plugin.library.sourcing().filter(|sourcing| sourcing.id != 0);
    let is_of_another = |source: &Source| {
        own.is_none_or(|own| own.event_source != source.name) && plugin.extracts_from(&source.name)
    };
    let reason = if own.is_none() {
        "it has no event source of its own"
    } else if capabilities.parsing || capabilities.async_events || capabilities.capture_listening {
        "it does more than to produce events and to extract fields from them"
    } else if sources.iter().any(is_of_another) {
        "it extracts fields from events of other sources"
    } else {
        return Ok(());
    };
    Err(PluginsError::Isolation { name: plugin.library.name().to_owned(), reason })
}

impl Source {
    fn new(name: &str, input: Option<usize>) -> Source {
        Source {
            name: name.to_owned(),
            input,
            extractors: Vec::new(),
            parsers: Vec::new(),
            classes: Vec::new(),
        }
    }

    /// Whether what its plugins know depends on having seen all events, in order: then states on several threads would differ.
    fn is_in_order<'p>(
        &self,
        loaded: &[LoadedPlugin],
        mut states: impl Iterator<Item = &'p Plugin>,
    ) -> bool {
        let has_state = |&index: &usize| {
            let capabilities = loaded[index].library.capabilities();
            capabilities.parsing || capabilities.async_events || capabilities.capture_listening
        };
        self.extractors.iter().any(has_state) || states.any(Plugin::shares_tables)
    }

    /// What rules for it may name, with the fields that the configuration defines.
    fn catalogue(&self, static_fields: &[(String, String)]) -> FieldCatalogue {
        let statics = (!static_fields.is_empty()).then(|| static_class(static_fields));
        let classes = [rules_engine::generic_class()].into_iter().chain(statics);
        FieldCatalogue {
            classes: classes.chain(self.classes.iter().cloned()).collect(),
            static_values: static_fields.iter().map(|(_, value)| value.clone()).collect(),
        }
    }

    fn add_fields(&mut self, index: usize, library: &Library) -> Result<(), PluginsError> {
        let extraction = library.extraction().expect("the plugin extracts from this source");
        let fields: Vec<_> = extraction.fields.iter().map(definition).collect();
        let generic = [rules_engine::generic_class()];
        let known = |name: &str| {
            generic
                .iter()
                .chain(&self.classes)
                .flat_map(|class| &class.fields)
                .any(|f| f.name == name)
        };
        if let Some(field) = fields.iter().find(|field| known(&field.name)) {
            return Err(PluginsError::Overlap {
                name: library.name().to_owned(),
                field: field.name.clone(),
                event_source: self.name.clone(),
            });
        }
        self.classes.push(FieldClass {
            name: format!("{} (plugin)", library.name()),
            description: library.description().to_owned(),
            provider: Provider::Plugin(index),
            fields,
        });
        Ok(())
    }
}

/// The class of `static.*` fields, which the configuration defines.
fn static_class(static_fields: &[(String, String)]) -> FieldClass {
    let field = |(key, _): &(String, String)| FieldDefinition {
        name: format!("static.{key}"),
        kind: FieldType::String,
        is_list: false,
        argument: None,
        description: "Static field of the configuration".to_owned(),
        hidden: false,
        suggested: true,
    };
    FieldClass {
        name: "static".to_owned(),
        description: "Fields that the configuration defines under `static_fields`".to_owned(),
        provider: Provider::Static,
        fields: static_fields.iter().map(field).collect(),
    }
}

fn definition(field: &FieldInfo) -> FieldDefinition {
    FieldDefinition {
        name: field.name.clone(),
        kind: match field.kind {
            FieldKind::String => FieldType::String,
            FieldKind::Uint64 => FieldType::Uint64,
            FieldKind::RelTime => FieldType::RelTime,
            FieldKind::AbsTime => FieldType::AbsTime,
            FieldKind::Bool => FieldType::Bool,
            FieldKind::IpAddr => FieldType::IpAddr,
            FieldKind::IpNet => FieldType::IpNet,
        },
        is_list: field.is_list,
        argument: field.argument.as_ref().map(|a| ArgumentRule {
            required: a.required,
            index: a.index,
            key: a.key,
        }),
        description: field.description.clone(),
        hidden: field.hidden,
        suggested: field.add_output,
    }
}
