//! Falco plugin `filetail`: lines of followed files as events, and where each line stands.
//!
//! ```text
//! files --follow--> lines --payload--> events          (next_batch)
//! event --payload--> line, path, number --> filetail.* (extraction)
//! ```
//!
//! A line that is JSON can also be looked into with the fields of the `json` plugin.
#![forbid(unsafe_code)]

mod config;
mod fields;
mod payload;
mod source;

use std::ffi::{CStr, CString};

use falco_plugin::base::{Json, Metric, MetricLabel, MetricType, MetricValue, Plugin};
use falco_plugin::tables::TablesInput;
use plugin_support::counter::Counter;
use plugin_support::guard;

use crate::config::Config;
pub use crate::source::LineStream;

/// The plugin's state.
#[derive(Debug)]
pub struct FileTail {
    config: Config,
    /// Lines that the host got.
    lines: u64,
    lines_too_long: Counter,
    /// The text of the last `list_open_params`, which the host borrows.
    open_params: CString,
}

impl Plugin for FileTail {
    const NAME: &'static CStr = c"filetail";
    const PLUGIN_VERSION: &'static CStr = c"0.1.0";
    const DESCRIPTION: &'static CStr = c"Lines of files, followed across rotation";
    const CONTACT: &'static CStr = c"the Shikra authors";
    type ConfigType = Json<Config>;

    fn new(_input: Option<&TablesInput>, Json(config): Json<Config>) -> anyhow::Result<Self> {
        guard("init", || {
            Ok(Self {
                config,
                lines: 0,
                lines_too_long: Counter::default(),
                open_params: CString::default(),
            })
        })
    }

    fn get_metrics(&mut self) -> impl IntoIterator<Item = Metric> {
        let metric = |name, count| {
            MetricLabel::new(name, MetricType::Monotonic).with_value(MetricValue::U64(count))
        };
        let too_long = self.lines_too_long.value();
        // The agent finds its ledger by the names `received` and `rejected_…`.
        [
            metric(c"received", self.lines + too_long),
            metric(c"lines", self.lines),
            metric(c"rejected_line_too_long", too_long),
        ]
    }
}

/// The C functions of the plugin; a module of its own, since the SDK's macros use what this crate forbids.
mod exports {
    use falco_plugin::{extract_plugin, plugin, source_plugin};

    use crate::FileTail;

    plugin!(FileTail);
    source_plugin!(FileTail);
    extract_plugin!(FileTail);
}
