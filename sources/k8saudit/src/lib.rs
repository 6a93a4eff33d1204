//! Falco plugin `k8saudit`: Kubernetes audit events, and the `ka.*` fields of them.
//!
//! ```text
//! webhook, followed file, file --event_list--> events --source--> next_batch
//!
//! event --EventDocument--> JSON document --fields--> value of one field, as text
//! ```
//!
//! It takes the place of Falco's plugin of this name: same name, event source, fields and configuration.
#![forbid(unsafe_code)]

mod config;
mod counters;
mod event_list;
mod event_time;
mod extraction;
mod fields;
mod line;
mod open_params;
mod read_ahead;
mod read_once;
mod source;
mod tail;
mod webhook;

use std::ffi::{CStr, CString};
use std::sync::Arc;

use falco_plugin::base::{Json, Metric, Plugin};
use falco_plugin::tables::TablesInput;
use plugin_support::guard;
use plugin_support::json::EventDocument;

use crate::config::Config;
use crate::counters::Counters;
pub use crate::source::AuditStream;

/// The plugin's state.
#[derive(Debug)]
pub struct K8sAudit {
    config: Config,
    counters: Arc<Counters>,
    document: EventDocument,
    /// The text of the last `list_open_params`, which the host borrows.
    open_params: CString,
}

impl Plugin for K8sAudit {
    const NAME: &'static CStr = c"k8saudit";
    // Rules files ask for the plugin by version: this is the one whose fields and configuration we have.
    const PLUGIN_VERSION: &'static CStr = c"0.18.0";
    const DESCRIPTION: &'static CStr =
        c"Kubernetes audit events by webhook or from files, and their fields";
    const CONTACT: &'static CStr = c"the Shikra authors";
    type ConfigType = Json<Config>;

    fn new(_input: Option<&TablesInput>, Json(config): Json<Config>) -> anyhow::Result<Self> {
        guard("init", || {
            config.warn_of_unknown();
            Ok(Self {
                config,
                counters: Arc::default(),
                document: EventDocument::default(),
                open_params: CString::default(),
            })
        })
    }

    fn get_metrics(&mut self) -> impl IntoIterator<Item = Metric> {
        self.counters.metrics()
    }
}

/// The C functions of the plugin; a module of its own, since the SDK's macros use what this crate forbids.
mod exports {
    use falco_plugin::{extract_plugin, plugin, source_plugin};

    use crate::K8sAudit;

    plugin!(K8sAudit);
    source_plugin!(K8sAudit);
    extract_plugin!(K8sAudit);
}
