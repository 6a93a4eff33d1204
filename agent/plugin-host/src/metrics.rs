//! Metrics: the numbers that a plugin tells about itself.

use std::slice;

use serde::{Deserialize, Serialize};

use crate::abi::{PluginMetric, copy_text};
use crate::plugin::{Plugin, State};

/// One number that a plugin tells about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Unique within the plugin.
    pub name: String,
    /// Does the number only grow?
    pub is_monotonic: bool,
    /// The number at the moment of asking.
    pub value: MetricValue,
}

/// A number of one of the ABI's types, the small ones widened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum MetricValue {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Plugin {
    /// Asks the plugin for its metrics, which may be none.
    ///
    /// Source: `get_metrics` in `plugin_api.h`, plugin API 3.12. It has no way to fail.
    pub fn metrics(&mut self) -> Vec<Metric> {
        let local = match &mut self.state {
            State::Here(local) => *local,
            State::Child(remote) => return remote.metrics(),
        };
        let Some(get_metrics) = local.functions.metrics else { return Vec::new() };
        let mut count = 0u32;
        // SAFETY: the state lives until `self` drops, `&mut self` keeps other calls out, and the
        // out-pointer is valid for a write.
        let metrics = unsafe { get_metrics(local.handle, &raw mut count) };
        if count == 0 {
            return Vec::new();
        }
        if metrics.is_null() {
            self.note_protocol_error(format_args!("get_metrics promised {count} metrics at null"));
            return Vec::new();
        }
        // SAFETY: not null, and the header says that `count` metrics stay there until the next call.
        let metrics = unsafe { slice::from_raw_parts(metrics, count as usize) };
        let known: Vec<_> = metrics.iter().filter_map(read).collect();
        if known.len() < metrics.len() {
            self.note_protocol_error(format_args!(
                "get_metrics gave a metric without name or type"
            ));
        }
        known
    }
}

/// `None` for a metric that has no name, or a type that the header does not know.
fn read(metric: &PluginMetric) -> Option<Metric> {
    // SAFETY: null or a C string that stays until the next call on this state.
    let name = unsafe { copy_text(metric.name) };
    // SAFETY: `u64_` spans the whole union, and each of its bit patterns is a number.
    let bits = unsafe { metric.value.u64_ };
    // The small types lie at the start of the union.
    let [start @ .., _, _, _, _] = bits.to_ne_bytes();
    let value = match metric.value_type {
        0 => MetricValue::Unsigned(u32::from_ne_bytes(start).into()),
        1 | 6 => MetricValue::Signed(i32::from_ne_bytes(start).into()),
        2 => MetricValue::Unsigned(bits),
        3 => MetricValue::Signed(bits.cast_signed()),
        4 => MetricValue::Float(f64::from_bits(bits)),
        5 => MetricValue::Float(f32::from_ne_bytes(start).into()),
        _ => return None,
    };
    (!name.is_empty()).then_some(Metric { name, is_monotonic: metric.type_ == 0, value })
}
