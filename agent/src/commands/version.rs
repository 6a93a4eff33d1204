//! `--version`, and the body of `/versions`.

use serde_json::{Map, Value, json};

use crate::plugins::{LoadedPlugin, Plugins};

/// The release of Falco whose rules, plugins and options this agent understands.
pub(crate) const FALCO_VERSION: &str = "0.44.0";
const LIBS_VERSION: &str = "0.25.2";
/// There is no driver; scripts that compare these still find them.
const DRIVER_API_VERSION: &str = "10.1.0";
pub(crate) const DRIVER_SCHEMA_VERSION: &str = "4.5.1";
const DEFAULT_DRIVER: &str = "10.2.0+driver";

/// The version of this agent.
pub(crate) const SHIKRA_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The text for people. Its first lines are stock's, which scripts match.
pub(crate) fn text() -> String {
    format!(
        "Falco version: {FALCO_VERSION}
Libs version:  {LIBS_VERSION}
Plugin API:    {plugin_api}
Engine:        {engine}
Driver:
  API version:    {DRIVER_API_VERSION}
  Schema version: {DRIVER_SCHEMA_VERSION}
  Default driver: {DEFAULT_DRIVER}
Shikra version: {SHIKRA_VERSION}
",
        plugin_api = plugin_host::API_VERSION,
        engine = rules_engine::ENGINE_VERSION,
    )
}

/// The same as JSON, with the versions and hashes of the loaded plugins, if any are.
///
/// falcoctl reads it to see whether an artifact suits this agent.
pub(crate) fn json(plugins: Option<&Plugins>) -> Value {
    let engine_minor = rules_engine::ENGINE_VERSION.split('.').nth(1);
    let mut versions = json!({
        "default_driver_version": DEFAULT_DRIVER,
        "driver_api_version": DRIVER_API_VERSION,
        "driver_schema_version": DRIVER_SCHEMA_VERSION,
        "engine_version": engine_minor.expect("the engine's version has three numbers"),
        "engine_version_semver": rules_engine::ENGINE_VERSION,
        "falco_version": FALCO_VERSION,
        "libs_version": LIBS_VERSION,
        "plugin_api_version": plugin_host::API_VERSION.to_string(),
        "shikra_version": SHIKRA_VERSION,
    });
    if let Some(plugins) = plugins.filter(|plugins| !plugins.loaded.is_empty()) {
        let of_each = |text: fn(&LoadedPlugin) -> String| -> Map<_, _> {
            let texts =
                plugins.loaded.iter().map(|p| (p.library.name().to_owned(), text(p).into()));
            texts.collect()
        };
        versions["plugin_versions"] = of_each(|plugin| plugin.library.version().to_string()).into();
        versions["plugin_sha256"] = of_each(|plugin| plugin.sha256.to_string()).into();
    }
    versions
}
