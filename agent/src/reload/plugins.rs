//! Which plugins get new states at a reload: only those whose own settings have changed.

use std::sync::Arc;

use plugin_host::{InitError, Plugin, StateTables};

use super::Reload;
use crate::config::{Config, PluginConfig};
use crate::plugins::{LoadedPlugin, PluginStates, Source};
use crate::source_thread::{Change, Changes};

impl Reload {
    /// Initialises what `config` changes, for each event source that is still there.
    ///
    /// # Errors
    ///
    /// When a plugin refuses its new settings.
    pub(super) fn plugin_changes(
        &self,
        config: &Config,
    ) -> Result<Vec<(Arc<Changes>, Change)>, InitError> {
        let mut all = Vec::new();
        for (name, handle) in &self.sources {
            let input = &self.plugins.loaded[handle.input];
            let Some(settings) = settings_of(input, config) else { continue };
            let Some(changes) = handle.changes.upgrade() else {
                if settings_of(input, &self.config).is_some_and(|old| !old.is_same(settings)) {
                    tracing::warn!(
                        "Event source '{name}' has ended, so changed settings of its plugin need a restart"
                    );
                }
                continue;
            };
            if handle.shares_tables {
                let change = self.new_group(name, handle.input, &changes.in_force(), config)?;
                all.extend(change.map(|change| (changes, change)));
                continue;
            }
            let in_force = changes.in_force();
            let opens_anew = !in_force.opens_alike(settings);
            let others = self.extractors(name).filter(|&index| index != handle.input);
            let others: Vec<_> = others.collect();
            let new_states =
                |plugins: &[usize]| self.new_states(plugins, handle.input, &in_force, config);
            let extractors = new_states(&others)?;
            if in_force.is_same(settings) && extractors.is_empty() {
                continue;
            }
            let input =
                opens_anew.then(|| self.init(input, settings, &StateTables::new())).transpose()?;
            let of_helper = [&[handle.input], &others[..]].concat();
            let helpers = (0..handle.helpers).map(|_| new_states(&of_helper));
            let helpers = helpers.collect::<Result<_, _>>()?;
            all.push((changes, Change { settings: settings.clone(), input, extractors, helpers }));
        }
        Ok(all)
    }

    /// New states of all plugins of a source that share tables, if the settings of one change: what one of them has got of
    /// another's table is good for these states only.
    fn new_group(
        &self,
        event_source: &str,
        input: usize,
        in_force: &PluginConfig,
        config: &Config,
    ) -> Result<Option<Change>, InitError> {
        let all = self.plugins.members(self.source(event_source));
        let changes = |&index: &usize| {
            let plugin = &self.plugins.loaded[index];
            settings_of(plugin, config).is_some_and(|new| match index == input {
                true => !in_force.is_same(new),
                false => settings_of(plugin, &self.config)
                    .is_some_and(|old| old.init_config != new.init_config),
            })
        };
        if !all.iter().any(changes) {
            return Ok(None);
        }
        let tables = StateTables::new();
        let mut states = PluginStates::new();
        let mut settings = in_force.clone();
        for index in all {
            let plugin = &self.plugins.loaded[index];
            let new = settings_of(plugin, config).unwrap_or(&plugin.settings);
            if index == input {
                settings = new.clone();
            }
            states.push((index, self.init(plugin, new, &tables)?));
        }
        let input = states.extract_if(.., |(index, _)| *index == input).next();
        let input = input.map(|(_, plugin)| plugin);
        Ok(Some(Change { settings, input, extractors: states, helpers: Vec::new() }))
    }

    /// The plugins that extract from a source's events.
    fn extractors(&self, event_source: &str) -> impl Iterator<Item = usize> {
        self.source(event_source).extractors.iter().copied()
    }

    fn source(&self, event_source: &str) -> &Source {
        let source = self.plugins.sources.iter().find(|source| source.name == event_source);
        source.expect("it was opened")
    }

    /// New states of those among `plugins` whose configuration changes. The source of `input` may still be open with older
    /// settings than those of the last reload, or be about to be opened with those.
    fn new_states(
        &self,
        plugins: &[usize],
        input: usize,
        in_force: &PluginConfig,
        config: &Config,
    ) -> Result<PluginStates, InitError> {
        let mut states = Vec::new();
        for &index in plugins {
            let plugin = &self.plugins.loaded[index];
            let settings = |config| settings_of(plugin, config);
            if let (Some(old), Some(new)) = (settings(&self.config), settings(config))
                && (old.init_config != new.init_config
                    || index == input && in_force.init_config != new.init_config)
            {
                states.push((index, self.init(plugin, new, &StateTables::new())?));
            }
        }
        Ok(states)
    }

    fn init(
        &self,
        plugin: &LoadedPlugin,
        settings: &PluginConfig,
        tables: &Arc<StateTables>,
    ) -> Result<Plugin, InitError> {
        plugin.library.init_among(&settings.init_config, self.log.of_plugins(), tables)
    }
}

/// The entry of a plugin, if it is still there.
fn settings_of<'c>(plugin: &LoadedPlugin, config: &'c Config) -> Option<&'c PluginConfig> {
    config.plugins.list.iter().find(|settings| settings.name == plugin.settings.name)
}
