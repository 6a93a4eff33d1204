//! A few events whose values are as odd as plugins may make them.

use rules_engine::{Detection, Evaluator, EventInfo, Extract, FieldId, FieldType, Program, Values};

use crate::SOURCE;

const EVENTS: usize = 4;

/// Strings by event; a field's place in the program shifts them. None stands for a missing value.
const TEXTS: [Option<&[u8]>; 7] = [
    Some(b"abc"),
    Some(b""),
    None,
    Some(b"-n --long -t val a,b\n"),
    Some(b"\xff\xc3\x28 not UTF-8 \xf0\x9f"),
    Some("/usr/bin/äÜ".as_bytes()),
    Some(b"QUJD"),
];

const NUMBERS: [u64; 5] = [0, 1, 8080, 1 << 63, u64::MAX];

const ADDRESSES: [&[u8]; 4] = [
    &[10, 0, 0, 1],
    &[255; 4],
    &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1],
    &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
];

/// Evaluates each event; one element holds the detections of one event.
pub fn detections(program: &Program) -> Vec<Vec<Detection>> {
    let mut evaluator = Evaluator::new();
    let of_event = |event| {
        let timestamp_ns = NUMBERS[(event + 2) % NUMBERS.len()];
        let info = EventInfo {
            number: event as u64,
            timestamp_ns,
            first_timestamp_ns: 1_700_000_000_000_000_000,
            source: SOURCE,
            plugin_name: (event % 2 == 0).then_some("test"),
            hostname: "host",
            async_name: (event % 2 == 1).then_some("notice"),
            utc_offset_s: 3600 * event as i32,
        };
        let mut detections = Vec::new();
        let mut extract = OddValues { program, event };
        evaluator.evaluate(program, &info, &mut extract, &mut detections);
        detections
    };
    (0..EVENTS).map(of_event).collect()
}

struct OddValues<'a> {
    program: &'a Program,
    event: usize,
}

impl Extract for OddValues<'_> {
    fn extract(&mut self, field: FieldId, values: &mut Values<'_>) {
        let used = &self.program.fields()[field.index()];
        let seed = self.event + used.field + used.argument.as_ref().map_or(0, String::len);
        let count = if used.is_list { seed % 4 } else { 1 };
        for at in (seed..).take(count) {
            match used.kind {
                FieldType::String => {
                    if let Some(text) = TEXTS[at % TEXTS.len()] {
                        values.push_string(text);
                    }
                }
                FieldType::Uint64 | FieldType::RelTime | FieldType::AbsTime => {
                    values.push_number(NUMBERS[at % NUMBERS.len()]);
                }
                FieldType::Bool => values.push_bool(at % 2 == 0),
                FieldType::IpAddr | FieldType::IpNet => {
                    values.push_address(ADDRESSES[at % ADDRESSES.len()]);
                }
            }
        }
    }

    fn plugin_info(&mut self) -> Option<String> {
        (self.event > 1).then(|| "an event".to_owned())
    }
}
