//! Metrics, good and bad.

use std::ffi::CStr;
use std::ptr;

use falco_plugin_api::{ss_plugin_metric, ss_plugin_metric_value, ss_plugin_t};

use crate::State;

/// How many metrics an answer at null claims to have.
const CLAIMED: u32 = 7;

/// The metrics that a state of this mode tells: `metrics`, `metrics-at-null`, `metrics-without-sense`, else none.
pub(crate) fn of_mode(mode: &str) -> Vec<ss_plugin_metric> {
    let metric = |name: &'static CStr, type_, value_type, value| ss_plugin_metric {
        name: name.as_ptr(),
        type_,
        value,
        value_type,
    };
    // The upper half is not part of a small number.
    let in_lower_half =
        |bits: u32| ss_plugin_metric_value { u64_: 0xdead_beef_0000_0000 | u64::from(bits) };
    match mode {
        "metrics" => vec![
            metric(c"u32", 0, 0, in_lower_half(1)),
            metric(c"s32", 1, 1, in_lower_half(u32::MAX)),
            metric(c"u64", 0, 2, ss_plugin_metric_value { u64_: u64::MAX }),
            metric(c"s64", 1, 3, ss_plugin_metric_value { s64: -2 }),
            metric(c"double", 1, 4, ss_plugin_metric_value { d: 0.5 }),
            metric(c"float", 1, 5, in_lower_half(0.25f32.to_bits())),
            metric(c"int", 1, 6, in_lower_half(3)),
        ],
        // Stands for null, see below.
        "metrics-at-null" => vec![metric(c"null", 0, CLAIMED, in_lower_half(0))],
        "metrics-without-sense" => {
            let nameless =
                ss_plugin_metric { name: ptr::null(), ..metric(c"", 0, 0, in_lower_half(1)) };
            vec![
                nameless,
                metric(c"typeless", 0, 9, in_lower_half(1)),
                metric(c"good", 0, 0, in_lower_half(2)),
            ]
        }
        _ => Vec::new(),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_get_metrics(
    state: *mut ss_plugin_t,
    count: *mut u32,
) -> *const ss_plugin_metric {
    // SAFETY: the state was made by `init`.
    let metrics = &unsafe { State::of(state) }.metrics;
    let is_null = matches!(metrics[..], [ss_plugin_metric { value_type: CLAIMED, .. }]);
    // SAFETY: the host passes a place for the count.
    unsafe { *count = if is_null { CLAIMED } else { metrics.len() as u32 } };
    if is_null { ptr::null() } else { metrics.as_ptr() }
}
