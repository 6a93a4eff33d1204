//! Which plugins get new states at a reload: only those whose own settings have changed.

use std::sync::Arc;

use plugin_host::{InitError, Plugin};

use super::Reload;
use crate::config::{Config, PluginConfig};
use crate::plugins::{LoadedPlugin, PluginStates};
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
            let in_force = changes.in_force();
            let opens_anew = !in_force.opens_alike(settings);
            let others = self.extractors(name).filter(|&index| index != handle.input);
            let others: Vec<_> = others.collect();
            let extractors = self.new_states(&others, config)?;
            if in_force.is_same(settings) && extractors.is_empty() {
                continue;
            }
            let input = opens_anew.then(|| self.init(input, settings)).transpose()?;
            let of_helper = [&[handle.input], &others[..]].concat();
            let helpers = (0..handle.helpers).map(|_| self.new_states(&of_helper, config));
            let helpers = helpers.collect::<Result<_, _>>()?;
            all.push((changes, Change { settings: settings.clone(), input, extractors, helpers }));
        }
        Ok(all)
    }

    /// The plugins that extract from a source's events.
    fn extractors(&self, event_source: &str) -> impl Iterator<Item = usize> {
        let source = self.plugins.sources.iter().find(|source| source.name == event_source);
        source.expect("it was opened").extractors.iter().copied()
    }

    /// New states of those among `plugins` whose configuration changes.
    fn new_states(&self, plugins: &[usize], config: &Config) -> Result<PluginStates, InitError> {
        let mut states = Vec::new();
        for &index in plugins {
            let plugin = &self.plugins.loaded[index];
            let settings = |config| settings_of(plugin, config);
            if let (Some(old), Some(new)) = (settings(&self.config), settings(config))
                && old.init_config != new.init_config
            {
                states.push((index, self.init(plugin, new)?));
            }
        }
        Ok(states)
    }

    fn init(&self, plugin: &LoadedPlugin, settings: &PluginConfig) -> Result<Plugin, InitError> {
        plugin.library.init(&settings.init_config, self.log.of_plugins())
    }
}

/// The entry of a plugin, if it is still there.
fn settings_of<'c>(plugin: &LoadedPlugin, config: &'c Config) -> Option<&'c PluginConfig> {
    config.plugins.list.iter().find(|settings| settings.name == plugin.settings.name)
}
