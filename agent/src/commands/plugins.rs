//! `--list-plugins` and `--plugin-info`.

use std::fmt::Write as _;

use plugin_host::{Library, Plugin};

use crate::plugins::Plugins;

/// What `--list-plugins` prints.
pub(crate) fn listing(plugins: &Plugins) -> String {
    let mut text = format!("{} Plugins Loaded:\n\n", plugins.loaded.len());
    for plugin in &plugins.loaded {
        text += &description(&plugin.library);
        text.push('\n');
    }
    text.push('\n');
    text
}

/// The first part of what `--plugin-info` prints, for which the plugin need not be initialised.
pub(crate) fn details(library: &Library) -> String {
    let schema = match library.init_schema() {
        Some(schema) => format!("JSON\n{schema}\n"),
        None => "Not available, plugin does not implement the init config schema functionality\n"
            .to_owned(),
    };
    format!("{}\nInit config schema type: {schema}\n", description(library))
}

/// The second part: what the plugin suggests to open.
pub(crate) fn suggested_open_params(plugin: &mut Plugin) -> String {
    if plugin.library().sourcing().is_none() {
        return String::new();
    }
    match plugin.list_open_params() {
        Ok(params) if !params.is_empty() => {
            let mut text = "Suggested open params:\n".to_owned();
            for param in params {
                writeln!(text, "{}: {}", param.value, param.description)
                    .expect("writing to a string");
            }
            text + "\n"
        }
        // A plugin that cannot list them at this moment has none to suggest.
        Ok(_) | Err(_) => "No suggested open params available: plugin has not been configured, \
                           or it does not implement the open params suggestion functionality\n\n"
            .to_owned(),
    }
}

fn description(library: &Library) -> String {
    let mut text = format!(
        "Name: {}\nDescription: {}\nContact: {}\nVersion: {}\nCapabilities: \n",
        library.name(),
        library.description(),
        library.contact(),
        library.version()
    );
    if let Some(sourcing) = library.sourcing() {
        match sourcing.id {
            0 => text += "  - Event Sourcing (system events)\n",
            id => {
                writeln!(text, "  - Event Sourcing (ID={id}, source='{}')", sourcing.event_source)
                    .expect("writing to a string")
            }
        }
    }
    let capabilities = library.capabilities();
    for (has, name) in [
        (capabilities.extraction, "  - Field Extraction\n"),
        (capabilities.parsing, "  - Event Parsing\n"),
        (capabilities.async_events, "  - Async Events\n"),
    ] {
        if has {
            text += name;
        }
    }
    text
}
