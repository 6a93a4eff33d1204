//! Which plugins get new states at a reload: only those whose own settings have changed.

use std::sync::Arc;

use plugin_host::{InitError, Plugin};

use super::Reload;
use crate::config::{Config, PluginConfig};
use crate::plugins::LoadedPlugin;
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
            let extractors = self.new_extractors(name, handle.input, config)?;
            if in_force.is_same(settings) && extractors.is_empty() {
                continue;
            }
            let input = opens_anew.then(|| self.init(input, settings)).transpose()?;
            all.push((changes, Change { settings: settings.clone(), input, extractors }));
        }
        Ok(all)
    }

    /// New states of the plugins that extract from a source beside the one that produces its events.
    fn new_extractors(
        &self,
        event_source: &str,
        input: usize,
        config: &Config,
    ) -> Result<Vec<(usize, Plugin)>, InitError> {
        let source = self.plugins.sources.iter().find(|source| source.name == event_source);
        let extractors = &source.expect("it was opened").extractors;
        let mut states = Vec::new();
        for &index in extractors.iter().filter(|&&index| index != input) {
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
        plugin.library.init(&settings.init_config, Arc::clone(&self.log))
    }
}

/// The entry of a plugin, if it is still there.
fn settings_of<'c>(plugin: &LoadedPlugin, config: &'c Config) -> Option<&'c PluginConfig> {
    config.plugins.list.iter().find(|settings| settings.name == plugin.settings.name)
}
