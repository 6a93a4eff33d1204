//! Any text as the output of a rule that every event matches.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rules_engine_fuzz::{SOURCE, detections, load_and_report, quote};

fuzz_target!(|output: &str| {
    let output = quote(output);
    let rules = format!(
        "
- rule: every event
  desc: d
  condition: evt.num >= 0
  output: {output}
  priority: INFO
  source: {SOURCE}
"
    );
    let loaded = load_and_report(rules.as_bytes());
    if let Some(program) = loaded.ruleset.and_then(|ruleset| ruleset.program(SOURCE)) {
        for detections in detections(&program) {
            assert_eq!(detections.len(), 1, "{detections:?}");
        }
    }
});
