//! `--support`: one JSON line with all that a report of a problem needs.

use std::fs;

use serde_json::{Value, json};

use crate::cli::Cli;
use crate::commands::{command_line, version};
use crate::config;
use crate::plugins::Plugins;
use crate::rules::LoadedRules;

/// The keys are stock's; secrets of the configuration and of the command line are left out.
pub(crate) fn report(cli: &Cli, plugins: &Plugins, rules: &LoadedRules) -> Value {
    let rules_files = rules.paths.iter().map(|path| {
        let content = fs::read(path).unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        json!({ "name": path, "variants": [{ "content": content }] })
    });
    json!({
        "version": version::FALCO_VERSION,
        "shikra_version": version::SHIKRA_VERSION,
        "engine_info": version::json(Some(plugins)),
        "cmdline": command_line(),
        "config": config::dump(cli),
        "rules_files": rules_files.collect::<Vec<_>>(),
        "system_info": {
            "sysname": kernel("ostype"),
            "nodename": kernel("hostname"),
            "release": kernel("osrelease"),
            "version": kernel("version"),
            "machine": std::env::consts::ARCH,
        },
    })
}

fn kernel(name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/sys/kernel/{name}"));
    text.unwrap_or_default().trim_end().to_owned()
}
