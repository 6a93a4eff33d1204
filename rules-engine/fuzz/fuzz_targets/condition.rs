//! Any text as the condition of a rule and of a macro. Where both are right, each event fulfils
//! either the condition or what denies it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rules_engine_fuzz::{SOURCE, detections, load_and_report, quote};

fuzz_target!(|condition: &str| {
    let condition = quote(condition);
    let rules = format!(
        "
- list: names
  items: [abc, 'a b', 10.0.0.0/8, 1, \"\"]
- macro: known
  condition: t.s in (names)
- macro: it
  condition: {condition}
- rule: as it is
  desc: d
  condition: {condition}
  output: it is
  priority: INFO
  source: {SOURCE}
- rule: denied
  desc: d
  condition: not it
  output: it is not
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
