//! Extraction: one field for each way to answer.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use falco_plugin_api::{
    ss_plugin_byte_buffer, ss_plugin_event_input, ss_plugin_extract_field,
    ss_plugin_field_extract_input, ss_plugin_t,
};

use crate::{FAILURE, SUCCESS, State, fatal, read, text};

/// In the order of the numbers in [`plugin_extract_fields`].
const FIELDS: &CStr = cr#"[
    {"name": "bad.payload", "type": "string", "desc": "the payload of the event"},
    {"name": "bad.asked", "type": "string", "desc": "what the host asked", "arg": {"isIndex": true, "isKey": true}},
    {"name": "bad.number", "type": "uint64", "desc": "the number of the event"},
    {"name": "bad.list", "type": "string", "isList": true, "desc": "a, nothing, c"},
    {"name": "bad.flag", "type": "bool", "desc": "true"},
    {"name": "bad.address", "type": "ipaddr", "desc": "127.0.0.1"},
    {"name": "bad.networks", "type": "ipnet", "isList": true, "desc": "two, and one of 5 bytes between them"},
    {"name": "bad.failure", "type": "string", "desc": "fails"},
    {"name": "bad.empty", "type": "string", "isList": true, "desc": "succeeds without a value"},
    {"name": "bad.untouched", "type": "string", "desc": "succeeds without writing anything"},
    {"name": "bad.null_string", "type": "string", "desc": "a null pointer for a text"},
    {"name": "bad.null_values", "type": "uint64", "desc": "one value at a null pointer"},
    {"name": "bad.two_values", "type": "uint64", "desc": "two values of a field that is no list"},
    {"name": "bad.five_bytes", "type": "ipaddr", "desc": "an address of 5 bytes"},
    {"name": "bad.misaligned", "type": "uint64", "desc": "values at an odd address"},
    {"name": "bad.endless", "type": "uint64", "isList": true, "desc": "more values than there is memory"},
    {"name": "bad.fatal", "type": "string", "desc": "does its worst", "arg": {"isKey": true, "isRequired": true}}
]"#;

/// What the last answer points to.
#[derive(Default)]
pub(crate) struct Values {
    text: CString,
    strings: Vec<*const c_char>,
    numbers: [u64; 2],
    flag: u32,
    addresses: Vec<ss_plugin_byte_buffer>,
}

static LOCALHOST: [u8; 16] = [127, 0, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn address(len: u32) -> ss_plugin_byte_buffer {
    ss_plugin_byte_buffer { len, ptr: LOCALHOST.as_ptr().cast() }
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_fields() -> *const c_char {
    FIELDS.as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_extract_fields(
    state: *mut ss_plugin_t,
    event: *const ss_plugin_event_input,
    input: *const ss_plugin_field_extract_input,
) -> i32 {
    // SAFETY: the state was made by `init`.
    let values = &mut unsafe { State::of(state) }.values;
    // SAFETY: the host passes a complete input.
    let event = unsafe { &*event };
    // SAFETY: the host passes a complete input.
    let input = unsafe { &*input };
    // SAFETY: the host passes at least one field.
    let field = unsafe { &mut *input.fields };
    match field.field_id {
        0 => {
            // SAFETY: the event is 38 bytes and the payload.
            let start = unsafe { event.evt.cast::<u8>().add(38) };
            values.answer_text(field, &payload(start, event));
        }
        1 => {
            let asked = describe(event, input, field);
            values.answer_text(field, &asked);
        }
        2 => values.answer_numbers(field, [event.evtnum, 0], 1),
        3 => values.answer_strings(field, vec![c"a".as_ptr(), ptr::null(), c"c".as_ptr()]),
        4 => {
            values.flag = 1;
            field.res.boolean = &raw mut values.flag;
            field.res_len = 1;
        }
        5 => values.answer_addresses(field, vec![address(4)]),
        6 => values.answer_addresses(field, vec![address(4), address(5), address(16)]),
        7 => return FAILURE,
        8 => values.answer_strings(field, Vec::new()),
        9 => {}
        10 => values.answer_strings(field, vec![ptr::null()]),
        11 => field.res_len = 1,
        12 => values.answer_numbers(field, [1, 2], 2),
        13 => values.answer_addresses(field, vec![address(5)]),
        14 => {
            values.answer_numbers(field, [1, 2], 1);
            field.res.u64_ = (&raw mut values.numbers).cast::<u8>().wrapping_add(1).cast();
        }
        15 => values.answer_numbers(field, [1, 2], u64::MAX),
        _ => {
            // SAFETY: the state was made by `init`.
            fatal::act(read(field.arg_key), unsafe { State::of(state) });
            return FAILURE;
        }
    }
    SUCCESS
}

fn payload(start: *const u8, event: &ss_plugin_event_input) -> String {
    // SAFETY: the host passes an event.
    let len = unsafe { event.evt.read_unaligned() }.len as usize - 38;
    // SAFETY: the event is `len` bytes long after its header and lengths.
    String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(start, len) }).into_owned()
}

fn describe(
    event: &ss_plugin_event_input,
    input: &ss_plugin_field_extract_input,
    field: &ss_plugin_extract_field,
) -> String {
    format!(
        "{} of {}: {} fields, present {} index {} key {}, type {} list {}, reader {} offsets {}",
        read(field.field),
        read(event.evtsrc),
        input.num_fields,
        field.arg_present,
        field.arg_index.cast_signed(),
        read(field.arg_key),
        field.ftype,
        field.flist,
        !input.table_reader_ext.is_null(),
        !input.value_offsets.is_null(),
    )
}

impl Values {
    fn answer_text(&mut self, field: &mut ss_plugin_extract_field, answer: &str) {
        self.text = text(answer);
        self.answer_strings(field, vec![self.text.as_ptr()]);
    }

    fn answer_strings(&mut self, field: &mut ss_plugin_extract_field, strings: Vec<*const c_char>) {
        self.strings = strings;
        field.res.str_ = self.strings.as_mut_ptr();
        field.res_len = self.strings.len() as u64;
    }

    fn answer_numbers(&mut self, field: &mut ss_plugin_extract_field, numbers: [u64; 2], len: u64) {
        self.numbers = numbers;
        field.res.u64_ = (&raw mut self.numbers).cast();
        field.res_len = len;
    }

    fn answer_addresses(
        &mut self,
        field: &mut ss_plugin_extract_field,
        addresses: Vec<ss_plugin_byte_buffer>,
    ) {
        self.addresses = addresses;
        field.res.buf = self.addresses.as_mut_ptr();
        field.res_len = self.addresses.len() as u64;
    }
}
