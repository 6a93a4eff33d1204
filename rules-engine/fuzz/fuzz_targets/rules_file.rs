//! Any bytes as a rules file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rules_engine_fuzz::{SOURCE, detections, load_and_report};

fuzz_target!(|content: &[u8]| {
    let loaded = load_and_report(content);
    if let Some(program) = loaded.ruleset.and_then(|ruleset| ruleset.program(SOURCE)) {
        detections(&program);
    }
});
